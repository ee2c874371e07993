"""The oracle: onnxruntime first, and the reference evaluator where it agrees; constants fold to the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, defs, helper, numpy_helper

from plonnx.compiler import float_model
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel, Unevaluable
from plonnx.compiler.graph import CompileError, Node, Tensor
from plonnx.compiler.judging import LEAST_LEFT
from plonnx.compiler.options import Options
from plonnx.compiler.passes.fold_constants import folded
from plonnx.compiler.reference import deviates, reference
from tests.compiler.single_nodes import Array, Case, Versioned, drawn, versioned
from tests.compiler.small import onnx_model

KINDS = list(versioned())
SEEDS = st.integers(0, 2**31 - 1)


def single(kind: Versioned, case: Case) -> tuple[ModelProto, dict[str, Array]]:
    """A model of one node, written without the code that is tested, and what to feed it."""
    operands, attributes, count = case
    names = [f"x{place}" if operand is not None else "" for place, operand in enumerate(operands)]
    feed = {name: operand for name, operand in zip(names, operands, strict=True) if operand is not None}
    outputs = [f"y{place}" for place in range(count)]
    graph = helper.make_graph(
        [helper.make_node(kind.op, names, outputs, **attributes)],
        "single",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feed.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    imports = [helper.make_opsetid("", kind.since)]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports, True)
    ), feed


def by_onnxruntime(model: ModelProto, feed: dict[str, Array]) -> list[Any] | None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return list(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feed))
    except Exception:  # it raises classes of its own
        return None


def by_reference(model: ModelProto, feed: dict[str, Array]) -> list[Any] | None:
    try:
        return list(reference(model).run(None, feed))
    except Exception:  # whatever its numpy code raises
        return None


def by_folding(kind: Versioned, case: Case) -> list[Array] | None:
    """None where it is refused in our own words."""
    operands, attributes, count = case
    names = tuple(f"x{place}" if operand is not None else "" for place, operand in enumerate(operands))
    tensors = {n: Tensor.constant(n, v) for n, v in zip(names, operands, strict=True) if v is not None}
    outputs = tuple(f"y{place}" for place in range(count))
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in attributes.items()}
    node = Node(kind.op, names, outputs, tuples, kind.since)
    try:
        made = folded(node, {"": defs.onnx_opset_version()}, tensors)
    except CompileError as error:
        assert "its operands are constants" in str(error) and "\n" not in str(error)
        return None
    assert made is not None
    return [made[name] for name in outputs]


def assert_same(kind: Versioned, case: Case, got: list[Any], expected: list[Any]) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert np.asarray(ours).shape == np.asarray(theirs).shape, (kind, case)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype, (kind, case)
        np.testing.assert_allclose(
            np.asarray(ours, np.float64), np.asarray(theirs, np.float64), rtol=1e-4, atol=1e-5, err_msg=str(kind)
        )


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_constants_fold_to_what_onnxruntime_computes(kind: Versioned, seed: int) -> None:
    """Every operator at every version, whatever opset the model imports."""
    case = drawn(kind, seed)
    expected = by_onnxruntime(*single(kind, case))
    got = by_folding(kind, case)
    if expected is not None:
        assert got is not None
        assert_same(kind, case, got, expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_the_reference_evaluator_agrees_where_it_is_relied_on(kind: Versioned, seed: int) -> None:
    case = drawn(kind, seed)
    if deviates(kind.op, kind.since, case[1]):
        return
    model, feed = single(kind, case)
    expected, got = by_onnxruntime(model, feed), by_reference(model, feed)
    if expected is not None and got is not None:
        assert_same(kind, case, got, expected)


def test_nearly_all_of_them_are_compared() -> None:
    """A recipe that no runtime takes would test nothing."""
    compared = [kind for kind in KINDS if by_onnxruntime(*single(kind, drawn(kind, 4))) is not None]
    assert len(KINDS) >= 400 and len(compared) >= 0.95 * len(KINDS)


def constant(op: str, opset: int, operand: Array, **attributes: Any) -> Array:
    """What a node of one constant operand folds to in a model of that opset."""
    since = defs.get_schema(op, opset).since_version
    made = folded(Node(op, ("x",), ("y",), attributes, since), {"": opset}, {"x": Tensor.constant("x", operand)})
    assert made is not None
    return made["y"]


def test_softmax_before_version_13_flattens() -> None:
    values = np.random.RandomState(0).randn(2, 3, 4).astype(np.float32)
    assert constant("Softmax", 11, values).sum() == pytest.approx(2.0)
    assert constant("Softmax", 13, values).sum() == pytest.approx(6.0)


def test_lp_normalization_by_magnitudes() -> None:
    made = constant("LpNormalization", 13, np.array([[1.0, -3.0]], np.float32), p=1)
    np.testing.assert_allclose(made, [[0.25, -0.75]])


@pytest.mark.parametrize(
    ("opset", "axis", "block"), [(10, None, None), (13, 0, None), (13, 1, None), (21, 1, 2), (25, 0, 2), (28, 1, 3)]
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_weights_of_eight_bits(opset: int, axis: int | None, block: int | None, dtype: Any) -> None:
    """DequantizeLinear at every version: by tensor, by channel, by block."""
    r = np.random.RandomState(0)
    x = r.randint(0, 100, (4, 6)).astype(dtype)
    shape = [1 if axis is None or (block is None and a != axis) else x.shape[a] for a in range(2)]
    if axis is not None and block is not None:
        shape[axis] = x.shape[axis] // block
    scale, zero = r.uniform(0.01, 0.02, shape).astype(np.float32), r.randint(0, 9, shape).astype(dtype)
    expected = [np.repeat(part, block, axis) if block and axis is not None else part for part in (scale, zero)]
    given_as = (lambda part: part) if block else np.ravel if axis is not None else lambda part: part.reshape(())
    tensors = {n: Tensor.constant(n, v) for n, v in (("x", x), ("s", given_as(scale)), ("z", given_as(zero)))}
    attributes = {} if axis is None else {"axis": axis}
    attributes |= {} if block is None else {"block_size": block}
    since = defs.get_schema("DequantizeLinear", min(opset, defs.onnx_opset_version())).since_version
    node = Node("DequantizeLinear", ("x", "s", "z"), ("y",), attributes, since)
    made = folded(node, {"": opset}, tensors)
    assert made is not None
    np.testing.assert_allclose(made["y"], (x.astype(np.float64) - expected[1]) * expected[0], rtol=1e-5)


def test_what_nothing_computes_rightly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_model, "_session", lambda model, accuracy: None)
    x = np.ones((2, 3), np.float32)
    with pytest.raises(CompileError, match=r"'y' \(Hardmax\): its operands are constants .* version 11 of Hardmax"):
        constant("Hardmax", 11, x)
    with pytest.raises(CompileError, match=r"'y' \(Reshape\): its operands are constants \(float32 \[2, 3\], int64"):
        tensors = {"x": Tensor.constant("x", x), "s": Tensor.constant("s", np.array([4, 4]))}
        folded(Node("Reshape", ("x", "s"), ("y",), {}, 14), {"": 17}, tensors)
    np.testing.assert_allclose(constant("Softmax", 13, x), 1 / 3, rtol=1e-6)


def test_the_oracle_does_not_fall_back_on_what_deviates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the operator stands in a subgraph."""
    monkeypatch.setattr(float_model, "_session", lambda model, accuracy: None)
    model, feed = single(Versioned("Hardmax", 11), ([np.ones((2, 3), np.float32)], {}, 1))
    with pytest.raises(Unevaluable, match="version 11 of Hardmax"):
        FloatModel(model).evaluate(feed)
    inner = helper.make_graph(
        [helper.make_node("Hardmax", ["x0"], ["z"])], "inner", [], [helper.make_empty_tensor_value_info("z")]
    )
    branches = {"then_branch": inner, "else_branch": inner}
    model.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y0"], **branches))
    model.graph.input.append(helper.make_tensor_value_info("c", 9, []))
    with pytest.raises(Unevaluable, match="version 11 of Hardmax"):
        FloatModel(model).evaluate({**feed, "c": np.array(True)})


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16])
def test_products_and_equality_of_narrow_integers_are_onnxruntimes_too(kind: Any) -> None:
    """They wrap as the types do; the reference evaluator, far slower, says the same."""
    r = np.random.RandomState(0)
    a, b = (r.randint(0, 100, shape).astype(kind) for shape in ((3, 40), (40, 5)))
    constant = helper.make_tensor("b", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), b.shape, b.tobytes(), raw=True)
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["p"]),
        helper.make_node("MatMul", ["a", "b"], ["q"]),
        helper.make_node("Equal", ["p", "q"], ["same"]),
    ]
    ends = [helper.make_tensor_value_info("a", constant.data_type, a.shape)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in ("p", "same")]
    graph = helper.make_graph(nodes, "narrow", ends, outputs, [constant])
    model = FloatModel(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8))
    got = model.evaluate({"a": a})
    assert model.by_onnxruntime
    assert got["p"].dtype == kind
    np.testing.assert_array_equal(got["p"], a @ b)
    assert got["same"].all()


