"""Convolutions, functions, maxima and products: each cell changed, and forgeries that only one constraint stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from plonnx.gadgets.function import Lookup
from plonnx.gadgets.maximum import Maximum
from plonnx.gadgets.quadratic import FUSED
from plonnx.layout.fixed import Fixed
from tests.adversarial.models import functions
from tests.adversarial.subject import Integers, Subject, Unit

SUM = {"gate 'running sum ends'"}
SUBJECTS = [
    *("drawing", "wide_drawing", "grouped", "viewing", "curved", "chained"),
    *("drawing_in_few_lanes", "viewing_in_few_lanes"),
]


@pytest.fixture(params=SUBJECTS)
def each(request: pytest.FixtureRequest) -> Subject:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Subject)
    return found


def test_no_cell_of_any_gadget_can_be_changed(each: Subject) -> None:
    """a, b, c, e and d of every element and copy, up and down; free is c where there is no sum, and d."""
    joined = np.pad(each.fixed.column(FUSED), (0, each.active_rows))
    for at in each.units[0]:
        cells = each.honest_cells(at)
        for part in range(each.parts):
            for step in (1, -1):
                change = [step if i == part else 0 for i in range(each.parts)]
                witness = each.changed(at, *change)
                stays = 0 <= cells[part] + step < each.size
                used = each.summed[at.row, at.lane] if part == 2 else each.letters[part] != "d" or joined[at.row]
                free = stays and not used
                assert (each.failures(witness) == []) == free, (at, cells, change)
                assert not free or each.is_true(witness)


def test_e_moves_with_a_and_b_nowhere(each: Subject) -> None:
    """q stays what it was: the gates and the table alone fix e."""
    if each.parts == 3:
        return
    for at in each.units[0]:
        a, b, *_ = each.honest_cells(at)
        change = (1, 0, 0, -1) if b == 0 else (0, 1, 0, 1)
        if (a if b == 0 else b) + 1 < each.size:
            assert each.failures(each.changed(at, *change)), at


def test_no_multiplicity_can_be_changed(each: Subject) -> None:
    """Up to shares of rows that repeat an entry; a value outside the tables has no multiplicities at all."""
    assert each.counts
    for name in each.counts:
        for row in range(0, each.active_rows, 3):
            for step in (1, -1):
                counts = np.pad(each.honest.advice[name], (0, each.active_rows))[: each.active_rows]
                counts[row] += step
                assert each.failures(replace(each.honest, advice={**each.honest.advice, name: counts})), (name, row)


@pytest.mark.parametrize("name", ["drawing", "wide_drawing", "grouped"])
def test_no_border_term_can_be_changed(name: str, request: pytest.FixtureRequest) -> None:
    """Lanes without a position too: a term there would be one too many. A border's other rows hold none."""
    each: Subject = request.getfixturevalue(name)
    places = [p for p in each.layout.places if p.has_terms]
    assert places
    taken = {row for p in places for row in p.term_rows.tolist()}
    assert {row for at in Fixed(each.layout).borders.values() for row in np.flatnonzero(at).tolist()} == taken
    for row in range(each.layout.rows):
        for lane in range(each.layout.border_lanes):
            for difference in (1, -1, each.size):
                witness = each.bordered(row, lane, difference)
                assert bool(each.failures(witness)) == (row in taken), (row, lane)
                assert each.is_true(witness)


@pytest.mark.parametrize("name", ["drawing", "wide_drawing", "grouped"])
def test_the_last_row_of_a_border_is_free_and_harmless(name: str, request: pytest.FixtureRequest) -> None:
    """All of its cells at once, at random, on every such row: the same statement passes, and no other one does."""
    each: Subject = request.getfixturevalue(name)
    random = np.random.default_rng(1)
    ends = [p.row + p.rows - 1 for p in each.layout.places if p.has_terms]
    filled = each.honest
    for row in ends:
        for lane in range(each.layout.border_lanes):
            filled = each.bordered(row, lane, int(random.integers(1, 1 << 62)), filled)
    changed = filled.later(1, {"chi": 3})
    honest = each.honest.later(1, {"chi": 3})
    assert all(changed[column][row] != honest[column][row] for column in honest for row in ends)
    assert each.failures(filled) == []
    for at in range(len(filled.public_values)):
        public = bytearray(filled.public_values)
        public[at] ^= 1
        assert {f.constraint for f in each.failures(replace(filled, public_values=bytes(public)))} == SUM


# Wrong outputs with everything else to match ------------------------------------------------------------------------


def raised(element: int, by: int) -> Callable[[Integers], Integers]:
    def change(sums: Integers) -> Integers:
        sums[:, element] += by
        return sums

    return change


@pytest.mark.parametrize("tensor", ["y", "d"])
@pytest.mark.parametrize("name", ["drawing", "wide_drawing"])
def test_only_the_linear_check_stops_another_output(name: str, tensor: str, request: pytest.FixtureRequest) -> None:
    """Of a convolution: each element, by the least that changes its sum and by a whole; c or everything else fits."""
    each: Subject = request.getfixturevalue(name)
    (block,) = (b for b in each.builder.blocks if b.name == tensor)
    for element in range(block.count):
        for by in (1, -1, each.size):
            witness = each.forged(tensor, change=raised(element, by))
            assert {f.constraint for f in each.failures(witness)} == SUM, (element, by)
        assert not each.is_true(each.forged("y", change=raised(element % 18, each.size)))


