"""The powers of chi and psi that P has on every row of a layout, and those that readers still lack there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx.layout.place import Placed, Reader
from plonnx.layout.planner import Layout

Integers = NDArray[np.int64]
T = TypeVar("T")
Marks = NDArray[np.int8]  # 0 and 1
Lanes = list[Marks]  # a column for each lane; lanes of equal content share one
Spaced = dict[int, T]  # by how far apart the positions of a row's lanes are


class Powers:
    """P takes a power where a column is marked. `counted` is what layout/fixed.py says."""

    def __init__(self, layout: Layout, counted: bool = False) -> None:
        self.layout, self.rows, self.lanes, self.counted = layout, layout.rows, layout.shape.lanes, counted
        held = [(place, place.reader) for place in layout.places if place.reader is not None]
        self.looked_up = [(place, reader) for place, reader in held if reader.contribution.marks]
        self.asked = [(place, place.asks) for place in layout.places if place.asks is not None]
        self.readers = [(place, reader) for place, reader in held if not reader.contribution.marks]

    def _rows(self, *rows: Integers) -> Marks:
        marks = np.zeros(self.rows, np.int8)
        for chosen in rows:
            marks[chosen.reshape(-1)] = 1
        return marks

    @cached_property
    def steps(self) -> Marks:
        """1 on the rows after which P takes the next power of chi."""
        return self._rows(*(place.chi_steps for place in self.layout.places))

    @cached_property
    def turns(self) -> Marks:
        """1 on the rows after which P is multiplied by psi: between the runs of places that stand turned."""
        turned = [place.last_rows[:-1] for place in self.layout.places if place.turned]
        groups = ((place, place.turn.groups) for place in self.layout.places if place.turn and place.lower)
        return self._rows(*turned, *(place.last_rows[by - 1 : -1 : by] for place, by in groups))

    @cached_property
    def windows(self) -> Marks:
        """1 on the rows after which P is multiplied by psi^Omega: around each border, and after its convolution.

        Also after equations that stand turned, whose powers of chi the next ones use again.
        """
        rows = []
        for before, place in zip([None, *self.layout.places], self.layout.places, strict=False):
            end = int(place.last_rows[-1])
            if place.border is not None:
                rows += [place.row, end]
            if (before is not None and before.border is not None) or (place.turned and place.equations) or place.lower:
                rows.append(end)
        return self._rows(np.array(rows, np.int64))

    @cached_property
    def power(self) -> tuple[Integers, Integers, Integers]:
        """The exponents of chi, of psi^Omega and of psi in P on every row: all of psi may take more than 64 bits."""
        chi, windows, turns = (np.r_[0, np.cumsum(column)[:-1]] for column in (self.steps, self.windows, self.turns))
        return chi, windows, turns

    def _landing(self, place: Placed, reader: Reader) -> tuple[int, int]:
        """The powers of chi and psi that bring what a reader reads to the first of its equations."""
        output = self.layout.places[reader.output]
        psi = self.layout.psi_power(output) + self.layout.positions.shift(place, reader.contribution, output)
        chi = 0 if output.turn is None else output.turn.chi[0] + int(np.count_nonzero(output.units[0] < 0))
        return output.exponent + chi, psi


def by_lane(marks: NDArray[np.bool_]) -> Lanes:
    """Marks [rows, lanes] as a column of 0 and 1 for each lane."""
    return list(np.ascontiguousarray(marks.T, np.int8))


def by_spacing(places: Iterable[Placed], stated: bool = False) -> list[tuple[int, list[Placed]]]:
    """Places, those of each spacing of lanes together, or of the lanes' equations."""
    found: dict[int, list[Placed]] = {}
    for place in places:
        found.setdefault(place.equation_spacing if stated else place.lane_spacing, []).append(place)
    return sorted(found.items())
