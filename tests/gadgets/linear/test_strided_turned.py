"""What stands turned beside a layer of stride two, whose positions lie two apart: all equations, honest witnesses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.linear.combination import combination
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from tests.properties.equations import check
from tests.properties.models import LaidOut, Model, lay_out, residual

COUNT = 3  # of channels, and of positions
RANDOM = np.random.default_rng(7)
KERNEL, SQUARE = (RANDOM.integers(-9, 10, (2, taps, COUNT)) * 8 for taps in (2, 1))
WIDE = RANDOM.integers(-9, 10, (COUNT, COUNT)) * 8


def strided(b: Builder) -> Cells:
    x = b.input("x", (2, 2 * COUNT), public=False)
    return b.convolution(x, KERNEL, np.arange(2)[:, None], None, (COUNT,), "strided", strides=(2,))


def laid_out(b: Builder, lanes: int) -> LaidOut:
    inputs = {each.name: np.random.default_rng(1).integers(-20, 21, (1, *each.shape)) for each in b.inputs}
    case = lay_out(Model(b, inputs), lanes, 2)
    assert any(place.turned for place in case.layout.places)
    assert any(place.lane_spacing == 2 for place in case.layout.places if place.block)
    return case


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("summed_up", [square_sum, magnitude_sum])
def test_its_outputs_are_normalized(summed_up: Callable[..., Cells], lanes: int) -> None:
    """As a norm behind a convolution of stride two reads them: in turned copies, side by side."""
    b = Builder(8)
    y = strided(b)
    factors = summed_up(b, y, 3, "sums")
    scaled = row_product(b, y, factors, 9, "scaled")
    b.output("sums again", summed_up(b, scaled, 3, "sums again"))
    b.output("z", residual(b, y, WIDE, None, [(scaled, 60)], "z"))
    case = laid_out(b, lanes)
    assert check(case.layout).equations == COUNT * (3 * COUNT + 2)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("first", [True, False])
def test_what_stands_turned_is_added_to_its_outputs(first: bool, lanes: int) -> None:
    """Their sum may lie where the layer's outputs do, two apart: what is read of the turned one is copied there."""
    b = Builder(8)
    y, other = strided(b), b.input("other", (2, COUNT), public=False)
    z = b.convolution(other, SQUARE, np.zeros((1, 1), np.int64), None, (COUNT,), "turned")
    b.output("squares", square_sum(b, z, 3, "squares"))
    terms = [(y, 50), (z, 60)]
    b.output("sum", combination(b, terms if first else terms[::-1], "sum"))
    case = laid_out(b, lanes)
    assert check(case.layout).equations == COUNT * (3 * COUNT + 1)
    assert case.failures(case.witness()) == []
