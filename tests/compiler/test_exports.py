"""What exporters write in several ways: whatever the form, the imported graph computes what onnxruntime makes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from plonnx.compiler import control_flow
from plonnx.compiler.calibration import as_sample
from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.graph import CompileError, Graph
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.layout.inputs import InputError
from tests.compiler.small import (
    assert_accurate,
    assert_as_onnxruntime,
    compiled,
    graph_of,
    onnx_model,
    operators,
    random_samples,
    run_float,
)

X = "float[2,3] x) => "
KINDS = {"float": np.float32, "float16": np.float16, "double": np.float64}


def imported(model: ModelProto, shapes: dict[str, Any] | None = None, tolerance: float = 1e-4) -> Graph:
    """The graph, checked against the model itself on random inputs, before and after the passes."""
    read = read_model(model)
    fixed = fix_shapes(read, shapes=shapes)
    graph = import_graph(read, fixed)
    samples = random_samples(graph, 5)
    expected = FloatModel(read.fixed(fixed)).run_all([as_sample(graph, samples, index) for index in range(5)])
    for form in (graph, optimize(graph)):
        got = run_float(form, samples)
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=tolerance)
    return graph


def of_text(signature: str, body: str, constants: dict[str, Any] | None = None, opset: int = 17) -> Graph:
    return imported(onnx_model(signature, body, constants, opset))


# Forms ----------------------------------------------------------------------------------------------------------------


def test_nodes_in_any_order() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Add(b, a) b = Neg(a) a = Relu(x)")
    assert operators(imported(model)) == ["Relu", "Neg", "Add"]


def test_nodes_that_read_each_other() -> None:
    with pytest.raises(CompileError, match=r"model: node 'y' \(Add\) reads what is made from its result"):
        read_model(onnx_model(X + "(float[2,3] y)", "y = Add(x, a) a = Relu(y)"))


def test_unsorted_subgraphs_read_the_graph_around_them() -> None:
    body = "y = If(c) <then_branch = g () => (float[2,3] b) { b = Neg(d) d = Add(e, x) },"
    body += " else_branch = h () => (float[2,3] b2) { b2 = Neg(x) }> e = Relu(x) c = Constant<value = bool {1}>()"
    assert operators(of_text(X + "(float[2,3] y)", body)) == ["Relu", "Add", "Neg"]


def test_domain_ai_onnx() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Relu(x)")
    model.opset_import[0].domain = model.graph.node[0].domain = "ai.onnx"
    assert operators(imported(model)) == ["Relu"]
    model.opset_import.append(helper.make_opsetid("", 17))
    assert operators(imported(model)) == ["Relu"]


def test_without_names_shapes_and_types() -> None:
    model = onnx_model("float[2,3] x, float[2,3] z) => (float[2,3] y)", "a = Add(x, z) y = Relu(a)")
    model.graph.name = ""
    model.graph.output[0].ClearField("type")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(CompileError, match=r"input 'x' has no shape; fix it with shapes=\{'x': \(1,3\)\}"):
        fix_shapes(read_model(model))
    assert operators(imported(model, {"x": (2, 3)})) == ["Add", "Relu"]
    assert imported(model, {"x": (2, 3)}).name == "model"


def test_the_given_model_stays_as_it_is() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Neg(a) a = Relu(x)")
    before = model.SerializeToString()
    imported(model)
    assert model.SerializeToString() == before


def sparse(indices: NDArray[np.int64]) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([2.0, -1.0], np.float32), "s")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(indices, "indices"), [2, 3])


@pytest.mark.parametrize("indices", [np.array([1, 5]), np.array([[0, 1], [1, 2]])])
@pytest.mark.parametrize("initializer", [True, False])
def test_sparse_constants_become_dense(indices: NDArray[np.int64], initializer: bool) -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Add(x, s)")
    if initializer:
        model.graph.sparse_initializer.append(sparse(indices))
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["s"], sparse_value=sparse(indices)))
    read = read_model(model)
    graph = import_graph(read, {"x": (2, 3)})
    np.testing.assert_array_equal(graph.value("s"), [[0.0, 2.0, 0.0], [0.0, 0.0, -1.0]])


def test_sparse_indices_out_of_range() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Add(x, s)")
    model.graph.sparse_initializer.append(sparse(np.array([1, 6])))
    with pytest.raises(CompileError, match=r"sparse tensor 's': its indices do not fit its shape \[2, 3\]"):
        read_model(model)


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ("double[2,3] x", "c = Cast<to = 1>(x) y = Mul(c, w)"),
        ("double[2,3] x", "c = Cast<to = 1>(x) y = Exp(c)"),
        ("double[2,3] x, float[2,3] z", "e = Exp(x) c = Cast<to = 1>(e) d = Div(c, z2) y = Mul(d, z)"),
        ("float[2,3] x", "h = Cast<to = 10>(x) e = Exp(h) m = Mul(e, half) y = Cast<to = 1>(m)"),
        ("float16[2,3] x, float[2,3] z", "e = Exp(x) c = Cast<to = 1>(e) b = Less(c, z) y = Where(b, c, z)"),
        ("float[2,3] x", "h = Cast<to = 10>(x) u = Unsqueeze(h, zero) r = Resize(u, , scales) y = Cast<to = 1>(r)"),
    ],
)
def test_casts_between_reals_are_gone(inputs: str, body: str) -> None:
    """Mixed precision: types meet in one operator then, which no runtime has."""
    rank = "a,b,c" if "Resize" in body else "2,3"
    held = {"w": np.ones(3), "z2": np.full(3, 2.0), "half": np.full(3, 0.5, np.float16), "zero": np.array([0])}
    held["scales"] = np.array([1, 2, 2], np.float32)
    used = {name: value for name, value in held.items() if re.search(rf"\b{name}\b", body)}
    samples = {
        name: np.random.RandomState(place).uniform(-1, 1, (20, 2, 3)).astype(KINDS[kind])
        for place, (kind, name) in enumerate(re.findall(r"(\w+)\[2,3\] (\w)", inputs))
    }
    made = assert_as_onnxruntime(onnx_model(f"{inputs}) => (float[{rank}] y)", body, used, 18), samples, 0.01)
    assert "Less" in body or "Cast" not in operators(made.graph)


def test_bfloat16(tmp_path: Path) -> None:
    """Weights, types, and casts of constants, which keep their rounding; a computed cast is the identity."""
    weights = np.random.RandomState(0).randn(3, 2).astype(ml_dtypes.bfloat16)
    fine = np.random.RandomState(1).randn(2).astype(np.float32)
    body = "h = Cast<to = 16>(x) b = Cast<to = 16>(fine) g = MatMul(h, w) s = Add(g, b) y = Cast<to = 1>(s)"
    model = onnx_model(X + "(float[2,2] y)", body, {"fine": fine})
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    graph = import_graph(read_model(model), {"x": (2, 3)})
    assert operators(optimize(graph)) == ["Gemm"]
    np.testing.assert_array_equal(graph.value("b"), fine.astype(ml_dtypes.bfloat16).astype(np.float32))
    made = quantized(model, random_samples(graph, 32), Options(table_bits=12))
    assert_accurate(made)
    x = random_samples(graph, 4)
    expected = x["x"] @ weights.astype(np.float64) + fine
    np.testing.assert_allclose(made.evaluate(x)["y"], expected, atol=0.02)


def test_a_bfloat16_input() -> None:
    model = onnx_model("bfloat16[2,3] x) => (bfloat16[2,3] y)", "y = Relu(x)")
    assert imported(model).tensors["x"].dtype == np.float32


def test_functions_of_another_opset_in_one_another() -> None:
    text = """<ir_version: 8, opset_import: ["ai.onnx": 17, "local": 1]>
    agraph (float[2,3] x) => (float[2,3] y) { y = local.outer(x) }
    <domain: "local", opset_import: ["ai.onnx": 17, "local": 1]> outer (a) => (b) { b = Neg(c) c = local.inner(a) }
    <domain: "local", opset_import: ["": 17]> inner (a) => (b) { b = ai.onnx.Add(a, a) }"""
    assert operators(imported(onnx.parser.parse_model(text))) == ["Add", "Neg"]


def test_empty_tensors_vanish() -> None:
    where = {"two": np.array([2]), "axis": np.array([1]), "parts": np.array([0, 2, 0, 1])}
    assert operators(
        of_text(X + "(float[2,3] y)", "e = Slice(x, two, two, axis) c = Concat<axis = 1>(e, x) y = Relu(c)", where)
    ) == ["Concat", "Relu"]
    split = "a, b, c, d = Split<axis = 1>(x, parts) y = Concat<axis = 1>(d, c, b, a)"
    assert operators(of_text(X + "(float[2,3] y)", split, where)) == ["Gather", "Gather", "Concat"]
    sums = "e = Slice(x, two, two, axis) s = ReduceSum<keepdims = 1>(e, axis) y = Add(x, s)"
    assert operators(of_text(X + "(float[2,3] y)", sums, where)) == ["Add"]


def test_an_empty_output_is_refused(tmp_path: Path) -> None:
    body = "e = Slice(x, two, two, axis) y = Relu(x)"
    with pytest.raises(CompileError, match=r"output 'e' is empty, of shape \[2, 0\]"):
        graph_of(tmp_path, X + "(float[2,3] y, float[2,0] e)", body, {"two": np.array([2]), "axis": np.array([1])})


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
def test_weights_of_eight_bits(tmp_path: Path, opset: int) -> None:
    """DequantizeLinear of constants is a constant at every version.

    onnxruntime joins it with the product and then quantizes the other operand, too: hence the tolerance.
    """
    r = np.random.RandomState(0)
    given: dict[str, Any] = {"q": r.randint(-99, 99, (3, 4)).astype(np.int8), "s": np.float32(0.01), "z": np.int8(3)}
    body = "w = DequantizeLinear(q, s, z) y = MatMul(x, w)"
    if opset >= 13:
        given |= {"s": r.uniform(0.01, 0.02, 4).astype(np.float32), "z": np.zeros(4, np.int8)}
        body = "w = DequantizeLinear<axis = 1>(q, s, z) y = MatMul(x, w)"
    graph = imported(onnx_model(X + "(float[2,4] y)", body, given, opset), tolerance=0.02)
    assert operators(graph) == ["MatMul"]
    zero = np.asarray(given["z"], np.float64)
    np.testing.assert_allclose(graph.value("w"), (given["q"] - zero) * given["s"], rtol=1e-5)


# Constant outputs -----------------------------------------------------------------------------------------------------


def test_constant_outputs_are_public_constants(tmp_path: Path) -> None:
    """Reals, integers, zeros and a scalar, in a proof's statement."""
    body = "y = MatMul(x, w) v = Identity(c) n = Identity(k) o = Identity(z) s = Identity(t) l = Identity(h)"
    signature = X + "(float[2,2] y, float[2] v, int64[3] n, float[2] o, float s, int64[4] l)"
    large = np.array([4, -2, 1 << 20, -5000])
    given = {"w": np.eye(3, 2), "c": np.array([0.1, -3.0]), "k": np.array([7, -2, 0]), "z": np.zeros(2), "h": large}
    made = compiled(tmp_path, signature, body, {**given, "t": np.float32(2.5)})
    assert_accurate(made)
    got = made.evaluate(random_samples(made.graph, 3))
    np.testing.assert_array_equal(got["n"][1], [7, -2, 0])
    np.testing.assert_array_equal(got["o"][1], [0, 0])
    np.testing.assert_array_equal(got["l"][1], large)  # in two units: a table of 2^12 holds none of them beside 2^20
    np.testing.assert_allclose(got["v"][2], [0.1, -3.0], atol=1e-3)
    assert got["s"].shape == (3,) and got["s"][0] == 2.5