@pytest.mark.parametrize("opset", [7, 10])
def test_equality_of_reals_in_old_opsets_is_onnxruntimes_too(opset: int) -> None:
    ends = [helper.make_tensor_value_info(name, 1, (4,)) for name in ("a", "b")]
    shown = [helper.make_empty_tensor_value_info("y")]
    graph = helper.make_graph([helper.make_node("Equal", ["a", "b"], ["y"])], "equal", ends, shown)
    model = FloatModel(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))
    a, b = np.float32([1, 2, -0.0, np.inf]), np.float32([1, 2.5, 0.0, np.inf])
    np.testing.assert_array_equal(model.evaluate({"a": a, "b": b})["y"], a == b)
    assert model.by_onnxruntime


WEIGHTS_IN_INTEGERS = "w = DequantizeLinear(q, s) y = MatMul(x, w)"


def test_weights_in_integers_meet_what_the_model_says() -> None:
    """By default onnxruntime rounds what they are multiplied by to 8 bits; the circuit has what this leaves."""
    random = np.random.RandomState(0)
    q, x = random.randint(-127, 128, (6, 4)).astype(np.int8), random.normal(size=(40, 1, 6)).astype(np.float32)
    model = onnx_model("float[1,6] x) => (float[1,4] y)", WEIGHTS_IN_INTEGERS, {"q": q, "s": np.float32(0.01)})
    exact, oracle = x @ (0.01 * q), FloatModel(model)
    usual = oracle.at_its_fastest()
    assert usual is not None
    feeds = [{"x": one} for one in x]
    np.testing.assert_allclose(oracle.run_all(feeds)["y"], exact, atol=1e-5)
    off = np.abs(usual.run_all(feeds)["y"] - exact).max() / np.ptp(exact)
    made = quantized(model, {"x": x}, Options())
    error = np.abs(made.evaluate({"x": x.astype(np.float64)})["y"] - exact).max() / np.ptp(exact)
    assert error <= max(0.003 - off, LEAST_LEFT * 0.003) + 1e-6
    assert FloatModel(onnx_model("float[2] x) => (float[2] y)", "y = Relu(x)")).at_its_fastest() is None
    for kind, said in (("public", True), ("private", False)):
        strict = quantized(model, {"x": x}, Options(error_target=1e-4, table_bits=14, model=kind))
        assert any("8 bits, which alone is" in note for note in strict.facts.notes) == said


@pytest.mark.parametrize("order", [(1, 0), (0, 2, 1)])
def test_a_transposed_matrix_times_a_vector(order: tuple[int, ...]) -> None:
    """onnxruntime's optimizer makes another product of it."""
    x = np.random.RandomState(0).uniform(-1, 1, (2, 4, 8)[3 - len(order) :]).astype(np.float32)
    shape = ",".join(map(str, x.shape))
    body = f"t = Transpose<perm = [{','.join(map(str, order))}]>(x) y = MatMul(t, w)"
    weights = np.arange(4.0)
    model = onnx_model(f"float[{shape}] x) => (float[{','.join(map(str, x.transpose(order).shape[:-1]))}] y)", body)
    model.graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), "w"))
    np.testing.assert_allclose(FloatModel(model).run({"x": x})["y"], x.transpose(order) @ weights, rtol=1e-5)
