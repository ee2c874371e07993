"""Importing: what is checked, what is inferred afresh, and one clear line for everything that is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import defs, helper

from plonnx.compiler.graph import CompileError
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import OLDEST_OPSET, read_model
from plonnx.compiler.passes import optimize
from tests.compiler.small import checked, graph_of, onnx_model, operators, saved

NEWEST = defs.onnx_opset_version()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x09", b"\x00" * 64])
def test_not_an_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(CompileError, match=r"model\.onnx: not an ONNX file"):
        read_model(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"none\.onnx: cannot be read"):
        read_model(tmp_path / "none.onnx")


def test_external_data(tmp_path: Path) -> None:
    model = onnx_model("float[1,3] x) => (float[1,2] y)", "y = MatMul(x, w)", {"w": np.eye(3, 2)})
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    graph = import_graph(read_model(path), {"x": (1, 3)})
    np.testing.assert_array_equal(graph.value("w"), np.eye(3, 2))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CompileError, match=r"model\.onnx: the external data of tensor 'w'.*'weights\.bin'"):
        read_model(path)


def _external(folder: Path, places: dict[str, dict[str, str | int]]) -> Path:
    """A model of two products whose weights, 4 x 3 and 3 x 2, are described so and lie in no file yet."""
    weights = {"a": np.zeros((4, 3), np.float32), "b": np.zeros((3, 2), np.float32)}
    model = onnx_model("float[1,4] x) => (float[1,2] y)", "h = MatMul(x, a) y = MatMul(h, b)", weights)
    for tensor in model.graph.initializer:
        for field in ("float_data", "raw_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in places[tensor.name].items():
            tensor.external_data.add(key=key, value=str(value))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def test_what_one_message_does_not_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Files with holes: 2.2 GB of weights, by what the model says of them; a model of 2.2 GB."""
    path = _external(tmp_path, {name: {"location": name, "length": 1_100_000_000} for name in ("a", "b")})
    with pytest.raises(CompileError, match=r"model\.onnx: its constants take more than 2 GB, .* float16"):
        read_model(path)
    with path.open("r+b") as file:
        file.truncate(2_200_000_000)
    with pytest.raises(CompileError, match=r"model\.onnx: its constants take more than 2 GB"):
        read_model(path)
    path.unlink()


FIRST, SECOND = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize(
    "second", [{"location": "q", "length": 24}, {"location": "q"}, {"location": "p", "offset": 112}]
)
def test_external_data_of_several_files_and_offsets(tmp_path: Path, second: dict[str, str | int]) -> None:
    """Without a length a tensor takes what its shape says, though the file goes on behind it."""
    path = _external(tmp_path, {"a": {"location": "p", "offset": 64, "length": 48}, "b": second})
    (tmp_path / "p").write_bytes(b"\x01" * 64 + FIRST.tobytes() + SECOND.tobytes() + b"behind it")
    (tmp_path / "q").write_bytes(SECOND.tobytes() + b"behind it")
    graph = import_graph(read_model(path), {"x": (1, 4)})
    np.testing.assert_array_equal(graph.value("a"), FIRST)
    np.testing.assert_array_equal(graph.value("b"), SECOND)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"location": "p", "offset": 0, "length": 48}, "'p'; the file is cut off: it has 20 bytes, 48 are needed"),
        ({"location": "q", "offset": 4, "length": 48}, "'q'; the file is cut off: it has 24 bytes, 52 are needed"),
        ({"location": "q", "offset": -4, "length": 48}, "'q'; the file belongs beside the model"),
        ({"location": "q", "offset": "x", "length": 48}, "'q'; the file belongs beside the model"),
        ({"location": "r", "offset": 0, "length": 48}, "'r'; the file belongs beside the model"),
        ({"location": "../p", "offset": 0, "length": 20}, "'../p'; the file belongs beside the model"),
        ({"location": "q", "offset": 0, "length": 20}, "raw_data size"),
        ({"location": "p"}, "raw_data size"),
    ],
)
def test_external_data_that_is_missing_or_cut_off(tmp_path: Path, first: dict[str, str | int], said: str) -> None:
    path = _external(tmp_path, {"a": first, "b": {"location": "q", "length": 24}})
    (tmp_path / "p").write_bytes(FIRST.tobytes()[:20])
    (tmp_path / "q").write_bytes(SECOND.tobytes())
    with pytest.raises(CompileError, match=f"model.onnx: .*{re.escape(said)}") as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, NEWEST + 1])
def test_opset_out_of_range(tmp_path: Path, opset: int) -> None:
    with pytest.raises(CompileError, match=f"opset {opset} is out of range; supported are 7 to {NEWEST}"):
        checked(tmp_path, "float[1,3] x) => (float[1,3] y)", "y = Relu(x)", opset=opset)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST + 1))