def test_a_constant_output_that_no_two_units_hold(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="tensor 'n' holds int64 values up to 1099511627776, which must stay exact"):
        compiled(
            tmp_path, X + "(float[2,3] y, int64[2] n)", "y = Relu(x) n = Identity(k)", {"k": np.array([1 << 40, 1])}
        )


def test_constant_outputs_hold_in_the_circuit(tmp_path: Path) -> None:
    model = onnx_model(X + "(float[2,3] y, float[2] v)", "y = Relu(x) v = Identity(c)", {"c": np.array([0.5, -3.0])})
    circuit = compile_model(model, [{"x": np.random.RandomState(0).randn(20, 2, 3)}])
    inputs = circuit.read_inputs({"x": np.full((2, 3), 0.25)})
    witness = circuit.witness(inputs)
    assert circuit.check(witness) == []
    forged = bytearray(witness.public_values)
    forged[-1] ^= 1
    assert circuit.check(type(witness)(witness.advice, bytes(forged), witness.later))


# Control flow ---------------------------------------------------------------------------------------------------------

IF = """y = If(c) <
    then_branch = g () => (float[2,3] b) { b = Neg(x) },
    else_branch = h () => (float[2,3] b2) { b2 = Abs(x) }
>"""


@pytest.mark.parametrize(("condition", "op"), [(True, "Neg"), (False, "Abs")])
def test_if_takes_the_branch_of_its_condition(condition: bool, op: str) -> None:
    assert operators(of_text(X + "(float[2,3] y)", IF, {"c": np.array(condition)})) == [op]


