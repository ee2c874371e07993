"""Where tensors lie in rows and lanes, as index arithmetic: grids into rows, linear positions, borders of convolutions.

A channel of a tensor is a grid of positions. Its last axis is cut into rows of L lanes. The position (.., h, w) has
the linear position sum_i pitch_i p_i, the same pitches for the whole circuit, so large that no two positions that a
convolution can reach share one. So position p - d lies lin(d) before p for every p: a shift is a factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.linear.contribution import Contribution

Integers = NDArray[np.int64]
BORDER_LANES = 4  # border terms stand side by side in at most so many columns


@dataclass(frozen=True, eq=False)
class Border:
    """The positions outside an output that its full product reaches, in rows of lanes.

    positions [count, axes]; where each stands: the number of its row, and its lane. starts: the linear position of each
    row's first lane; the lanes hold consecutive linear positions, none of which is the output's.
    """

    positions: Integers
    rows: Integers
    lanes: Integers
    starts: Integers
    output: int


def arrange(cells: Integers, lanes: int, fill: int = -1) -> Integers:
    """[channels, *grid] -> [channels, height, lanes]: the last axis in rows of lanes, `fill` where a row ends early."""
    width = cells.shape[-1]
    padded = np.full((*cells.shape[:-1], width + -width % lanes), fill, np.int64)
    padded[..., :width] = cells
    return padded.reshape(len(cells), -1, lanes)


def height(grid: Sequence[int], lanes: int) -> int:
    """The rows of a channel that `arrange` makes."""
    return prod(grid[:-1]) * -(-grid[-1] // lanes)


def row_positions(grid: tuple[int, ...], lanes: int) -> Integers:
    """The position of each row's first lane, [height, axes]."""
    blocks = -(-grid[-1] // lanes)
    index = np.indices((*grid[:-1], blocks)).reshape(len(grid), -1).T.copy()
    index[:, -1] *= lanes
    return index


def pitches(contributions: Iterable[Contribution]) -> Integers:
    """The pitch of each axis, the last 1, long enough for every contribution of several axes; [axes].

    Between the lines of an output there is room for a row of border terms.
    """
    extents: list[int] = []
    for one in contributions:
        grid, shape, offsets = np.array(one.x.shape[1:]), np.array(one.shape), one.factor.offsets
        if len(grid) == 1:
            continue
        low = np.minimum(0, -offsets.max(axis=0))
        high = np.maximum(shape - 1, grid - 1 - offsets.min(axis=0))
        wanted = (high - low + 1).tolist()
        wanted[-1] = max(wanted[-1], int(shape[-1]) + BORDER_LANES)
        extents = [1] * (len(wanted) - len(extents)) + extents
        for axis, extent in enumerate(reversed(wanted), start=1):
            extents[-axis] = max(extents[-axis], extent)
    return np.cumprod([1, *extents[:0:-1]])[::-1].astype(np.int64)


def linear(positions: Integers, pitch: Integers) -> Integers:
    """The linear positions of [.., axes]; axes are aligned at the last."""
    axes = positions.shape[-1]
    if axes > len(pitch):  # one axis where the circuit has no pitches: consecutive
        pitch = np.ones(axes, np.int64)
    return positions @ pitch[len(pitch) - axes :]


def border(one: Contribution, pitch: Integers, lanes: int, output: int) -> Border:
    """The border of a contribution to the place number `output`, in rows of `lanes` terms, by ascending position."""
    axes = len(one.shape)
    grid = np.indices(one.x.shape[1:]).reshape(axes, -1).T
    offsets = np.unique(one.factor.offsets, axis=0)
    reached = (grid[:, None, :] - offsets[None, :, :]).reshape(-1, axes)
    outside = reached[np.any((reached < 0) | (reached >= np.array(one.shape)), axis=1)]
    at, first = np.unique(linear(outside, pitch), return_index=True)
    outputs = np.sort(linear(np.indices(one.shape).reshape(axes, -1).T, pitch))
    following = np.r_[outputs, np.iinfo(np.int64).max][np.searchsorted(outputs, at)]
    starts: list[int] = []
    for position, nearest in zip(at.tolist(), following.tolist(), strict=True):
        if not starts or position >= starts[-1] + lanes:
            starts.append(min(position, nearest - lanes))  # a row that would reach an output ends before it
    begun = np.array(starts, np.int64)
    rows = np.searchsorted(begun, at, "right") - 1
    return Border(outside[first], rows, at - begun[rows] if len(at) else at, begun, output)
