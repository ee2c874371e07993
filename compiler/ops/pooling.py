"""Pools. Windows are cells gathered, which is free: a maximum of them, or a matrix of one column for their average.

The other pools expand (passes/expand.py): global ones are reductions, an LpPool is the root of a convolution of powers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.compiler.ops.comparison import counted
from plonnx.compiler.ops.ranking import ranked
from plonnx.compiler.ops.registry import HALVED, Call, Mark, Operand, aligned, expands, op
from plonnx.compiler.ops.windows import Axis, Integers, axes_of, pooled
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

MOST_ALONG = 3
"""Of a window's elements along an axis that differences pay for: each reads all those before."""
_CLOSE = 3
"""Operands that are so many bits coarser than the table holds are not T apart."""


def _half_where_signed(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Two signed values of full range lie up to 2T apart, and a Maximum's candidates must not lie T apart.

    At the scale that is asked for the largest values fill the table by half at least.
    """
    if len(node.outputs) > 1:  # ranked, with their indices
        return aligned(node, tensors, asked) if node.outputs[0] else counted(node, tensors, asked)
    interval = tensors[node.inputs[0]].interval
    assert interval is not None, "operands are quantized first"
    scale = aligned(node, tensors, asked)
    close = interval[0] < 0 and scale > asked - _CLOSE and HALVED not in node.attributes
    return scale - 1 if close else scale


def _windows_hold_something(scene: Scene, node: Node) -> None:
    """Refuses windows that lie in the padding before the float model is asked for their maximum."""
    kernel = tuple(node.attributes["kernel_shape"])
    axes = axes_of(node.attributes, scene.shape(node.inputs[0])[2:], scene.shape(node.outputs[0])[2:], kernel)
    if not all(np.all(_inside(axis).any(axis=0)) for axis in axes):
        raise CompileError(f"{node.label}: one of its windows lies in the padding altogether")


def _any_place(node: Node, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """The indices of a MaxPool reach any element, whatever calibration saw."""
    return {name: float(max(tensors[node.inputs[0]].size - 1, 1)) for name in node.outputs[1:] if name}


@op(
    "MaxPool",
    since=1,
    scale=_half_where_signed,
    expand=_windows_hold_something,
    known=_any_place,
    marks=Mark.SPATIAL | Mark.BETWEEN | Mark.EXTREME,
    shape=pooled,
)
def max_pool(call: Call, x: Operand) -> Cells | list[Cells]:
    """The maximum of each window: by differences where it reads a large layer, else of cells gathered.

    In the padding a window repeats one of its own elements, which changes nothing. Where its index is asked for, the
    elements are ranked.
    """
    operand = call.computed(x, "the operand")
    shown = next(tensor for tensor in call.outputs if tensor is not None)
    axes = axes_of(
        call.node.attributes, operand.shape[2:], shown.shape[2:], tuple(call.node.attributes["kernel_shape"])
    )
    if len(call.node.outputs) > 1:
        return _ranked_windows(call, operand, axes, shown.shape)
    cells = call.at_scale(operand, part=0)
    inside = cells.low >= 0 or all(np.all(_inside(axis)) for axis in axes)  # what is absent is a zero
    if inside and max(axis.kernel for axis in axes) <= MOST_ALONG:
        made = call.largest(Scaled(cells, call.scale), [axis.starts for axis in axes], [axis.stride for axis in axes])
        if made is not None:
            return made
    windows = _gathered(cells, [_nearest(axis) for axis in axes])
    return call.maximum([windows[element] for element in range(windows.shape[0])])


def _entry(entries: Integers, number: Array) -> Array:
    """entries[number], elementwise; no number where there is no such entry."""
    k = np.rint(number).astype(np.int64)
    return np.where((k >= 0) & (k < len(entries)), entries[np.clip(k, 0, len(entries) - 1)], np.nan)


def _ranked_windows(call: Call, x: Scaled, axes: Sequence[Axis], shape: Sequence[int]) -> list[Cells]:
    """The largest of each window and its place in the flat operand; of equal ones the first.

    Windows that reach equally far into the padding are ranked together, over the elements that they have.
    """
    extents, column_major = [axis.extent for axis in axes], bool(call.node.attributes.get("storage_order", 0))
    taps, outputs = [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    alone = [np.indices((*taps, *outputs))[[place, len(axes) + place]] for place in range(len(axes))]
    reads = np.stack([axis.reads[tuple(where)] for axis, where in zip(axes, alone, strict=True)])
    reads = reads.reshape(len(axes), int(np.prod(taps)), -1)
    inside = np.all((reads >= 0) & (reads < np.reshape(extents, (-1, 1, 1))), axis=0)
    clipped = np.clip(reads, 0, np.reshape(extents, (-1, 1, 1)) - 1)
    flat = np.ravel_multi_index(tuple(clipped), tuple(extents))
    numbers = np.ravel_multi_index(tuple(clipped), tuple(extents), order="F" if column_major else "C")
    planes, size, builder = int(np.prod(shape[:2])), int(np.prod(extents)), call.builder
    cells, starts = x.cells.reshape((planes, size)), size * np.arange(planes)[:, None]
    values, places, order = list[Cells](), list[Cells](), list[Integers]()
    patterns, which = np.unique(inside, axis=1, return_inverse=True)
    for part, pattern in enumerate(patterns.T):
        at, held = np.flatnonzero(which.reshape(-1) == part), np.flatnonzero(pattern)
        ranking = ranked(call, [cells.take(flat[k, at], 1).reshape(-1) for k in held])
        offsets = (numbers[held] - numbers[held[0]])[:, at[0]]
        away = call.apply(
            partial(_entry, offsets),
            Scaled(ranking.index(0), 0),
            scale=0,
            part=part,
            formula=f"the place of {offsets.tolist()}",
        )
        base = (starts + numbers[held[0], at]).reshape(-1)
        with call.errors():
            table = builder.table_size
            places.append(builder.sum([(away, table)], base * table, f"{call.node.outputs[1]}~{part}", hides=False))
        values.append(ranking.values[0])
        order.append((np.arange(planes)[:, None] * which.size + at).reshape(-1))
    back = np.argsort(np.concatenate(order))
    return [Cells.concatenate(found, 0).take(back, 0).reshape(tuple(shape)) for found in (values, places)]


@op("AveragePool", since=7, marks=Mark.SPATIAL | Mark.ROUNDS, shape=pooled)
def average_pool(call: Call, x: Operand) -> Cells:
    """The sum of each window by its divisor: one matrix for each divisor there is."""
    operand = call.computed(x, "the operand")
    axes = _axes(call, operand)
    divisors = np.broadcast_to(_divisors(axes, bool(call.node.attributes.get("count_include_pad", 0))), call.out.shape)
    if not np.ptp(divisors):
        taps, strides = [axis.starts for axis in axes], [axis.stride for axis in axes]
        made = call.averages(operand, taps, strides, int(divisors.flat[0]))
        if made is not None:
            return made
    fill = [(0, 0), (0, 0), *((0, 1) for _ in axes)]
    outside = [np.where(_inside(axis), axis.reads, axis.extent) for axis in axes]
    whole = all(np.all(_inside(axis)) for axis in axes)
    windows = _gathered(operand.cells if whole else operand.cells.pad(fill), outside)
    rows = windows.reshape((windows.shape[0], -1)).transpose((1, 0))
    return _averages(call, Scaled(rows, operand.scale), divisors.reshape(-1)).reshape(call.out.shape)


def _averages(call: Call, rows: Scaled, divisors: Integers) -> Cells:
    """Row r of [R, K] summed and divided by divisors[r], as [R, 1]."""
    distinct = np.unique(divisors).tolist()
    parts, places = [], []
    for part, divisor in enumerate(distinct):
        place = np.flatnonzero(divisors == divisor)
        column = np.full((rows.shape[1], 1), 1.0 / divisor)
        parts.append(
            call.linear(
                Scaled(rows.cells.take(place, 0), rows.scale),
                column,
                part=part if len(distinct) > 1 else None,
                public=True,
            )
        )
        places.append(place)
    return Cells.concatenate(parts, 0).take(np.argsort(np.concatenate(places)), 0)


def _divisors(axes: Sequence[Axis], padding_counts: bool) -> Integers:
    """How many elements of each window count, [*outputs]; what hangs over the padding (ceil_mode) never does."""
    divisors = np.ones((), np.int64)
    for axis in axes:
        low, high = (-axis.head, axis.extent + axis.tail) if padding_counts else (0, axis.extent)
        counts = np.maximum(((axis.reads >= low) & (axis.reads < high)).sum(axis=0), 1)
        divisors = np.multiply.outer(divisors, counts)
    return divisors


def _axes(call: Call, x: Scaled) -> tuple[Axis, ...]:
    kernel = tuple(call.node.attributes["kernel_shape"])
    return axes_of(call.node.attributes, x.shape[2:], call.out.shape[2:], kernel)


def _inside(axis: Axis) -> Array:
    return (axis.reads >= 0) & (axis.reads < axis.extent)


def _nearest(axis: Axis) -> Integers:
    """Where each tap reads, in the padding where the window's first tap inside does."""
    inside, columns = _inside(axis), np.arange(axis.outputs)
    return np.where(inside, axis.reads, axis.reads[np.argmax(inside, axis=0), columns])


def _gathered(x: Cells, reads: Sequence[Integers]) -> Cells:
    """Windows [elements, N, C, *outputs] of x [N, C, *grid]; `reads` holds [kernel, outputs] for each axis."""
    rank = len(reads)
    for axis, where in enumerate(reads):
        x = x.take(where, 2 + 2 * axis)
    taps, outputs = range(2, 2 + 2 * rank, 2), range(3, 3 + 2 * rank, 2)
    return x.transpose((*taps, 0, 1, *outputs)).reshape((-1, *x.shape[:2], *(w.shape[1] for w in reads)))


# Pools that expand -------------------------------------------------------------------------------------------------


def _over_space(scene: Scene, node: Node) -> tuple[Steps, str, range]:
    x = node.inputs[0]
    return Steps(scene, node), x, range(2, len(scene.shape(x)))


@expands("GlobalAveragePool", since=1)
def global_average_pool(scene: Scene, node: Node) -> list[Node]:
    """The mean over the spatial axes."""
    steps, x, axes = _over_space(scene, node)
    return steps.finish(steps.reduce("ReduceMean", x, axes))


@expands("GlobalMaxPool", since=1)
def global_max_pool(scene: Scene, node: Node) -> list[Node]:
    """The maximum over the spatial axes."""
    steps, x, axes = _over_space(scene, node)
    return steps.finish(steps.reduce("ReduceMax", x, axes))


@expands("GlobalLpPool", since=2)
def global_lp_pool(scene: Scene, node: Node) -> list[Node]:
    """(sum |x|^p)^(1/p) over the spatial axes."""
    steps, x, axes = _over_space(scene, node)
    p = int(node.attributes.get("p", 2))
    return steps.finish(_root(steps, steps.reduce("ReduceSum", _powers(steps, x, p), axes), p))


@expands("LpPool", since=2, shape=pooled)
def lp_pool(scene: Scene, node: Node) -> list[Node]:
    """(sum |x|^p)^(1/p) over each window: the sum is a depthwise convolution with ones."""
    steps, x, _ = _over_space(scene, node)
    shape, made = scene.shape(x), scene.shape(node.outputs[0])
    p, kernel = int(node.attributes.get("p", 2)), tuple(node.attributes["kernel_shape"])
    axes = axes_of(node.attributes, shape[2:], made[2:], kernel)
    ones = steps.constant(np.ones((shape[1], 1, *kernel)), public=True)
    total = steps.apply(
        "Conv",
        _powers(steps, x, p),
        ones,
        shape=made,
        group=shape[1],
        kernel_shape=kernel,
        strides=tuple(axis.stride for axis in axes),
        dilations=tuple(axis.dilation for axis in axes),
        pads=(*(axis.head for axis in axes), *(axis.needed_tail for axis in axes)),
    )
    return steps.finish(_root(steps, total, p))


def _powers(steps: Steps, x: str, p: int) -> str:
    """|x|^p."""
    if p == 2:
        return steps.apply("Mul", x, x)
    magnitudes = steps.apply("Abs", x)
    return magnitudes if p == 1 else steps.apply("Pow", magnitudes, steps.constant(p, public=True))


def _root(steps: Steps, total: str, p: int) -> str:
    """The p-th root of a sum; the sum itself for p = 1."""
    if p == 1:
        return total
    return steps.apply("Sqrt", total) if p == 2 else steps.apply("Pow", total, steps.constant(1.0 / p, public=True))
