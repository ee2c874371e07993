"""Every cell that a prover chooses, changed in many ways: only what docs/gadgets.md calls free passes.

A forged witness that passes must at least be true of its public values (`Subject.is_true`).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.compiler.explain import wrong_sums
from plonnx.gadgets.blocks import Sum
from plonnx.plonk.prover import Witness
from tests.adversarial.subject import Subject, Unit

HUGE = 1 << 61


def changes(a: int, b: int, c: int, size: int) -> set[tuple[int, int, int]]:
    """What a forger adds to the cells of a unit."""
    steps = {(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)}
    beyond = {(size, 0, 0), (-size, 0, 0), (0, size, 0), (0, 0, size), (0, 0, -size), (HUGE, 0, 0), (0, 0, -HUGE)}
    both = {(1, 1, 0), (2, 2, 0), (size, size, 0), (HUGE, HUGE, 0), (-1, -1, 0)}
    rounding = {(1, 0, -size), (-1, 0, size), (0, 1, size), (0, -1, -size)}  # the same exact sum
    signs = {(b - a, a - b, 0), (-2 * a, 0, 0), (0, -2 * b, 0), (-a - b, -a - b, 0)}
    zero = {(-a, 0, 0), (0, -b, 0), (0, 0, -c)}
    return (steps | beyond | both | rounding | signs | zero) - {(0, 0, 0)}


def in_range(subject: Subject, cells: tuple[int, int, int]) -> bool:
    return all(0 <= cell < subject.size for cell in cells) and cells[0] * cells[1] == 0


def test_the_honest_witness_passes(subject: Subject, copying: Subject, repeating: Subject, idling: Subject) -> None:
    for each in (subject, copying, repeating, idling):
        assert each.failures(each.honest) == []
        assert each.failures(each.witness(each.cells(each.honest))) == []
        assert each.is_true(each.honest)


def test_the_subject_uses_every_gadget(subject: Subject) -> None:
    places = subject.layout.places
    assert any(p.reader and p.reader.positive.all() for p in places)
    assert any(p.reader and p.reader.block.weights.shape[1] > 2 for p in places)
    assert any(p.repeated for p in places)
    assert any(p.name.startswith("copy") for p in places)
    assert any(p.above for p in places)
    assert any(p.claims == {True} for p in places)
    assert any(p.lanes < subject.lanes for p in places)


@pytest.mark.parametrize("tensor", ["x", "hidden", "unread", "dense", "wide", "again", "repeated", "mixed", "varied"])
def test_no_cell_of_a_tensor_can_be_changed(subject: Subject, tensor: str) -> None:
    """Copies and operands of sums too. Free are c where there is no sum, and an input that nothing reads."""
    occupied, _ = subject.units()
    units = [at for at in occupied if at.of.startswith(f"{tensor}[")]
    assert units
    for at in units:
        cells = subject.honest_cells(at)
        for change in changes(*cells, subject.size):
            witness = subject.changed(at, *change)
            now = tuple(cell + more for cell, more in zip(cells, change, strict=True))
            unread = tensor == "unread" or (change[:2] == (0, 0) and not subject.summed[at.row])
            free = unread and in_range(subject, (now[0], now[1], now[2]))
            passes = subject.failures(witness) == []
            assert passes == free, (at, cells, change)
            assert not passes or subject.is_true(witness)


def test_every_multiplicity_is_fixed(subject: Subject) -> None:
    """Up to shares of the table's repeated zeros."""
    counts = subject.honest.advice[-1]
    for row in range(subject.size):
        for step in (1, -1, HUGE):
            changed = counts.copy()
            changed[row] += step
            assert subject.failures(Witness((*subject.honest.advice[:-1], changed), subject.honest.public_values))
    shared = np.pad(counts, (0, subject.active_rows - len(counts)))
    shared[0], shared[-1] = shared[0] + 5, -5
    assert subject.failures(Witness((*subject.honest.advice[:-1], shared), subject.honest.public_values)) == []


