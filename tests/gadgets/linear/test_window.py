"""Sums over windows and the maxima made of them: against plain integers, and as forgeries."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Overflow
from plonnx.gadgets.linear.window import Term, WindowSum, largest, window_sum
from plonnx.kzg.record import Malformed
from tests.adversarial.subject import Subject
from tests.properties.equations import check
from tests.properties.models import Model, lay_out

SUM = {"gate 'running sum ends'"}
Axis = tuple[int, int, int, int]  # extent, kernel, stride, where the first window starts


def layer(builder: Builder, channels: int, grid: tuple[int, ...]) -> Cells:
    """What a layer makes of an input: the input itself."""
    x = builder.input("x", (channels, *grid), public=False)
    kernel, tap = np.full((channels, 1, 1), builder.table_size), np.zeros((1, len(grid)), np.int64)
    return builder.convolution(x, kernel, tap, None, grid, "y", channels)


def pooled(channels: int, axes: list[Axis], seed: int = 0, bits: int = 8) -> tuple[Model, list[int]]:
    """The largest of windows of a layer's positive parts; and what they are."""
    builder, grid = Builder(bits), tuple(extent for extent, *_ in axes)
    x = builder.relu(layer(builder, channels, grid), "r")
    taps = [np.arange(kernel) + start for _, kernel, _, start in axes]
    shape = [1 + max(0, extent - start - kernel) // by for extent, kernel, by, start in axes]
    z = largest(builder, x, taps, [by for _, _, by, _ in axes], shape, "z")
    builder.output("z", z)
    half = builder.table_size // 2
    values = np.random.default_rng(seed).integers(-half, half, (1, channels, *grid), endpoint=True)
    expected = []
    for channel, *position in np.ndindex(channels, *shape):
        reads = product(*(by * p + t for p, t, (_, _, by, _) in zip(position, taps, axes, strict=True)))
        inside = [at for at in reads if all(0 <= i < extent for i, extent in zip(at, grid, strict=True))]
        expected.append(max(0, *(int(values[(0, channel, *at)]) for at in inside)) if inside else 0)
    return Model(builder, {"x": values}), expected


AXIS = st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(1, 3), st.integers(-1, 0))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.lists(AXIS, min_size=1, max_size=2), st.integers(1, 5), st.integers(0, 999))
def test_the_largest_of_windows(channels: int, axes: list[Axis], lanes: int, seed: int) -> None:
    """Any kernel, stride and padding; read in place throughout, and each equation as its block says."""
    model, expected = pooled(channels, axes, seed)
    assert model.builder.evaluate(model.inputs)["z"].reshape(-1).tolist() == expected
    case = lay_out(model, lanes, 1)
    assert case.failures(case.witness()) == []
    assert not [place.name for place in case.layout.places if place.because and "public" not in place.name]


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_coefficient_of_a_pool_is_the_blocks(lanes: int) -> None:
    model, _ = pooled(6, [(4, 2, 2, 0), (5, 3, 2, -1)])
    assert check(lay_out(model, lanes, 2).layout).equations > 6 * 2 * 3


def test_a_pool_takes_four_units_a_window_and_no_weights() -> None:
    model, _ = pooled(6, [(4, 2, 2, 0), (4, 2, 2, 0)])
    sums = [block for block in model.builder.blocks if isinstance(block, WindowSum)]
    assert [block.count for block in sums] == [6 * 8, 6 * 4, 6 * 4]
    places = {place.name: place for place in lay_out(model, 2, 1).layout.places}
    read = places["y"]
    assert read.reader is not None and read.reader.alone and len(read.others) == 2
    assert read.run_rows == read.height  # no row for weights


