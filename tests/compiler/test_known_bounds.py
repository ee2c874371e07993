"""Bounds that are known of a tensor: samples that stay far below them do not say that others do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plonnx.compiler.calibration import calibrate
from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.gadgets import OutOfRange
from tests.compiler.small import graph_of, onnx_model


def _peaked(classes: int) -> NDArray[np.float64]:
    """Rows whose softmax is sure of one class: the sum of exponentials is hardly above 1."""
    random = np.random.default_rng(7)
    x = random.uniform(-1, 1, (40, classes))
    x[np.arange(40), random.integers(0, classes, 40)] += 7.0
    return x


@pytest.mark.parametrize("body", ["y = Softmax(x)", "y = LogSoftmax(x)"])
def test_a_softmax_of_few_classes_may_be_unsure(body: str) -> None:
    """Calibrated on rows that are sure, a row with all its entries alike has a proof."""
    x = _peaked(10)
    made = quantized(onnx_model("float[1,10] x) => (float[1,10] y)", body), {"x": x[:, None]}, Options(table_bits=14))
    got = made.evaluate({"x": np.zeros((1, 1, 10))})["y"]
    np.testing.assert_allclose(got, 0.1 if body == "y = Softmax(x)" else np.log(0.1), atol=0.01)


def test_a_softmax_of_many_classes_has_room_but_keeps_its_precision() -> None:
    """Of 400 classes eight may be as likely as one, a hundred not: the sum's scale would be too coarse for one."""
    model = onnx_model("float[1,400] x) => (float[1,400] y)", "y = Softmax(x)")
    sure = np.full((8, 1, 400), -9.0)
    sure[np.arange(8), 0, np.arange(8)] = 1.0
    x = np.concatenate([sure] * 3)
    made = quantized(model, {"x": x}, Options(table_bits=14))
    eight, hundred = np.full((2, 1, 1, 400), -9.0)
    eight[..., :8], hundred[..., :100] = 1.0, 1.0
    got = made.evaluate({"x": eight})["y"]
    np.testing.assert_allclose(got[..., :8], 0.125, atol=0.01)
    with pytest.raises(OutOfRange, match="outside the calibrated range"):
        made.evaluate({"x": hundred})


@pytest.mark.parametrize("body", ["y = Mul(x, x)", "y = Pow(x, two)"])
@pytest.mark.parametrize("margin", [1.5, 2.0])
def test_a_square_has_the_room_of_what_is_squared(tmp_path: Path, body: str, margin: float) -> None:
    """Element by element: a channel that may be twice as large as in calibration has a square four times as large."""
    x = np.random.default_rng(8).uniform(-1, 1, (20, 3)) * [1.0, 10.0, 100.0]
    graph = graph_of(tmp_path, "float[3] x) => (float[3] y)", body, {"two": np.float32(2)})
    reach = calibrate(graph, {"x": x}, margin).reach
    np.testing.assert_allclose(reach["x"], margin * np.abs(x).max(axis=0))
    np.testing.assert_allclose(reach["y"], reach["x"] ** 2, rtol=1e-6)
