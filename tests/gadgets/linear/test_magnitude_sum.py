"""Sums of magnitudes: against Python integers, of copies and in place, and as forgeries."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.gadgets import Builder, Overflow
from plonnx.gadgets.function import Function, apply
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from tests.adversarial.subject import Subject
from tests.properties.equations import check
from tests.properties.models import Model, lay_out

SUM = {"gate 'running sum ends'"}


@pytest.mark.parametrize(("lanes", "positive"), [(1, False), (2, True), (3, False)])
def test_a_sum_of_magnitudes(lanes: int, positive: bool) -> None:
    """Of values and of positive parts, with zeros that no cell holds, and a function in its units."""
    b, x = Builder(8), np.array([[[60, -61, 62], [1, 0, -2], [17, 30, -44], [-5, 5, 9]]])
    given = b.input("x", (4, 3), public=False)
    read = (b.relu(given, "r") if positive else given).pad([(0, 1), (0, 0)])
    v = magnitude_sum(b, read, 100, "v")
    b.output("f", apply(b, Function("f", 0, 2 * (np.arange(v.high + 1) % 100)), v, "f", fuse=True))
    seen = np.maximum(x[0], 0) if positive else x[0]
    expected = [(100 * sum(abs(int(value)) for value in column) + 128) // 256 for column in seen.T]
    assert b.evaluate({"x": x})["f"].reshape(-1).tolist() == [2 * (value % 100) for value in expected]
    case = lay_out(Model(b, {"x": x}), lanes, 1)
    assert [place.turned for place in case.layout.places if place.squared] == [1]
    check(case.layout)
    assert case.failures(case.witness()) == []


def scaled(lanes: int) -> Subject:
    """Rows that are brought to size one, as before they are squared: what is read stands where it is made."""
    b, random = Builder(8), np.random.default_rng(3)
    x = b.input("x", (3, 2), public=False)
    y = b.linear(x, random.integers(-9, 10, (2, 4)), np.array([99, -50, 7, 0]), "y").transpose()
    m = magnitude_sum(b, y, 90, "m")
    z = row_product(b, y, m, 70, "z")
    b.output("z", z)
    b.output("v", square_sum(b, z, 8, "v"))
    return Subject(Model(b, {"x": random.integers(-30, 31, (1, 3, 2))}), lanes, 2)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_only_the_linear_check_stops_other_sums(lanes: int) -> None:
    subject = scaled(lanes)
    check(subject.layout)
    assert not any("turned" in place.because for place in subject.layout.places)
    assert subject.failures(subject.honest) == []
    for name, count in (("m", 3), ("z", 12), ("v", 3)):
        for changes, witness in subject.with_other_sums(name, count):
            assert {f.constraint for f in subject.failures(witness)} == SUM, changes


def test_no_cell_can_be_changed() -> None:
    """a, b, c of every element and copy: free is c where there is no sum."""
    assert scaled(3).wrong_verdicts() == []


def test_sums_beyond_62_bits_are_refused() -> None:
    b = Builder(20)
    with pytest.raises(Overflow, match="v: its exact sum can reach"):
        magnitude_sum(b, b.input("x", (4, 3)), 1 << 41, "v")
