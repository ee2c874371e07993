"""Functions, products and maxima of the builder against plain Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Function, OutOfRange, Overflow
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply

BITS = st.integers(3, 12)
FEW = settings(max_examples=25)


def _run(builder: Builder, made: Cells, **inputs: list[int]) -> list[int]:
    values = {name: np.array([value]) for name, value in inputs.items()}
    return [int(v) for v in builder.read(builder.run(values), made).reshape(-1)]


def _half_up(exact: int, size: int) -> int:
    return floor(Fraction(exact, size) + Fraction(1, 2))


@FEW
@given(BITS, st.data())
def test_a_table_is_its_function(bits: int, data: st.DataObject) -> None:
    size = 1 << bits
    low = data.draw(st.integers(1 - size, size - 1))
    high = data.draw(st.integers(low, size - 1))
    values = data.draw(st.lists(st.integers(1 - size, size - 1), min_size=high - low + 1, max_size=high - low + 1))
    x = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=5))
    builder = Builder(bits)
    made = apply(builder, Function("f", low, np.array(values)), builder.input("x", (len(x),)), "y")
    assert (made.low, made.high) == (min(values), max(values))
    assert _run(builder, made, x=x) == [values[each - low] for each in x]


@FEW
@given(BITS, st.integers(-50, 50), st.data())
def test_a_function_joins_the_sum_before_it(bits: int, factor: int, data: st.DataObject) -> None:
    """Same values as apart, no unit more, and the sum's own values are gone."""
    size = 1 << bits
    x = data.draw(st.lists(st.integers(1 - size, size - 1), min_size=1, max_size=5))
    expected = [_half_up(factor * each, size) for each in x]
    table = Function("f", 1 - size, np.arange(1 - size, size)[::-1].copy())
    for fuse in (False, True):
        builder = Builder(bits)
        total = builder.sum([(builder.input("x", (len(x),)), factor)], None, "s")
        if max(map(abs, expected)) >= size:
            return
        assert builder.makes(total)
        made = apply(builder, table, total, "y", fuse=fuse)
        assert not fuse or not builder.makes(made)
        assert _run(builder, made, x=x) == [-each for each in expected]
        assert builder.unit_count == len(x) * (2 if fuse else 3)
        assert ("s" in builder.named) is not fuse


def test_only_a_whole_layer_is_joined() -> None:
    """A part of it, a view of positive parts, and a layer with a function stay apart."""
    table = Function("f", -15, np.arange(-15, 16))
    builder = Builder(4)
    total = builder.sum([(builder.input("x", (4,)), 8)], None, "s")
    for cells in (total[:2], builder.relu(total, "r"), Cells.concatenate([total, total], 0)):
        assert not builder.makes(cells)
        apply(builder, table, cells, "y", fuse=True)
    assert builder.makes(total.reshape(2, 2).transpose((1, 0)))
    assert all(block.function is None for block in builder.blocks if isinstance(block, Equation))


def test_an_argument_outside_the_domain_is_named() -> None:
    builder = Builder(8)
    apply(builder, Function("root", 0, np.arange(20)), builder.input("x", (1,)), "y")
    with pytest.raises(OutOfRange, match=r"tensor y: the value -1 is outside the calibrated range \(0 <= v <= 19\)"):
        builder.run({"x": np.array([[-1]])})


@FEW
@given(BITS, st.integers(1, 8), st.data())
def test_products(bits: int, multiplier: int, data: st.DataObject) -> None:
    size = 1 << bits
    numbers = st.lists(st.integers(1 - size, size - 1), min_size=3, max_size=3)
    x, z = data.draw(numbers), data.draw(numbers)
    builder = Builder(bits)
    made = multiply(builder, builder.input("x", (3,)), builder.input("z", (3,)), multiplier, "y")
    expected = [_half_up(multiplier * a * b, size) for a, b in zip(x, z, strict=True)]
    if max(map(abs, expected)) < size:
        assert _run(builder, made, x=x, z=z) == expected
        assert made.low <= min(expected) and max(expected) <= made.high
    else:
        with pytest.raises(OutOfRange, match="tensor y"):
            _run(builder, made, x=x, z=z)


@FEW
@given(BITS, st.integers(2, 6), st.data())
def test_maxima(bits: int, count: int, data: st.DataObject) -> None:
    """Of halves of any values: no two lie T apart."""
    size = 1 << bits
    numbers = st.lists(st.integers(1 - size, size - 1), min_size=2, max_size=2)
    x = [data.draw(numbers) for _ in range(count)]
    builder = Builder(bits)
    halves = builder.sum([(builder.input("x", (count, 2)), size >> 1)], None, "h")
    assert (halves.low, halves.high) == (1 - (size >> 1), size >> 1)
    made = maximum(builder, [halves[k] for k in range(count)], "y")
    expected = [max(_half_up(row[at] * (size >> 1), size) for row in x) for at in range(2)]
    assert _run(builder, made, x=x) == expected  # type: ignore[arg-type]


def test_a_maximum_of_values_that_can_lie_apart_is_refused() -> None:
    builder = Builder(8)
    x = builder.input("x", (2,))
    with pytest.raises(Overflow, match="y: the candidates of a maximum can lie 256 or more apart"):
        maximum(builder, [x[:1], x[1:]], "y")
    assert builder.relu(x, "r").low == 0
    maximum(builder, [builder.relu(x[:1], "p"), builder.relu(x[1:], "q")], "y")


@FEW
@given(BITS, st.data())
def test_intervals_hold_every_value(bits: int, data: st.DataObject) -> None:
    """And are attained by a sum: signs count."""
    size = 1 << bits
    coefficients = data.draw(st.lists(st.integers(-(size >> 2), size >> 2), min_size=2, max_size=2))
    constant = data.draw(st.integers(-size, size))
    builder = Builder(bits)
    x = builder.input("x", (1,))
    positive = builder.relu(x, "r")
    made = builder.sum([(x, coefficients[0]), (positive, coefficients[1])], np.array([constant]), "y")
    layer = builder.linear(
        Cells.concatenate([x, positive], 0).reshape(1, 2), np.array(coefficients)[:, None], np.array([constant]), "z"
    )
    for value in (1 - size, 0, size - 1):
        (got,) = _run(builder, made, x=[value])
        assert made.low <= got <= made.high
        assert _run(builder, layer, x=[value]) == [got]
        assert layer.low <= got <= layer.high
