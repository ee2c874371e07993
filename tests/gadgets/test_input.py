"""Boolean inputs: against Python, and exhaustively over what a prover could put into their cells at T = 4."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 4), st.booleans(), st.data())
def test_booleans(count: int, lanes: int, public: bool, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    builder = Builder(3)
    builder.output("y", builder.input("g", (count,), public, boolean=True))
    inputs = {"g": np.array([values])}
    assert builder.evaluate(inputs)["y"][0].tolist() == values
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


def test_no_other_value_passes() -> None:
    """Of every a, b and c of a unit, those pass whose value is 0 or 1, and no other split of it."""
    chosen = list(itertools.product(range(4), range(4), range(4)))
    a, b, c = (np.array([cells[i] for cells in chosen]) for i in range(3))
    builder = Builder(2)
    builder.input("g", (len(chosen),), public=False, boolean=True)
    search = Search(Model(builder, {"g": np.zeros((1, len(chosen)), np.int64)}))
    passed = search.accepted([{"a": a, "b": b, "c": c}])
    np.testing.assert_array_equal(passed, (a <= 1) & (b == 0))


@pytest.mark.parametrize("value", [-1, 2])
def test_what_is_no_boolean_is_refused(value: int) -> None:
    builder = Builder(3)
    builder.output("y", builder.input("g", (2,), boolean=True))
    with pytest.raises(OutOfRange):
        builder.run({"g": np.array([[0, value]])})
