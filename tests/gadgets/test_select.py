"""Selections: against Python, and exhaustively over what a prover could put into their cells at T = 4."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Overflow
from plonnx.gadgets.select import select
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(1, 7), st.integers(1, 4), st.booleans(), st.data())
def test_a_selection(bits: int, count: int, lanes: int, positive: bool, data: st.DataObject) -> None:
    size = 1 << bits
    reach = st.integers(1 - size, size - 1)
    x, y = (data.draw(st.lists(reach, min_size=count, max_size=count)) for _ in range(2))
    g = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    builder = Builder(bits)
    one, other, choice = (builder.input(name, (count,), public=False) for name in "xyg")
    branch = builder.relu(other, "r") if positive else other
    builder.output("z", select(builder, Cells(choice.refs, 0, 1), one, branch, "z"))
    inputs = {"x": np.array([x]), "y": np.array([y]), "g": np.array([g])}
    shown = [max(v, 0) for v in y] if positive else y
    assert builder.evaluate(inputs)["z"][0].tolist() == [a if s else b for a, b, s in zip(x, shown, g, strict=True)]
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("signed", [False, True])
def test_no_other_cells_pass(signed: bool) -> None:
    """Every result, every c, and every split of the second row's value between a - b and e."""
    units = [(v, 0) for v in range(4)] + [(0, v) for v in range(1, 4)]
    triples = list(itertools.product((-3, -1, 0, 2), (-2, 0, 3), (0, 1)))
    chosen = list(itertools.product(triples, units, range(4), [(0, 0), (1, 0), (0, 1), (1, 1)]))
    x, y, g = (np.array([triple[i] for triple, *_ in chosen]) for i in range(3))
    a, b = (np.array([row[1][i] for row in chosen]) for i in range(2))
    c = np.array([row[2] for row in chosen])
    a2, b2 = (np.array([row[3][i] for row in chosen]) for i in range(2))
    builder = Builder(2)
    one, other, choice = (builder.input(name, (len(chosen),), public=False) for name in "xyg")
    select(builder, Cells(choice.refs, 0, 1), one, other, "z")
    search = Search(Model(builder, {"x": x[None], "y": y[None], "g": g[None]}), signed=signed)
    passed = search.accepted([{"a": a, "b": b, "c": c, "e": x - (a - b)}, {"a": a2, "b": b2, "e": y - (a2 - b2)}])
    honest = np.where(g == 1, x, y)
    expected = (a - b == honest) & (c == g) & (a2 == b2) & (signed | (a2 == 0))
    np.testing.assert_array_equal(passed, expected)
    assert passed.sum() == len(triples) * (2 if signed else 1)  # a2 = b2 = 1 is one more form of zero


def test_what_selects_must_be_boolean() -> None:
    builder = Builder(5)
    x = builder.input("x", (2,))
    with pytest.raises(Overflow, match=r"z: what selects lies in \[0, 2\], it must be 0 or 1"):
        select(builder, Cells(x.refs, 0, 2), x, x, "z")