@pytest.mark.parametrize("value", [-1, 32, HUGE, -HUGE])
def test_no_multiplicities_admit_a_value_outside_the_table(subject: Subject, value: int) -> None:
    occupied, _ = subject.units()
    at = next(u for u in occupied if u.of == "dense[0]")
    cells = subject.cells(subject.honest)
    cells[at.row, at.lane, 2] = value
    for row in (0, 1, subject.size - 1):
        witness = subject.witness(cells)
        counts = witness.advice[-1].copy()
        counts[row] += 1
        assert subject.failures(Witness((*witness.advice[:-1], counts), witness.public_values))


# Forgeries that every other constraint accepts: each shows what one constraint is for -------------------------------


def constraints(subject: Subject, witness: Witness) -> set[str]:
    assert not subject.is_true(witness)
    return {failure.constraint.split(" fails")[0] for failure in subject.failures(witness)}


def test_only_the_range_table_stops_another_rounding(copying: Subject) -> None:
    place, cells = copying.place("first"), copying.cells(copying.honest)
    honest = int(copying.builder.evaluate(copying.case.model.inputs)["first"][0, 0, 0])
    cells[place.value_rows] += np.array([1, 0, -copying.size]) if honest >= 0 else np.array([0, -1, -copying.size])
    found = constraints(copying, copying.witness(cells, copying.public(first=np.array([[honest + 1]]))))
    assert {f for f in found if f.startswith("lookup")} == {f"lookup 'c{lane} is in [0, 32)'" for lane in (0, 1)}
    # The other failure is the same lookup again, as logUp's sum.
    assert {f for f in found if not f.startswith("lookup")} == {"gate 'running sum ends'"}


def test_only_the_product_gate_stops_another_positive_part(subject: Subject) -> None:
    place, cells = subject.place("again"), subject.cells(subject.honest)
    cells[place.value_rows] += (1, 1, 0)
    positive = subject.builder.evaluate(subject.case.model.inputs)["again"][0]
    found = constraints(subject, subject.witness(cells, subject.public(again=positive + 1)))
    assert found == {f"gate 'a{lane} or b{lane} is zero'" for lane in range(subject.lanes)}


