"""Layout: where the units of a Builder lie in rows and lanes.

A *place* holds a tensor as runs of rows, one run a channel, `height` value rows of L lanes each (layout/geometry.py
says which position stands where). A block gets the place that the convolution wants which reads it, so that weights
come to the rows where a value lives and nothing is copied. What fits no such place is copied: into a copy place of the
reader, or into the operand rows of a gadget. Deterministic: the same builder and shape give the same circuit.
layout/arithmetize.py makes the PLONK circuit from it, layout/witness.py fills the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Gadget, Rule, Take
from plonnx.gadgets.linear.contribution import MOST_TAPS, Contribution, Factor, Lines, Squares, Weights
from plonnx.layout import geometry, jumps, public_places
from plonnx.layout.geometry import Border
from plonnx.layout.place import Claim, Operand, Place, Placed, Reader, first_present, least
from plonnx.layout.public_places import Stated
from plonnx.plonk.keys import PublicTensor, Run

Integers = NDArray[np.int64]
BLINDING_ROWS = 5  # what keygen asks of this layout's columns: two opened points, one kept row, one of slack
_MOST_UNREAD = 4  # a reader in place takes at least one cell in so many
SHARED_CELLS = 1 << 9  # of a tensor: worth a column that takes the weights of one reader to those of the next
ROWS_BY_LINES = 1 << 10  # that are saved by taps side by side: worth their columns
FEW_GROUPS = 4  # up to so many groups of a convolution have a column each that says where they read
_OF_A_PLACE = [field.name for field in fields(Place)]


class LayoutError(ValueError):
    """A shape that a model cannot be laid out in."""


@dataclass(frozen=True)
class Shape:
    """The free choices of a layout.

    n = 2^k rows, lanes, weight columns, lookup terms per helper column, columns per commitment.
    """

    k: int
    lanes: int
    weight_columns: int
    group: int
    packing: int = 1

    @property
    def active_rows(self) -> int:
        """u."""
        return (1 << self.k) - BLINDING_ROWS


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())


class Copied(NamedTuple):
    """Copied cells: rows and lanes of the copies, which cell takes the copy, the refs of the originals and their view.

    views: "taken", "value" or "positive" of the original's cells; into: "taken" or "rest" of the copy's.
    """

    rows: Integers
    lanes: Integers
    refs: Integers
    views: NDArray[np.str_]
    into: NDArray[np.str_]


class Draft:
    """Places before they have rows: what the planner and the public values add to, number by number."""

    def __init__(self, builder: Builder, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
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

    def add(self, place: Place) -> int:
        """The number of a new place."""
        self.places.append(place)
        self._by_least.setdefault(place.least, []).append(len(self.places) - 1)
        return len(self.places) - 1

    def candidates(self, units: Integers) -> list[tuple[int, Place]]:
        """The places that may hold just these units, and their numbers: not all, or many tensors would take long."""
        return [(number, self.places[number]) for number in self._by_least.get(least(units), [])]

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
        """A place of copies of units."""
        refs = np.where(units < 0, -1, 2 * units)
        operands = (Operand(refs, Take(refs.reshape(-1), 0)),)
        made = Place(name, units, grid, None, operands, None, spacing, row_lanes, because, turned)
        return self.add(made)


class Parts:
    """What a builder's gadgets and contributions are in rows of so many lanes, made once for all numbers of columns."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, Contribution | None], Place] = {}  # by first unit, and by which reader it serves
        self.read: dict[tuple[Contribution, int, int], Read | None] = {}  # by how it is turned, and into which height
        self.borders: dict[int, Border] = {}  # by first unit


class Read(NamedTuple):
    """What a contribution reads, [channels, height, lanes]: the units, -1 where there is none, and of which cells the
    positive part.
    """

    units: Integers
    present: NDArray[np.bool_]
    positive: NDArray[np.bool_]


