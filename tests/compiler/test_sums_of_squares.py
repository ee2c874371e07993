"""Normalizations of what layers make: squares and multiples of rows in place, within the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plonnx.compiler import room
from plonnx.compiler.quantize import quantize
from plonnx.compiler.room import with_room
from plonnx.compiler.sums_of_squares import sums_of_squares
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.magnitude_sum import MagnitudeSum
from plonnx.gadgets.linear.row_product import RowProduct
from plonnx.gadgets.linear.square_sum import SquareSum
from plonnx.gadgets.product import Product
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from tests.compiler.small import assert_accurate, compiled, graph_of

BODY = {
    "mean": "h = MatMul(x, w) y = LayerNormalization(h, s)",
    "sum": "h = MatMul(x, w) q = Mul(h, h) v = ReduceSum<keepdims = 1>(q, a) y = Div(h, v)",
    "power": "h = MatMul(x, w) q = Pow(h, two) v = ReduceMean(q, a) r = Sqrt(v) y = Div(h, r)",
}


def signature(rows: int, width: int) -> str:
    return f"float[{rows},6] x) => (float[{rows},{width}] y)"


def constants(width: int) -> dict[str, NDArray[Any]]:
    w = np.random.default_rng(3).normal(size=(6, width))
    return {"w": w, "s": np.linspace(0.5, 2.0, width), "a": np.array([-1]), "two": np.array(2.0)}


@pytest.mark.parametrize("name", BODY)
@pytest.mark.parametrize("width", [16, 24])
def test_a_normalization_of_a_layer_copies_nothing_but_a_number_a_row(
    tmp_path: Path, name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_WORTH_A_BIT", 1)
    made = compiled(tmp_path, signature(16, width), BODY[name], constants(width), 18, table_bits=14)
    kinds = [type(block) for block in made.builder.blocks]
    assert kinds.count(RowProduct) == kinds.count(SquareSum) == 1
    assert not {Product, Lookup} & set(kinds)
    assert_accurate(made, 0.01)
    layout = Layout(made.builder, Shape(0, 4, 8, 1))
    (stream,) = (place for place in layout.places if place.turned)
    assert stream.block is not None and stream.squared
    assert [place.name for place in layout.places if place.above is not None] == [stream.name]


@pytest.mark.parametrize("width", [16, 24])
def test_a_mean_of_magnitudes_is_read_where_they_stand(tmp_path: Path, width: int) -> None:
    body = "h = MatMul(x, w) q = Abs(h) v = ReduceMean(q, a) y = Div(h, v)"
    made = compiled(tmp_path, signature(16, width), body, constants(width), 18, table_bits=14)
    kinds = [type(block) for block in made.builder.blocks]
    assert kinds.count(RowProduct) == kinds.count(MagnitudeSum) == 1
    assert not {Product, Lookup, SquareSum} & set(kinds)
    assert_accurate(made, 0.01)
    layout = Layout(made.builder, Shape(0, 4, 8, 1))
    (stream,) = (place for place in layout.places if place.turned)
    assert stream.block is not None and stream.squared


@pytest.mark.parametrize(("width", "squares"), [(16, 1), (17, 2), (24, 2), (64, 0)])
def test_where_a_bit_is_missing_each_half_of_a_row_has_a_unit(tmp_path: Path, width: int, squares: int) -> None:
    """Read where the row stands, both halves. Where more is missing the squares have units."""
    made = compiled(tmp_path, signature(16, width), BODY["power"], constants(width), 18, table_bits=14)
    kinds = [type(block) for block in made.builder.blocks]
    assert kinds.count(SquareSum) == squares and (Lookup in kinds) == (not squares)
    assert_accurate(made, 0.01)
    layout = Layout(made.builder, Shape(0, 4, 8, 1))
    assert [len(place.squared) for place in layout.places if place.turned] == [squares]
    assert not any("turned" in place.because for place in layout.places)


def test_a_private_model_has_units_for_squares(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "private", "weight_bits": 28, "bias_bits": 40}
    made = compiled(tmp_path, signature(16, 16), BODY["mean"], constants(16), 18, table_bits=14, **options)
    kinds = [type(block) for block in made.builder.blocks]
    assert not {RowProduct, SquareSum} & set(kinds)
    assert Product in kinds


def test_short_rows_and_squares_that_nobody_else_reads_are_left(tmp_path: Path) -> None:
    few = graph_of(tmp_path, signature(4, 16), BODY["sum"], constants(16), 18)
    narrow = graph_of(tmp_path, signature(9, 6), BODY["sum"], constants(6), 18)
    body = "h = MatMul(x, w) q = Mul(h, h) y = ReduceSum<keepdims = 1>(q, a)"
    alone = graph_of(tmp_path, "float[9,6] x) => (float[9,1] y)", body, constants(16), 18)
    for graph in (few, narrow, alone):
        assert sums_of_squares(graph) == {}


def test_what_is_squared_is_as_coarse_as_a_rows_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of squares, a T-th of which a unit holds, is that of the squared norm. Not for a few squares."""
    graph = graph_of(tmp_path, signature(9, 16), BODY["sum"], constants(16), 18)
    limits = {**dict.fromkeys(graph.tensors, 3.0), "v": 100.0}
    assert with_room(graph, limits)["h"] == 3.0
    monkeypatch.setattr(room, "_WORTH_A_BIT", 9 * 16)
    assert with_room(graph, limits)["h"] == 12.0  # the norm is 10: of 4 bits, where 3 has 2
    assert with_room(graph, limits, hidden=True)["h"] == 3.0
    assert with_room(graph, {**limits, "v": 9.0})["h"] == 3.0
    scales = quantize(graph, limits, 12).tensors
    assert scales["h"].scale == 8
