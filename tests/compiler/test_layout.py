"""Where units lie: what is read in place, what is copied, and that no two things share a cell or a power of chi."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from plonnx.compiler.layout import Layout, LayoutError, Place, Shape, flat_grid
from plonnx.gadgets import Builder, Cells
from tests.properties.models import LaidOut, laid_out

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def layout(builder: Builder, lanes: int = 2, weight_columns: int = 2) -> Layout:
    return Layout(builder, Shape(8, lanes, weight_columns, 3))


def place(made: Layout, name: str) -> Place:
    (found,) = (p for p in made.places if p.name == name)
    return found


def ones(inner: int, outputs: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.ones((inner, outputs), np.int64)


# Invariants over random models ---------------------------------------------------------------------------------------


@slow
@given(laid_out())
def test_every_cell_has_one_owner(case: LaidOut) -> None:
    """Value rows, operand rows and weight rows of all places are disjoint, inside the layout's rows."""
    made = case.layout
    taken: list[int] = []
    for p in made.places:
        span = range(p.row, p.row + p.stride * p.height)
        taken += span
        weights = -(-p.reader.block.weights.shape[1] // made.shape.weight_columns) if p.reader else 1
        assert p.stride >= max(weights, 1 + len(p.above))
        assert set(p.value_rows.tolist()) <= set(span)
        assert int(p.value_rows[0]) - p.stride + 1 == p.row
    assert sorted(taken) == list(range(made.rows))
    assert made.rows <= made.shape.active_rows


@slow
@given(laid_out())
def test_every_unit_lies_once_and_its_copies_equal_it(case: LaidOut) -> None:
    made = case.layout
    grids = [grid for p in made.places for grid in [p.units, *p.above]]
    units = np.concatenate([grid[grid >= 0] for grid in grids])
    assert sorted(units.tolist()) == list(range(made.extra_units))
    original = np.concatenate(made.original)
    assert original[: made.builder.unit_count].tolist() == list(range(made.builder.unit_count))
    for copies, originals in made.sources:
        assert (original[copies] == original[originals]).all()
        assert (copies >= made.builder.unit_count).all()


@slow
@given(laid_out())
def test_every_equation_and_word_has_its_own_power(case: LaidOut) -> None:
    """Two equations of one power would be checked as their sum only."""
    made = case.layout
    powers = [p.exponent + i for p in made.places if p.summed for i in range(p.height)]
    assert len(set(powers)) == len(powers)
    words = [
        (run.exponent + j, lane, positive)
        for _, run, positive in made.runs
        for j in range(-(-run.count // run.per_word))
        for lane in range(run.lane, run.lane + run.replicas)
    ]
    assert len(set(words)) == len(words)


@slow
@given(laid_out())
def test_public_bytes_are_stated_once_and_in_full(case: LaidOut) -> None:
    made = case.layout
    stated = [at for _, run, _ in made.runs for at in range(run.offset, run.offset + run.count * run.width)]
    assert sorted(stated) == list(range(made.public_bytes))
    assert [t.offset for t in made.tensors] == [
        sum(t.count * t.width for t in made.tensors[:i]) for i in range(len(made.tensors))
    ]


@slow
@given(laid_out())
def test_a_layout_is_a_function_of_builder_and_shape(case: LaidOut) -> None:
    again = Layout(case.model.builder, case.layout.shape)
    for one, other in zip(case.layout.unit_grid(), again.unit_grid(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [run for _, run, _ in again.runs] == [run for _, run, _ in case.layout.runs]


# Examples ------------------------------------------------------------------------------------------------------------


def test_a_chain_of_dense_layers_copies_nothing() -> None:
    builder = Builder(5)
    x = builder.input("x", (2, 4))
    hidden = builder.relu(builder.linear(x, ones(4, 3), None, "hidden"), "active")
    builder.output("y", builder.linear(hidden, ones(3, 5), None, "y"))
    made = layout(builder)
    assert made.sources == []
    assert [p.name for p in made.places] == ["x", "hidden", "y"]
    assert [p.units.shape for p in made.places] == [(4, 2), (3, 2), (5, 2)]
    assert [p.stride for p in made.places] == [2, 3, 1]  # 3 and 5 outputs over 2 weight columns
    hidden_reader = place(made, "hidden").reader
    assert hidden_reader is not None
    assert hidden_reader.positive.all()
    assert made.rows == 4 * 2 + 3 * 3 + 5


def test_a_second_reader_reads_copies() -> None:
    builder = Builder(5)
    x = builder.input("x", (1, 4))
    builder.output("y", builder.linear(x, ones(4, 1), None, "y"))
    builder.output("z", builder.linear(x, ones(4, 1), None, "z"))
    made = layout(builder)
    assert [p.name for p in made.places] == ["x", "y", "z", "copy for z"]
    assert sum(pairs.shape[1] for pairs in made.sources) == 4


def test_more_rows_than_lanes_are_bands() -> None:
    builder = Builder(5)
    builder.output("y", builder.linear(builder.input("x", (5, 3)), ones(3, 2), None, "y"))
    made = layout(builder, lanes=2)
    assert [(p.name, p.units.shape) for p in made.places] == [
        ("x", (3, 2)), ("x", (3, 2)), ("x", (3, 1)), ("y", (2, 2)), ("y", (2, 2)), ("y", (2, 1))
    ]  # fmt: skip
    assert made.sources == []


def test_a_repeated_row_stands_once() -> None:
    builder = Builder(5)
    x = builder.input("x", (3,))
    builder.output("y", builder.linear(x.broadcast_to((4, 3)), ones(3, 2), None, "y"))
    made = layout(builder, lanes=4)
    assert place(made, "x").repeated
    assert place(made, "x").units.shape == (3, 1)
    assert made.sources == []


def test_operands_of_a_sum_are_copied_above_it() -> None:
    builder = Builder(5)
    x, z = builder.input("x", (4,)), builder.input("z", (4,))
    builder.output("y", builder.sum([(x, 3), (z, -2)], None, "y"))
    made = layout(builder)
    y = place(made, "y")
    assert (y.stride, len(y.above), y.units.shape) == (3, 2, (2, 2))
    original = np.concatenate(made.original)
    np.testing.assert_array_equal(original[y.above[0]], place(made, "x").units)
    np.testing.assert_array_equal(original[y.above[1]], place(made, "z").units)


def test_a_varied_constant_takes_one_lane_unless_rows_share_it() -> None:
    builder = Builder(5)
    x = builder.input("x", (2, 2))
    builder.sum([(x, 1)], np.array([[1, 2], [3, 4]]), "varied")
    shared = builder.sum([(x, 1)], np.array([[1, 2], [1, 2]]), "shared")
    builder.output("y", builder.linear(shared, ones(2, 1), None, "y"))
    made = layout(builder)
    assert place(made, "varied").lanes == 1
    assert place(made, "shared").lanes == 2


def test_a_public_input_that_is_an_output_too_is_copied() -> None:
    builder = Builder(5)
    x = builder.input("x", (3,))
    builder.output("x again", x)
    made = layout(builder)
    assert [p.name for p in made.places] == ["x", "output x again"]
    assert made.public_bytes == 6


def test_values_and_relu_of_one_tensor_share_a_place() -> None:
    builder = Builder(5)
    x = builder.input("x", (3,))
    builder.output("y", builder.relu(x, "y"))
    made = layout(builder)
    assert [p.name for p in made.places] == ["x"]
    assert place(made, "x").claims == {False, True}


def test_views_that_differ_from_lane_to_lane_need_one_lane() -> None:
    builder = Builder(5)
    x = builder.input("x", (1, 2))
    rows = Cells.concatenate([x, builder.relu(x, "r")], 0)
    builder.output("y", builder.linear(rows, ones(2, 1), None, "y"))
    with pytest.raises(LayoutError, match="y: it reads values and ReLUs of values in lanes of one row"):
        layout(builder, lanes=2)
    layout(builder, lanes=1)


@pytest.mark.parametrize(
    ("count", "lanes", "expected"),
    [
        (5, 2, [[0, 3], [1, 4], [2, -1]]),
        (4, 2, [[0, 2], [1, 3]]),
        (2, 4, [[0, 1]]),
        (5, 4, [[0, 2, 4], [1, 3, -1]]),
        (1, 1, [[0]]),
        (3, 1, [[0], [1], [2]]),
    ],
)
def test_flat_tensors_go_lane_by_lane(count: int, lanes: int, expected: list[list[int]]) -> None:
    assert flat_grid(np.arange(count), lanes).tolist() == expected
