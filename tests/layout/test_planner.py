"""Where units lie: what is read in place, what is copied, and that no two things share a cell or a power of chi."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.maximum import maximum
from plonnx.layout import geometry
from plonnx.layout.fixed import Fixed
from plonnx.layout.place import Placed
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from tests.properties.models import LaidOut, laid_out

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def layout(builder: Builder, lanes: int = 2, weight_columns: int = 2) -> Layout:
    return Layout(builder, Shape(8, lanes, weight_columns, 3))


def place(made: Layout, name: str) -> Placed:
    (found,) = (p for p in made.places if p.name == name)
    return found


def ones(inner: int, outputs: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.ones((inner, outputs), np.int64)


# Invariants over random models ---------------------------------------------------------------------------------------


@slow
@given(laid_out)
def test_what_a_layout_takes_from_another_changes_nothing(case: LaidOut) -> None:
    """A search makes each layout like the one before: of other lanes, of other weight columns, of the same."""
    like: Layout | None = None
    for lanes, columns in ((1, 1), (1, 4), (3, 4), (3, 4), (3, 1), (case.layout.shape.lanes, 2)):
        shape = Shape(8, lanes, columns, 3)
        made, alone = Layout(case.layout.builder, shape, like), Layout(case.layout.builder, shape)
        assert (made.rows, made.tensors) == (alone.rows, alone.tensors)
        assert [run[1:] for run in made.runs] == [run[1:] for run in alone.runs]
        assert [p.name for p in made.places] == [p.name for p in alone.places]
        for p, q in zip(made.places, alone.places, strict=True):
            assert np.array_equal(p.units, q.units)
            assert (p.row, p.run_rows, p.exponent) == (q.row, q.run_rows, q.exponent)
        fixed, expected = Fixed(made), Fixed(alone)
        assert np.array_equal(fixed.weights, expected.weights)
        assert [r.monomial for r in fixed.readings] == [r.monomial for r in expected.readings]
        like = made


@slow
@given(laid_out)
def test_every_row_has_one_owner(case: LaidOut) -> None:
    """Value rows, operand rows and weight rows of all places are disjoint, inside the layout's rows."""
    made = case.layout
    taken: list[int] = []
    for p in made.places:
        span = range(p.row, p.row + p.rows)
        taken += span
        by_run = np.array(span).reshape(p.runs, p.run_rows)
        assert p.run_rows >= p.height * p.stride
        if p.reader is not None and not p.reader.alone:
            assert p.run_rows >= p.reader.contribution.factor.rows(made.shape.weight_columns)
        held = np.stack([p.rows_at(at) for at in range(p.stride)], axis=2).reshape(p.runs, -1)
        for rows, run in zip(held.tolist(), by_run.tolist(), strict=True):
            assert len(set(rows)) == len(rows) and set(rows) <= set(run)
        assert (p.last_rows == by_run[:, -1]).all()
        assert {operand.take.row for operand in p.operands} <= set(range(p.stride))
    assert sorted(taken) == list(range(made.rows))
    assert made.rows <= made.shape.active_rows


@slow
@given(laid_out)
def test_every_unit_lies_once_and_every_cell_takes_one_copy(case: LaidOut) -> None:
    made = case.layout
    units = np.concatenate([p.units[p.units >= 0] for p in made.places if p.block is not None])
    assert sorted(units.tolist()) == list(range(made.builder.unit_count))
    own = set(zip(*(x.tolist() for x in made.unit_cells), strict=True))
    assert len(own) == made.builder.unit_count
    copies = list(zip(made.copied.rows.tolist(), made.copied.lanes.tolist(), made.copied.into.tolist(), strict=True))
    assert len(set(copies)) == len(copies)
    rows, lanes = made.unit_cells
    gadgets = [b for b in made.builder.blocks if any(take.row == b.value_row for take in b.takes)]
    taking = {(int(rows[unit]), int(lanes[unit])) for block in gadgets for unit in block.units}
    assert own & {(row, lane) for row, lane, _ in copies} == taking  # a value that stands where its operand is taken


