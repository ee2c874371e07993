"""Circuits of several samples: each gets what it gets alone, also from a file that is written for one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

from plonnx.compiler.batches import batches, for_batches, treats_alike
from plonnx.compiler.calibration_data import read_data
from plonnx.compiler.compile import float_outputs, quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from tests.compiler.small import onnx_model

SIZE = 3
RNG = np.random.default_rng(7)


def drawn(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def text(signature: str, body: str, constants: dict[str, Any]) -> onnx.ModelProto:
    return onnx_model(signature, body, constants, 17)


def integers(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def convolution() -> onnx.ModelProto:
    """Convolution, a constant shape with a leading 1, a dense layer."""
    constants = {"k": drawn(2, 1, 3, 3), "s": integers(1, 8), "w": drawn(8, 3)}
    body = "a = Conv(x, k) f = Reshape(a, s) y = MatMul(f, w)"
    return text("float[1,1,4,4] x) => (float[1,3] y)", body, constants)


def attention() -> onnx.ModelProto:
    """As exporters write it for one sample: rows without a batch, heads by constant shapes; a class token."""
    constants = {
        "token": drawn(1, 1, 4),
        "rows": integers(4, 4),
        "heads": integers(1, 4, 2, 2),
        "back": integers(1, 4, -1),
        "w": drawn(4, 4),
    }
    body = """c = Concat<axis = 1>(token, x) r = Reshape(c, rows) q = MatMul(r, w) h = Reshape(q, heads)
        t = Transpose<perm = [0, 2, 1, 3]>(h) u = Transpose<perm = [0, 2, 3, 1]>(h) s = MatMul(t, u)
        p = Softmax<axis = -1>(s) o = MatMul(p, t) b = Transpose<perm = [0, 2, 1, 3]>(o) y = Reshape(b, back)"""
    return text("float[1,3,4] x) => (float[1,4,4] y)", body, constants)


def recurrence() -> onnx.ModelProto:
    """Time first, an initial state of zeros, and its constant shape behind it."""
    constants = {
        "w": drawn(1, 8, 2),
        "r": drawn(1, 8, 2),
        "b": drawn(1, 16),
        "h": np.zeros((1, 1, 2), np.float32),
        "s": integers(1, 10),
    }
    body = """t = Transpose<perm = [1, 0, 2]>(x) a, b1, c = LSTM<hidden_size = 2>(t, w, r, b, , h, h)
        m = Squeeze(a, one) f = Transpose<perm = [1, 0, 2]>(m) y = Reshape(f, s)"""
    return text("float[1,5,2] x) => (float[1,10] y)", body, constants | {"one": integers(1)})


def resized() -> onnx.ModelProto:
    constants = {"sizes": integers(1, 1, 4, 4)}
    body = 'r = Relu(x) y = Resize<mode = "nearest">(r, , , sizes)'
    return text("float[1,1,2,2] x) => (float[1,1,4,4] y)", body, constants)


def time_first() -> onnx.ModelProto:
    """A constant shape that starts with the time, the batch behind it."""
    constants = {"s": integers(3, 1, 4), "w": drawn(4, 2)}
    body = "t = Transpose<perm = [1, 0, 2, 3]>(x) f = Reshape(t, s) m = MatMul(f, w) y = Transpose<perm = [1, 0, 2]>(m)"
    return text("float[1,3,2,2] x) => (float[1,3,2] y)", body, constants)


def packed_attention() -> onnx.ModelProto:
    """As PyTorch writes nn.MultiheadAttention: time first, the rows of a layer are steps times samples."""
    constants = {"w": drawn(4, 4), "rows": integers(3, 4), "three": integers(3, 1, 4), "heads": integers(3, 2, 2)}
    body = """t = Transpose<perm = [1, 0, 2]>(x) r = Reshape(t, rows) q = MatMul(r, w) n = Relu(q) u = Reshape(n, three)
        h = Reshape(u, heads) a = Transpose<perm = [1, 0, 2]>(h) b = Transpose<perm = [1, 2, 0]>(h) s = MatMul(a, b)
        p = Softmax<axis = -1>(s) o = MatMul(p, a) k = Transpose<perm = [1, 0, 2]>(o) l = Reshape(k, rows)
        m = MatMul(l, w) v = Reshape(m, three) y = Transpose<perm = [1, 0, 2]>(v)"""
    return text("float[1,3,4] x) => (float[1,3,4] y)", body, constants)


@pytest.mark.parametrize("made", [convolution, attention, packed_attention, recurrence, resized, time_first])
def test_each_sample_gets_what_it_gets_alone(made: Any) -> None:
    """A file for one sample, widened, beside the file as it is; and the circuit of the batch beside both."""
    proto = made()
    model = read_model(proto)
    (declared,) = model.inputs
    assert declared.dims is not None
    shape = (SIZE, *(int(dim) for dim in declared.dims[1:] if isinstance(dim, int)))
    widened = for_batches(model, {"x": shape})
    samples = drawn(*shape)
    got = FloatModel(widened.fixed({"x": shape})).run({"x": samples})["y"]
    single = FloatModel(model.fixed({"x": (1, *shape[1:])}))
    wanted = np.concatenate([single.run({"x": sample[None]})["y"] for sample in samples])
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert treats_alike(model, widened, {"x": shape}, {"x": samples.astype(np.float64)})

    data = {"x": drawn(40, *shape[1:])}
    circuit = quantized(proto, data, Options(shapes={"x": shape}))
    assert circuit.facts.inputs[0].shape == shape and circuit.facts.outputs[0].shape == got.shape
    assert circuit.report.samples == 40 and circuit.report.reached
    theirs = float_outputs(proto, {"x": samples}, circuit.facts.inputs, ["y"])["y"]
    np.testing.assert_allclose(theirs[0], wanted, rtol=1e-4, atol=1e-5)


def test_weights_stand_once() -> None:
    """A circuit of 16 samples has as many weights in its layers as one of a single sample, whatever the samples."""

    def weights(size: int) -> int:
        made = quantized(convolution(), {"x": drawn(64, 1, 4, 4)}, Options(shapes={"x": (size, 1, 4, 4)}))
        return sum(np.asarray(block.weights).size for block in made.builder.blocks if hasattr(block, "weights"))

    assert weights(16) == weights(1) > 0


def test_a_graph_that_mixes_samples_is_refused() -> None:
    """A mean over the batch, and a softmax over it, are no functions of one sample."""
    for body in ("m = ReduceMean<axes = [0], keepdims = 1>(x) y = Add(x, m)", "y = Softmax<axis = 0>(x)"):
        proto = text("float[1,4] x) => (float[1,4] y)", body, {})
        said = "shapes={'x': (3,4)}: the graph of model is for one sample alone: in a batch its outputs are others"
        with pytest.raises(CompileError, match=re.escape(said)):
            quantized(proto, {"x": drawn(8, 4)}, Options(shapes={"x": (SIZE, 4)}))


def test_the_only_sample_does_not_hide_that_samples_are_mixed() -> None:
    """It would stand in all places of the batch; moved, it does not."""
    proto = text("float[1,4] x) => (float[1,4] y)", "m = ReduceMax<axes = [0], keepdims = 1>(x) y = Mul(x, m)", {})
    with pytest.raises(CompileError, match="for one sample alone"):
        quantized(proto, {"x": drawn(1, 4)}, Options(shapes={"x": (SIZE, 4)}))


def test_a_graph_that_takes_no_batch_names_the_node() -> None:
    proto = text("float[1,4] x) => (float[4] y)", "r = Relu(x) y = Squeeze(r, axes)", {"axes": integers(0)})
    proto.graph.node[1].name = "without batch"
    with pytest.raises(
        CompileError, match=r"for one sample alone, node 'without batch' \(Squeeze\): .*dynamic batch"
    ) as e:
        quantized(proto, {"x": drawn(8, 4)}, Options(shapes={"x": (SIZE, 4)}))
    assert "\n" not in str(e.value)


def test_only_a_leading_one_may_grow() -> None:
    model = read_model(text("float[1,2,4] x) => (float[1,2,4] y)", "y = Relu(x)", {}))
    assert fix_shapes(model, shapes={"x": (5, 2, 4)}) == {"x": (5, 2, 4)}
    for shape in ((1, 3, 4), (5, 2, 3), (5, 2), (0, 2, 4)):
        with pytest.raises(CompileError, match=re.escape("declares [1, 2, 4]")):
            fix_shapes(model, shapes={"x": shape})
    vector = read_model(text("float[1] x) => (float[1] y)", "y = Relu(x)", {}))
    with pytest.raises(CompileError, match="declares"):
        fix_shapes(vector, shapes={"x": (2,)})


def test_one_sample_leaves_a_file_as_it_is() -> None:
    model = read_model(convolution())
    assert for_batches(model, {"x": (1, 1, 4, 4)}) is model


def test_batches_begin_at_every_sample() -> None:
    """So there are as many as samples, up to 128, and each entry of a batch has seen all of them."""
    model = read_model(text("float[n,2] x) => (float[n,2] y)", "y = Relu(x)", {}))
    values = np.arange(20.0).reshape(10, 2)
    made = batches(model, {"x": values}, {"x": (4, 2)}, "data")
    assert made is not None and made["x"].shape == (10, 4, 2)
    for place in range(4):
        np.testing.assert_array_equal(np.sort(made["x"][:, place, 0]), values[:, 0])
    many = batches(model, {"x": np.zeros((1000, 2))}, {"x": (4, 2)}, "data")
    assert many is not None and len(many["x"]) == 250
    some = batches(model, {"x": np.zeros((200, 2))}, {"x": (4, 2)}, "data")
    assert some is not None and len(some["x"]) == 128
    assert batches(model, {"x": np.zeros((5, 4, 2))}, {"x": (4, 2)}, "data") is None


def test_rows_that_are_not_alike_are_no_batch() -> None:
    """A symbolic first axis may be a sequence: then data are what they were, and random samples are added to a few."""
    model = read_model(text("float[n,2] x) => (float[n,2] y)", "y = CumSum(x, axis)", {"axis": np.array(0)}))
    _, _, samples = read_data(model, [{"x": drawn(8, 2)}], Options(dims={"n": 4}))
    assert samples["x"].shape == (2, 4, 2)
    alike = read_model(text("float[n,2] x) => (float[n,2] y)", "y = CumSum(x, axis)", {"axis": np.array(1)}))
    _, _, samples = read_data(alike, [{"x": drawn(8, 2)}], Options(dims={"n": 4}))
    assert samples["x"].shape == (8, 4, 2)


def test_inputs_without_a_batch_are_shared() -> None:
    proto = text("float[1,4] x, float[4] g) => (float[1,4] y)", "y = Mul(x, g)", {})
    data = {"x": drawn(20, 4), "g": drawn(20, 4)}
    made = quantized(proto, data, Options(shapes={"x": (SIZE, 4)}))
    assert {port.name: port.shape for port in made.facts.inputs} == {"x": (SIZE, 4), "g": (4,)}