def test_a_condition_that_follows_from_shapes() -> None:
    body = "s = Shape(x) d = Gather(s, one) c = Equal(d, three) " + IF
    assert operators(of_text(X + "(float[2,3] y)", body, {"one": np.array(1), "three": np.array(3)})) == ["Neg"]


def test_branches_in_branches() -> None:
    """Names that branches share, constants and initializers of their own, tensors of the graphs around."""
    inner = "b = If(d) <then_branch = g2 () => (float[2,3] e) { k = Add(x, a) e = Mul(k, two) },"
    inner += " else_branch = h2 () => (float[2,3] e) { e = Abs(x) }>"
    body = f"a = Relu(x) y = If(c) <then_branch = g () => (float[2,3] b) {{ d = Identity(c) k3 = Neg(x) {inner} }},"
    body += " else_branch = h () => (float[2,3] b) { b = Abs(x) }>"
    graph = of_text(X + "(float[2,3] y)", body, {"c": np.array(True), "two": np.array(2.0)})
    assert operators(graph) == ["Relu", "Add", "Mul"]


def test_a_computed_condition_selects() -> None:
    """Of both branches, whatever outputs they have."""
    body = """m = ReduceSum<keepdims = 0>(x) c = Greater(m, zero) y, z = If(c) <
        then_branch = g () => (float[2,3] b, float n) { b = Neg(x) n = Identity(m) },
        else_branch = h () => (float[2,3] b2, float n2) { b2 = Abs(x) n2 = Neg(m) }
    >"""
    model = onnx_model(X + "(float[2,3] y, float z)", body, {"zero": np.array(0.0)})
    x = np.random.RandomState(0).randint(-64, 65, (30, 2, 3)).astype(np.float32) / 64
    assert_as_onnxruntime(model, {"x": x}, 0.001)


