"""Re-indexing, which costs nothing: reshape and its kin, transpose, broadcast, slice, gather, concat, split, pad.

Only a constant that becomes part of a result, and a part that is rescaled to the scale of the others, make cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Array, Graph, Interval, Node, Shape, Tensor, type_interval
from plonnx.compiler.ops import embedding, wide
from plonnx.compiler.ops.comparison import compared, counted, zeros
from plonnx.compiler.ops.indexing import (
    gathered,
    gathered_elements,
    gathered_slices,
    largest_entry,
    of_the_tensor,
    rows_of_batches,
)
from plonnx.compiler.ops.quantized import cast_of_a_product
from plonnx.compiler.ops.registry import HALVED, Call, Made, Mark, Operand, aligned, expands, op
from plonnx.gadgets import Cells
from plonnx.gadgets.comparison import compare

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


def _holds_constants(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The operands' coarsest scale, or a coarser one that a constant of the result asks for."""
    real = [tensors[name] for name in node.inputs if name and tensors[name].dtype.kind == "f"]
    value = float(node.attributes.get("value", 0.0))
    zero = value == 0.0 and all(t.scale is not None or (t.value is not None and not np.any(t.value)) for t in real)
    return aligned(node, tensors, asked) if zero else min(aligned(node, tensors, asked), asked)


