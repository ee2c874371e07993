"""Resize and Upsample: the nearest mode re-indexes, which is free; the others are a matrix for each resized axis.

Coordinates are computed in float32, as onnxruntime does, so that ties fall on the same side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, Node, Shape, Tensor
from plonnx.compiler.ops.registry import Call, Mark, Operand, aligned, calibrated, op, shape_of
from plonnx.gadgets import Cells

Floats = NDArray[np.float32]
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_CROPS = "tf_crop_and_resize"
_WHOLE = np.array([0, 1], np.float32)


@dataclass(frozen=True)
class _Axis:
    """`outputs` entries made of `extent` ones; `scale` is the factor that the node names, about outputs / extent."""

    extent: int
    outputs: int
    scale: np.float32
    region: Floats
    """First and last place of a crop, as shares of the extent; an axis that keeps its extent is not cropped."""

    @property
    def places(self) -> Floats:
        """0, 1, .. of the result."""
        return np.arange(self.outputs, dtype=np.float32)


def _half_pixel(axis: _Axis) -> Floats:
    return (axis.places + _HALF) / axis.scale - _HALF


def _half_pixel_symmetric(axis: _Axis) -> Floats:
    adjustment = np.float32(axis.outputs) / (axis.scale * np.float32(axis.extent))
    offset = np.float32(axis.extent) / np.float32(2) * (_ONE - adjustment)
    return offset + (axis.places + _HALF) / axis.scale - _HALF


def _pytorch_half_pixel(axis: _Axis) -> Floats:
    return _half_pixel(axis) if axis.outputs > 1 else np.zeros(1, np.float32)


def _align_corners(axis: _Axis) -> Floats:
    if axis.outputs == 1:
        return np.zeros(1, np.float32)
    return axis.places * np.float32(axis.extent - 1) / np.float32(axis.outputs - 1)


def _crop(axis: _Axis) -> Floats:
    """TensorFlow's: the ends of the region are those of the result. In onnxruntime's order: a rounding more may leave
    the image at its last entry."""
    (first, last), whole = axis.region, np.float32(axis.extent - 1)
    if axis.outputs == 1:
        return np.full(1, 0.5 * float(first + last) * float(whole), np.float32)
    moved = axis.places * (last - first) * whole / np.float32(axis.outputs - 1)
    return np.asarray(first * whole + moved, np.float32)


_TRANSFORMATIONS: Mapping[str, Callable[[_Axis], Floats]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda axis: axis.places / axis.scale,
    "tf_half_pixel_for_nn": lambda axis: (axis.places + _HALF) / axis.scale,
    _CROPS: _crop,
}

_ROUNDINGS: Mapping[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: np.floor(x + _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _free_where_nearest(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Re-indexed cells keep their scale, beside what a constant outside asks for."""
    if node.attributes.get("mode", "nearest") != "nearest":
        return calibrated(node, tensors, asked)
    kept = aligned(node, tensors, asked)
    return min(asked, kept) if node.attributes.get("extrapolation_value", 0.0) else kept


def given_scales(attributes: Mapping[str, Any], operands: Sequence[Array | None]) -> Floats | None:
    """The scales in float32: an attribute (Upsample-7), the second operand (to version 10) or the third (from 11)."""
    scales = operands[1] if len(operands) == 2 else operands[2] if len(operands) > 2 else attributes.get("scales")
    return None if scales is None or not np.size(scales) else np.asarray(scales, np.float32)


def _scaled_shape(node: Node, operands: Sequence[Tensor | None]) -> Shape | None:
    """A scaled axis has the size that the product in float32 gives."""
    scales = given_scales(node.attributes, [None if tensor is None else tensor.value for tensor in operands])
    if scales is None:
        return None
    sizes = list(shape_of(operands, 0))
    for scale, axis in zip(scales, node.attributes.get("axes", range(len(sizes))), strict=True):
        sizes[axis] = int(np.float32(sizes[axis]) * scale)
    return tuple(sizes)


