"""Values between the entries of a grid: DeformConv; GridSample and RoiAlign at computed places (else linear_maps.py).

    v(y, x) = sum_ij a(y - i) b(x - j) v[i, j]

a and b are functions of a distance (a tent for linear interpolation), each a table; what lies outside of the grid
counts as zero. The last axis is summed by a product of matrices, the others element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node, Shape, Tensor, of_size
from plonnx.compiler.ops.registry import expands, shape_of
from plonnx.compiler.ops.windows import axes_of

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Weights = Callable[[Steps, str, int], str]
"""(steps, places [stack, points, 1], extent) -> how much each entry of the axis counts, [stack, points, extent]."""
_KEYS = -0.75
_HALVES = 16
"""The version of RoiAlign from which on a place is the middle of a pixel."""


def _public(steps: Steps, value: object) -> str:
    return steps.constant(np.asarray(value, np.float64), public=True)


def _distances(steps: Steps, places: str, extent: int) -> str:
    shape = (*steps.shape(places)[:2], extent)
    return steps.apply("Abs", steps.apply("Sub", places, _public(steps, np.arange(extent)), shape=shape))


def _tents(steps: Steps, places: str, extent: int) -> str:
    """max(1 - |y - i|, 0)."""
    distances = _distances(steps, places, extent)
    return steps.apply("Relu", steps.apply("Sub", _public(steps, 1.0), distances, shape=steps.shape(distances)))


def _nearest(steps: Steps, places: str, extent: int) -> str:
    """[round(y) = i]."""
    entries = _public(steps, np.arange(extent))
    return steps.cast(steps.apply("Equal", steps.apply("Round", places), entries))


def _cubic(steps: Steps, places: str, extent: int) -> str:
    """Keys' cubic of |y - i|."""
    d = _distances(steps, places, extent)

    def polynomial(*factors: float) -> str:
        made = _public(steps, factors[0])
        for factor in factors[1:]:
            made = steps.apply("Add", steps.apply("Mul", made, d), _public(steps, factor))
        return made

    a, decisions = _KEYS, [steps.apply("Less", d, _public(steps, end)) for end in (1.0, 2.0)]
    near, far = polynomial(a + 2, -(a + 3), 0, 1), polynomial(a, -5 * a, 8 * a, -4 * a)
    beyond = steps.apply("Where", decisions[1], far, _public(steps, 0.0))
    return steps.apply("Where", decisions[0], near, beyond)


def sampled(steps: Steps, values: str, places: Sequence[str], weights: Weights) -> str:
    """values [stack, channels, *extents] at points, of each axis a place [stack, points]; [stack, points, channels]."""
    stack, channels, *extents = steps.shape(values)
    points = steps.shape(places[0])[1]
    found = [
        weights(steps, steps.reshape(place, (stack, points, 1)), extent)
        for place, extent in zip(places, extents, strict=True)
    ]
    lines = steps.reshape(values, (stack, -1, extents[-1]))
    columns = steps.apply("Transpose", lines, shape=(stack, extents[-1], steps.shape(lines)[1]), perm=(0, 2, 1))
    made = steps.apply("MatMul", found[-1], columns, shape=(stack, points, steps.shape(lines)[1]))
    for extent, along in zip(extents[-2::-1], found[-2::-1], strict=True):
        apart = steps.reshape(made, (stack, points, -1, extent))
        weighted = steps.apply("Mul", apart, steps.reshape(along, (stack, points, 1, extent)))
        made = steps.reduce("ReduceSum", weighted, [3], keepdims=False)
    return steps.reshape(made, (stack, points, channels))


