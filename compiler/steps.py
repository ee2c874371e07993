"""Data in steps: columns whose values are an offset and whole multiples of a step, as ages, prices and ratings are.

    18, 21, 22, 30          0.1, 0.3, 0.4          (age - 43) / 11.5, scaled beforehand

Values that are on such a grid but not in the data will come, and a tree's midpoint of two of them is often a third.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from plonnx.compiler.graph import Array

_FEWEST = 6
"""Different values that a grid takes to be believed."""
FINEST = 2.0**-11
"""The least step of a grid, of the values' largest magnitude."""
_EXACT = 2.0**-21
"""How far values may be from their grid, of their magnitude: some float32 roundings."""
_NEAR = 16
"""Times that a line by least squares may miss values which are on a grid: of most columns it misses one by far more."""
_ROUNDS = 32
_DIGITS = 6
"""The most digits after the point of decimals that are tried."""
_NEARLY = 0.95
"""The share of values that are on such a grid, to the float32."""


class Grid(NamedTuple):
    """Places offset + k step, 0 <= k < count."""

    offset: float
    step: float
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls

    @property
    def places(self) -> Array:
        """All of them, as the float32 that data would have there."""
        return self._at(np.arange(self.count))

    def nearest(self, values: Array) -> Array:
        """The places next to some values."""
        return self._at(np.clip(np.rint((values - self.offset) / self.step), 0, self.count - 1))

    def _at(self, k: Array) -> Array:
        places: Array = (self.offset + self.step * k).astype(np.float32).astype(np.float64)
        return places


def grid_of(column: Array) -> Grid | None:
    """The coarsest grid that a column [n] of numbers is on, from its least to its largest value; None without one."""
    values = np.unique(column.astype(np.float64))
    if len(values) < _FEWEST:
        return None
    size, gaps = float(np.abs(values).max()), np.diff(values)
    for parts in (1, 2, 3):
        step = float(gaps.min()) / parts
        if step < FINEST * size:
            return None
        k = np.rint(gaps / step)
        step = float(gaps.sum() / k.sum())
        k = np.concatenate([[0.0], np.cumsum(np.rint(gaps / step))])
        around = k - k.mean()
        beside = values - values.mean() - around * (around @ values) / (around @ around)
        if np.abs(beside).max() > _NEAR * _EXACT * size:
            continue
        step, offset = _plain(k, values, *_fitted(k, values))
        if np.abs(values - offset - step * k).max() <= _EXACT * size:
            return Grid(offset, step, int(k[-1]) + 1)
    return None


def _fitted(k: Array, values: Array) -> tuple[float, float]:
    """Step and offset by which every value is the float32 next to its place, or nearly so; by least squares at first.

    Then what is further off than half a float32's step is projected on it, again and again.
    """
    step, offset = np.polyfit(k, values, 1)
    half = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64) / 2
    for _ in range(_ROUNDS):
        error = values - offset - step * k
        beyond = error - np.clip(error, -half, half)
        if not beyond.any():
            break
        more, up = np.polyfit(k, beyond, 1, w=beyond != 0) if np.count_nonzero(beyond) > 1 else (0.0, beyond.sum())
        step, offset = step + more, offset + up
    return float(step), float(offset)


def _plain(k: Array, values: Array, step: float, offset: float) -> tuple[float, float]:
    """The step and offset as short decimals, or as a whole number's parts, where nearly all values are exactly there.

    A fit says little of the last bit: of 279 places between 1.1 and 3.88, by hundredths, 13 were the float32 beside.
    """
    parts = max(float(np.rint(1 / step)), 1.0)
    tried = [(round(step, digits), round(offset, digits)) for digits in range(_DIGITS + 1)]
    tried += [(1 / parts, float(np.rint(offset * parts)) / parts), (step, offset)]
    held = values.astype(np.float32)
    hits = [np.count_nonzero((start + width * k).astype(np.float32) == held) for width, start in tried]
    return tried[int(np.argmax(hits))] if max(hits) >= _NEARLY * len(held) else (step, offset)


def with_places(seen: Array, most: int = 1 << 22) -> Array:
    """Samples [n, ..] and more rows that hold, in every entry on a grid, the grid's other places.

    Rows are filled with values that an entry has; there are at most `most` more numbers.
    """
    flat = seen.reshape(len(seen), -1)
    grids = [grid_of(column) for column in flat.T]
    rows = max((grid.count for grid in grids if grid is not None), default=0)
    if not rows or rows * flat.shape[1] > most:
        return seen
    added = np.repeat(flat[:1].astype(np.float64), rows, axis=0)
    for entry, grid in enumerate(grids):
        if grid is not None:
            k = np.rint((flat[:, entry] - grid.offset) / grid.step).astype(np.int64)
            free = np.delete(grid.places, np.unique(np.clip(k, 0, grid.count - 1)))
            added[: len(free), entry] = free
    return np.concatenate([seen, added.reshape(rows, *seen.shape[1:])])
