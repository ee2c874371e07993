"""Where a builder's tensors lie on the line of linear positions, and the powers of psi that follow.

layout/geometry.py has the arithmetic. It depends on the model alone: the places of all its layouts ask one Positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Contribution
from plonnx.layout import geometry
from plonnx.layout.geometry import Spacing
from plonnx.layout.place import Place, Placed, least

Integers = NDArray[np.int64]


class Positions:
    """What contributions read lies `spacings` apart, what gadgets make (by their first unit) `made`; the pitches."""

    def __init__(self, blocks: Sequence[Gadget]) -> None:
        self.contributions = [one for block in blocks for one in block.contributions]
        self.spacings, self.made = geometry.spacings(blocks)
        self.pitch = geometry.pitches(self.spacings)
        self._taps: dict[Contribution, Integers] = {}
        self._lines: dict[tuple[tuple[int, ...], Spacing, int], Integers] = {}  # bases, by grid, spacing and lanes

    def readers(self, first: int, count: int) -> list[Contribution]:
        """The contributions that may read some of so many units, the first of which is known."""
        lowest, highest = self._ends
        found = np.flatnonzero((lowest < first + count) & (highest >= first))
        return [self.contributions[at] for at in found.tolist()]

    def others_read(self, block: Gadget, rest: Integers, own: Sequence[Contribution]) -> bool:
        """Whether others read in place what is not of the rest of a block's channels, or only a part of that."""
        left = np.zeros(block.count, bool).reshape(block.channels or (1, -1))
        left[rest] = True
        for one in self.readers(block.first, block.count):
            units = (one.x >> 1) - block.first  # below zero where nothing is read
            read = np.zeros(block.count, bool)
            read[units[(units >= 0) & (units < block.count)]] = True
            if one not in own and np.any(read) and not np.array_equal(read, left.reshape(-1)):
                return True
        return False

    @cached_property
    def _ends(self) -> tuple[Integers, Integers]:
        """The lowest and the highest unit that each contribution reads; -1 of what reads none."""
        ends = [(least(one.x) >> 1, one.x.max(initial=-1) >> 1) for one in self.contributions]
        lowest, highest = np.array(ends, np.int64).reshape(-1, 2).T
        return lowest, highest

    def bases(self, place: Place) -> Integers:
        """The linear position of each value row's first lane, [height]."""
        return self._bases(place.grid, place.spacing, place.grid_lanes)

    def wanted(self, one: Contribution, lanes: int) -> Integers:
        """The same of what a contribution reads, in rows of so many lanes."""
        return self._bases(one.x.shape[1:], self.spacings[one], lanes)

    def _bases(self, grid: tuple[int, ...], spacing: Spacing, lanes: int) -> Integers:
        key = grid, spacing, lanes
        if key not in self._lines:
            positions = geometry.row_positions(grid, lanes)
            self._lines[key] = geometry.linear(positions * np.array(spacing or 1), self.pitch)
        return self._lines[key]

    def reach(self, place: Place) -> int:
        """R: a run's sum gives the value at linear position p the power psi^(R - p); turned, P does."""
        if place.turned:
            return place.positions - 1
        return int(self.bases(place)[-1]) + (place.lanes - 1) * place.lane_spacing

    def stated(self, place: Place) -> int:
        """The same of a place's equations: other than what is read where runs take turns."""
        return self.reach(place) if place.turn is None else place.positions - 1 + place.turn.psi

    def taps(self, one: Contribution) -> Integers:
        """The linear positions of the taps of a contribution."""
        if one not in self._taps:
            spacing = self.spacings.get(one, (1,))  # of keys below queries: as they are
            self._taps[one] = geometry.linear(one.factor.offsets * np.array(spacing), self.pitch)
        return self._taps[one]

    def shift(self, source: Place, one: Contribution, output: Place) -> int:
        """The power of psi that brings an input's sum, times its weights' sum, to the output's positions.

        It may be negative where rows end early: then the output needs a window ahead of the input's, with or without
        border terms.
        """
        return self.stated(output) - self.reach(source) + int(self.taps(one).min())

    def omega(self, lanes: int) -> int:
        """A power of psi beyond every position: windows of this size keep convolutions with borders apart."""
        return max([lanes, *(2 * far + 2 * lanes * apart for far, apart in self._spans)]) + 1

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """Of every contribution, how far its positions reach, and how far apart its outputs' lanes are."""
        found = []
        for one, spacing in self.spacings.items():
            grid, offsets = np.array(one.x.shape[1:]), one.factor.offsets
            high = np.maximum((np.array(one.shape) - 1) * one.steps, grid - 1) + np.abs(offsets).max(axis=0)
            far = int(geometry.linear(high * np.array(spacing), self.pitch))
            found.append((far, int(one.steps[-1]) * spacing[-1]))
        return found

    def run_steps(self, place: Placed) -> Integers:
        """The powers by which sums go on from row to row of a run, behind its first value, if any.

        Of psi; of chi where it stands turned.
        """
        steps = np.zeros(place.height * place.stride + place.tail - place.value_row - 1, np.int64)
        if place.reader is None and not place.gathered and place.asks is None:
            return steps[:0]
        onward = np.diff(self.bases(place))
        if place.turned:
            onward[:1] -= place.idle
        steps[place.stride - 1 : place.stride * (place.height - 1) : place.stride] = onward
        return steps

    def border(self, place: Place, output: Place) -> Integers:
        """The linear position of the last lane on a border place's rows after the first, which is empty.

        That of the last row, where nothing is, lies Omega beyond the output's R.
        """
        assert place.border is not None
        across = (geometry.border_lanes(place.lanes) - 1) * place.lane_spacing
        return np.append(place.border.starts + across, self.reach(output) + self.omega(place.lanes))
