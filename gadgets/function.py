"""A function of one value by a lookup table: v = f(q), where a unit takes q (gadgets/unit.py).

    (q, a - b, tag) is a row of the table, on rows where `applied` (fixed 0/1) is one

q is the exact sum of a linear block, rescaled, or a copy. The table holds (x, f(x), number of f) for every x of the
function's domain; with one function there is no tag. An input outside the domain has no row: it cannot be proved. The
table's rows fix v = f(q), hence a and b; q is fixed by the linear check or the copy, hence e. Nor can an input that the
table gives the value T, which no unit shows: |a - b| < T. Lanes without a value hold some row of the table.

Cost: no row; one lookup a lane, the table's entries. A part of the table inside one function needs a fixed column for
the values alone: its arguments are row numbers plus a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import Function
from plonnx.gadgets.unit import row_numbers

if TYPE_CHECKING:
    from plonnx.gadgets.unit import UnitColumns
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.expression import Expression

Integers = NDArray[np.int64]


def entries(functions: Sequence[Function]) -> tuple[Integers, Integers, Integers]:
    """All rows of the table: arguments, values, tags."""
    arguments = [f.low + np.arange(len(f.values)) for f in functions]
    tags = [np.full(len(f.values), number) for number, f in enumerate(functions)]
    return np.concatenate(arguments), np.concatenate([f.values for f in functions]), np.concatenate(tags)


def add(
    circuit: Circuit,
    units: Sequence[UnitColumns],
    functions: Sequence[Function],
    applied: Integers,
    tags: Integers,
    active_rows: int,
) -> None:
    """Apply functions[tag] on the rows where `applied` is one."""
    several = len(functions) > 1
    columns = entries(functions)[: 3 if several else 2]
    plain = plain_parts([len(f.values) for f in functions], active_rows)
    parts: list[list[Expression]] = []
    for start, alone in zip(range(0, len(columns[0]), active_rows), plain, strict=True):
        part = [column[start : start + active_rows] for column in columns]
        if alone:
            arguments = row_numbers(circuit, active_rows)() + int(part[0][0])
            parts.append([arguments, circuit.fixed("y of functions", part[1])(), *(int(tag[0]) for tag in part[2:])])
            continue
        padded = [np.concatenate([c, np.full(active_rows - len(c), c[-1])]) for c in part]  # the last row again
        parts.append([circuit.fixed(f"{name} of functions", c)() for name, c in zip("xyt", padded, strict=False)])
    table = circuit.table("functions", *parts)
    on = circuit.fixed("applied", applied)()
    tag = [circuit.fixed("tag", tags)()] if several else []
    for lane, unit in enumerate(units):
        circuit.lookup(f"lane {lane} applies its function", table, [unit.taken, unit.value, *tag], on)


def plain_parts(lengths: Sequence[int], active_rows: int) -> list[bool]:
    """For each part of the table, whether all its rows are of one function."""
    bounds = np.cumsum([0, *lengths])
    starts = np.arange(0, int(bounds[-1]), active_rows)
    owners = np.searchsorted(bounds, starts, "right")
    return [bool(start + active_rows <= bounds[owner]) for start, owner in zip(starts, owners, strict=True)]


def count(
    functions: Sequence[Function], taken: Sequence[Integers], tags: Sequence[Integers], active_rows: int
) -> list[Integers]:
    """The multiplicity columns, from the arguments and tags of all applications."""
    starts = np.cumsum([0, *(len(f.values) for f in functions)])
    lows = np.array([f.low for f in functions])
    counts = np.zeros(int(starts[-1]), np.int64)
    for arguments, numbers in zip(taken, tags, strict=True):
        counts += np.bincount(starts[numbers] + arguments - lows[numbers], minlength=len(counts))
    return [counts[start : start + active_rows] for start in range(0, len(counts), active_rows)]
