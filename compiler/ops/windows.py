"""Sliding windows: what the attributes of a convolution or a pool say about each spatial axis.

Output position q meets tap t at the position stride * q + dilation * t - head of its operand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.graph import Shape

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


def _padding(mode: str, total: int, given: tuple[int, int]) -> tuple[int, int]:
    if mode == "SAME_UPPER":
        return total // 2, total - total // 2
    if mode == "SAME_LOWER":
        return total - total // 2, total // 2
    return (0, 0) if mode == "VALID" else given
