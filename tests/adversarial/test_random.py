"""Random models under attack: no cell that a layout leaves idle reaches a public value, no other cell is free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adversarial.subject import Subject
from tests.properties.models import LaidOut, laid_out

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=40)


@slow
@given(laid_out, st.integers(0, 2**32 - 1))
def test_idle_cells_that_no_gate_takes_are_in_nothing(case: LaidOut, seed: int) -> None:
    """All of them at random at once: the same statement holds, and no other one does."""
    subject, random = Subject.of(case), np.random.default_rng(seed)
    cells, taken = subject.cells(subject.honest), subject.taken
    for at in subject.units[1]:
        if not (taken[at.row] or subject.summed[at.row, at.lane]):
            value = int(random.integers(1 - subject.size, subject.size))
            cells[at.row, at.lane, :3] = max(value, 0), max(-value, 0), int(random.integers(0, subject.size))
    witness = subject.witness(cells)
    assert subject.failures(witness) == []
    assert subject.is_true(witness)
    if witness.public_values:
        other = bytearray(witness.public_values)
        other[int(random.integers(len(other)))] ^= 1 << int(random.integers(8))
        assert subject.failures(replace(witness, public_values=bytes(other)))


@slow
@given(laid_out, st.integers(0, 2**32 - 1))
def test_whatever_passes_is_true(case: LaidOut, seed: int) -> None:
    """A few cells of any kind, by little and by much."""
    subject, random = Subject.of(case), np.random.default_rng(seed)
    occupied, idle = subject.units
    for _ in range(4):
        cells = subject.cells(subject.honest)
        every = occupied if random.random() < 0.7 else occupied + idle
        for index in random.integers(len(every), size=random.integers(1, 3)).tolist():
            at, part = every[index], int(random.integers(subject.parts))
            cells[at.row, at.lane, part] += int(random.choice([1, -1, 2, subject.size]))
        witness = subject.witness(cells)
        assert subject.failures(witness) != [] or subject.is_true(witness)


@slow
@given(laid_out, st.integers(0, 2**32 - 1))
def test_no_cell_of_an_equation_can_be_changed(case: LaidOut, seed: int) -> None:
    """c of an output: another exact sum."""
    subject, random = Subject.of(case), np.random.default_rng(seed)
    held = [at for at in subject.units[0] if subject.summed[at.row, at.lane]]
    for index in random.permutation(len(held))[:5].tolist():
        c = subject.honest_cells(held[index])[2]
        step = 1 if c + 1 < subject.size else -1
        assert subject.failures(subject.changed(held[index], 0, 0, step))
