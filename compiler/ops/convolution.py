"""Conv and ConvTranspose as convolutions (Builder.convolution); everything around them is re-indexing.

A large Conv reads its input where it stands, by strides. Others are of stride 1, over phases:

Along an axis, tap t stands at dilation * t - head = stride * m + b with a phase 0 <= b < stride:

    Conv             y[q] = sum_t W[t] x[stride q + dilation t - head] = sum_t W[t] x_b[q + m]
    ConvTranspose    y_b[p] = sum over the t of phase b of W[t] x[p - m]

where x_b[i] = x[stride i + b] and y_b[p] = y[stride p + b]: the phases of x are input channels (c, phase) of a Conv,
those of y output channels (o, phase) of a ConvTranspose. A weight is zero where its phase has no tap. A batch of
several samples is one more axis of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array
from plonnx.compiler.ops.registry import Call, Mark, Operand, op
from plonnx.compiler.ops.windows import Axis, Integers, axes_of, convolved, transposed, transposed_axes_of
from plonnx.gadgets import Cells


@dataclass(frozen=True)
class _Phases:
    """Taps of one axis by phase: tap t has the phase b[t] and stands at offsets[m[t]]; `used` taps only."""

    used: Integers
    b: Integers
    m: Integers
    offsets: Integers

    @classmethod
    def of(cls, axis: Axis, offsets: Integers, positions: int, grid: int) -> _Phases:
        """Split the taps; a tap that stands outside a grid of this size at every position is left out."""
        seen = (offsets > -positions) & (offsets < grid)
        used = np.flatnonzero(seen) if seen.any() else np.zeros(1, np.int64)
        places, m = np.unique(offsets[used], return_inverse=True)
        return cls(used, axis.starts[used] % axis.stride, m.reshape(-1), places)


@op("Conv", since=1, marks=Mark.LAYER, shape=convolved)
def conv(call: Call, x: Operand, kernel: Operand, bias: Operand = None) -> Cells:
    """Any rank, stride, dilation, padding and number of groups."""
    operand, weights = call.computed(x, "the operand"), call.constant(kernel, "the kernel")
    groups = int(call.node.attributes.get("group", 1))
    batch, channels, *extents = operand.shape
    outputs = call.out.shape[2:]
    axes = axes_of(call.node.attributes, tuple(extents), outputs, weights.shape[2:])
    if any(axis.stride > 1 for axis in axes) and call.reads_in_place(operand):
        return _in_place(call, operand, weights, bias, axes, groups)
    grid = [-(-axis.extent // axis.stride) for axis in axes]
    taps = [_Phases.of(axis, axis.starts // axis.stride, axis.outputs, g) for axis, g in zip(axes, grid, strict=True)]
    met = [np.unique(tap.b) for tap in taps]  # phases without a tap are no channels
    fill = [(0, size * axis.stride - axis.extent) for size, axis in zip(grid, axes, strict=True)]
    phases = _split(_padded(operand.cells, [(0, 0), (0, 0), *fill]), grid, [axis.stride for axis in axes])
    for axis, kept in enumerate(met):
        phases = phases.take(kept, 1 + axis)
    rank, count = len(axes), int(np.prod([kept.size for kept in met]))
    phase = [np.searchsorted(k, tap.b) for k, tap in zip(met, taps, strict=True)]

    def matrix(kernel: Array) -> Array:
        """[O, C / groups, *phases, *taps] -> [C * phases, taps, O / groups]."""
        spread = _spread(kernel, phase, taps)
        by_group = spread.reshape(groups, -1, *spread.shape[1:])
        return np.moveaxis(by_group, 1, -1).reshape(channels * count, -1, call.out.shape[1] // groups)

    y = _convolution(
        call,
        Scaled(phases.reshape((channels * count, batch, *grid)), operand.scale),
        matrix(weights),
        _hides(call, matrix, weights),
        [tap.offsets for tap in taps],
        _bias(call, bias),
        outputs,
        groups,
    )
    return y.transpose((1, 0, *range(2, 2 + rank)))


def _in_place(call: Call, x: Scaled, kernel: Array, bias: Operand, axes: Sequence[Axis], groups: int) -> Cells:
    """One sample, by strides; taps that meet nothing but padding are left out."""
    read = [np.flatnonzero((axis.starts > -axis.stride * axis.outputs) & (axis.starts < axis.extent)) for axis in axes]
    used = [taps if taps.size else np.zeros(1, np.int64) for taps in read]

    def matrix(kernel: Array) -> Array:
        """[O, C / groups, *taps] -> [C, taps, O / groups]."""
        for axis, taps in enumerate(used):
            kernel = _taken(kernel, taps, 2 + axis)
        return np.moveaxis(kernel.reshape(groups, -1, *kernel.shape[1:]), 1, -1).reshape(
            x.shape[1], -1, len(kernel) // groups
        )

    y = _convolution(
        call,
        _by_channel(x),
        matrix(kernel),
        _hides(call, matrix, kernel),
        [axis.starts[taps] for axis, taps in zip(axes, used, strict=True)],
        _bias(call, bias),
        call.out.shape[2:],
        groups,
        [axis.stride for axis in axes],
    )
    return y.transpose((1, 0, *range(2, len(call.out.shape))))


@op("ConvTranspose", since=1, marks=Mark.LAYER, shape=transposed)
def conv_transpose(call: Call, x: Operand, kernel: Operand, bias: Operand = None) -> Cells:
    """Any rank, stride, dilation, padding, output_padding, output_shape and number of groups."""
    operand, weights = call.computed(x, "the operand"), call.constant(kernel, "the kernel")
    groups = int(call.node.attributes.get("group", 1))
    batch, channels, *extents = operand.shape
    axes = transposed_axes_of(call.node.attributes, tuple(extents), call.out.shape[2:], weights.shape[2:])
    strides = [axis.stride for axis in axes]
    sizes = [-(-axis.extent // axis.stride) for axis in axes]
    taps = [
        _Phases.of(axis, -(axis.starts // axis.stride), size, axis.outputs)
        for axis, size in zip(axes, sizes, strict=True)
    ]
    rank, count = len(axes), int(np.prod(strides))

    def matrix(kernel: Array) -> Array:
        """[C, O / groups, *phases, *taps] -> [C, taps, O / groups * phases]."""
        spread = _spread(kernel, [tap.b for tap in taps], taps, strides)
        moved = np.moveaxis(spread, range(2 + rank, 2 + 2 * rank), range(1, 1 + rank))
        return moved.reshape(channels, -1, spread.shape[1] * count)

    constant = _bias(call, bias)
    y = _convolution(
        call,
        _by_channel(operand),
        matrix(weights),
        _hides(call, matrix, weights),
        [tap.offsets for tap in taps],
        None if constant is None else np.repeat(constant, count),
        sizes,
        groups,
    )
    return _joined(y.reshape((-1, *strides, batch, *sizes)), rank, [axis.extent for axis in axes])


def _by_channel(x: Scaled) -> Scaled:
    """[N, C, *grid] as [C, N, *grid]."""
    return Scaled(x.cells.transpose((1, 0, *range(2, len(x.shape)))), x.scale)


def _convolution(
    call: Call,
    x: Scaled,
    weights: Array,
    hides: Integers | None,
    offsets: Sequence[Integers],
    bias: Array | None,
    shape: Sequence[int],
    groups: int,
    strides: Sequence[int] = (),
) -> Cells:
    """x [channels, N, *grid] -> [outputs, N, *shape]; a batch of one is no axis of the grid."""
    channels, batch, *grid = x.shape
    box = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1).reshape(-1, len(grid))
    if batch == 1:
        x, positions = Scaled(x.cells.reshape((channels, *grid)), x.scale), tuple(shape)
    else:
        box, positions = np.pad(box, ((0, 0), (1, 0))), (batch, *shape)
    added = call.added
    if added is not None:
        cells = added.cells.transpose((1, 0, *range(2, len(added.shape)))).reshape((-1, *positions))
        added = Scaled(cells, added.scale)
    y = call.convolution(x, weights, box, bias, positions, groups, hides=hides, added=added, strides=strides)
    return y.reshape((-1, batch, *shape))


def _hides(call: Call, matrix: Callable[[Array], Array], kernel: Array) -> Integers | None:
    """Which of the matrix's weights are a hidden model's secrets: those that stand for an element of the kernel."""
    if not call.builder.hidden:
        return None
    if call.is_public(1):
        return np.zeros((1, 1, 1), np.int64)
    held = matrix(np.ones(kernel.shape)).astype(np.int64)
    shared = [axis for axis in range(3) if np.all(held == held.take([0], axis))]
    for axis in shared:
        held = held.take([0], axis)
    return None if np.all(held) else held


def _bias(call: Call, bias: Operand) -> Array | None:
    return None if bias is None else call.constant(bias, "the bias")


def _padded(x: Cells, widths: Sequence[tuple[int, int]]) -> Cells:
    return x.pad(widths) if any(after for _, after in widths) else x


def _split(x: Cells, grid: Sequence[int], strides: Sequence[int]) -> Cells:
    """[N, C, *grid x strides] -> [C, *strides, N, *grid]."""
    rank = len(grid)
    pairs = [size for pair in zip(grid, strides, strict=True) for size in pair]
    order = (1, *range(3, 3 + 2 * rank, 2), 0, *range(2, 2 + 2 * rank, 2))
    return x.reshape((*x.shape[:2], *pairs)).transpose(order)


def _joined(y: Cells, rank: int, extents: Sequence[int]) -> Cells:
    """[O, *strides, N, *sizes] -> [N, O, *extents], the phases interleaved and the overhang cropped."""
    pairs = [axis for a in range(rank) for axis in (2 + rank + a, 1 + a)]
    whole = y.transpose((1 + rank, 0, *pairs))
    sizes = [whole.shape[2 + 2 * a] * whole.shape[3 + 2 * a] for a in range(rank)]
    flat = whole.reshape((*whole.shape[:2], *sizes))
    return flat[(slice(None), slice(None), *(slice(extent) for extent in extents))]


def _taken(kernel: Array, taps: Integers, axis: int) -> Array:
    """A kernel with some taps of an axis: itself with all of them, which are in their order."""
    return kernel if taps.size == kernel.shape[axis] else kernel.take(taps, axis)


def _spread(
    weights: Array, phases: Sequence[Integers], taps: Sequence[_Phases], counts: Sequence[int] | None = None
) -> Array:
    """A kernel [A, B, *taps] as [A, B, *phases, *places], zero where a phase has no tap at a place."""
    sizes = [int(phase.max()) + 1 for phase in phases] if counts is None else counts
    for axis, tap in enumerate(taps):
        weights = _taken(weights, tap.used, 2 + axis)
    shape = (*weights.shape[:2], *sizes, *(tap.offsets.size for tap in taps))
    if max(sizes) == 1 and all(np.array_equal(tap.m, np.arange(tap.offsets.size)) for tap in taps):
        return weights.reshape(shape)  # a stride of one leaves the kernel as it is
    spread = np.zeros(shape, weights.dtype)
    along = np.meshgrid(*phases, indexing="ij")
    places = np.meshgrid(*(tap.m for tap in taps), indexing="ij")
    index: tuple[Any, ...] = (slice(None), slice(None), *along, *places)
    spread[index] = weights
    return spread