@pytest.mark.parametrize("first", ["layer", "pool"])
def test_a_layer_that_reads_what_a_pool_reads_stands_in_the_same_rows(first: str) -> None:
    """Whoever comes first: the pool takes multiples, the layer has the weights."""
    builder = Builder(8)
    x = builder.relu(layer(builder, 5, (4,)), "r")
    for who in (first, "pool" if first == "layer" else "layer"):
        if who == "layer":
            kernel = np.full((5, 2, 3), 7)
            builder.output("w", builder.convolution(x, kernel, np.array([[0], [1]]), None, (4,), "w"))
        else:
            builder.output("z", largest(builder, x, [np.arange(2)], [2], [2], "z"))
    case = lay_out(Model(builder, {"x": np.arange(20).reshape(1, 5, 4)}), 2, 2)
    assert case.failures(case.witness()) == []
    assert check(case.layout).equations
    (place,) = (place for place in case.layout.places if place.name == "y")
    assert place.reader is not None and not place.reader.alone
    assert len(place.others) == 2  # one difference, and the result


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 999))
def test_a_sum_over_windows(channels: int, by: int, lanes: int, seed: int) -> None:
    """Two terms of one tensor at strides and taps of their own, one of its positive part."""
    random, builder = np.random.default_rng(seed), Builder(8)
    x = layer(builder, channels, (5,))
    taps = [{(int(t),): int(random.integers(-40, 41)) for t in random.permutation(5)[:2] - 2} for _ in range(2)]
    terms = [Term(x, (1,), taps[0]), Term(builder.relu(x, "r"), (by,), taps[1])]
    builder.output("z", window_sum(builder, terms, (3,), "z"))
    values = random.integers(-200, 201, (1, channels, 5))
    model = Model(builder, {"x": values})

    def shown(view: np.ndarray, at: int) -> int:
        return int(view[at]) if 0 <= at < 5 else 0

    expected = [
        sum(c * shown(row, p + t) for (t,), c in taps[0].items())
        + sum(c * shown(np.maximum(row, 0), by * p + t) for (t,), c in taps[1].items())
        for row in values[0]
        for p in range(3)
    ]
    got = model.builder.evaluate(model.inputs)["z"].reshape(-1).tolist()
    assert got == [floor(y / 256 + 0.5) for y in expected]
    case = lay_out(model, lanes, 1)
    assert case.failures(case.witness()) == [] and check(case.layout).equations == 8 * channels


@pytest.mark.parametrize("name", ["z~1", "z~2", "z"])
def test_only_the_linear_check_stops_another_output(name: str) -> None:
    """Each element by one and by T; pairs that compensate; other coefficients, taps and strides."""
    subject = Subject(pooled(2, [(2, 2, 2, 0), (4, 2, 2, 0)])[0], 2, 1)
    (block,) = (b for b in subject.builder.blocks if b.name == name)
    assert isinstance(block, WindowSum)
    for changes, witness in subject.with_other_sums(name, block.count):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    for other in (
        {"coefficients": (block.coefficients[0] + 1, *block.coefficients[1:])},
        {"offsets": block.offsets + 1},
        {"strides": block.strides + 1},
    ):
        assert {f.constraint for f in subject.failures(subject.forged(name, **other))} == SUM, other


def test_no_border_term_can_be_changed() -> None:
    """What strides and taps reach between the outputs, of both terms together."""
    subject = Subject(pooled(2, [(4, 2, 2, 0), (4, 2, 2, 0)])[0], 2, 1)
    bordered = [place for place in subject.layout.places if place.has_terms]
    assert len(bordered) == 3
    for place in bordered:
        for row in place.term_rows.tolist():
            for lane in range(subject.layout.border_lanes):
                assert {f.constraint for f in subject.failures(subject.bordered(row, lane, 1))} == SUM


def test_what_is_refused() -> None:
    builder = Builder(4)
    x = layer(builder, 1, (4,))
    with pytest.raises(Overflow, match="16 or more apart"):
        largest(builder, x, [np.arange(2)], [2], [2], "z")
    hidden = Builder(4, True, 8, 8)
    x = hidden.input("x", (1, 4))
    with pytest.raises(ValueError, match="a private model"):
        window_sum(hidden, [Term(x, (1,), {(0,): 1})], (4,), "z")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shape", (1,), "empty axis"),
        ("counts", (), "empty axis"),
        ("grids", np.array([[0]]), "grids and strides"),
        ("cells", np.arange(3), "cells are not"),
        ("counts", (1,), "taps are not"),
        ("coefficients", (1,), "taps are not"),
        ("offsets", np.array([[0], [1 << 21]]), "too far"),
        ("offsets", np.array([[1], [1]]), "two of its taps"),
        ("strides", np.array([[1 << 21]]), "strides"),
        ("strides", np.array([[0]]), "strides"),
    ],
)
def test_a_file_of_another_shape_is_refused(field: str, value: Any, message: str) -> None:
    builder = Builder(4)
    x = layer(builder, 1, (4,))
    window_sum(builder, [Term(x, (1,), {(0,): 1, (1,): 2})], (2,), "z")
    block = builder.blocks[-1]
    assert isinstance(block, WindowSum)
    with pytest.raises(Malformed, match=message):
        replace(block, **{field: value}).validate("block 2")
