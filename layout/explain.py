"""For the MockProver: which tensor element a cell holds, and which equations of the linear check are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from plonnx.gadgets.blocks import Linear, view
from plonnx.layout.planner import Layout
from plonnx.plonk.mock import Failure
from plonnx.plonk.prover import Witness


def label(layout: Layout) -> Callable[[str, int], str]:
    """(column name, row) -> "tensor[element]" for the cells of units and their copies."""
    grid = np.full((layout.rows, layout.shape.lanes), -1, np.int64)
    copied, (rows, lanes) = layout.copied, layout.unit_cells
    grid[copied["rows"], copied["lanes"]] = copied["refs"] >> 1
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
    size, parts = layout.builder.table_size, 4 if layout.gadgets else 3
    rows, lanes = layout.unit_cells
    columns = witness.advice[: parts * layout.shape.lanes]
    cells = np.stack([column[: layout.rows] for column in columns], axis=1).reshape(-1, layout.shape.lanes, parts)
    own = cells[rows, lanes]
    values = (own[:, 0] - own[:, 1])[None]
    taken = values[0] + (own[:, 3] if layout.gadgets else 0)
    sums = size * taken + own[:, 2] - size // 2
    found = []
    for block in layout.builder.blocks:
        if isinstance(block, Linear):
            expected = block.sums(view(values, block.operands))[0]
            held = sums[block.first : block.first + block.count]
            for element in np.flatnonzero(held != expected)[:20].tolist():
                cell = (f"{block.name}[{element}]", int(held[element]))
                name = f"linear check: the exact sum is {expected[element]}"
                found.append(Failure(name, int(rows[block.first + element]), (cell,)))
    return found
