"""Operators that are linear in one operand, while the others are constants: a matrix, found on a basis by the oracle.

DFT, STFT, AffineGrid, GridSample and RoiAlign (by means): what onnxruntime makes of the unit vectors are the matrix's
rows, so that no interpolation and no convention is written down a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.float_model import Unevaluable, evaluate_node
from plonnx.compiler.graph import Array, Node, Shape, Tensor
from plonnx.compiler.ops.registry import Call, Operand, op, shape_of
from plonnx.compiler.ops.sampling import grid_sample_at_computed, regions_of_size, roi_align_at_computed
from plonnx.gadgets import Cells

_LARGEST = 1 << 24
"""Entries of a basis; beyond, it is refused."""
_AXIS_AS_INPUT = 20
"""DFT takes its axis as an operand from this version on."""


def _on_basis(call: Call, node: Node, *operands: Array | None) -> Array:
    """What a node makes of its operands, the first of which are unit vectors."""
    given = {name: value for name, value in zip(node.inputs, operands, strict=False) if name and value is not None}
    try:
        return np.asarray(evaluate_node(node, {"": node.since}, given)[node.outputs[0]], np.float64)
    except Unevaluable as error:
        raise call.refuse(str(error)) from error


def _units(call: Call, *shape: int) -> Array:
    """Unit vectors of that shape, along a first axis."""
    count = int(np.prod(shape))
    if count * count > _LARGEST:
        raise call.refuse("its operand has too many elements for a matrix")
    return np.eye(count, dtype=np.float32).reshape(count, *shape)


def _given(call: Call, operand: Operand, what: str) -> Array | None:
    return None if operand is None else call.constant(operand, what)


@op("DFT", since=17)
def dft(call: Call, x: Operand, length: Operand = None, axis: Operand = None) -> Cells:
    """Fourier's sums along an axis of real or complex numbers; the last axis has both parts."""
    operand, rank, node = call.computed(x, "the operand"), len(call.out.shape), call.node
    early = node.since < _AXIS_AS_INPUT
    given = _given(call, axis, "the axis")
    along = int(node.attributes.get("axis", 1) if early else -2 if given is None else given.reshape(-1)[0]) % rank
    order = (*(a for a in range(rank - 1) if a != along), along, rank - 1)
    moved = operand.cells.transpose(order)
    if early:
        node = replace(node, attributes={**node.attributes, "axis": 1})
    else:
        node = replace(node, inputs=(node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else "", "the axis"))
    units = _units(call, *moved.shape[-2:])
    sums = _on_basis(call, node, units, _given(call, length, "the length"), np.array(1))
    made = call.linear(
        Scaled(moved.reshape((-1, len(units))), operand.scale), sums.reshape(len(units), -1), public=True
    )
    return made.reshape((*moved.shape[:-2], *sums.shape[1:])).transpose(tuple(np.argsort(order).tolist()))


def _frames(node: Node, operands: Sequence[Tensor | None]) -> Shape | None:
    """[batch, frames, sums, 2] of an STFT."""
    shape, values = shape_of(operands, 0), [None if tensor is None else tensor.value for tensor in operands[1:]]
    window = operands[2] if len(operands) > 2 else None
    length = None if window is None else window.shape[0]
    if len(values) > 2 and values[2] is not None:
        length = int(values[2].reshape(-1)[0])
    if length is None or values[0] is None:
        return None
    count = (shape[1] - length) // int(values[0].reshape(-1)[0]) + 1
    return shape[0], count, length // 2 + 1 if node.attributes.get("onesided", 1) else length, 2


@op("STFT", since=17, shape=_frames)
def stft(call: Call, x: Operand, step: Operand, window: Operand = None, length: Operand = None) -> Cells:
    """Fourier's sums of frames of a signal, weighted by a constant window."""
    operand, weights = call.computed(x, "the signal"), _given(call, window, "the window")
    frame = len(weights) if weights is not None else int(call.constant(length, "the frame's length").reshape(-1)[0])
    hop = int(call.constant(step, "the step").reshape(-1)[0])
    cells = operand.cells.reshape((*operand.shape[:2], -1))
    batch, count, parts = cells.shape
    starts = hop * np.arange((count - frame) // hop + 1)
    units = _units(call, frame, parts)
    node = replace(call.node, inputs=("x", "step", "" if weights is None else "window", "length"))
    sums = _on_basis(call, node, units, np.array(1), weights, np.array(frame)).reshape(len(units), -1)
    frames = cells.take(starts[:, None] + np.arange(frame), 1).reshape((batch * starts.size, len(units)))
    public = weights is None or call.is_public(2)
    return call.linear(Scaled(frames, operand.scale), sums, public=public).reshape(call.out.shape)


@op("AffineGrid", since=20)
def affine_grid(call: Call, theta: Operand, size: Operand) -> Cells:
    """Where an affine map takes the points of a grid."""
    operand, sizes = call.computed(theta, "theta"), call.constant(size, "the size").copy()
    units = _units(call, *operand.shape[1:])
    sizes[0] = len(units)
    points = _on_basis(call, call.node, units, sizes).reshape(len(units), -1)
    rows = Scaled(operand.cells.reshape((-1, len(units))), operand.scale)
    return call.linear(rows, points, public=True).reshape(call.out.shape)


@op("GridSample", since=16, expand=grid_sample_at_computed)
def grid_sample(call: Call, x: Operand, grid: Operand) -> Cells:
    """Images between whose pixels is interpolated: at the points of a constant grid a matrix."""
    operand, points = call.computed(x, "the images"), call.constant(grid, "the grid")
    batch, channels, *extents = operand.shape
    units = _units(call, *extents)
    every = np.broadcast_to(units, (batch, *units.shape))
    matrices = _on_basis(call, call.node, np.ascontiguousarray(every), points).reshape(batch, len(units), -1)
    rows = operand.cells.reshape((batch, channels, -1))
    made = [
        call.linear(Scaled(rows[k], operand.scale), matrix, part=k, public=call.is_public(1))
        for k, matrix in enumerate(matrices)
    ]
    return Cells.concatenate(made, 0).reshape(call.out.shape)


@op("RoiAlign", since=10, expand=roi_align_at_computed, shape=regions_of_size)
def roi_align(call: Call, x: Operand, regions: Operand, which: Operand) -> Cells:
    """Means over the cells of regions: of constant ones a matrix for each."""
    operand, images = call.computed(x, "the images"), call.constant(which, "the images of the regions")
    if call.node.attributes.get("mode", "avg") != "avg":
        raise call.refuse("mode 'max' is not supported; choose avg")
    batch, channels, *extents = operand.shape
    units = _units(call, *extents)
    every = np.ascontiguousarray(np.broadcast_to(units, (batch, *units.shape)))
    found = _on_basis(call, call.node, every, call.constant(regions, "the regions"), images)
    rows, public = operand.cells.reshape((batch, channels, -1)), call.is_public(1)
    made = [
        call.linear(Scaled(rows[int(image)], operand.scale), matrix.reshape(len(units), -1), part=k, public=public)
        for k, (image, matrix) in enumerate(zip(images, found, strict=True))
    ]
    return Cells.concatenate(made, 0).reshape(call.out.shape)
