"""Blocks: what a Builder records, each with its integer semantics as one numpy function.

A block makes units (gadgets/unit.py), the cells of one tensor. T = 2^table_bits; every value v has |v| < T. Linear
blocks give an exact sum y, rescaled by exactly T, half up: v = floor((y + T/2) / T). References (refs) are 2 * unit +
view; -1 stands for a zero that no cell holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
ABSENT = -1  # the reference of a zero that no cell holds
_CHUNK = 1 << 24  # gathered elements at a time


@dataclass(frozen=True, eq=False)
class Function:
    """A function of one integer as a lookup table: values[x - low] for low <= x <= high.

    T stands where there is no value: no unit holds it, so that such an x cannot be proved.
    """

    name: str
    low: int
    values: Integers

    @property
    def high(self) -> int:
        """The largest argument."""
        return self.low + len(self.values) - 1

    def __call__(self, x: Integers) -> Integers:
        """The function, elementwise; the arguments are in its domain."""
        return self.values[x - self.low]


@dataclass(frozen=True, eq=False)
class Block:
    """Units `first` .. `first + count - 1`, made together. The base of the blocks below."""

    name: str
    first: int
    count: int

    @property
    def units(self) -> Integers:
        """The unit numbers."""
        return np.arange(self.first, self.first + self.count)

    @property
    def operands(self) -> Integers:
        """The refs that the block reads, flat."""
        return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Input(Block):
    """A graph input: values that the prover is given."""

    shape: tuple[int, ...]
    public: bool


@dataclass(frozen=True, eq=False)
class Linear(Block, ABC):
    """The base of blocks with an exact sum; `function`, where given, is applied to the rescaled sum."""

    function: Function | None

    @abstractmethod
    def sums(self, values: Integers) -> Integers:
        """The exact y [samples, count] from the operands' values [samples, operands]."""


@dataclass(frozen=True, eq=False)
class Convolution(Linear):
    """y[o, p] = bias[o] + sum over the group's c and taps t of W[c, t, j] x[c, p + offsets[t]], o = group * J + j.

    x: refs [channels, *grid], zero outside its grid. weights [channels, taps, J]; offsets [taps, axes]; p runs over
    `shape` (as many axes as the grid has). A dense layer [R, K] x [K, N] has K channels, R positions and one tap.

    hides: of a hidden model, 1 where a weight is a secret and 0 where everybody knows it (a pool's 1/K, the zeros of a
    strided kernel), broadcast to the weights; None where all are secret. A bias, where there is one, is a secret.
    """

    x: Integers
    weights: Integers
    offsets: Integers
    bias: Integers | None
    shape: tuple[int, ...]
    groups: int
    hides: Integers | None = None

    @property
    def secret(self) -> Integers:
        """`hides` of every weight: [channels, taps, J]."""
        return np.broadcast_to(np.int64(1) if self.hides is None else self.hides, self.weights.shape)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.groups * self.weights.shape[2])

    @property
    def positions(self) -> int:
        """Output positions of a channel."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def operands(self) -> Integers:
        """The refs of x."""
        return self.x.reshape(-1)

    def taken(self) -> Integers:
        """Where position p reads for tap t in the flat grid, or its size where that is outside: [taps, positions]."""
        return gather_index(np.indices(self.shape).reshape(len(self.shape), -1).T, self.offsets, self.x.shape[1:])

    def sums(self, values: Integers) -> Integers:
        """The exact y, a few samples at a time."""
        samples, channels, taps = len(values), len(self.x), len(self.offsets)
        index = self.taken()
        kernel = self.weights.reshape(self.groups, channels // self.groups * taps, -1).transpose(0, 2, 1)
        kind = exact_type(kernel, values)
        kernel, flat = kernel.astype(kind), values.astype(kind).reshape(samples, channels, -1).transpose(1, 0, 2)
        y = np.empty((self.groups, kernel.shape[1], samples, self.positions), np.int64)
        step = max(1, _CHUNK // max(1, channels * index.size))
        for start in range(0, samples, step):
            part = flat[:, start : start + step]
            padded = np.concatenate([part, np.zeros((channels, part.shape[1], 1), kind)], axis=2)
            windows = np.take(padded, index, axis=2).transpose(0, 2, 1, 3).reshape(self.groups, kernel.shape[2], -1)
            y[:, :, start : start + step] = (kernel @ windows).reshape(*y.shape[:2], part.shape[1], -1)
        result: Integers = y.transpose(2, 0, 1, 3).reshape(samples, self.outputs, -1)
        if self.bias is not None:
            result += self.bias[:, None]
        return result.reshape(samples, self.count)


@dataclass(frozen=True, eq=False)
class Sum(Linear):
    """y = sum_k coefficient_k x_k + constant, elementwise over N; refs [terms, N].

    hides: the constant is a secret of a hidden model.
    """

    terms: Integers
    coefficients: tuple[int, ...]
    constant: Integers | None
    hides: bool = False

    def sums(self, values: Integers) -> Integers:
        """The exact y [samples, N] from the terms' values [samples, terms * N]."""
        weights = np.array(self.coefficients, np.int64)[:, None]
        y: Integers = (values.reshape(len(values), *self.terms.shape) * weights).sum(axis=1)
        return y if self.constant is None else y + self.constant

    @property
    def operands(self) -> Integers:
        """The refs of the terms."""
        return self.terms.reshape(-1)


