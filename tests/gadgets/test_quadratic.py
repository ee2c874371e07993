"""Polynomials of the second degree by a gate, of a copy and of a sum: against Python integers, and over all cells."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange, Overflow
from plonnx.gadgets.function import apply
from plonnx.gadgets.quadratic import Quadratic
from plonnx.kzg.record import Malformed
from plonnx.plonk.program import MODULUS
from tests.gadgets.drawn import evaluated, rounded
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out

UNITS = [*((v, 0) for v in range(4)), *((0, v) for v in range(1, 4)), (1, 1), (2, 1), (1, 2)]  # a and b, T = 4
POLYNOMIALS = [(1, 0, 0), (1, 3, -2), (2, 4, 1), (-1, 2, 5), (-2, -2, 0), (3, 1, 0)]


def polynomial(square: int, slope: int = 0, constant: int = 0, reach: int = 3) -> Quadratic:
    return Quadratic("p", -reach, reach, square, slope, constant)


@settings(max_examples=40)
@given(st.integers(3, 8), st.integers(1, 4), st.booleans(), st.data())
def test_a_polynomial(bits: int, lanes: int, fuse: bool, data: st.DataObject) -> None:
    """One or two in turn, some of a sum and some of a copy; rows of both in one circuit."""
    size = 1 << bits
    square = data.draw(st.integers(-5, 5).filter(bool))
    p = polynomial(square, data.draw(st.integers(-40, 40)), data.draw(st.integers(-3, 3)))
    inside = [each for each in range(1 - size, size) if abs(p(each, size)) < size]
    p = replace(p, low=inside[0], high=inside[-1])
    x = data.draw(st.lists(st.integers(1 - size, size - 1), min_size=1, max_size=6))
    builder = Builder(bits)
    half = builder.sum([(builder.input("x", (len(x),), public=False), size // 2)], None, "half")
    q = [rounded(each * (size // 2), size) for each in x]
    joins = fuse and p.integral
    if fuse and not joins:
        with pytest.raises(Overflow, match="y: p has a value for fractions, too"):
            apply(builder, p, half, "y", fuse=True)
    y = apply(builder, p, half, "y", fuse=joins)
    builder.output("y", y)
    expected = [rounded((square * each + p.slope) * each + p.constant, size) for each in q]
    inputs = {"x": np.array([x])}
    if not all(each in inside for each in q):
        with pytest.raises(OutOfRange, match=r"tensor (y|half)"):
            builder.run(inputs)
        return
    assert evaluated(builder, y, x=x) == expected
    assert y.low <= min(expected) and max(expected) <= y.high
    z = apply(builder, Quadratic("square", 1 - size, size - 1, 1, 0, 0), y, "z")
    builder.output("z", z)
    assert evaluated(builder, z, x=x) == [rounded(each * each, size) for each in expected]
    assert builder.unit_count == len(x) * (3 if joins else 4)
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []
    assert ("d0" in case.circuit().advice_names) == joins
    assert not any(table.name == "functions" for table in case.circuit().tables)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("coefficients", POLYNOMIALS)
def test_no_other_cells_pass(coefficients: tuple[int, int, int], signed: bool) -> None:
    """Of a copy, T = 4: every a, b and c for every x; e is what leaves q = x."""
    chosen = list(itertools.product(range(-3, 4), UNITS, range(-1, 5)))
    x, a, b, c = (np.array([np.hstack(row)[i] for row in chosen]) for i in range(4))
    builder = Builder(2)
    apply(builder, polynomial(*coefficients, reach=0), builder.input("x", (len(chosen),), public=False), "y")
    search = Search(Model(builder, {"x": np.zeros((1, len(chosen)), np.int64)}), signed=signed)
    search.done.values[0, : len(chosen)] = x  # an honest prover would not run it on all of them
    passed = search.accepted([{"a": a, "b": b, "c": c, "e": x - (a - b)}])
    unit = (np.abs(a - b) < 4) if signed else a * b == 0
    expected = unit & (c >= 0) & (c < 4) & (4 * (a - b) + c - 2 == polynomial(*coefficients).exact(x))
    np.testing.assert_array_equal(passed, expected)
    assert 0 < len({(x[i], a[i] - b[i], c[i]) for i in np.flatnonzero(passed)}) <= 7


@pytest.mark.parametrize("coefficients", [each for each in POLYNOMIALS if polynomial(*each).integral])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("without", [None, "the polynomial", "d0 is in"])
def test_no_other_cells_of_a_sums_unit_pass(
    coefficients: tuple[int, int, int], without: str | None, signed: bool
) -> None:
    """T = 4: every a, b, d for every q; without the gate, or without the lookup of d, there are others."""
    chosen = list(itertools.product(range(-6, 7), UNITS, range(-2, 7)))
    q, a, b, d = (np.array([np.hstack(row)[i] for row in chosen]) for i in range(4))
    builder = Builder(2)
    same = builder.sum([(builder.input("x", (len(chosen),), public=False), 4)], None, "same")
    apply(builder, polynomial(*coefficients, reach=0), same, "y", fuse=True)
    search = Search(Model(builder, {"x": np.zeros((1, len(chosen)), np.int64)}), lanes=1, signed=signed)
    passed = search.accepted([{}, {"a": a, "b": b, "e": q - (a - b), "d": d}], without)
    gate, ranged = 4 * (a - b) + d - 2 == polynomial(*coefficients).exact(q), (d >= 0) & (d < 4)
    unit = (np.abs(a - b) < 4) if signed else a * b == 0
    expected = unit & (gate | (without == "the polynomial")) & (ranged | (without == "d0 is in"))
    np.testing.assert_array_equal(passed, expected)
    assert (passed & ~(gate & ranged)).any() == (without is not None)


# Why c is the one that the sum leaves --------------------------------------------------------------------------------


def others(p: Quadratic, size: int, y: int) -> set[int]:
    """The c but the right one for which q = (y + T/2 - c) / T in the field has some v and d."""
    inverse = pow(size, -1, MODULUS)
    found = set()
    for c in range(size):
        q = (y + size // 2 - c) * inverse % MODULUS
        exact = (p.exact(q) + size // 2) % MODULUS
        exact -= MODULUS if exact > MODULUS // 2 else 0  # T v + d, of which |v| < T
        if -size * (size - 1) <= exact < size * size:
            found.add(c)
    return found - {(y + size // 2) % size}


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_fraction_has_no_value(bits: int) -> None:
    """All coefficients that may join a sum, all sums of some size, every c: no other c gives a value."""
    size = 1 << bits
    tried = 0
    for square, slope in itertools.product((*range(-7, 8), 10), (*range(-9, 10), 16)):
        p = polynomial(square or 1, slope, 3)
        if p.integral:
            tried += 1
            assert not any(others(p, size, y) for y in range(-3 * size, 3 * size + 1)), (square, slope)
    assert tried > 150


@pytest.mark.parametrize(("square", "slope"), [(4, 0), (4, 2), (8, 0), (2, 1), (-2, 3), (12, 4)])
def test_what_may_not_join_has_values_for_fractions(square: int, slope: int) -> None:
    """So the rule is not too strict: each of these would pass with another c, that is another value."""
    p = polynomial(square, slope)
    assert not p.integral
    assert any(others(p, 16, y) for y in range(-48, 49))


# Intervals -----------------------------------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(-6, 6).filter(bool), st.integers(-99, 99), st.integers(-999, 999))
def test_the_interval_holds_whatever_a_unit_shows(bits: int, square: int, slope: int, constant: int) -> None:
    size = 1 << bits
    p = polynomial(square, slope, constant)
    every = [v for x in range(-400, 401) if abs(v := int(p(x, size))) < size]
    low, high = p.interval(size)
    if every:
        assert low <= min(every) and max(every) <= high
        assert (low if square > 0 else high) in (min(every) if square > 0 else max(every), 1 - size, size - 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"square": 0}, "is no polynomial on a domain"),
        ({"low": 4}, "is no polynomial on a domain"),
        ({"square": 1 << 61}, "leaves 62 bits"),
        ({"high": 1 << 40, "square": 1 << 20}, "leaves 62 bits"),
        ({"low": -16}, "has no value at its lowest argument"),
    ],
)
def test_what_no_unit_can_hold_is_refused(changed: dict[str, int], reason: str) -> None:
    fields = {"name": "p", "low": -3, "high": 3, "square": 1, "slope": 0, "constant": 0}
    Quadratic(**fields).validate(16)
    with pytest.raises(Malformed, match=reason):
        Quadratic(**{**fields, **changed}).validate(16)
