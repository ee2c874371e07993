"""Where tensors lie in rows and lanes, as index arithmetic: grids into rows, linear positions, borders of convolutions.

A channel of a tensor is a grid of positions. Its last axis is cut into rows of L lanes. The position (.., h, w) has
the linear position sum_i pitch_i p_i, the same pitches for the whole circuit, so large that no two positions that a
convolution can reach share one. So position p - d lies lin(d) before p for every p: a shift is a factor.

A layer of stride s reads every position and makes every s-th: its outputs stand where they are in what it reads, s
apart (*spacing*), and what the product has between them is border. So strides copy nothing.

What is multiplied by one number a position, or squared and summed up over channels, stands *turned*: a run for each
position, the last one first, whose rows hold a group's channels, the last one first. There powers of chi tell lanes
and rows apart, and P takes psi from run to run: every value has the monomial that it would have in a run a channel.
Lanes that this leaves idle are the last of the first of several rows: a number of the position may stand there, in the
lane of chi^0, and sums go on from that row by as many powers of chi as it has values.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import lcm, prod

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Contribution

Integers = NDArray[np.int64]
Spacing = tuple[int, ...]
"""Of each axis of a grid: how many times further apart its positions lie than those of an input."""
BORDER_LANES = 4  # border terms stand side by side in at most so many columns


@dataclass(frozen=True, eq=False)
class Border:
    """The positions outside an output that its full product reaches, in rows of lanes: a term each.

    Where each stands: the number of its row, and its lane. reached: of every contribution the positions outside the
    output, [count, axes] of what it reads, and the number of the term of each. starts: the linear position of each
    row's first lane; the lanes hold linear positions `spacing` apart. Terms stand on the rows `stands` alone, where no
    position is the output's; others are steps on the way (layout/jumps.py).
    """

    reached: tuple[tuple[Integers, Integers], ...]
    rows: Integers
    lanes: Integers
    starts: Integers
    stands: Integers
    spacing: int
    output: int


def arrange(cells: Integers, lanes: int, used: int) -> Integers:
    """[channels, *grid] -> [channels, height, lanes]: the last axis in rows of the first `used` lanes; -1 elsewhere."""
    width = cells.shape[-1]
    padded = np.full((*cells.shape[:-1], width + -width % used), -1, np.int64)
    padded[..., :width] = cells
    rows = padded.reshape(len(cells), -1, used)
    return np.pad(rows, ((0, 0), (0, 0), (0, lanes - used)), constant_values=-1) if used < lanes else rows


def turn(cells: Integers, groups: int, lanes: int, width: int = 0) -> Integers:
    """[channels, positions] -> [groups * positions, height, lanes], turned; -1 where there is no value.

    width: of how many channels a group is that others read, too; those that are missing here are its last.
    """
    channels, positions = cells.shape
    by_group = cells.reshape(groups, channels // groups, positions).transpose(0, 2, 1)[:, ::-1, ::-1]
    rows = by_group.reshape(groups * positions, -1)
    rows = np.pad(rows, ((0, 0), (max(0, width - rows.shape[1]), 0)), constant_values=-1)
    idle = -rows.shape[1] % lanes
    at = lanes - idle if rows.shape[1] > lanes else 0
    return np.insert(rows, [at] * idle, -1, axis=1).reshape(len(rows), -1, lanes)


def height(grid: Sequence[int], lanes: int) -> int:
    """The rows of a channel that `arrange` makes."""
    return prod(grid[:-1]) * -(-grid[-1] // lanes)


def border_lanes(lanes: int) -> int:
    """The border terms of a row."""
    return min(lanes, BORDER_LANES)


def row_positions(grid: tuple[int, ...], lanes: int) -> Integers:
    """The position of each row's first lane, [height, axes]."""
    blocks = -(-grid[-1] // lanes)
    index = np.indices((*grid[:-1], blocks)).reshape(len(grid), -1).T.copy()
    index[:, -1] *= lanes
    return index


def spacings(blocks: Sequence[Gadget]) -> tuple[dict[Contribution, Spacing], dict[int, Spacing]]:
    """The spacing of what every contribution reads, and of every gadget's own units, by the first of them.

    A layer's outputs lie where the first of its operands says that stands in a layer's channels, unless those are
    closer than another's strides: then the output's positions would be no positions of what that one reads. What
    stands turned has a run for each position, side by side, wherever they lie elsewhere.
    """
    read: dict[Contribution, Spacing] = {}
    made: dict[int, Spacing] = {}
    firsts = [block.first for block in blocks]
    for block in blocks:
        own: Spacing | None = None
        for one in (one for one in block.contributions if not one.turned):
            present = one.x[one.x >= 0]
            source = blocks[bisect_right(firsts, int(present.min()) >> 1) - 1] if own is None and present.size else None
            if source is None or source.channels != one.x.shape or source.first not in made:
                continue
            units, wide = source.units.reshape(one.x.shape), made[source.first]
            where = tuple(apart * by for apart, by in zip(wide, one.steps.tolist(), strict=True))
            fits = not any(np.any(np.array(where) % other.steps) for other in block.contributions)
            if fits and np.array_equal(units[one.x >= 0], present >> 1):
                read[one], own = wide, where
        for one in block.contributions:
            if own is None:
                own = tuple(np.lcm.reduce([other.steps for other in block.contributions]).tolist())
            read.setdefault(one, tuple(max(1, wide // by) for wide, by in zip(own, one.steps.tolist(), strict=True)))
        if own is not None and prod(block.contributions[0].shape) == 1:  # a single position lies nowhere
            own = (1,) * len(own)
        if own is not None and block.channels is not None:
            made[block.first] = own
    return read, made


def extents(spaced: Mapping[Contribution, Spacing]) -> list[int]:
    """Of each axis, the linear positions that it needs for every contribution of several axes, any number.

    Between the lines of an output there is room for a row of border terms.
    """
    found, apart = list[int](), 1
    for one, spacing in spaced.items():
        grid, shape, offsets, steps = np.array(one.x.shape[1:]), np.array(one.shape), one.factor.offsets, one.steps
        if len(grid) == 1:
            continue
        low = np.minimum(0, -offsets.max(axis=0))
        high = np.maximum((shape - 1) * steps, grid - 1 - offsets.min(axis=0))
        wanted = ((high - low) * np.array(spacing) + 1).tolist()
        step = int(steps[-1]) * spacing[-1]
        wanted[-1] = max(wanted[-1], (int(shape[-1]) - 1) * step + 1 + BORDER_LANES * step)
        apart = lcm(apart, step)
        found = longest(found, wanted)
    if found:
        found[-1] += -found[-1] % apart  # so that what stands between outputs does so on every line
    return found


def longest(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Of each axis the larger extent; the last axes are one another's."""
    return [max(pair) for pair in zip_longest(reversed(one), reversed(other), fillvalue=1)][::-1]


def pitches(spaced: Mapping[Contribution, Spacing]) -> Integers:
    """The pitch of each axis, the last 1, long enough for every contribution of several axes; [axes]."""
    return np.cumprod([1, *extents(spaced)[:0:-1]])[::-1].astype(np.int64)


def linear(positions: Integers, pitch: Integers) -> Integers:
    """The linear positions of [.., axes]; axes are aligned at the last."""
    axes = positions.shape[-1]
    if axes > len(pitch):  # one axis where the circuit has no pitches: consecutive
        pitch = np.ones(axes, np.int64)
    return positions @ pitch[len(pitch) - axes :]


def border(
    read: Sequence[Contribution], pitch: Integers, spaced: Mapping[Contribution, Spacing], lanes: int, output: int
) -> Border:
    """The border of contributions to the place number `output`, in rows of `lanes` terms, by ascending position.

    spaced: the spacing of what each reads. A row's lanes are as far apart as the outputs', so that they pass between
    them.
    """
    outside = [_outside(one, pitch, spaced[one]) for one in read]
    at, number = np.unique(np.concatenate([found for _, found in outside]), return_inverse=True)
    ends = np.cumsum([len(found) for _, found in outside])[:-1]
    numbers = np.split(number.reshape(-1), ends)
    reached = tuple((positions, held) for (positions, _), held in zip(outside, numbers, strict=True))
    one, apart = read[0], np.array(spaced[read[0]])
    step = int(one.steps[-1] * apart[-1])
    if not len(at):
        nothing = np.zeros(0, np.int64)
        return Border(reached, nothing, nothing, nothing, nothing, step, output)
    outputs = np.sort(linear(np.indices(one.shape).reshape(len(one.shape), -1).T * one.steps * apart, pitch))
    following = np.r_[outputs, np.iinfo(np.int64).max][np.searchsorted(outputs, at)]
    starts: list[int] = []
    rows, within = np.zeros((2, len(at)), np.int64)
    for residue in np.unique((at - outputs[0]) % step).tolist():
        chosen = np.flatnonzero((at - outputs[0]) % step == residue)
        begun: list[int] = []
        for position, nearest in zip(at[chosen].tolist(), following[chosen].tolist(), strict=True):
            if not begun or position >= begun[-1] + lanes * step:
                # a row that would reach an output ends before it; one that stands between them does not
                begun.append(position if residue else min(position, nearest - lanes * step))
        rows[chosen] = len(starts) + np.searchsorted(begun, at[chosen], "right") - 1
        within[chosen] = (at[chosen] - np.array(begun)[rows[chosen] - len(starts)]) // step
        starts += begun
    order = np.argsort(starts, kind="stable")
    rows = np.argsort(order, kind="stable")[rows]
    ordered = np.array(starts, np.int64)[order]
    return Border(reached, rows, within, ordered, np.arange(len(ordered)), step, output)


def _outside(one: Contribution, pitch: Integers, spacing: Spacing) -> tuple[Integers, Integers]:
    """The positions of what is read that the full product reaches outside the output, and their linear positions."""
    axes, apart, steps = len(one.shape), np.array(spacing), one.steps
    if one.elementwise:
        return np.zeros((0, axes), np.int64), np.zeros(0, np.int64)
    grid = np.indices(one.x.shape[1:]).reshape(axes, -1).T
    offsets = np.unique(one.factor.offsets, axis=0)
    reached = (grid[:, None, :] - offsets[None, :, :]).reshape(-1, axes)
    made = (reached >= 0) & (reached < np.array(one.shape) * steps) & (reached % steps == 0)
    outside = reached[~np.all(made, axis=1)]
    at, first = np.unique(linear(outside * apart, pitch), return_index=True)
    return outside[first], at
