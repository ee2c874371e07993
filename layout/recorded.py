"""A private model's gadgets as somebody else wrote them (layout/architecture.py), recorded again by a Builder.

Their fields have been seen (layout/validate.py). Here a Builder records every gadget over cells with the intervals that
it derives itself: it refuses what it would refuse of a compiler, and what it gives must be what was written.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from plonnx.gadgets.again import again, check_outputs
from plonnx.gadgets.builder import Builder
from plonnx.kzg import container
from plonnx.kzg.record import require
from plonnx.layout.file import encode_builder
from plonnx.layout.shape import Shape

MOST_CELLS = 1 << 28  # of weight columns: far more than anything that is laid out


def recorded(builder: Builder, shape: Shape, most: int) -> Builder:
    """The builder that records the same gadgets again, without secrets; `most` cells of weight columns may be used.

    ValueError for what no compiler would have recorded.
    """
    _check_sizes(builder, shape, most)
    made = again(replace(builder, hidden=True), builder.blocks)
    check_outputs(builder, made)
    made.outputs = builder.outputs
    require(_written(builder) == _written(made), "its blocks are not what a compiler records")
    return replace(made, blocks=[block.bare() for block in made.blocks], named={})


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
