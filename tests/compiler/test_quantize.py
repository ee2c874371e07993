"""Scales, limits and calibration: the largest power of two that holds the range, on any machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.compiler.calibration import FEW, RANDOM_SAMPLES, calibrate, input_range, random_inputs
from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError, scale_of
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantize import quantize
from tests.compiler.small import graph_of, onnx_model, saved

X = "float[1,3] x) => (float[1,3] y)"


@given(st.floats(1e-30, 1e30), st.integers(4, 20))
def test_the_scale_is_the_largest_that_holds_the_limit(limit: float, table_bits: int) -> None:
    scale = scale_of(limit, table_bits)
    assert np.ldexp(limit, scale) <= 2**table_bits - 1 < np.ldexp(limit, scale + 1)


def test_scales_and_intervals(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "r = Relu(x) y = Add(r, c)", {"c": np.array(8.0)})
    made = quantize(graph, {"x": 1.0, "r": 0.1, "y": 10.0}, 8)
    assert made.tensors["x"].scale == made.tensors["r"].scale == 7
    assert made.tensors["y"].scale == 4
    assert made.tensors["y"].interval == (-160, 160)
    assert made.tensors["c"].scale is None


def test_a_tensor_that_is_always_zero_has_a_scale(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "a = Abs(c) m = Mul(x, a) y = Relu(m)", {"c": np.array(0.0)})
    measured = calibrate(graph, {"x": np.zeros((1, 1, 3))})
    assert set(measured.limits.values()) == {1.0}
    assert quantize(graph, measured.limits, 8).tensors["y"].scale == 7


def test_what_a_boolean_decides_is_held_whatever_was_seen(tmp_path: Path) -> None:
    """No sample of a mask that adds 3 where a sum is zero: it is 3 then, and so may be what it is added to."""
    body = "s = ReduceSum(x) b = Cast<to=9>(s) n = Not(b) f = Cast<to=1>(n) m = Mul(f, c) y = Add(s, m)"
    graph = graph_of(tmp_path, X, body, {"c": np.array(3.0)})
    measured = calibrate(graph, {"x": np.full((FEW, 1, 3), 0.1)}, margin=1.0)
    assert (measured.limits["f"], measured.limits["m"], measured.limits["y"]) == (1.0, 3.0, 3.0)


def test_the_sum_of_a_softmax_may_be_its_number_of_entries(tmp_path: Path) -> None:
    """Where that is near or small, whether two of three were seen, or one (far ones: test_known_bounds.py)."""
    graph = optimize(graph_of(tmp_path, X, "y = Softmax(x)", {}))
    total = next(node.outputs[0] for node in graph.nodes if node.op == "ReduceSum")
    for second in (9.0, 0.0):
        samples = np.tile([[[9.0, second, 0.0]]], (FEW, 1, 1))
        assert calibrate(graph, {"x": samples}, margin=1.0).limits[total] == 3.0


def test_enough_samples_are_taken_at_their_word(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "a = Mul(x, c) y = Relu(a)", {"c": np.array(2.0)})
    samples = np.linspace(0.0, 1.0, 3 * FEW).reshape(FEW, 1, 3)
    measured = calibrate(graph, {"x": samples}, margin=1.5)
    assert measured.count == measured.given == FEW
    assert measured.limits["x"] == 1.5
    assert measured.limits["a"] == pytest.approx(3.0, rel=1e-3)


def test_few_samples_are_joined_by_random_inputs(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "y = MatMul(x, w)", {"w": np.ones((3, 3))})
    measured = calibrate(graph, {"x": np.array([[[0.5, 1.0, 1.0]]])})
    assert measured.count == 1 + RANDOM_SAMPLES
    assert measured.samples["x"][1:].min() >= 0.5
    assert measured.limits["y"] == pytest.approx(6.0, rel=1e-3), "the corners of [-2, 2]"


def test_one_value_is_no_range() -> None:
    assert input_range(np.array([[-0.25]])) == (-0.25, 0.0)


def test_random_inputs_are_the_same_everywhere(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "y = Relu(x)")
    inputs = random_inputs(graph, {"x": (-1.0, 1.0)}, 1, seed=1)["x"]
    np.testing.assert_array_equal(inputs[0, 0], [-0.165955990594852, 0.4406489868843162, -0.9997712503653102])


@pytest.mark.parametrize("table_bits", [4, 8, 14])
def test_the_data_fits_without_a_margin(tmp_path: Path, table_bits: int) -> None:
    """Powers of two are the common ranges; at T exactly they would not fit."""
    path = saved(tmp_path, onnx_model(X, "y = Relu(x)"))
    for largest in (1.0, 2.0, 0.3):
        data = {"x": np.linspace(-largest, largest, 48).reshape(16, 3)}
        made = quantized(path, data, Options(margin=1, table_bits=table_bits))
        assert made.report.outputs[0].max_absolute <= 2 * largest / 2**table_bits


def test_infinite_tensors_are_refused(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, X, "a = Mul(x, c) y = Mul(a, c)", {"c": np.array(1e30)})
    with pytest.raises(CompileError, match="tensor 'y' is infinite"):
        calibrate(graph, {"x": np.ones((1, 1, 3))})