def test_every_opset_in_range(tmp_path: Path, opset: int) -> None:
    weights = {"w": np.ones((3, 2)), "b": np.ones(2)}
    graph = graph_of(
        tmp_path,
        "float[1,3] x) => (float[2,1] y)",
        "a = Gemm(x, w, b) r = Relu(a) f = Flatten(r) t = Transpose(f) d = Dropout(t) c = Add(d, b1) y = Identity(c)",
        {**weights, "b1": np.ones(1)},
        opset,
    )
    assert graph.tensors["y"].shape == (2, 1)
    assert operators(optimize(graph)) == ["Gemm", "Relu", "Transpose", "Add"]


def test_domains_that_no_node_uses_do_not_matter(tmp_path: Path) -> None:
    model = onnx_model("float[1,3] x) => (float[1,3] y)", "y = Relu(x)")
    model.opset_import.append(helper.make_opsetid("com.example", 99))
    assert read_model(saved(tmp_path, model)).opsets == {"": 17}


def test_operator_of_another_domain_is_named(tmp_path: Path) -> None:
    model = onnx_model("float[1,3] x) => (float[1,3] y)", "y = Relu(x)")
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.node[0].domain = "com.example"
    with pytest.raises(CompileError, match=r"node 'y' \(com\.example\.Relu\): operator not supported"):
        import_graph(read_model(saved(tmp_path, model)), {"x": (1, 3)})


def test_unsupported_operator_names_node_operator_and_where_the_supported_are_listed(tmp_path: Path) -> None:
    model = onnx_model("float[3,3] x) => (bool y)", "y = OptionalHasElement(x)", None, 18)
    model.graph.node[0].name = "something"
    with pytest.raises(CompileError, match=r"model\.onnx: node 'something' \(OptionalHasElement\): .*plonnx operators"):
        import_graph(read_model(saved(tmp_path, model)), {"x": (3, 3)})


def test_declared_shapes_are_inferred_afresh(tmp_path: Path) -> None:
    model = onnx_model("float[N,3] x) => (float[7,7] y)", "a = Relu(x) y = Flatten(a)")
    model.graph.value_info.append(helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [9, 9]))
    graph = import_graph(read_model(saved(tmp_path, model)), {"x": (1, 3)})
    assert graph.tensors["a"].shape == graph.tensors["y"].shape == (1, 3)


def test_initializers_listed_as_inputs_are_not_inputs(tmp_path: Path) -> None:
    signature = "float[1,3] x, float[3,2] w) => (float[1,2] y)"
    graph = graph_of(tmp_path, signature, "y = MatMul(x, w)", {"w": np.ones((3, 2))})
    assert graph.inputs == ("x",)


def test_shapes_that_depend_on_folded_constants(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        "float[1,4,3] x) => (float[A,B] y)",
        "s = Shape(x) i = Constant<value = int64[1] {0}>() n = Gather(s, i) m = Constant<value = int64[1] {-1}>()"
        " t = Concat<axis = 0>(n, m) y = Reshape(x, t)",
    )
    assert operators(graph) == ["Reshape"]
    assert graph.tensors["y"].shape == (1, 12)


def test_constants_of_an_old_opset_fold(tmp_path: Path) -> None:
    body = "c = Constant<value = float[2] {1.0, 2.0}>() u = Unsqueeze<axes = [0]>(c) y = Add(x, u)"
    graph = graph_of(tmp_path, "float[1,2] x) => (float[1,2] y)", body, opset=9)
    assert operators(graph) == ["Add"]


def test_a_constant_output_is_shown(tmp_path: Path) -> None:
    body = "c = Constant<value = float[2] {1.0, 2.0}>() y = Relu(c) z = Relu(x)"
    graph = graph_of(tmp_path, "float[1,2] x) => (float[2] y, float[1,2] z)", body)
    assert dict(graph.outputs)["y"] == "y"
    np.testing.assert_array_equal(graph.value("y"), [1.0, 2.0])


def test_a_model_of_constant_outputs_alone(tmp_path: Path) -> None:
    body = "c = Constant<value = float[2] {1.0, 2.0}>() y = Relu(c)"
    with pytest.raises(CompileError, match="nothing to prove, since no output depends on the inputs: 'y'"):
        graph_of(tmp_path, "float[1,2] x) => (float[2] y)", body)


