"""A private model's blocks as somebody else wrote them (layout/architecture.py): checked, or refused in one line.

First the types and sizes of what the file holds; then a Builder records every block again, over cells with the
intervals that it derives. It refuses what it would refuse of a compiler, and what it gives must be what was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import ABSENT, Block, Convolution, Input, Lookup, Maximum, Product, Sum
from plonnx.gadgets.builder import Builder
from plonnx.gadgets.cells import Cells
from plonnx.kzg import container
from plonnx.layout import cost
from plonnx.layout.circuit import MOST_BITS
from plonnx.layout.file import encode_builder
from plonnx.layout.place import weight_rows
from plonnx.layout.planner import Shape

Integers = NDArray[np.int64]
MOST_CELLS = 1 << 28  # of weight columns, of windows, of a function: far more than anything that is laid out
MOST_POSITIONS = 1 << 45  # linear ones
MOST_SCALE = 1000
LIMITS = {
    "table_bits": (4, 20),
    "k": (4, cost.MAX_K),
    "lanes": (1, 16),
    "weight_columns": (1, 1 << 16),
    "group": (1, 16),
    "packing": (1, 64),
}
# Of a block's JSON; what is large stands in arrays, and of what is left out a list is the shape.
TYPES: Mapping[str, tuple[Any, ...]] = {
    "kind": (str,),
    "name": (str,),
    "first": (int,),
    "count": (int,),
    "shape": ([int],),
    "public": (bool,),
    "function": (int, None),
    "weights": ([int],),
    "bias": ([int], None),
    "constant": ([int], None),
    "groups": (int,),
    "hides": (bool, None),
    "coefficients": ([int],),
    "multiplier": (int,),
}


class Refused(ValueError):
    """What no compiler would have written; one line."""


def check_json(meta: Mapping[str, Any]) -> None:
    """The types of what a file says, and how large it may be: 1.0 and true are no integers."""
    builder, shape = meta["builder"], meta["shape"]
    _is("name", meta["name"], str)
    _limited("table_bits", builder["table_bits"])
    _is("hidden", builder["hidden"], [int])
    if len(builder["hidden"]) != 2 or not all(2 <= bits <= MOST_BITS for bits in builder["hidden"]):
        raise Refused(f"its widths {builder['hidden']} are not in 2 to {MOST_BITS}")
    for name in Shape.__dataclass_fields__:
        _limited(name, shape[name])
    units = _check_blocks(builder["blocks"])
    if not 0 < units <= shape["lanes"] << shape["k"]:
        raise Refused(f"2^{shape['k']} rows of {shape['lanes']} lanes do not hold its {units} units")
    for function in builder["functions"]:
        _each("a function", function, str, int)
        if abs(function[1]) > MOST_CELLS:
            raise Refused(f"the function {function[0]} is of arguments that no cell holds")
    for output in builder["outputs"]:
        _each("an output", output, str, int, int, bool)
    for port in (port for side in meta["ports"] for port in side):
        for name, kind in (("name", str), ("dtype", str), ("shape", [int]), ("scale", int), ("public", bool)):
            _is(f"{name} of a port", port[name], kind)
    for name, scale in [*meta["scales"].items(), *((p["name"], p["scale"]) for side in meta["ports"] for p in side)]:
        _is(f"scale of {name}", scale, int)
        if abs(scale) > MOST_SCALE:
            raise Refused(f"the scale of {name} is {scale}")


def _check_blocks(records: Sequence[Mapping[str, Any]]) -> int:
    """The units of all blocks."""
    units = 0
    for number, record in enumerate(records):
        for name, value in record.items():
            _is(f"{name} of block {number}", value, *TYPES[name])
        if record["first"] != units or record["count"] < 1 or record.get("groups", 1) < 1:
            raise Refused(f"block {number} does not follow the one before")
        units += record["count"]
        for name in ("shape", "weights", "bias", "constant"):
            extents = record.get(name) or []
            if min(extents, default=1) < 1 or product(extents) > MOST_CELLS:
                raise Refused(f"the {name} of block {number} is {extents}")
    return units


def _limited(name: str, value: Any) -> None:
    _is(name, value, int)
    least, most = LIMITS[name]
    if not least <= value <= most:
        raise Refused(f"{name} {value} is not in {least} to {most}")


def _each(what: str, values: Any, *kinds: Any) -> None:
    for value, kind in zip(values, kinds, strict=True):
        _is(what, value, kind)


def _is(what: str, value: Any, *kinds: Any) -> None:
    """A value is of one of some types; [type] is a list, None is None. Strings can be printed."""
    for kind in kinds:
        if isinstance(kind, list):
            if type(value) is list and all(type(each) is kind[0] for each in value):
                return
        elif value is None if kind is None else type(value) is kind and (kind is not str or value.isprintable()):
            return
    raise Refused(f"the {what} is {value!r:.40}")


def recorded(builder: Builder, shape: Shape) -> Builder:
    """The builder that records the same blocks again.

    Its intervals are at most those that a compiler had, unit by unit: what that accepted is accepted.
    """
    again = Builder(builder.table_bits, True, builder.weight_bits, builder.bias_bits)
    _check_sizes(builder, shape)
    for function in builder.functions:
        if int(np.abs(function.values).max()) > builder.table_size:
            raise Refused(f"the function {function.name} has values that no cell holds")
    bounds = np.zeros((2, builder.unit_count), np.int64)
    for number, block in enumerate(builder.blocks):
        read = block.operands
        if read.size and not ABSENT <= int(read.min()) <= int(read.max()) < 2 * block.first:
            raise Refused(f"block {number} reads cells that come later")
        made = _record(again, block, bounds)
        if len(again.blocks) != number + 1:
            raise Refused(f"block {number} is not one block")
        bounds[:, block.units] = [[made.low], [made.high]]
    limit = builder.table_size
    for output in builder.outputs:
        refs = output.cells.refs
        if not refs.size or int(refs.min()) < 0 or int(refs.max()) >= 2 * again.unit_count:
            raise Refused(f"the output {output.name} reads cells that are not there")
        cells = _cells(refs, bounds)
        if not -limit < output.cells.low <= cells.low <= cells.high <= output.cells.high < limit:
            raise Refused(f"the output {output.name} declares another range than it has")
        again.output(output.name, output.cells, output.public)
    if _written(builder) != _written(again):
        raise Refused("its blocks are not what a compiler records")
    return again


def _check_sizes(builder: Builder, shape: Shape) -> None:
    """Weights fit their columns; linear positions stay far inside int64, the windows of a border in memory."""
    rows, spans = 0, list[int]()
    for block in builder.blocks:
        if not isinstance(block, Convolution):
            continue
        if len(block.offsets) != block.weights.shape[1] or not len(block.offsets):
            raise Refused(f"{block.name}: its offsets are not those of its weights")
        rows += block.weights.shape[0] * weight_rows(block, shape.weight_columns)
        grid, reach = block.x.shape[1:], np.abs(block.offsets).max(axis=0).tolist()
        extents = [a + b + c + 8 for a, b, c in zip(grid, block.shape, reach, strict=True)]
        if product(grid) * len(block.offsets) > MOST_CELLS or product([block.outputs, *block.shape]) != block.count:
            raise Refused(f"{block.name}: its shape is not what its cells have")
        spans = [1] * (len(extents) - len(spans)) + spans
        for axis, extent in enumerate(reversed(extents), start=1):
            spans[-axis] = max(spans[-axis], 2 * extent)
    if rows > shape.active_rows or (shape.weight_columns << shape.k > MOST_CELLS and rows):
        raise Refused(f"2^{shape.k} rows do not hold its weights")
    if product(spans) > MOST_POSITIONS:
        raise Refused("its grids and offsets span too many positions")


def _record(builder: Builder, block: Block, bounds: Integers) -> Cells:
    """Have the builder record a block like this one."""
    if isinstance(block, Input):
        return builder.input(block.name, block.shape, block.public)
    if isinstance(block, Lookup):
        return builder.apply(block.function, _cells(block.x, bounds), block.name)
    if isinstance(block, Maximum):
        return builder.maximum([_cells(refs, bounds) for refs in block.candidates], block.name)
    if isinstance(block, Product):
        x, y = block.factors
        return builder.multiply(_cells(x, bounds), _cells(y, bounds), block.multiplier, block.name)
    if isinstance(block, Convolution):
        if block.hides is not None and not np.isin(block.hides, (0, 1)).all():
            raise Refused(f"{block.name}: it is not said which weights are secret")
        x = _cells(block.x, bounds)
        made = builder.convolution(
            x, block.weights, block.offsets, block.bias, block.shape, block.name, block.groups, block.hides
        )
    else:
        assert isinstance(block, Sum)
        if block.terms.shape[1:] != (block.count,) or len(block.coefficients) != len(block.terms):
            raise Refused(f"{block.name}: its terms do not fit")
        if len(block.terms) or block.constant is not None:
            terms = [(_cells(refs, bounds), c) for refs, c in zip(block.terms, block.coefficients, strict=True)]
            made = builder.sum(terms, block.constant, block.name, block.hides)
        else:
            made = builder.zero
    return made if block.function is None else builder.apply(block.function, made, block.name, fuse=True)


def _cells(refs: Integers, bounds: Integers) -> Cells:
    """Cells with the tightest interval that holds them all."""
    low, high = bounds[:, np.maximum(refs, 0) >> 1]
    positive, absent = refs & 1 == 1, refs == ABSENT
    low, high = (np.where(absent, 0, np.where(positive, np.maximum(end, 0), end)) for end in (low, high))
    return Cells(refs, int(low.min()), int(high.max()))


def _written(builder: Builder) -> tuple[str, dict[str, tuple[Any, ...]]]:
    """What two builders must have in common to be written alike."""
    arrays: container.Arrays = {}
    meta = json.dumps(encode_builder(builder, arrays), sort_keys=True)
    return meta, {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def product(extents: Iterable[int]) -> int:
    """Exactly, however large."""
    total = 1
    for extent in extents:
        total *= int(extent)
    return total
