"""Integers of two units by comparisons (comparison.py) and selections of both parts: the largest, magnitudes, signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.fixed_point import Made, Scaled, Wide
from plonnx.compiler.graph import type_interval
from plonnx.compiler.ops import wide
from plonnx.compiler.ops.comparison import compared
from plonnx.compiler.ops.registry import Call, Operand
from plonnx.gadgets import Cells


def extreme(call: Call, operands: Sequence[Operand], smallest: bool) -> Made:
    """The largest (smallest) of operands that broadcast to the output's shape, one after another."""
    best, *others = [x for x in operands if not _is_never_chosen(call, x, smallest)]
    for place, other in enumerate(others):
        one = _named(call, f"~{place}")
        above = compared(one, other, best) if smallest else compared(one, best, other)
        best = wide.chosen(one, above, best, other)
    assert isinstance(best, Scaled | Wide), "an operand is computed"
    return _held(call, best)


def extreme_of_rows(call: Call, rows: Scaled | Wide, smallest: bool) -> Made:
    """The largest (smallest) of each row, of x [rows, columns]."""
    return extreme(call, [_column(rows, k, call.out.shape) for k in range(rows.shape[1])], smallest)


def _column(rows: Scaled | Wide, k: int, shape: Sequence[int]) -> Scaled | Wide:
    return rows.each(lambda cells: cells.take([k], 1).reshape(shape))


def magnitude(call: Call, x: Scaled | Wide) -> Made:
    """|x|."""
    negated = wide.total(call, [(x, -1)], None, f"{call.out.name}~-")
    return _held(call, wide.chosen(call, compared(_named(call, "~0"), np.zeros(()), x), negated, x))


def sign(call: Call, x: Scaled | Wide) -> Cells:
    """[x > 0] - [0 > x]."""
    above, below = compared(_named(call, "~0"), x, np.zeros(())), compared(_named(call, "~1"), np.zeros(()), x)
    return call.sum([(Scaled(above, 0), 1.0), (Scaled(below, 0), -1.0)])


def _held(call: Call, made: Scaled | Wide) -> Made:
    """As the node's output, which may have one unit."""
    return made if call.out.wide and isinstance(made, Wide) else wide.made_sum(call, [(made, 1)], None)


def _named(call: Call, suffix: str) -> Call:
    return replace(call, outputs=(replace(call.out, name=f"{call.out.name}{suffix}"),))


def _is_never_chosen(call: Call, x: Operand, smallest: bool) -> bool:
    """Whether a constant is the type's last number on its side, as in bounds that hold nothing back, or beyond it."""
    if x is None or isinstance(x, Scaled | Wide):
        return False
    low, high = type_interval(call.out.dtype)
    ends = x.astype(np.float64)
    return bool(np.all(ends >= high) if smallest else np.all(ends <= low))
