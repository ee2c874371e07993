"""How weights come to the rows of a channel, and where positions read, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets.linear.contribution import Weights, gather_index
from plonnx.plonk.program import MODULUS, monomial

SCALARS = {"chi": 1 << 100, "psi": MODULUS // 7}


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_rows_of_a_channel_sum_up_to_its_kernel(
    channels: int, taps: int, outputs: int, columns: int, seed: int
) -> None:
    """Horner's rule over `grid` with `holds`: sum over t and j of chi^j psi^(at_t - least) W[c, t, j]."""
    random = np.random.default_rng(seed)
    weights = Weights(random.integers(-9, 10, (channels, taps, outputs)), np.zeros((taps, 1), np.int64))
    at = random.integers(-20, 20, taps)  # linear positions of the offsets, also equal ones
    if taps > 1 and outputs > columns:
        with pytest.raises(ValueError, match=f"{outputs} outputs at several taps need as many weight columns"):
            weights.holds(columns, at)
        return
    grid, holds = weights.grid(columns, at), weights.holds(columns, at)
    assert grid.shape == (channels, weights.rows(columns), columns)
    assert len(holds) == weights.rows(columns) - 1
    for channel in range(channels):
        total = 0
        for row, held in zip(grid[channel].tolist(), [(), *holds], strict=True):
            here = sum(pow(SCALARS["chi"], c, MODULUS) * value for c, value in enumerate(row))
            total = (total * monomial(held, SCALARS) + here) % MODULUS
        expected = sum(
            pow(SCALARS["chi"], j, MODULUS)
            * pow(SCALARS["psi"], int(at[t] - at.min()), MODULUS)
            * int(weights.values[channel, t, j])
            for t in range(taps)
            for j in range(outputs)
        )
        assert total == expected % MODULUS


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_positions_read_where_they_are_offset_to(grid: list[int], taps: int, seed: int) -> None:
    random, axes, size = np.random.default_rng(seed), len(grid), int(np.prod(grid))
    positions, offsets = random.integers(-2, 6, (7, axes)), random.integers(-3, 4, (taps, axes))
    found = gather_index(positions, offsets, tuple(grid))
    flat = np.arange(size).reshape(grid)
    for tap, offset in enumerate(offsets):
        for number, position in enumerate(positions):
            at = tuple((position + offset).tolist())
            inside = all(0 <= i < extent for i, extent in zip(at, grid, strict=True))
            assert found[tap, number] == (flat[at] if inside else size)
