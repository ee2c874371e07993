"""A place: a rectangle of units in lanes, what is copied into it, and who reads it; then the rows that it gets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Gadget, Take
from plonnx.gadgets.lanes import BY_CHI
from plonnx.gadgets.linear.contribution import Asked, Contribution
from plonnx.layout.geometry import Border, Spacing

Integers = NDArray[np.int64]
Claim = tuple[bool, bool, int]  # public words of positive parts or of values, across lanes or down; bytes of a value


@dataclass(frozen=True, eq=False)
class Operand:
    """What is copied into a place's rows: refs [runs, height, lanes] (-1: nothing), as `take` says."""

    refs: Integers
    take: Take

    @cached_property
    def lanes(self) -> list[int]:
        """Those that take something."""
        return lanes_of(self.refs)


@dataclass(frozen=True, eq=False)
class Reader:
    """A contribution that reads a place: the number of the place of its outputs, and which view of each cell it reads.

    `channelwise`: the factor of a run's group is the power of chi that P holds. `present`: which cells it reads at all,
    of a place that holds more. `alone`: it takes a multiple of every channel, and needs no weights.
    """

    contribution: Contribution
    output: int
    present: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    channelwise: bool
    alone: bool = False

    @cached_property
    def signed(self) -> NDArray[np.bool_]:
        """Which cells it reads as they are, not as their positive parts."""
        return self.present & ~self.positive

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """The runs of which it reads something."""
        return np.asarray(self.present.reshape(len(self.present), -1).any(axis=1))


@dataclass(frozen=True, eq=False)
class Turn:
    """What a place whose runs take turns with another's (stacked.py) has of both.

    groups: the runs of a position. other: the rows of a run of the other place. upper: whether that is the one below.
    chi: the powers that the equations of the first group's runs have beyond P, and from group to group; psi: of all.
    second: of the lower place, refs [runs, rows, lanes] of all that stands above, and which of them are copies.
    """

    groups: int
    other: int
    upper: bool
    chi: tuple[int, int]
    psi: int
    second: Integers | None = None
    copies: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """Runs of rows. units: [runs, height, lanes], -1 where a lane ends early; copies name the unit that they copy."""

    name: str
    units: Integers
    grid: tuple[int, ...]
    block: Gadget | None = None  # None: a copy place, or rows for the border of the next place
    operands: tuple[Operand, ...] = ()
    border: Border | None = None
    spacing: Spacing = ()  # of its grid; ones where there is none
    row_lanes: int = 0  # how many lanes of a row its grid fills; 0 for all
    because: str = ""  # of a place of copies: why what it holds is not read where it stands
    turned: int = 0  # of how many groups of channels the runs are the positions (layout/geometry.py); 0: of none
    paired: bool = False  # whether every second run is the second factor of the one below it (layout/pairs.py)
    turn: Turn | None = None  # of a place whose runs take turns with another's

    @cached_property
    def least(self) -> int:
        """The least of the units; -1 where none is there."""
        return least(self.units)

    @property
    def runs(self) -> int:
        """Channels."""
        return len(self.units)

    @property
    def height(self) -> int:
        """Value rows of a run."""
        return int(self.units.shape[1])

    @property
    def lanes(self) -> int:
        """All lanes of a row."""
        return int(self.units.shape[2])

    @property
    def grid_lanes(self) -> int:
        """How many lanes of a row its grid fills."""
        return self.row_lanes or self.lanes

    @property
    def lane_spacing(self) -> int:
        """How far apart the positions of a row's lanes are."""
        if self.turned:
            return BY_CHI
        return self.border.spacing if self.border is not None else self.spacing[-1] if self.spacing else 1

    @property
    def equation_spacing(self) -> int:
        """The same of their equations."""
        return BY_CHI if self.turn is not None else self.lane_spacing

    @property
    def stride(self) -> int:
        """Rows of a value."""
        return 1 if self.block is None else self.block.stride

    @property
    def value_row(self) -> int:
        """The row of the stride that holds the value."""
        return 0 if self.block is None else self.block.value_row

    @property
    def used_lanes(self) -> int:
        """Lanes with units of their own."""
        return int(np.any(self.units >= 0, axis=(0, 1)).sum())

    @property
    def asks(self) -> Asked | None:
        """What its runs are looked up by."""
        return None if self.block is None else self.block.asks

    @property
    def equations(self) -> bool:
        """Whether the value rows hold equations."""
        return self.block is not None and self.block.equations

    @property
    def gathered(self) -> bool:
        """Whether the equations are gathered run by run; others stand alone on their rows."""
        return self.block is not None and self.block.channels is not None and self.height > 1

    @property
    def positions(self) -> int:
        """Of a place that stands turned, or takes turns: the runs of a group of channels."""
        return self.runs // (self.turned if self.turn is None else self.turn.groups)

    @property
    def upper(self) -> bool:
        """Whether another place's runs stand below each of its runs: that one has the rows."""
        return self.turn is not None and self.turn.upper

    @property
    def lower(self) -> bool:
        """Whether another place's runs stand above each of its runs."""
        return self.turn is not None and not self.turn.upper

    @property
    def width(self) -> int:
        """Of a place that stands turned: the channels of a group."""
        return self.grid[0]

    @property
    def idle(self) -> int:
        """Of a place that stands turned: the lanes of a run's rows that hold none of them."""
        return self.height * self.lanes - self.width

    @property
    def lends_a_lane(self) -> bool:
        """Whether a number of each run's position may stand beside its values: in the last lane of several rows' first.

        Nobody reads it there but as a second factor: no gadget says anything of that lane.
        """
        marks = () if self.block is None else self.block.marks(lambda function: 0)
        return bool(self.turned and self.height > 1 and self.idle and not set(marks) - {"bias"})

    @property
    def has_terms(self) -> bool:
        """Whether border terms stand here; a border without any does nothing but open a window."""
        return self.border is not None and len(self.border.starts) > 0

    @property
    def free_power(self) -> bool:
        """Whether nothing else decides P on these rows."""
        return not self.equations and self.border is None and not self.turned