def test_branches_of_different_shapes_are_refused(tmp_path: Path) -> None:
    body = IF.replace("float[2,3] b2) { b2 = Abs(x)", "float[1,3] b2) { b2 = ReduceMax<axes = [0]>(x)")
    with pytest.raises(CompileError, match=r"'y' \(If\): its condition depends on the inputs, and its .* branches"):
        graph_of(tmp_path, "float[2,3] x, bool c) => (float[N,3] y)", body)


LOOP = """r, t = Loop(m, c, x) <body = g (int64 i, bool go, float[2,3] a) => (bool on, float[2,3] b, float[3] s) {
    on = {ON}
    f = Cast<to = 1>(i)
    n = Add(a, x)
    b = Mul(n, f)
    s = ReduceSum<keepdims = 0>(b, zero)
}>"""
LOOP_GIVES = "(float[2,3] r, float[M,3] t)"


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_loops_are_unrolled(opset: int) -> None:
    given = {"m": np.array(3), "c": np.array(True), "zero": np.array([0])}
    graph = of_text(X + LOOP_GIVES, LOOP.replace("{ON}", "Identity(go)"), given, opset)
    assert operators(graph).count("ReduceSum") == 3
    assert dict(graph.outputs)["t"] == "t" and graph.tensors["t"].shape == (3, 3)


