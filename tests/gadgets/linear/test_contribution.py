"""The weights of a contribution in rows of any number of columns: Horner's rule over them gives the kernel's sum."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets.linear.contribution import Lines, Weights, gather_index
from plonnx.plonk.program import MODULUS, monomial

CHI, PSI = 3**80, 5**60
SCALARS = {"chi": CHI, "psi": PSI, "1/psi": pow(PSI, -1, MODULUS)}


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 8), st.integers(1, 3), st.integers(0, 999))
def test_horner_over_the_rows_is_the_sum(taps: int, outputs: int, columns: int, channels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(-99, 99, (channels, taps, outputs))
    at = random.integers(-20, 20, taps)
    weights = Weights(values, at[:, None])
    grid, holds = weights.grid(columns, at, values), weights.holds(columns, at)
    assert grid.shape == (channels, weights.rows(columns), columns)
    assert len(holds) == weights.rows(columns) - 1
    for channel in range(channels):
        total = 0
        for row, hold in zip(grid[channel].tolist(), [*holds, ()], strict=True):
            here = sum(pow(CHI, c, MODULUS) * w for c, w in enumerate(row))
            total = (total + here) * monomial(hold, SCALARS) % MODULUS
        expected = sum(
            pow(CHI, o, MODULUS) * pow(PSI, int(at[t] - at.min()), MODULUS) * int(values[channel, t, o])
            for t in range(taps)
            for o in range(outputs)
        )
        assert total == expected % MODULUS


@given(st.sets(st.tuples(st.integers(-2, 2), st.integers(-3, 3)), min_size=1, max_size=9), st.integers(0, 999))
def test_a_row_of_lines_holds_the_taps_of_a_line(offsets: set[tuple[int, int]], seed: int) -> None:
    random, taps = np.random.default_rng(seed), np.array(sorted(offsets))[:, ::1]
    taps = taps[random.permutation(len(taps))]
    values, at = random.integers(-99, 99, (2, len(taps), 1)), taps @ np.array([9, 1])
    weights = Lines(values, taps, 2)
    grid, holds, beside = weights.grid(3, at, values), weights.holds(3, at), weights.beside(at)
    assert grid.shape == (2, weights.rows(3), 3)
    assert weights.rows(3) == len({line for line, _ in offsets})
    for channel in range(2):
        total = 0
        for row, hold in enumerate([*holds, ()]):
            further = {p: int(found[row]) for p, found in beside.items() if found[row] >= 0}
            here = int(grid[channel, row, 0]) + sum(
                pow(PSI, p, MODULUS) * int(values[channel, t, 0]) for p, t in further.items()
            )
            total = (total + here) * monomial(hold, SCALARS) % MODULUS
        least = int(at.min())
        expected = sum(
            pow(PSI, int(a) - least, MODULUS) * int(w) for a, w in zip(at, values[channel, :, 0], strict=True)
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
