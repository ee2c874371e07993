"""Quantized layers of com.microsoft against onnxruntime, and weights that are packed into bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops.quantized_networks import unpacked
from plonnx.compiler.options import Options
from tests.compiler.small import onnx_model

R = np.random.default_rng(11)
BYTE = np.float32(0.02)


def bytes_of(*shape: int) -> np.ndarray[Any, Any]:
    return R.integers(0, 256, shape).astype(np.uint8)


def whole_of(*shape: int) -> np.ndarray[Any, Any]:
    return R.integers(-127, 128, shape).astype(np.int8)


def scales_of(*shape: int) -> np.ndarray[Any, Any]:
    return R.uniform(0.002, 0.006, shape).astype(np.float32)


LSTM = {
    "w": whole_of(1, 5, 24),
    "r": whole_of(1, 6, 24),
    "b": R.normal(size=(1, 48)) * 0.1,
    "s": scales_of(1),
    "z": np.zeros(1, np.int8),
    "w2": whole_of(2, 5, 24),
    "r2": whole_of(2, 6, 24),
    "s2": scales_of(2, 24),
    "z2": np.zeros((2, 24), np.int8),
    "wu": bytes_of(1, 5, 24),
    "n": np.zeros((1, 1, 6)),
    "p": R.normal(size=(1, 1, 6)),
    "ru": bytes_of(1, 6, 24),
    "zu": np.full(1, 128, np.uint8),
}
ATTENTION = {
    "w": whole_of(8, 24),
    "sw": np.float32(0.004),
    "zw": np.int8(0),
    "ws": scales_of(24),
    "wz": np.zeros(24, np.int8),
    "b": R.normal(size=24) * 0.1,
    "sx": np.float32(0.008),
    "zx": np.uint8(127),
    "m": np.array([3, 2], np.int32),
}
EMBEDDINGS = {
    "w": bytes_of(9, 8),
    "p": bytes_of(5, 8),
    "t": bytes_of(2, 8),
    "g": bytes_of(8),
    "o": bytes_of(8),
    "s": np.float32(0.01),
    "z": np.uint8(100),
}
FEW = {
    "q4": bytes_of(5, 2, 8),
    "q2": bytes_of(5, 2, 4),
    "q8": bytes_of(5, 2, 16),
    "s4": scales_of(5, 2) * 10,
    "s8": scales_of(5, 2),
    "z4": bytes_of(5, 1),
    "zf": R.uniform(5, 9, (5, 2)).astype(np.float32),
    "c": R.normal(size=5),
    "b4": bytes_of(60),
    "a4": np.abs(R.normal(size=8)),
    "t4": bytes_of(7, 16),
    "t8": bytes_of(7, 32),
    "ts": scales_of(7, 2) * 10,
    "tz": bytes_of(7, 1),
}
MATRIX, IDS = "float[2,24] x", "int64[2,3] i"
NBITS = "MatMulNBits<K = 24, N = 5, block_size = 16"
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("float[3,1,5] x", "y, h, c = DynamicQuantizeLSTM<hidden_size = 6>(x, w, r, b, , , , , s, z, s, z)", LSTM),
    ("float[3,1,5] x", "y, h, c = DynamicQuantizeLSTM<hidden_size = 6>(x, w, r, b, , n, n, , s, z, s, z)", LSTM),
    ("float[3,1,5] x", "y, h, c = DynamicQuantizeLSTM<hidden_size = 6>(x, w, r, b, , p, n, , s, z, s, z)", LSTM),
    ("float[3,1,5] x", "y, h, c = DynamicQuantizeLSTM<hidden_size = 6>(x, wu, ru, b, , , , , s, zu, s, zu)", LSTM),
    (
        "float[3,1,5] x, float[2,1,6] h0, float[2,1,6] c0",
        'y, h, c = DynamicQuantizeLSTM<hidden_size = 6, direction = "bidirectional">'
        "(x, w2, r2, , , h0, c0, , s2, z2, s2, z2)",
        LSTM,
    ),
    ("uint8[2,3,8] x", "y = QAttention<num_heads = 2>(x, w, b, sx, sw, , zx, zw)", ATTENTION),
    ("uint8[2,3,8] x", "y = QAttention<num_heads = 2, unidirectional = 1>(x, w, b, sx, ws, , zx, wz)", ATTENTION),
    ("uint8[2,3,8] x", "y = QAttention<num_heads = 2>(x, w, b, sx, sw, m, zx, zw)", ATTENTION),
    (
        "int32[2,3] i, int32[2,3] j",
        "y, m = QEmbedLayerNormalization<epsilon = 0.01>(i, j, w, p, t, g, o, , s, s, s, s, s, z, z, z, z, z)",
        EMBEDDINGS,
    ),
    (MATRIX, f"y = {NBITS}>(x, q4, s4)", FEW),
    (MATRIX, f"y = {NBITS}, bits = 4>(x, q4, s4, z4, , c)", FEW),
    (MATRIX, f"y = {NBITS}, bits = 4>(x, q4, s4, zf)", FEW),
    (MATRIX, f"y = {NBITS}, bits = 8>(x, q8, s8)", FEW),
    (MATRIX, f"y = {NBITS}, bits = 2>(x, q2, s4)", FEW),
    (MATRIX, "y = MatMulBnb4<K = 24, N = 5, block_size = 16, quant_type = 1>(x, b4, a4)", FEW),
    (MATRIX, "y = MatMulBnb4<K = 24, N = 5, block_size = 16, quant_type = 0>(x, b4, a4)", FEW),
    (IDS, "y = GatherBlockQuantized<block_size = 16, bits = 4>(t4, i, ts)", FEW),
    (IDS, "y = GatherBlockQuantized<block_size = 16, bits = 4>(t4, i, ts, tz)", FEW),
    (IDS, "y = GatherBlockQuantized<block_size = 16, bits = 8>(t8, i, ts)", FEW),
]


def model_of(inputs: str, body: str, constants: dict[str, Any]) -> onnx.ModelProto:
    """The node, with those of the constants that it reads."""
    made, call = body.split(" = ", maxsplit=1)
    words = call.replace("(", " ").replace(")", " ").replace(",", " ").split()
    shown = ", ".join(f"float {name}" for name in made.split(", ") if name != "m")
    used = {name: value for name, value in constants.items() if name in words}
    return onnx_model(f"{inputs}) => ({shown})", f"{made} = com.microsoft.{call}", used)


def data_for(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    """40 samples: uniform reals, bytes, or 0 and 1."""
    made = {}
    for value in model.graph.input:
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = (40, *(dim.dim_value for dim in value.type.tensor_type.shape.dim))
        drawn = R.uniform(-1, 1, shape) if kind.kind == "f" else R.integers(0, 256 if kind.itemsize == 1 else 2, shape)
        made[value.name] = drawn.astype(kind)
    return made


def assert_as_onnxruntime(model: onnx.ModelProto, tolerance: float) -> None:
    """On samples that it was not calibrated with."""
    made, fresh, oracle = quantized(model, data_for(model), Options(table_bits=15)), data_for(model), FloatModel(model)
    assert oracle.by_onnxruntime
    got = made.evaluate({name: values.astype(np.float64) for name, values in fresh.items()})
    wanted = oracle.run_all([{name: values[k] for name, values in fresh.items()} for k in range(40)])
    for name, values in wanted.items():
        assert got[name].shape == values.shape
        assert np.abs(got[name] - values).max() <= tolerance * np.ptp(values), name


@pytest.mark.parametrize(("inputs", "body", "constants"), CASES, ids=[case[1].split("(", 1)[0] for case in CASES])
def test_as_onnxruntime(inputs: str, body: str, constants: dict[str, Any]) -> None:
    assert_as_onnxruntime(model_of(inputs, body, constants), 0.005)


def test_rows_of_four_bits_without_bytes() -> None:
    """Tables of int4 have their zero at 0."""
    model = model_of("int64[2,3] i", "y = GatherBlockQuantized<block_size = 16>(t, i, ts)", FEW)
    model.graph.initializer.append(helper.make_tensor("t", onnx.TensorProto.INT4, [7, 32], R.integers(-8, 8, 224)))
    assert_as_onnxruntime(model, 0.005)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_unpacked(bits: int) -> None:
    numbers = R.integers(0, 1 << bits, (3, 11))
    packed = np.zeros((3, -(-11 * bits // 8)), np.uint8)
    for place in range(11):
        packed[:, place * bits // 8] |= (numbers[:, place] << (place * bits % 8)).astype(np.uint8)
    assert np.array_equal(unpacked(packed, bits, 11), numbers)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"y = {NBITS}, bits = 3>(x, q4, s4)", "weights of 3 bits are not supported"),
        (f"y = {NBITS}>(x, q4, s4, , g)", "g_idx is not supported; quantize the model again without it"),
    ],
)
def test_refusals(body: str, message: str) -> None:
    model = model_of(MATRIX, body, {**FEW, "g": np.zeros(24, np.int32)})
    with pytest.raises(CompileError, match=message):
        quantized(model, data_for(model), Options(table_bits=12))


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ("float[1,8] x", f"y = com.microsoft.MatMulBnb4<N=4, K=8, quant_type=1, block_size={1 << 45}>(x, f, s)"),
        ("int64[2] x", f"y = com.microsoft.GatherBlockQuantized<block_size = {1 << 45}>(b, x, r)"),
        ("int8[4,8] x", f"y = DequantizeLinear<axis = 1, block_size = {1 << 45}>(x, r, z)"),
        ("float[8192,8192] x, float[8192,8192] a", "y = com.microsoft.FusedMatMul(x, a)"),
        ("float[8192,8192] x, int8[8192,8192] a", "y = com.microsoft.DynamicQuantizeMatMul(x, a, o)"),
    ],
)
def test_shapes_cost_nothing(inputs: str, body: str) -> None:
    """Blocks that are longer than all memory, and products that are not made for their shapes."""
    constants = {"b": np.zeros((4, 4), np.uint8), "f": np.zeros(16, np.uint8), "z": np.zeros((4, 1), np.int8)}
    constants |= {"s": np.ones(2), "r": np.ones((4, 1)), "o": np.ones(1)}
    model = onnx_model(f"{inputs}) => (float y)", body, constants, opset=21)
    with pytest.raises(CompileError, match="calibration data is missing"):
        quantized(model, None)


def test_held_as_the_exporter_left_it() -> None:
    """The numbers of a model that onnxruntime's quantizer made: 1 + 1 in four bits is not 17."""
    packed = numpy_helper.from_array(np.full((1, 1, 8), 0x91, np.uint8), "q")
    model = onnx_model(
        "float[1,2] x) => (float[1,1] y)", "y = com.microsoft.MatMulNBits<K = 2, N = 1, block_size = 16>(x, q, s)"
    )
    model.graph.initializer.extend([packed, numpy_helper.from_array(np.float32([[0.5]]), "s")])
    made = quantized(model, {"x": R.uniform(-1, 1, (40, 1, 2))}, Options(table_bits=12))
    got = made.evaluate({"x": np.array([[[1.0, 0.0]], [[0.0, 1.0]]])})["y"]
    assert got.reshape(-1) == pytest.approx([0.5 * (1 - 8), 0.5 * (9 - 8)], abs=0.02)
