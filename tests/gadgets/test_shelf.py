"""Shelves: what stands on one, by which number, and that nothing else can. Cells are looked up in test_path.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Overflow
from plonnx.gadgets.shelf import FIRST, numbers, shelve
from plonnx.plonk.circuit import Circuit, CircuitError
from tests.properties.models import Model, lay_out


@settings(max_examples=8)
@given(st.integers(6, 8), st.integers(1, 9), st.integers(1, 3), st.integers(0, 1 << 30))
def test_cells_and_their_numbers(bits: int, count: int, lanes: int, seed: int) -> None:
    """Of two shelves: each cell is what was put there, and no two parts have one number."""
    size, builder = 1 << bits, Builder(bits)
    x = {name: np.random.default_rng(seed).integers(1 - size, size, (1, count)) for name in "xy"}
    shelves = [shelve(builder, builder.input(name, (count,), public=False), f"shelf {name}") for name in "xy"]
    for name, cells in zip("xy", shelves, strict=True):
        builder.output(f"{name} again", cells)
    made = builder.evaluate(x)
    assert all(made[f"{name} again"].tolist() == x[name].tolist() for name in "xy")
    found = np.concatenate([numbers(builder, cells) for cells in shelves])
    assert found.tolist() == list(range(FIRST, FIRST + 4 * count, 2))
    case = lay_out(Model(builder, x), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("part", "ab")
@pytest.mark.parametrize("x", [-3, 0, 2])
def test_no_other_cell_stands_there(x: int, part: str) -> None:
    """The value that was copied has one form."""
    builder = Builder(4)
    shelve(builder, builder.input("x", (1,), public=False), "shelf")
    case = lay_out(Model(builder, {"x": np.array([[x]])}), 1, 1)
    (row,) = (place.value_rows[0, 0] for place in case.layout.places if place.name == "shelf")
    for value in range(16):
        witness = case.witness()
        column = witness.advice[f"{part}0"]
        honest, column[row] = int(column[row]), value
        found = {failure.constraint for failure in case.failures(witness)}
        assert (not found) if value == honest else "copy" in found


def test_a_shelf_has_numbers_below_the_table_size() -> None:
    builder = Builder(4)
    shelve(builder, builder.input("x", (7,)), "first")
    with pytest.raises(Overflow, match="second: 1 more cells have no numbers below 16"):
        shelve(builder, builder.input("y", (1,)), "second")


def test_entries_of_a_table_of_cells_are_of_phase_0() -> None:
    circuit = Circuit(4)
    a = circuit.advice("a")
    with pytest.raises(CircuitError, match="its entries must be fixed columns, a prover could choose them"):
        circuit.table("plain", [a()])
    circuit.table("cells", [a()], cells=True)
    with pytest.raises(CircuitError, match="or cells of phase 0"):
        circuit.table("late", [circuit.advice("late", 1)()], cells=True)


def test_cells_without_a_number_are_refused() -> None:
    """As a stranger's file may name them: x itself, a part of a shelf, or all of it in another order."""
    builder = Builder(4)
    x = builder.input("x", (2, 2))
    shelf = shelve(builder, x, "shelf").reshape(2, 2)
    for cells in (x, shelf[1:], shelf[:, ::-1]):
        with pytest.raises(ValueError, match="on no shelf"):
            numbers(builder, cells)
