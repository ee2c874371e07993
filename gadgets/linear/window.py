"""Sums over windows with coefficients that are alike in all channels, read where they lie; the maxima made of them.

y[c, p] = sum_k sum_t g_(k, t) x_k[c, s_k p + d_t]: each x_k is what a layer with a group for each channel reads, whose
weights are the same in every channel. In the linear check P has the channel's power of chi already, so that a tap is
one monomial in psi and a fixed coefficient (gadgets/linear/check.py, *others who read*): no row of weights, no copy,
whoever else reads x_k. What the taps and strides reach outside the outputs is border, of all terms together.

A maximum of two is max(x, z) = x + max(z - x, 0), and the positive part of a unit is a free view. So windows that lie
in what a layer makes need differences only: along each axis in turn, of two neighbours d = z - x, a unit, and x +
max(d, 0), which is no unit but a sum of taps of x and of d, for the next difference to read. The last sum is
the result. A window of 2 x 2 that moves by 2 takes four units (two differences of rows, one of columns, the result)
where gadgets/maximum.py takes five, of which four are copies; one of 3 x 3 seven instead of ten.

Proved: each sum is exact, and a multiple of T, so that rescaling leaves it as it is; a difference is in (-T, T) by its
unit, where a b = 0 leaves one (a, b), so its positive part is what it should be, and the result the largest: at least
every candidate (each step adds max(z - x, 0)) and equal to one. The prover chooses nothing beyond the units and the
border terms. Two candidates of a window must lie less than T apart (`largest` refuses others). For public models:
coefficients are read off the circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import Cellwise, Integers, Overflow
from plonnx.gadgets.linear.contribution import Contribution, Weights, overlap
from plonnx.gadgets.linear.convolution import MOST_OFFSET
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import lies_within, require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder


class Term(NamedTuple):
    """A part of a sum: sum_t coefficients[t] x[c, steps p + offsets[t]], of cells x [channels, *grid]."""

    x: Cells
    steps: tuple[int, ...]
    taps: Mapping[tuple[int, ...], int]
    """By offset, the coefficient."""

    def moved(self, axis: int, by: int, tap: int) -> Term:
        """What it is at the position by p + tap of this axis."""
        steps = tuple(step * (by if each == axis else 1) for each, step in enumerate(self.steps))
        ahead = np.eye(len(steps), dtype=int)[axis] * self.steps[axis] * tap
        return Term(self.x, steps, {tuple((ahead + offset).tolist()): c for offset, c in self.taps.items()})

    def times(self, factor: int) -> Term:
        """A multiple."""
        return self._replace(taps={offset: factor * c for offset, c in self.taps.items()})


@dataclass(frozen=True, eq=False)
class WindowSum(Equation):
    """y over `shape` [channels, *positions]. cells: the refs of the x_k, flat, one after another.

    grids, strides [terms, axes]; offsets [taps, axes], coefficients [taps], taps of the first term first: counts.
    """

    kind: ClassVar[str] = "window sum"

    shape: tuple[int, ...]
    cells: Integers
    grids: Integers
    strides: Integers
    counts: tuple[int, ...]
    offsets: Integers
    coefficients: tuple[int, ...]

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """Every term, by the same weights in every channel."""
        found = []
        for x, steps, offsets, coefficients in self._terms:
            weights = np.broadcast_to(np.array(coefficients, np.int64)[:, None], (len(x), len(offsets), 1))
            found.append(Contribution(x, Weights(weights, offsets, len(x)), self.shape[1:], strides=steps))
        return found

    @property
    def _terms(self) -> list[tuple[Integers, tuple[int, ...], Integers, tuple[int, ...]]]:
        """Of each term its refs [channels, *grid], strides, offsets and coefficients."""
        sizes = self.shape[0] * self.grids.prod(axis=1)
        cells = np.split(self.cells, np.cumsum(sizes)[:-1])
        ends = [0, *np.cumsum(self.counts).tolist()]
        return [
            (x.reshape(-1, *grid), tuple(steps), self.offsets[start:stop], self.coefficients[start:stop])
            for x, grid, steps, (start, stop) in zip(
                cells, self.grids.tolist(), self.strides.tolist(), pairwise(ends), strict=True
            )
        ]

    @property
    def channels(self) -> tuple[int, ...]:
        """Those of the terms."""
        return self.shape

    @property
    def operands(self) -> Integers:
        """The refs of all terms."""
        return self.cells

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same terms."""
        terms = [
            Term(cells(x), steps, dict(zip(map(tuple, offsets.tolist()), coefficients, strict=True)))
            for x, steps, offsets, coefficients in self._terms
        ]
        return window_sum(builder, terms, self.shape[1:], self.name)

    @property
    def constants(self) -> int:
        """A coefficient for each channel and tap."""
        return len(self.coefficients) * self.shape[0]

    def validate(self, where: str) -> int:
        """Its channels' positions."""
        axes, terms = len(self.shape) - 1, len(self.counts)
        require(axes > 0 and terms > 0 and min(self.shape) > 0, f"{where}: its shape has an empty axis")
        grids = self.grids.shape == self.strides.shape == (terms, axes) and self.grids.min() > 0
        require(bool(grids), f"{where}: its grids and strides are not those of its terms")
        size = sum(int(np.prod(grid, dtype=object)) for grid in self.grids) * self.shape[0]
        require(self.cells.shape == (size,), f"{where}: its cells are not those of its grids")
        taps = min(self.counts) > 0 and sum(self.counts) == len(self.coefficients)
        require(
            taps and self.offsets.shape == (len(self.coefficients), axes),
            f"{where}: its taps are not those of its terms",
        )
        require(lies_within(self.offsets, MOST_OFFSET), f"{where}: a tap lies too far out")
        strides = int(self.strides.min()) > 0 and int(self.strides.max()) <= MOST_OFFSET
        require(strides, f"{where}: its strides do not fit its shape")
        places = [len(np.unique(offsets, axis=0)) == len(offsets) for _, _, offsets, _ in self._terms]
        require(all(places), f"{where}: two of its taps are one")
        return prod(self.shape)

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """No hidden model has one."""
        require(False, f"{where}: a private model has no sums of windows")

    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, count] from the terms' values."""
        samples, start = len(operands), 0
        y = np.zeros((*self.shape, samples), np.int64)
        for x, steps, offsets, coefficients in self._terms:
            read = operands[:, start : start + x.size].T.reshape(*x.shape, samples)
            start += x.size
            for offset, coefficient in zip(offsets.tolist(), coefficients, strict=True):
                found = overlap(offset, self.shape[1:], x.shape[1:], steps)
                if found is not None:
                    into, at = found
                    y[(slice(None), *into)] += coefficient * read[(slice(None), *at)]
        result: Integers = y.reshape(self.count, samples).T
        return result