def test_only_the_copy_constraint_stops_a_copy_of_another_value(copying: Subject) -> None:
    copy, cells = copying.place("copy for second"), copying.cells(copying.honest)
    other = np.array([[3, 31], [-19, 7]])
    sums = np.array([[11, -9]]) @ other
    values = (sums + copying.size // 2) >> copying.builder.table_bits
    copying.put(cells, copy, other)
    copying.put(cells, copying.place("second"), values, sums)
    found = constraints(copying, copying.witness(cells, copying.public(second=values.T)))
    assert found == {"copy", "gate 'permutation product ends'"}


def test_only_the_repeat_gates_stop_another_row(repeating: Subject) -> None:
    cells = repeating.cells(repeating.honest)
    rows = np.array([[30, -31, -31], [-20, -20, -20]])
    sums = np.array([[11, -9]]) @ rows
    values = (sums + repeating.size // 2) >> repeating.builder.table_bits
    repeating.put(cells, repeating.place("x"), rows)
    repeating.put(cells, repeating.place("y"), values, sums)
    found = constraints(repeating, repeating.witness(cells, repeating.public(y=values[:, :2].T)))
    assert found == {"gate 'a1 repeats a0'", "gate 'b1 repeats b0'"}


@pytest.mark.parametrize("name", ["wide", "mixed", "varied"])
def test_only_the_linear_check_stops_another_output(subject: Subject, name: str) -> None:
    """Each element in turn, with the public values to match; and pairs that compensate each other."""
    outputs = subject.builder.evaluate(subject.case.model.inputs)[name][0]
    occupied, _ = subject.units()
    of = {u.of: u for u in occupied if u.row in subject.place(name).value_rows}
    shape = outputs.shape

    def forged(*steps: tuple[int, int]) -> set[str]:
        cells, stated = subject.cells(subject.honest), outputs.reshape(-1).copy()
        for element, step in steps:
            at = of[f"{name}[{element}]"]
            stated[element] += step
            rows = [at.lane] + (
                list(range(at.lane + 1, subject.lanes)) if at.lane == subject.place(name).lanes - 1 else []
            )
            value = stated[element]
            for lane in rows:
                cells[at.row, lane, :2] = max(value, 0), max(-value, 0)
        return constraints(subject, subject.witness(cells, subject.public(**{name: stated.reshape(shape)})))

    for element in range(outputs.size):
        step = 1 if outputs.reshape(-1)[element] < subject.size - 1 else -1
        assert forged((element, step)) == {"gate 'running sum ends'"}
    for element in range(1, outputs.size):
        assert forged((element - 1, -1), (element, 1)) == {"gate 'running sum ends'"}


def test_only_the_public_sum_stops_other_public_values(subject: Subject) -> None:
    for index in range(len(subject.honest.public_values)):
        for bit in (0, 7):
            public = bytearray(subject.honest.public_values)
            public[index] ^= 1 << bit
            witness = Witness(subject.honest.advice, bytes(public))
            assert constraints(subject, witness) == {"gate 'running sum ends'"}


def test_other_hidden_inputs_do_not_give_these_outputs(subject: Subject) -> None:
    inputs = subject.case.model.inputs | {"hidden": np.array([[[31, -31, 31]]])}
    done = subject.builder.run(inputs)
    witness = Witness(tuple(subject.layout.advice(done)), subject.honest.public_values)
    assert constraints(subject, witness) == {"gate 'running sum ends'"}


# What is free, and that it is harmless ------------------------------------------------------------------------------


def parts_read(subject: Subject, row: int) -> str:
    """Which of a and b the constraints of a row's idle lanes take: "", "a" (a reader of positive parts) or "ab"."""
    for place in subject.layout.places:
        if row in place.value_rows:
            signed = place.reader is not None and not place.reader.positive.all()
            if place.summed or place.repeated or False in place.claims or signed:
                return "ab"
            return "a" if place.claims or place.reader else ""
        for depth in range(1, 1 + len(place.above)):
            if row + depth in place.value_rows:
                assert isinstance(place.block, Sum)
                positive = place.block.terms[depth - 1][place.units[:, 0] - place.block.first] & 1
                return "a" if positive[list(place.value_rows).index(row + depth)] else "ab"
    return ""


def test_idle_cells_are_free_only_where_the_gadget_book_says(subject: Subject) -> None:
    """Unit by unit: rows without a value, lanes beyond a tensor's that nothing reads, parts that nothing reads."""
    _, idle = subject.units()
    free_units = 0
    beyond = subject.layout.rows  # the rows below are all alike: the first and the last stand for them
    for at in (at for at in idle if at.row <= beyond or at.row == subject.active_rows - 1):
        read, cells = parts_read(subject, at.row), subject.honest_cells(at)
        for target in {(5, 0), (0, 5), (0, 0)} - {cells[:2]}:
            witness = subject.changed(at, target[0] - cells[0], target[1] - cells[1])
            tied = read == "ab" or (read == "a" and target[0] != cells[0])
            assert (subject.failures(witness) == []) == (not tied), (at, cells, target)
            free_units += not tied
        assert bool(subject.failures(subject.changed(at, c=1))) == bool(subject.summed[at.row])
        for change in (
            (subject.size, 0, 0),
            (-1 - cells[0], 0, 0),
            (cells[1] + 1, cells[0] + 1, 0),
            (0, 0, -1 - cells[2]),
        ):
            assert subject.failures(subject.changed(at, *change))  # still units: in range, one part zero
    assert free_units > 10


@given(st.data())
def test_no_choice_of_idle_cells_reaches_a_public_value(subject: Subject, data: st.DataObject) -> None:
    """All idle cells at random: whatever passes is still true of the public values, and no other public values pass."""
    _, idle = subject.units()
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cells = subject.cells(subject.honest)
    chosen = data.draw(st.sampled_from([0.05, 0.3, 1.0]))
    places = {int(row): place for place in subject.layout.places for row in place.value_rows}
    untied = data.draw(st.booleans())
    for at in idle:
        if random.random() < chosen and not (untied and at.row < subject.layout.rows and at.row in places):
            value = int(random.integers(1 - subject.size, subject.size))
            rest = int(random.integers(0, subject.size))
            cells[at.row, at.lane] = max(value, 0), max(-value, 0), rest
    witness = subject.witness(cells)
    assert subject.failures(witness) != [] or subject.is_true(witness)
    other = bytearray(witness.public_values)
    other[data.draw(st.integers(0, len(other) - 1))] ^= data.draw(st.integers(1, 255))
    assert subject.failures(Witness(witness.advice, bytes(other)))


@given(st.lists(st.integers(-31, 31), min_size=2, max_size=2))
def test_an_idle_lane_may_run_the_layer_on_other_values(idling: Subject, row: list[int]) -> None:
    """The third lane of two hidden rows: its own equations hold for any input, and it is in no public value."""
    cells = idling.cells(idling.honest)
    x, y = idling.place("x"), idling.place("y")
    values = np.array([[30, 3, row[0]], [-20, 4, row[1]]])
    sums = np.array([[11, -9]]) @ values
    idling.put(cells, x, values)
    idling.put(cells, y, (sums + idling.size // 2) >> idling.builder.table_bits, sums)
    witness = idling.witness(cells)
    assert idling.failures(witness) == []
    assert idling.is_true(witness)
    assert constraints(idling, idling.witness(cells, idling.public(w=np.array([12])))) == {"gate 'running sum ends'"}


@given(st.data())
def test_whatever_passes_is_true(subject: Subject, data: st.DataObject) -> None:
    """Random changes of any few units, consistent or not, and random public values: no false statement passes."""
    occupied, idle = subject.units()
    cells = subject.cells(subject.honest)
    for at in data.draw(st.lists(st.sampled_from(occupied + idle), max_size=4)):
        value = data.draw(st.integers(1 - subject.size, subject.size - 1))
        cells[at.row, at.lane, :2] = max(value, 0), max(-value, 0)
        if data.draw(st.booleans()):
            cells[at.row, at.lane, 2] = data.draw(st.integers(0, subject.size - 1))
    public = bytearray(subject.honest.public_values)
    for _ in range(data.draw(st.integers(0, 2))):
        public[data.draw(st.integers(0, len(public) - 1))] = data.draw(st.integers(0, 255))
    witness = subject.witness(cells, bytes(public))
    assert subject.failures(witness) != [] or subject.is_true(witness)


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["x[1]", "hidden[2]", "dense[4]", "wide[0]", "mixed[8]", "varied[3]"])
def test_the_mock_prover_names_the_tensor(subject: Subject, of: str) -> None:
    occupied, _ = subject.units()
    at = next(u for u in occupied if u.of == of)
    for change in ((0, 0, subject.size), (subject.size, 0, 0), (0, subject.size, 0)):
        found = [f for f in subject.failures(subject.changed(at, *change)) if f.constraint.startswith("lookup")]
        assert any(f"({of})" in name and row.row == at.row for row in found for name, _ in row.cells), of
    found = subject.failures(subject.changed(at, 1, 1))
    assert any(f"({of})" in str(f) for f in found), of


@pytest.mark.parametrize("of", ["dense[4]", "wide[0]", "again[1]", "repeated[5]", "mixed[8]", "varied[3]"])
def test_a_wrong_sum_is_named_with_the_right_one(subject: Subject, of: str) -> None:
    tensor, element = of.rstrip("]").split("[")
    place = subject.place(tensor)
    occupied, _ = subject.units()
    at: Unit = next(u for u in occupied if u.of == of and u.row in place.value_rows)
    a, b, c = subject.honest_cells(at)
    expected = subject.size * (a - b) + c - subject.size // 2
    step = 1 if c < subject.size - 1 else -1
    named = [str(f) for f in wrong_sums(subject.layout, subject.changed(at, c=step))]
    assert named == [f"linear check: the exact sum is {expected} fails on row {at.row}: {of} = {expected + step}"], (
        element
    )


def test_a_broken_copy_is_named(copying: Subject) -> None:
    place = copying.place("copy for second")
    at = Unit(int(place.value_rows[0]), 0, "")
    a, b, _ = copying.honest_cells(at)
    found = [str(f) for f in copying.failures(copying.changed(at, 1 - a, -b)) if f.constraint == "copy"]
    assert found
    assert all(f.count("(x[0])") == 2 for f in found)
