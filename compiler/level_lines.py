"""The line that brings sums of integers to levels, such that these are onnxruntime's.

    its kernels   level(S) = rint(float32(float32(S) * step)), halves to the even level
    the circuit   level(S) = floor(slope * S + shift + 1/2)

With slope = step and shift = 0 the two differ where float32 rounds a product to a half: at one sum in a hundred
thousand, which in a network with thousands of levels is one level in every few inferences. Both are stairs whose step k
begins at some whole number S. Another line, off by less than FAR of a level, begins most often all of them where
float32 does. (Where steps are dyadic all halves are exact, and no line takes turns.)
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Array

FAR = 4e-5
"""Levels: what is farther from a half than this, the line leaves on its side."""
_MARGINS = 2e-6, 1e-6, 5e-7
"""Levels: how far from halves a line keeps sums, the farther the better: the circuit rounds its weights, too."""
_TURNS = np.array(sorted(np.linspace(-1, 1, 401), key=abs))
"""Slopes that are tried, the least turned first."""


def level_lines(steps: Array, low: int, high: int) -> tuple[Array, Array]:
    """Slopes and shifts, of the shape of `steps` (of float32); levels low .. high, before the zero point is added."""
    distinct, which = np.unique(steps.reshape(-1), return_inverse=True)
    lines = np.array([_line(float(step), low, high) for step in distinct])[which.reshape(-1)]
    return lines[:, 0].reshape(steps.shape), lines[:, 1].reshape(steps.shape)


def first_sums(step: float, low: int, high: int) -> Array:
    """The least sums whose levels in float32 are low + 1 .. high."""
    levels = np.arange(low + 1, high + 1)
    below, at = (np.floor((levels + by) / step).astype(np.int64) + 4 * by for by in (-1, 1))
    while np.any(at - below > 1):
        middle = (below + at) >> 1
        reached = np.rint(middle.astype(np.float32) * np.float32(step)) >= levels
        below, at = np.where(reached, below, middle), np.where(reached, middle, at)
    return at


def _line(step: float, low: int, high: int) -> tuple[float, float]:
    """Of lines close to the step, the one that begins most levels right; those close to zero count more."""
    if not 0.0 < step < 1.0:
        return step, 0.0
    sums, halves = first_sums(step, low, high), np.arange(low, high) + 0.5
    close = (halves - sums * step > -FAR) | (halves - (sums - 1) * step < FAR)
    sums, halves = sums[close], halves[close]
    if not len(sums):
        return step, 0.0
    weights = 1.0 / (8.0 + np.abs(halves))

    def wrong(line: tuple[float, float]) -> float:
        slope, shift = line
        begun, early = sums * slope + shift >= halves, (sums - 1) * slope + shift >= halves
        return float(weights @ (~begun | early))

    return min(*(_by(step, sums, halves, weights, margin) for margin in _MARGINS), (step, 0.0), key=wrong)


def _by(step: float, sums: Array, halves: Array, weights: Array, margin: float) -> tuple[float, float]:
    """The line that leaves such a margin at most of the steps, by weight: each allows an interval of shifts."""
    slopes = step + _TURNS * (FAR / 2) / np.abs(sums).max(initial=1)
    least = np.maximum(halves - sums * slopes[:, None] + margin, -FAR / 2)
    most = np.minimum(halves - (sums - 1) * slopes[:, None] - margin, FAR / 2)
    counted = np.where(least <= most, weights, 0.0)
    ends = np.concatenate([least, most], axis=1)
    order = np.argsort(ends, axis=1, kind="stable")
    right = np.cumsum(np.take_along_axis(np.concatenate([counted, -counted], axis=1), order, axis=1), axis=1)
    slope, place = np.unravel_index(right.argmax(), right.shape)
    shift = ends[slope, order[slope, place]]
    held = (least[slope] <= shift) & (shift <= most[slope])
    if not held.any():
        return step, 0.0
    return float(slopes[slope]), float(least[slope][held].max() + most[slope][held].min()) / 2
