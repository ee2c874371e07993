"""Products against Python integers, through the MockProver."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.product import multiply
from tests.gadgets.drawn import BITS, FEW, evaluated, rounded
from tests.properties.models import Model, lay_out


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(1, 6), st.integers(1, 4), st.integers(0, 9), st.booleans(), st.data())
def test_a_product(bits: int, count: int, lanes: int, multiplier: int, positive: bool, data: st.DataObject) -> None:
    size = 1 << bits
    reach = st.integers(1 - size, size - 1)
    x, y = (data.draw(st.lists(reach, min_size=count, max_size=count)) for _ in range(2))
    builder = Builder(bits)
    left, right = builder.input("x", (count,), public=False), builder.input("y", (count,), public=False)
    p = multiply(builder, left, builder.relu(right, "r") if positive else right, multiplier, "p")
    builder.output("p", p)
    shown = [max(b, 0) for b in y] if positive else y
    exact = [multiplier * a * b for a, b in zip(x, shown, strict=True)]
    expected = [floor(Fraction(product, size) + Fraction(1, 2)) for product in exact]
    inputs = {"x": np.array([x]), "y": np.array([y])}
    if max(map(abs, expected)) >= size:
        with pytest.raises(OutOfRange, match="tensor p"):
            builder.run(inputs)
        return
    done = builder.run(inputs)
    assert builder.read(done, p)[0].tolist() == expected
    assert done.sums[0, p.refs >> 1].tolist() == exact
    assert p.low <= min(expected) and max(expected) <= p.high
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("value", [-31, -1, 0, 6, 31])
def test_a_square(value: int) -> None:
    """Both factors of one unit, which a maximum of it and a dense layer read too."""
    builder = Builder(5)
    x = builder.input("x", (1,))
    p = multiply(builder, x, x, 1, "p")
    builder.output("p", multiply(builder, p, builder.relu(x, "r"), 1, "cube"))
    inputs = {"x": np.array([[value]])}
    square = (value * value + 16) // 32
    assert builder.evaluate(inputs)["p"].tolist() == [[(square * max(value, 0) + 16) // 32]]
    case = lay_out(Model(builder, inputs), 2, 1)
    assert case.failures(case.witness()) == []


def test_a_product_beyond_62_bits_is_refused() -> None:
    builder = Builder(20)
    x = builder.input("x", (1,))
    multiply(builder, x, x, 1 << 20, "p")
    with pytest.raises(Overflow, match="q: its exact sum can reach"):
        multiply(builder, x, x, 1 << 23, "q")


def test_the_interval_of_a_product_is_that_of_its_corners() -> None:
    builder = Builder(4)
    refs = builder.input("x", (1,)).refs
    for one in ((-3, 5), (-7, -2), (1, 6)):
        for other in ((-4, 4), (2, 3), (-5, -1)):
            p = multiply(builder, Cells(refs, *one), Cells(refs, *other), 2, "p")
            every = [(2 * a * b + 8) // 16 for a in range(one[0], one[1] + 1) for b in range(other[0], other[1] + 1)]
            assert (p.low, p.high) == (min(every), max(every))


@FEW
@given(BITS, st.integers(1, 8), st.data())
def test_products(bits: int, multiplier: int, data: st.DataObject) -> None:
    size = 1 << bits
    numbers = st.lists(st.integers(1 - size, size - 1), min_size=3, max_size=3)
    x, z = data.draw(numbers), data.draw(numbers)
    builder = Builder(bits)
    made = multiply(builder, builder.input("x", (3,)), builder.input("z", (3,)), multiplier, "y")
    expected = [rounded(multiplier * a * b, size) for a, b in zip(x, z, strict=True)]
    if max(map(abs, expected)) < size:
        assert evaluated(builder, made, x=x, z=z) == expected
        assert made.low <= min(expected) and max(expected) <= made.high
    else:
        with pytest.raises(OutOfRange, match="tensor y"):
            evaluated(builder, made, x=x, z=z)
