"""Re-indexing, which costs nothing: reshape and its kin, transpose, broadcast, slice, gather, concat, identities."""

from __future__ import annotations

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array
from plonnx.compiler.ops.registry import Call, Operand, aligned, op
from plonnx.gadgets import Cells


@op("Identity", since=1, scale=aligned)
@op("Reshape", since=5, scale=aligned)
@op("Flatten", since=1, scale=aligned)
@op("Squeeze", since=1, scale=aligned)
@op("Unsqueeze", since=1, scale=aligned)
def reshape(call: Call, x: Operand, *_: Operand) -> Cells:
    """The same cells in row-major order, in the output's shape (known from shape inference)."""
    return call.computed(x, "the operand").cells.reshape(call.out.shape)


@op("Dropout", since=7, scale=aligned)
def dropout(call: Call, x: Operand, ratio: Operand = None, training: Operand = None) -> Cells:
    """Inference: the identity."""
    if training is not None and np.any(call.constant(training, "training_mode")):
        raise call.refuse("is in training mode; export the model for inference")
    return call.computed(x, "the operand").cells


@op("Cast", since=6, scale=aligned)
def cast(call: Call, x: Operand) -> Cells:
    """Between number types that hold the same values; a cast that rounds or truncates is refused."""
    source = call.operand_dtype(0)
    target = call.out.dtype
    exact = np.issubdtype(target, np.floating) or (source != np.bool_ and source.kind in "iu" and target.kind in "iu")
    if not exact:
        raise call.refuse(f"a cast from {source} to {target} changes values and is not supported yet")
    return call.computed(x, "the operand").cells


@op("Transpose", since=1, scale=aligned)
def transpose(call: Call, x: Operand) -> Cells:
    """Axes permuted by `perm`, reversed by default."""
    cells = call.computed(x, "the operand").cells
    return cells.transpose(tuple(call.node.attributes.get("perm", reversed(range(len(cells.shape))))))


@op("Expand", since=8, scale=aligned)
def expand(call: Call, x: Operand, shape: Operand) -> Cells:
    """Broadcast to the output's shape."""
    return call.computed(x, "the operand").cells.broadcast_to(call.out.shape)


@op("Tile", since=6, scale=aligned)
def tile(call: Call, x: Operand, repeats: Operand) -> Cells:
    """Each axis repeated as a whole."""
    cells = call.computed(x, "the operand").cells
    for axis, times in enumerate(call.constant(repeats, "repeats").tolist()):
        if times != 1:
            cells = cells.take(np.tile(np.arange(cells.shape[axis]), times), axis)
    return cells


@op("Concat", since=4, scale=aligned)
def concat(call: Call, *operands: Operand) -> Cells:
    """Operands joined along `axis`, the finer ones rescaled to the coarsest scale."""
    parts = []
    for part, operand in enumerate(operands):
        x = call.computed(operand, f"part {part}")
        parts.append(call.at_scale(x, part))
    return Cells.concatenate(parts, int(call.node.attributes["axis"]) % len(call.out.shape))


@op("Slice", since=1, scale=aligned)
def slice_1(call: Call, x: Operand) -> Cells:
    """Version 1: bounds as attributes, steps of one."""
    attributes = call.node.attributes
    starts = np.asarray(attributes["starts"])
    axes = np.asarray(attributes.get("axes", range(starts.size)))
    return _sliced(call.computed(x, "the operand"), starts, np.asarray(attributes["ends"]), axes, np.ones_like(starts))


@op("Slice", since=10, scale=aligned)
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
        cells = cells.take(np.arange(cells.shape[axis])[start:end:step], axis % len(cells.shape))
    return cells


@op("Gather", since=1, scale=aligned)
def gather(call: Call, x: Operand, indices: Operand) -> Cells:
    """Entries along `axis` at constant indices."""
    cells = call.computed(x, "the tensor that is indexed").cells
    axis = int(call.node.attributes.get("axis", 0)) % len(cells.shape)
    where = call.constant(indices, "the indices").astype(np.int64).reshape(-1) % cells.shape[axis]
    return cells.take(where, axis).reshape(call.out.shape)
