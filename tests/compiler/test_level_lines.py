"""Lines that bring sums of integers to levels as float32 does."""

from __future__ import annotations

from typing import Any

import numpy as np

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.level_lines import first_sums, level_lines
from plonnx.compiler.options import Options
from tests.compiler.small import onnx_model


def begun_wrongly(step: float, slope: float, shift: float, low: int, high: int) -> int:
    """How many levels a line begins at another sum than float32."""
    sums, halves = first_sums(step, low, high), np.arange(low, high) + 0.5
    return int(np.sum((sums * slope + shift < halves) | ((sums - 1) * slope + shift >= halves)))


def drawn(seed: int) -> tuple[Any, Any, Any, float]:
    """The scales of operands and result in float32, and what a step of the sums is worth."""
    random = np.random.RandomState(seed)
    x, w, y = (np.float32(random.uniform(*ends)) for ends in ((0.004, 0.01), (0.002, 0.008), (0.02, 0.04)))
    return x, w, y, float(x * w / y)


def test_where_levels_begin() -> None:
    step = drawn(0)[3]
    sums = first_sums(step, -3, 5)
    levels = np.rint(np.float32([sums - 1, sums]) * np.float32(step))
    np.testing.assert_array_equal(levels, [np.arange(-3, 5), np.arange(-2, 6)])


def test_a_line_begins_no_more_of_them_wrongly_and_mostly_none() -> None:
    steps = np.array([drawn(seed)[3] for seed in range(200)])
    slopes, shifts = level_lines(steps, -128, 127)
    before = np.array([begun_wrongly(step, step, 0.0, -128, 127) for step in steps])
    after = np.array([begun_wrongly(*line, -128, 127) for line in zip(steps, slopes, shifts, strict=True)])
    assert np.all(after <= before) and before.sum() > 20 and 5 * after.sum() < 2 * before.sum()


def test_exact_halves_are_left_alone() -> None:
    for step in (2.0**-8, 0.25, 2.0, 0.0):
        slope, shift = level_lines(np.asarray(step), -128, 127)
        assert abs(float(slope) - step) < 1e-6 and abs(float(shift)) < 1e-4


def test_the_circuit_takes_the_sides_that_onnxruntime_takes() -> None:
    """At the sums before and behind each level, for scales of which the plain step errs."""
    x, w, y, step = next(one for one in map(drawn, range(99)) if begun_wrongly(one[3], one[3], 0.0, -128, 127) == 2)
    sums = first_sums(step, -128, 127)
    sums = np.concatenate([sums - 1, sums])
    weights, given = np.array([*[127] * 24, 1])[:, None].astype(np.int8), []
    for total in sums:
        rest, row = int(total), []
        for weight in weights[:, 0].astype(int):
            row.append(int(np.clip(rest // weight if rest > 0 else -(-rest // weight), -128, 127)))
            rest -= weight * row[-1]
        if not rest:
            given.append([row])
    samples = np.array(given, np.int8)
    constants = {"sx": x, "zx": np.int8(0), "w": weights, "sw": w, "sy": y, "zy": np.int8(0)}
    model = onnx_model("int8[1,25] x) => (int8[1,1] y)", "y = QLinearMatMul(x, sx, zx, w, sw, zx, sy, zy)", constants)
    made = quantized(model, {"x": samples.astype(np.float64)}, Options())
    expected = FloatModel(model).run_all([{"x": sample} for sample in samples])["y"].astype(int)
    assert len(samples) > 400 and np.ptp(expected) > 200
    np.testing.assert_array_equal(made.evaluate({"x": samples.astype(np.float64)})["y"], expected)
