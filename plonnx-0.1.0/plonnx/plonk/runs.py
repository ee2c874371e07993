"""A column of integers by what it holds: runs of values, each at its own width. So keys hold them, on disk and here.

Of a weight column one cell in ten holds a weight, and few weights are wide; the permutation maps most cells to
themselves. A run has no two zeros in a row and ends on values that are not zero: where it ends follows from the column,
so that equal columns have equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import container
from plonnx.kzg.record import Record, require

GAP = 2  # zeros that end a run: one of them is cheaper to hold than a further run
WIDTHS: tuple[type[np.signedinteger[Any]], ...] = (np.int8, np.int16, np.int32, np.int64)
MOST_ROWS = (1 << 31) - 1

Integers = NDArray[np.int64]


class Part(NamedTuple):
    """The runs of one width: run i holds the next lengths[i] values, on the rows from starts[i] on."""

    starts: NDArray[np.int32]
    lengths: NDArray[np.int32]
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Runs:
    """A column of `rows` integers; `parts` are its runs by width, one part for each of WIDTHS."""

    rows: int
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, column: NDArray[Any]) -> Runs:
        """The runs of a column."""
        held = np.flatnonzero(column)
        ends = np.flatnonzero(np.diff(held) > GAP)
        starts = held[np.r_[0, ends + 1]] if len(held) else held
        lengths = held[np.r_[ends, len(held) - 1]] + 1 - starts if len(held) else held
        values = column[_ranges(starts, lengths)]
        codes = _widest(values, lengths)
        by_cell, starts, lengths = np.repeat(codes, lengths), starts.astype(np.int32), lengths.astype(np.int32)
        parts = [
            Part(starts[codes == code], lengths[codes == code], values[by_cell == code].astype(width))
            for code, width in enumerate(WIDTHS)
        ]
        return cls(len(column), tuple(parts))

    def __len__(self) -> int:
        return self.rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The column itself, in the narrowest type."""
        kind = next(
            (width for part, width in reversed([*zip(self.parts, WIDTHS, strict=True)]) if len(part.values)), np.int8
        )
        column = np.zeros(self.rows, dtype or kind)
        for part in self.parts:
            column[_ranges(part.starts, part.lengths)] = part.values
        return column

    def cells(self) -> tuple[Integers, Integers]:
        """The rows that runs lie on, and what stands there: few of these are zero, all others are."""
        rows = [_ranges(part.starts, part.lengths) for part in self.parts]
        return np.concatenate(rows), np.concatenate([part.values.astype(np.int64) for part in self.parts])


def combine(columns: Sequence[Runs], factors: Sequence[int], length: int) -> _native.Vec:
    """sum factor_i * column_i on `length` rows: what the columns do not hold costs nothing."""
    parts = [
        (p, factor) for column, factor in zip(columns, factors, strict=True) for p in column.parts if len(p.starts)
    ]
    return _native.combine_runs([part for part, _ in parts], [factor for _, factor in parts], length)


def _ranges(starts: NDArray[Any], lengths: NDArray[Any]) -> Integers:
    """The rows of all runs, one run after another."""
    before = np.cumsum(lengths, dtype=np.int64) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(np.sum(lengths)))


