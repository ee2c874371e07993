"""Each constraint of the gadgets that have rows of their own is needed: a forgery that it alone stops.

What stands in the rows of one instance at T = 4, but for the cells that are changed, is the honest filling. The units'
own constraints are in test_unit.py, those of paths in test_path.py, those of the second operand in test_second.py too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pytest

from plonnx.gadgets import Builder, Cells
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.keyed import look_up
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select
from plonnx.layout.arithmetize import arithmetize
from plonnx.plonk.circuit import Circuit
from tests.gadgets.search import Search
from tests.properties.models import Model

TABLE = np.array([[0, 2], [1, -1], [2, 0], [3, 3]])
MAKERS: dict[str, Callable[[Builder, list[Cells]], object]] = {
    "greater": lambda b, x: compare(b, x[0], x[1], "g"),
    "at most": lambda b, x: compare(b, x[0], x[1], "g", opposite=True),
    "unequal": lambda b, x: compare(b, x[0], x[1], "g", apart=True),
    "equal": lambda b, x: compare(b, x[0], x[1], "g", apart=True, opposite=True),
    "selection": lambda b, x: select(b, Cells(x[2].refs, 0, 1), x[0], x[1], "z"),
    "product": lambda b, x: multiply(b, x[0], x[1], 3, "p"),
    "maximum": lambda b, x: maximum(b, x, "m"),
    "keyed": lambda b, x: look_up(b, x[0], np.array(0), TABLE, "y"),
}
SECOND = "the second operand's unit is empty"
Row = dict[str, int]


@dataclass(frozen=True)
class Forgery:
    """Of a gadget over inputs of these values, the cells that a row changes to; only `stopped_by` is against it."""

    gadget: str
    stopped_by: str
    inputs: tuple[int, ...]
    rows: tuple[Row, ...]


FORGERIES = [
    # x1 = x0: g = 1 by a difference from another number, g = -1, g = 1 in what 0 leaves; then another result than g
    Forgery("greater", "the comparison starts", (1, 1), ({}, {"a": 1, "c": 0, "e": 0}, {"a": 1, "e": 1})),
    Forgery("greater", "the comparison is 0 or 1", (1, 1), ({}, {"c": 1}, {"b": 1, "e": -1})),
    Forgery("greater", "the comparison leaves room", (1, 1), ({}, {}, {"a": 1, "e": 1})),
    Forgery("greater", "the comparison is decided", (1, 0), ({}, {"c": 0}, {"a": 1, "e": 1})),
    Forgery("greater", "the comparison is decided", (0, 1), ({}, {"c": 1}, {"a": 0, "e": 0})),
    Forgery("greater", "the comparison is stated", (1, 1), ({}, {}, {"a": 1})),
    Forgery("at most", "the comparison starts", (1, 1), ({}, {"a": 1, "c": 0, "e": 0}, {"a": 0, "e": 1})),
    Forgery("at most", "the comparison is 0 or 1", (1, 1), ({}, {"c": 1}, {"a": 2, "e": -1})),
    Forgery("at most", "the comparison leaves room", (1, 1), ({}, {}, {"a": 0, "e": 1})),
    Forgery("at most", "the comparison is decided", (1, 0), ({}, {"c": 0}, {"a": 0, "e": 1})),
    Forgery("at most", "the comparison is stated", (1, 1), ({}, {}, {"a": 0})),
    Forgery("unequal", "the comparison starts", (1, 1), ({}, {"a": 1, "c": 0, "e": 0}, {"a": 1, "e": 1})),
    Forgery("unequal", "the comparison is 0 or 1", (1, 1), ({}, {"c": 1}, {"b": 1, "e": -1})),
    Forgery("unequal", "the comparison leaves room", (1, 1), ({}, {}, {"a": 1, "e": 1})),
    Forgery("unequal", "the comparison is decided", (0, 1), ({}, {"c": 1}, {"a": 0, "e": 0})),
    Forgery("unequal", "the comparison is stated", (1, 1), ({}, {}, {"a": 1})),
    Forgery("equal", "the comparison starts", (1, 1), ({}, {"a": 1, "c": 0, "e": 0}, {"a": 0, "e": 1})),
    Forgery("equal", "the comparison is 0 or 1", (1, 1), ({}, {"c": 1}, {"a": 2, "e": -1})),
    Forgery("equal", "the comparison leaves room", (1, 1), ({}, {}, {"a": 0, "e": 1})),
    Forgery("equal", "the comparison is decided", (0, 1), ({}, {"c": 1}, {"a": 1, "e": 0})),
    Forgery("equal", "the comparison is stated", (1, 1), ({}, {}, {"a": 0})),
    Forgery("selection", "the selection", (2, -1, 1), ({"a": 1, "e": 1}, {})),
    Forgery("selection", SECOND, (2, -1, 0), ({"b": 0, "e": 2}, {"b": 1, "e": 0})),
    Forgery("product", "the product", (2, -1), ({"b": 0, "e": 2}, {})),
    Forgery("product", SECOND, (2, -1), ({"b": 0, "c": 2, "e": 2}, {"b": 1, "e": 0})),
    # larger than every candidate: from the first one on, and from another one on
    Forgery(
        "maximum",
        "the maximum starts",
        (-1, 1, 0),
        ({}, {"a": 0, "b": 1, "e": 2}, {"b": 2, "e": 2}, {"a": 2, "e": 2}),
    ),
    Forgery("maximum", "the maximum starts", (-1, 1, 0), ({}, {}, {"b": 2, "e": 2}, {"a": 2, "e": 2})),
    Forgery("maximum", "the maximum is stated", (-1, 1, 0), ({}, {}, {}, {"a": 2})),
    Forgery("keyed", "looks up a value", (1,), ({"a": 3, "b": 0, "e": -2},)),
]


def honest(gadget: str, values: tuple[int, ...]) -> Search:
    builder = Builder(2)
    given = [builder.input(f"x{i}", (1,), public=False) for i in range(len(values))]
    MAKERS[gadget](builder, [Cells(x.refs, -1, 2) for x in given])
    return Search(Model(builder, {f"x{i}": np.array([[value]]) for i, value in enumerate(values)}), lanes=1)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f"{f.gadget}-{f.stopped_by}")
def test_a_forgery_is_stopped_by_one_constraint(forgery: Forgery) -> None:
    search = honest(forgery.gadget, forgery.inputs)
    assert search.accepted([{}] * len(search.rows)).all()
    cells = [{part: np.array([value]) for part, value in row.items()} for row in forgery.rows]
    assert not search.accepted(cells).any()
    assert search.accepted(cells, without=forgery.stopped_by).all()


@pytest.mark.parametrize("gadget", MAKERS)
def test_no_constraint_is_forgotten(gadget: str) -> None:
    search = honest(gadget, {f.gadget: f.inputs for f in FORGERIES}[gadget])
    circuit: Circuit = arithmetize(search.layout, "needed", search.layout.tensors)
    own = {name for name in _names(circuit.gates) | _names(circuit.lookups) if name}
    assert own == {forgery.stopped_by for forgery in FORGERIES if forgery.gadget == gadget}


def _names(constraints: Iterable[object]) -> set[str]:
    """Those that a lane has besides its unit's."""
    found = [re.match(r"lane 0:? (.*)", str(getattr(constraint, "name", ""))) for constraint in constraints]
    return {match[1] for match in found if match is not None}