@slow
@given(laid_out)
def test_what_a_layer_reads_is_where_it_reads(case: LaidOut) -> None:
    """Cell by cell, in place or as a copy, with the same view; a layer's outputs may stand between them, unread."""
    made = case.layout
    read = [(place, reader) for place in made.places for reader in (place.reader, *place.squared)]
    for p, reader in read:
        if reader is None:
            continue
        if p.turned:
            wanted = geometry.turn(reader.contribution.x, p.turned, made.shape.lanes)
            wanted = np.pad(wanted, ((0, 0), (p.height - wanted.shape[1], 0), (0, 0)), constant_values=-1)
        else:
            wanted = geometry.arrange(reader.contribution.x, made.shape.lanes, p.row_lanes or made.shape.lanes)
        refs = np.where(reader.present, 2 * p.units + reader.positive, -1)
        np.testing.assert_array_equal(refs, wanted)
        assert np.all(p.units[reader.present] >= 0)
        if p.block is None:
            (operand,) = p.operands
            np.testing.assert_array_equal(operand.refs, np.where(p.units < 0, -1, 2 * p.units))


@slow
@given(laid_out)
def test_public_bytes_are_stated_once_and_in_full(case: LaidOut) -> None:
    made = case.layout
    stated = [at for _, run, _, _ in made.runs for at in range(run.offset, run.offset + run.count * run.width)]
    assert sorted(stated) == list(range(made.public_bytes))
    assert [t.offset for t in made.tensors] == [
        sum(t.count * t.width for t in made.tensors[:i]) for i in range(len(made.tensors))
    ]


@slow
@given(laid_out)
def test_a_layout_is_a_function_of_builder_and_shape(case: LaidOut) -> None:
    again = Layout(case.model.builder, case.layout.shape)
    for one, other in zip(case.layout.unit_cells, again.unit_cells, strict=True):
        np.testing.assert_array_equal(one, other)
    for cells, others in zip(case.layout.copied, again.copied, strict=True):
        np.testing.assert_array_equal(cells, others)
    assert [run for _, run, _, _ in again.runs] == [run for _, run, _, _ in case.layout.runs]


# Examples ------------------------------------------------------------------------------------------------------------


def names(made: Layout) -> list[str]:
    return [p.name for p in made.places]


def test_a_chain_of_dense_layers_copies_nothing() -> None:
    builder = Builder(5)
    x = builder.input("x", (2, 4))
    hidden = builder.relu(builder.linear(x, ones(4, 3), None, "hidden"), "active")
    builder.output("y", builder.linear(hidden, ones(3, 5), None, "y"))
    made = layout(builder)
    assert not len(made.copied.rows)
    assert names(made) == ["x", "hidden", "y"]
    assert [p.units.shape for p in made.places] == [(4, 1, 2), (3, 1, 2), (5, 1, 2)]
    assert [p.run_rows for p in made.places] == [2, 3, 1]  # 3 and 5 outputs over 2 weight columns
    hidden_reader = place(made, "hidden").reader
    assert hidden_reader is not None
    assert hidden_reader.positive.all()
    assert [p.lead for p in made.places] == [1, 2, 0]  # a run ends on its value: weights stand before it too
    assert [p.last_rows.tolist() for p in made.places] == [p.value_rows[:, 0].tolist() for p in made.places]
    assert made.rows == 4 * 2 + 3 * 3 + 5
    assert not any(p.gathered for p in made.places)
    assert not Fixed(made).accumulated


def test_a_second_reader_reads_copies() -> None:
    builder = Builder(5)
    x = builder.input("x", (1, 4))
    builder.output("y", builder.linear(x, ones(4, 1), None, "y"))
    builder.output("z", builder.linear(x, ones(4, 1), None, "z"))
    made = layout(builder)
    assert names(made) == ["x", "y", "copy for z", "z"]
    assert made.copied.rows.tolist() == place(made, "copy for z").value_rows.reshape(-1).tolist()