@pytest.mark.parametrize("tensor", ["y", "z"])
def test_only_the_linear_check_stops_another_output_of_a_group(grouped: Subject, tensor: str) -> None:
    (block,) = (b for b in grouped.builder.blocks if b.name == tensor)
    for element in range(block.count):
        assert {f.constraint for f in grouped.failures(grouped.forged(tensor, change=raised(element, 1)))} == SUM


@pytest.mark.parametrize("name", ["drawing", "grouped"])
def test_outputs_that_compensate_each_other_are_stopped(name: str, request: pytest.FixtureRequest) -> None:
    """One more on an element and one less on another: of one row, one channel, one position, neighbours in lin."""
    each: Subject = request.getfixturevalue(name)
    (block,) = (b for b in each.builder.blocks if b.name == "y")
    for element in range(block.count):
        for other in range(element):

            def change(sums: Integers, pair: tuple[int, int] = (element, other)) -> Integers:
                sums[:, pair[0]] += 1
                sums[:, pair[1]] -= 1
                return sums

            assert {f.constraint for f in each.failures(each.forged("y", change=change))} == SUM


@pytest.mark.parametrize("name", ["drawing", "wide_drawing"])
def test_another_kernel_is_stopped(name: str, request: pytest.FixtureRequest) -> None:
    """Other weights, border terms to fit; the taps moved by one; the opposite weights in groups; another bias."""
    each: Subject = request.getfixturevalue(name)
    y, d = (next(b for b in each.builder.blocks if b.name == tensor) for tensor in "yd")
    other = y.weights.copy()  # type: ignore[attr-defined]
    other[1, 3, 0] += 1
    forged = [
        each.forged("y", weights=other),
        each.forged("y", offsets=y.offsets + np.array([0, 1])),  # type: ignore[attr-defined]
        each.forged("y", bias=y.bias + np.array([0, 1])),  # type: ignore[attr-defined]
        each.forged("d", weights=-d.weights),  # type: ignore[attr-defined]
    ]
    for witness in forged:
        assert {f.constraint for f in each.failures(witness)} == SUM


def test_an_input_that_is_zero_outside_its_grid_has_no_other_value_there(drawing: Subject) -> None:
    """The idle lane of a row of three: what stands there is in no output."""
    place = drawing.place("x")
    idle = [at for at in drawing.units[1] if at.row in place.value_rows]
    assert idle
    for at in idle:
        for value in (1, 31):
            assert drawing.failures(drawing.changed(at, value)) == []
            assert drawing.is_true(drawing.changed(at, value))


# Functions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tensor", ["d", "g"])
def test_only_the_functions_table_stops_another_value(drawing: Subject, tensor: str) -> None:
    """Of a fused function and of a lookup: any other value, the right one of the other function among them."""
    (block,) = (b for b in drawing.builder.blocks if b.name == tensor)
    function = block.function  # type: ignore[attr-defined]
    other = next(f for f in functions() if f.name != function.name)
    at = drawing.unit(f"{tensor}[0]")
    a, b, _, e = drawing.honest_cells(at)
    q = a - b + e
    wrong = {v for v in range(-31, 32) if v != a - b}
    assert other.low <= q <= other.high and int(other(np.array(q))) in wrong
    for value in wrong:
        values = function.values.copy()
        values[q - function.low] = value
        witness = drawing.forged(tensor, function=type(function)(function.name, function.low, values))
        found = {f.constraint for f in drawing.failures(witness)}
        assert found <= {f"lookup 'lane {lane} applies its function'" for lane in range(drawing.lanes)} | SUM
        assert found - SUM


def test_the_other_function_is_not_this_one(drawing: Subject) -> None:
    """Everywhere at once, with a tag that says which is meant."""
    square, _ = functions()
    swapped = drawing.forged("g", function=square)
    assert not drawing.is_true(swapped)
    assert any("applies its function" in failure.constraint for failure in drawing.failures(swapped))


def test_an_argument_outside_the_domain_has_no_value(drawing: Subject) -> None:
    """`falling` starts at 0: for -1 no value passes, whatever the multiplicities."""
    (block,) = (b for b in drawing.builder.blocks if isinstance(b, Lookup))
    at = drawing.unit(f"{block.name}[0]")
    cells = drawing.cells(drawing.honest)
    for value in range(-31, 32):
        for argument in (-1, 32, -31):
            cells[at.row, at.lane] = max(value, 0), max(-value, 0), 0, argument - value
            found = {f.constraint for f in drawing.failures(drawing.witness(cells))}
            assert f"lookup 'lane {at.lane} applies its function'" in found