@op(
    "Resize",
    since=10,
    scale=_free_where_nearest,
    marks=Mark.SPATIAL | Mark.BETWEEN | Mark.TOLD | Mark.SIZED,
    shape=_scaled_shape,
)
@op("Upsample", since=7, scale=_free_where_nearest, marks=Mark.SPATIAL | Mark.BETWEEN | Mark.SIZED, shape=_scaled_shape)
def upsample(call: Call, x: Operand, scales: Operand = None) -> Cells:
    """Upsample and Resize-10: scales as an attribute (version 7), or as an input."""
    factors = given_scales(call.node.attributes, [] if scales is None else [None, call.constant(scales, "scales")])
    assert factors is not None, "the output's shape comes from the scales"
    return _resized(call, call.computed(x, "the operand"), _scaled(call, x, factors), "asymmetric", "floor")


@op(
    "Resize",
    since=11,
    scale=_free_where_nearest,
    marks=Mark.SPATIAL | Mark.BETWEEN | Mark.TOLD | Mark.SIZED,
    shape=_scaled_shape,
)
def resize(call: Call, x: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None) -> Cells:
    """Version 11 on: scales or sizes of all axes or of `axes`, and a choice of coordinates."""
    operand, given = call.computed(x, "the operand"), call.node.attributes
    way = given.get("coordinate_transformation_mode", "half_pixel")
    if way not in _TRANSFORMATIONS:
        raise call.refuse(f"coordinate_transformation_mode {way!r} is not supported")
    rank = len(operand.shape)
    named = [int(axis) % rank for axis in given.get("axes", range(rank))]
    factors = given_scales(given, [None, None, None if scales is None else call.constant(scales, "scales")])
    if factors is None:
        axes = _sized(call, operand, call.constant(sizes, "sizes"), named)
    else:
        axes = _scaled(call, x, factors, named)
    if way == _CROPS:
        for place, (first, last) in zip(named, call.constant(roi, "the region").reshape(2, -1).T, strict=True):
            axes[place] = replace(axes[place], region=np.array([first, last], np.float32))
    return _resized(call, operand, axes, way, given.get("nearest_mode", "round_prefer_floor"))


def _scaled(call: Call, x: Operand, scales: Array, named: Sequence[int] | None = None) -> list[_Axis]:
    """The axes where scales are given; the others stay."""
    extents, outputs = call.computed(x, "the operand").shape, call.out.shape
    factors = np.ones(len(extents), np.float32)
    factors[list(range(len(extents)) if named is None else named)] = scales
    return [_Axis(*axis, _WHOLE) for axis in zip(extents, outputs, factors, strict=True)]


def _sized(call: Call, x: Scaled, sizes: Array, named: Sequence[int]) -> list[_Axis]:
    """The axes where sizes are given; a policy that keeps the aspect ratio makes one factor of them."""
    policy = call.node.attributes.get("keep_aspect_ratio_policy", "stretch")
    ratios = sizes.astype(np.float32) / np.asarray([x.shape[axis] for axis in named], np.float32)
    if policy != "stretch":
        ratios = np.full_like(ratios, ratios.min() if policy == "not_larger" else ratios.max())
    return _scaled(call, x, ratios, named)


