"""Each constraint of the gadgets that have rows of their own is needed: a forgery that it alone stops.

What stands in the rows of one instance at T = 4, but for the cells that are changed, is the honest filling. The units'
own constraints are in test_unit.py, those of paths in test_path.py, those of the second operand in test_second.py too,
those of what is in the linear check in linear/test_needed_sums.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.function import apply
from plonnx.gadgets.keyed import look_up
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.product_sum import Link, product_sum
from plonnx.gadgets.quadratic import Quadratic
from plonnx.gadgets.select import select
from plonnx.layout.arithmetize import arithmetize
from tests.gadgets.search import COPIES, Search, constraints
from tests.properties.models import Model

TABLE = np.array([[0, 2], [1, -1], [2, 0], [3, 3]])
MAKERS: dict[str, Callable[[Builder, list[Cells]], object]] = {
    "greater": lambda b, x: compare(b, x[0], x[1], "g"),
    "at most": lambda b, x: compare(b, x[0], x[1], "g", opposite=True),
    "unequal": lambda b, x: compare(b, x[0], x[1], "g", apart=True),
    "equal": lambda b, x: compare(b, x[0], x[1], "g", apart=True, opposite=True),
    "selection": lambda b, x: select(b, Cells(x[2].refs, 0, 1), x[0], x[1], "z"),
    "product": lambda b, x: multiply(b, x[0], x[1], 3, "p"),
    "sum of products": lambda b, x: product_sum(b, x[0], [Link(x[1], 3), Link(x[2], 1, 4)], "s"),
    "maximum": lambda b, x: maximum(b, x, "m"),
    "keyed": lambda b, x: look_up(b, x[0], np.array(0), TABLE, "y"),
    "function": lambda b, x: apply(b, Function("f", -1, np.array([1, 2, -1, 0])), x[0], "y"),
    "polynomial": lambda b, x: apply(b, Quadratic("p", -1, 2, 2, 0, 0), x[0], "y"),
    "Boolean": lambda b, _: b.input("kept", (1,), public=False, boolean=True),
    "narrow": lambda b, _: b.input("kept", (1,), public=False, narrow=2),
    "natural narrow": lambda b, _: b.input("kept", (1,), public=False, narrow=2, natural=True),
    "whole": lambda b, _: b.input("kept", (1,), public=False, step=2),
    "natural whole": lambda b, _: b.input("kept", (1,), public=False, step=2, natural=True),
}
UNIT = {"a0 + b0 is in [0, 4)", "c0 is in [0, 4)", "a0 or b0 is zero", "e0 is zero", "a0 is in (-4, 4)"}
NOT_NEGATIVE = "a Boolean is not negative"  # where cells are signed the other gate says so
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
    Forgery("sum of products", "the sum of products", (2, -1, 1), ({}, {}, {"b": 0, "e": 1})),
    Forgery("sum of products", "e0 is zero", (2, -1, 1), ({"a": 1, "e": 1}, {}, {})),
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
    Forgery("function", "applies its function", (1,), ({"a": 3, "b": 0, "e": -2},)),
    Forgery("polynomial", "the polynomial", (1,), ({"a": 2, "e": -1},)),
    Forgery("Boolean", "a Boolean is at most one", (), ({"a": 2},)),
    Forgery("Boolean", "a Boolean is not negative", (), ({"b": 1},)),
    Forgery("narrow", "a narrow input is one of its values", (), ({"a": 1},)),
    Forgery("narrow", "c0 is in [0, 4)", (), ({"a": 1, "c": 4},)),
    Forgery("natural narrow", "a natural narrow input is one of its values", (), ({"a": 2},)),
    Forgery("natural narrow", "c0 is in [0, 4)", (), ({"b": 1, "c": -2},)),
    Forgery("whole", "a whole input is a multiple", (), ({"a": 1},)),
    Forgery("natural whole", "a natural whole input is a multiple", (), ({"a": 1},)),
    Forgery("natural whole", "c0 is in [0, 4)", (), ({"b": 2, "c": -1},)),
    # all as it should be for other operands: x0 = 0, g = 0, y = 0, x1 = 0, x = 0
    Forgery("greater", COPIES, (1, 1), ({"a": 0}, {"a": 1, "c": 0, "e": 0}, {"a": 1, "e": 1})),
    Forgery("at most", COPIES, (1, 1), ({"a": 0}, {"a": 1, "c": 0, "e": 0}, {"a": 0, "e": 1})),
    Forgery("unequal", COPIES, (1, 1), ({"a": 0}, {"a": 1, "c": 0, "e": 0}, {"a": 1, "e": 1})),
    Forgery("equal", COPIES, (1, 1), ({"a": 0}, {"a": 1, "c": 0, "e": 0}, {"a": 0, "e": 1})),
    Forgery("selection", COPIES, (2, -1, 1), ({"a": 0, "b": 1, "c": 0, "e": 3}, {})),
    Forgery("product", COPIES, (2, -1), ({"b": 0, "c": 2, "e": 2}, {"e": 0})),
    Forgery("sum of products", COPIES, (2, -1, 1), ({}, {}, {"b": 2, "c": 3, "e": 5})),
    Forgery("maximum", COPIES, (-1, 1, 0), ({}, {"a": 1}, {"b": 0, "e": 0}, {"a": 0, "e": 0})),
    Forgery("keyed", COPIES, (1,), ({"a": 2, "b": 0, "e": -2},)),
    Forgery("function", COPIES, (1,), ({"a": 2, "b": 0, "e": -2},)),
    Forgery("polynomial", COPIES, (1,), ({"a": 0, "c": 2, "e": 0},)),
]


def honest(gadget: str, values: tuple[int, ...], signed: bool) -> Search:
    builder = Builder(2)
    given = [builder.input(f"x{i}", (1,), public=False) for i in range(len(values))]
    MAKERS[gadget](builder, [Cells(x.refs, -1, 2) for x in given])
    inputs = {"kept": 0} if not values else {f"x{i}": value for i, value in enumerate(values)}
    made = Model(builder, {name: np.array([[value]]) for name, value in inputs.items()})
    return Search(made, lanes=1, signed=signed)


def read_whole(gadget: str) -> bool:
    """Whether its circuit may have signed cells."""
    builder = Builder(2)
    MAKERS[gadget](builder, [Cells(builder.input(f"x{i}", (1,), public=False).refs, -1, 2) for i in range(3)])
    return not builder.reads_parts


def test_who_reads_parts() -> None:
    assert {name for name in MAKERS if not read_whole(name)} == {"greater", "at most", "unequal", "equal", "maximum"}


CASES = [(forgery, False) for forgery in FORGERIES]
CASES += [(f, True) for f in FORGERIES if f.stopped_by != NOT_NEGATIVE and read_whole(f.gadget)]
GADGETS = [(gadget, signed) for gadget in MAKERS for signed in (False, True) if not signed or read_whole(gadget)]


@pytest.mark.parametrize(("forgery", "signed"), CASES)
def test_a_forgery_is_stopped_by_one_constraint(forgery: Forgery, signed: bool) -> None:
    search = honest(forgery.gadget, forgery.inputs, signed)
    assert search.accepted([{}] * len(search.rows)).all()
    cells = [{part: np.array([value]) for part, value in row.items()} for row in forgery.rows]
    assert not search.accepted(cells).any()
    assert search.accepted(cells, without=forgery.stopped_by).all()


@pytest.mark.parametrize(("gadget", "signed"), GADGETS)
def test_no_constraint_is_forgotten(gadget: str, signed: bool) -> None:
    """All that a circuit has besides its units'."""
    search = honest(gadget, {f.gadget: f.inputs for f in FORGERIES}[gadget], signed)
    found = constraints(arithmetize(search.layout, "needed", search.layout.tensors))
    needed = {forgery.stopped_by for forgery in FORGERIES if forgery.gadget == gadget}
    needed -= {NOT_NEGATIVE} if signed else set()
    assert found - UNIT == needed - UNIT
    assert needed <= found
