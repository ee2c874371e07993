"""A place: a rectangle of units in rows and lanes, what is copied into it, and who reads it (layout/planner.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import Block, Convolution, Linear, Maximum, Product, Sum
from plonnx.layout.geometry import Border

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Operand:
    """What is copied into a place's rows: refs [runs, height, lanes] (-1: nothing), to the row `at` of each stride.

    `viewed`: the value that the ref shows is copied; otherwise its unit's, and the reader takes the view.
    """

    refs: Integers
    at: int
    viewed: bool = False


@dataclass(frozen=True, eq=False)
class Reader:
    """A convolution that reads a place: where it puts its outputs, and which view of each cell it reads.

    `channelwise`: the factor of a run's group is the power of chi that P holds.
    """

    block: Convolution
    output: Place
    positive: NDArray[np.bool_]
    channelwise: bool


@dataclass(eq=False)
class Place:
    """Runs of rows. units: [runs, height, lanes], -1 where a lane ends early; copies name the unit that they copy."""

    name: str
    units: Integers
    grid: tuple[int, ...]
    block: Block | None = None  # None: a copy place
    operands: list[Operand] = field(default_factory=list)
    reader: Reader | None = None
    border: Border | None = None  # rows for the border of the next place's convolution
    stride: int = 1  # rows of a value
    run_rows: int = 1
    lead: int = 0  # rows of a run before its first value
    row: int = 0
    exponent: int = 0  # of chi in P on the first run (or value row)
    window: int = 0  # of psi^Omega in P
    horner: bool = False  # an output whose equations are gathered run by run
    direct: bool = False  # read on the value's row, which ends its run
    groups: int = 1  # consecutive runs that share a power of chi, where P is there for a channelwise reader
    claims: set[tuple[bool, bool]] = field(default_factory=set)  # public (view, across lanes) taken
    per_word: int = 1

    @property
    def runs(self) -> int:
        """Channels."""
        return len(self.units)

    @property
    def height(self) -> int:
        """Value rows of a run."""
        return int(self.units.shape[1])

    @property
    def used_lanes(self) -> int:
        """Lanes with units of their own."""
        return int(np.any(self.units >= 0, axis=(0, 1)).sum())

    @property
    def lone(self) -> bool:
        """Whether each run is one value in the first lane."""
        return self.height == 1 and not np.any(self.units[:, :, 1:] >= 0)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.runs * self.run_rows

    @property
    def equations(self) -> bool:
        """Whether the value rows hold equations."""
        return isinstance(self.block, Linear)

    @property
    def has_terms(self) -> bool:
        """Whether border terms stand here; a border without any does nothing but open a window."""
        return self.border is not None and len(self.border.starts) > 0

    @property
    def free_power(self) -> bool:
        """Whether nothing else decides P on these rows."""
        return not self.equations and self.border is None

    def rows_at(self, at: int) -> Integers:
        """The rows number `at` of each stride, [runs, height]."""
        first = self.row + self.lead + self.run_rows * np.arange(self.runs)[:, None]
        return first + self.stride * np.arange(self.height) + at

    @property
    def value_rows(self) -> Integers:
        """The rows of the values, [runs, height]."""
        return self.rows_at(0 if isinstance(self.block, Product) else self.stride - 1)

    @property
    def last_rows(self) -> Integers:
        """The last row of each run."""
        return self.row + self.run_rows * (1 + np.arange(self.runs)) - 1


def first_present(refs: Integers) -> Integers:
    """The first of each row's lanes that is there, -1 where none is: [.., lanes] -> [..]."""
    return np.take_along_axis(refs, np.argmax(refs >= 0, axis=-1)[..., None], axis=-1)[..., 0]


def stride_of(block: Block) -> int:
    """The rows of one value with its operands."""
    if isinstance(block, Sum):
        return 1 + len(block.terms)
    if isinstance(block, Maximum):
        return 1 + len(block.candidates)
    return 2 if isinstance(block, Product) else 1


def weight_rows(block: Convolution, columns: int) -> int:
    """The rows that the weights of one channel take."""
    return len(block.offsets) * int(-(-block.weights.shape[2] // columns))
