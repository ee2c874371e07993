"""For the MockProver: which tensor element a cell holds, and which equations of the linear check are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from plonnx.compiler.layout import Layout
from plonnx.gadgets.blocks import Linear, Sum, view
from plonnx.plonk.mock import Failure
from plonnx.plonk.prover import Witness


def label(layout: Layout) -> Callable[[str, int], str]:
    """(column name, row) -> "tensor[element]" for unit cells."""
    grid, _ = layout.unit_grid()
    original = np.concatenate(layout.original)
    starts = np.array([block.first for block in layout.builder.blocks])

    def name(column: str, row: int) -> str:
        lane = re.fullmatch(r"[abc](\d+)", column)
        if lane is None or row >= layout.rows or grid[row, int(lane[1])] < 0:
            return ""
        unit = original[grid[row, int(lane[1])]]
        block = layout.builder.blocks[int(np.searchsorted(starts, unit, "right")) - 1]
        return f"{block.name}[{unit - block.first}]"

    return name


def wrong_sums(layout: Layout, witness: Witness) -> list[Failure]:
    """The outputs of linear layers and sums whose cells do not hold the exact sum of their inputs' cells."""
    grid, _ = layout.unit_grid()
    size, lanes = layout.builder.table_size, layout.shape.lanes
    cells = np.stack(list(witness.advice[: 3 * lanes]), axis=1).reshape(-1, lanes, 3)
    values = np.zeros((1, layout.extra_units), np.int64)
    sums = np.zeros_like(values)
    rows = np.zeros(layout.extra_units, np.int64)
    row, lane = np.nonzero(grid >= 0)
    own = grid[row, lane]
    part = cells[row, lane]
    values[0, own[::-1]] = (part[:, 0] - part[:, 1])[::-1]
    sums[0, own[::-1]] = (size * (part[:, 0] - part[:, 1]) + part[:, 2] - size // 2)[::-1]
    rows[own[::-1]] = row[::-1]
    found = []
    for block in layout.builder.blocks:
        if isinstance(block, Linear | Sum):
            expected = block.sums(view(values, block.operands))[0]
            held = sums[0, block.first : block.first + block.count]
            for element in np.flatnonzero(held != expected)[:20].tolist():
                cell = (f"{block.name}[{element}]", int(held[element]))
                name = f"linear check: the exact sum is {expected[element]}"
                found.append(Failure(name, int(rows[block.first + element]), (cell,)))
    return found