def _resized(call: Call, x: Scaled, axes: Sequence[_Axis], way: str, rounding: str) -> Cells:
    given = call.node.attributes
    mode = given.get("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise call.refuse(f"mode {mode!r} is not supported; choose nearest, linear or cubic")
    changed = [axis for axis, size in enumerate(axes) if size.extent != size.outputs or float(size.scale) != 1.0]
    outside = np.zeros(call.out.shape, np.bool_)
    for part, axis in enumerate(changed):
        size, places = axes[axis], _TRANSFORMATIONS[way](axes[axis])
        if way == _CROPS:
            beyond = (places < 0) | (places > size.extent - 1)
            outside |= beyond.reshape([-1 if other == axis else 1 for other in range(outside.ndim)])
        if mode == "nearest":
            taken = np.clip(_ROUNDINGS[rounding](places), 0, size.extent - 1).astype(np.int64)
            x = Scaled(x.cells.take(taken, axis), x.scale)
            continue
        if given.get("antialias", 0):
            matrix = _antialiased(given, places, size)
        else:
            matrix = _interpolation(places, size.extent) if mode == "linear" else _cubic(given, places, size.extent)
        x = Scaled(_along(call, x, matrix, axis, None if part == len(changed) - 1 else part), call.scale)
    return _extrapolated(call, call.at_scale(x, part=len(axes)), outside)


def _extrapolated(call: Call, x: Cells, outside: NDArray[np.bool_]) -> Cells:
    """A constant where the result lies outside of its operand."""
    value = float(call.node.attributes.get("extrapolation_value", 0.0))
    if not outside.any():
        return x
    if not value:
        return Cells(np.where(outside, -1, x.refs), min(x.low, 0), max(x.high, 0))
    one = call.sum([], np.full(1, value), part=len(outside.shape) + 1, public=True)
    return Cells(np.where(outside, one.refs, x.refs), min(x.low, one.low), max(x.high, one.high))


def _interpolation(places: Floats, extent: int) -> Array:
    """[extent, outputs]: each output between the two entries around its place, or at the end beyond which it lies."""
    inside = np.clip(places, 0, extent - 1)
    left = np.floor(inside).astype(np.int64)
    right = np.minimum(left + 1, extent - 1)
    share = (inside - left).astype(np.float64)
    matrix = np.zeros((extent, places.size))
    columns = np.arange(places.size)
    np.add.at(matrix, (left, columns), 1.0 - share)
    np.add.at(matrix, (right, columns), share)
    return matrix


def _antialiased(given: Mapping[str, Any], places: Floats, axis: _Axis) -> Array:
    """[extent, outputs]: the filter of the mode, as wide as an output is of entries where the axis shrinks."""
    narrow = min(float(axis.scale), 1.0)
    cubic = given["mode"] == "cubic"
    reach = int(np.ceil((2 if cubic else 1) / narrow)) + 1
    taps = np.floor(places).astype(np.int64) + np.arange(-reach, reach + 1)[:, None]
    distances = np.abs(taps - places.astype(np.float64)) * narrow
    weights = _keys(given, distances) if cubic else np.maximum(1.0 - distances, 0.0)
    return _weighted(given, weights / weights.sum(axis=0), taps, axis.extent)


def _keys(given: Mapping[str, Any], distances: Array) -> Array:
    """Keys' cubic."""
    a = float(given.get("cubic_coeff_a", -0.75))
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = ((distances - 5) * distances + 8) * distances * a - 4 * a
    return np.where(distances <= 1, near, np.where(distances < 2, far, 0.0))


def _cubic(given: Mapping[str, Any], places: Floats, extent: int) -> Array:
    """[extent, outputs]: each output of the four entries around its place."""
    left = np.floor(places).astype(np.int64)
    taps = left + np.arange(-1, 3)[:, None]
    return _weighted(given, _keys(given, np.abs(taps - places.astype(np.float64))), taps, extent)


def _weighted(given: Mapping[str, Any], weights: Array, taps: NDArray[np.int64], extent: int) -> Array:
    """[extent, outputs] of what each output takes of the entries at its taps; beyond the ends these are repeated.

    exclude_outside: entries beyond the ends count as nothing, and the others are scaled up.
    """
    if given.get("exclude_outside", 0):
        weights = np.where((taps >= 0) & (taps < extent), weights, 0.0)
        weights = weights / weights.sum(axis=0)
    matrix = np.zeros((extent, taps.shape[1]))
    np.add.at(matrix, (np.clip(taps, 0, extent - 1), np.arange(taps.shape[1])[None, :]), weights)
    return matrix


def _along(call: Call, x: Scaled, matrix: Array, axis: int, part: int | None) -> Cells:
    """x times a matrix along an axis."""
    rank = len(x.shape)
    last = (*(other for other in range(rank) if other != axis), axis)
    moved = x.cells.transpose(last)
    made = call.linear(Scaled(moved.reshape((-1, x.shape[axis])), x.scale), matrix, part=part, public=True)
    return made.reshape((*moved.shape[:-1], matrix.shape[1])).transpose(tuple(np.argsort(last).tolist()))