def window_sum(builder: Builder, terms: Sequence[Term], shape: tuple[int, ...], name: str) -> Cells:
    """The sum of terms of as many channels, over positions of `shape`. Absent cells are zeros. Raises as `sum`."""
    if builder.hidden:
        raise ValueError(f"{name}: a private model has no sums of windows")
    parts = [(term.x, c) for term in terms for c in term.taps.values()]
    builder.bounded(name, float(sum(abs(c) * x.reach for x, c in parts)))
    ends = [[c * x.low, c * x.high, 0] for x, c in parts]
    interval = builder.rescaled((float(sum(map(min, ends))), float(sum(map(max, ends)))))
    made = (terms[0].x.shape[0], *shape)
    fields = (
        np.concatenate([term.x.refs.reshape(-1) for term in terms]),
        np.array([term.x.shape[1:] for term in terms], np.int64),
        np.array([term.steps for term in terms], np.int64),
        tuple(len(term.taps) for term in terms),
        np.array([offset for term in terms for offset in term.taps], np.int64),
        tuple(int(c) for term in terms for c in term.taps.values()),
    )
    return builder.add(WindowSum, name, made, interval, None, made, *fields)


def largest(
    builder: Builder, x: Cells, taps: Sequence[Integers], by: Sequence[int], shape: Sequence[int], name: str
) -> Cells:
    """y[c, p] = the largest of x[c, by p + t] for t in the box of `taps`, over p in `shape`, for x [channels, *grid].

    Entries outside the grid are zeros. Raises Overflow where two candidates could lie T or more apart.
    """
    if x.high - min(x.low, 0) >= builder.table_size:
        raise Overflow(f"{name}: the candidates of a maximum can lie {builder.table_size} or more apart")
    best = [Term(x, (1,) * len(shape), {(0,) * len(shape): 1})]
    made, number = list(x.shape[1:]), 0
    for axis, (along, step) in enumerate(zip(taps, by, strict=True)):
        made[axis] = shape[axis]
        first, *further = ([term.moved(axis, step, int(tap)) for term in best] for tap in along)
        best = first
        for candidate in further:
            number += 1
            terms = _joined([*(term.times(1) for term in candidate), *(term.times(-1) for term in best)])
            scaled = [term.times(builder.table_size) for term in terms]
            difference = window_sum(builder, scaled, tuple(made), f"{name}~{number}")
            above = builder.relu(difference, f"{name}~{number} above")
            best = [*best, Term(above, (1,) * len(shape), {(0,) * len(shape): 1})]
        best = _joined(best)
    return window_sum(builder, [term.times(builder.table_size) for term in best], tuple(shape), name)


def _joined(terms: Sequence[Term]) -> list[Term]:
    """Terms of the same cells at the same strides as one, without taps that cancel."""
    found: list[Term] = []
    for term in terms:
        alike = [n for n, other in enumerate(found) if other.x is term.x and other.steps == term.steps]
        taps = dict(found[alike[0]].taps) if alike else {}
        for offset, coefficient in term.taps.items():
            taps[offset] = taps.get(offset, 0) + coefficient
        joined = term._replace(taps={offset: c for offset, c in taps.items() if c})
        if alike:
            found[alike[0]] = joined
        else:
            found.append(joined)
    return [term for term in found if term.taps]