# Polynomials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tensor", ["layer", "total", "r"])
def test_its_gate_stops_another_value_of_a_polynomial(curved: Subject, tensor: str) -> None:
    """Of a sum and of a copy: other values with q as it is, and with what rounding would leave, modulo T."""
    (block,) = (b for b in curved.builder.blocks if b.name == tensor)
    at, letter = curved.unit(f"{tensor}[1]"), "c" if isinstance(block, Lookup) else "d"
    honest = curved.cells(curved.honest)
    a, b, _, e, _ = honest[at.row, at.lane].tolist()
    gate = f"gate 'lane {at.lane}: the polynomial'"
    for value in {*range(-31, 32, 5), a - b - 1, a - b + 1} - {a - b}:
        for rest in (0, curved.size - 1, honest[at.row, at.lane, curved.letters.index(letter)]):
            cells = honest.copy()
            cells[at.row, at.lane, :2] = max(value, 0), max(-value, 0)
            cells[at.row, at.lane, 3] = a - b + e - value
            cells[at.row, at.lane, curved.letters.index(letter)] = rest
            found = {failure.constraint for failure in curved.failures(curved.witness(cells))}
            assert gate in found, (value, rest)
            assert found <= {gate, "copy", "gate 'permutation product ends'"} | SUM, "what else depends on the value"


# Maxima --------------------------------------------------------------------------------------------------------------


def rows_of(subject: Subject, tensor: str, element: int) -> tuple[list[int], int]:
    """The rows of one maximum, from the first candidate to the result, and its lane."""
    at = subject.unit(f"{tensor}[{element}]")
    stride = subject.place(tensor).stride
    return list(range(at.row - stride + 1, at.row + 1)), at.lane


@pytest.mark.parametrize(("name", "tensor"), [("drawing", "m"), ("viewing", "ties"), ("viewing", "below")])
def test_only_the_largest_candidate_passes(name: str, tensor: str, request: pytest.FixtureRequest) -> None:
    """Any other value: in the result alone, and with every choice of running maxima above it."""
    each: Subject = request.getfixturevalue(name)
    (block,) = (b for b in each.builder.blocks if b.name == tensor)
    assert isinstance(block, Maximum)
    for element in range(block.count):
        rows, lane = rows_of(each, tensor, element)
        honest = each.cells(each.honest)
        taken = (honest[rows, lane, 0] - honest[rows, lane, 1] + honest[rows, lane, 3]).tolist()
        candidates, largest = taken[:-1], max(taken[:-1])
        for wrong in {*candidates, largest + 1, largest - 1} - {largest}:
            for start in range(1, len(rows)):
                cells = honest.copy()
                for row, candidate in zip(rows[start:-1], candidates[start:], strict=True):
                    step = candidate - wrong  # from `start` on, the prover says that the maximum so far is `wrong`
                    cells[row, lane] = max(step, 0), max(-step, 0), 0, wrong
                cells[rows[-1], lane] = max(wrong, 0), max(-wrong, 0), 0, wrong
                found = {f.constraint for f in each.failures(each.witness(cells))}
                assert f"gate 'lane {lane}: the maximum starts'" in found, (element, wrong, start)
            cells = honest.copy()
            cells[rows[-1], lane, :2] = max(wrong, 0), max(-wrong, 0)
            found = {f.constraint for f in each.failures(each.witness(cells))}
            assert f"gate 'lane {lane}: the maximum is stated'" in found


def test_a_candidate_is_the_one_that_is_copied(viewing: Subject) -> None:
    """A maximum of other candidates is one, but not of these."""
    (block,) = (b for b in viewing.builder.blocks if b.name == "below")
    assert isinstance(block, Maximum)
    witness = viewing.forged("below", candidates=block.candidates[:, [1, 0, 2]])
    assert not viewing.is_true(witness)
    assert viewing.failures(witness)
    rows, lane = rows_of(viewing, "below", 0)
    cells = viewing.cells(viewing.honest)
    cells[rows[0], lane] = 31, 0, 0, 0
    cells[rows[1], lane, :2], cells[rows[1], lane, 3] = (0, 31 + 6), 31
    assert {"copy"} <= {f.constraint for f in viewing.failures(viewing.witness(cells))}


# Products ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["drawing", "wide_drawing"])
def test_only_the_product_passes(name: str, request: pytest.FixtureRequest) -> None:
    """Another value, another rounding, another factor, a unit below that is not empty."""
    each: Subject = request.getfixturevalue(name)
    for element in range(8):
        at = each.unit(f"p[{element}]")
        a, b, _, _ = each.honest_cells(at)
        gate = f"gate 'lane {at.lane}: the product'"
        for value in range(-31, 32):
            if value != a - b:
                change = (max(value, 0) - a, max(-value, 0) - b, 0, a - b - value)
                assert gate in {f.constraint for f in each.failures(each.changed(at, *change))}
        for step in (1, -1, 2):
            assert gate in {f.constraint for f in each.failures(each.changed(at, 0, 0, step))}
        below = Unit(at.row + 1, at.lane, "")
        assert each.failures(each.changed(below, 1, 0, 0, -1)), "the second factor is e alone"
        assert each.failures(each.changed(below, 0, 1, 0, 1))
    assert each.failures(each.forged("p", multiplier=2))
