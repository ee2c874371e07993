"""A private model's gadgets as somebody else wrote them (layout/architecture.py), recorded again by a Builder.

Their fields have been seen (layout/validate.py). Here a Builder records every gadget over cells with the intervals that
it derives itself: it refuses what it would refuse of a compiler, and what it gives must be what was written.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import ABSENT
from plonnx.kzg import container
from plonnx.kzg.record import require
from plonnx.layout.file import encode_builder
from plonnx.layout.planner import Shape

Integers = NDArray[np.int64]
MOST_CELLS = 1 << 28  # of weight columns: far more than anything that is laid out


def recorded(builder: Builder, shape: Shape, most: int) -> Builder:
    """The builder that records the same gadgets again, without secrets; `most` cells of weight columns may be used.

    Its intervals are at most those that a compiler had, unit by unit: what that accepted is accepted. ValueError for
    what no compiler would have recorded.
    """
    _check_sizes(builder, shape, most)
    require(not builder.parts, "a private model is not run in steps")
    again = Builder(builder.table_bits, True, builder.weight_bits, builder.bias_bits)
    bounds = np.zeros((2, builder.unit_count), np.int64)

    def cells(refs: Integers) -> Cells:
        """Cells with the tightest interval that holds them all."""
        low, high = bounds[:, np.maximum(refs, 0) >> 1]
        positive, absent = refs & 1 == 1, refs == ABSENT
        low, high = (np.where(absent, 0, np.where(positive, np.maximum(end, 0), end)) for end in (low, high))
        return Cells(refs, int(low.min()), int(high.max()))

    for number, block in enumerate(builder.blocks):
        made = block.again(again, cells)
        require(len(again.blocks) == number + 1, f"block {number} is not one block")
        bounds[:, block.units] = [[made.low], [made.high]]
    for output in builder.outputs:
        derived = cells(output.cells.refs)
        within = output.cells.low <= derived.low <= derived.high <= output.cells.high
        require(within, f"the output {output.name} declares another range than it has")
        again.output(output.name, output.cells, output.public)
    require(_written(builder) == _written(again), "its blocks are not what a compiler records")
    return replace(again, blocks=[block.bare() for block in again.blocks], named={})


def _check_sizes(builder: Builder, shape: Shape, most: int) -> None:
    """Weights fit their columns."""
    rows = 0
    for one in (one for block in builder.blocks for one in block.contributions):
        rows += len(one.x) * one.factor.rows(shape.weight_columns)
    held = rows <= shape.active_rows and (not rows or shape.weight_columns << shape.k <= MOST_CELLS)
    require(held, f"2^{shape.k} rows do not hold its weights")
    require(rows * shape.weight_columns <= most, "its weights are more than in any file of this size")


def _written(builder: Builder) -> tuple[str, dict[str, tuple[Any, ...]]]:
    """What two builders must have in common to be written alike."""
    arrays: container.Arrays = {}
    meta = json.dumps(encode_builder(builder, arrays), sort_keys=True)
    return meta, {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