def test_more_rows_than_lanes_are_runs_of_several_rows() -> None:
    builder = Builder(5)
    builder.output("y", builder.linear(builder.input("x", (5, 3)), ones(3, 2), None, "y"))
    made = layout(builder, lanes=2)
    assert [(p.name, p.units.shape, p.run_rows) for p in made.places] == [
        ("x", (3, 3, 2), 3), ("y", (2, 3, 2), 3), ("public x", (1, 8, 2), 8), ("public y", (1, 5, 2), 5)
    ]  # fmt: skip
    assert place(made, "y").used_lanes == 2
    assert [p.gathered for p in made.places] == [False, True, False, False]
    assert Fixed(made).accumulated


def test_a_row_that_is_read_as_many_is_copied() -> None:
    builder = Builder(5)
    x = builder.input("x", (3,))
    builder.output("y", builder.linear(x.broadcast_to((4, 3)), ones(3, 2), None, "y"))
    made = layout(builder, lanes=4)
    assert place(made, "x").units.shape == (1, 1, 4)
    copy = place(made, "copy for y")
    assert copy.units.tolist() == [[[0] * 4], [[1] * 4], [[2] * 4]]
    assert made.copied.refs.tolist() == [0] * 4 + [2] * 4 + [4] * 4


def test_operands_of_a_sum_are_copied_above_it() -> None:
    builder = Builder(5)
    x, z = builder.input("x", (4,)), builder.input("z", (4,))
    builder.output("y", builder.sum([(x, 3), (z, -2)], None, "y"))
    made = layout(builder)
    y = place(made, "y")
    assert (y.stride, len(y.operands), y.units.shape) == (3, 2, (1, 2, 2))
    np.testing.assert_array_equal(y.operands[0].refs, 2 * place(made, "x").units)
    np.testing.assert_array_equal(y.operands[1].refs, 2 * place(made, "z").units)
    assert y.value_rows.tolist() == [[y.row + 2, y.row + 5]]


def test_a_varied_constant_takes_one_lane_unless_rows_share_it() -> None:
    builder = Builder(5)
    x = builder.input("x", (2, 2))
    builder.sum([(x, 1)], np.array([[1, 2], [3, 4]]), "varied")
    shared = builder.sum([(x, 1)], np.array([[1, 2], [1, 2]]), "shared")
    builder.output("y", builder.linear(shared, ones(2, 1), None, "y"))
    made = layout(builder)
    assert place(made, "varied").used_lanes == 1
    assert place(made, "shared").used_lanes == 2


def test_a_public_input_that_is_an_output_too_is_copied() -> None:
    builder = Builder(5)
    x = builder.input("x", (3,))
    builder.output("x again", x)
    made = layout(builder)
    assert names(made) == ["x", "public x again"]
    assert made.public_bytes == 6


def test_values_and_relu_of_a_sum_share_its_place() -> None:
    """A place states its values and its positive parts in words of the same rows."""
    builder = Builder(5)
    x = builder.input("x", (3,))
    y = builder.sum([(x, 2)], None, "y")
    builder.output("y", y)
    builder.output("positive", builder.relu(y, "positive"))
    builder.output("x's", builder.relu(x, "r"))
    made = layout(builder, lanes=1)
    assert names(made) == ["x", "y"]
    assert place(made, "y").claims == place(made, "x").claims == {(False, False, 1), (True, False, 1)}


def test_a_layer_reads_values_and_positive_parts_in_lanes_of_one_row() -> None:
    builder = Builder(5)
    x = builder.input("x", (1, 2))
    rows = Cells.concatenate([x, builder.relu(x, "r")], 0)
    builder.output("y", builder.linear(rows, ones(2, 1), None, "y"))
    reader = place(layout(builder, lanes=2), "copy for y").reader
    assert reader is not None
    assert reader.positive.tolist() == [[[False, True]], [[False, True]]]