def test_a_loop_that_stops_by_its_condition() -> None:
    given = {"c": np.array(True), "zero": np.array([0]), "last": np.array(1)}
    graph = of_text(X + LOOP_GIVES, LOOP.replace("m, c", ", c").replace("{ON}", "Less(i, last)"), given)
    assert operators(graph).count("ReduceSum") == 2


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        ("float[2,3] x, int64 m) => ", LOOP.replace("{ON}", "Identity(go)"), "its number of rounds depends on the inp"),
        (X, LOOP.replace("m, c", ", c").replace("{ON}", "Identity(go)"), "more than 8 rounds"),
        (
            X,
            LOOP.replace("{ON}", "Cast<to = 9>(q)\n q = ReduceMax<keepdims = 0>(a)"),
            "whether it goes on depends on the inputs",
        ),
    ],
)
def test_loops_that_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signature: str, body: str, message: str
) -> None:
    monkeypatch.setattr(control_flow, "MOST_ROUNDS", 8)
    given = {"m": np.array(3)} if "int64 m" not in signature else {}
    with pytest.raises(CompileError, match=rf"\(Loop\): {message}|\(Loop\): it runs for {message}"):
        graph_of(tmp_path, signature + LOOP_GIVES, body, {"c": np.array(True), "zero": np.array([0]), **given})


@pytest.mark.parametrize("attributes", ["", ", scan_input_directions = [1]", ", scan_output_directions = [1]"])
@pytest.mark.parametrize("axes", ["", ", scan_input_axes = [1]", ", scan_input_axes = [1], scan_output_axes = [-1]"])
def test_scans_are_unrolled(attributes: str, axes: str) -> None:
    """A running sum over an axis, in either direction."""
    size = 2 if axes else 3
    state = f"float[{size}]"
    given = f"num_scan_inputs = 1{attributes}{axes}"
    body = f"""r, t = Scan<{given}, body = g ({state} a, {state} e) => ({state} b, {state} s) {{
        b = Add(a, e)
        s = Neg(b)
    }}>(start, x)"""
    graph = of_text(X + f"({state} r, float[M,N] t)", body, {"start": np.ones(size)})
    assert set(operators(graph)) == {"Gather", "Add", "Neg", "Reshape", "Concat"}


@pytest.mark.parametrize("directions", ["", ", directions = [1]"])
def test_scans_of_batches(directions: str) -> None:
    """Version 8."""
    state = "float[2]"
    body = f"""r, t = Scan<num_scan_inputs = 1{directions}, body = g ({state} a, {state} e) => ({state} b, {state} s) {{
        b = Add(a, e)
        s = Neg(b)
    }}>(, start, x)"""
    signature = "float[2,2] start, float[2,3,2] x) => (float[2,2] r, float[2,3,2] t)"
    random = np.random.RandomState(0)
    samples = {"start": random.randint(-9, 9, (20, 2, 2)), "x": random.randint(-9, 9, (20, 2, 3, 2))}
    made = {name: values.astype(np.float32) for name, values in samples.items()}
    assert_as_onnxruntime(onnx_model(signature, body, None, 8), made)


