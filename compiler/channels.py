"""Which axis of a tensor has its channels, how far apart they are, and the exponents that bring them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import FEW, Samples
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import Mark, marks

Exponents = NDArray[np.int64]
"""Of a tensor, one for each element."""
APART = 3
"""Channels whose ranges differ by less than 2^APART keep one scale."""
DEEPEST_OUTPUT, DEEPEST = 12, 40
"""Channels are brought closer by no more bits than these; an output's error is judged down to 1/1000 of its range."""

_FAR_APART = 256.0
"""Of few samples, how much the largest channel is above the middle one: a small value may be so by chance."""
_HEADROOM = 1
"""Bits that a smaller channel may grow beyond its calibrated range, besides the margin: fewer inputs overflow."""
_FOLLOWED = 32
"""Operators behind an input that are looked at for its axis."""


def wide_inputs(graph: Graph, given: Samples) -> dict[str, int]:
    """Inputs of real numbers whose channels have very different ranges, each with the axis of its channels."""
    found, readers = {}, graph.readers()
    for name in graph.inputs:
        axis = _axis_of(graph, name, readers)
        if graph.tensors[name].dtype.kind != "f" or axis is None:
            continue
        largest = np.abs(given[name]).max(axis=0)
        known = len(given[name]) >= FEW or _is_far_apart(largest, axis)
        if known and exponents_along(largest, axis, DEEPEST) is not None:
            found[name] = axis
    return found


def exponents_along(largest: Array, axis: int, deepest: int) -> Exponents | None:
    """Exponents along an axis, at most zero, of a tensor whose elements have these magnitudes.

    None where one scale does for all.
    """
    others = tuple(a for a in range(largest.ndim) if a != axis)
    by_channel = largest.max(axis=others, keepdims=True).astype(np.float64)
    exponents = np.frexp(by_channel)[1].astype(np.int64) - int(np.frexp(by_channel.max())[1]) + _HEADROOM
    exponents = np.where(by_channel > 0.0, np.clip(exponents, -deepest, 0), 0)
    if int(exponents.min(initial=0)) > _HEADROOM - APART:
        return None
    return np.broadcast_to(exponents, largest.shape)


def _is_far_apart(largest: Array, axis: int) -> bool:
    """Whether channels differ in size even where few samples are known."""
    by_channel = np.sort(np.moveaxis(largest, axis, 0).reshape(largest.shape[axis], -1).max(axis=1))
    known = by_channel[by_channel > 0.0]
    return known.size > 1 and bool(known[-1] >= _FAR_APART * known[(known.size - 1) // 2])


def _axis_of(graph: Graph, name: str, readers: Mapping[str, Sequence[Node]]) -> int | None:
    """The axis of an input's channels: that along which the first layer behind it adds them up."""
    rank = len(graph.tensors[name].shape)
    axes, current = list(range(rank)), name
    for _ in range(_FOLLOWED):
        if not readers[current]:
            break
        reader = readers[current][0]
        if reader.op in ("Conv", "ConvTranspose") or marks(reader) & Mark.SPATIAL:
            if current == reader.inputs[0] and rank > 1:
                return axes[1]
            break
        if reader.op in ("Gemm", "MatMul"):
            return axes[-1] if current == reader.inputs[0] or rank < 2 else axes[-2]
        if reader.op == "Transpose":
            axes = [axes[axis] for axis in reader.attributes.get("perm", range(rank)[::-1])]
        elif graph.tensors[reader.outputs[0]].shape != graph.tensors[current].shape:
            break
        current = reader.outputs[0]
    return None if not rank else 1 if rank > 3 else rank - 1
