"""Fixed columns for lanes: marks, masks that lanes share, weights of lanes in powers of psi."""

from __future__ import annotations

import numpy as np

from plonnx.gadgets import unit
from plonnx.gadgets.lanes import Lanes, distinct
from plonnx.plonk.circuit import Circuit

ROWS = 11
MARKS = {"one": np.array([1, 0, 1]), "same": np.array([1, 0, 1, 0, 0]), "none": np.zeros(4, np.int64)}


def lanes(count: int) -> Lanes:
    circuit = Circuit(4)
    units = unit.add_lanes(circuit, count, 4, ROWS)
    return Lanes(circuit, units, 4, ROWS, lambda name: MARKS.get(name, np.zeros(1, np.int64)))


def test_a_mark_is_a_column_or_zero() -> None:
    """Equal marks are one column, known by both names; a mark of zeros is no column."""
    made = lanes(1)
    fixed = len(made.circuit.fixed_columns)
    assert made.mark("none") == made.mark("unheard of") == 0
    assert made.mark("one") == made.mark("same") == made.circuit.aliases["same"]()
    assert len(made.circuit.fixed_columns) == fixed + 1


def test_lanes_are_weighted_in_descending_powers_of_psi() -> None:
    made = lanes(3)
    a = [each.a() for each in made.units]
    psi = made.psi
    assert made.weigh(a) == psi**2 * a[0] + psi * a[1] + a[2]
    assert made.weigh(a, [0, 2]) == psi**2 * a[0] + a[2]
    assert made.weigh(a, []) == 0


def test_masked_sums_share_the_masks() -> None:
    made = lanes(3)
    a, mask, other = [each.a() for each in made.units], np.array([0, 1]), np.array([1, 1])
    fixed = len(made.circuit.fixed_columns)
    found = made.masked({1: distinct([mask, other, mask.copy()])}, a, "mask")
    assert len(made.circuit.fixed_columns) == fixed + 2
    first, second = (made.circuit.shared_fixed("mask", values)() for values in (mask, other))
    assert (found - first * made.weigh(a, [0, 2]) - second * made.weigh(a, [1])).expand() == 0
    apart = made.masked({3: distinct([mask] * 3)}, a, "mask")
    assert (apart - first * made.weigh(a, spacing=3)).expand() == 0
    assert made.masked({}, a, "mask") == 0


def test_distinct_columns_are_told_apart_by_content() -> None:
    columns = [np.array([1, 0]), np.array([0, 0]), np.array([0, 1]), np.array([1, 0])]
    assert [(column.tolist(), on) for column, on in distinct(columns)] == [([1, 0], [0, 3]), ([0, 1], [2])]
    assert distinct([]) == []
