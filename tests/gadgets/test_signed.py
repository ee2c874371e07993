"""Signed cells, exhaustively at small T: exactly v in (-T, T) and c in [0, T) pass; which circuits have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Cells, unit
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.window import largest
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.shelf import shelve
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.file import _kinds
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.prover import Witness
from plonnx.plonk.structure import blinding_rows

Integers = NDArray[np.int64]
K, ROWS = 4, 11
SUM = "gate 'running sum ends'"


def lane(size: int, extended: Integers | None = None) -> Circuit:
    """One lane and nothing else."""
    circuit = Circuit(K)
    unit.add_lanes(circuit, 1, size, ROWS, extended, signed=True)
    return circuit


def counts(size: int, v: int, c: int, switched: bool = False) -> dict[str, Integers]:
    """The columns of multiplicities of these on the first row and of zeros below, of what is in the table.

    switched: counted as if the table of v were that of c, and the other way round.
    """
    found = np.zeros(unit.signed_entries(size), np.int64)
    found[[0, 2 * size - 1]] += ROWS - 1
    for value, kind in ((c, switched), (v + size - 1, not switched)):
        if 0 <= value < (2 * size - 1 if kind else size):
            found[value + size * kind] += 1
    parts = unit.count_parts(found, ROWS)
    return {column_name(unit.range_name(size), part): counted for part, counted in enumerate(parts)}


@pytest.mark.parametrize("size", [2, 4, 8])
def test_v_and_c_are_in_their_ranges(size: int) -> None:
    """Every v and c from -2 T to 2 T: each that is wrong fails by the very lookup that is there for it, and no other.

    -T is refused as T is. With the largest table an entry stands in each of three parts.
    """
    circuit, passed = lane(size), set()
    mock = MockProver(circuit)
    for v in (*range(-2 * size, 2 * size + 1), 1 << 40, -(1 << 40)):
        for c in range(-2 * size, 2 * size + 1):
            advice = {"a0": np.array([v]), "c0": np.array([c])}
            failures = mock.failures(Witness({**advice, **counts(size, v, c)}, b""))
            found = {failure.constraint for failure in failures}
            wrong = {f"lookup 'a0 is in (-{size}, {size})'"} if abs(v) >= size else set()
            wrong |= {f"lookup 'c0 is in [0, {size})'"} if not 0 <= c < size else set()
            assert found == wrong | ({SUM} if wrong else set()), (v, c)
            passed |= set() if found else {(v, c)}
    assert passed == {(v, c) for v in range(1 - size, size) for c in range(size)}


def test_what_is_looked_up_as_v_is_no_entry_for_c() -> None:
    """c of [T, 2 T - 1) stands in the table as v + T - 1 does, of the other kind: no counts make up for it."""
    mock = MockProver(lane(4))
    for c in range(4, 7):
        for switched in (False, True):
            made = Witness({"a0": np.array([0]), "c0": np.array([c]), **counts(4, 0, c, switched)}, b"")
            assert {failure.constraint for failure in mock.failures(made)} >= {"lookup 'c0 is in [0, 4)'", SUM}


@pytest.mark.parametrize("extended", [False, True])
def test_e_is_zero_where_no_gadget_frees_it(extended: bool) -> None:
    mock = MockProver(lane(4, np.array([1 if extended else 0, 1])))
    for e in range(-2, 3):
        made = Witness({"a0": np.array([-2]), "c0": np.array([1]), "e0": np.array([e]), **counts(4, -2, 1)}, b"")
        found = {failure.constraint for failure in mock.failures(made)}
        assert found == (set() if extended or e == 0 else {"gate 'e0 is zero'"})


def test_a_lane_takes_two_cells_two_lookups_and_no_gate() -> None:
    circuit = Circuit(K)
    unit.add_lanes(circuit, 3, 4, ROWS, signed=True)
    assert (len(circuit.lookups), len(circuit.gates), len(circuit.tables)) == (6, 0, 1)
    counted = column_name(unit.range_name(4), 0)
    assert list(circuit.advice_names) == [*(f"{part}{each}" for each in range(3) for part in "ac"), counted]
    circuit.finish()
    assert circuit.n - blinding_rows(circuit) == ROWS


@pytest.mark.parametrize("size", range(1, 50))
def test_the_table_in_parts(size: int) -> None:
    """Its entries are the pairs, each once, but for (0, 0), which fills the last part; columns are as few as can be."""
    circuit = Circuit(K)
    table = unit.add_signed_table(circuit, size, ROWS)
    found: Counter[tuple[int, int]] = Counter()
    for part in table.parts:
        columns = [_on_rows(circuit, entry) for entry in part]
        found.update(zip(*columns, strict=True))
    pairs = {(i, 0) for i in range(size)} | {(i, 1) for i in range(2 * size - 1)}
    assert set(found) == pairs
    assert {pair for pair, times in found.items() if times > 1} <= {(0, 0)}
    assert len(table.parts) == -(-(3 * size - 1) // ROWS)
    assert len(circuit.fixed_names) <= 4 and len(set(circuit.fixed_names)) >= len(circuit.fixed_names) - 1


def _on_rows(circuit: Circuit, entry: Any) -> list[int]:
    """The values of an entry of the table on the active rows."""
    columns = [np.pad(column.values, (0, ROWS))[:ROWS] for column in circuit.fixed_columns]
    symbols = {symbol: columns[symbol.slot.index] for symbol in entry.free_symbols}
    return [int(entry.subs({s: int(column[row]) for s, column in symbols.items()})) for row in range(ROWS)]


@given(st.integers(1, 12), st.integers(1, 3), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_columns_of_units(bits: int, lanes: int, extended: bool, seed: int) -> None:
    """a = v, a + e = q, and every lookup counted in full, v behind c."""
    size, random, active = 1 << bits, np.random.default_rng(seed), 9
    rows = int(random.integers(1, active + 1))
    values, rest = random.integers(1 - size, size, (rows, lanes)), random.integers(0, size, (rows, lanes))
    taken = random.integers(1 - size, size, (rows, lanes)) if extended else values
    columns = unit.columns(taken, values, rest, extended, signed=True)
    assert set(columns) == {f"{part}{lane}" for part in ("ace" if extended else "ac") for lane in range(lanes)}
    counted: Counter[tuple[int, int]] = Counter()
    for lane in range(lanes):
        a, c = (columns[f"{part}{lane}"] for part in "ac")
        assert (a == values[:, lane]).all() and (c == rest[:, lane]).all()
        assert not extended or (a + columns[f"e{lane}"] == taken[:, lane]).all()
        for cell, kind in ((a + size - 1, 1), (c, 0)):
            beyond = [(size - 1) * kind] * (active - rows)
            counted.update((int(value), kind) for value in (*cell.tolist(), *beyond))
    found = unit.range_multiplicities(values, rest, size, active, signed=True)
    parts = -(-unit.signed_entries(size) // active)
    assert list(found) == [column_name(unit.range_name(size), part) for part in range(parts)]
    pairs = [*((i, 0) for i in range(size)), *((i, 1) for i in range(2 * size - 1))]
    assert np.concatenate(list(found.values())).tolist() == [counted[pair] for pair in pairs]


@pytest.mark.parametrize(("value", "rest"), [(4, 0), (-4, 0), (0, 4), (0, -1)])
def test_cells_outside_the_table_have_no_multiplicities(value: int, rest: int) -> None:
    with pytest.raises(ValueError, match=r"a cell of a unit is outside \[0, 4\)"):
        unit.range_multiplicities(np.array([[value]]), np.array([[rest]]), 4, ROWS, signed=True)


# Which circuits have them --------------------------------------------------------------------------------------------


MODELS: dict[str, tuple[Callable[[Builder, Cells], Cells], bool]] = {
    "layer": (lambda b, x: b.linear(x, np.ones((4, 2), np.int64), None, "y"), True),
    "product": (lambda b, x: multiply(b, x, x, 1, "y"), True),
    "squares": (lambda b, x: square_sum(b, x, 1, "y"), True),
    "layer of a ReLU": (lambda b, x: b.linear(b.relu(x, "r"), np.ones((4, 2), np.int64), None, "y"), False),
    "sum of a ReLU": (lambda b, x: b.sum([(b.relu(x, "r"), 1)], None, "y"), False),
    "product of a ReLU": (lambda b, x: multiply(b, x, b.relu(x, "r"), 1, "y"), False),
    "ReLU as an output": (lambda b, x: b.relu(x, "y"), False),
    "maximum": (lambda b, x: maximum(b, [Cells(x.refs, -3, 3)] * 2, "y"), False),
    "pool": (lambda b, x: largest(b, Cells(x.refs, -3, 3), [np.arange(2)], [2], (2,), "y"), False),
    "comparison": (lambda b, x: compare(b, Cells(x.refs, -3, 3), Cells(x.refs, -3, 3), "y"), False),
    "shelf": (lambda b, x: shelve(b, x[0], "y"), False),
    "magnitudes": (lambda b, x: magnitude_sum(b, x, 1, "y"), False),
}


@pytest.mark.parametrize("name", MODELS)
def test_who_reads_parts_has_cells_for_them(name: str) -> None:
    """And who says that it does not: its circuit asks no signed cell for a part (it would not be declared)."""
    make, signed = MODELS[name]
    builder = Builder(5)
    builder.output("y", make(builder, builder.input("x", (4, 4))))
    layout = Layout(builder, Shape(8, 2, 2, 3))
    assert builder.reads_parts != signed
    assert layout.signed(layout.shape.active_rows) == signed
    circuit = arithmetize(layout, name, layout.tensors)
    assert ("b0" in circuit.advice_names) != signed
    layout.reads_parts = False  # if the builder did not know
    if not signed:
        with pytest.raises(AssertionError, match="signed cells"):
            arithmetize(layout, name, layout.tensors)


def test_a_gadget_reads_parts_unless_it_says_otherwise() -> None:
    whole = {"input", "lookup", "keyed", "product", "product sum", "select", "embedding", "standing rows"}
    assert Gadget.reads_parts
    for name, kind in _kinds().items():
        own = kind.equations and name != "magnitude sum"
        assert kind.reads_parts == (name not in whole and not own), name


def test_signed_cells_have_no_parts() -> None:
    (only,) = unit.add_lanes(Circuit(K), 1, 4, ROWS, signed=True)
    for part in (only.positive, only.negative):
        with pytest.raises(AssertionError, match="signed cells show no"):
            part()


@pytest.mark.parametrize(
    ("lanes", "size", "rows", "less"),
    [(1, 4, 11, True), (1, 4, 10, False), (2, 4, 10, False), (3, 4, 10, True), (4, 16, 27, True), (2, 16, 16, False)],
)
def test_more_parts_of_the_range_want_more_lanes(lanes: int, size: int, rows: int, less: bool) -> None:
    """3 T - 1 entries instead of T: with no further part any lane saves a cell, with one it takes three lanes."""
    assert unit.signed_is_less(lanes, size, rows) == less
