"""Boolean and other kept inputs: against Python, and exhaustively over what a prover could put into their cells."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange, Overflow
from plonnx.gadgets.input import Input
from plonnx.kzg.record import Malformed
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


@pytest.mark.parametrize("signed", [False, True])
def test_no_other_value_passes(signed: bool) -> None:
    """Of every a, b and c of a unit, those pass whose value is 0 or 1, and no other split of it."""
    chosen = list(itertools.product(range(4), range(4), range(4)))
    a, b, c = (np.array([cells[i] for cells in chosen]) for i in range(3))
    builder = Builder(2)
    builder.input("g", (len(chosen),), public=False, boolean=True)
    search = Search(Model(builder, {"g": np.zeros((1, len(chosen)), np.int64)}), signed=signed)
    passed = search.accepted([{"a": a, "b": b, "c": c}])
    np.testing.assert_array_equal(passed, (a - b >= 0) & (a - b <= 1) & (signed | (b == 0)))


@pytest.mark.parametrize("value", [-1, 2])
def test_what_is_no_boolean_is_refused(value: int) -> None:
    builder = Builder(3)
    builder.output("y", builder.input("g", (2,), boolean=True))
    with pytest.raises(OutOfRange):
        builder.run({"g": np.array([[0, value]])})


KEPT = st.one_of(
    st.builds(lambda share, natural: {"narrow": 1 << share, "natural": natural}, st.integers(0, 3), st.booleans()),
    st.builds(lambda power, natural: {"step": 1 << power, "natural": natural}, st.integers(0, 4), st.booleans()),
)


def values_of(bits: int, narrow: int = 0, step: int = 0, natural: bool = False) -> list[int]:
    """What an input may be, said once more: some numbers around zero or from zero on, or their multiples, below T."""
    size = 1 << bits
    numbers = (
        range(size // (narrow or 1)) if natural else range(-size // (2 * (narrow or 1)), size // (2 * (narrow or 1)))
    )
    return [number * (step or 1) for number in numbers if abs(number * (step or 1)) < size]


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 4), st.booleans(), KEPT, st.data())
def test_inputs_that_are_kept(count: int, lanes: int, public: bool, kept: dict[str, Any], data: st.DataObject) -> None:
    allowed = values_of(5, **kept)
    values = data.draw(st.lists(st.sampled_from(allowed), min_size=count, max_size=count))
    builder = Builder(5)
    cells = builder.input("g", (count,), public, **kept)
    builder.output("y", cells)
    assert (cells.low, cells.high) == (min(allowed), max(allowed))
    inputs = {"g": np.array([values])}
    assert builder.evaluate(inputs)["y"][0].tolist() == values
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []
    for outside in {min(allowed) - 1, max(allowed) + 1, *range(-31, 32)} - set(allowed):
        with pytest.raises((OutOfRange, ValueError)):
            builder.run({"g": np.full((1, count), outside)})


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "kept",
    [
        *({"narrow": narrow, "natural": natural} for narrow in (1, 2, 4) for natural in (False, True)),
        *({"step": step, "natural": natural} for step in (1, 2, 4) for natural in (False, True)),
    ],
)
def test_no_cell_of_a_kept_input_can_be_changed(kept: dict[str, Any], signed: bool) -> None:
    """Of every a, b and c at T = 8, one split of each of its values passes."""
    chosen = list(itertools.product(range(8), range(8), range(8)))
    a, b, c = (np.array([cells[i] for cells in chosen]) for i in range(3))
    builder = Builder(3)
    builder.input("g", (len(chosen),), public=False, **kept)
    search = Search(Model(builder, {"g": np.zeros((1, len(chosen)), np.int64)}), signed=signed)
    passed = search.accepted([{"a": a, "b": b, "c": c}])
    origin = 0 if kept["natural"] else 4
    shown = {v: v * kept["narrow"] if "narrow" in kept else v // kept["step"] for v in values_of(3, **kept)}
    expected = {(max(v, 0), max(-v, 0), origin + c) for v, c in shown.items()}
    accepted = {cells for cells, good in zip(chosen, passed, strict=True) if good}
    if signed:
        accepted = {(max(a - b, 0), max(b - a, 0), c) for a, b, c in accepted}
    assert accepted == expected


@pytest.mark.parametrize("kept", [{"narrow": 3}, {"narrow": 8}, {"narrow": 16}, {"narrow": -1}, {"step": 8}])
def test_values_that_no_input_takes(kept: dict[str, Any]) -> None:
    with pytest.raises(Overflow, match="no input takes"):
        Builder(3).input("g", (2,), **kept)


@pytest.mark.parametrize(("bits", "narrow", "natural"), [(16, 255, False), (16, 511, True)])
def test_the_words_of_a_narrow_input_hold_all_its_values(bits: int, narrow: int, natural: bool) -> None:
    """Of a number that does not divide T the gate allows one value more, which the bytes of the interval do not hold.

    Then (v, 128) and (v + 1, -128) would have one word.
    """
    size = 1 << bits
    value = (size - 1 - (0 if natural else size // 2)) // narrow
    assert value > Input("x", 0, 1, (1,), True, narrow=narrow, natural=natural).interval(size)[1] == 127
    with pytest.raises(Overflow):
        Builder(bits).input("x", (1,), narrow=narrow, natural=natural)
    with pytest.raises(Malformed, match="no input takes such values"):
        Input("x", 0, 1, (1,), True, narrow=narrow, natural=natural).follows(None, size, "block 0")
