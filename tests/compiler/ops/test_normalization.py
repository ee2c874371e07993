"""Normalizations against the float model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.gadgets import OutOfRange
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.combination import Combination
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.product import Product
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, compiled, onnx_model

IMAGE = "float[2,4,3,3] x) => (float[2,4,3,3] y)"
ROWS = "float[2,5,16] x) => (float[2,5,16] y)"
SCALES = {"s": np.array([1.0, 2.0, -0.5, 0.3]), "b": np.array([0.1, -0.2, 0.3, 0.0])}
LAST = {"s": np.linspace(0.5, 2.0, 16), "b": np.linspace(-1.0, 1.0, 16)}

CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    (IMAGE, "y = InstanceNormalization(x, s, b)", 7, SCALES),
    (IMAGE, "y = InstanceNormalization<epsilon = 0.1>(x, s, b)", 18, SCALES),
    (IMAGE, "y = GroupNormalization<num_groups = 2>(x, s, b)", 21, SCALES),
    (IMAGE, "y = MeanVarianceNormalization(x)", 13, {}),
    (IMAGE, "y = MeanVarianceNormalization<axes = [2, 3]>(x)", 9, {}),
    (IMAGE, "y = LRN<size = 3>(x)", 13, {}),
    (IMAGE, "y = LRN<size = 5, alpha = 0.5, beta = 0.6, bias = 1.5>(x)", 8, {}),
    (ROWS, "y = LayerNormalization(x, s, b)", 17, LAST),
    (ROWS, "y = LayerNormalization<axis = 1, epsilon = 0.01>(x, s)", 17, {"s": np.linspace(1, 2, 80).reshape(5, 16)}),
    (ROWS, "y = RMSNormalization(x, s)", 23, {"s": LAST["s"]}),
    (ROWS, "y = RMSNormalization<axis = 1, epsilon = 0.01>(x, s)", 23, {"s": np.linspace(1, 2, 80).reshape(5, 16)}),
    (ROWS, "t = LayerNormalization(x, o) y = LayerNormalization(t, s, b)", 17, {**LAST, "o": np.ones(16)}),
    (ROWS, "y = LpNormalization(x)", 17, {}),
    (ROWS, "y = LpNormalization<axis = 1, p = 1>(x)", 17, {}),
    (ROWS, "y = Softmax(x)", 13, {}),
    (ROWS, "y = Softmax<axis = 1>(x)", 13, {}),
    (ROWS, "y = Softmax(x)", 11, {}),
    (ROWS, "y = LogSoftmax(x)", 13, {}),
    (ROWS, "y = LogSoftmax<axis = 2>(x)", 11, {}),
]
IDS = [f"{case[1]} {case[2]}" for case in CASES]


@pytest.mark.parametrize(("signature", "body", "opset", "constants"), CASES, ids=IDS)
def test_normalizations(tmp_path: Path, signature: str, body: str, opset: int, constants: dict[str, Any]) -> None:
    assert_accurate(compiled(tmp_path, signature, body, constants, opset, table_bits=13), 0.01)


@pytest.mark.parametrize(("signature", "body", "opset", "constants"), CASES, ids=IDS)
def test_private_models(tmp_path: Path, signature: str, body: str, opset: int, constants: dict[str, Any]) -> None:
    made = compiled(
        tmp_path, signature, body, constants, opset, table_bits=13, model="private", weight_bits=28, bias_bits=40
    )
    assert_accurate(made, 0.01)


def test_what_an_instance_costs(tmp_path: Path) -> None:
    """x - mean, its square and its multiple for each element; mean and variance, whose table is free, for each pair."""
    made = compiled(tmp_path, IMAGE, "y = InstanceNormalization(x, s, b)", {"s": np.ones(4), "b": np.zeros(4)})
    blocks = [type(block) for block in made.builder.blocks[1:]]
    assert blocks == [Convolution, Combination, Lookup, Convolution, Product]
    assert made.builder.unit_count == 4 * 72 + 2 * 8


def test_the_mean_and_the_inverse_deviation_of_a_layer() -> None:
    body = "y, m, d = LayerNormalization<axis = 1, epsilon = 0.01>(x, s)"
    signature = "float[3,8] x) => (float[3,8] y, float[3,1] m, float[3,1] d)"
    x = np.random.RandomState(0).uniform(-1, 1, (20, 3, 8)).astype(np.float32)
    assert_as_onnxruntime(onnx_model(signature, body, {"s": np.linspace(1, 2, 8)}), {"x": x}, 0.01, table_bits=13)


@pytest.mark.parametrize("node", ["LpNormalization<p = 1>", "LpNormalization", 'ai.onnx.ml.Normalizer<norm = "MAX">'])
@pytest.mark.parametrize("model", ["public", "private"])
def test_rows_of_zeros_stay_zeros(node: str, model: str) -> None:
    """1 stands where there is no entry but zeros."""
    x = np.random.RandomState(0).uniform(0.2, 1, (20, 2, 4)).astype(np.float32)
    x[::3, 1] = 0.0
    text = onnx_model("float[2,4] x) => (float[2,4] y)", f"y = {node}(x)")
    hidden = {"model": model, "weight_bits": 16} if model == "private" else {}
    made = assert_as_onnxruntime(text, {"x": x}, 0.01, table_bits=13, **hidden)
    got = made.evaluate({"x": x.astype(np.float64)})["y"]
    assert np.all(got[::3, 1] == 0.0) and np.all(np.abs(got[1]).max(1) > 0.3)


@pytest.mark.parametrize("node", ["LpNormalization", 'ai.onnx.ml.Normalizer<norm = "L1">'])
def test_a_row_whose_norm_rounds_to_zero_is_refused(node: str) -> None:
    """It is no row of zeros, which would stay as it is."""
    x = np.random.RandomState(0).uniform(-1, 1, (40, 2, 4)).astype(np.float32)
    x[3, 0] = 0.0
    made = quantized(onnx_model("float[2,4] x) => (float[2,4] y)", f"y = {node}(x)"), {"x": x}, Options(table_bits=10))
    small = x[:1].astype(np.float64)
    small[0, 0] = [0.008, -0.004, 0.0, 0.004]
    with pytest.raises(OutOfRange):
        made.evaluate({"x": small})
    assert np.all(made.evaluate({"x": np.zeros((1, 2, 4))})["y"] == 0.0)