def test_weights_that_their_columns_do_not_hold_take_more_rows() -> None:
    builder = Builder(5)
    x = builder.input("x", (1, 4))
    builder.convolution(x, np.ones((1, 2, 3), np.int64), np.array([[0], [1]]), None, (3,), "y")
    for columns, rows in ((1, 6), (2, 4), (3, 2), (4, 2)):
        made = layout(builder, weight_columns=columns)
        (place,) = (place for place in made.places if place.reader is not None)
        held = Fixed(made).weights
        assert held.sum() == held[:, place.last_rows[0] - rows + 1 : place.last_rows[0] + 1].sum() == 2 * 3


# Convolutions --------------------------------------------------------------------------------------------------------


def image(taps: list[list[int]], shape: tuple[int, int], groups: int = 1, channels: int = 2) -> Builder:
    builder = Builder(5)
    x = builder.input("x", (channels, 3, 5))
    weights = np.ones((channels, len(taps), 1), np.int64)
    y = builder.convolution(x, weights, np.array(taps), None, shape, "y", groups)
    builder.output("y", y)
    return builder


def test_a_convolution_reads_its_input_in_place_a_run_a_channel() -> None:
    made = layout(image([[0, 0], [0, 1], [1, 0]], (2, 4)), lanes=4, weight_columns=1)
    x, border = place(made, "x"), place(made, "border of y")
    assert x.units.shape == (2, 6, 4)  # rows of 5 columns take two rows of 4 lanes
    assert (x.units >= 0).sum() == 30
    assert x.run_rows == 6  # the sum of a run is taken on its last row
    assert place(made, "y").run_rows == 2
    assert border.border is not None
    ((positions, _),) = border.border.reached
    assert positions.tolist() == [
        [-1, 0], [-1, 1], [-1, 2], [-1, 3], [-1, 4], [0, -1], [0, 4],
        [1, -1], [1, 4], [2, -1], [2, 0], [2, 1], [2, 2], [2, 3], [2, 4],
    ]  # fmt: skip
    assert made.positions.pitch.tolist() == [8, 1]
    at = geometry.linear(positions, made.positions.pitch)
    assert at.tolist() == [-8, -7, -6, -5, -4, -1, 4, 7, 12, 15, 16, 17, 18, 19, 20]
    assert border.border.starts.tolist() == [-8, -4, 4, 12, 16, 20]  # four at a time, and no output at 0..3, 8..11
    assert border.rows == 6 + 2
    assert place(made, "y").window == border.window + 1


def test_one_tap_has_a_border_where_the_output_is_smaller() -> None:
    assert "border of y" not in names(layout(image([[0, 0]], (3, 5))))
    assert "border of y" in names(layout(image([[0, 0]], (3, 4))))


def test_pitches_keep_all_reachable_positions_apart() -> None:
    made = layout(image([[-1, -2], [1, 2]], (3, 5)))
    assert made.positions.pitch.tolist() == [9, 1]  # columns -2 to 6, and room for a row of border terms between lines
    assert layout(image([[-1, -3], [1, 3]], (3, 5))).positions.pitch.tolist() == [11, 1]
    assert layout(image([[0, 0]], (3, 5))).positions.pitch.tolist() == [5 + geometry.BORDER_LANES, 1]


@pytest.mark.parametrize(("groups", "channelwise"), [(1, False), (2, False), (4, False), (8, True)])
def test_many_groups_take_their_factor_from_the_row(groups: int, channelwise: bool) -> None:
    made = layout(image([[0, 0], [0, 1]], (3, 4), groups, channels=8))
    readers = [p for p in made.places if p.reader is not None]
    assert [p.reader.channelwise for p in readers if p.reader] == [channelwise]
    if channelwise:
        assert len(readers[0].chi_steps) == 8


def test_a_tensor_lies_as_its_reader_wants_it_where_that_is_shorter() -> None:
    def pooled(channels: int) -> Layout:
        builder = Builder(5)
        x = builder.relu(builder.input("x", (2, channels * 4)), "r")
        m = maximum(builder, [x[0], x[1]], "m").reshape(channels, 4)
        builder.output("y", builder.linear(m.transpose(), ones(channels, 1), None, "y"))
        return layout(builder, lanes=4)

    assert "copy for y" not in names(pooled(3))
    assert place(pooled(3), "m").units.shape == (3, 1, 4)