@dataclass(frozen=True, eq=False)
class Placed(Place):
    """A place with its rows, its reader, and the powers that P holds there."""

    reader: Reader | None = None
    sharing: tuple[Reader, ...] = ()  # who read it as the reader does, with weights above the reader's
    others: tuple[Reader, ...] = ()  # who read it as the reader does and take multiples alone
    squared: tuple[Reader, ...] = ()  # who take its squares
    above: Integers | None = None  # refs [runs, rows, lanes] that are copied above each run, for its reader
    beside: bool = False  # whether they stand in a lane of its first row instead
    groups: int = 1  # consecutive runs that share a power of chi, where P is there for those who read channelwise
    claims: frozenset[Claim] = frozenset()  # public words taken here
    per_word: int = 1
    row: int = 0
    run_rows: int = 1
    exponent: int = 0  # of chi in P on the first run (or value row)
    tail: int = 0  # rows of a run below its values
    window: int = 0  # of psi^Omega in P
    turns: int = 0  # of psi in P besides, on the first run

    @property
    def rows(self) -> int:
        """All rows of its own."""
        return self.runs * (self.run_rows - (0 if self.turn is None else self.turn.other))

    @property
    def below(self) -> int:
        """The rows of another place below each run."""
        return self.turn.other if self.turn is not None and self.turn.upper else 0

    @property
    def lead(self) -> int:
        """Rows of a run before its first value: the values end it, so that weights of many rows meet the last.

        But for what it is looked up by, which stands below.
        """
        return self.run_rows - self.height * self.stride - self.tail - self.below

    def rows_at(self, at: int) -> Integers:
        """The rows number `at` of each stride, [runs, height]."""
        return self.rows_of(np.arange(self.runs)[:, None], np.arange(self.height), at)

    def rows_of(self, runs: Integers, height: Integers, at: int) -> Integers:
        """The rows number `at` of the strides of these values."""
        return self.row + self.lead + at + self.run_rows * runs + self.stride * height

    @property
    def above_rows(self) -> Integers:
        """The rows where the reader's second factor is copied, right above the values or beside them: [runs, rows]."""
        if self.beside:
            return self.value_rows[:, :1]
        count = 0 if self.above is None else self.above.shape[1]
        return self.row + self.run_rows * np.arange(self.runs)[:, None] + self.lead - count + np.arange(count)

    @property
    def value_rows(self) -> Integers:
        """The rows of the values, [runs, height]."""
        return self.rows_at(self.value_row)

    @property
    def second_rows(self) -> Integers | None:
        """The rows of the second factors of the runs that are read: copies, or every other run. [.., rows]."""
        return self.value_rows[::2] if self.paired else None if self.above is None else self.above_rows

    @property
    def second_refs(self) -> Integers:
        """What stands there, [.., rows, lanes]."""
        assert self.paired or self.above is not None, "there are second factors"
        if self.turn is not None and self.turn.second is not None:
            return self.turn.second
        return 2 * self.units[::2] if self.above is None else self.above

    @property
    def power_ahead(self) -> int:
        """The power of chi that second factors which stand have more than copies of them: lanes of their last row."""
        return int(np.count_nonzero(self.units[0] < 0)) if self.paired else 0

    @property
    def term_rows(self) -> Integers:
        """The rows of border terms."""
        return self.row + 1 + (np.zeros(0, np.int64) if self.border is None else self.border.stands)

    @property
    def last_rows(self) -> Integers:
        """The last row of each run."""
        return self.row + self.run_rows * (1 + np.arange(self.runs)) - 1 - self.below

    @property
    def read_rows(self) -> Integers:
        """The row of each run on which its readers meet what it sums up: that of its last value."""
        return self.last_rows - self.tail

    @cached_property
    def chi_steps(self) -> Integers:
        """The rows after which P takes the next power of chi."""
        by_run, count, share = self._chi_shares
        ends = np.minimum(np.arange(share - 1, count + share - 1, share), count - 1)
        return (self.last_rows if by_run else self.value_rows.reshape(-1))[ends]

    @property
    def chi_count(self) -> int:
        """How many these are."""
        _, count, share = self._chi_shares
        return -(-count // share)

    @property
    def _chi_shares(self) -> tuple[bool, int, int]:
        """Whether they are the last rows of runs or those of values; how many; and how many share a power of chi."""
        values = self.runs * self.height
        if self.turned or self.turn is not None:
            return True, 0, 1
        if self.gathered:
            return True, self.runs, 1
        if self.equations:
            return False, values, 1
        if self.reader is not None and (self.reader.channelwise or self.others):
            return True, self.runs, self.groups
        if any(across for _, across, _ in self.claims):
            return False, values, 1
        return False, values if self.claims else 0, self.per_word

    @property
    def carried(self) -> Integers:
        """The rows on which what a run has summed up goes on, [runs, rows]: from behind its first value to the last."""
        return self.last_rows[:, None] - np.arange(self.run_rows - self.lead - self.below - self.value_row - 1)[::-1]


def lanes_of(refs: Integers) -> list[int]:
    """The lanes in which something is there: refs [.., lanes]."""
    return np.flatnonzero((refs >= 0).reshape(-1, refs.shape[-1]).any(axis=0)).tolist()


def least(units: Integers) -> int:
    """The least of the units that are there; -1 where none is."""
    there = units[units >= 0]
    return int(there.min()) if there.size else -1


def present(refs: Integers, rows: Integers) -> tuple[Integers, Integers, Integers]:
    """What is there of refs [.., lanes], which stand on `rows` [..]: the refs, flat, with each one's row and lane."""
    there = refs >= 0
    on, lanes = (np.broadcast_to(each, refs.shape) for each in (rows[..., None], np.arange(refs.shape[-1])))
    return refs[there], on[there], lanes[there]


def border_units(border: Border, lanes: int) -> Integers:
    """The rows of a border, which hold no units: one before the terms, one behind them."""
    return np.full((1, len(border.starts) + 2, lanes), -1, np.int64)


def first_present(refs: Integers) -> Integers:
    """The first of each row's lanes that is there, -1 where none is: [.., lanes] -> [..]."""
    first = refs[..., 0]
    if np.all(first >= 0):
        return first
    return np.take_along_axis(refs, np.argmax(refs >= 0, axis=-1)[..., None], axis=-1)[..., 0]
