"""The one definition of the integer arithmetic against plain Python integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.builder import LIMIT
from plonnx.gadgets.linear.convolution import exact_type


def rounded(y: int, size: int) -> int:
    """y / size to the nearest integer, halves up."""
    return floor(Fraction(y, size) + Fraction(1, 2))


def matrices(rows: int, columns: int, reach: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(st.integers(-reach, reach), min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.data())
def test_linear(bits: int, rows: int, inner: int, outputs: int, data: st.DataObject) -> None:
    size = 1 << bits
    x = data.draw(matrices(rows, inner, size - 1))
    w = data.draw(matrices(inner, outputs, 3 * size))
    bias = data.draw(st.none() | st.lists(st.integers(-(size**2), size**2), min_size=outputs, max_size=outputs))
    exact = [
        [sum(x[r][k] * w[k][n] for k in range(inner)) + (bias[n] if bias else 0) for n in range(outputs)]
        for r in range(rows)
    ]
    expected = [[rounded(y, size) for y in row] for row in exact]
    builder = Builder(bits)
    cells = builder.linear(
        builder.input("x", (rows, inner)), np.array(w), None if bias is None else np.array(bias), "y"
    )
    builder.output("y", cells)
    if max(abs(v) for row in expected for v in row) < size:
        done = builder.run({"x": np.array([x])})
        assert builder.read(done, cells)[0].tolist() == expected
        assert done.sums[0, cells.refs >> 1].tolist() == exact
        assert builder.evaluate({"x": np.array([x])})["y"][0].tolist() == expected
    else:
        with pytest.raises(OutOfRange, match="tensor y: the value"):
            builder.run({"x": np.array([x])})


@given(st.integers(1, 10), st.integers(1, 5), st.integers(1, 3), st.data())
def test_sum(bits: int, count: int, terms: int, data: st.DataObject) -> None:
    size = 1 << bits
    values = data.draw(matrices(terms, count, size - 1))
    coefficients = data.draw(st.lists(st.integers(-size, size), min_size=terms, max_size=terms))
    constant = data.draw(st.none() | st.lists(st.integers(-(size**2), size**2), min_size=count, max_size=count))
    builder = Builder(bits)
    x = builder.input("x", (terms, count))
    last = builder.relu(x[terms - 1], "last")  # the last term is a positive part
    cells = [*(x[i] for i in range(terms - 1)), last]
    y = builder.sum(list(zip(cells, coefficients, strict=True)), None if constant is None else np.array(constant), "y")
    values[-1], original = [max(v, 0) for v in values[-1]], [list(row) for row in values]
    expected = [
        rounded(
            sum(c * row[i] for c, row in zip(coefficients, values, strict=True)) + (constant[i] if constant else 0),
            size,
        )
        for i in range(count)
    ]
    assume(max(abs(v) for v in expected) < size)
    done = builder.run({"x": np.array([original])})
    assert builder.read(done, y)[0].tolist() == expected


@pytest.mark.parametrize(
    ("y", "expected"), [(7, 0), (8, 1), (-8, 0), (-9, -1), (23, 1), (24, 2), (-24, -1), (-25, -2), (0, 0), (16, 1)]
)
def test_halves_are_rounded_up(y: int, expected: int) -> None:
    builder = Builder(4)
    x = builder.input("x", (1,))
    cells = builder.sum([(x, 1)], np.array([y - 5]), "y")
    assert builder.read(builder.run({"x": np.array([[5]])}), cells).tolist() == [[expected]]


def test_a_relu_is_a_view() -> None:
    builder = Builder(5)
    x = builder.input("x", (5,))
    y = builder.relu(x, "y")
    assert builder.unit_count == 5
    assert (y.low, y.high) == (0, 31)
    done = builder.run({"x": np.array([[-31, -1, 0, 1, 31]])})
    assert builder.read(done, y).tolist() == [[0, 0, 0, 1, 31]]
    assert builder.read(done, builder.relu(y, "again")).tolist() == [[0, 0, 0, 1, 31]]
    assert builder.read(done, x).tolist() == [[-31, -1, 0, 1, 31]]


def test_samples_are_run_together() -> None:
    builder = Builder(6)
    x = builder.input("x", (2, 3))
    builder.output("y", builder.linear(x, np.arange(6).reshape(3, 2), np.array([100, -100]), "y"))
    samples = np.random.default_rng(0).integers(-63, 63, (7, 2, 3))
    together = builder.evaluate({"x": samples})["y"]
    for i in range(7):
        np.testing.assert_array_equal(together[i], builder.evaluate({"x": samples[i : i + 1]})["y"][0])


def test_the_trace_has_every_named_tensor() -> None:
    builder = Builder(6)
    x = builder.input("x", (1, 2))
    y = builder.linear(x, np.array([[64], [-64]]), None, "y")
    builder.relu(y, "z")
    traced = builder.trace({"x": np.array([[[3, 10]]])})
    assert {name: values[0].tolist() for name, values in traced.items()} == {"x": [[3, 10]], "y": [[-7]], "z": [[0]]}


@pytest.mark.parametrize("value", [16, -16, 1 << 40])
def test_an_input_out_of_range_is_named(value: int) -> None:
    builder = Builder(4)
    builder.input("x", (2,))
    with pytest.raises(OutOfRange, match=rf"tensor x: the value {value} is outside .*<= 15") as caught:
        builder.run({"x": np.array([[0, value]])})
    assert (caught.value.tensor, caught.value.value, caught.value.low, caught.value.high) == ("x", value, -15, 15)


def test_a_missing_input() -> None:
    builder = Builder(4)
    builder.input("x", (1,))
    builder.input("z", (1,))
    with pytest.raises(KeyError, match="z"):
        builder.run({"x": np.array([[0]])})


def test_weights_of_another_shape_are_refused() -> None:
    builder = Builder(4)
    with pytest.raises(ValueError, match="y: x has 3 columns, the weights 2 rows"):
        builder.linear(builder.input("x", (1, 3)), np.ones((2, 2), np.int64), None, "y")


@given(st.integers(1, 20), st.integers(0, 62), st.integers(0, 62))
def test_overflow_is_refused_exactly_where_a_sum_could_leave_62_bits(bits: int, weight: int, bias: int) -> None:
    """The interval holds |sum| + T < 2^62, so that y + T/2 and T v + c stay in int64 and far below r/2."""
    bound = (1 << weight) * ((1 << bits) - 1) + (1 << bias)
    assume(not LIMIT * 0.999 < bound + (1 << bits) < LIMIT * 1.001)  # the bound is a float, rounded either way
    refused = bound + (1 << bits) >= LIMIT

    def linear() -> Cells:
        builder = Builder(bits)
        return builder.linear(builder.input("x", (1, 1)), np.array([[-(1 << weight)]]), np.array([1 << bias]), "y")

    def summed() -> Cells:
        builder = Builder(bits)
        return builder.sum([(builder.input("x", (1,)), 1 << weight)], np.array([-(1 << bias)]), "y")

    for make in (linear, summed):
        if refused:
            with pytest.raises(Overflow, match="y: its exact sum can reach"):
                make()
        else:
            make()


def test_the_interval_of_a_relu_counts_towards_overflow() -> None:
    builder = Builder(4)
    wide = Cells(builder.input("x", (1, 1)).refs, -(1 << 60), 3)
    with pytest.raises(Overflow):
        builder.linear(wide, np.array([[8]]), None, "y")
    builder.linear(builder.relu(wide, "positive"), np.array([[8]]), None, "y")


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(1, 30), st.data())
def test_matrix_products_are_exact(rows: int, inner: int, columns: int, bits: int, data: st.DataObject) -> None:
    """Below 2^53 through floats, beyond in integers."""
    a: Any = data.draw(matrices(rows, inner, 1 << bits))
    b: Any = data.draw(matrices(inner, columns, 1 << (58 - bits)))
    plain = [[sum(a[i][k] * b[k][j] for k in range(inner)) for j in range(columns)] for i in range(rows)]
    kind = exact_type(np.array(a), np.array(b))
    assert (np.array(a, kind) @ np.array(b, kind)).astype(np.int64).tolist() == plain


def test_zero_constants_and_biases_are_dropped() -> None:
    builder = Builder(4)
    x = builder.input("x", (1, 2))
    builder.linear(x, np.ones((2, 2), np.int64), np.zeros(2, np.int64), "y")
    builder.sum([(x, 1)], np.zeros((1, 2), np.int64), "z")
    assert builder.blocks[1].bias is None  # type: ignore[attr-defined]
    assert builder.blocks[2].constant is None  # type: ignore[attr-defined]
