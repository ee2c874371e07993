"""Every cell that a prover chooses, changed in many ways: only what docs/gadgets.md calls free passes.

A forged witness that passes must at least be true of its public values (`Subject.is_true`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plonnx.layout.explain import wrong_sums
from plonnx.plonk.prover import Witness
from tests.adversarial.subject import Integers, Subject, Unit

HUGE = 1 << 61


def changes(a: int, b: int, c: int, size: int) -> set[tuple[int, int, int]]:
    """What a forger adds to the cells of a unit."""
    steps = {(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)}
    beyond = {(size, 0, 0), (-size, 0, 0), (0, size, 0), (0, 0, size), (0, 0, -size), (HUGE, 0, 0), (0, 0, -HUGE)}
    both = {(1, 1, 0), (2, 2, 0), (size, size, 0), (HUGE, HUGE, 0), (-1, -1, 0)}
    apart = {(1, -1, 0), (-1, 1, 0), (size, -size, 0), (-size, size, 0), (HUGE, -HUGE, 0)}  # the same a + b
    rounding = {(1, 0, -size), (-1, 0, size), (0, 1, size), (0, -1, -size)}  # the same exact sum
    signs = {(b - a, a - b, 0), (-2 * a, 0, 0), (0, -2 * b, 0), (-a - b, -a - b, 0)}
    zero = {(-a, 0, 0), (0, -b, 0), (0, 0, -c)}
    return (steps | beyond | both | apart | rounding | signs | zero) - {(0, 0, 0)}


def in_range(subject: Subject, cells: tuple[int, int, int]) -> bool:
    a, b, c = cells
    return 0 <= a + b < subject.size and 0 <= c < subject.size and a * b == 0


def test_the_honest_witness_passes(
    subject: Subject, copying: Subject, idling: Subject, drawing: Subject, grouped: Subject, viewing: Subject
) -> None:
    for each in (subject, copying, idling, drawing, grouped, viewing):
        assert each.failures(each.honest) == []
        assert each.failures(each.witness(each.cells(each.honest))) == []
        assert each.is_true(each.honest)


def test_the_subject_uses_every_linear_gadget(subject: Subject) -> None:
    places = subject.layout.places
    assert any(p.reader and p.reader.positive[p.units >= 0].all() for p in places)
    assert any(p.reader and p.reader.contribution.factor.outputs > 2 for p in places)
    assert any(p.name.startswith("copy") for p in places)
    assert any(p.stride > 2 for p in places)
    assert any([claim[:2] for claim in p.claims] == [(True, False)] for p in places)
    assert any(p.used_lanes < subject.lanes for p in places)


@pytest.mark.parametrize("tensor", ["x", "hidden", "unread", "dense", "wide", "again", "repeated", "mixed", "varied"])
def test_no_cell_of_a_tensor_can_be_changed(subject: Subject, tensor: str) -> None:
    """Copies and operands of sums too. Free are c where there is no sum, and an input that nothing reads."""
    units = [at for at in subject.units[0] if at.of.startswith(f"{tensor}[")]
    assert units
    for at in units:
        cells = subject.honest_cells(at)
        for change in changes(cells[0], cells[1], cells[2], subject.size):
            witness = subject.changed(at, *change)
            now = tuple(cell + more for cell, more in zip(cells, change, strict=True))
            unread = tensor == "unread" or (change[:2] == (0, 0) and not subject.summed[at.row, at.lane])
            free = unread and in_range(subject, (now[0], now[1], now[2]))
            passes = subject.failures(witness) == []
            assert passes == free, (at, cells, change)
            assert not passes or subject.is_true(witness)


def test_every_multiplicity_is_fixed(subject: Subject) -> None:
    """Up to shares of the table's repeated zeros."""
    (name,) = subject.counts
    advice, public = subject.honest.advice, subject.honest.public_values
    for row in range(subject.size):
        for step in (1, -1, HUGE):
            changed = advice[name].copy()
            changed[row] += step
            assert subject.failures(Witness({**advice, name: changed}, public))
    shared = np.pad(advice[name], (0, subject.active_rows - len(advice[name])))
    shared[0], shared[-1] = shared[0] + 5, -5
    assert subject.failures(Witness({**advice, name: shared}, public)) == []


