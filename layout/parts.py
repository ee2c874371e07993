"""What a builder's gadgets and contributions are in rows of so many lanes, made once for all numbers of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import MOST_TAPS, Contribution, Factor, Lines, Weights
from plonnx.layout import geometry, pairs, public_places, turned
from plonnx.layout.geometry import Border
from plonnx.layout.place import Operand, Place, first_present
from plonnx.layout.sources import Sources

Integers = NDArray[np.int64]
ROWS_BY_LINES = 1 << 10  # that are saved by taps side by side: worth their columns


class Read(NamedTuple):
    """What a contribution reads, [channels, height, lanes]: the units, -1 where there is none, and of which cells the
    positive part.
    """

    units: Integers
    present: NDArray[np.bool_]
    positive: NDArray[np.bool_]


class Parts:
    """Places of gadgets, what contributions read, and borders. `by_lines`: whose weights stand line by line."""

    def __init__(self, builder: Builder, sources: Sources, lanes: int, copying: int = 0, apart: bool = False) -> None:
        self.builder, self.sources, self.positions, self.lanes = builder, sources, sources.positions, lanes
        self._copying = copying
        self._places: dict[tuple[int, Contribution | None], Place] = {}  # by first unit, and by which reader it serves
        self._read: dict[Contribution, Read] = {}
        self._turned: dict[tuple[Contribution, int, int], Read | None] = {}
        self._borders: dict[int, Border] = {}  # by first unit
        self._used = self._used_lanes()
        self.by_lines = self._by_lines()
        self._stand_turned = turned.choose(builder, self.positions, lanes)
        self.pairs = pairs.choose(builder, self.positions, [*self._stand_turned], lanes, apart)
        self._ordered = self._in_order_of_pairs()

    def used(self, one: Contribution) -> int:
        """The lanes of a row that the positions of what a contribution reads take."""
        return self._used.get(one, self.lanes)

    def factor(self, one: Contribution) -> Factor:
        """The second factor of a contribution, as it stands."""
        return self._ordered[one] if one in self._ordered else self.by_lines.get(one, one.factor)

    def place(self, block: Gadget, reader: Contribution | None) -> Place:
        """The place of a gadget's own units: in its channels, else as its reader wants them, else flat."""
        key = block.first, reader
        if key not in self._places:
            self._places[key] = self._made(block, reader)
        return self._places[key]

    def stands_turned(self, block: Gadget) -> bool:
        """Whether a gadget's own units do."""
        return block.first in self._stand_turned or block.asks is not None

    def read(self, one: Contribution) -> Read:
        """What a contribution reads, as it wants it to stand."""
        if one not in self._read:
            self._read[one] = _seen(geometry.arrange(one.x, self.lanes, self.used(one)))
        return self._read[one]

    def turned(self, one: Contribution, groups: int, width: int = 0) -> Read | None:
        """The same, turned, of so many groups of channels, and so many channels each, or more.

        None where it has no such groups.
        """
        key = one, groups, width
        if key not in self._turned:
            self._turned[key] = self._turn(one, groups, width)
        return self._turned[key]

    def _turn(self, one: Contribution, groups: int, width: int) -> Read | None:
        if not one.elementwise or len(one.x) % groups:
            return None
        if 0 < width <= len(one.x) // groups:
            return self.turned(one, groups)
        return _seen(geometry.turn(one.x, groups, self.lanes, width))

    def border(self, block: Gadget, output: int) -> Border:
        """The border of what a block reads, to a place of this number."""
        if block.first not in self._borders:
            positions, lanes = self.positions, geometry.border_lanes(self.lanes)
            found = geometry.border(block.contributions, positions.pitch, positions.spacings, lanes, output)
            self._borders[block.first] = found
        return replace(self._borders[block.first], output=output)

    def chosen(self, weight_columns: int) -> dict[int, Contribution]:
        """By the first unit of a gadget: the contribution as which its units stand, where that is worth it."""
        chosen: dict[int, Contribution] = {}
        for one, source in self.sources.whole:
            if self._copying and takes_and_frees(source):
                continue
            if source.first not in chosen and self._worth(one, source, weight_columns):
                chosen[source.first] = one
        return chosen

    def _worth(self, one: Contribution, source: Gadget, weight_columns: int) -> bool:
        """Whether the place that a contribution wants takes fewer rows than a flat one with copies for the reader."""
        channels, height = len(one.x), self._height(one)
        weights, stride = self.factor(one).rows(weight_columns), source.stride
        wanted = channels * max(height * stride, weights)
        copied = channels * max(height, weights) + -(-source.count // self.lanes) * stride
        return bool(wanted <= copied)

    def _height(self, one: Contribution) -> int:
        return geometry.height(one.x.shape[1:], self.used(one))

    def _made(self, block: Gadget, reader: Contribution | None) -> Place:
        if self.stands_turned(block):
            groups = self._stand_turned.get(block.first, 1)
            units = geometry.turn(block.units.reshape(block.channels), groups, self.lanes)
            return Place(block.name, units, (block.count // len(units),), block, turned=groups)
        if block.channels is not None:
            cells = block.units.reshape(block.channels)
            spacing = self.positions.made.get(block.first, ())
            if block.first in self.pairs:
                cells = cells[self.pairs[block.first].order]
            units = geometry.arrange(cells, self.lanes, self.lanes)
            return Place(block.name, units, cells.shape[1:], block, spacing=spacing)
        cells = block.units[None, :] if reader is None else np.where(reader.x < 0, -1, reader.x >> 1)
        if reader is not None:
            used = self.used(reader)
        else:
            used = self._copying if self._copying and takes_and_frees(block) else self.lanes
        units = geometry.arrange(cells, self.lanes, used)
        if not _uniform(block, units):
            cells, used = block.units[None, :], self.lanes
            units = geometry.arrange(cells, used, 1)
        local = np.maximum(units - block.first, 0)
        operands = tuple(Operand(np.where(units < 0, -1, take.refs[local]), take) for take in block.takes)
        spacing = () if reader is None or cells.shape != reader.x.shape else self.positions.spacings[reader]
        return Place(block.name, units, cells.shape[1:], block, operands, spacing=spacing, row_lanes=used)

    def _in_order_of_pairs(self) -> Mapping[Contribution, Weights]:
        """The weights of layers whose channels stand in pairs, in that order."""
        found = {}
        for block in (block for block in self.builder.blocks if block.first in self.pairs):
            (one,) = block.contributions
            assert isinstance(one.factor, Weights), "it is a dense layer"
            found[one] = replace(one.factor, values=one.factor.values[:, :, self.pairs[block.first].order])
        return found

    def _by_lines(self) -> Mapping[Contribution, Lines]:
        """The contributions whose weights stand line by line: where taps would take more rows than values do."""
        found, saved = {}, 0
        for one in self.positions.contributions if not self.builder.hidden else ():
            weights = one.factor
            if not isinstance(weights, Weights) or weights.outputs > 1 or weights.multiples or one.marks:
                continue
            if 1 < len(weights.offsets) == len(np.unique(weights.offsets, axis=0)):
                lines, height = Lines(weights.values, weights.offsets, weights.groups), self._height(one)
                fewer = max(weights.rows(1), height) - max(lines.rows(1), height)
                if fewer and lines.longest <= MOST_TAPS:
                    found[one], saved = lines, saved + fewer * len(one.x)
        return found if saved >= ROWS_BY_LINES else {}

    def _used_lanes(self) -> Mapping[Contribution, int]:
        """Who reads a public input whose values are too many for a word in a row of all lanes: how many a row takes.

        Then its words are stated where it stands, and need no copy. Not where they stand in another order.
        """
        words = public_places.input_words(self.builder)
        found = {}
        for one, source in self.sources.whole:
            width, most = one.x.shape[-1], words.get(source.first, self.lanes)
            used = max(lanes for lanes in range(1, most + 1) if width % lanes == 0)
            twice = -(-width // self.lanes) * 2  # the rows that a copy would make
            in_order = np.array_equal(one.x[one.x >= 0] >> 1, source.units)
            if most < min(self.lanes, width) and width // used <= twice and in_order:
                found[one] = used
        return found


def takes_and_frees(block: Gadget) -> bool:
    """Whether a gadget copies into rows on which it frees e: what such a copy takes is q, elsewhere it is v, too.

    The permutation has a column for each view of each lane (Layout.copied). What functions give is read as v: one more
    column for every lane in which such gadgets stand beside others' copies.
    """
    return block.channels is None and any(take.into == "taken" and take.row in block.frees for take in block.takes)


def _seen(cells: Integers) -> Read:
    """What refs show, -1 where there is none."""
    present = cells >= 0
    return Read(np.where(present, cells >> 1, -1), present, present & ((cells & 1) == 1))


def _uniform(block: Gadget, units: Integers) -> bool:
    """Whether each row's lanes agree on what the gadget's fixed columns say of a row."""
    parts = block.per_row()
    if not parts:
        return True
    local, first = (np.maximum(at - block.first, 0) for at in (units, first_present(units)[..., None]))
    return not any(np.any((units >= 0) & (part[local] != part[first])) for part in parts)
