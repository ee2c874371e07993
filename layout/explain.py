"""Which tensor element a cell holds, and which equations are wrong, for the MockProver; what is copied, for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import view
from plonnx.layout.place import Placed
from plonnx.layout.planner import Layout
from plonnx.plonk.mock import Failure
from plonnx.plonk.prover import Witness


def label(layout: Layout) -> Callable[[str, int], str]:
    """(column name, row) -> "tensor[element]" for the cells of units and their copies."""
    grid = np.full((layout.rows, layout.shape.lanes), -1, np.int64)
    copied, (rows, lanes) = layout.copied, layout.unit_cells
    grid[copied.rows, copied.lanes] = copied.refs >> 1
    grid[rows, lanes] = np.arange(layout.builder.unit_count)
    starts = np.array([block.first for block in layout.builder.blocks])

    def name(column: str, row: int) -> str:
        lane = re.fullmatch(r"[abce](\d+)", column)
        if lane is None or row >= layout.rows or grid[row, int(lane[1])] < 0:
            return ""
        unit = grid[row, int(lane[1])]
        block = layout.builder.blocks[int(np.searchsorted(starts, unit, "right")) - 1]
        return f"{block.name}[{unit - block.first}]"

    return name


def wrong_sums(layout: Layout, witness: Witness) -> list[Failure]:
    """The outputs of linear layers and sums whose cells do not hold the exact sum of their inputs' cells."""
    size = layout.builder.table_size
    rows, lanes = layout.unit_cells
    a, b, c, e = (_cells(layout, witness, part)[rows, lanes] for part in "abce")
    values = (a - b)[None]
    sums = size * (a - b + e) + c - size // 2
    found = []
    for block in layout.builder.blocks:
        stated = block.sums(view(values, block.operands))
        if stated is not None:
            expected = stated[0]
            held = sums[block.first : block.first + block.count]
            for element in np.flatnonzero(held != expected)[:20].tolist():
                cell = (f"{block.name}[{element}]", int(held[element]))
                name = f"linear check: the exact sum is {expected[element]}"
                found.append(Failure(name, int(rows[block.first + element]), (cell,)))
    return found


def copies(layout: Layout) -> list[dict[str, Any]]:
    """What is copied, place by place: for which place, of which tensors, how many cells, and why."""
    blocks = layout.builder.blocks
    starts = np.array([block.first for block in blocks])
    made = []
    for place in layout.places:
        for refs, because in _copied(place):
            units = refs[refs >= 0] >> 1
            if not len(units):
                continue
            owners = np.unique(np.searchsorted(starts, units, "right") - 1).tolist()
            of = ", ".join(blocks[owner].name for owner in owners[:2]) + (", .." if len(owners) > 2 else "")
            name = place.name.removeprefix("copy for ")
            made.append({"for": name, "of": of, "cells": len(units), "because": because})
    return made


def _copied(place: Placed) -> Iterator[tuple[NDArray[np.int64], str]]:
    """The refs that are copied into a place's rows, and why."""
    if place.operands:
        refs = np.concatenate([operand.refs.reshape(-1) for operand in place.operands])
        yield refs, place.because if place.block is None else f"a {place.block.kind} reads its own rows"
    if place.asks is not None:
        yield place.asks.keys, "a lookup reads its own rows"
    if place.above is not None:
        where = "beside" if place.beside else "above"
        yield place.above.reshape(-1), f"a product's second factor stands {where} the first"


def _cells(layout: Layout, witness: Witness, part: str) -> NDArray[np.int64]:
    """The cells [rows, lanes] of one part of all units; zero where the circuit has no such part."""
    cells = np.zeros((layout.rows, layout.shape.lanes), np.int64)
    for lane in range(layout.shape.lanes):
        column = witness.advice.get(f"{part}{lane}", cells[:, lane])[: layout.rows]
        cells[: len(column), lane] = column
    return cells