@pytest.mark.parametrize("value", [-1, 32, HUGE, -HUGE])
def test_no_multiplicities_admit_a_value_outside_the_table(subject: Subject, value: int) -> None:
    at = subject.unit("dense[0]")
    cells = subject.cells(subject.honest)
    cells[at.row, at.lane, 2] = value
    (name,) = subject.counts
    for row in (0, 1, subject.size - 1):
        witness = subject.witness(cells)
        counts = witness.advice[name].copy()
        counts[row] += 1
        assert subject.failures(Witness({**witness.advice, name: counts}, witness.public_values))


# Forgeries that every other constraint accepts: each shows what one constraint is for -------------------------------


def test_only_the_range_table_stops_another_rounding(copying: Subject) -> None:
    at, cells = copying.unit("first[0]"), copying.cells(copying.honest)
    honest = int(copying.builder.evaluate(copying.case.model.inputs)["first"][0, 0, 0])
    cells[at.row, at.lane] += np.array([1, 0, -copying.size]) if honest >= 0 else np.array([0, -1, -copying.size])
    found = copying.constraints(copying.witness(cells, copying.public(first=np.array([[honest + 1]]))))
    # The other failure is the same lookup again, as logUp's sum.
    assert found == {f"lookup 'c{at.lane} is in [0, 32)'", "gate 'running sum ends'"}


def test_only_the_gate_of_the_parts_stops_another_positive_part(subject: Subject) -> None:
    cells, positive = subject.cells(subject.honest), subject.builder.evaluate(subject.case.model.inputs)["again"][0]
    for element in range(2):
        at, stated = subject.unit(f"again[{element}]"), positive.copy()
        other = cells.copy()
        other[at.row, at.lane] += (1, 1, 0)
        stated[element] += 1
        found = subject.constraints(subject.witness(other, subject.public(again=stated)))
        assert found == {f"gate 'a{at.lane} or b{at.lane} is zero'"}


def test_only_the_copy_constraint_stops_a_copy_of_another_value(copying: Subject) -> None:
    swapped = copying.builder.blocks[2].operands[[1, 0, 2, 3]].reshape(2, 2)
    witness = copying.forged("second", x=swapped)
    assert copying.constraints(witness) == {"gate 'running sum ends'"}  # the layer reads its place, not the copies
    cells, row = copying.cells(witness), copying.place("copy for second").value_rows[0, 0]
    cells[row] = cells[row, ::-1]
    found = copying.constraints(copying.witness(cells, witness.public_values))
    assert found == {"copy", "gate 'permutation product ends'"}


@pytest.mark.parametrize("name", ["wide", "mixed", "varied"])
def test_only_the_linear_check_stops_another_output(subject: Subject, name: str) -> None:
    """Each element in turn, with the public values to match; and pairs that compensate each other."""
    count = subject.builder.evaluate(subject.case.model.inputs)[name].size

    def forged(*steps: tuple[int, int]) -> set[str]:
        def change(sums: Integers) -> Integers:
            for element, step in steps:
                sums[:, element] += step
            return sums

        return subject.constraints(subject.forged(name, change=change))

    for element in range(count):
        assert forged((element, subject.size)) == {"gate 'running sum ends'"}
    for element in range(1, count):
        assert forged((element - 1, -subject.size), (element, subject.size)) == {"gate 'running sum ends'"}


def test_only_the_public_sum_stops_other_public_values(subject: Subject) -> None:
    for index in range(len(subject.honest.public_values)):
        for bit in (0, 7):
            public = bytearray(subject.honest.public_values)
            public[index] ^= 1 << bit
            witness = Witness(subject.honest.advice, bytes(public))
            assert subject.constraints(witness) == {"gate 'running sum ends'"}


def test_other_hidden_inputs_do_not_give_these_outputs(subject: Subject) -> None:
    inputs = subject.case.model.inputs | {"hidden": np.array([[[31, -31, 31]]])}
    witness = replace(subject.stating(subject.builder.run(inputs)), public_values=subject.honest.public_values)
    assert subject.constraints(witness) == {"gate 'running sum ends'"}


