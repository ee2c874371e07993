"""Maxima of 1 to 9 candidates against Python's max, through the MockProver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Overflow
from plonnx.gadgets.maximum import Maximum, maximum, running
from tests.gadgets.drawn import BITS, FEW, evaluated, rounded
from tests.properties.models import Model, lay_out


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 4), st.booleans(), st.data())
def test_a_maximum(candidates: int, count: int, lanes: int, positive: bool, data: st.DataObject) -> None:
    """Of positive parts, where they may be T - 1 apart, or of halves of either sign; ties are likely."""
    size = 32
    near = st.integers(-3, 3) | st.integers(-31, 31)
    drawn = data.draw(st.lists(near, min_size=candidates * count, max_size=candidates * count))
    builder = Builder(5)
    x = builder.input("x", (candidates, count), public=False)
    y = builder.relu(x, "r") if positive else builder.sum([(x, size // 2)], None, "halves")
    m = maximum(builder, [y[i] for i in range(candidates)], "m")
    builder.output("m", m)
    values = np.array(drawn).reshape(candidates, count)
    shown = np.maximum(values, 0) if positive else (values * 16 + 16) // 32
    expected = [max(int(shown[i, j]) for i in range(candidates)) for j in range(count)]
    inputs = {"x": values[None]}
    assert builder.evaluate(inputs)["m"][0].tolist() == expected
    assert m.low <= min(expected) and max(expected) <= m.high
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(-99, 99), min_size=3, max_size=3), min_size=1, max_size=9))
def test_the_running_maxima_follow_the_gates(rows: list[list[int]]) -> None:
    candidates = np.array(rows)
    taken, values = running(candidates)
    e = taken - values
    assert (e[0] == 0).all()
    assert (taken[:-1] == candidates).all()
    assert (e[1] == values[0]).all()
    for i in range(1, len(rows)):
        assert (e[i + 1] == e[i] + np.maximum(values[i], 0)).all()
    assert (values[-1] == e[-1]).all()
    assert values[-1].tolist() == [max(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("low", "high", "refused"), [(-16, 15, False), (-16, 16, True), (0, 31, False), (-31, 0, False)]
)
def test_candidates_that_could_lie_a_table_apart_are_refused(low: int, high: int, refused: bool) -> None:
    builder = Builder(5)
    refs = builder.input("x", (4,)).refs
    candidates = [Cells(refs[:2], low, 0), Cells(refs[2:], min(high, 0), high)]
    if refused:
        with pytest.raises(Overflow, match="m: the candidates of a maximum can lie 32 or more apart"):
            maximum(builder, candidates, "m")
    else:
        m = maximum(builder, candidates, "m")
        assert (m.low, m.high) == (min(high, 0), high) if low < 0 else (low, high)


def test_one_candidate_is_itself() -> None:
    builder = Builder(5)
    x = builder.input("x", (4,))
    assert maximum(builder, [x], "m") is x
    assert len(builder.blocks) == 1


def test_zeros_around_are_candidates() -> None:
    """Padding is a zero that no cell holds: a cell that is zero by an equation stands for it."""
    builder = Builder(5)
    x = builder.relu(builder.input("x", (4,)), "r")
    m = maximum(builder, [x.pad([(1, 0)]), x.pad([(0, 1)])], "m")
    builder.output("m", m)
    inputs = {"x": np.array([[3, -7, -1, 4]])}
    assert builder.evaluate(inputs)["m"].tolist() == [[3, 3, 0, 4, 4]]
    case = lay_out(Model(builder, inputs), 2, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("candidates", [2, 5, 9])
def test_a_result_takes_a_row_a_candidate_and_one_more(candidates: int) -> None:
    builder = Builder(5)
    x = builder.relu(builder.input("x", (candidates, 6)), "r")
    builder.output("m", maximum(builder, [x[i] for i in range(candidates)], "m"))
    layout = lay_out(Model(builder, {}), 2, 1).layout
    (place,) = (p for p in layout.places if isinstance(p.block, Maximum))
    assert place.rows == 3 * (candidates + 1)


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
    expected = [max(rounded(row[at] * (size >> 1), size) for row in x) for at in range(2)]
    assert evaluated(builder, made, x=x) == expected


def test_a_maximum_of_values_that_can_lie_apart_is_refused() -> None:
    builder = Builder(8)
    x = builder.input("x", (2,))
    with pytest.raises(Overflow, match="y: the candidates of a maximum can lie 256 or more apart"):
        maximum(builder, [x[:1], x[1:]], "y")
    assert builder.relu(x, "r").low == 0
    maximum(builder, [builder.relu(x[:1], "p"), builder.relu(x[1:], "q")], "y")
