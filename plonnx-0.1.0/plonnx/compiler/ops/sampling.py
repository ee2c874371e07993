"""Values between the entries of a grid: DeformConv, and GridSample at computed points (at constants: linear_maps.py).

    v(y, x) = sum_ij a(y - i) b(x - j) v[i, j]

a and b are functions of a distance (a tent for linear interpolation), each a table; what lies outside of the grid
counts as zero. The last axis is summed by a product of matrices, the others element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node
from plonnx.compiler.ops.registry import expands
from plonnx.compiler.ops.windows import axes_of

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Weights = Callable[[Steps, str, int], str]
"""(steps, places [stack, points, 1], extent) -> how much each entry of the axis counts, [stack, points, extent]."""
_KEYS = -0.75


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


def _reflected(steps: Steps, place: str, first: float, last: float) -> str:
    """Thrown back at both ends, as often as it takes."""
    if first == last:
        return place
    span = last - first
    away = steps.apply("Abs", steps.apply("Sub", place, _public(steps, first)))
    turned = steps.apply("Mod", away, _public(steps, 2 * span), fmod=1)
    left = steps.apply("Abs", steps.apply("Sub", turned, _public(steps, span)))
    return steps.apply("Sub", _public(steps, last), left, shape=steps.shape(left))