# Refusals -------------------------------------------------------------------------------------------------------------


def refusal(signature: str, body: str, constants: dict[str, Any] | None = None, opset: int = 17) -> str:
    with pytest.raises(CompileError) as caught:
        quantized(onnx_model(signature, body, constants, opset), None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_unsupported_nodes_are_listed_before_data_is_asked_for() -> None:
    body = "d = OptionalHasElement(x) h = Unique(x) g = NonZero(i) s = Shape(d) y = Identity(h)"
    line = refusal(
        "float[3,3] x, int64[2] i) => (float[A] y, bool d, int64[B] s, int64[1,C] g)", body, {"w": np.ones(9)}, 18
    )
    for part in (
        "3 nodes can't be compiled",
        "'d' (OptionalHasElement): operator",
        "'h' (Unique), ",
        "'g' (NonZero): the",
    ):
        assert part in line
    assert line.count("`plonnx operators`") == 1 and line.count("depends on values; ") == 1


def test_many_nodes_of_one_operator_are_counted() -> None:
    body = " ".join(f"a{n + 1} = Unique(a{n})" for n in range(9)).replace("a0", "x").replace("a9", "y")
    assert "(Unique) and 5 more Unique: the shape" in refusal(X + "(float[2,3] y)", body)


def test_what_an_unsupported_node_spoils_is_not_listed() -> None:
    """Its readers, of whatever shape, and control flow on it; other unsupported nodes are."""
    body = "n = NonZero(x) f = Cast<to = 1>(n) r = Relu(f) y = Unique(r)"
    line = refusal("float[3] x) => (float[1,A] y)", body)
    assert "2 nodes" in line and "NonZero" in line and "Unique" in line and "Relu" not in line


def test_outputs_that_do_without_are_named() -> None:
    body = "p = Softmax(x) y = Unique(p) t = Relu(x)"
    line = refusal("float[2,3] x) => (float[2,3] p, float[n] y, float[2,3] t)", body)
    assert "(Unique): the shape of its result depends on values" in line and line.endswith(
        "outputs=p,t compiles without it"
    )


def test_what_stands_at_the_inputs_can_be_computed_outside() -> None:
    line = refusal("int64[2] i) => (float[1,A] y)", "g = NonZero(i) f = Cast<to = 1>(g) y = Relu(f)")
    assert line.endswith("or compute this outside, and give plonnx the rest of the model with the result as its input")


def test_a_file_for_one_processor_is_named() -> None:
    """onnxruntime's layout of images in blocks of channels."""
    model = onnx_model("float[1,8,2,2] x) => (float[1,8,2,2] y)", "b = Relu(x) y = Relu(b)")
    model.graph.node[0].CopyFrom(helper.make_node("ReorderInput", ["x"], ["b"], domain="com.microsoft.nchwc"))
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    with pytest.raises(CompileError, match=r"for one kind of processor; give the model .* at ORT_ENABLE_EXTENDED"):
        quantized(model, None)


def test_training_mode_is_named() -> None:
    """The bad form of each operator that has one, at its versions."""
    shape = "float[2,3,4,4] x, float[3] s) => (float[2,3,4,4] y)"
    for opset, call in ((15, "y, m, v = BatchNormalization<training_mode = 1>(x, s, s, s, s)"),):
        assert "(BatchNormalization): is in training mode; export" in refusal(shape, call, opset=opset)
    statistics = "y, m, v, a, b = BatchNormalization(x, s, s, s, s) z = Add(m, v)"
    assert "is in training mode" in refusal(shape.replace(" y)", " y, float[3] z)"), statistics, opset=9)
    given = {"r": np.float32(0.5), "t": np.array(True)}
    assert "(Dropout): is in training mode" in refusal(X + "(float[2,3] y)", "y = Dropout(x, r, t)", given)


def test_random_operators_are_named() -> None:
    assert "draws random numbers" in refusal(X + "(float[2,3] y)", "r = RandomNormalLike(x) y = Add(x, r)")


def test_dead_nodes_do_not_matter(tmp_path: Path) -> None:
    assert operators(graph_of(tmp_path, X + "(float[2,3] y)", "y = Relu(x) d = NonZero(x)")) == ["Relu"]


def test_data_is_asked_for_last() -> None:
    assert "calibration data is missing" in refusal(X + "(float[2,3] y)", "y = Relu(x)")


def test_some_outputs_are_taken() -> None:
    model = onnx_model("float[3,3] x) => (float d, float[3,3] y, float[3,3] z)", "d = Det(x) y = Relu(x) z = Neg(x)")
    made = quantized(model, {"x": np.random.RandomState(0).randn(20, 3, 3)}, Options(outputs=["z", "y"]))
    assert [port.name for port in made.facts.outputs] == ["z", "y"]
    with pytest.raises(CompileError, match=r"outputs=q: model has the outputs d, y, z"):
        quantized(model, None, Options(outputs=["q"]))


def test_a_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    body = "t = Transpose(w) y = MatMul(x, t)"
    with pytest.raises(CompileError, match=r"its weight 'w' is not a number \(NaN\) at \[1, 0\]"):
        graph_of(tmp_path, X + "(float[2,2] y)", body, {"w": np.array([[1.0, 2.0, 3.0], [np.nan, 1.0, 2.0]])})


# Damage ---------------------------------------------------------------------------------------------------------------


def damaged_model() -> bytes:
    body = "c = Constant<value = float[3] {1.0, 2.0, 3.0}>() g = Gemm<transB = 1>(x, w, c) r = Relu(g) s = Shape(r)"
    body += " k = Cast<to = 1>(r) y = Reshape(k, s)"
    return bytes(
        onnx_model("float[batch,4] x) => (float[batch,3] y)", body, {"w": np.ones((3, 4))}).SerializeToString()
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_files_end_in_one_line(changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed, nothing but the compiler's own errors is raised."""
    content = bytearray(damaged_model())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        quantized(bytes(content), {"x": np.random.RandomState(0).randn(20, 4)}, Options(table_bits=8))
    except (CompileError, InputError) as error:
        assert "\n" not in str(error)


def test_a_constant_of_another_size_than_its_shape() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Add(x, w)", {"w": np.ones(3, np.float32)})
    broken = ModelProto.FromString(model.SerializeToString())
    del broken.graph.initializer[0].dims[:]
    with pytest.raises(CompileError, match="tensor 'w' does not hold as many values as its shape says"):
        quantized(broken, {"x": np.zeros((20, 2, 3))}, Options(table_bits=8))


@pytest.mark.parametrize("kind", [56, 99])
def test_an_unknown_element_type_names_the_tensor(kind: int) -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Add(x, w)", {"w": np.ones(3)})
    for name, spoil in (
        ("x", lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", kind)),
        ("w", lambda m: setattr(m.graph.initializer[0], "data_type", kind)),
        ("y", lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", kind)),
    ):
        broken = ModelProto.FromString(model.SerializeToString())
        spoil(broken)
        with pytest.raises(CompileError, match=f"tensor '{name}' has the element type {kind}, which"):
            read_model(broken)


def test_an_attribute_of_no_type() -> None:
    model = onnx_model(X + "(float[2,3] y)", "y = Elu<alpha = 0.5>(x)")
    model.graph.node[0].attribute[0].type = AttributeProto.UNDEFINED
    with pytest.raises(CompileError):
        import_graph(read_model(model), {"x": (2, 3)})
    assert TensorProto.UNDEFINED == 0


def test_the_graph_is_written_back_with_any_names(tmp_path: Path) -> None:
    """Nodes that an expansion made of one node share its name, which some of onnxruntime's rewrites refuse."""
    graph = graph_of(tmp_path, X + "(float[2,3] y)", "e = Exp(x) y = Div(x, e)")
    assert not any(node.name for node in to_onnx(optimize(graph)).graph.node)
