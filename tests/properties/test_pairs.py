"""Models around pairs (layout/pairs.py) in random layouts: honest witnesses pass, one changed cell or sum does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plonnx.gadgets import OutOfRange
from tests.adversarial.subject import Subject
from tests.layout.test_powers import equations as monomials
from tests.properties.equations import check
from tests.properties.models import Integers, LaidOut, Model, lay_out
from tests.properties.pairs import has_pairs, in_range, laid_out, layers, of_layers, of_words, takes_turns, words

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
few = settings(slow, max_examples=20)


@settings(slow, max_examples=25)
@given(of_words)
def test_the_honest_witness_of_words_satisfies_the_circuit(case: LaidOut) -> None:
    assert [str(failure) for failure in case.failures(case.witness())] == []


@settings(slow, max_examples=25)
@given(of_layers)
def test_the_honest_witness_of_layers_satisfies_the_circuit(case: LaidOut) -> None:
    assert [str(failure) for failure in case.failures(case.witness())] == []


@few
@given(laid_out.filter(has_pairs))
def test_every_equation_is_stated_once(case: LaidOut) -> None:
    """Coefficient by coefficient, with a monomial of its own."""
    assert check(case.layout).equations > 0
    of = monomials(case.layout)
    assert len(set(of.values())) == len(of)


@few
@given(laid_out.filter(has_pairs), st.integers(0, 2**32 - 1))
def test_no_cell_can_be_changed(case: LaidOut, seed: int) -> None:
    """But those that are free; of tensors and of copies."""
    subject, random = Subject.of(case), np.random.default_rng(seed)
    for index in random.integers(len(subject.units[0]), size=3).tolist():
        at, part = subject.units[0][index], int(random.integers(subject.parts))
        for step in (1, -1):
            assert not subject.misjudged(at, part, step), (at, part, step)


@few
@given(laid_out.filter(has_pairs), st.integers(0, 2**32 - 1))
def test_no_other_sum_passes(case: LaidOut, seed: int) -> None:
    """Of the layer and of what reads it: one by one and by T, two that compensate."""
    subject, random = Subject.of(case), np.random.default_rng(seed)
    for block in subject.builder.blocks:
        if block.name not in ("layer", "scores", "second", "mixed", "result"):
            continue
        one, other = (int(random.integers(block.count)) for _ in range(2))
        changes = [((one, 1),), ((one, -subject.size),), ((one, 1), (other, -1))]
        for change in changes if one != other else changes[:2]:
            try:
                witness = subject.forged(block.name, change=added(change))
            except OutOfRange:  # who reads the other value has none
                continue
            assert subject.failures(witness), (block.name, change)


def added(change: tuple[tuple[int, int], ...]) -> Callable[[Integers], Integers]:
    """To the sums of some elements, so much each."""

    def changed(sums: Integers) -> Integers:
        sums = sums.copy()
        for element, by in change:
            sums[:, element] += by
        return sums

    return changed


@pytest.mark.parametrize(("drawn", "turns"), [(words, 10), (layers, 1)])
def test_a_fair_share_has_pairs(drawn: Callable[[int], Model], turns: int) -> None:
    """An eighth at least, some with values above scores; without them the tests above would say nothing of pairs."""
    models = [model for model in map(drawn, range(60)) if in_range(model)]
    assert len(models) > 50
    cases = [lay_out(model, 1 + at % 4, 2) for at, model in enumerate(models)]
    assert sum(map(has_pairs, cases)) >= len(models) // 8
    assert sum(map(takes_turns, cases)) >= turns
