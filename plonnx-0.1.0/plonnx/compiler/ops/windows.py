"""Sliding windows: what the attributes of a convolution or a pool say about each spatial axis.

Output position q meets tap t at the position stride * q + dilation * t - head of its operand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.graph import CompileError, Node, Shape, Tensor
from plonnx.compiler.ops.registry import shape_of

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """The windows along one spatial axis of `extent` entries; `tail` is the padding behind it."""

    extent: int
    outputs: int
    kernel: int
    stride: int
    dilation: int
    head: int
    tail: int

    @property
    def starts(self) -> Integers:
        """Where tap t of output 0 reads: dilation * t - head."""
        return self.dilation * np.arange(self.kernel) - self.head

    @property
    def reads(self) -> Integers:
        """Where each tap of each output reads: [kernel, outputs], outside [0, extent) in the padding."""
        return self.starts[:, None] + self.stride * np.arange(self.outputs)

    @property
    def needed_tail(self) -> int:
        """The padding behind that the last window asks for (with ceil_mode it can be more than `tail`)."""
        last = self.stride * (self.outputs - 1) + self.dilation * (self.kernel - 1) - self.head
        return max(last + 1 - self.extent, 0)


def axes_of(attributes: Mapping[str, Any], extents: Shape, outputs: Shape, kernel: Sequence[int]) -> tuple[Axis, ...]:
    """The windows of a Conv or a pool, one Axis for each spatial axis; `outputs` comes from shape inference."""
    rank = len(extents)
    strides, dilations = attributes.get("strides", (1,) * rank), attributes.get("dilations", (1,) * rank)
    pads = attributes.get("pads", (0,) * (2 * rank))
    mode = attributes.get("auto_pad", "NOTSET")
    axes = []
    for axis, (extent, count) in enumerate(zip(extents, outputs, strict=True)):
        reach = (count - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
        head, tail = _padding(mode, max(reach - extent, 0), (pads[axis], pads[axis + rank]))
        axes.append(Axis(extent, count, kernel[axis], strides[axis], dilations[axis], head, tail))
    return tuple(axes)


def transposed_axes_of(
    attributes: Mapping[str, Any], extents: Shape, outputs: Shape, kernel: Sequence[int]
) -> tuple[Axis, ...]:
    """The windows of the Conv whose gradient a ConvTranspose is: `extents` are its operand's, `outputs` its result's.

    Input position p and tap t meet at the position stride * p + dilation * t - head of the result.
    """
    rank = len(extents)
    strides, dilations = attributes.get("strides", (1,) * rank), attributes.get("dilations", (1,) * rank)
    pads, more = attributes.get("pads", (0,) * (2 * rank)), attributes.get("output_padding", (0,) * rank)
    mode = attributes.get("auto_pad", "NOTSET")
    if "output_shape" in attributes and mode != "SAME_UPPER":
        mode = "SAME_LOWER"  # so the standard splits what an output_shape cuts off
    axes = []
    for axis, (extent, count) in enumerate(zip(extents, outputs, strict=True)):
        whole = (extent - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1 + more[axis]
        head, tail = _padding(mode, max(whole - count, 0), (pads[axis], pads[axis + rank]))
        axes.append(Axis(count, extent, kernel[axis], strides[axis], dilations[axis], head, tail))
    return tuple(axes)


def pooled(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """The shape of a pool: with ceil_mode, its last window starts inside the operand, or it is none."""
    shape, given = shape_of(operands, 0), node.attributes
    kernel = tuple(given["kernel_shape"])
    sizes = _windows(node, shape[2:], kernel)
    if given.get("auto_pad", "NOTSET").startswith("SAME"):
        strides = given.get("strides", (1,) * len(sizes))
        reach = [(size - 1) * stride + taps for size, stride, taps in zip(sizes, strides, kernel, strict=True)]
        if any(d > 1 for d in given.get("dilations", ())) or any(r < e for r, e in zip(reach, shape[2:], strict=True)):
            raise CompileError(f"{node.label}: runtimes do not agree on what auto_pad pads here; give pads")
    return *shape[:2], *sizes


def convolved(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """The shape of a Conv."""
    shape, kernel = shape_of(operands, 0), shape_of(operands, 1)
    return shape[0], kernel[0], *_windows(node, shape[2:], kernel[2:])


def transposed(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """The shape of a ConvTranspose, whose size auto_pad sets, output_padding or not."""
    given, shape, kernel = node.attributes, shape_of(operands, 0), shape_of(operands, 1)
    rank = len(shape) - 2
    front = shape[0], kernel[1] * int(given.get("group", 1))
    if "output_shape" in given:
        return *front, *given["output_shape"][-rank:]
    ones, zeros = (1,) * rank, (0,) * rank
    strides, dilations = given.get("strides", ones), given.get("dilations", ones)
    more, pads = given.get("output_padding", zeros), given.get("pads", zeros * 2)
    mode, sizes = given.get("auto_pad", "NOTSET"), []
    for axis, extent in enumerate(shape[2:]):
        whole = strides[axis] * (extent - 1) + more[axis] + dilations[axis] * (kernel[2 + axis] - 1) + 1
        if mode.startswith("SAME"):
            whole = min(whole, extent * strides[axis])
        elif mode == "NOTSET":
            whole -= pads[axis] + pads[axis + rank]
        sizes.append(whole)
    return *front, *sizes


def _windows(node: Node, extents: Shape, kernel: Shape) -> Shape:
    """Output sizes along the spatial axes."""
    given, rank = node.attributes, len(extents)
    strides, dilations = given.get("strides", (1,) * rank), given.get("dilations", (1,) * rank)
    mode, sizes = given.get("auto_pad", "NOTSET"), []
    pads = given.get("pads", (0,) * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
    for axis, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
        if mode.startswith("SAME"):
            sizes.append(-(-extent // stride))
            continue
        room = extent + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        if room < 0:
            raise CompileError(f"{node.label}: its kernel is larger than its padded operand")
        size = -(-room // stride) + 1 if given.get("ceil_mode", 0) else room // stride + 1
        overhangs = (size - 1) * stride >= extent + pads[axis]
        sizes.append(size - 1 if given.get("ceil_mode", 0) and overhangs else size)
    return tuple(sizes)


def _padding(mode: str, total: int, given: tuple[int, int]) -> tuple[int, int]:
    if mode == "SAME_UPPER":
        return total // 2, total - total // 2
    if mode == "SAME_LOWER":
        return total - total // 2, total // 2
    return (0, 0) if mode == "VALID" else given
