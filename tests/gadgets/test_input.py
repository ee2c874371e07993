"""Boolean and narrow inputs: against Python, and exhaustively over what a prover could put into their cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange, Overflow
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


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 3), st.data())
def test_narrow_inputs(count: int, lanes: int, public: bool, share: int, data: st.DataObject) -> None:
    most = 1 << 4 - share
    values = data.draw(st.lists(st.integers(-most, most - 1), min_size=count, max_size=count))
    builder = Builder(5)
    builder.output("y", builder.input("g", (count,), public, narrow=1 << share))
    inputs = {"g": np.array([values])}
    assert builder.evaluate(inputs)["y"][0].tolist() == values
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []
    for outside in (-most - 1, most):
        with pytest.raises(OutOfRange):
            builder.run({"g": np.full((1, count), outside)})


@pytest.mark.parametrize("share", [1, 2, 4])
def test_no_cell_of_a_narrow_input_can_be_changed(share: int) -> None:
    """Of every a, b and c at T = 8, one split of each of the 8 / share values passes."""
    chosen = list(itertools.product(range(8), range(8), range(8)))
    a, b, c = (np.array([cells[i] for cells in chosen]) for i in range(3))
    builder = Builder(3)
    builder.input("g", (len(chosen),), public=False, narrow=share)
    search = Search(Model(builder, {"g": np.zeros((1, len(chosen)), np.int64)}))
    passed = search.accepted([{"a": a, "b": b, "c": c}])
    expected = {(max(v, 0), max(-v, 0), 4 + share * v) for v in range(-4 // share, 4 // share)}
    assert {cells for cells, good in zip(chosen, passed, strict=True) if good} == expected


@pytest.mark.parametrize("share", [3, 8, 16, -1])
def test_values_that_do_not_divide_the_table(share: int) -> None:
    with pytest.raises(Overflow, match="no input takes one of"):
        Builder(3).input("g", (2,), narrow=share)