@dataclass(frozen=True, eq=False)
class Lookup(Block):
    """v = function(x), elementwise; refs [N]."""

    x: Integers
    function: Function

    @property
    def operands(self) -> Integers:
        """The refs of x."""
        return self.x


@dataclass(frozen=True, eq=False)
class Maximum(Block):
    """v = the largest of the candidates, elementwise; refs [candidates, N]. Any two are less than T apart."""

    candidates: Integers

    @property
    def operands(self) -> Integers:
        """The refs of the candidates."""
        return self.candidates.reshape(-1)


@dataclass(frozen=True, eq=False)
class Product(Block):
    """v = floor((multiplier x y + T/2) / T), elementwise; refs [2, N]."""

    factors: Integers
    multiplier: int

    @property
    def operands(self) -> Integers:
        """The refs of both factors."""
        return self.factors.reshape(-1)

    def sums(self, values: Integers) -> Integers:
        """The exact products [samples, N]."""
        x, y = values.reshape(len(values), 2, -1).transpose(1, 0, 2)
        return self.multiplier * x * y


def gather_index(positions: Integers, offsets: Integers, grid: tuple[int, ...]) -> Integers:
    """The flat index in `grid` of position + offset, or the grid's size where that is outside: [taps, positions]."""
    at = positions[None, :, :] + offsets[:, None, :]
    inside = np.all((at >= 0) & (at < np.array(grid)), axis=2)
    strides = np.cumprod([1, *grid[:0:-1]])[::-1]
    return np.where(inside, at @ strides, int(np.prod(grid, dtype=np.int64)))


def view(values: Integers, refs: Integers) -> Integers:
    """The values [samples, refs] that references stand for."""
    chosen = values[:, np.maximum(refs, 0) >> 1]
    positive = (refs & 1).astype(bool) & (refs >= 0)
    return np.where(refs < 0, 0, np.where(positive, np.maximum(chosen, 0), chosen))


def exact_type(left: Integers, right: Integers) -> type[np.number[Any]]:
    """The type in which left @ right is exact: a float (BLAS) where every partial sum fits its mantissa."""
    reach = float(np.abs(right).max(initial=0)) * float(np.abs(left).sum(axis=-1, dtype=np.float64).max(initial=0))
    return np.float32 if reach < 2.0**24 else np.float64 if reach < 2.0**53 else np.int64
