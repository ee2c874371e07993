"""Sums of squares: against Python integers, of copies; in place and as forgeries in test_row_product.py."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.gadgets import Builder, Overflow
from plonnx.gadgets.function import Function, apply
from plonnx.gadgets.linear.square_sum import square_sum
from tests.properties.equations import check
from tests.properties.models import Model, lay_out


@pytest.mark.parametrize(("lanes", "positive"), [(1, False), (2, True), (3, False)])
def test_a_sum_of_squares(lanes: int, positive: bool) -> None:
    """Of values and of positive parts, with zeros that no cell holds, and a function in its units."""
    b, x = Builder(8), np.array([[[60, -61, 62], [1, 0, -2], [17, 30, -44], [-5, 5, 9]]])
    given = b.input("x", (4, 3), public=False)
    read = (b.relu(given, "r") if positive else given).pad([(0, 1), (0, 0)])
    v = square_sum(b, read, 3, "v")
    b.output("f", apply(b, Function("f", 0, 2 * (np.arange(v.high + 1) % 100)), v, "f", fuse=True))
    seen = np.maximum(x[0], 0) if positive else x[0]
    expected = [(3 * sum(int(value) ** 2 for value in column) + 128) // 256 for column in seen.T]
    assert b.evaluate({"x": x})["f"].reshape(-1).tolist() == [2 * (value % 100) for value in expected]
    case = lay_out(Model(b, {"x": x}), lanes, 1)
    assert [place.turned for place in case.layout.places if place.squared] == [1]
    check(case.layout)
    assert case.failures(case.witness()) == []


def test_sums_beyond_62_bits_are_refused() -> None:
    b = Builder(20)
    with pytest.raises(Overflow, match="v: its exact sum can reach"):
        square_sum(b, b.input("x", (4, 3)), 1 << 21, "v")
