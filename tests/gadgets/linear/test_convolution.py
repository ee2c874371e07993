"""Convolutions through the linear check: what they compute, which cells are the prover's, and what no prover can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.linear import border
from plonnx.gadgets.linear.convolution import Convolution, exact_type, signed_sums
from tests.gadgets.drawn import matrices, rounded
from tests.properties.models import LaidOut, Model, lay_out

Integers = NDArray[np.int64]
slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60)


def slow_convolution(
    x: Integers, weights: Integers, offsets: Integers, bias: Integers | None, shape: tuple[int, ...], groups: int
) -> Integers:
    """y[o, p] = bias[o] + sum of W[c, t, j] x[c, p + offsets[t]], one number at a time."""
    channels, taps, outputs = weights.shape
    y = np.zeros((groups * outputs, *shape), np.int64)
    for o in range(groups * outputs):
        for p in np.ndindex(*shape):
            total = 0 if bias is None else int(bias[o])
            for c in range(channels):
                for t in range(taps):
                    at = tuple(i + d for i, d in zip(p, offsets[t].tolist(), strict=True))
                    inside = all(0 <= i < n for i, n in zip(at, x.shape[1:], strict=True))
                    if inside and c // (channels // groups) == o // outputs:
                        total += int(weights[c, t, o % outputs]) * int(x[(c, *at)])
            y[(o, *p)] = total
    return y


@dataclass(frozen=True)
class Case:
    """A convolution of an input's values or positive parts, in a shape."""

    laid_out: LaidOut
    y: Cells
    expected: Integers


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bits = draw(st.integers(4, 8))
    size, random = 1 << bits, np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    axes = draw(st.integers(1, 3))
    most = {1: 9, 2: 5, 3: 3}[axes]
    grid, shape = (tuple(draw(st.lists(st.integers(1, most), min_size=axes, max_size=axes))) for _ in range(2))
    groups = draw(st.sampled_from([1, 1, 2, 3, 5, 6]))
    channels = groups * draw(st.integers(1, 2))
    outputs, taps = draw(st.integers(1, 3)) if groups < 5 else 1, draw(st.integers(1, 6))
    offsets = random.integers(-3, 4, (taps, axes))
    reach = max(1, size * (size - 2) // (2 * channels // groups * taps * (size - 1)))
    weights = random.integers(-reach, reach, (channels, taps, outputs), endpoint=True)
    bias = random.integers(-(size**2) // 4, size**2 // 4, groups * outputs) if draw(st.booleans()) else None
    builder = Builder(bits)
    x = builder.input("x", (channels, *grid), public=draw(st.booleans()))
    positive = draw(st.booleans())
    y = builder.convolution(builder.relu(x, "r") if positive else x, weights, offsets, bias, shape, "y", groups)
    builder.output("y", y, public=draw(st.booleans()))
    values = random.integers(1 - size, size, (channels, *grid)) // 2
    expected = slow_convolution(np.maximum(values, 0) if positive else values, weights, offsets, bias, shape, groups)
    model = Model(builder, {"x": values[None]})
    columns = draw(st.integers(1, 4))
    return Case(lay_out(model, draw(st.integers(1, 8)), columns, draw(st.integers(1, 4))), y, expected)


@slow
@given(cases())
def test_a_convolution_is_what_its_formula_says(case: Case) -> None:
    """Against Python integers, in the builder and in the circuit."""
    builder, inputs = case.laid_out.model.builder, case.laid_out.model.inputs
    done = builder.run(inputs)
    np.testing.assert_array_equal(done.sums[0, case.y.refs >> 1], case.expected)
    rounded = (case.expected + builder.table_size // 2) // builder.table_size
    np.testing.assert_array_equal(builder.read(done, case.y)[0], rounded)
    assert case.y.low <= rounded.min() and rounded.max() <= case.y.high
    assert case.laid_out.failures(case.laid_out.witness()) == []


@slow
@given(cases(), st.data())
def test_another_output_or_border_term_fails(case: Case, data: st.DataObject) -> None:
    """One cell c, up or down, of an element at random: another exact sum. One border term likewise."""
    layout = case.laid_out.layout
    honest, (rows, lanes) = case.laid_out.witness(), layout.unit_cells
    unit = int(data.draw(st.sampled_from((case.y.refs >> 1).reshape(-1).tolist())))
    c = f"c{lanes[unit]}"
    changed = honest.advice[c].copy()
    changed[rows[unit]] += 1 if changed[rows[unit]] + 1 < layout.builder.table_size else -1
    witness = replace(honest, advice={**honest.advice, c: changed})
    found = {failure.constraint for failure in case.laid_out.failures(witness)}
    assert "gate 'running sum ends'" in found
    bordered = [place for place in layout.places if place.has_terms]
    if bordered:
        row = data.draw(st.sampled_from(bordered[0].term_rows.tolist()))
        lane = data.draw(st.integers(0, layout.border_lanes - 1))
        at = border.name(lane)

        def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
            columns = dict(honest.later(phase, scalars))
            if at in columns:
                columns[at].write_(row, columns[at].slice(row, row + 1).add(_native.Vec.from_scalars([1])))
            return columns

        found = {failure.constraint for failure in case.laid_out.failures(replace(honest, later=later))}
        assert found == {"gate 'running sum ends'"}


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_a_padded_kernel_by_hand(lanes: int) -> None:
    """3 x 3 with padding 1; the border is a ring around the output."""
    random = np.random.default_rng(lanes)
    kernel, x = random.integers(-2, 3, (3, 3)), random.integers(-15, 16, (4, 5))
    padded = np.pad(x, 1)
    exact = [[int((padded[i : i + 3, j : j + 3] * kernel).sum()) for j in range(5)] for i in range(4)]
    builder = Builder(4)
    offsets = np.array([(i - 1, j - 1) for i in range(3) for j in range(3)])
    image = builder.input("x", (1, 4, 5))
    y = builder.convolution(image, kernel.reshape(1, 9, 1), offsets, None, (4, 5), "y")
    builder.output("y", y)
    case = lay_out(Model(builder, {"x": x[None, None]}), lanes, 1)
    assert builder.run(case.model.inputs).sums[0, y.refs[0] >> 1].tolist() == exact
    assert case.failures(case.witness()) == []
    (place,) = (p for p in case.layout.places if p.has_terms)
    assert place.border is not None
    assert len(place.border.rows) == 6 * 7 - 4 * 5


def test_shapes_that_do_not_fit_are_refused() -> None:
    builder = Builder(4)
    x = builder.input("x", (4, 3))
    zeros = np.zeros((1, 1), np.int64)
    for weights, groups in ((np.ones((3, 1, 1), np.int64), 1), (np.ones((4, 1, 1), np.int64), 3)):
        with pytest.raises(ValueError, match="do not fit"):
            builder.convolution(x, weights, zeros, None, (3,), "y", groups)
    with pytest.raises(ValueError, match="do not fit"):
        builder.convolution(x, np.ones((4, 1, 1), np.int64), np.zeros((1, 2), np.int64), None, (3, 1), "y")
    with pytest.raises(Overflow, match="y: its exact sum can reach"):
        builder.convolution(x, np.full((4, 1, 1), 1 << 58), zeros, None, (3,), "y")


def test_weights_of_another_shape_are_refused() -> None:
    builder = Builder(4)
    with pytest.raises(ValueError, match="y: x has 3 columns, the weights 2 rows"):
        builder.linear(builder.input("x", (1, 3)), np.ones((2, 2), np.int64), None, "y")


def test_a_dense_layer_is_a_convolution_of_one_tap() -> None:
    builder = Builder(6)
    x = builder.input("x", (3, 4))
    weights = np.arange(8).reshape(4, 2)
    builder.linear(x, weights, np.array([5, 6]), "y")
    block = builder.blocks[-1]
    assert isinstance(block, Convolution)
    assert (block.x.shape, block.weights.shape, block.shape, block.groups) == ((4, 3), (4, 1, 2), (3,), 1)
    np.testing.assert_array_equal(block.x, x.refs.T)
    np.testing.assert_array_equal(block.weights[:, 0], weights)


@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_the_whole_product_is_an_output_without_a_border(lanes: int, groups: int) -> None:
    """Where rows end early its positions would lie before the input's: it takes a window ahead of them."""
    builder, random = Builder(6), np.random.default_rng(lanes)
    x = builder.input("x", (5, 3), public=False)
    weights = random.integers(-9, 10, (5, 2, 1))
    y = builder.convolution(x, weights, np.array([[-1], [0]]), None, (4,), "y", groups)
    builder.output("y", y, public=False)
    inputs = random.integers(-60, 61, (1, 5, 3))
    case = lay_out(Model(builder, {"x": inputs}), lanes, 1)
    assert case.failures(case.witness()) == []
    assert not any(place.has_terms for place in case.layout.places)
    by_channel = np.array([np.convolve(x, w) for x, w in zip(inputs[0], weights[:, ::-1, 0], strict=True)])
    expected = by_channel if groups == 5 else by_channel.sum(axis=0, keepdims=True)
    done = builder.run({"x": inputs})
    assert done.sums[0, y.refs >> 1].tolist() == expected.tolist()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_a_window_alone_needs_no_accumulators(lanes: int) -> None:
    builder = Builder(4)
    x = builder.input("x", (2, 1), public=False)
    y = builder.convolution(x, np.array([[[-8]], [[9]]]), np.array([[-1]]), None, (2,), "y")
    builder.output("y", y)
    case = lay_out(Model(builder, {"x": np.array([[[5], [13]]])}), lanes, 1)
    assert case.failures(case.witness()) == []
    assert builder.evaluate(case.model.inputs)["y"].tolist() == [[[0, 5]]]
    names = case.circuit().advice_names
    assert "border terms 0" not in names
    assert "input sums" not in names  # lone values, read directly
    assert ("output sums" in names) == (lanes == 1)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.data())
def test_linear(bits: int, rows: int, inner: int, outputs: int, data: st.DataObject) -> None:
    size = 1 << bits
    x = data.draw(matrices(rows, inner, size - 1))
    w = data.draw(matrices(inner, outputs, 3 * size))
    bias = data.draw(st.none() | st.lists(st.integers(-(size**2), size**2), min_size=outputs, max_size=outputs))
    exact = [
        [sum(x[r][k] * w[k][n] for k in range(inner)) + (bias[n] if bias else 0) for n in range(outputs)]
        for r in range(rows)
    ]
    expected = [[rounded(y, size) for y in row] for row in exact]
    builder = Builder(bits)
    cells = builder.linear(
        builder.input("x", (rows, inner)), np.array(w), None if bias is None else np.array(bias), "y"
    )
    builder.output("y", cells)
    if max(abs(v) for row in expected for v in row) < size:
        done = builder.run({"x": np.array([x])})
        assert builder.read(done, cells)[0].tolist() == expected
        assert done.sums[0, cells.refs >> 1].tolist() == exact
        assert builder.evaluate({"x": np.array([x])})["y"][0].tolist() == expected
    else:
        with pytest.raises(OutOfRange, match="tensor y: the value"):
            builder.run({"x": np.array([x])})


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(1, 30), st.data())
def test_matrix_products_are_exact(rows: int, inner: int, columns: int, bits: int, data: st.DataObject) -> None:
    """Below 2^53 through floats, beyond in integers."""
    a: Any = data.draw(matrices(rows, inner, 1 << bits))
    b: Any = data.draw(matrices(inner, columns, 1 << (58 - bits)))
    plain = [[sum(a[i][k] * b[k][j] for k in range(inner)) for j in range(columns)] for i in range(rows)]
    kind = exact_type(float(max(sum(map(abs, row)) for row in a)), np.array(b))
    assert (np.array(a, kind) @ np.array(b, kind)).astype(np.int64).tolist() == plain


@pytest.mark.parametrize(("channels", "taps", "outputs", "groups"), [(3000, 9, 16, 1), (6, 2, 3, 3), (4, 1, 5, 2)])
def test_weights_are_summed_up_by_sign(channels: int, taps: int, outputs: int, groups: int) -> None:
    weights = np.random.default_rng(channels).integers(-1000, 1000, (channels, taps, outputs))
    above, below = signed_sums(weights, groups)
    each = weights.reshape(groups, -1, outputs)
    assert above.tolist() == np.where(each > 0, each, 0).sum(axis=1).reshape(-1).tolist()
    assert below.tolist() == np.where(each < 0, -each, 0).sum(axis=1).reshape(-1).tolist()