@expands("DeformConv", since=19)
def deform_conv(scene: Scene, node: Node) -> list[Node]:
    """A convolution whose taps are moved by offsets, constant or computed, and weighted by a mask."""
    steps = Steps(scene, node)
    x, kernel, offset, bias, mask = (*node.inputs, "", "")[:5]
    (batch, channels, *extents), (made, inner, *taps) = steps.shape(x), steps.shape(kernel)
    outputs, rank = scene.shape(node.outputs[0])[2:], len(extents)
    given, parts, moved = (
        node.attributes,
        int(node.attributes.get("group", 1)),
        int(node.attributes.get("offset_group", 1)),
    )
    count, positions = int(np.prod(taps)), int(np.prod(outputs))
    axes = axes_of(given, tuple(extents), tuple(outputs), taps)
    apart = steps.reshape(offset, (batch * moved, count, rank, positions))
    places = []
    for number, axis in enumerate(axes):
        alone = [extent if k == number else 1 for extent in axis.reads.shape for k in range(rank)]
        grid = np.broadcast_to(axis.reads.reshape(alone), (*taps, *outputs)).reshape(count, positions)
        own = steps.reshape(steps.take(apart, np.array([number]), 2), (batch * moved, count, positions))
        place = steps.apply("Add", own, _public(steps, grid))
        places.append(steps.reshape(place, (batch * moved, count * positions)))
    values = steps.reshape(x, (batch * moved, channels // moved, *extents))
    found = sampled(steps, values, places, _tents)
    if mask:
        found = steps.apply("Mul", found, steps.reshape(mask, (batch * moved, count * positions, 1)))
    apart = steps.reshape(found, (batch, moved, count, positions, channels // moved))
    shape = (batch, positions, moved, channels // moved, count)
    ordered = steps.apply("Transpose", apart, shape=shape, perm=(0, 3, 1, 4, 2))
    rows = steps.reshape(ordered, (batch * positions, parts, inner * count))
    rows = steps.apply("Transpose", rows, shape=(parts, batch * positions, inner * count), perm=(1, 0, 2))
    columns = steps.reshape(kernel, (parts, made // parts, inner * count))
    columns = steps.apply("Transpose", columns, shape=(parts, inner * count, made // parts), perm=(0, 2, 1))
    products = steps.apply("MatMul", rows, columns, shape=(parts, batch * positions, made // parts))
    products = steps.reshape(products, (parts, batch, positions, made // parts))
    result = steps.apply("Transpose", products, shape=(batch, parts, made // parts, positions), perm=(1, 0, 3, 2))
    result = steps.reshape(result, (batch, made, *outputs))
    if bias:
        result = steps.apply("Add", result, steps.reshape(bias, (made, *[1] * rank)))
    return steps.finish(result)


def grid_sample_at_computed(scene: Scene, node: Node) -> list[Node] | None:
    """GridSample where the grid is no constant."""
    (x, grid), steps, given = node.inputs, Steps(scene, node), node.attributes
    if scene.value(grid) is not None:
        return None
    mode, padding = str(given.get("mode", "linear")).removeprefix("bi"), str(given.get("padding_mode", "zeros"))
    if mode == "cubic" and padding != "zeros":
        raise steps.refuse(f"at computed points mode 'cubic' with padding_mode {padding!r} is not supported")
    batch, channels, *extents = steps.shape(x)
    outputs, rank = steps.shape(grid)[1:-1], len(extents)
    flat, places = steps.reshape(grid, (batch, -1, rank)), []
    for number, extent in enumerate(extents):
        own = steps.reshape(steps.take(flat, np.array([rank - 1 - number]), 2), (batch, -1))
        corners = bool(given.get("align_corners", 0))
        half = (extent - 1) / 2 if corners else extent / 2
        place = steps.apply("Mul", own, _public(steps, half))
        place = steps.apply("Add", place, _public(steps, (extent - 1) / 2))
        if padding == "reflection":
            place = _reflected(steps, place, *((0.0, extent - 1.0) if corners else (-0.5, extent - 0.5)))
        if padding != "zeros":
            place = steps.apply("Clip", place, _public(steps, 0.0), _public(steps, extent - 1.0))
        places.append(place)
    found = sampled(steps, x, places, {"linear": _tents, "nearest": _nearest, "cubic": _cubic}[mode])
    made = steps.apply("Transpose", found, shape=(batch, channels, steps.shape(flat)[1]), perm=(0, 2, 1))
    return steps.finish(steps.reshape(made, (batch, channels, *outputs)))


def regions_of_size(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """[regions, channels, height, width] of RoiAlign; CompileError where its points are more than onnxruntime counts.

    Without a sampling_ratio a part of a region has a point for each pixel that it spans.
    """
    (_, channels, *_), (count, *_) = shape_of(operands, 0), shape_of(operands, 1)
    sizes, samples = _parts(node), (int(node.attributes.get("sampling_ratio", 0)),) * 2
    regions = operands[1]
    if samples[0] < 1 and regions is not None and regions.value is not None and count:
        spans = np.abs(np.float64(regions.value[:, 2:]) - np.float64(regions.value[:, :2])).max(0)[::-1]
        spans = np.nan_to_num(spans) * abs(float(node.attributes.get("spatial_scale", 1.0)))
        samples = (ceil(spans[0] / max(sizes[0], 1)), ceil(spans[1] / max(sizes[1], 1)))
    points = tuple(size * each for size, each in zip(sizes, samples, strict=True))
    of_size((count, *points), f"{node.label}: what it takes means of")
    return count, channels, *sizes


def _parts(node: Node) -> tuple[int, int]:
    """Of the height and of the width of a region."""
    return int(node.attributes.get("output_height", 1)), int(node.attributes.get("output_width", 1))


def roi_align_at_computed(scene: Scene, node: Node) -> list[Node] | None:
    """RoiAlign where the regions, or the images that they are of, are no constants.

    The points of a region are a grid: their mean is that of the lines' weights times that of the columns'.
    """
    (x, regions, which), steps, given = node.inputs, Steps(scene, node), node.attributes
    if scene.value(regions) is not None and scene.value(which) is not None:
        return None
    if given.get("mode", "avg") != "avg":
        raise steps.refuse("mode 'max' is not supported; choose avg")
    samples, scale = int(given.get("sampling_ratio", 0)), float(given.get("spatial_scale", 1.0))
    sizes = _parts(node)
    if samples < 1:
        raise steps.refuse("how many points a computed region has depends on values; export with sampling_ratio=2")
    batch, channels, *extents = steps.shape(x)
    count = steps.shape(regions)[0]
    for size, extent in zip(sizes, extents, strict=True):
        of_size((count, size * samples, extent), f"{node.label}: what it takes means of")
    from_half = node.since >= _HALVES and given.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    lines, columns = (
        _mean_weights(steps, regions, axis, (size, samples, extent), scale, from_half)
        for axis, size, extent in zip((1, 0), sizes, extents, strict=True)
    )
    height, width = extents
    if batch == 1:  # all regions are of the one image there is
        image = steps.reshape(x, (channels, height, width))
        image = steps.apply("Transpose", image, shape=(height, channels, width), perm=(1, 0, 2))
        rows = steps.reshape(lines, (count * sizes[0], height))
        made = steps.apply(
            "MatMul", rows, steps.reshape(image, (height, -1)), shape=(count * sizes[0], channels * width)
        )
    else:
        image = steps.apply("Gather", x, which, shape=(count, channels, height, width), axis=0)
        image = steps.apply("Transpose", image, shape=(count, height, channels, width), perm=(0, 2, 1, 3))
        image = steps.reshape(image, (count, height, channels * width))
        made = steps.apply("MatMul", lines, image, shape=(count, sizes[0], channels * width))
    made = steps.reshape(made, (count, sizes[0] * channels, width))
    across = steps.apply("Transpose", columns, shape=(count, width, sizes[1]), perm=(0, 2, 1))
    made = steps.apply("MatMul", made, across, shape=(count, sizes[0] * channels, sizes[1]))
    made = steps.reshape(made, (count, sizes[0], channels, sizes[1]))
    return steps.finish(steps.apply("Transpose", made, shape=(count, channels, *sizes), perm=(0, 2, 1, 3)))


def _mean_weights(
    steps: Steps, regions: str, axis: int, counts: tuple[int, int, int], scale: float, from_half: bool
) -> str:
    """How much each entry of an axis counts for the mean of each part of it, [regions, parts, entries].

    counts: the parts, the points in each, the entries. Points more than one entry outside count for nothing.
    """
    parts, samples, extent = counts
    first, last = (
        steps.apply("Mul", steps.take(regions, np.array([place]), 1), _public(steps, scale))
        for place in (axis, axis + 2)
    )
    span = steps.apply("Sub", last, first)
    if from_half:
        first = steps.apply("Sub", first, _public(steps, 0.5))
    else:
        span = steps.apply("Max", span, _public(steps, 1.0))
    points = (np.arange(parts * samples) + 0.5) / (parts * samples)
    place = steps.apply("Add", steps.apply("Mul", span, _public(steps, points)), first)
    outside = steps.apply(
        "Or",
        steps.apply("Less", place, _public(steps, -1.0)),
        steps.apply("Greater", place, _public(steps, float(extent))),
    )
    held = steps.apply("Min", steps.apply("Max", place, _public(steps, 0.0)), _public(steps, extent - 1.0))
    place = steps.apply("Where", outside, _public(steps, -2.0), held)
    tents = _tents(steps, steps.reshape(place, (*steps.shape(place), 1)), extent)
    apart = steps.reshape(tents, (-1, parts, samples, extent))
    return steps.reduce("ReduceMean", apart, [2], keepdims=False)


def _reflected(steps: Steps, place: str, first: float, last: float) -> str:
    """Thrown back at both ends, as often as it takes."""
    if first == last:
        return place
    span = last - first
    away = steps.apply("Abs", steps.apply("Sub", place, _public(steps, first)))
    turned = steps.apply("Mod", away, _public(steps, 2 * span), fmod=1)
    left = steps.apply("Abs", steps.apply("Sub", turned, _public(steps, span)))
    return steps.apply("Sub", _public(steps, last), left, shape=steps.shape(left))