# What is free, and that it is harmless ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["subject", "copying", "idling", "drawing", "wide_drawing", "grouped", "viewing"])
def test_idle_units_are_free_where_no_gate_takes_them(name: str, request: pytest.FixtureRequest) -> None:
    """Masks leave them out of every equation; where gates run over all lanes, they hold what these accept."""
    each: Subject = request.getfixturevalue(name)
    free_units = 0
    beyond = each.layout.rows  # the rows below are all alike: the first and the last stand for them
    for at in (at for at in each.units[1] if at.row <= beyond or at.row == each.active_rows - 1):
        cells = each.honest_cells(at)
        tied = each.taken[at.row]
        for target in {(5, 0), (0, 5), (0, 0)} - {cells[:2]}:
            witness = each.changed(at, target[0] - cells[0], target[1] - cells[1])
            assert each.is_true(witness)
            if not tied:
                assert each.failures(witness) == [], (at, cells, target)
                free_units += 1
        assert bool(each.failures(each.changed(at, 0, 0, 1 if cells[2] < each.size - 1 else -1))) == bool(
            each.summed[at.row, at.lane]
        )
        wrong = [(each.size, 0, 0), (-1 - cells[0], 0, 0), (cells[1] + 1, cells[0] + 1, 0), (0, 0, -1 - cells[2])]
        for change in wrong:
            assert each.failures(each.changed(at, *change))  # still units: in range, one part zero
        if each.parts == 4 and (at.row >= beyond or not each.fixed.column("extended")[at.row]):
            assert each.failures(each.changed(at, 0, 0, 0, 1))
    assert free_units > 10


@pytest.mark.parametrize("name", ["subject", "drawing", "grouped", "viewing"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=st.data())
def test_no_choice_of_idle_cells_reaches_a_public_value(
    name: str, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    """All idle cells at random: whatever passes is still true of the public values, and no other public values pass."""
    each: Subject = request.getfixturevalue(name)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cells = each.cells(each.honest)
    chosen = data.draw(st.sampled_from([0.05, 0.3, 1.0]))
    anywhere = data.draw(st.booleans())
    for at in each.units[1]:
        tied = each.taken[at.row] or each.summed[at.row, at.lane]
        if random.random() < chosen and (anywhere or not tied):
            value = int(random.integers(1 - each.size, each.size))
            cells[at.row, at.lane, :3] = max(value, 0), max(-value, 0), int(random.integers(0, each.size))
    witness = each.witness(cells)
    assert each.is_true(witness)
    assert anywhere or each.failures(witness) == []
    other = bytearray(witness.public_values)
    other[data.draw(st.integers(0, len(other) - 1))] ^= data.draw(st.integers(1, 255))
    assert each.failures(replace(witness, public_values=bytes(other)))


@pytest.mark.parametrize("name", ["subject", "drawing", "grouped", "viewing"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(data=st.data())
def test_whatever_passes_is_true(name: str, request: pytest.FixtureRequest, data: st.DataObject) -> None:
    """Random changes of any few units, consistent or not, and random public values: no false statement passes."""
    subject: Subject = request.getfixturevalue(name)
    occupied, idle = subject.units
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
    at = subject.unit(of)
    for change in ((0, 0, subject.size), (subject.size, 0, 0), (0, subject.size, 0)):
        found = [f for f in subject.failures(subject.changed(at, *change)) if f.constraint.startswith("lookup")]
        assert any(f"({of})" in name and row.row == at.row for row in found for name, _ in row.cells), of
    found = subject.failures(subject.changed(at, 1, 1))
    assert any(f"({of})" in str(f) for f in found), of


@pytest.mark.parametrize("of", ["dense[4]", "wide[0]", "again[1]", "repeated[5]", "mixed[8]", "varied[3]"])
def test_a_wrong_sum_is_named_with_the_right_one(subject: Subject, of: str) -> None:
    at = subject.unit(of)
    a, b, c = subject.honest_cells(at)
    expected = subject.size * (a - b) + c - subject.size // 2
    step = 1 if c < subject.size - 1 else -1
    named = [str(f) for f in wrong_sums(subject.layout, subject.changed(at, 0, 0, step))]
    assert named == [f"linear check: the exact sum is {expected} fails on row {at.row}: {of} = {expected + step}"]


def test_a_broken_copy_is_named(copying: Subject) -> None:
    place = copying.place("copy for second")
    at = Unit(int(place.value_rows[0, 0]), 0, "")
    a, b, _ = copying.honest_cells(at)
    found = [str(f) for f in copying.failures(copying.changed(at, 1 - a, -b)) if f.constraint == "copy"]
    assert found
    assert all(f.count("(x[0])") == 2 for f in found)
