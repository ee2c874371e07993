"""Quantized operators against onnxruntime: a rounding beside a half may differ by one step of the quantization."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.options import Options
from tests.compiler.small import assert_proves, onnx_model

RANDOM = np.random.RandomState(1)
MICROSOFT = "com.microsoft."
X = {"x": RANDOM.uniform(-1, 1, (40, 3, 4)).astype(np.float32)}
Q = {"x": RANDOM.randint(0, 256, (40, 3, 4)).astype(np.uint8), "v": RANDOM.randint(0, 256, (40, 4)).astype(np.uint8)}
IMAGE = {"x": RANDOM.randint(0, 256, (40, 1, 2, 5, 5)).astype(np.uint8)}
GIVEN: dict[str, Any] = {
    "sa": np.float32(0.013),
    "za": np.uint8(120),
    "zi": np.int8(-3),
    "sb": np.float32(0.02),
    "zb": np.uint8(127),
    "sy": np.float32(0.03),
    "zy": np.uint8(110),
    "s0": np.float32(1 / 256),
    "z0": np.uint8(0),
    "sc": np.float32([0.01, 0.02, 0.015, 0.008]),
    "zc": np.int8([1, 2, 3, -4]),
    "w": RANDOM.randint(0, 256, (4, 5)).astype(np.uint8),
    "wt": RANDOM.randint(0, 256, (5, 4)).astype(np.uint8),
    "ws": np.float32([0.01, 0.02, 0.015, 0.01, 0.02]),
    "wz": RANDOM.randint(100, 140, 5).astype(np.uint8),
    "c": RANDOM.randint(-3000, 3000, 5).astype(np.int32),
    "k": RANDOM.randint(-127, 128, (3, 2, 3, 3)).astype(np.int8),
    "ks": np.float32([0.01, 0.02, 0.015]),
    "kz": np.zeros(3, np.int8),
    "kb": RANDOM.randint(-3000, 3000, 3).astype(np.int32),
    "fw": RANDOM.uniform(-1, 1, (3, 2, 3, 3)).astype(np.float32),
    "r": np.float32([0.5, -0.25, 1.0]),
    "t": np.uint8(100),
    "shape": np.array([1, 4]),
}


def model(signature: str, body: str) -> onnx.ModelProto:
    """A model over the constants above that it reads."""
    names = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    text = f'<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> small ({signature} {{ {body} }}'
    made = parser.parse_model(text)
    made.graph.initializer.extend(numpy_helper.from_array(GIVEN[name], name) for name in sorted(names & set(GIVEN)))
    return made


def assert_within_a_step(made: onnx.ModelProto, samples: dict[str, Any], step: float = 1.0, **options: Any) -> None:
    """No output is off by more than a step (and an error of arithmetic), few by half of one."""
    read = {value.name: samples[value.name] for value in made.graph.input}
    compiled = quantized(made, read, Options(**{"table_bits": 16, **options}))
    got = compiled.evaluate({name: values.astype(np.float64) for name, values in read.items()})
    oracle = FloatModel(made)
    for k in range(40):
        for name, expected in oracle.run({name: values[k] for name, values in read.items()}).items():
            assert got[name][k].shape == expected.shape
            error = np.abs(got[name][k] - expected.astype(np.float64))
            assert error.max() <= 1.02 * step, name
            got[name][k] = error
    for name, errors in got.items():
        assert np.mean(errors > step / 2) < 0.02, name


@pytest.mark.parametrize("hidden", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(
    ("signature", "body", "step"),
    [
        ("float[3,4] x) => (uint8[3,4] y)", "y = QuantizeLinear(x, sa, za)", 1),
        ("float[3,4] x) => (int8[3,4] y)", "y = QuantizeLinear(x, sa, zi)", 1),
        ("float[3,4] x) => (float[3,4] y)", "q = QuantizeLinear(x, sa, zi) y = DequantizeLinear(q, sa, zi)", 0.013),
        ("float[3,4] x) => (float[3,4] y)", "q = QuantizeLinear(x, sc, zc) y = DequantizeLinear(q, sc, zc)", 0.02),
        ("uint8[3,4] x) => (uint8[3,5] y)", "y = QLinearMatMul(x, sa, za, w, sb, zb, sy, zy)", 1),
        ("uint8[3,4] x) => (uint8[3,5] y)", "y = QLinearMatMul(x, sa, za, w, ws, wz, sy, zy)", 1),
        ("uint8[3,4] x) => (float[3,5] y)", "p = MatMulInteger(x, w, za, zb) f = Cast<to = 1>(p) y = Mul(f, s0)", 0.3),
        ("uint8[3,4] x, uint8[4] v) => (uint8[3,4] y)", "y = QLinearAdd(x, sa, za, v, sb, zb, sy, zy)", 1),
        ("uint8[3,4] x, uint8[4] v) => (uint8[3,4] y)", "y = QLinearMul(x, sa, za, v, sb, zb, sy, zy)", 1),
        ("uint8[3,4] x) => (uint8[3,4] y)", "y = QLinearSigmoid(x, sa, za, s0, z0)", 1),
        ("uint8[3,4] x) => (uint8[3,4] y)", "y = QLinearLeakyRelu<alpha = 0.1>(x, sa, za, sy, zy)", 1),
        (
            "uint8[3,4] x, uint8[4] v) => (uint8[4,4] y)",
            "u = Reshape(v, shape) y = QLinearConcat<axis = 0>(sy, zy, x, sa, za, u, sb, zb)",
            1,
        ),
        ("uint8[3,4] x) => (uint8[3,4] y)", "y = QLinearSoftmax<axis = -1, opset = 13>(x, sa, za, s0, z0)", 1),
        ("uint8[3,4] x) => (uint8[3,4] y)", "y = QLinearSoftmax<axis = 0, opset = 11>(x, sb, za, s0, z0)", 1),
        (
            "uint8[3,4] x, uint8[4] v) => (uint8[3,4] y)",
            "h = Less(x, t) y = QLinearWhere(h, x, sa, za, v, sb, zb, sy, zy)",
            1,
        ),
        ("uint8[3,4] x) => (uint8[3,5] y)", "y = QGemm<transB = 1>(x, sa, za, wt, sb, zb, c, sy, zy)", 1),
        ("uint8[3,4] x) => (float[3,5] y)", "y = QGemm<alpha = 0.5>(x, sa, za, w, sb, zb)", 0.01),
        ("uint8[3,4] x) => (float[3,5] y)", "y = MatMulIntegerToFloat(x, w, sa, sb, za, zb)", 0.01),
    ],
)
def test_of_matrices(signature: str, body: str, step: float, hidden: bool) -> None:
    samples = Q if signature.startswith("uint8") else X
    private = {"model": "private", "weight_bits": 34, "bias_bits": 48} if hidden else {}
    assert_within_a_step(model(signature, microsoft(body)), samples, step, **private)


def microsoft(body: str) -> str:
    """The calls of onnxruntime's own operators, in their domain."""
    own = ("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearConcat", "QGemm", "FusedConv")
    own += (
        "QLinearGlobal",
        "QLinearAverage",
        "QLinearSoft",
        "QLinearWhere",
        "Nhwc",
        "QLinearConv<channels",
        "MatMulIntegerTo",
        "DynamicQuantizeMat",
    )
    words = body.split(" ")
    return " ".join(MICROSOFT + word if word.startswith(own) else word for word in words)


