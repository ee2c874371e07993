"""The unit, exhaustively at small T: exactly a + b and c in [0, T) with a b = 0 pass. Its columns and its table."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.gadgets import unit
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.prover import Witness
from plonnx.plonk.structure import blinding_rows

Integers = NDArray[np.int64]
K, ROWS = 4, 11
SIZE = 4
SUM = "gate 'running sum ends'"
COUNTS = column_name(unit.range_name(SIZE), 0)


def lane(extended: Integers | None = None) -> Circuit:
    """One lane and nothing else."""
    circuit = Circuit(K)
    unit.add_lanes(circuit, 1, SIZE, ROWS, extended)
    return circuit


def counts(*looked_up: int) -> Integers:
    """The multiplicities of these on the first row and of zeros below, of what is in the table."""
    found = np.bincount([value for value in looked_up if 0 <= value < SIZE], minlength=SIZE)
    found[0] += len(looked_up) * (ROWS - 1)
    return found


def failing(circuit: Circuit, **cells: int) -> set[str]:
    """The constraints that fail on the first row; the other rows are zero."""
    advice = {f"{part}0": np.array([cell]) for part, cell in cells.items()}
    made = Witness({**advice, COUNTS: counts(cells["a"] + cells["b"], cells["c"])}, b"")
    found = MockProver(circuit).failures(made)
    assert all(failure.row == 0 for failure in found if failure.constraint != SUM)
    return {failure.constraint for failure in found}


def wrong(a: int, b: int, c: int) -> set[str]:
    """What must fail."""
    found = {f"lookup 'a0 + b0 is in [0, {SIZE})'"} if not 0 <= a + b < SIZE else set()
    found |= {f"lookup 'c0 is in [0, {SIZE})'"} if not 0 <= c < SIZE else set()
    found |= {SUM} if found else set()  # the lookup again, as logUp's sum
    return found | ({"gate 'a0 or b0 is zero'"} if a * b else set())


def test_the_tables_rows_are_the_active_ones() -> None:
    circuit = lane()
    circuit.finish()
    assert circuit.n - blinding_rows(circuit) == ROWS


def test_a_unit_is_in_range_with_one_part_zero() -> None:
    """Every a, b, c of -1 .. T: each that is wrong fails by the very constraint that is there for it, and no other."""
    circuit, passed = lane(), set()
    for a, b, c in itertools.product(range(-1, SIZE + 1), repeat=3):
        found = failing(circuit, a=a, b=b, c=c)
        assert found == wrong(a, b, c), (a, b, c)
        passed |= {(a, b, c)} if not found else set()
    values = [(v, 0) for v in range(SIZE)] + [(0, v) for v in range(1, SIZE)]
    assert passed == {(a, b, c) for a, b in values for c in range(SIZE)}
    assert sorted(a - b for a, b in values) == list(range(1 - SIZE, SIZE))  # one unit for every value


def test_the_sum_in_range_does_not_make_up_for_the_product() -> None:
    """Parts far outside whose sum is in the table: the lookups accept them, the gate alone does not."""
    circuit = lane()
    for total in range(SIZE):
        for a in (*range(-2 * SIZE, 3 * SIZE), 1 << 40, -(1 << 40), (1 << 62) - 1):
            b = total - a
            found = failing(circuit, a=a, b=b, c=0)
            assert found == ({"gate 'a0 or b0 is zero'"} if a and b else set()), (a, b)


@pytest.mark.parametrize("extended", [False, True])
def test_e_is_zero_where_no_gadget_frees_it(extended: bool) -> None:
    circuit = lane(np.array([1 if extended else 0, 1]))
    for e in range(-2, 3):
        found = failing(circuit, a=0, b=2, c=1, e=e)
        assert found == (set() if extended or e == 0 else {"gate 'e0 is zero'"})


def test_a_lane_takes_two_lookups_and_a_gate() -> None:
    circuit = Circuit(K)
    unit.add_lanes(circuit, 3, SIZE, ROWS)
    assert (len(circuit.lookups), len(circuit.gates)) == (6, 3)
    assert len(circuit.tables) == 1
    assert list(circuit.advice_names) == [*(f"{part}{each}" for each in range(3) for part in "abc"), COUNTS]


# The table -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 8, 10, 11, 12, 22, 23, 64])
def test_the_range_table_in_parts_holds_0_to_t(size: int) -> None:
    """As a + b and as c: what is in the table passes with its multiplicity, whatever is outside has none."""
    circuit = Circuit(K)
    unit.add_lanes(circuit, 1, size, ROWS)
    mock = MockProver(circuit)
    zeros, x = np.zeros(4, np.int64), np.array([0, size - 1, size // 2, 1])
    for value in (-2, -1, 0, 1, ROWS - 1, ROWS, ROWS + 1, size - 1, size, size + 1, 2 * ROWS):
        column = np.r_[value, x[1:]]
        found = np.bincount(column[(column >= 0) & (column < size)], minlength=size)
        found[0] += 4 + 2 * (ROWS - 4)
        parts = {
            column_name(unit.range_name(size), part): counted
            for part, counted in enumerate(unit.count_parts(found, ROWS))
        }
        for part in "abc":
            witness = Witness({"a0": zeros, "b0": zeros, "c0": zeros, **parts, f"{part}0": column}, b"")
            assert (mock.failures(witness) == []) == (0 <= value < size), (part, value)


def test_full_parts_share_the_row_numbers() -> None:
    circuit = Circuit(K)
    unit.add_lanes(circuit, 1, 3 * ROWS, ROWS)
    assert list(circuit.fixed_names) == [unit.ROW]
    assert len(circuit.tables[0].parts) == 3


# The columns ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 3), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_columns_of_units(bits: int, lanes: int, extended: bool, seed: int) -> None:
    """a - b = v with one part zero, a - b + e = q, and every lookup counted in full."""
    size, random, active = 1 << bits, np.random.default_rng(seed), 9
    rows = int(random.integers(1, active + 1))
    values, rest = random.integers(1 - size, size, (rows, lanes)), random.integers(0, size, (rows, lanes))
    taken = random.integers(1 - size, size, (rows, lanes)) if extended else values
    columns = unit.columns(taken, values, rest, extended)
    assert set(columns) == {f"{part}{lane}" for part in ("abce" if extended else "abc") for lane in range(lanes)}
    for lane in range(lanes):
        a, b, c = (columns[f"{part}{lane}"] for part in "abc")
        assert ((a >= 0) & (b >= 0) & (a * b == 0) & (a - b == values[:, lane])).all()
        assert (c == rest[:, lane]).all()
        if extended:
            assert (a - b + columns[f"e{lane}"] == taken[:, lane]).all()
    counted = Counter(
        int(value)
        for lane in range(lanes)
        for looked_up in (columns[f"a{lane}"] + columns[f"b{lane}"], columns[f"c{lane}"])
        for value in np.pad(looked_up, (0, active - rows))
    )
    found = unit.range_multiplicities(values, rest, size, active)
    name = unit.range_name(size)
    assert list(found) == [column_name(name, part) for part in range(-(-size // active))]
    assert np.concatenate(list(found.values())).tolist() == [counted[value] for value in range(size)]


@pytest.mark.parametrize(("value", "rest"), [(4, 0), (-4, 0), (0, 4), (0, -1)])
def test_cells_outside_the_table_have_no_multiplicities(value: int, rest: int) -> None:
    with pytest.raises(ValueError, match=r"a cell of a unit is outside \[0, 4\)"):
        unit.range_multiplicities(np.array([[value]]), np.array([[rest]]), SIZE, ROWS)
