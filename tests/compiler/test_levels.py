"""Levels of quantized models are those of onnxruntime, at inputs, between layers and at outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.levels import input_steps, output_steps, rounded_layers
from plonnx.compiler.options import Options
from plonnx.layout.inputs import Port, dequantize, quantize
from tests.compiler.small import assert_proves, in_some_layout, onnx_model

RANDOM = np.random.RandomState(11)
CONSTANTS: dict[str, Any] = {
    "sx": np.float32(0.02),
    "zx": np.uint8(128),
    "sw": np.float32(0.01),
    "zw": np.uint8(127),
    "s0": np.float32(0.01),
    "z0": np.int8(0),
    "sy": np.float32(0.05),
    "zy": np.uint8(120),
    "zl": np.uint8(0),
    "sb": np.float32(0.0002),
    "w": RANDOM.randint(0, 256, (6, 5)).astype(np.uint8),
    "v": RANDOM.randint(-127, 128, (6, 5)).astype(np.int8),
    "b": RANDOM.randint(-3000, 3000, 5).astype(np.int32),
    "k": RANDOM.randint(-127, 128, (3, 2, 2, 2)).astype(np.int8),
    "sk": np.float32([0.0103, 0.00517, 0.0199]),
    "zk": np.int8([0, 0, 0]),
    "bk": RANDOM.randint(-3000, 3000, 3).astype(np.int32),
}
ROW, IMAGE = "float[1,6] x) => (float[1,5] y)", "float[1,2,4,4] x) => (float y)"
Q = "q = QuantizeLinear(x, sx, zx)"
AGAIN = "d = DequantizeLinear(q, sx, zx) u = DequantizeLinear(v, s0, z0)"
MODELS = {
    "matmul": (ROW, f"{Q} p = QLinearMatMul(q, sx, zx, w, sw, zw, sy, zy) y = DequantizeLinear(p, sy, zy)"),
    "matmul between": (
        ROW,
        f"{Q} {AGAIN} m = MatMul(d, u) p = QuantizeLinear(m, sy, zy) y = DequantizeLinear(p, sy, zy)",
    ),
    "gemm between": (
        ROW,
        f"{Q} {AGAIN} c = DequantizeLinear(b, sb) m = Gemm(d, u, c) r = Relu(m) p = QuantizeLinear(r, sy, zl)"
        " y = DequantizeLinear(p, sy, zl)",
    ),
    "conv": (
        IMAGE,
        f"{Q} p = QLinearConv<pads = [1, 1, 0, 0]>(q, sx, zx, k, sk, zk, sy, zy, bk) y = DequantizeLinear(p, sy, zy)",
    ),
    "pool between": (
        IMAGE,
        f"{Q} d = DequantizeLinear(q, sx, zx) a = MaxPool<kernel_shape = [2, 2]>(d) t = QuantizeLinear(a, sx, zx)"
        " e = DequantizeLinear(t, sx, zx) j = DequantizeLinear<axis = 0>(k, sk, zk) m = Conv(e, j)"
        " p = QuantizeLinear(m, sy, zy) y = DequantizeLinear(p, sy, zy)",
    ),
}


def used(body: str) -> dict[str, Any]:
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return {name: value for name, value in CONSTANTS.items() if name in words}


def drawn(signature: str, count: int) -> dict[str, Any]:
    shape = (1, 6) if signature == ROW else (1, 2, 4, 4)
    return {"x": np.random.RandomState(count).uniform(-2.5, 2.5, (count, *shape)).astype(np.float32)}


@pytest.mark.parametrize("name", MODELS)
def test_every_level_is_that_of_onnxruntime(name: str) -> None:
    """Scales in decimals, whose sums lie on halves but for the rounding of float32; inputs that were never seen."""
    signature, body = MODELS[name]
    model = onnx_model(signature, body, used(body))
    made = quantized(model, drawn(signature, 40), Options())
    assert made.report.reached and made.report.outputs[0].leveled and made.report.outputs[0].agreement == 1.0
    fresh = drawn(signature, 200)
    expected = FloatModel(model).run_all([{"x": x} for x in fresh["x"]])["y"]
    got = made.evaluate({"x": fresh["x"].astype(np.float64)})["y"]
    assert np.all(np.abs(got - expected) < 0.05 / 2)
    kinds = [node.op for node in made.graph.nodes]
    assert kinds.count("Round") == 2, "nothing is rounded that is rounded already"
    assert len(rounded_layers(made.graph)) == 1 and input_steps(made.graph) == {"x": float(np.float32(0.02))}
    assert set(output_steps(made.graph)) == {"y"}


def test_what_rounding_the_weights_loses_is_added() -> None:
    """Without it a table of 2^9 has some hundred levels wrong of a thousand."""
    signature, body = MODELS["matmul"]
    model, fresh = onnx_model(signature, body, used(body)), drawn(signature, 200)
    expected = FloatModel(model).run_all([{"x": x} for x in fresh["x"]])["y"]
    made = quantized(model, drawn(signature, 40), Options(table_bits=12))
    wrong = np.abs(made.evaluate({"x": fresh["x"].astype(np.float64)})["y"] - expected) > 0.05 / 2
    assert any(block.name.endswith("~rest") for block in made.builder.blocks) and wrong.sum() <= 10


def test_it_holds_in_the_circuit() -> None:
    for name in ("gemm between", "conv"):
        signature, body = MODELS[name]
        model, samples = onnx_model(signature, body, used(body)), drawn(signature, 20)
        circuit = in_some_layout(model, samples, table_bits=10)
        assert not circuit.mock(circuit.read_inputs({"x": samples["x"][0]}))
    assert_proves(model, samples, table_bits=10)


def test_a_real_is_held_on_its_own_side_of_a_border() -> None:
    port = Port("x", (1001,), "float32", 8, 1 << 12, True, step=float(np.float32(0.02)))
    border = np.float32(0.02) * (np.arange(-50, 50, dtype=np.float32) + np.float32(0.5))
    values = np.concatenate([np.nextafter(border, np.float32(-9)), border, np.nextafter(border, np.float32(9))])
    values = np.resize(values, 1001).astype(np.float32)
    plain = Port("x", (1001,), "float32", 8, 1 << 12, True)
    level = np.rint(values / np.float32(0.02))
    for one, right in ((port, True), (plain, False)):
        held = dequantize(quantize(values.astype(np.float64), one), one)
        assert np.all(np.abs(held - values) <= 2.0**-8) and bool(np.all(np.rint(held / port.step) == level)) == right


def test_levels_that_are_the_integers_themselves() -> None:
    """A step of 1/4 at two places behind the point: what lies in the middle of two levels goes to the even one."""
    constants = {"sx": np.float32(0.25), "zx": np.uint8(128)}
    body = f"{Q} y = DequantizeLinear(q, sx, zx)"
    model = onnx_model("float[1,6] x) => (float[1,6] y)", body, constants)
    made = quantized(model, {"x": RANDOM.uniform(-30, 30, (40, 1, 6)).astype(np.float32)}, Options(table_bits=8))
    assert made.facts.inputs[0].scale == 2
    middles = (RANDOM.randint(-100, 100, (20, 1, 6)) + 0.5) / 4
    expected = FloatModel(model).run_all([{"x": x} for x in middles.astype(np.float32)])["y"]
    np.testing.assert_array_equal(made.evaluate({"x": middles})["y"], expected)