@pytest.mark.parametrize(
    ("signature", "body", "step"),
    [
        ("uint8[1,3,5,5] y", "y = QLinearConv<pads = [1, 1, 1, 1]>(x, sa, za, k, ks, kz, sy, zy, kb)", 1),
        ("float[1,3,3,3] y", "i = ConvInteger(x, k, za) f = Cast<to = 1>(i) y = Mul(f, s0)", 0.3),
        ("uint8[1,2,1,1] y", "y = QLinearGlobalAveragePool(x, sa, za, sy, zy)", 1),
        ("uint8[1,2,2,2] y", "y = QLinearAveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x, sa, za, sy, zy)", 1),
    ],
)
def test_of_images(signature: str, body: str, step: float) -> None:
    assert_within_a_step(model(f"uint8[1,2,5,5] x) => ({signature})", microsoft(body)), IMAGE, step)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (
            "uint8[1,5,5,3] y",
            "y = QLinearConv<channels_last = 1, pads = [1, 1, 1, 1]>(x, sa, za, k, ks, kz, sy, zy, kb)",
        ),
        ("uint8[1,3,3,2] y", "y = NhwcMaxPool<kernel_shape = [3, 3]>(x)"),
        ("uint8[1,1,1,2] y", "y = QLinearGlobalAveragePool<channels_last = 1>(x, sa, za, sy, zy)"),
        (
            "uint8[1,2,2,2] y",
            "y = QLinearAveragePool<channels_last = 1, kernel_shape = [2, 2], strides = [2, 2]>(x, sa, za, sy, zy)",
        ),
    ],
)
def test_of_images_whose_channels_stand_last(signature: str, body: str) -> None:
    turned = {"x": np.moveaxis(IMAGE["x"], 2, -1)}
    assert_within_a_step(model(f"uint8[1,5,5,2] x) => ({signature})", microsoft(body)), turned)


