"""Sums of products against Python integers, through the MockProver, and every unit that a prover could choose."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange, Overflow
from plonnx.gadgets.product_sum import Link, ProductSum, product_sum
from plonnx.kzg.record import Malformed
from tests.gadgets.drawn import rounded
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.data())
def test_a_sum_of_products(bits: int, count: int, lanes: int, links: int, positive: bool, data: st.DataObject) -> None:
    size = 1 << bits
    near = st.integers(-2, 2) | st.integers(1 - size, size - 1)
    x = data.draw(st.lists(st.lists(near, min_size=count, max_size=count), min_size=links + 1, max_size=links + 1))
    made = data.draw(st.lists(st.tuples(st.integers(-9, 9), st.integers(-size, size)), min_size=links, max_size=links))
    builder = Builder(bits)
    given = builder.input("x", (links + 1, count), public=False)
    shown = builder.relu(given, "r") if positive else given
    below = [Link(shown[row + 1], *factors) for row, factors in enumerate(made)]
    s = product_sum(builder, shown[0], below, "s")
    builder.output("s", s)
    values = [[max(one, 0) if positive else one for one in row] for row in x]
    expected, exact, inside = list(values[0]), list(values[0]), True
    for row, (factor, carried) in enumerate(made):
        exact = [
            factor * one * other + carried * v
            for one, other, v in zip(values[row], values[row + 1], expected, strict=True)
        ]
        expected = [rounded(y, size) for y in exact]
        inside = inside and max(map(abs, expected)) < size
        if not inside:
            break
    inputs = {"x": np.array([x])}
    if not inside:
        with pytest.raises(OutOfRange, match="tensor s"):
            builder.run(inputs)
        return
    done = builder.run(inputs)
    assert builder.read(done, s)[0].tolist() == expected
    assert done.sums[0, s.refs >> 1].tolist() == exact
    assert s.low <= min(expected) and max(expected) <= s.high
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("mistaken", [(), (0,), (1,), (2,)])
def test_no_other_cells_pass(mistaken: tuple[int, ...], signed: bool) -> None:
    """At T = 4, of all operands of a smaller reach: every a, b and c of the two rows below; another q on some row."""
    operands = list(itertools.product((-3, -1, 2), (-2, 3), (-1, 1)))
    units = [(v, 0) for v in range(4)] + [(0, v) for v in range(1, 4)]
    chosen = [(*x, *one, *other) for x in operands for one in itertools.product(units, range(4)) for other in [one]]
    x = np.array([each[:3] for each in chosen]).T
    first = 1 * x[0] * x[1] + 2
    v1 = first // 4
    honest = np.abs(v1) < 4
    x, v1, first = x[:, honest], v1[honest], first[honest]
    last = -x[1] * x[2] + 4 * v1 + 2
    v2 = last // 4
    kept = np.abs(v2) < 4
    tried = np.array([(a, b, c) for *_, (a, b), c in chosen])[honest][kept].T
    x, v1, v2, first, last = x[:, kept], v1[kept], v2[kept], first[kept], last[kept]
    builder = Builder(2)
    cells = builder.input("x", x.shape, public=False)
    product_sum(builder, cells[0], [Link(cells[1], 1), Link(cells[2], -1, 4)], "s")
    search = Search(Model(builder, {"x": x[None]}), lanes=3, signed=signed)
    moved = [np.full(x.shape[1], int(row in mistaken)) for row in range(3)]
    a, b, c = tried
    # the last row: the unit that is tried, with the e that keeps q, or moves it
    passed = search.accepted([{"e": moved[0]}, {}, {"a": a, "b": b, "c": c, "e": x[2] - (a - b) + moved[2]}])
    right = (a - b == v2) & (c == last - 4 * v2) & (not {0, 2} & set(mistaken))
    np.testing.assert_array_equal(passed, right)
    # the middle row: with what then follows below
    carried = -x[1] * x[2] + 4 * (a - b) + 2
    below = carried // 4
    held = {"a": np.maximum(below, 0), "b": np.maximum(-below, 0), "c": carried - 4 * below, "e": x[2] - below}
    passed = search.accepted([{}, {"a": a, "b": b, "c": c, "e": x[1] - (a - b) + moved[1]}, held])
    right = (a - b == v1) & (c == first - 4 * v1) & (1 not in mistaken)
    np.testing.assert_array_equal(passed, right)


def test_what_leaves_the_table_on_the_way_is_refused() -> None:
    """Though the sum itself would fit."""
    builder = Builder(4)
    x = builder.input("x", (3,))
    product_sum(builder, x[:1], [Link(x[1:2], 3), Link(x[2:], 0, 1)], "s")
    assert builder.run({"x": np.array([[8, 10, 1]])}).values[0, -1] == 1
    with pytest.raises(OutOfRange, match="tensor s: the value 28 is outside"):
        builder.run({"x": np.array([[15, 10, 1]])})


def test_sums_beyond_62_bits_are_refused() -> None:
    builder = Builder(20)
    x = builder.input("x", (1,))
    product_sum(builder, x, [Link(x, 1 << 20, 1 << 20)], "s")
    for factor, carried in ((1 << 23, 0), (0, 1 << 43)):
        with pytest.raises(Overflow, match="q: its exact sum can reach"):
            product_sum(builder, x, [Link(x, factor, carried)], "q")


def test_a_file_must_give_each_operand_its_factors() -> None:
    builder = Builder(4)
    x = builder.input("x", (2,))
    product_sum(builder, x, [Link(x, 1), Link(x, 1, 16)], "s")
    block = builder.blocks[-1]
    assert isinstance(block, ProductSum) and block.validate("block 1") == 2
    for wrong, reason in (
        (replace(block, chain=block.chain[:1], factors=(), carried=()), "no two operands"),
        (replace(block, chain=block.chain[0]), "no two operands"),
        (replace(block, factors=(1,)), "not one factor"),
        (replace(block, carried=(0, 1, 2)), "not one factor"),
    ):
        with pytest.raises(Malformed, match=reason):
            wrong.validate("block 1")
