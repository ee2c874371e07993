"""Comparisons: against Python integers, and exhaustively over what a prover could put into their cells at T = 4."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Overflow
from plonnx.gadgets.comparison import compare
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out

WAYS = [
    (False, False, operator.gt),
    (False, True, operator.le),
    (True, False, operator.ne),
    (True, True, operator.eq),
]


@settings(max_examples=40)
@given(st.integers(3, 7), st.integers(1, 7), st.integers(1, 4), st.sampled_from(WAYS), st.data())
def test_a_comparison(bits: int, count: int, lanes: int, way: tuple[bool, bool, object], data: st.DataObject) -> None:
    apart, opposite, decide = way
    size = 1 << bits
    near = st.integers(-2, 2) | st.integers(1 - size, size - 1)
    drawn = [data.draw(st.lists(near, min_size=count, max_size=count)) for _ in range(2)]
    builder = Builder(bits)
    x, y = (builder.sum([(builder.input(n, (count,), public=False), size // 2)], None, f"half {n}") for n in "xy")
    g = compare(builder, x, y, "g", apart, opposite)
    builder.output("g", g)
    low, high = ([(v * (size // 2) + size // 2) // size for v in values] for values in drawn)
    expected = [int(decide(b, a)) for a, b in zip(low, high, strict=True)]  # type: ignore[operator]
    inputs = {"x": np.array([drawn[0]]), "y": np.array([drawn[1]])}
    assert builder.evaluate(inputs)["g"][0].tolist() == expected
    assert (g.low, g.high) == (0, 1)
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize(("apart", "opposite", "decide"), WAYS)
def test_no_other_cells_pass(apart: bool, opposite: bool, decide: object) -> None:
    """Every a, b of the difference, every c, every g from -1 to 2 and every result: the honest ones alone pass."""
    units = [(v, 0) for v in range(4)] + [(0, v) for v in range(1, 4)] + [(1, 1), (2, 1), (1, 2)]
    pairs = [(x0, x1) for x0, x1 in itertools.product(range(-3, 4), repeat=2) if abs(x1 - x0) < 4]
    chosen = list(itertools.product(pairs, units, range(4), range(-1, 3), [(0, 0), (1, 0), (2, 0), (0, 1)]))
    x0, x1 = (np.array([pair[i] for pair, *_ in chosen]) for i in range(2))
    a, b = (np.array([u[i] for _, u, *_ in chosen]) for i in range(2))
    c, g = (np.array([row[i] for row in chosen]) for i in (2, 3))
    a2, b2 = (np.array([row[4][i] for row in chosen]) for i in range(2))
    builder = Builder(2)
    left, right = (builder.input(n, (len(chosen),), public=False) for n in "xy")
    compare(builder, Cells(left.refs, -1, 1), Cells(right.refs, -1, 1), "g", apart, opposite)
    search = Search(Model(builder, {"x": x0[None], "y": x1[None]}))
    cells = [{}, {"a": a, "b": b, "c": c, "e": x1 - (a - b)}, {"a": a2, "b": b2, "e": g}]
    passed = search.accepted(cells)
    d = x1 - x0
    honest = np.array([int(decide(int(right), int(left))) for left, right in zip(x0, x1, strict=True)])  # type: ignore[operator]
    inner = honest ^ int(opposite)
    expected = (a == np.maximum(d, 0)) & (b == np.maximum(-d, 0)) & (g == inner) & (c == np.abs(d) - inner)
    expected &= (a2 == honest) & (b2 == 0)
    np.testing.assert_array_equal(passed, expected)
    assert passed.sum() == len(pairs)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_each_row_answers_for_itself(wrong: int) -> None:
    """One cell of the first row, or e of the second, changed alone."""
    builder = Builder(2)
    x, y = (builder.input(n, (3,), public=False) for n in "xy")
    compare(builder, Cells(x.refs, -1, 1), Cells(y.refs, -1, 1), "g")
    search = Search(Model(builder, {"x": np.array([[-1, 0, 1]]), "y": np.array([[1, 0, 0]])}), lanes=1)
    part = ({"a": np.array([1, 1, 2])}, {"b": np.array([2, 1, 1])}, {"e": np.array([1, -1, 2])})[wrong]
    assert not search.accepted([part, {}, {}]).any()


def test_values_that_could_lie_a_table_apart_are_refused() -> None:
    builder = Builder(5)
    refs = builder.input("x", (4,)).refs
    with pytest.raises(Overflow, match="g: the values that are compared can lie 32 or more apart"):
        compare(builder, Cells(refs[:2], -16, 0), Cells(refs[2:], 0, 16), "g")
    compare(builder, Cells(refs[:2], -16, 0), Cells(refs[2:], 0, 15), "g")
