"""Mixtures of attention, norms, strides and residuals: equations stated once, honest witnesses accepted."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from plonnx.gadgets import OutOfRange, Overflow
from plonnx.kzg.record import Malformed
from plonnx.layout.shape import LayoutError
from plonnx.layout.validate import validate_builder
from tests.layout.test_powers import equations as monomials
from tests.properties.equations import check
from tests.properties.mixtures import Mixture, strange
from tests.properties.models import LaidOut, Model, lay_out

MOST_ROWS = 120  # of layouts whose equations are read off
seeds = st.integers(0, 2**32 - 1)
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def mixture(seed: int) -> Model:
    """Of this seed; another one is asked for where a tensor does not fit."""
    try:
        return Mixture(seed).model()
    except (Overflow, ValueError):
        reject()


def laid_out(model: Model, random: np.random.Generator) -> LaidOut:
    """In some lanes, weight columns, group, packing, and lanes that copy."""
    lanes, columns, group, packing, copying = (int(random.integers(*ends)) for ends in SHAPES)
    return lay_out(model, lanes, columns, group, 0, packing, copying)


SHAPES = (1, 7), (1, 5), (1, 4), (1, 3), (0, 3)


@settings(slow, max_examples=60)
@given(seeds)
def test_an_honest_witness_satisfies_a_mixture(seed: int) -> None:
    case = laid_out(mixture(seed), np.random.default_rng(seed))
    try:
        witness = case.witness()
    except OutOfRange:
        reject()
    assert [str(failure) for failure in case.failures(witness)] == []


@settings(slow, max_examples=20)
@given(seeds)
def test_every_equation_of_a_mixture_is_stated_once(seed: int) -> None:
    """Coefficient by coefficient, with a monomial of its own."""
    layout = laid_out(mixture(seed), np.random.default_rng(seed)).layout
    if layout.rows > MOST_ROWS:
        reject()
    assert check(layout).equations > 0
    of = monomials(layout)
    assert len(set(of.values())) == len(of)


@settings(slow, max_examples=20)
@given(seeds)
def test_what_strangers_read_is_what_their_circuit_states(seed: int) -> None:
    """A file may say that gadgets read other cells: it is refused in words, or its equations are those that it says."""
    random = np.random.default_rng(seed)
    model = strange(mixture(seed), random)
    try:
        validate_builder(model.builder, 1 << 20)
        layout = laid_out(model, random).layout
    except (Malformed, LayoutError):
        reject()
    if layout.rows > MOST_ROWS:
        reject()
    assert check(layout).equations > 0
