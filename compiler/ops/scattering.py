"""Tensors that are scattered, reversed or compressed.

Scatter.. (computed i)  indexing.py
Scatter.. (constant i)  re-indexing, or one sum (product, maximum) for each time that a place is met
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Node, Shape, Tensor
from plonnx.compiler.ops.comparison import numbered, placed
from plonnx.compiler.ops.indexing import Places, from_the_front, scattered_elements, scattered_slices
from plonnx.compiler.ops.registry import Call, Expansion, Mark, Operand, expands, op, shape_of
from plonnx.gadgets import Cells
from plonnx.gadgets.select import select

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_REDUCED: Mapping[str, str] = {"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}


def _constant_indices(steps: Steps, place: int = 1) -> Places:
    value = steps.scene.value(steps.node.inputs[place])
    if value is None:
        raise steps.refuse("the indices must be a constant of the model")
    return value.astype(np.int64)


def _scattered(steps: Steps, targets: Places) -> list[Node]:
    """The data with updates at flat places `targets`, one for each update in order, by the node's reduction."""
    data, updates = steps.node.inputs[0], steps.node.inputs[2]
    shape, reduction = steps.shape(data), str(steps.node.attributes.get("reduction", "none"))
    own, flat = np.arange(int(np.prod(shape, dtype=np.int64))), targets.reshape(-1)
    if reduction == "none":
        own[flat] = own.size + np.arange(flat.size)  # the last of several
        return steps.finish(steps.gather([data, updates], own.reshape(shape)))
    order = np.argsort(flat, kind="stable")
    runs = np.flatnonzero(np.diff(flat[order], prepend=-1))
    round_of = np.empty(flat.size, np.int64)
    round_of[order] = np.arange(flat.size) - np.repeat(runs, np.diff(np.append(runs, flat.size)))
    neutral = data if reduction in ("max", "min") else steps.constant(np.full(1, float(reduction == "mul")))
    result = data
    for number in range(int(round_of.max(initial=-1)) + 1):
        taken = np.flatnonzero(round_of == number)
        source = flat.size + (own if reduction in ("max", "min") else np.zeros_like(own))
        source[flat[taken]] = taken
        result = steps.apply(_REDUCED[reduction], result, steps.gather([updates, neutral], source.reshape(shape)))
    return steps.finish(result)


def _by_constants(rule: Expansion) -> Expansion:
    """The rule, where the indices are a constant."""
    return lambda scene, node: None if scene.value(node.inputs[1]) is None else rule(scene, node)


def _elements_by_constants(scene: Scene, node: Node) -> list[Node]:
    """y[index[i, j], j] is updates[i, j] (for axis 0), or joined with it, at constant indices."""
    steps = Steps(scene, node)
    shape, where = scene.shape(node.inputs[0]), _constant_indices(steps)
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    places = np.indices(where.shape)
    places[axis] = where % shape[axis]
    return _scattered(steps, np.asarray(np.ravel_multi_index(tuple(places), shape)))


def _slices_by_constants(scene: Scene, node: Node) -> list[Node]:
    """Slices at constant tuples of indices become those of the updates, or are joined with them."""
    steps = Steps(scene, node)
    shape, where = scene.shape(node.inputs[0]), _constant_indices(steps)
    numbers = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    return _scattered(steps, numbers[tuple(np.moveaxis(where, -1, 0))])


