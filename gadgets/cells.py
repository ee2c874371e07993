"""Cells: a tensor of references to units with its interval. Reshape, transpose, gather, concat re-index, for free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNED, POSITIVE = 0, 1  # the views of a unit: its value, or the value's positive part (its ReLU)


@dataclass(frozen=True, eq=False)
class Cells:
    """refs: int64 array of 2 * unit + view, or -1 for a zero that no cell holds. low and high bound every value."""

    refs: NDArray[np.int64]
    low: int
    high: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.refs.shape

    @property
    def reach(self) -> int:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    def _like(self, refs: NDArray[np.int64]) -> Cells:
        return Cells(refs, self.low, self.high)

    def reshape(self, *shape: Any) -> Cells:
        """As numpy's reshape."""
        return self._like(self.refs.reshape(*shape))

    def transpose(self, permutation: Sequence[int] | None = None) -> Cells:
        """As numpy's transpose."""
        return self._like(self.refs.transpose(permutation))

    def take(self, indices: Any, axis: int) -> Cells:
        """As numpy's take."""
        return self._like(np.take(self.refs, np.asarray(indices), axis))

    def broadcast_to(self, shape: Sequence[int]) -> Cells:
        """As numpy's broadcast_to."""
        return self._like(np.broadcast_to(self.refs, tuple(shape)).copy())

    def pad(self, widths: Sequence[tuple[int, int]]) -> Cells:
        """Zeros around, (before, after) for each axis; no cell holds them."""
        return Cells(np.pad(self.refs, widths, constant_values=-1), min(self.low, 0), max(self.high, 0))

    def __getitem__(self, key: Any) -> Cells:
        return self._like(np.atleast_1d(self.refs[key]) if np.ndim(self.refs[key]) == 0 else self.refs[key])

    @classmethod
    def concatenate(cls, parts: Sequence[Cells], axis: int) -> Cells:
        """As numpy's concatenate; the interval is the union."""
        low, high = min(p.low for p in parts), max(p.high for p in parts)
        return cls(np.concatenate([p.refs for p in parts], axis), low, high)


def descending(x: NDArray[np.int64]) -> bool:
    """Whether the channels of x [groups, channels, positions] are units in reverse: taken so, they may stand."""
    firsts = np.where(x < 0, np.iinfo(np.int64).max, x).min(axis=2)
    return x.shape[1] > 1 and bool(np.all(firsts[:, 1:] < firsts[:, :-1]))
