"""Errors that are gathered a few samples at a time are those of all samples together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plonnx.compiler.tensor_error import GROUP, Gathered, TensorError, tensor_error

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(), (5,), (1, 6), (1, 3, 2, 4)])
@pytest.mark.parametrize("sizes", [(1,), (3, 2, 1), (30, 40, 26)])
def test_parts_are_as_good_as_the_whole(shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    expected = RANDOM.normal(size=(sum(sizes), *shape))
    got = expected + RANDOM.normal(size=expected.shape) * 1e-2
    gathered = Gathered()
    for part in np.split(np.arange(len(got)), np.cumsum(sizes)[:-1]):
        gathered.add(got[part], expected[part])
        gathered.know(expected[part])
    parts, whole = gathered.of("t"), tensor_error("t", got, expected, expected)
    assert parts.mean_absolute == pytest.approx(whole.mean_absolute)
    assert replace(parts, mean_absolute=whole.mean_absolute, mean_relative=whole.mean_relative) == whole
    by_definition(whole, np.abs(got - expected), expected)


def by_definition(error: TensorError, errors: np.ndarray, expected: np.ndarray) -> None:
    spread = np.ptp(expected) or np.abs(expected).max()
    assert error.max_absolute == errors.max()
    assert error.max_relative == errors.max() / spread
    assert error.mean_absolute == pytest.approx(errors.mean())
    groups = max(1, round(len(errors) / GROUP))
    ratios = [errors[g::groups].max() / (np.ptp(expected[g::groups]) or spread) for g in range(groups)]
    assert error.max_group_relative == max(ratios)
    found = [
        (errors.take(i, axis).max() / max(np.ptp(expected.take(i, axis)), 1e-3 * spread), (axis - 1, i))
        for axis in range(max(1, min(2, expected.ndim - 1)), expected.ndim)
        for i in range(expected.shape[axis])
        if expected.shape[axis] > 1
    ]
    assert (error.max_channel_relative, error.channel) == max(found, default=(0.0, None))


def test_without_the_whole_no_channel_is_judged() -> None:
    error = tensor_error("t", np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]))
    assert (error.max_channel_relative, error.channel, error.top1) == (0.0, None, 1.0)
