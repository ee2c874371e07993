"""Files in other programs' formats that somebody made on purpose: models, inputs, ceremonies; one line refuses each."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from plonnx.compiler import control_flow, importer
from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.importer import import_graph
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.kzg.ceremonies import import_srs
from plonnx.kzg.container import FileError
from plonnx.layout.inputs import InputError, read_arrays
from tests.compiler.small import onnx_model, saved


def archive(local: int = 0, central: int = 0, value: int = 0, damaged: bool = False) -> bytes:
    """An .npz of four numbers with another byte in both headers of its member, or damaged in the data."""
    stream = io.BytesIO()
    (np.savez_compressed if damaged else np.savez)(stream, x=np.arange(4.0))
    content = bytearray(stream.getvalue())
    if damaged:
        at = content.find(b"x.npy") + 40
        content[at : at + 4] = bytes(byte ^ 0xFF for byte in content[at : at + 4])
    else:
        content[content.find(b"PK\3\4") + local] = content[content.find(b"PK\1\2") + central] = value
    return bytes(content)


def array(header: bytes) -> bytes:
    """An .npy with this header."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64)


INPUTS = {
    "a field of a megabyte.csv": b"1" * 1_000_000 + b",2,3,4\n",
    "damaged.npz": archive(damaged=True),
    "encrypted.npz": archive(6, 8, 1),
    "compressed otherwise.npz": archive(8, 10, 99),
    "open brackets.npy": array(b"{'descr': '<f8', " + b"(" * 200),
}
SETUPS = {
    "a size without end": b'{"transcripts": [{"numG1Powers": Infinity, "powersOfTau": {}}]}',
    "too large a size": b'{"transcripts": [{"numG1Powers": 1e400, "powersOfTau": {}}]}',
    "a number for points": b'{"g2_monomial": 5, "g1_monomial": 5}',
    "an object for points": b'{"g2_monomial": {"a": 1, "b": 2}, "g1_monomial": {"a": 1}}',
    "null for points": b'{"g2_monomial": null, "g1_monomial": []}',
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(INPUTS[name])
    with pytest.raises(InputError, match=f"{name}: not a readable") as refused:
        read_arrays(tmp_path / name, ["x"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", SETUPS)
def test_a_ceremony_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "srs.json").write_bytes(SETUPS[name])
    with pytest.raises(FileError, match=r"srs\.json: ") as refused:
        import_srs(tmp_path / "srs.json")
    assert "\n" not in str(refused.value)


NESTED = """y = Loop(m, c, x) <body = outer (int64 i, bool go, float[1,4] a) => (bool on, float[1,4] b) {
    on = Identity(go)
    b = Loop(m, go, a) <body = inner (int64 j, bool keep, float[1,4] d) => (bool kept, float[1,4] e) {
        kept = Identity(keep)
        e = Add(d, x)
    }>
}>"""


def test_loops_in_loops_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4096 rounds of 4096 rounds would take hours, and are a file of 400 bytes."""
    monkeypatch.setattr(control_flow, "_MOST_BODIES", 20)
    data = [{"x": np.random.default_rng(1).uniform(-1, 1, (5, 1, 4))}]
    for rounds, refused in ((3, False), (5, True)):
        constants = {"m": np.array(rounds), "c": np.array(True)}
        path = saved(tmp_path, onnx_model("float[1,4] x) => (float[1,4] y)", NESTED, constants))
        if not refused:
            compile_model(path, data, Options(table_bits=8, error_target=0.5))
            continue
        with pytest.raises(CompileError, match=r"its loops run for more than 20 rounds altogether"):
            compile_model(path, data, Options(table_bits=8, error_target=0.5))


BODY = "<body = g (int64 i, bool go, float[1,4] a) => (bool on, float[1,4] b) { on = Identity(go) b = Add(a, x) }>"
SCAN = "body = g (float[4] a) => (float[4] b) { b = Relu(a) }>(x)"
NUMBERS = {
    "m": np.array(3),
    "c": np.array(True),
    "none": np.zeros(0, np.int64),
    "w": np.ones(1, np.float32),
    "z": np.array(0),
    "far": np.array([10**6, 10**6]),
    "tall": np.array([10**9, 4]),
    "wide": np.array([1 << 32, 1 << 32]),
    "long": np.array([10**5]),
    "end": np.array(1e12, np.float32),
    "one": np.array(1.0, np.float32),
    "zero": np.array(0.0, np.float32),
    "of": np.array(10**11),
    "ends": np.array([0.0, 1.0], np.float32),
    "pads": np.array([0, 0, 0, 10**10]),
}
LARGE = "more than 2\\^28 elements"
MODELS = {
    "a constant of 10^12": ("e = Expand(w, far) r = ReduceSum(e) y = Add(x, r)", LARGE),
    "an input to 10^9 rows": ("e = Expand(x, tall) y = ReduceSum(e)", LARGE),
    "zeros whose number wraps around": ("e = ConstantOfShape(wide) r = ReduceSum(e) y = Add(x, r)", LARGE),
    "a range of reals": ("e = Range(zero, end, one) r = ReduceSum(e) y = Add(x, r)", LARGE),
    "a deep one-hot": ("a = ArgMax(x) e = OneHot(a, of, ends) y = ReduceSum(e)", LARGE),
    "a wide border": ("e = Pad(x, pads) y = ReduceSum(e)", LARGE),
    "many parts": ("e = Expand(w, long) s = SplitToSequence(e) v = SequenceAt(s, z) y = Add(x, v)", "than 4096 parts"),
    "a matrix of three axes": (
        "u = Unsqueeze<axes = [0]>(x) e = EyeLike(u) y = Add(x, e)",
        "has 3 axes, where a matrix is due",
    ),
    "a number of rounds that is none": (f"y = Loop(none, c, x) {BODY}", "a constant that it asks for is empty"),
    "a body for one operand more": (f"y = Loop(m, c) {BODY}", "its body does not fit its operands"),
    "a scan of nothing": (f"y = Scan<num_scan_inputs = 0, {SCAN}", "it scans 0 operands, which it does not have"),
    "a scan of what it lacks": (f"y = Scan<num_scan_inputs = 2, {SCAN}", "it scans 2 operands, which it does not have"),
    "a scan of too many axes": (f"y = Scan<num_scan_inputs = 1, scan_input_axes = [0, 1], {SCAN}", "where 1 are due"),
    "a tensor for a sequence": ("y = SequenceAt(x, z)", "its operand is no sequence"),
    "a sequence of sequences": (
        "s = SequenceConstruct(x) t = SequenceConstruct(s) y = ConcatFromSequence<axis = 0>(t)",
        "the entries of its sequence are not all tensors",
    ),
    "a sequence a round": (
        "s = SequenceConstruct(x) y = Loop(m, c) <body = g (int64 i, bool go) => (bool on, float[1,4] b)"
        " { on = Identity(go) b = Identity(s) }>",
        "would hold sequences",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_small_model_that_asks_for_a_lot_or_fits_nothing(name: str) -> None:
    """Refused in one line, before memory is asked for."""
    body, said = MODELS[name]
    constants = {word: value for word, value in NUMBERS.items() if re.search(rf"\b{word}\b", body)}
    model = read_model(onnx_model("float[1,4] x) => (float y)", body, constants, 11 if "axes = [0]" in body else 17))
    with pytest.raises(CompileError, match=said) as refused:
        import_graph(model, {"x": (1, 4)})
    assert "\n" not in str(refused.value)


def test_what_loops_hold_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of all rounds, and the constants of their bodies."""
    model = onnx_model("float[1,4] x) => (float y)", f"y = Loop(m, c, x) {BODY}", {k: NUMBERS[k] for k in "mc"})
    monkeypatch.setattr(control_flow, "_MOST_NODES", 5)
    with pytest.raises(CompileError, match="more than 5 nodes in all their rounds"):
        import_graph(read_model(model), {"x": (1, 4)})
    monkeypatch.undo()
    loop = model.graph.node[0].attribute[0].g
    loop.initializer.append(numpy_helper.from_array(np.ones(100, np.float32), "more"))
    monkeypatch.setattr(importer, "MOST_ELEMENTS", 250)
    with pytest.raises(CompileError, match="what its constants are folded to has more than"):
        import_graph(read_model(model), {"x": (1, 4)})


def test_functions_that_call_others_twice() -> None:
    """2^40 nodes in 4 KB."""
    model = onnx_model("float[1,4] x) => (float y)", "y = local.f0(x)")
    model.opset_import.append(helper.make_opsetid("local", 1))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    for i in range(40):
        calls = [helper.make_node(f"f{i + 1}", [a], [b], domain="local") for a, b in (("a", "t"), ("t", "b"))]
        nodes = calls if i < 39 else [helper.make_node("Relu", ["a"], ["b"])]
        model.functions.append(helper.make_function("local", f"f{i}", ["a"], ["b"], nodes, imports))
    with pytest.raises(CompileError, match="its local functions come to more than 262144 nodes"):
        read_model(model)


def test_a_name_that_a_loop_would_give() -> None:
    """A tensor of the file is called as a fresh one would be: both keep their values."""
    constants = {"m": np.array(2), "c": np.array(True)}
    body = BODY.replace("b = Add", "t = Add").replace(" }>", " b = Neg(t) }>")
    model = onnx_model("float[1,4] x) => (float y)", f"l = Loop(m, c, x) {body} k = Mul(x, x) y = Add(l, k)", constants)
    rounds = import_graph(read_model(model), {"x": (1, 4)})
    fresh = rounds.nodes[1].outputs[0]
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [fresh if name == "k" else name for name in names]
    graph = import_graph(read_model(model), {"x": (1, 4)})
    made = [name for node in graph.nodes for name in node.outputs]
    assert len(set(made)) == len(made) == len(rounds.nodes)


def test_the_external_data_of_a_function_lie_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the folder that the command runs in."""
    model = onnx_model("float[1,4] x) => (float y)", "y = local.f(x)")
    model.opset_import.append(helper.make_opsetid("local", 1))
    tensor = helper.make_tensor("t", 1, [4], [0.0] * 4)
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["a", "w"], ["b"])]
    model.functions.append(helper.make_function("local", "f", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)]))
    (tmp_path / "here").mkdir()
    (tmp_path / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "here" / "weights.bin").write_bytes(np.full(4, 9, np.float32).tobytes())
    monkeypatch.chdir(tmp_path / "here")
    graph = import_graph(read_model(saved(tmp_path, model)), {"x": (1, 4)})
    (held,) = (value for node in graph.nodes for name in node.inputs if (value := graph.value(name)) is not None)
    np.testing.assert_array_equal(held, np.arange(4))


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ('y = ScatterElements<reduction = "other">(x, s, x)', {"s": np.zeros((1, 4), np.int64)}),
        ("a = ArgMax<axis = 1>(x) y = GatherElements<axis = 4611686018427387904>(x, a)", {}),
        ("y = Resize(x, , s)", {"s": np.array([1.0, -np.inf], np.float32)}),
        ("y = Resize(x, , s)", {"s": np.array([[1.0, 1.5]], np.float32)}),
        ("y = ReverseSequence<time_axis = 1, batch_axis = 0>(x, s)", {"s": np.array([1 << 62])}),
        ("y = com.microsoft.Attention<num_heads = 0>(u, w, v)", {"w": np.ones((4, 12)), "v": np.ones(12)}),
        ("y = ai.onnx.ml.FeatureVectorizer<inputdimensions = [3, -1]>(x, x)", {}),
        (
            "y = LSTM<hidden_size = 300>(u, w, r)",
            {"w": np.ones((1, 4, 4), np.float32), "r": np.ones((1, 4, 1), np.float32)},
        ),
        (
            "i = Reshape(x, s) y = RoiAlign<sampling_ratio = 1099511627776>(i, x, z)",
            {"s": np.array([1, 1, 2, 2]), "z": np.zeros(1, np.int64)},
        ),
        (
            "i = Reshape(x, s) y = RoiAlign<sampling_ratio = 1099511627776>(i, r, z)",
            {"s": np.array([1, 1, 2, 2]), "z": np.zeros(1, np.int64), "r": np.ones((1, 4), np.float32)},
        ),
        (
            "i = Reshape(x, s) y = RoiAlign(i, r, z)",
            {"s": np.array([1, 1, 2, 2]), "z": np.zeros(1, np.int64), "r": np.array([[0, 0, 1e10, 1e10]], np.float32)},
        ),
        (
            "i = RoiAlign<spatial_scale = 1e9>(c, r, z) y = Add(x, i)",
            {
                "c": np.ones((1, 1, 2, 2), np.float32),
                "z": np.zeros(1, np.int64),
                "r": np.array([[0, 0, 64, 64]], np.float32),
            },
        ),
    ],
)
def test_attributes_that_fit_nothing_name_their_node(body: str, given: dict[str, np.ndarray]) -> None:
    """Nothing of Python's or numpy's comes out, wherever it is noticed."""
    body = f"u = Unsqueeze(x, front) {body}" if "(u" in body else body
    model = onnx_model("float[1,4] x) => (float y)", body, {"front": np.array([0]), **given})
    x = np.random.default_rng(1).uniform(0.5, 1, (20, 1, 4)).astype(np.float32)
    with pytest.raises(CompileError, match=r"node '\w+' \([\w.]+\): ") as refused:
        quantized(model, {"x": x}, Options(table_bits=8, error_target=0.5))
    assert "\n" not in str(refused.value)
