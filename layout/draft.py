"""The draft of a layout: every gadget gets its place, every contribution one that it reads; rows come later (rows.py).

A block gets the place that the convolution wants which reads it, so that weights come to the rows where a value lives
and nothing is copied. What fits no such place is copied: into a copy place of the reader, or into the operand rows of a
gadget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Gadget, Take
from plonnx.gadgets.linear.contribution import Contribution, Squares, Weights
from plonnx.layout import geometry, jumps, public_places, stacked
from plonnx.layout.parts import Parts, Read
from plonnx.layout.place import Claim, Operand, Place, Reader, border_units, least
from plonnx.layout.public_places import Stated
from plonnx.layout.shape import LayoutError
from plonnx.layout.stacked import Values
from plonnx.layout.turned import takes_multiples
from plonnx.plonk.keys import PublicTensor

Integers = NDArray[np.int64]
_MOST_UNREAD = 4  # a reader in place takes at least one cell in so many
SHARED_CELLS = 1 << 9  # of a tensor: worth a column that takes the weights of one reader to those of the next
FEW_GROUPS = 4  # up to so many groups of a convolution have a column each that says where they read


class Source(NamedTuple):
    """The number of the place that a contribution reads, to whom it belongs there where another reads the place, too,
    and what it reads, arranged as the place is.
    """

    place: int
    readers: dict[int, list[Reader]] | None
    read: Read


class Draft:
    """Places before they have rows, and who reads them, by number. It follows from the parts and from `chosen`.

    chosen: by the first unit of a gadget, the contribution as which its units stand (Parts.chosen).
    """

    def __init__(self, parts: Parts, chosen: Mapping[int, Contribution]) -> None:
        self.builder, self.parts, self.lanes, self.chosen = parts.builder, parts, parts.lanes, chosen
        self.places: list[Place] = []
        self.readers: dict[int, Reader] = {}
        self.sharing: dict[int, list[Reader]] = {}  # who read a place that has a reader, by weights
        self.others: dict[int, list[Reader]] = {}  # and those who take a multiple of every channel
        self.squared: dict[int, list[Reader]] = {}  # and those who take its squares
        self.claims: dict[int, set[Claim]] = {}
        self.loose: list[Contribution] = []  # that read no cell
        self.tensors: list[PublicTensor] = []
        self.stated: list[Stated] = []
        self._by_least: dict[int, list[int]] = {}
        self._pairs: dict[Contribution, int] = {}  # by reader, the numbers of places of pairs
        self._below: dict[int, int] = {}  # by first unit, the numbers of scores that stand below values
        self._values: dict[Contribution, Values] = {}  # by who reads these, and the keys below queries
        self._bridged: dict[tuple[int, ...], dict[int, Place]] = {}
        self._check_steps()
        for block in self.builder.blocks:
            self._place(block)
        public_places.place(self)

    def readers_of(self, number: int) -> list[Reader]:
        """Who reads a place, each as the first does, but those who share it by weights."""
        first = self.readers.get(number)
        return [*([] if first is None else [first]), *self.others.get(number, ())]

    def bridged(self, free: int) -> Mapping[int, Place]:
        """By number, places of borders whose gaps are crossed by so many free rows, in few powers (jumps.py)."""
        crossings, gaps = self._crossings
        chosen = crossings.powers(free)
        key = tuple(chosen.tolist())
        if key not in self._bridged:
            found = {number: self._across(self.places[number], crossed, chosen) for number, crossed in gaps.items()}
            self._bridged[key] = found
        return self._bridged[key]

    @cached_property
    def _crossings(self) -> tuple[jumps.Crossings, dict[int, Integers]]:
        """The gaps between the terms of all borders, and those of each border's place by its number."""
        positions, kept, gaps = self.parts.positions, set[int](), dict[int, Integers]()
        for number, place in enumerate(self.places):
            if place.has_terms:
                assert place.border is not None, "terms are a border's"
                gaps[number] = np.diff(positions.border(place, self.places[place.border.output]))
            elif not place.turned and not place.upper and (place.gathered or self.readers_of(number)):
                kept |= set(np.diff(positions.bases(place)).tolist())
        widths, counts = np.unique(np.concatenate([*gaps.values()]), return_counts=True)
        return jumps.Crossings(kept - {0}, dict(zip(widths.tolist(), counts.tolist(), strict=True))), gaps

    def _across(self, place: Place, gaps: Integers, powers: Integers) -> Place:
        """A border's place with the rows that cross its gaps."""
        assert place.border is not None, "terms are a border's"
        border = jumps.bridged(place.border, gaps, powers)
        return replace(place, border=border, units=border_units(border, self.lanes))

    def candidates(self, units: Integers) -> list[tuple[int, Place]]:
        """The places that may hold just these units, and their numbers: not all, or many tensors would take long.

        Also where the first units are left out of what stands turned (half of the channels that are squared), and of
        a product of pairs: scores behind a mask, of the last key on.
        """
        first = least(units)
        block = None if first in self._by_least else self.builder.maker(first)
        if block is not None and (
            self.parts.stands_turned(block) or any(one in self._pairs for one in block.contributions)
        ):
            first = block.first
        return [(number, self.places[number]) for number in self._by_least.get(first, [])]

    def copy(
        self,
        name: str,
        units: Integers,
        grid: tuple[int, ...],
        because: str,
        spacing: geometry.Spacing = (),
        row_lanes: int = 0,
        turned: int = 0,
    ) -> int:
        """The number of a new place of copies of units."""
        refs = np.where(units < 0, -1, 2 * units)
        operands = (Operand(refs, Take(refs.reshape(-1), 0)),)
        return self._add(Place(name, units, grid, None, operands, None, spacing, row_lanes, because, turned))

    def _add(self, place: Place) -> int:
        self.places.append(place)
        self._by_least.setdefault(place.least, []).append(len(self.places) - 1)
        return len(self.places) - 1

    def _check_steps(self) -> None:
        steps = self.builder.steps_taken
        for number, block in enumerate(self.builder.blocks):
            taken = steps.get(number, [])
            if taken != list(range(block.steps or 0)):
                raise LayoutError(f"{block.name}: {len(taken)} of its {block.steps} steps are taken")

    def _place(self, block: Gadget) -> None:
        """A block's place, its border's above it, and what its contributions read."""
        place = self.parts.place(block, self.chosen.get(block.first))
        self.loose += [one for one in block.contributions if one.loose]
        reading = [one for one in block.contributions if not one.loose]
        found: list[Source] = []
        for one in reading:
            earlier = {source.place: before for source, before in zip(found, reading, strict=False)}
            turned = self._turned(block.name, one) if one.turned else None
            found.append(turned or self._paired(one) or self._weighing(one) or self._source(block.name, one, earlier))
        output = self._below[block.first] if block.first in self._below else self._add_places(block, place, found)
        for one, (source, readers, read) in zip(reading, found, strict=True):
            alone = readers is self.others
            by_run = alone or self.places[source].turned > 0 or _channelwise(one) > 0
            as_it_reads = self._values[one].crossed if one in self._pairs and one in self._values else one
            reader = Reader(as_it_reads, output, *read[1:], by_run, alone)
            if readers is None:
                self.readers[source] = reader
            else:
                readers.setdefault(source, []).append(reader)

    def _add_places(self, block: Gadget, place: Place, found: Sequence[Source]) -> int:
        """The number of the first of a block's places, which are added; of a border's above it."""
        reading = (one for one in block.contributions if not one.loose)
        added = [(one, source.place) for one, source in zip(reading, found, strict=True) if not one.marks]
        bordered = bool(added) and self._add_border(block, place, added)
        first, *further = [place] if bordered else self._cut(block, place)
        output = self._add(first)
        for part in further:
            self._add(part)
        if first.paired:
            pair = self.parts.pairs[block.first]
            self._pairs[pair.reader] = output
            if pair.values is not None:
                self._values |= {pair.reader: pair.values, pair.values.reader: pair.values}
                scores = self.parts.place(pair.values.scores, None)
                psi = self.parts.positions.reach(first) + 1 - prod(first.grid)
                self.places += stacked.places(block, pair.values, scores, psi)  # where nobody else finds anything
                self._below[pair.values.scores.first] = len(self.places) - 1
        return output

    def _add_border(self, block: Gadget, place: Place, added: list[tuple[Contribution, int]]) -> bool:
        """Whether the place needs rows for a border above it, or a window without terms; they are added."""
        border = self.parts.border(block, len(self.places) + 1)
        shift = self.parts.positions.shift
        needed = len(border.starts) or any(shift(self.places[source], one, place) < 0 for one, source in added)
        if needed:
            self._add(Place(f"border of {block.name}", border_units(border, self.lanes), (), border=border))
        return bool(needed)

    def _cut(self, block: Gadget, place: Place) -> list[Place]:
        """A layer's place, cut at the channels that others read in place: queries beside keys and values.

        The parts stand one below the other, so that powers of chi go on from one to the next.
        """
        pair = self.parts.pairs.get(block.first)
        if pair is not None:
            last = place.runs - (0 if pair.values is None else pair.values.channels.size)
            both, rest, _ = (replace(place, units=units) for units in np.split(place.units, [pair.runs, last]))
            return [replace(both, paired=True), *([rest] if rest.runs else [])]
        ends = [0, place.runs] if place.turned else self.parts.sources.cuts(block.first, place.runs)
        return [replace(place, units=place.units[start:stop]) for start, stop in pairwise(ends)]

    def _source(self, name: str, one: Contribution, earlier: Mapping[int, Contribution]) -> Source:
        """The place that holds what a contribution reads, as it reads it; a copy place where there is none, and for
        what is looked up.

        earlier: what the same block's other contributions read, by place.
        """
        read, groups = self.parts.read(one), _channelwise(one)
        units = read.units
        because = "rows are looked up below copies" if one.marks else "it stands in no such rows"
        side_by_side = self.parts.positions.spacings[one][-1] == 1
        for number, place in [] if one.marks else self.candidates(units):
            stands = place.turned and (place.equations or place.asks is not None)
            if stands and side_by_side and self._takes_multiples(one):
                there = self.parts.turned(one, place.turned, place.width)
                same = self.parts.turned(earlier.get(number, one), place.turned, place.width)
                alike = there is not None and same is not None and _same_views(same, there)
                if there is not None and alike and _holds(place, there.units) and self._alike_there(number, there):
                    return Source(number, self.others, there)
            if place.border is not None or place.turned or not _holds(place, units):
                continue
            steps_by_run = place.height == 1 or (place.block is not None and place.block.channels is not None)
            reader, before = self.readers.get(number), earlier.get(number)
            if before is None and (others := self.readers_of(number)):
                before = others[0].contribution
            multiple = place.equations and steps_by_run and self._takes_multiples(one)
            if not self._same_rows(place, one):
                because = "its rows stand at other positions"
            elif before is not None and not self._alike(before, one):
                because = f"{self._reads_before(name, number)} reads it where it stands"
            elif multiple:
                return Source(number, self.others, read)
            elif reader is None and number not in earlier:
                free = place.free_power and (groups == place.runs or not self.others.get(number))
                if not groups or free or (groups == place.runs and steps_by_run):
                    return Source(number, None, read)
                because = "its channels do not stand one after another"
            elif (
                reader is not None
                and number not in earlier
                and (beside := self._beside(place, reader, one)) is not None
            ):
                return Source(number, beside, read)  # one reader of a block: the next one's equations come later
            else:
                because = f"{self._reads_before(name, number)} reads it where it stands"
        spacing, used = self.parts.positions.spacings[one], self.parts.used(one)
        return Source(self.copy(f"copy for {name}", units, one.x.shape[1:], because, spacing, used), None, read)

    def _paired(self, one: Contribution) -> Source | None:
        """The place that holds what a product reads, every run below that of its second factor."""
        if one not in self._pairs:
            return None
        nothing, reads = (-1, False, False), self._values[one].crossed if one in self._values else one
        read = (
            np.stack([np.full_like(cells, none), cells], axis=1).reshape(-1, *cells.shape[1:])
            for cells, none in zip(self.parts.read(reads), nothing, strict=True)
        )
        return Source(self._pairs[one], None, Read(*read))

    def _weighing(self, one: Contribution) -> Source | None:
        """The place of the scores below what a product weighs by them."""
        if one not in self._values:
            return None
        values = self._values[one]
        units, present, positive = self.parts.read(one)
        read = Read(units[values.read], present[values.read], positive[values.read])
        return Source(self._below[values.scores.first], None, read)

    def _turned(self, name: str, one: Contribution) -> Source:
        """The place that holds turned what a contribution reads so: many take squares of it, one multiplies rows."""
        groups, squares, because = one.factor.groups, isinstance(one.factor, Squares), "it does not stand turned"
        read = self.parts.turned(one, groups)
        assert read is not None, "its channels fall into its groups"
        for number, place in self.candidates(read.units):
            there = self.parts.turned(one, groups, place.width) if place.turned == groups else None
            if there is None or not _holds(place, there.units):
                continue
            if squares:
                return Source(number, self.squared, there)
            if number not in self.readers and self._alike_there(number, there):
                return Source(number, None, there)
            because = f"{self._reads_before(name, number)} reads it where it stands"
        made = self.copy(f"copy for {name}", read.units, (len(one.x) // groups,), because, turned=groups)
        return Source(made, self.squared if squares else None, read)

    def _alike_there(self, number: int, read: Read) -> bool:
        """Whether all who read a place that stands turned read the same cells of it: every one that is looked up."""
        place = self.places[number]
        if place.asks is not None and (np.any(read.positive) or not np.array_equal(read.present, place.units >= 0)):
            return False
        return all(_same_views(each, read) for each in self.readers_of(number))

    def _reads_before(self, name: str, number: int) -> str:
        """Who reads a place already: another layer, or the one that is being placed."""
        readers = self.readers_of(number)
        return self.places[readers[0].output].name if readers else name

    def _takes_multiples(self, one: Contribution) -> bool:
        """Whether a contribution takes a multiple of each channel, or a few at taps: it needs no weights.

        Not of a hidden model: multiples stand in what everybody sees, and which they are may be its secret.
        """
        return not self.builder.hidden and takes_multiples(one)

    def _beside(self, place: Place, first: Reader, one: Contribution) -> dict[int, list[Reader]] | None:
        """To whom a contribution belongs that may read a place beside its first reader; None where it may not.

        Of a place that states nothing P may have a power of chi for each run, as those want who take multiples: unless
        the first wants one for several runs together. Public words that could stand there are copied then.
        """
        if self._shares(first.contribution, one):
            return self.sharing
        by_run = not first.channelwise or first.contribution.factor.groups == place.runs
        return self.others if place.free_power and by_run and self._takes_multiples(one) else None

    def _shares(self, first: Contribution, one: Contribution) -> bool:
        """Whether a layer's weights may stand above those of another that reads the same views, in the same runs."""
        factors = [each.factor for each in (first, one) if each not in self.parts.by_lines and not each.marks]
        plain = [factor for factor in factors if isinstance(factor, Weights) and factor.groups == 1]
        return len(plain) == 2 and one.x.size >= SHARED_CELLS

    def _alike(self, first: Contribution, one: Contribution) -> bool:
        return all(
            np.array_equal(*views) for views in zip(self.parts.read(first)[1:], self.parts.read(one)[1:], strict=True)
        )

    def _same_rows(self, place: Place, one: Contribution) -> bool:
        """Whether a place's rows stand at the linear positions that a contribution reads: one alone lies nowhere."""
        if prod(place.grid) == prod(one.x.shape[1:]) == 1:
            return True
        positions = self.parts.positions
        same = np.array_equal(positions.bases(place), positions.wanted(one, self.parts.used(one)))
        return same and place.lane_spacing == positions.spacings[one][-1]


def _holds(place: Place, units: Integers) -> bool:
    """Whether a place holds these units where they are wanted: no others, or no more than a few times as many.

    Others may stand among a layer's outputs alone, which have no other place (scores behind a mask).
    """
    if place.units.shape != units.shape or np.array_equal(place.units, units):
        return place.units.shape == units.shape
    chosen = units >= 0
    layer = place.block is not None and place.block.channels is not None
    enough = _MOST_UNREAD * np.count_nonzero(chosen) >= np.count_nonzero(place.units >= 0)
    return bool(layer and enough and np.array_equal(place.units[chosen], units[chosen]))


def _same_views(one: Read | Reader, other: Read) -> bool:
    """Whether both read the same views of the same cells."""
    return np.array_equal(one.present, other.present) and np.array_equal(one.positive, other.positive)


def _channelwise(one: Contribution) -> int:
    """The groups of a contribution with many of them, whose factor is taken from P; else 0."""
    groups = one.factor.groups
    return groups if groups > FEW_GROUPS and one.factor.outputs == 1 else 0