@pytest.mark.parametrize("body", ["y = MatMulInteger(x, w, za, zb)", "y = MatMulInteger(x, w)"])
def test_integers_that_are_shown_are_exact(body: str) -> None:
    small = {"x": Q["x"] // 4}
    assert_within_a_step(model("uint8[3,4] x) => (int32[3,5] y)", body), small, 0.0, table_bits=17)


def test_dynamic_quantization() -> None:
    body = "y, a, b = DynamicQuantizeLinear(x)"
    made = model("float[3,4] x) => (uint8[3,4] y, float a, uint8 b)", body)
    assert_within_a_step(made, X)
    body = "q, a, b0 = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, b0, zb) f = Cast<to = 1>(i) u = Mul(a, sb)"
    assert_within_a_step(model("float[3,4] x) => (float[3,5] y)", f"{body} y = Mul(f, u)"), X, 0.03)
    body = microsoft("y = DynamicQuantizeMatMul(x, w, sb, zb)")
    assert_within_a_step(model("float[3,4] x) => (float[3,5] y)", body), X, 0.03)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("float[1,2,5,5] i) => (float[1,3,3,3] y)", 'y = FusedConv<activation = "Relu">(i, fw, r)'),
        (
            "float[1,2,5,5] i, float[1,3,3,3] z) => (float[1,3,3,3] y)",
            'y = FusedConv<activation = "Clip", activation_params = [0.0, 1.5]>(i, fw, r, z)',
        ),
    ],
)
def test_fused_convolutions(signature: str, body: str) -> None:
    r = np.random.RandomState(4)
    images = {n: r.uniform(-1, 1, (40, 1, *s)).astype(np.float32) for n, s in (("i", (2, 5, 5)), ("z", (3, 3, 3)))}
    assert_within_a_step(model(signature, microsoft(body)), {**X, **images}, 0.01)


def test_a_pair_is_one_table() -> None:
    """Quantize and Dequantize of one scale are a function of the operand, in the units of the layer before it."""
    body = "p = MatMul(x, v) q = QuantizeLinear(p, sa, zi) y = DequantizeLinear(q, sa, zi)"
    constants = {"v": np.eye(4, 2), "sa": GIVEN["sa"], "zi": GIVEN["zi"]}
    made = quantized(onnx_model("float[3,4] x) => (float[3,2] y)", body, constants), X, Options(table_bits=10))
    assert made.builder.unit_count == 12 + 6 and len(made.builder.functions) == 1


def test_it_holds_in_the_circuit() -> None:
    assert_proves(
        model("uint8[3,4] x) => (uint8[3,5] y)", "y = QLinearMatMul(x, sa, za, w, sb, zb, sy, zy)"), {"x": Q["x"]}
    )