class Layout:
    """The placement of a builder for a shape.

    like: a layout of the same builder, whose draft is taken where this one's is the same: it follows from the lanes and
    from `chosen`, and most numbers of weight columns choose alike; what differs has most of its parts in common.
    """

    def __init__(self, builder: Builder, shape: Shape, like: Layout | None = None) -> None:
        self.builder, self.shape = builder, shape
        if like is None:
            self.contributions = [one for block in builder.blocks for one in block.contributions]
            self.spacings, self.made_spacings = geometry.spacings(builder.blocks)
            self.pitch = geometry.pitches(self.spacings)
            self._whole = self._whole_readers()
        else:
            self.contributions, self.pitch, self._whole = like.contributions, like.pitch, like._whole
            self.spacings, self.made_spacings = like.spacings, like.made_spacings
        if like is None or like.shape.lanes != shape.lanes:
            self.parts, self.used, self.turned = Parts(), self._used_lanes(), self._choose_turned()
            self.by_lines = self._by_lines()
        else:
            self.parts, self.used, self.turned, self.by_lines = like.parts, like.used, like.turned, like.by_lines
        self.chosen = self._choose()
        if like is None or like.shape.lanes != shape.lanes or like.chosen != self.chosen:
            self._check_steps()
            self.draft = Draft(builder, shape.lanes)
            self._place_blocks(self.draft)
            public_places.place(self.draft)
        else:
            self.draft = like.draft
        self.tensors = self.draft.tensors
        self.places, rows = self._assign_rows(self.draft, {})
        self.loose, self.rows = self._among(rows)
        if bridged := self._bridged():
            self.places, rows = self._assign_rows(self.draft, bridged)
            self.loose, self.rows = self._among(rows)
        self.runs = [
            (self.places[number], self._with_powers(self.places[number], run, across), positive, across)
            for number, run, positive, across in self.draft.stated
        ]

    @property
    def public_bytes(self) -> int:
        """The bytes of all public tensors."""
        return sum(tensor.count * tensor.width for tensor in self.tensors)

    @cached_property
    def extended(self) -> bool:
        """Whether some gadget frees e, so that the lanes have it."""
        return any("extended" in block.marks(lambda function: 0) for block in self.builder.blocks)

    @cached_property
    def extended_rows(self) -> NDArray[np.bool_]:
        """The rows on which some gadget frees e."""
        marked = np.zeros(self.rows, bool)
        for place in self.places:
            if place.block is not None:
                for at in place.block.marks(lambda function: 0).get("extended", {}):
                    marked[place.rows_at(at)] = True
        return marked

    @cached_property
    def rules(self) -> list[type[Rule]]:
        """The constraints of all gadgets, each once, in order of first use."""
        return list(dict.fromkeys(rule for block in self.builder.blocks for rule in block.rules))

    def _by_lines(self) -> Mapping[Contribution, Lines]:
        """The contributions whose weights stand line by line: where taps would take more rows than values do."""
        found, saved = {}, 0
        for one in self.contributions if not self.builder.hidden else ():
            weights = one.factor
            if not isinstance(weights, Weights) or weights.outputs > 1 or weights.multiples or one.marks:
                continue
            if 1 < len(weights.offsets) == len(np.unique(weights.offsets, axis=0)):
                lines, height = Lines(weights.values, weights.offsets, weights.groups), self._height(one)
                fewer = max(weights.rows(1), height) - max(lines.rows(1), height)
                if fewer and lines.longest <= MOST_TAPS:
                    found[one], saved = lines, saved + fewer * len(one.x)
        return found if saved >= ROWS_BY_LINES else {}

    def _height(self, one: Contribution) -> int:
        return geometry.height(one.x.shape[1:], self._used(one))

    def _used(self, one: Contribution) -> int:
        """The lanes of a row that the positions of what it reads take."""
        return self.used.get(one, self.shape.lanes)

    def _used_lanes(self) -> Mapping[Contribution, int]:
        """Who reads a public input whose values are too many for a word in a row of all lanes: how many a row takes.

        Then its words are stated where it stands, and need no copy.
        """
        words = public_places.input_words(self.builder)
        found = {}
        for one, source in self._whole:
            width, most = one.x.shape[-1], words.get(source.first, self.shape.lanes)
            used = max(lanes for lanes in range(1, most + 1) if width % lanes == 0)
            twice = -(-width // self.shape.lanes) * 2  # the rows that a copy would make
            if most < min(self.shape.lanes, width) and width // used <= twice:
                found[one] = used
        return found

    def factor(self, one: Contribution) -> Factor:
        """The second factor of a contribution, as it stands."""
        return self.by_lines.get(one, one.factor)

    # Placement -------------------------------------------------------------------------------------------------------

    def _check_steps(self) -> None:
        steps = self.builder.steps_taken
        for number, block in enumerate(self.builder.blocks):
            taken = steps.get(number, [])
            if taken != list(range(block.steps or 0)):
                raise LayoutError(f"{block.name}: {len(taken)} of its {block.steps} steps are taken")

    def _place_blocks(self, draft: Draft) -> None:
        for block in self.builder.blocks:
            place = self._place_of(block, self.chosen.get(block.first))
            draft.loose += [one for one in block.contributions if one.loose]
            reading = [one for one in block.contributions if not one.loose]
            found: list[tuple[int, dict[int, list[Reader]] | None, Read]] = []
            for one in reading:
                earlier = {source: before for (source, *_), before in zip(found, reading, strict=False)}
                turned = self._read_turned(draft, block.name, one) if one.turned else None
                found.append(turned or self._read_place(draft, block.name, one, earlier))
            added = [(one, source) for one, (source, *_) in zip(reading, found, strict=True) if not one.marks]
            border = self._border(block, len(draft.places) + 1) if added else None
            behind = any(self.shift(draft.places[source], one, place) < 0 for one, source in added)
            if border is not None and (len(border.starts) or behind):
                units = _border_units(border, self.shape.lanes)
                draft.add(Place(f"border of {block.name}", units, (), border=border))
            first, *further = [place] if draft.places and draft.places[-1].border is not None else self._parts(place)
            output = draft.add(first)
            for part in further:
                draft.add(part)
            for one, (source, readers, read) in zip(reading, found, strict=True):
                alone = readers is draft.others
                by_run = alone or draft.places[source].turned > 0 or self._channelwise(one) > 0
                reader = Reader(one, output, *read[1:], by_run, alone)
                if readers is None:
                    draft.readers[source] = reader
                else:
                    readers.setdefault(source, []).append(reader)

    def _parts(self, place: Place) -> list[Place]:
        """A layer's place, cut at the channels that others read in place: queries beside keys and values.

        The parts stand one below the other, so that powers of chi go on from one to the next.
        """
        if place.turned:
            return [place]
        cuts = {
            cut for part in self._read_parts.get(0 if place.block is None else place.block.first, []) for cut in part
        }
        ends = [0, *sorted(cuts - {0, place.runs}), place.runs]
        return [replace(place, units=place.units[start:stop]) for start, stop in pairwise(ends)]

    @cached_property
    def _read_parts(self) -> dict[int, list[tuple[int, int]]]:
        """By the first unit of a layer: the channels, from and to, that contributions read just as they stand.

        None of a layer that is read as a whole, too, or in parts that overlap.
        """
        starts = {block.first: block for block in self.builder.blocks if block.channels is not None}
        firsts = np.array(sorted(starts), np.int64)
        found: dict[int, list[tuple[int, int]]] = {}
        for one in (one for one in self.contributions if not one.marks and not one.turned):
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

    def _place_of(self, block: Gadget, reader: Contribution | None) -> Place:
        key = block.first, reader
        if key not in self.parts.places:
            self.parts.places[key] = self._place(block, reader)
        return self.parts.places[key]

    def _read(self, one: Contribution) -> Read:
        """What a contribution reads, a run a channel."""
        found = self._arranged(one, 0, 0)
        assert found is not None, "every tensor has channels"
        return found

    def _arranged(self, one: Contribution, turned: int, rows: int) -> Read | None:
        """What a contribution reads, or turned, in so many groups of channels, whose runs have `rows` rows and more.

        None where it has no such groups.
        """
        key = one, turned, rows
        if key not in self.parts.read:
            cells = None
            if not turned:
                cells = geometry.arrange(one.x, self.shape.lanes, self._used(one))
            elif one.elementwise and len(one.x) % turned == 0:
                cells = geometry.turn(one.x, turned, self.shape.lanes)
                ahead = max(0, rows - cells.shape[1])
                cells = np.pad(cells, ((0, 0), (ahead, 0), (0, 0)), constant_values=-1)
            present = None if cells is None else cells >= 0
            self.parts.read[key] = (
                None
                if cells is None or present is None
                else Read(np.where(present, cells >> 1, -1), present, present & ((cells & 1) == 1))
            )
        return self.parts.read[key]

    def _border(self, block: Gadget, output: int) -> Border:
        """The border of what a block reads, to a place of this number."""
        if block.first not in self.parts.borders:
            found = geometry.border(block.contributions, self.pitch, self.spacings, self.border_lanes, output)
            self.parts.borders[block.first] = found
        return replace(self.parts.borders[block.first], output=output)

    def _place(self, block: Gadget, reader: Contribution | None) -> Place:
        """The place of a gadget's own units: in its channels, else as its reader wants them, else flat."""
        if block.first in self.turned:
            groups = self.turned[block.first]
            units = geometry.turn(block.units.reshape(block.channels), groups, self.shape.lanes)
            return Place(block.name, units, (block.count // len(units),), block, turned=groups)
        if block.channels is not None:
            cells = block.units.reshape(block.channels)
            spacing = self.made_spacings.get(block.first, ())
            units = geometry.arrange(cells, self.shape.lanes, self.shape.lanes)
            return Place(block.name, units, cells.shape[1:], block, spacing=spacing)
        cells = block.units[None, :] if reader is None else np.where(reader.x < 0, -1, reader.x >> 1)
        used = self.shape.lanes if reader is None else self._used(reader)
        units = geometry.arrange(cells, self.shape.lanes, used)
        if not _uniform(block, units):
            cells, used = block.units[None, :], self.shape.lanes
            units = geometry.arrange(cells, used, 1)
        local = np.maximum(units - block.first, 0)
        operands = tuple(Operand(np.where(units < 0, -1, take.refs[local]), take) for take in block.takes)
        spacing = () if reader is None or cells.shape != reader.x.shape else self.spacings[reader]
        return Place(block.name, units, cells.shape[1:], block, operands, spacing=spacing, row_lanes=used)

    def _whole_readers(self) -> list[tuple[Contribution, Gadget]]:
        """The contributions that read all units of one gadget, each once, where these may stand as it wants.

        A sum's equations and operands have lanes side by side (gadgets/linear/check.py): it stands no further apart.
        """
        found = []
        starts = {block.first: block for block in self.builder.blocks}
        for one in (one for one in self.contributions if not one.marks and not one.turned):
            present = one.x[one.x >= 0] >> 1
            source = starts.get(int(present.min())) if present.size else None
            if source is None or source.channels is not None or present.size != source.count:
                continue
            if source.equations and self.spacings[one][-1] > 1:
                continue
            if np.array_equal(np.sort(present), source.units):
                found.append((one, source))
        return found

    def _choose(self) -> dict[int, Contribution]:
        """By the first unit of a gadget: the contribution as which its units stand, where that is worth it."""
        chosen: dict[int, Contribution] = {}
        for one, source in self._whole:
            if source.first not in chosen and self._worth(one, source):
                chosen[source.first] = one
        return chosen

    def _worth(self, one: Contribution, source: Gadget) -> bool:
        """Whether the place that a contribution wants takes fewer rows than a flat one with copies for the reader."""
        channels, height = len(one.x), self._height(one)
        weights, stride = self.factor(one).rows(self.shape.weight_columns), source.stride
        wanted = channels * max(height * stride, weights)
        copied = channels * max(height, weights) + -(-source.count // self.shape.lanes) * stride
        return bool(wanted <= copied)

    def _read_place(
        self, draft: Draft, name: str, one: Contribution, earlier: Mapping[int, Contribution]
    ) -> tuple[int, dict[int, list[Reader]] | None, Read]:
        """The place that holds what a contribution reads, as it reads it; a copy place where there is none, and for
        what is looked up.

        earlier: what the same block's other contributions read, by place. Also, where another reads the place, to whom
        the contribution belongs that read it, too.
        """
        read, groups = self._read(one), self._channelwise(one)
        units = read.units
        because = "rows are looked up below copies" if one.marks else "it stands in no such rows"
        for number, place in [] if one.marks else draft.candidates(units):
            if place.turned and place.equations and self._takes_multiples(one):
                turned = self._arranged(one, place.turned, place.height)
                if turned is not None and self._holds(place, turned.units) and self._alike_there(draft, number, turned):
                    return number, draft.others, turned
            if place.border is not None or place.turned or not self._holds(place, units):
                continue
            steps_by_run = place.height == 1 or (place.block is not None and place.block.channels is not None)
            reader, others = draft.readers.get(number), draft.others.get(number, [])
            before = earlier.get(number) or next((other.contribution for other in (reader, *others) if other), None)
            multiple = place.equations and steps_by_run and self._takes_multiples(one)
            if not self._same_rows(place, one):
                because = "its rows stand at other positions"
            elif before is not None and not self._alike(before, one):
                because = f"{self._reads_before(draft, name, number)} reads it where it stands"
            elif multiple:
                return number, draft.others, read
            elif reader is None and number not in earlier:
                if not groups or place.free_power or (groups == place.runs and steps_by_run):
                    return number, None, read
                because = "its channels do not stand one after another"
            elif reader is not None and number not in earlier and self._shares(reader.contribution, one):
                return number, draft.sharing, read  # one reader of a block: the next one's equations come later
            else:
                because = f"{self._reads_before(draft, name, number)} reads it where it stands"
        made = draft.copy(f"copy for {name}", units, one.x.shape[1:], because, self.spacings[one], self._used(one))
        return made, None, read

    def _read_turned(
        self, draft: Draft, name: str, one: Contribution
    ) -> tuple[int, dict[int, list[Reader]] | None, Read]:
        """The place that holds turned what a contribution reads so: many take squares of it, one multiplies rows."""
        groups, squares, because = one.factor.groups, isinstance(one.factor, Squares), "it does not stand turned"
        read = self._arranged(one, groups, 0)
        assert read is not None, "its channels fall into its groups"
        for number, place in draft.candidates(read.units):
            if place.turned != groups:
                continue
            there = self._arranged(one, groups, place.height)
            if there is None or not self._holds(place, there.units):
                continue
            if squares:
                return number, draft.squared, there
            if number not in draft.readers and self._alike_there(draft, number, there):
                return number, None, there
            because = f"{self._reads_before(draft, name, number)} reads it where it stands"
        grid = (len(one.x) // groups,)
        made = draft.copy(f"copy for {name}", read.units, grid, because, turned=groups)
        return made, draft.squared if squares else None, read

    @staticmethod
    def _alike_there(draft: Draft, number: int, read: Read) -> bool:
        """Whether those who read a place that stands turned read the same cells of it."""
        readers = [*filter(None, [draft.readers.get(number)]), *draft.others.get(number, [])]
        return all(
            np.array_equal(each.present, read.present) and np.array_equal(each.positive, read.positive)
            for each in readers
        )

    def _choose_turned(self) -> dict[int, int]:
        """By the first unit of a gadget with equations: of how many groups of channels it stands turned.

        Where somebody wants it so, and all others who read cells of it where they stand take multiples. Of a public
        model: biases stand in columns that everybody sees.
        """
        wanted: dict[int, set[int]] = {}
        for one in (one for one in self.contributions if one.turned and not self.builder.hidden):
            present = one.x[one.x >= 0] >> 1
            block = self.builder.maker(int(present.min())) if present.size else None
            if block is not None and self._may_turn(block, one.factor.groups):
                wanted.setdefault(block.first, set()).add(one.factor.groups)
        if not wanted:
            return {}
        firsts = np.array(sorted(wanted), np.int64)
        ends = np.array([block.first + block.count for block in self.builder.blocks if block.first in wanted])
        for one in (one for one in self.contributions if not one.marks and not one.turned):
            units = one.x[one.x >= 0] >> 1
            at = np.searchsorted(firsts, units, "right") - 1
            touched = np.unique(at[(at >= 0) & (units < ends[np.maximum(at, 0)])]).tolist()
            for first in firsts[touched].tolist():
                if not (self._takes_multiples(one) and one.elementwise):
                    wanted.pop(first, None)
        return {first: next(iter(groups)) for first, groups in wanted.items() if len(groups) == 1}

    def _may_turn(self, block: Gadget, groups: int) -> bool:
        """Whether a gadget's equations may stand turned: of channels along one axis, read position by position."""
        channels, lanes = block.channels, self.shape.lanes
        if channels is None or len(channels) != 2 or channels[0] % groups or block.steps is not None:
            return False
        arrays = [name for name, rows in block.marks(lambda function: 0).items() if not _plain(rows.values())]
        plain = self.made_spacings.get(block.first, (1,)) == (1,) and set(arrays) <= {"bias"} and not block.lane_marks()
        by_group = (groups == 1 or (one.factor.groups == groups < channels[0]) for one in block.contributions)
        fits = all(by_group) and all(one.elementwise for one in block.contributions)
        width, positions = channels[0] // groups, channels[1]
        rows = groups * positions * (1 + -(-width // lanes))
        saved = channels[0] * -(-positions // lanes)  # if it stands as ever, it is copied for who wants it turned
        return plain and fits and rows <= saved + groups * positions * -(-width // lanes)

    @staticmethod
    def _reads_before(draft: Draft, name: str, number: int) -> str:
        """Who reads a place already: another layer, or the one that is being placed."""
        readers = [draft.readers.get(number), *draft.others.get(number, [])]
        return next((draft.places[reader.output].name for reader in readers if reader is not None), name)

    def _takes_multiples(self, one: Contribution) -> bool:
        """Whether a contribution takes a multiple of each channel, or a few at taps: it needs no weights.

        Not of a hidden model: multiples stand in what everybody sees, and which they are may be its secret.
        """
        return not self.builder.hidden and isinstance(one.factor, Weights) and one.factor.multiples is not None

    def _shares(self, first: Contribution, one: Contribution) -> bool:
        """Whether a layer's weights may stand above those of another that reads the same views, in the same runs."""
        factors = [each.factor for each in (first, one) if each not in self.by_lines and not each.marks]
        plain = [factor for factor in factors if isinstance(factor, Weights) and factor.groups == 1]
        return len(plain) == 2 and one.x.size >= SHARED_CELLS

    def _alike(self, first: Contribution, one: Contribution) -> bool:
        return all(np.array_equal(*views) for views in zip(self._read(first)[1:], self._read(one)[1:], strict=True))

    @staticmethod
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

    def _same_rows(self, place: Place, one: Contribution) -> bool:
        """Whether a place's rows stand at the linear positions that a contribution reads: one alone lies nowhere."""
        if prod(place.grid) == prod(one.x.shape[1:]) == 1:
            return True
        spacing = self.spacings[one]
        same = np.array_equal(self.bases(place), self._bases(one.x.shape[1:], spacing, self._used(one)))
        return same and place.lane_spacing == spacing[-1]

    @staticmethod
    def _channelwise(one: Contribution) -> int:
        """The groups of a contribution with many of them, whose factor is taken from P; else 0."""
        groups = one.factor.groups
        return groups if groups > FEW_GROUPS and one.factor.outputs == 1 else 0

    # Rows ------------------------------------------------------------------------------------------------------------

    def _bridged(self) -> dict[int, Place]:
        """By number, places of borders whose gaps are crossed by rows that are free, in powers of other rows."""
        runs = (place for place in self.places if not place.has_terms and not place.turned)
        kept = {power for place in runs for power in self.run_steps(place).tolist()}
        gaps = {at: np.diff(self.border_linear(place)) for at, place in enumerate(self.places) if place.has_terms}
        widths, counts = np.unique(np.concatenate([*gaps.values(), np.zeros(0, np.int64)]), return_counts=True)
        wanted = dict(zip(widths.tolist(), counts.tolist(), strict=True))
        free = Shape(smallest_k(self.rows), 1, 1, 1).active_rows - self.rows
        chosen = jumps.powers(kept - {0}, wanted, free)
        found = {}
        for at, crossed in gaps.items():
            place = self.draft.places[at]
            assert place.border is not None, "terms are a border's"
            border = jumps.bridged(place.border, crossed, chosen)
            found[at] = replace(place, border=border, units=_border_units(border, self.shape.lanes))
        return found

    def _assign_rows(self, draft: Draft, bridged: Mapping[int, Place]) -> tuple[list[Placed], int]:
        """Every place with its rows, one below the other, and their number. bridged: by number, what places became."""
        row = exponent = window = turns = 0
        words = {number: run.per_word for number, run, _, _ in draft.stated}
        placed: list[Placed] = []
        for number, place in enumerate(bridged.get(at, place) for at, place in enumerate(draft.places)):
            reader, *others = [*filter(None, [draft.readers.get(number)]), *draft.others.get(number, []), None]
            needed, groups, above = place.height * place.stride, 1, None
            if reader is not None:
                above = reader.contribution.factor.above(self.shape.lanes)
                needed += 0 if above is None else above.shape[1]
                weighed = [each for each in (reader, *draft.sharing.get(number, ())) if not each.alone]
                needed = max(needed, sum(self.factor(r.contribution).rows(self.shape.weight_columns) for r in weighed))
                if reader.channelwise and place.free_power:
                    groups = place.runs // reader.contribution.factor.groups
            bordered = number > 0 and draft.places[number - 1].border is not None
            window += (place.border is not None) + bordered
            claims = frozenset(draft.claims.get(number, ()))
            own = {name: getattr(place, name) for name in _OF_A_PLACE}
            per_word = words.get(number, 1)
            placed.append(
                Placed(
                    **own,
                    reader=reader,
                    sharing=tuple(draft.sharing.get(number, ())),
                    others=tuple(filter(None, others)),
                    squared=tuple(draft.squared.get(number, ())),
                    above=above,
                    groups=groups,
                    claims=claims,
                    per_word=per_word,
                    row=row,
                    run_rows=needed,
                    exponent=exponent,
                    window=window,
                    turns=turns,
                )
            )
            row += placed[-1].rows
            _, rows, share = self._chi_shares(placed[-1])
            exponent += -(-rows // share)
            window += bordered or (place.turned > 0 and place.equations)
            turns += place.runs - 1 if place.turned else 0
        return placed, row

    def weight_rows(self, place: Placed) -> Integers:
        """The rows on which the weights of a place's readers stand, [runs, rows]."""
        readers = [] if place.reader is None else [place.reader, *place.sharing]
        weighed = [self.factor(each.contribution) for each in readers if not each.alone]
        count = sum(factor.rows(self.shape.weight_columns) for factor in weighed)
        return place.last_rows[:, None] - np.arange(count)

    def _among(self, rows: int) -> tuple[list[tuple[Contribution, Integers]], int]:
        """The rows [channels, rows] of what reads no cell, where others have no second factor, and how many rows there
        are then: what finds no such rows stands below the places.
        """
        found: list[tuple[Contribution, Integers]] = []
        if not self.draft.loose:
            return found, rows
        free = np.ones(rows, bool)
        for place in self.places:
            free[self.weight_rows(place)] = False
            if place.above is not None:
                free[place.row : place.row + place.rows] = False
        for one in self.draft.loose:
            needed = one.factor.rows(self.shape.weight_columns)
            ends = np.flatnonzero(np.diff(np.r_[False, free, False].astype(np.int8)))
            starts, lengths = ends[::2], ends[1::2] - ends[::2]
            fitting = lengths // needed
            within = np.arange(fitting.sum()) - np.repeat(np.cumsum(fitting) - fitting, fitting)
            taken = (np.repeat(starts, fitting) + needed * within)[: len(one.x)]
            beyond = len(free) + needed * np.arange(len(one.x) - len(taken))
            at = np.r_[taken, beyond][:, None] + np.arange(needed)
            free = np.r_[free, np.zeros(needed * len(beyond), bool)]
            free[at] = False
            found.append((one, at))
        return found, len(free)

    def chi_steps(self, place: Placed) -> Integers:
        """The rows of a place after which P takes the next power of chi."""
        by_run, rows, share = self._chi_shares(place)
        ends = np.minimum(np.arange(share - 1, rows + share - 1, share), rows - 1)
        return (place.last_rows if by_run else place.value_rows.reshape(-1))[ends]

    @staticmethod
    def _chi_shares(place: Placed) -> tuple[bool, int, int]:
        """Whether they are the last rows of runs or those of values; how many; and how many share a power of chi."""
        values = place.runs * place.height
        if place.turned:
            return True, 0, 1
        if place.gathered:
            return True, place.runs, 1
        if place.equations:
            return False, values, 1
        if place.reader is not None and place.reader.channelwise:
            return True, place.runs, place.groups
        if any(across for _, across, _ in place.claims):
            return False, values, 1
        return False, values if place.claims else 0, place.per_word

    def _with_powers(self, place: Placed, run: Run, across: bool) -> Run:
        """The run with its powers; until now `exponent` held its first value row and `power` its lane."""
        exponent = place.exponent + (run.exponent if across or place.equations else 0)
        power = (0 if across else self.lane_power(run.power)) + self.psi_power(place)
        return replace(run, exponent=exponent, power=power)

    def psi_power(self, place: Placed) -> int:
        """The power of psi in P on a place's first run."""
        return place.window * self.omega + place.turns

    def lane_power(self, lane: int) -> int:
        """The power of psi of a lane: positions descend, as Horner's rule takes them."""
        return self.shape.lanes - 1 - lane

    # Positions -------------------------------------------------------------------------------------------------------

    @cached_property
    def omega(self) -> int:
        """A power of psi beyond every position: windows of this size keep convolutions with borders apart."""
        spans = [self.shape.lanes]
        for one, spacing in self.spacings.items():
            grid, offsets = np.array(one.x.shape[1:]), one.factor.offsets
            high = np.maximum((np.array(one.shape) - 1) * one.steps, grid - 1) + np.abs(offsets).max(axis=0)
            across = self.shape.lanes * int(one.steps[-1]) * spacing[-1]
            spans.append(2 * int(geometry.linear(high * np.array(spacing), self.pitch)) + 2 * across)
        return max(spans) + 1

    def bases(self, place: Place) -> Integers:
        """The linear position of each value row's first lane, [height]."""
        return self._bases(place.grid, place.spacing, place.row_lanes or self.shape.lanes)

    def _bases(self, grid: tuple[int, ...], spacing: geometry.Spacing, used: int) -> Integers:
        positions = geometry.row_positions(grid, used)
        return geometry.linear(positions * np.array(spacing or 1), self.pitch)

    def run_steps(self, place: Placed) -> Integers:
        """The powers by which sums go on from row to row of a run, behind its first value, if any.

        Of psi, or of chi where it stands turned.
        """
        run = np.zeros(place.run_rows, np.int64)
        if place.reader is None and not place.gathered:
            return run[:0]
        run[place.lead + place.value_row + place.stride * np.arange(1, place.height)] = np.diff(self.bases(place))
        return run[place.run_rows - place.carried.shape[1] :]

    def reach(self, place: Place) -> int:
        """R: a run's sum gives the value at linear position p the power psi^(R - p); turned, P does."""
        if place.turned:
            return len(place.units) // place.turned - 1
        return int(self.bases(place)[-1]) + (self.shape.lanes - 1) * place.lane_spacing

    def taps(self, one: Contribution) -> Integers:
        """The linear positions of the taps of a contribution."""
        return geometry.linear(one.factor.offsets * np.array(self.spacings[one]), self.pitch)

    def shift(self, source: Place, one: Contribution, output: Place) -> int:
        """The power of psi that brings an input's sum, times its weights' sum, to the output's positions.

        It may be negative where rows end early: then the output needs a window ahead of the input's, with or without
        border terms.
        """
        return self.reach(output) - self.reach(source) + int(self.taps(one).min())

    @property
    def border_lanes(self) -> int:
        """The border terms of a row."""
        return min(self.shape.lanes, geometry.BORDER_LANES)

    def border_linear(self, place: Place) -> Integers:
        """The linear position of the last lane on a border place's rows after the first, which is empty.

        That of the last row, where nothing is, lies Omega beyond the output's R.
        """
        assert place.border is not None
        output = self.places[place.border.output]
        across = (self.border_lanes - 1) * place.lane_spacing
        ends: Integers = np.r_[place.border.starts + across, self.reach(output) + self.omega]
        return ends

    # Cells -----------------------------------------------------------------------------------------------------------

    @cached_property
    def unit_cells(self) -> tuple[Integers, Integers]:
        """The row and the lane of every unit of the builder."""
        rows, lanes = np.zeros((2, self.builder.unit_count), np.int64)
        for place in self.places:
            if place.block is not None:
                run, height, lane = np.nonzero(place.units >= 0)
                units = place.units[run, height, lane]
                rows[units], lanes[units] = place.rows_of(run, height, place.value_row), lane
        return rows, lanes

    @cached_property
    def shown(self) -> NDArray[np.str_]:
        """For every unit, the view of its cells that is its value."""
        views = np.full(self.builder.unit_count, "taken")
        for block in self.builder.blocks:
            views[block.units] = block.gives
        return views

    @cached_property
    def copied(self) -> Copied:
        """All copied cells."""
        parts: list[Integers] = []
        into: list[NDArray[np.str_]] = []
        for place in self.places:
            for operand in place.operands:
                run, height, lane = np.nonzero(operand.refs >= 0)
                rows, refs = place.rows_of(run, height, operand.take.row), operand.refs[run, height, lane]
                parts.append(np.stack([rows, lane, refs if operand.take.viewed else refs & ~1]))
                into.append(np.full(len(rows), operand.take.into))
            if place.above is not None:
                run, height, lane = np.nonzero(place.above >= 0)
                parts.append(np.stack([place.above_rows[run, height], lane, place.above[run, height, lane] & ~1]))
                into.append(np.full(len(lane), "taken"))
        rows, lanes, refs = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), np.int64)
        views = np.where(refs & 1 == 1, "positive", self.shown[refs >> 1])
        taking = np.concatenate(into) if into else np.zeros(0, "<U8")
        return Copied(rows, lanes, refs, *self._with_few_views(rows, lanes, refs, views, taking))

    def _with_few_views(
        self, rows: Integers, lanes: Integers, refs: Integers, views: NDArray[np.str_], into: NDArray[np.str_]
    ) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        """The views of originals and copies: where e is zero what is taken is the value, seen as what its lane needs.

        Each view of a lane costs the permutation a column.
        """
        origins = [of_units[refs >> 1] for of_units in self.unit_cells]
        cells = np.concatenate([views, into]), np.r_[origins[0], rows], np.r_[origins[1], lanes]
        kinds, at, of = cells
        either = np.isin(kinds, ["taken", "value"]) & ~self.extended_rows[at]
        for lane in range(self.shape.lanes):
            needed = set(kinds[~either & (of == lane)].tolist())
            kinds[either & (of == lane)] = "taken" if "taken" in needed and "value" not in needed else "value"
        return kinds[: len(refs)], kinds[len(refs) :]


def _plain(marks: Iterable[int | Integers]) -> bool:
    """Whether marks say the same of all units."""
    return all(isinstance(mark, int) for mark in marks)


def _border_units(border: Border, lanes: int) -> Integers:
    """The rows of a border, which hold no units: one before the terms, one behind them."""
    return np.full((1, len(border.starts) + 2, lanes), -1, np.int64)


def _uniform(block: Gadget, units: Integers) -> bool:
    """Whether each row's lanes agree on what the gadget's fixed columns say of a row."""
    parts = block.per_row()
    if not parts:
        return True
    local, first = (np.maximum(at - block.first, 0) for at in (units, first_present(units)[..., None]))
    return not any(np.any((units >= 0) & (part[local] != part[first])) for part in parts)
