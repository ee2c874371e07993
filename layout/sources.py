"""Whose units contributions read: all of one gadget, or some channels of a layer just as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import prod

import numpy as np

from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Contribution
from plonnx.layout.positions import Positions


class Sources:
    """Of a builder's gadgets; it depends on the model alone."""

    def __init__(self, blocks: Sequence[Gadget]) -> None:
        self.blocks, self.positions = blocks, Positions(blocks)

    @cached_property
    def whole(self) -> list[tuple[Contribution, Gadget]]:
        """The contributions that read all units of one gadget, each once, where these may stand as it wants.

        A sum's equations and operands have lanes side by side (gadgets/linear/check.py): it stands no further apart.
        """
        found = []
        starts = {block.first: block for block in self.blocks}
        for one in (one for one in self.positions.contributions if not one.marks and not one.turned):
            present = one.x[one.x >= 0] >> 1
            source = starts.get(int(present.min())) if present.size else None
            if source is None or source.channels is not None or present.size != source.count:
                continue
            if source.equations and self.positions.spacings[one][-1] > 1:
                continue
            if np.array_equal(np.sort(present), source.units):
                found.append((one, source))
        return found

    def cuts(self, first: int, runs: int) -> list[int]:
        """Where the channels of a layer, known by its first unit, are cut into parts: all ends, 0 and `runs` too."""
        inside = {cut for part in self._parts.get(first, []) for cut in part}
        return sorted({0, runs} | inside)

    @cached_property
    def _parts(self) -> dict[int, list[tuple[int, int]]]:
        """By the first unit of a layer: the channels, from and to, that contributions read just as they stand.

        None of a layer that is read as a whole, too, or in parts that overlap.
        """
        starts = {block.first: block for block in self.blocks if block.channels is not None}
        firsts = np.array(sorted(starts), np.int64)
        found: dict[int, list[tuple[int, int]]] = {}
        for one in (one for one in self.positions.contributions if not one.marks and not one.turned):
            lowest = int(one.x.min()) >> 1
            at = int(np.searchsorted(firsts, lowest, "right")) - 1
            if lowest < 0 or at < 0:
                continue
            block = starts[int(firsts[at])]
            channels, *grid = block.channels or ()
            start, ahead = divmod(lowest - block.first, prod(grid))
            cells = block.units.reshape(channels, *grid)[start : start + len(one.x)]
            if not ahead and cells.shape == one.x.shape and np.array_equal(cells, one.x >> 1):
                found.setdefault(block.first, []).append((start, start + len(one.x)))
        return {
            first: parts
            for first, parts in found.items()
            if all(one[1] <= other[0] for one, other in pairwise(sorted(parts)))
        }
