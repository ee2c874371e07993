"""Rescaling of exact sums, and functions that are applied in the unit of a sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Function, unit
from plonnx.gadgets.gadget import Given
from plonnx.gadgets.linear.sum import Sum


@pytest.mark.parametrize(
    ("y", "expected"), [(7, 0), (8, 1), (-8, 0), (-9, -1), (23, 1), (24, 2), (-24, -1), (-25, -2), (0, 0), (16, 1)]
)
def test_halves_are_rounded_up(y: int, expected: int) -> None:
    builder = Builder(4)
    x = builder.input("x", (1,))
    cells = builder.sum([(x, 1)], np.array([y - 5]), "y")
    assert builder.read(builder.run({"x": np.array([[5]])}), cells).tolist() == [[expected]]


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(), st.booleans()), min_size=1, max_size=20), st.booleans())
def test_fill_gives_the_one_solution(bits: int, drawn: list[tuple[int, bool]], applied: bool) -> None:
    """Of y = T (a - b + e) + c - T/2 on lanes with a sum; others hold zeros, or a row of the function's table."""
    size = 1 << bits
    quotients = np.array([[v % (2 * size - 1) - size + 1 for v, _ in drawn]])
    rests = np.array([[v % size for v, _ in drawn]])
    present = np.array([[on for _, on in drawn]])
    sums = np.where(present, quotients * size + rests - (size >> 1), 0)  # every sum that is rounded to the value
    assert (((sums + (size >> 1)) >> bits == quotients) | ~present).all()
    function = Function("f", 1 - size, np.roll(np.arange(1 - size, size), 5)) if applied else None
    values = np.where(present, function(quotients) if function else quotients, 0)
    gadget = Sum("y", 0, len(drawn), function, np.zeros((0, len(drawn)), np.int64), (), None)
    (held,) = gadget.fill(Given(values[None], sums[None], (), present[None], size))
    taken, shown, rest = (np.asarray(cells)[0] for cells in held)
    columns = unit.columns(taken, shown, rest, True)
    for lane, on in enumerate(present[0]):
        a, b, c, e = (int(columns[f"{part}{lane}"][0]) for part in "abce")
        assert a >= 0 and b >= 0 and a * b == 0 and 0 <= c < size and a + b < size
        if on:
            assert size * (a - b + e) + c - size // 2 == sums[0, lane]
            assert (a - b, c) == (values[0, lane], rests[0, lane])
        if function is None:
            assert e == 0 and (on or (a, b, c) == (0, 0, 0))
        else:
            assert a - b == function(np.array(a - b + e))
