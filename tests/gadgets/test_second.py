"""The second row of a frame: exhaustively at T = 4, and one column for the gadgets that share the frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out


@pytest.mark.parametrize("signed", [False, True])
def test_the_second_unit_holds_its_operand_alone(signed: bool) -> None:
    """Of all splits of q into a - b and e, one passes; without its gate others do."""
    chosen = list(itertools.product(range(-3, 4), range(-3, 4)))  # y, and a - b beside it
    y, shown = (np.array([pair[i] for pair in chosen]) for i in range(2))
    g = np.ones_like(y)
    builder = Builder(2)
    one, other, choice = (builder.input(name, (len(chosen),), public=False) for name in "xyg")
    select(builder, Cells(choice.refs, 0, 1), one, other, "z")
    search = Search(Model(builder, {"x": y[None], "y": y[None], "g": g[None]}), signed=signed)
    a, b = np.maximum(shown, 0), np.maximum(-shown, 0)
    first = {"a": np.maximum(y, 0), "b": np.maximum(-y, 0), "c": g, "e": np.zeros_like(y)}
    second = {"a": a, "b": b, "e": y - shown}
    np.testing.assert_array_equal(search.accepted([first, second]), shown == 0)
    assert search.accepted([first, second], without="the second operand's unit").sum() > 7


def test_gadgets_share_the_column() -> None:
    """A circuit with a product and a selection has one fixed column for both of their second rows."""
    builder = Builder(5)
    x, y, g = (builder.input(name, (4,), public=False) for name in "xyg")
    product = multiply(builder, x, y, 1, "p")
    builder.output("z", select(builder, Cells(g.refs, 0, 1), product, y, "z"))
    inputs = {"x": np.array([[1, -2, 3, 4]]), "y": np.array([[5, 6, -7, 8]]), "g": np.array([[0, 1, 0, 1]])}
    case = lay_out(Model(builder, inputs), 2, 1)
    assert case.failures(case.witness()) == []
    second = {name for place in case.layout.places for name in place.block.marks(lambda _: 0) if "second" in name}
    assert second == {"second"}