def _same_elements(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int | None:
    """The axis of the operand that has as many elements before it and behind each entry."""
    before = shapes[0] or ()
    lead = int(np.prod(shape[:axis], dtype=np.int64))
    for place, extent in enumerate(before):
        if extent == shape[axis] and int(np.prod(before[:place], dtype=np.int64)) == lead:
            return place
    return None


def _permuted(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int:
    return int(node.attributes.get("perm", range(len(shape))[::-1])[axis])


@op("Identity", since=1, scale=aligned, marks=Mark.RESHAPES)
@op("Reshape", since=5, scale=aligned, marks=Mark.RESHAPES | Mark.TOLD, along=_same_elements)
@op("Flatten", since=1, scale=aligned, marks=Mark.RESHAPES)
@op("Squeeze", since=1, scale=aligned, marks=Mark.RESHAPES | Mark.TOLD)
@op("Unsqueeze", since=1, scale=aligned, marks=Mark.RESHAPES | Mark.TOLD)
@op("OptionalGetElement", since=18, scale=aligned, marks=Mark.RESHAPES)
def reshape(call: Call, x: Operand, *_: Operand) -> Cells:
    """The same cells in row-major order, in the output's shape (known from shape inference)."""
    return call.computed(x, "the operand").cells.reshape(call.out.shape)


def _kept_or_true(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The operand's own scale; 0 of a mask."""
    return aligned(node, tensors, asked) if node.outputs[0] else 0


@op("Dropout", since=7, scale=_kept_or_true, marks=Mark.HOMOGENEOUS)
def dropout(call: Call, x: Operand, ratio: Operand = None, training: Operand = None) -> list[Cells]:
    """Inference: the identity, and a mask that is true everywhere."""
    if training is not None and np.any(call.constant(training, "training_mode")):
        raise call.refuse("is in training mode; export the model for inference")
    cells = call.computed(x, "the operand").cells
    if len(call.outputs) < 2 or call.outputs[1] is None:
        return [cells]
    ones = np.full(cells.shape, call.builder.table_size, np.int64)
    return [cells, call.builder.sum([], ones, call.outputs[1].name, hides=False)]


def _cast_scale(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Truncated reals and Booleans of numbers are new values; so are reals of bytes at scale 0, which are to be finer.

    Others keep theirs, but what is to be halved.
    """
    if HALVED in node.attributes and (tensors[node.inputs[0]].interval or (0, 0))[0] < 0:
        return aligned(node, tensors, asked) - 1
    ends = [tensors[next(filter(None, names))] for names in (node.inputs, node.outputs)]
    source, target = (tensor.dtype.kind for tensor in ends)
    if target == "b" and source != "b":
        return 0
    if ends[0].wide and target == "f":
        return asked
    if source == "i" and target == "f" and ends[0].dtype.itemsize == 1 and ends[0].scale == 0:
        return asked
    return asked if source == "f" and target in "iu" else aligned(node, tensors, asked)


def _cast_real(attributes: Mapping[str, Any], x: Array) -> Array:
    """Reals are truncated to integers, and have no value where these do not reach; a Boolean is 0.0 or 1.0."""
    target = helper.tensor_dtype_to_np_dtype(int(attributes["to"]))
    if target.kind == "b":
        return np.asarray(x != 0, np.float64)
    low, high = type_interval(target)
    whole = np.trunc(x) if target.kind in "iu" else x
    inside = (whole >= low) & (whole <= high)
    return np.asarray(np.where(inside, whole, np.nan))


def _cast_reach(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    """Reals outside the type have no value (ops/shape.py), whole ones must stay within it."""
    return (0.0, 0.0) if graph.tensors[node.inputs[0]].dtype.kind == "f" else operands[0]


@op(
    "Cast",
    since=6,
    scale=_cast_scale,
    real=_cast_real,
    expand=cast_of_a_product,
    marks=Mark.HOMOGENEOUS | Mark.WIDE,
    reach=_cast_reach,
)
def cast(call: Call, x: Operand) -> Made:
    """Between number types: reals are truncated to integers by a table; a Boolean is x != 0."""
    if call.is_wide:
        return _cast_wide(call, x)
    operand, source, target = call.computed(x, "the operand"), call.operand_dtype(0), call.out.dtype
    if target.kind == "b" and source.kind != "b":
        with call.errors():
            return compare(call.builder, zeros(operand.cells), operand.cells, call.out.name, apart=True)
    if source.kind == "f" and target.kind in "iu":
        return call.apply(lambda values: _cast_real(call.node.attributes, values), operand)
    return call.at_scale(operand)


def _cast_wide(call: Call, x: Operand) -> Made:
    """Of integers of two units; none are made of reals."""
    target = call.out.dtype
    if not isinstance(x, Wide):
        raise call.too_small(f"it takes no reals beyond a table of 2^{call.table_bits}")
    if target.kind == "b":
        return compared(call, x, np.zeros(()), apart=True)
    if target.kind == "f":
        return call.sum([(Scaled(cells, 0), float(factor)) for cells, factor in x.terms])
    return x if call.out.wide else wide.signed_sum(call, [(x, 1)])


@expands("CastLike", since=15)
def cast_like(scene: Scene, node: Node) -> list[Node]:
    """A Cast to the type of the second operand."""
    steps = Steps(scene, node)
    kind = helper.np_dtype_to_tensor_dtype(scene.tensors[node.inputs[1]].dtype)
    return steps.finish(steps.apply("Cast", node.inputs[0], to=kind))


@op("IsNaN", since=9, scale=counted, marks=Mark.READS_NAN | Mark.GUARDS)
@op("IsInf", since=10, scale=counted, marks=Mark.GUARDS)
def is_not_finite(call: Call, x: Operand) -> Cells:
    """False: what a circuit holds is a number."""
    return zeros(call.computed(x, "the operand").cells)


@op("Transpose", since=1, scale=aligned, marks=Mark.PERMUTES, along=_permuted)
def transpose(call: Call, x: Operand) -> Cells:
    """Axes permuted by `perm`, reversed by default."""
    cells = call.computed(x, "the operand").cells
    return cells.transpose(tuple(call.node.attributes.get("perm", reversed(range(len(cells.shape))))))


@op("Expand", since=8, scale=aligned, marks=Mark.RESHAPES | Mark.TOLD)
def expand(call: Call, x: Operand, shape: Operand) -> Cells:
    """Broadcast to the output's shape."""
    return call.computed(x, "the operand").cells.broadcast_to(call.out.shape)


@op("Tile", since=6, scale=aligned, marks=Mark.RESHAPES | Mark.TOLD)
def tile(call: Call, x: Operand, repeats: Operand) -> Cells:
    """Each axis repeated as a whole."""
    cells = call.computed(x, "the operand").cells
    for axis, times in enumerate(call.constant(repeats, "repeats").tolist()):
        if times != 1:
            cells = cells.take(np.tile(np.arange(cells.shape[axis]), times), axis)
    return cells


@op("Concat", since=4, scale=_holds_constants, marks=Mark.JOINS | Mark.BETWEEN | Mark.PARTWISE)
def concat(call: Call, *operands: Operand) -> Cells:
    """Operands joined along `axis`, the finer ones rescaled to the coarsest scale; constants are cells of their own."""
    parts = []
    for part, operand in enumerate(operands):
        if isinstance(operand, Scaled):
            parts.append(call.at_scale(operand, part))
        else:
            parts.append(_constant(call, call.constant(operand, f"part {part}"), part, call.is_public(part)))
    return Cells.concatenate(parts, int(call.node.attributes["axis"]) % len(call.out.shape))


@op("Split", since=2, scale=aligned, marks=Mark.PICKS | Mark.TOLD | Mark.NAMES_ALL)
def split(call: Call, x: Operand, sizes: Operand = None) -> list[Cells]:
    """Runs along `axis`: of given sizes, else of equal ones (the last may be smaller)."""
    cells = call.computed(x, "the operand").cells
    axis = int(call.node.attributes.get("axis", 0)) % len(cells.shape)
    given = call.node.attributes.get("split") if sizes is None else call.constant(sizes, "the sizes").tolist()
    count, extent = len(call.outputs), cells.shape[axis]
    ends = np.cumsum(given) if given is not None else np.minimum(-(-extent // count) * np.arange(1, count + 1), extent)
    starts = [0, *ends[:-1].tolist()]
    return [cells.take(np.arange(start, end), axis) for start, end in zip(starts, ends.tolist(), strict=True)]


@op("DepthToSpace", since=1, scale=aligned, marks=Mark.PERMUTES)
def depth_to_space(call: Call, x: Operand) -> Cells:
    """Channels become blocks of pixels: [N, b b C, H, W] -> [N, C, H b, W b] (C b b in mode CRD)."""
    cells = call.computed(x, "the operand").cells
    batch, depth, height, width = cells.shape
    block = int(call.node.attributes["blocksize"])
    channels = depth // block**2
    if call.node.attributes.get("mode", "DCR") == "DCR":
        blocks = cells.reshape((batch, block, block, channels, height, width)).transpose((0, 3, 4, 1, 5, 2))
    else:
        blocks = cells.reshape((batch, channels, block, block, height, width)).transpose((0, 1, 4, 2, 5, 3))
    return blocks.reshape(call.out.shape)


@op("SpaceToDepth", since=1, scale=aligned, marks=Mark.PERMUTES)
def space_to_depth(call: Call, x: Operand) -> Cells:
    """Blocks of pixels become channels: [N, C, H b, W b] -> [N, b b C, H, W] (C b b in mode CRD)."""
    cells = call.computed(x, "the operand").cells
    batch, channels, height, width = cells.shape
    block = int(call.node.attributes["blocksize"])
    pairs = cells.reshape((batch, channels, height // block, block, width // block, block))
    order = (0, 3, 5, 1, 2, 4) if call.node.attributes.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return pairs.transpose(order).reshape(call.out.shape)


@op("Slice", since=1, scale=aligned, marks=Mark.PICKS | Mark.TOLD)
def slice_1(call: Call, x: Operand) -> Cells:
    """Version 1: bounds as attributes, steps of one."""
    attributes = call.node.attributes
    starts = np.asarray(attributes["starts"])
    axes = np.asarray(attributes.get("axes", range(starts.size)))
    return _sliced(call.computed(x, "the operand"), starts, np.asarray(attributes["ends"]), axes, np.ones_like(starts))


@op("Slice", since=10, scale=aligned, marks=Mark.PICKS | Mark.TOLD)
def slice_10(
    call: Call, x: Operand, starts: Operand, ends: Operand, axes: Operand = None, steps: Operand = None
) -> Cells:
    """Version 10: constant bounds as inputs, steps of either sign."""
    first = call.constant(starts, "starts")
    along = np.arange(first.size) if axes is None else call.constant(axes, "axes")
    stride = np.ones_like(first) if steps is None else call.constant(steps, "steps")
    return _sliced(call.computed(x, "the operand"), first, call.constant(ends, "ends"), along, stride)


def _sliced(x: Scaled, starts: Array, ends: Array, axes: Array, steps: Array) -> Cells:
    cells = x.cells
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist(), strict=True):
        extent = cells.shape[axis]
        low, high = (0, extent) if step > 0 else (-1, extent - 1)  # where an end may lie
        first = min(max(start + extent if start < 0 else start, 0), high)  # unlike numpy, never before the first entry
        last = min(max(end + extent if end < 0 else end, low), high)
        cells = cells.take(np.arange(first, last, step), axis % len(cells.shape))
    return cells


@op(
    "Gather",
    since=1,
    scale=of_the_tensor,
    known=largest_entry,
    marks=Mark.PICKS | Mark.BETWEEN | Mark.INDEXED | Mark.TOLD,
)
def gather(call: Call, x: Operand, indices: Operand) -> Cells:
    """Entries along `axis`: at constant indices re-indexing, at others indexing.py; of a constant embedding.py."""
    if isinstance(indices, Scaled) and isinstance(x, Scaled):
        return gathered(call, x, indices)
    if isinstance(indices, Scaled):
        table = call.constant(x, "the tensor that is indexed")
        return embedding.rows(call, table, indices, int(call.node.attributes.get("axis", 0)) % table.ndim)
    cells = call.computed(x, "the tensor that is indexed").cells
    axis = int(call.node.attributes.get("axis", 0)) % len(cells.shape)
    where = call.constant(indices, "the indices").astype(np.int64).reshape(-1) % cells.shape[axis]
    return cells.take(where, axis).reshape(call.out.shape)


@op(
    "GatherElements",
    since=11,
    scale=of_the_tensor,
    marks=Mark.PICKS | Mark.BETWEEN | Mark.INDEXED | Mark.TOLD,
    known=largest_entry,
)
def gather_elements(call: Call, x: Operand, indices: Operand) -> Cells:
    """y[i, j, ..] = x[index[i, j, ..], j, ..] (for axis 0)."""
    if isinstance(indices, Scaled):
        if isinstance(x, np.ndarray):
            return embedding.elements(call, x, indices)
        return gathered_elements(call, x, indices)
    cells = call.computed(x, "the tensor that is indexed").cells
    axis = int(call.node.attributes.get("axis", 0)) % len(cells.shape)
    where = call.constant(indices, "the indices").astype(np.int64) % cells.shape[axis]
    places = np.indices(where.shape)
    places[axis] = where
    return _taken(cells, np.asarray(np.ravel_multi_index(tuple(places), cells.shape)))


@op(
    "GatherND",
    since=11,
    scale=of_the_tensor,
    known=largest_entry,
    marks=Mark.PICKS | Mark.BETWEEN | Mark.INDEXED | Mark.TOLD,
)
def gather_nd(call: Call, x: Operand, indices: Operand) -> Cells:
    """Slices at tuples of indices; the first `batch_dims` axes are shared with the indices."""
    if isinstance(indices, Scaled):
        if isinstance(x, Scaled):
            return gathered_slices(call, x, indices)
        table, behind = call.constant(x, "the tensor that is indexed"), indices.shape[-1]
        behind += int(call.node.attributes.get("batch_dims", 0))
        width = int(np.prod(table.shape[behind:], dtype=np.int64))
        places = rows_of_batches(call, table.shape, indices).reshape((-1,))
        return embedding.rows(call, table.reshape((-1, width)), Scaled(places, 0), 0).reshape(call.out.shape)
    cells = call.computed(x, "the tensor that is indexed").cells
    where = call.constant(indices, "the indices").astype(np.int64)
    batch = int(call.node.attributes.get("batch_dims", 0))
    numbers = np.arange(int(np.prod(cells.shape))).reshape((-1, *cells.shape[batch:]))
    tuples = where.reshape((len(numbers), -1, where.shape[-1]))
    lead = np.arange(len(numbers))[:, None]
    return _taken(cells, numbers[(lead, *np.moveaxis(tuples, -1, 0))].reshape(call.out.shape))


@op("Trilu", since=14, scale=aligned, marks=Mark.FILLS | Mark.TOLD)
def trilu(call: Call, x: Operand, k: Operand = None) -> Cells:
    """The upper or lower triangle; zeros that no cell holds elsewhere."""
    cells = call.computed(x, "the operand").cells
    diagonal = 0 if k is None else int(call.constant(k, "k"))
    ones = np.ones(cells.shape[-2:], bool)
    kept = np.triu(ones, diagonal) if call.node.attributes.get("upper", 1) else np.tril(ones, diagonal)
    size = int(np.prod(cells.shape))
    return _taken(cells, np.where(kept, np.arange(size).reshape(cells.shape), size))


@op("Pad", since=2, scale=_holds_constants, marks=Mark.FILLS | Mark.BETWEEN | Mark.TOLD)
def pad(call: Call, x: Operand, pads: Operand = None, value: Operand = None, axes: Operand = None) -> Cells:
    """Cropped where pads are negative, padded elsewhere; a padded constant that is not zero is one cell.

    It says what the operator does, and is public in a hidden model too.
    """
    operand, given = call.computed(x, "the operand"), call.node.attributes
    constants = [
        call.constant(operand, what) for operand, what in ((pads, "pads"), (axes, "axes")) if operand is not None
    ]
    widths = pad_widths(given, len(operand.shape), *constants)
    fill = call.scalar(value, "the padded value") or float(given.get("value", 0.0))
    return _padded(call, operand, widths, fill)


def pad_widths(attributes: Mapping[str, Any], rank: int, pads: Array | None = None, axes: Array | None = None) -> Array:
    """[before and after, axis]: from an attribute (version 2), or an operand for all axes or for some."""
    given = np.asarray(attributes["pads"] if pads is None else pads, np.int64).reshape(2, -1)
    widths = np.zeros((2, rank), np.int64)
    widths[:, slice(None) if axes is None else axes.reshape(-1) % rank] = given
    return widths


def _padded(call: Call, x: Scaled, widths: Array, value: float) -> Cells:
    cells = call.at_scale(x, part=0)
    mode = call.node.attributes.get("mode", "constant")
    numbers = np.arange(int(np.prod(x.shape))).reshape(x.shape)
    for axis, (before, after) in enumerate(np.maximum(-widths, 0).T.tolist()):
        numbers = numbers.take(np.arange(before, x.shape[axis] - after), axis)
    around = np.maximum(widths, 0).T
    if mode != "constant":
        return _taken(cells, np.pad(numbers, around, mode=mode))
    return _taken(
        cells,
        np.pad(numbers, around, constant_values=x.cells.refs.size),
        _constant(call, np.array([value]), public=True),
    )


def _constant(call: Call, value: Array, part: int | None = None, public: bool = False) -> Cells:
    """A constant as cells at the output's scale; zeros that no cell holds where all of it is zero, and no secret.

    One number alone has one cell, however often it stands there: the ones that sum up an attention's shares.
    """
    known = public or not call.builder.hidden
    if known and not np.any(call.integers(value, call.table_bits + call.scale)):
        return Cells(np.full(value.shape, -1), 0, 0)
    if known and value.size > 1 and np.all(value == value.flat[0]):
        return call.sum([], value.reshape(-1)[:1], part, public).broadcast_to(value.shape)
    return call.sum([], value, part, public)


def _taken(x: Cells, places: Array, beyond: Cells | None = None) -> Cells:
    """The elements at flat places; behind the last one stands `beyond`, by default a zero that no cell holds."""
    flat = x.reshape(-1)
    if not np.any(places == flat.shape[0]):
        return flat.take(places, 0)
    tail = Cells(np.full(1, -1), 0, 0) if beyond is None else beyond
    return Cells.concatenate([flat, tail], 0).take(places, 0)
