"""Indices that are computed.

    Gather(constant, i)     embedding.py
    Gather(computed, i)     selected by [i = k], exactly: a comparison and a selection for each entry
    Scatter(computed i)     for each update, selected at its place from what was there before

An index outside its axis can't be proved: the table that counts from the front has no such argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, Node, Tensor
from plonnx.compiler.ops.comparison import numbered, placed, zeros
from plonnx.compiler.ops.registry import Call, Operand
from plonnx.gadgets import Cells
from plonnx.gadgets.select import select

if TYPE_CHECKING:
    pass

Places = NDArray[np.int64]


def of_the_tensor(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The scale of what is indexed, whatever the indices are; what is asked for where it is a constant."""
    scale = tensors[node.inputs[0]].scale
    return asked if scale is None else scale


def largest_entry(node: Node, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Of a constant that computed indices read, any entry may come out, whatever calibration saw."""
    value = tensors[node.inputs[0]].value
    return {} if value is None else {node.outputs[0]: float(np.max(np.abs(value.astype(np.float64)))) or 1.0}


def from_the_front(call: Call, indices: Scaled, count: int, part: int = 0) -> Cells:
    """Indices of an axis of `count` entries at scale 0, in [0, count), by a table that has no others."""
    cells, name = indices.cells, f"{call.out.name}~index {part}"
    if indices.scale < 0:
        raise call.refuse("its indices must be exact at this table size")
    if indices.scale == 0 and cells.low >= 0 and cells.high < count:
        return cells
    builder = call.builder
    if indices.scale > 0:
        cells = builder.sum([(cells, builder.table_size >> indices.scale)], None, name, hides=False)

    def real(values: Array) -> Array:
        inside = (values >= -count) & (values < count)
        return np.where(inside, np.where(values < 0, values + count, values), np.nan)

    return call.apply(real, Scaled(cells, 0), scale=0, part=part, formula=f"an index of {count}")


def gathered(call: Call, x: Scaled, indices: Scaled) -> Cells:
    """Gather of computed entries along `axis` at computed indices."""
    shape = x.shape
    axis = int(call.node.attributes.get("axis", 0)) % len(shape)
    front = from_the_front(call, indices, shape[axis])
    order = (axis, *(a for a in range(len(shape)) if a != axis))
    kept = [shape[a] for a in order[1:]]
    with call.errors():
        rows = _chosen(call, x.cells.transpose(order).reshape((shape[axis], -1)), front.reshape(-1))
    made = rows.reshape([*indices.shape, *kept])
    lead = len(indices.shape)
    back = [*range(lead, lead + axis), *range(lead), *range(lead + axis, lead + len(kept))]
    return made.transpose(back)


def gathered_elements(call: Call, x: Operand, indices: Scaled) -> Cells:
    """GatherElements along `axis` at computed indices."""
    entries = call.computed(x, "the tensor that is indexed").cells
    axis = int(call.node.attributes.get("axis", 0)) % len(entries.shape)
    front = from_the_front(call, indices, entries.shape[axis])
    wanted = tuple(slice(None) if a == axis else slice(extent) for a, extent in enumerate(indices.shape))
    columns = Cells(np.moveaxis(entries.refs[wanted], axis, 0), entries.low, entries.high)
    rows = Cells(np.moveaxis(front.refs, axis, 0), front.low, front.high)
    shape = (len(columns.refs), *rows.shape)
    with call.errors():
        flags = numbered(call, Scaled(rows, 0), shape, 0, shape[0])
        spread = columns.reshape((shape[0], 1, *columns.shape[1:])).broadcast_to(shape)
        made = _picked(call, flags, spread)
    return Cells(np.moveaxis(made.refs, 0, axis), made.low, made.high)


def gathered_slices(call: Call, x: Scaled, indices: Scaled) -> Cells:
    """GatherND of computed entries at computed tuples of indices."""
    places = slice_places(call, x.shape, indices)
    batch, size = places.shape[0], _places_of(call, x.shape, indices)
    entries = x.cells.reshape((batch, size, -1)).transpose((1, 0, 2))
    with call.errors():
        flags = numbered(call, Scaled(places, 0), (size, *places.shape), 0, size)
        wide = (*flags.shape, entries.shape[-1])
        spread = entries.reshape((size, batch, 1, -1)).broadcast_to(wide)
        return _picked(call, flags.reshape((*flags.shape, 1)).broadcast_to(wide), spread).reshape(call.out.shape)


def slice_places(call: Call, shape: Sequence[int], indices: Scaled) -> Cells:
    """The flat place of each slice that GatherND takes of a tensor, in its batch: [batches, tuples]."""
    shared = int(call.node.attributes.get("batch_dims", 0))
    places = flat_places(call, indices, shape[shared : shared + indices.shape[-1]])
    return places.reshape((int(np.prod(shape[:shared], dtype=np.int64)), -1))


def rows_of_batches(call: Call, shape: Sequence[int], indices: Scaled) -> Cells:
    """The same places among the slices of all batches."""
    places, size = slice_places(call, shape, indices), _places_of(call, shape, indices)
    if places.shape[0] == 1:
        return places
    table = call.builder.table_size
    first = np.broadcast_to(size * table * np.arange(places.shape[0])[:, None], places.shape)
    return call.builder.sum([(places, table)], first, f"{call.out.name}~batch", hides=False)


def _places_of(call: Call, shape: Sequence[int], indices: Scaled) -> int:
    """How many slices a batch has."""
    shared = int(call.node.attributes.get("batch_dims", 0))
    return int(np.prod(shape[shared : shared + indices.shape[-1]], dtype=np.int64))


def flat_places(call: Call, indices: Scaled, extents: Sequence[int]) -> Cells:
    """Tuples of indices [.., depth] as places in row-major order, [tuples]."""
    tuples, size = indices.cells.reshape((-1, len(extents))), call.builder.table_size
    parts = [
        from_the_front(call, Scaled(tuples[:, k], indices.scale), extent, part=k) for k, extent in enumerate(extents)
    ]
    if len(parts) == 1:
        return parts[0]
    strides = [int(np.prod(extents[k + 1 :], dtype=np.int64)) for k in range(len(extents))]
    terms = [(part, stride * size) for part, stride in zip(parts, strides, strict=True)]
    return call.builder.sum(terms, None, f"{call.out.name}~place", hides=False)


def _updated(call: Call, data: Cells, flags: Cells, updates: Cells) -> Cells:
    """data [places, ..] with updates [count, ..] where flags [places, count, ..] say so: the last one, or all."""
    builder, name = call.builder, call.out.name
    reduction = str(call.node.attributes.get("reduction", "none"))
    if reduction == "add":
        spread = updates.reshape((1, *updates.shape)).broadcast_to(flags.shape)
        kept = select(builder, flags, spread, zeros(flags), f"{name}~kept")
        terms = [(kept[:, k].reshape(data.shape), builder.table_size) for k in range(updates.shape[0])]
        return builder.sum([(data, builder.table_size), *terms], None, name, hides=False)
    one = None
    if reduction == "mul" and call.scale < call.table_bits:
        exact = np.full(1, 1 << (call.table_bits + call.scale), np.int64)
        one = builder.sum([], exact, f"{name}~one", hides=False).broadcast_to(data.shape)
    for k in range(updates.shape[0]):
        here = flags[:, k].reshape(data.shape)
        new = updates[k].reshape((1, *updates.shape[1:])).broadcast_to(data.shape)
        if reduction == "none":
            data = select(builder, here, new, data, f"{name}~{k}")
        elif one is not None:
            factor = Scaled(select(builder, here, new, one, f"{name}~{k}"), call.scale)
            data = call.product(Scaled(data, call.scale), factor, part=k)
        elif reduction == "mul":  # all are below 1, so that a product that is not taken fits too
            made = call.product(Scaled(data, call.scale), Scaled(new, call.scale), part=k)
            data = select(builder, here, made, data, f"{name}~{k}")
        else:
            chosen = select(builder, here, new, data, f"{name}~{k}").reshape((1, *data.shape))
            pair = Cells.concatenate([data.reshape((1, *data.shape)), chosen], 0)
            data = call.extreme(Scaled(pair, call.scale), smallest=reduction == "min")
    return data


def scattered_elements(call: Call, data: Operand, indices: Scaled, updates: Operand) -> Cells:
    """ScatterElements along `axis` at computed indices."""
    shape = call.out.shape
    axis = int(call.node.attributes.get("axis", 0)) % len(shape)
    front = from_the_front(call, indices, shape[axis])
    region = tuple(slice(None) if a == axis else slice(extent) for a, extent in enumerate(indices.shape))
    whole, new = placed(call, data, 0), placed(call, updates, 1)
    old, rows, values = (
        Cells(np.moveaxis(cells.refs, axis, 0), cells.low, cells.high) for cells in (whole[region], front, new)
    )
    with call.errors():
        flags = numbered(call, Scaled(rows, 0), (shape[axis], *rows.shape), 0, shape[axis])
        made = _updated(call, old, flags, values)
    refs = whole.broadcast_to(shape).refs
    refs[region] = np.moveaxis(made.refs, 0, axis)
    return Cells(refs, min(whole.low, made.low), max(whole.high, made.high))


def scattered_slices(call: Call, data: Operand, indices: Scaled, updates: Operand) -> Cells:
    """ScatterND at computed tuples of indices."""
    shape, depth = call.out.shape, indices.shape[-1]
    places = int(np.prod(shape[:depth]))
    flat = flat_places(call, indices, shape[:depth])
    old = placed(call, data, 0).reshape((places, -1))
    new = placed(call, updates, 1).reshape((flat.shape[0], -1))
    wide = (places, *new.shape)
    with call.errors():
        flags = numbered(call, Scaled(flat, 0), wide[:2], 0, places)
        return _updated(call, old, flags.reshape((*wide[:2], 1)).broadcast_to(wide), new).reshape(shape)


def _chosen(call: Call, entries: Cells, index: Cells) -> Cells:
    """entries [count, width] at index [rows], as [rows, width]."""
    count, width = entries.shape
    shape = (count, index.shape[0], width)
    flags = numbered(call, Scaled(index, 0), shape[:2], 0, count)
    wide = entries.reshape((count, 1, width)).broadcast_to(shape)
    return _picked(call, flags.reshape((*shape[:2], 1)).broadcast_to(shape), wide)


def _picked(call: Call, flags: Cells, entries: Cells) -> Cells:
    """The entry along the first axis whose flag is 1; the first where none is, which an index of the axis excludes."""
    found = entries[0]
    for k in range(1, flags.shape[0]):
        found = select(call.builder, flags[k], entries[k], found, f"{call.out.name}~{k}")
    return found