def test_shape_that_depends_on_values(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"the shape of 'y' depends on values"):
        graph_of(tmp_path, "float[4] x, int64[2] s) => (float[A,B] y)", "y = Reshape(x, s)")


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "local": 1]>
    agraph (float[1,3] x) => (float[1,3] y) { y = local.twice(x) }
    <domain: "local", opset_import: ["": 17]> twice (a) => (b) { r = Relu(a) b = Add(r, r) }"""
    path = saved(tmp_path, onnx.parser.parse_model(text))
    assert operators(import_graph(read_model(path), {"x": (1, 3)})) == ["Relu", "Add"]


def test_weights_of_the_oldest_models_need_not_be_inputs(tmp_path: Path) -> None:
    model = onnx_model("float[1,2] x) => (float[1,2] y)", "y = Gemm(x, w, b)", {"w": np.eye(2), "b": np.ones(2)}, 7)
    model.ir_version = 3
    assert operators(import_graph(read_model(saved(tmp_path, model)), {"x": (1, 2)})) == ["Gemm"]


def shapes_of(folder: Path, declared: str, **given: object) -> tuple[int, ...]:
    """What fix_shapes makes of one input x with these declared dimensions."""
    model = checked(folder, f"float[{declared}] x) => (float y)", "y = ReduceSum<keepdims = 0>(x)")
    return fix_shapes(model, **given)["x"]


def test_leading_batch_is_one(tmp_path: Path) -> None:
    assert shapes_of(tmp_path, "batch, 3") == (1, 3)
    assert shapes_of(tmp_path, "batch, 3", data={"x": (50, 3)}) == (1, 3)
    assert shapes_of(tmp_path, "batch, 3", dims={"batch": 4}) == (4, 3)
    assert shapes_of(tmp_path, "batch, 3", shapes={"x": [5, 3]}) == (5, 3)


def test_other_dimensions_come_from_the_data(tmp_path: Path) -> None:
    assert shapes_of(tmp_path, "batch, time, 3", data={"x": (1, 7, 3)}) == (1, 7, 3)
    assert shapes_of(tmp_path, "batch, time, 3", data={"x": (20, 1, 7, 3)}) == (1, 7, 3)
    assert shapes_of(tmp_path, "batch, time, 3", data={"x": (21,)}) == (1, 7, 3)
    assert shapes_of(tmp_path, "batch, ?, 3", data={"x": (7, 3)}) == (1, 7, 3)
    assert shapes_of(tmp_path, "length", data={"x": (7,)}) == (7,)


@pytest.mark.parametrize(
    ("dims", "said"), [("batch, time, 3", "dims={'time': ..}"), ("batch, ?, 3", "shapes={'x': (1,1,3)}")]
)
def test_dimension_that_nothing_fixes(tmp_path: Path, dims: str, said: str) -> None:
    with pytest.raises(CompileError, match=re.escape(f"of input 'x' is dynamic; fix it with {said}")):
        shapes_of(tmp_path, dims)


def test_flags_that_fit_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"dims=\{'time': \.\.\}: .* no such name; it has batch"):
        shapes_of(tmp_path, "batch, 3", dims={"time": 2})
    with pytest.raises(CompileError, match=r"shapes=\{'z': .*it has x"):
        shapes_of(tmp_path, "batch, 3", shapes={"z": [1, 3]})
    with pytest.raises(CompileError, match=r"shapes=\{'x': \(1,4\)\}: .* declares \[batch, 3\]"):
        shapes_of(tmp_path, "batch, 3", shapes={"x": [1, 4]})
    with pytest.raises(CompileError, match=r"dims=\{'batch': 0\}: a dimension is at least 1"):
        shapes_of(tmp_path, "batch, 3", dims={"batch": 0})


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "\u202egpj", "a\u2028b", "\x00", "x" * 5000])
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, name: str) -> None:
    """They would stand in files, which nobody could read again, on terminals and in contracts."""
    for place in ("tensor", "input", "output", "graph"):
        model = onnx_model("float[1,3] x) => (float[1,3] y)", "r = Relu(x) y = Neg(r)", {})
        if place == "graph":
            model.graph.name = name
        elif place == "tensor":
            model.graph.node[0].output[0] = model.graph.node[1].input[0] = name
        elif place == "input":
            model.graph.input[0].name = model.graph.node[0].input[0] = name
        else:
            model.graph.output[0].name = model.graph.node[1].output[0] = name
        with pytest.raises(CompileError, match=r"model\.onnx: the name '.*' is too long or holds unprintable"):
            read_model(saved(tmp_path, model))


def test_names_of_other_scripts_are_fine(tmp_path: Path) -> None:
    model = onnx_model("float[1,3] x) => (float[1,3] y)", "y = Relu(x)", {})
    model.graph.input[0].name = model.graph.node[0].input[0] = "größe/出力 0:y"
    assert read_model(saved(tmp_path, model)).inputs[0].name == "größe/出力 0:y"
