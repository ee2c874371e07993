"""What one layer adds to the linear check: the cells that it reads in place, and the factor that comes to them.

The second factor is fixed weights, or an accumulator over computed cells.

Imports no sympy: the prover and the cost model use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.keys import Monomial
from plonnx.plonk.program import INVERSE_PSI, PSI

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Weights:
    """W [channels, taps, J] at offsets [taps, axes] of fixed cells, in groups of channels of their own.

    What brings them to a channel is the sum over taps and outputs of chi^j psi^lin(offset) W: rows of C fixed columns
    in any number, on the last rows of the channel's run.
    """

    values: Integers
    offsets: Integers
    groups: int = 1
    hides: Integers | None = None  # of a hidden model, 1 where a weight is secret; None: all are

    @property
    def secret(self) -> Integers:
        """`hides` of every weight."""
        return np.broadcast_to(np.int64(1) if self.hides is None else self.hides, self.values.shape)

    @property
    def known(self) -> Integers | None:
        """The weights that are no secrets, zeros for the others; None where all are secret."""
        return None if self.hides is None else np.where(self.hides, 0, self.values)

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return int(self.values.shape[2])

    @cached_property
    def multiples(self) -> tuple[int, ...] | None:
        """The number that every channel is taken by at each tap, where a few taps are all that a channel has."""
        alone = self.groups == len(self.values) and self.outputs == 1 and len(self.offsets) <= MOST_MULTIPLES
        alike = alone and self.hides is None and not np.any(self.values != self.values[0])
        return tuple(self.values[0, :, 0].tolist()) if alike else None

    def above(self, lanes: int) -> None:
        """Nothing stands above a channel's run."""

    def rows(self, columns: int) -> int:
        """The rows that the weights of one channel take."""
        return len(self.offsets) * -(-self.outputs // columns)

    def order(self, at: Integers) -> Integers:
        """Taps by descending linear position `at` [taps] of their offset, as Horner's rule takes them."""
        return np.argsort(-at, kind="stable")

    def grid(self, columns: int, at: Integers, values: Integers) -> Integers:
        """Values of the weights' shape as they stand: [channels, rows, columns].

        Blocks of outputs from the last to the first, each with its taps in `order`.
        """
        chosen = values[:, self.order(at)]
        channels, taps, outputs = chosen.shape
        blocks = -(-outputs // columns)
        padded = np.zeros((channels, taps, blocks * columns), values.dtype)
        padded[:, :, :outputs] = chosen
        grid = padded.reshape(channels, taps, blocks, columns).transpose(0, 2, 1, 3)[:, ::-1]
        return grid.reshape(channels, -1, columns)

    def holds(self, columns: int, at: Integers) -> list[Monomial]:
        """What the sum so far is multiplied by after each row of `grid` but the last.

        From tap to tap by the power of psi between them; on to the next block of outputs by chi^C, and back to the
        first tap's power: by 1/psi to the span of the taps.
        """
        falling = at[self.order(at)]
        taps = [((PSI, step),) if step else () for step in (-np.diff(falling)).tolist()]
        span = int(falling[0] - falling[-1])
        onward: Monomial = (("chi", columns), *(((INVERSE_PSI, span),) if span else ()))
        blocks = -(-self.outputs // columns)
        return [*taps, *[step for _ in range(blocks - 1) for step in (onward, *taps)]]


MOST_MULTIPLES = 8
"""Of a tap each: the verifier computes a monomial for every one."""
MOST_TAPS = 8
"""Of a line of weights: each takes a fixed column, whose commitment the contract reads."""


class Lines(Weights):
    """Weights of one output, of which a row holds a line of taps: the taps that differ on the last axis alone.

    The first of a line stands in the first weight column, others in columns `beside` it, one for each power of psi that
    is between them and the first: a 3x3 kernel takes three rows.
    """

    @property
    def longest(self) -> int:
        """The most taps of a line."""
        return int(np.bincount(self._lines[0]).max())

    @cached_property
    def _lines(self) -> tuple[Integers, Integers]:
        """Of every tap, the number of its line; of every line, its first tap."""
        _, line = np.unique(self.offsets[:, :-1], axis=0, return_inverse=True)
        line = line.reshape(-1)
        order = np.lexsort((self.offsets[:, -1], line))
        return line, order[np.r_[True, np.diff(line[order]) > 0]]

    def rows(self, columns: int) -> int:
        """One for each line."""
        return len(self._lines[1])

    def order(self, at: Integers) -> Integers:
        """The first taps of the lines, by descending linear position."""
        first = self._lines[1]
        return first[np.argsort(-at[first], kind="stable")]

    def beside(self, at: Integers) -> dict[int, Integers]:
        """By power of psi: for each row, the tap that stands in that column, -1 where none does."""
        line, first = self._lines
        found: dict[int, Integers] = {}
        row = np.argsort(np.argsort(-at[first], kind="stable"), kind="stable")
        for tap in range(len(at)):
            power = int(at[tap] - at[first[line[tap]]])
            if power:
                found.setdefault(power, np.full(len(first), -1))[row[line[tap]]] = tap
        return found


@dataclass(frozen=True, eq=False)
class Accumulator:
    """B [channels, J]: refs of computed values, in groups of channels of their own, times `multiplier`.

    What brings them to a channel is sum_j chi^j B over copies that stand above the channel's run. One tap, no offset.
    """

    refs: Integers
    groups: int = 1
    multiplier: int = 1

    @property
    def offsets(self) -> Integers:
        """None but zero."""
        return np.zeros((1, 1), np.int64)

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return int(self.refs.shape[1])

    def rows(self, columns: int) -> int:
        """No weights ride on the channel's rows."""
        return 0

    def above(self, lanes: int) -> Integers:
        """[channels, rows, lanes]: the refs above each run, by falling power of chi, which ends at chi^0."""
        channels, count = self.refs.shape
        missing = -count % lanes
        padded = np.pad(self.refs[:, ::-1], ((0, 0), (missing, 0)), constant_values=-1)
        return padded.reshape(channels, -1, lanes)


@dataclass(frozen=True, eq=False)
class RowFactors(Accumulator):
    """s [groups, positions]: refs of computed values; each position of a group's `width` channels is multiplied by one.

    y[o, p] += multiplier s[g, p] x[o, p]. What it reads stands turned: a run for each group and position, with one
    factor above it.
    """

    width: int = 1

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.width

    def above(self, lanes: int) -> Integers:
        """One ref above each run, in the last lane: at chi^0."""
        made = np.full((self.refs.size, 1, lanes), -1, np.int64)
        made[:, 0, -1] = self.refs[:, ::-1].reshape(-1)
        return made


@dataclass(frozen=True, eq=False)
class Squares:
    """y[0, p] += multiplier sum_c x[c, p]^2: each row adds its own. What it reads stands turned: a run a position."""

    multiplier: int
    groups: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    @property
    def offsets(self) -> Integers:
        """None but zero."""
        return np.zeros((1, 1), np.int64)

    def rows(self, columns: int) -> int:
        """Nothing stands on the rows but what is read."""
        return 0

    def above(self, lanes: int) -> None:
        """Nor above them."""


class Magnitudes(Squares):
    """y[0, p] += multiplier sum_c |x[c, p]|, as sums of squares: |v| is a + b."""


Factor = Weights | Accumulator | Squares


@dataclass(frozen=True, eq=False)
class Contribution:
    """y[o, p] += sum over the group's channels c and taps t of W[c, t, j] x[c, s p + offsets[t]], o = group * J + j.

    x: refs [channels, *grid], zero outside its grid; p runs over `shape`, of as many axes; s are its strides, ones
    where there are none. W are fixed weights, or the values of an accumulator.

    With `marks` it adds to no equation: what the second factor sums up is looked up instead (embedding.py). They are
    fixed columns by name, a number for each channel, on the last row of its run; x is copied there, of computed values.
    """

    x: Integers
    factor: Factor
    shape: tuple[int, ...]
    marks: Mapping[str, Integers] = field(default_factory=dict)
    strides: tuple[int, ...] = ()

    @property
    def loose(self) -> bool:
        """Whether it reads no cell: its weights are looked up, and may stand on anyone's rows."""
        return bool(self.marks) and isinstance(self.factor, Weights)

    @property
    def turned(self) -> bool:
        """Whether what it reads stands turned (layout/geometry.py)."""
        return isinstance(self.factor, RowFactors | Squares)

    @property
    def elementwise(self) -> bool:
        """Whether it reads position by position, along one axis."""
        alone = len(self.shape) == len(self.factor.offsets) == 1 and not np.any(self.factor.offsets)
        return alone and self.x.shape[1:] == self.shape and not np.any(self.steps != 1)

    @property
    def steps(self) -> Integers:
        """The strides, [axes]."""
        return np.array(self.strides or (1,) * len(self.shape), np.int64)


class Asked(NamedTuple):
    """What the runs of a gadget that stands turned are looked up by, a number for each run (standing_rows.py).

    keys: refs that are copied into the first lane of each run's last row. marks: fixed columns there, by name. weights:
    what is added to the sum of the run's values, on its last rows; None where nothing is.
    """

    keys: Integers
    marks: Mapping[str, Integers]
    weights: Weights | None

    def rows(self, columns: int) -> int:
        """The rows below a run's values."""
        return 1 if self.weights is None else self.weights.rows(columns)


def multiple(x: Integers, factor: int, alike: int = 1) -> Contribution:
    """x [channels, *grid] times a number, by a weight for each channel, of which so many in a row are one."""
    read, offset = x[::alike], np.zeros((1, x.ndim - 1), np.int64)
    weights = Weights(np.full((len(read), 1, alike), factor), offset, len(read))
    return Contribution(read, weights, x.shape[1:])


@dataclass(frozen=True, eq=False)
class Reading:
    """Where a group of a contribution meets its second factor: the last rows of its channels' runs, and their factor.

    The factor is `multiplier` times a monomial in chi and psi, and what weights sum up to, or computed cells, but where
    it reads `alone`. `by_power`: P, the row's powers, is a factor too. `last`: for a and for b,
    [rows, lanes], whether the lane holds a value on that row whose a, or whose b, is read.

    One may stand for several groups, or layers: those whose monomials are one after P.
    """

    rows: Integers
    monomial: Monomial
    by_power: bool
    spacing: int  # of the lanes: lane l holds what psi^(spacing (L-1-l)) comes to, of BY_CHI what chi^(L-1-l) does
    alone: bool  # without a second factor
    multiplier: int
    last: tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Squared:
    """Where a contribution takes the squares of what stands on a row: rows, and their factor, as of a Reading, times P.

    magnitudes: |v| is taken instead of v^2. cells: [rows, lanes], whether the lane's value is squared, and whether its
    positive part is.
    """

    rows: Integers
    monomial: Monomial
    multiplier: int
    magnitudes: bool
    cells: tuple[NDArray[np.bool_], NDArray[np.bool_]]


def gather_index(positions: Integers, offsets: Integers, grid: tuple[int, ...]) -> Integers:
    """The flat index in `grid` of position + offset, or the grid's size where that is outside: [taps, positions]."""
    at = positions[None, :, :] + offsets[:, None, :]
    inside = np.all((at >= 0) & (at < np.array(grid)), axis=2)
    strides = np.cumprod([1, *grid[:0:-1]])[::-1]
    return np.where(inside, at @ strides, int(np.prod(grid, dtype=np.int64)))


Slices = tuple[slice, ...]


def overlap(
    offset: Sequence[int], shape: Sequence[int], grid: Sequence[int], strides: Sequence[int]
) -> tuple[Slices, Slices] | None:
    """Where a tap meets the grid: the positions p for which stride p + offset is inside, and what they read there."""
    axes = list(zip(offset, shape, grid, strides, strict=True))
    inside = [(max(0, -(at // by)), min(size, -((at - extent) // by))) for at, size, extent, by in axes]
    if any(low >= high for low, high in inside):
        return None
    ends = zip(inside, offset, strides, strict=True)
    read = [slice(low * by + at, (high - 1) * by + at + 1, by) for (low, high), at, by in ends]
    return tuple(slice(*ends) for ends in inside), tuple(read)