def _holds_both(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The coarsest of what is asked for, the data and the updates."""
    scales = [tensors[node.inputs[place]].scale for place in (0, 2)]
    return min([asked, *(scale for scale in scales if scale is not None)])


def _holds_two(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The coarsest of what is asked for and the first two operands."""
    scales = [tensors[name].scale for name in node.inputs[:2]]
    return min([asked, *(scale for scale in scales if scale is not None)])


@op("Scatter", since=9, scale=_holds_both, expand=_by_constants(_elements_by_constants), marks=Mark.INDEXED)
@op("ScatterElements", since=11, scale=_holds_both, expand=_by_constants(_elements_by_constants), marks=Mark.INDEXED)
def scatter_elements(call: Call, data: Operand, indices: Operand, updates: Operand) -> Cells:
    """At computed indices; constant ones are expanded."""
    return scattered_elements(call, data, call.computed(indices, "the indices"), updates)


@op("ScatterND", since=11, scale=_holds_both, expand=_by_constants(_slices_by_constants), marks=Mark.INDEXED)
def scatter_nd(call: Call, data: Operand, indices: Operand, updates: Operand) -> Cells:
    """At computed tuples of indices; constant ones are expanded."""
    return scattered_slices(call, data, call.computed(indices, "the indices"), updates)


def _cache_by_constants(scene: Scene, node: Node) -> list[Node] | None:
    """Entries of the update from a constant place of each batch on."""
    where = scene.value(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(scene.shape(node.inputs[0])[0], np.int64)
    if where is None:
        return None
    steps, (shape, new) = Steps(scene, node), (scene.shape(name) for name in node.inputs[:2])
    axis = int(node.attributes.get("axis", -2)) % len(shape)
    places, numbers = np.arange(int(np.prod(shape))).reshape(shape), np.indices(new)
    numbers[axis] += where.astype(np.int64).reshape([-1, *[1] * (len(new) - 1)])
    if node.attributes.get("mode", "linear") == "circular":
        numbers[axis] %= shape[axis]
    if np.any(numbers[axis] >= shape[axis]):
        raise steps.refuse("it writes beyond the end of its cache")
    places[tuple(numbers)] = places.size + np.arange(int(np.prod(new))).reshape(new)
    return steps.finish(steps.gather(list(node.inputs[:2]), places))


@op("TensorScatter", since=24, scale=_holds_two, expand=_cache_by_constants)
def tensor_scatter(call: Call, cache: Operand, update: Operand, where: Operand) -> Cells:
    """A cache with an update from a place of each batch on; the place is selected where it is computed."""
    old, new = (placed(call, operand, part) for part, operand in enumerate((cache, update)))
    axis = int(call.node.attributes.get("axis", -2)) % len(old.shape)
    order = (axis, *(a for a in range(len(old.shape)) if a != axis))
    data, rows = old.transpose(order), new.transpose(order)
    extent, count, batch = data.shape[0], rows.shape[0], data.shape[1]
    circular = call.node.attributes.get("mode", "linear") == "circular"
    index = from_the_front(call, call.computed(where, "the places"), extent if circular else extent - count + 1)
    with call.errors():
        starts = numbered(call, Scaled(index, 0), (extent, batch), 0, extent)  # [place, batch]: it starts here
        for k in range(count):
            here = starts.refs[np.arange(extent) - k]
            if not circular:
                here[:k] = -1
            flags = Cells(here.reshape((extent, batch, *[1] * (len(old.shape) - 2))), 0, 1).broadcast_to(data.shape)
            fresh = rows[k].reshape((1, *rows.shape[1:])).broadcast_to(data.shape)
            data = select(call.builder, flags, fresh, data, f"{call.out.name}~{k}")
    return data.transpose(tuple(np.argsort(order).tolist()))


@expands("ReverseSequence", since=10)
def reverse_sequence(scene: Scene, node: Node) -> list[Node]:
    """The first entries along the time axis in reverse, as many as each batch's constant length."""
    steps, shape = Steps(scene, node), scene.shape(node.inputs[0])
    time, batch = int(node.attributes.get("time_axis", 0)), int(node.attributes.get("batch_axis", 1))
    places = np.indices(shape)
    lengths = _constant_indices(steps)[places[batch]]
    places[time] = np.where(places[time] < lengths, lengths - 1 - places[time], places[time])
    return steps.finish(steps.gather([node.inputs[0]], np.asarray(np.ravel_multi_index(tuple(places), shape))))


def _compressed(node: Node, operands: Sequence[Tensor | None]) -> Shape | None:
    condition = operands[1]
    if condition is None or condition.value is None:
        return None
    shape, kept = list(shape_of(operands, 0)), int(np.count_nonzero(condition.value))
    if "axis" not in node.attributes:
        return (kept,)
    shape[int(node.attributes["axis"])] = kept
    return tuple(shape)


@expands("Compress", since=9, shape=_compressed)
def compress(scene: Scene, node: Node) -> list[Node]:
    """Entries along an axis, or of all, where a constant condition holds."""
    steps, shape = Steps(scene, node), scene.shape(node.inputs[0])
    kept = np.flatnonzero(_constant_indices(steps).reshape(-1))
    numbers = np.arange(int(np.prod(shape, dtype=np.int64)))
    axis = node.attributes.get("axis")
    places = numbers[kept] if axis is None else numbers.reshape(shape).take(kept, int(axis))
    return steps.finish(steps.gather([node.inputs[0]], places))


@expands("CenterCropPad", since=18)
def center_crop_pad(scene: Scene, node: Node) -> list[Node]:
    """The middle of each axis, or the whole axis between zeros, of constant extents."""
    steps, shape = Steps(scene, node), scene.shape(node.inputs[0])
    wanted = _constant_indices(steps).reshape(-1)
    numbers = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    axes = node.attributes.get("axes", range(len(shape)))
    for axis, extent in zip((int(axis) % len(shape) for axis in axes), wanted.tolist(), strict=True):
        more = extent - shape[axis]
        if more < 0:
            numbers = numbers.take(np.arange(-more // 2, -more // 2 + extent), axis)
        around = [(0, 0)] * len(shape)
        around[axis] = (max(more, 0) // 2, max(more, 0) - max(more, 0) // 2)
        numbers = np.pad(numbers, around, constant_values=int(np.prod(shape)))
    return steps.finish(steps.gather([node.inputs[0], steps.constant(np.zeros(1), public=True)], numbers))


def _given_shape(node: Node, operands: Sequence[Tensor | None]) -> Shape | None:
    if len(operands) < 3:
        return None
    wanted = operands[2]
    return None if wanted is None or wanted.value is None else tuple(int(size) for size in wanted.value)


@expands("MaxUnpool", since=9, shape=_given_shape)
def max_unpool(scene: Scene, node: Node) -> list[Node]:
    """Each value at its flat place of the output, zeros elsewhere; computed places are those of their own channel."""
    steps, shape = Steps(scene, node), scene.shape(node.outputs[0])
    given = node.attributes
    if len(node.inputs) > 2:
        inner = scene.shape(node.inputs[0])
        kernel = given["kernel_shape"]
        strides, pads = given.get("strides", (1,) * len(kernel)), given.get("pads", (0,) * (2 * len(kernel)))
        least = [
            (extent - 1) * stride + taps - pads[a] - pads[a + len(kernel)]
            for a, (extent, stride, taps) in enumerate(zip(inner[2:], strides, kernel, strict=True))
        ]
        if tuple(least) != tuple(shape[2:]):
            raise steps.refuse("runtimes do not agree on what indices count in an output that is given a larger shape")
    if scene.value(node.inputs[1]) is None:
        return steps.finish(_scattered_by_plane(steps, shape))
    where = _constant_indices(steps).reshape(-1)
    places = np.full(int(np.prod(shape, dtype=np.int64)), where.size)
    places[where] = np.arange(where.size)
    return steps.finish(steps.gather([node.inputs[0], steps.constant(np.zeros(1))], places.reshape(shape)))


def _scattered_by_plane(steps: Steps, shape: Sequence[int]) -> str:
    """Values scattered over their channel, at computed places."""
    x, where = (steps.reshape(name, (shape[0] * shape[1], -1)) for name in steps.node.inputs[:2])
    planes, size = steps.shape(x)[0], int(np.prod(shape[2:]))
    own = steps.apply("Sub", where, steps.integers(size * np.arange(planes)[:, None]), dtype=np.int64)
    zeros = steps.constant(np.zeros((planes, size)), public=True)
    return steps.reshape(steps.apply("ScatterElements", zeros, own, x, shape=(planes, size), axis=1), shape)


@expands("Col2Im", since=18)
def col2im(scene: Scene, node: Node) -> list[Node]:
    """Columns of blocks laid over each other and summed: as many sums as blocks that meet at a pixel."""
    steps, x = Steps(scene, node), node.inputs[0]
    image, block = (_constant_indices(steps, place).reshape(-1) for place in (1, 2))
    rank, given = image.size, node.attributes
    strides = np.asarray(given.get("strides", (1,) * rank))
    dilations = np.asarray(given.get("dilations", (1,) * rank))
    pads = np.asarray(given.get("pads", (0,) * (2 * rank)))
    counts = (image + pads[:rank] + pads[rank:] - dilations * (block - 1) - 1) // strides + 1
    batch, depth, _ = scene.shape(x)
    channels = depth // int(np.prod(block))
    taps = np.indices(tuple(block.tolist())).reshape(rank, -1, 1) * dilations[:, None, None]
    starts = np.indices(tuple(counts.tolist())).reshape(rank, 1, -1) * strides[:, None, None]
    at = taps + starts - pads[:rank, None, None]
    inside = np.all((at >= 0) & (at < image[:, None, None]), axis=0).reshape(-1)
    pixel = np.ravel_multi_index(tuple(np.clip(at, 0, image[:, None, None] - 1)), tuple(image)).reshape(-1)
    planes, pixels = batch * channels, int(np.prod(image))
    flat, total = np.flatnonzero(inside), inside.size
    order = flat[np.argsort(pixel[flat], kind="stable")]
    runs = np.flatnonzero(np.diff(pixel[order], prepend=-1))
    rounds = np.arange(order.size) - np.repeat(runs, np.diff(np.append(runs, order.size)))
    parts, zero = [], steps.constant(np.zeros(1))
    for number in range(int(rounds.max(initial=0)) + 1):
        taken = order[rounds == number]
        places = np.full((planes, pixels), planes * total)
        places[:, pixel[taken]] = np.arange(planes)[:, None] * total + taken
        parts.append(steps.gather([x, zero], places.reshape(scene.shape(node.outputs[0]))))
    return steps.finish(parts[0] if len(parts) == 1 else steps.apply("Sum", *parts))
