"""What one layer adds to the linear check: the cells that it reads in place, and the weights that come to them.

Imports no sympy: the prover and the cost model use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.keys import Monomial

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

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return int(self.values.shape[2])

    def rows(self, columns: int) -> int:
        """The rows that the weights of one channel take."""
        return len(self.offsets) * -(-self.outputs // columns)

    def order(self, at: Integers) -> Integers:
        """Taps by descending linear position `at` [taps] of their offset, as Horner's rule takes them."""
        return np.argsort(-at, kind="stable")

    def grid(self, columns: int, at: Integers) -> Integers:
        """[channels, rows, columns]: each channel's rows from the first to the last."""
        channels, _, outputs = self.values.shape
        blocks = -(-outputs // columns)
        padded = np.zeros((channels, len(self.offsets), blocks * columns), np.int64)
        padded[:, :, :outputs] = self.values
        order = self.order(at)
        grid = padded[:, order].reshape(channels, len(order), blocks, columns)[:, :, ::-1]
        return grid.reshape(channels, -1, columns)

    def holds(self, columns: int, at: Integers) -> list[Monomial]:
        """What the sum so far is multiplied by after each row of `grid` but the last."""
        blocks = -(-self.outputs // columns)
        steps = -np.diff(at[self.order(at)])
        if len(self.offsets) == 1:
            return [(("chi", columns),)] * (blocks - 1)
        if blocks > 1:
            raise ValueError(f"{self.outputs} outputs at several taps need as many weight columns")
        return [(("psi", int(step)),) if step else () for step in steps.tolist()]


@dataclass(frozen=True, eq=False)
class Contribution:
    """y[o, p] += sum over the group's channels c and taps t of W[c, t, j] x[c, p + offsets[t]], o = group * J + j.

    x: refs [channels, *grid], zero outside its grid; p runs over `shape`, of as many axes.
    """

    x: Integers
    weights: Weights
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """Where a group of a contribution meets its weights: the last rows of its channels' runs, and their factor.

    The factor is a monomial in chi and psi; `channelwise`: P, the row's power of chi, is a factor too. `last`: for a and
    for b, [rows, lanes], whether the lane holds a value on that row whose a, or whose b, is read.
    """

    rows: Integers
    monomial: Monomial
    channelwise: bool
    last: tuple[NDArray[np.bool_], NDArray[np.bool_]]


def gather_index(positions: Integers, offsets: Integers, grid: tuple[int, ...]) -> Integers:
    """The flat index in `grid` of position + offset, or the grid's size where that is outside: [taps, positions]."""
    at = positions[None, :, :] + offsets[:, None, :]
    inside = np.all((at >= 0) & (at < np.array(grid)), axis=2)
    strides = np.cumprod([1, *grid[:0:-1]])[::-1]
    return np.where(inside, at @ strides, int(np.prod(grid, dtype=np.int64)))