def _widest(values: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """For each run the number of the narrowest type that holds its values."""
    if not len(lengths):
        return np.zeros(0, np.int64)
    first = np.cumsum(lengths) - lengths
    low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    limits = [np.iinfo(width) for width in WIDTHS[:-1]]
    beyond: NDArray[np.int64] = np.sum([(low < at.min) | (high > at.max) for at in limits], axis=0, dtype=np.int64)
    return beyond


def encode(columns: Sequence[Runs], name: str) -> container.Arrays:
    """The arrays that hold columns in a file; equal columns give equal arrays."""
    parts = [(number, code, part) for number, c in enumerate(columns) for code, part in enumerate(c.parts)]
    counts = np.array([len(part.starts) for _, _, part in parts], np.int64)
    column, codes = (np.repeat(np.array([p[i] for p in parts], np.int64), counts) for i in (0, 1))
    starts, lengths = (_joined([getattr(part, a) for _, _, part in parts]) for a in ("starts", "lengths"))
    order = np.lexsort((starts, column))
    column, codes, starts, lengths = (a[order] for a in (column, codes, starts, lengths))
    before = np.r_[0, (starts + lengths)[:-1]] if len(starts) else starts
    before[np.flatnonzero(np.diff(column, prepend=-1))] = 0
    arrays = {
        "rows": np.array([c.rows for c in columns], np.int64),
        "runs": np.bincount(column, minlength=len(columns)),
        "gaps": starts - before,
        "lengths": lengths,
        "widths": codes,
    }
    made = {f"{name}.{key}": container.narrow(array) for key, array in arrays.items()}
    for code, width in enumerate(WIDTHS):
        values = [c.parts[code].values for c in columns]
        made[f"{name}.{np.dtype(width).name}"] = np.concatenate([np.zeros(0, width), *values])
    return made


def decode(held: Record, name: str, count: int) -> list[Runs]:
    """The inverse of `encode`; Malformed for what it never gives."""
    rows, runs = (held.array(f"{name}.{key}", shape=(count,)).astype(np.int64) for key in ("rows", "runs"))
    gaps, lengths, codes = (
        held.array(f"{name}.{key}", shape=1).astype(np.int64) for key in ("gaps", "lengths", "widths")
    )
    require(
        bool(np.all((rows >= 0) & (rows <= MOST_ROWS) & (runs >= 0) & (runs <= MOST_ROWS))),
        f"{name}: a column of no length",
    )
    require(len(gaps) == len(lengths) == len(codes) == int(runs.sum()), f"{name}: runs are missing")
    column = np.repeat(np.arange(count), runs)
    first = np.diff(column, prepend=-1) != 0
    small = np.all((lengths > 0) & (lengths <= MOST_ROWS) & (gaps <= MOST_ROWS) & (codes >= 0) & (codes < len(WIDTHS)))
    require(bool(small and np.all(gaps >= np.where(first, 0, GAP))), f"{name}: runs that are one, or none")
    after = np.cumsum(gaps + lengths)
    stops = after - np.maximum.accumulate(np.where(first, after - gaps - lengths, 0)) if len(after) else after
    require(bool(np.all(stops <= rows[column])), f"{name}: a run ends beyond its column")
    parts = []
    for code, width in enumerate(WIDTHS):
        chosen = np.flatnonzero(codes == code)
        values = held.array(f"{name}.{np.dtype(width).name}", width, 1)
        _check_values(values, lengths[chosen], code, name)
        starts, sizes = ((stops - lengths)[chosen].astype(np.int32), lengths[chosen].astype(np.int32))
        bounds = np.searchsorted(column[chosen], np.arange(count + 1))
        ends = np.r_[0, np.cumsum(lengths[chosen])][bounds]
        pieces = ((starts, bounds), (sizes, bounds), (values, ends))
        cut = [[array[a:b] for a, b in pairwise(at.tolist())] for array, at in pieces]
        parts.append([Part(*each) for each in zip(*cut, strict=True)])
    return [Runs(int(size), tuple(each)) for size, *each in zip(rows, *parts, strict=True)]


def _check_values(values: NDArray[Any], lengths: Integers, code: int, name: str) -> None:
    """Refuse runs that are not as long, or not as narrow, as they would be made."""
    require(int(lengths.sum()) == len(values), f"{name}: values are missing")
    zero = values == 0
    ends = np.cumsum(lengths)
    whole = not np.any(zero[ends - lengths] | zero[ends - 1]) and not np.any(zero[1:] & zero[:-1])
    require(bool(whole), f"{name}: a run ends on a zero, or has two in a row")
    require(bool(np.all(_widest(values, lengths) == code)), f"{name}: a run is wider than its values")


def _joined(arrays: Sequence[NDArray[Any]]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *arrays])
