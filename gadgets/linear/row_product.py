"""Rows of a matrix times a computed number each: a product of matrices of inner size one, at a unit a result.

y[o, p] = multiplier s[g, p] x[o, p], for the channels o of group g. x stands turned (layout/geometry.py): the run of
(g, p) holds x[o, p] for all o of the group. The check sums it up by powers of chi, where one copy of s[g, p] beside the
run's values (in a lane of its first row that holds none), or above them, is its second factor, and P has the power of
psi of p:

    sum_o chi^o y[o, p] = multiplier s[g, p] sum_o chi^o x[o, p]          times psi^(R - p)

So a normalization's (x - mean) / deviation and an attention's context / sum take one unit a result, and x no copy,
where it may stand so. The prover chooses nothing beyond the units and the copies of s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import Cellwise, Integers
from plonnx.gadgets.linear.contribution import Contribution, RowFactors, Weights
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder

_LANES = 8
"""Of a circuit of some size: what takes fewer rows there does so elsewhere."""
MOST_GROUPS = 16
"""Each has a column that says where it is read."""


@dataclass(frozen=True, eq=False)
class RowProduct(Equation):
    """y[o, p] = multiplier factors[g, p] x[o, p]; refs x [channels, positions], factors [groups, positions]."""

    kind: ClassVar[str] = "row product"

    x: Integers
    factors: Integers
    multiplier: int

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """x, turned, with a factor above each run."""
        groups, width = len(self.factors), len(self.x) // len(self.factors)
        return (Contribution(self.x, RowFactors(self.factors, groups, self.multiplier, width), self.x.shape[1:]),)

    @property
    def channels(self) -> tuple[int, ...]:
        """Those of x."""
        return self.x.shape

    @property
    def operands(self) -> Integers:
        """The refs of x, then of the factors."""
        return np.concatenate([self.x.reshape(-1), self.factors.reshape(-1)])

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same factors."""
        return row_product(builder, cells(self.x), cells(self.factors), self.multiplier, self.name)

    def validate(self, where: str) -> int:
        """As many as x has."""
        shapes = self.x.ndim == self.factors.ndim == 2 and self.x.size * self.factors.size > 0
        fits = shapes and self.x.shape[1] == self.factors.shape[1] and len(self.x) % len(self.factors) == 0
        require(fits, f"{where}: its factors are not one for each position of a group of channels")
        return int(self.x.size)

    def sums(self, operands: Integers) -> Integers:
        """The exact products."""
        x, factors = np.split(operands, [self.x.size], axis=1)
        groups, positions = self.factors.shape
        by_group = x.reshape(len(operands), groups, -1, positions)
        made: Integers = self.multiplier * by_group * factors.reshape(-1, groups, 1, positions)
        return made.reshape(len(operands), self.count)


def row_product(builder: Builder, x: Cells, factors: Cells, multiplier: int, name: str) -> Cells:
    """multiplier * factors * x / T, half up: x [channels, positions], factors [groups, positions] -> as x.

    Absent cells are zeros. Raises Overflow as `Builder.convolution`.
    """
    if x.shape[1:] != factors.shape[1:] or x.shape[0] % factors.shape[0]:
        raise ValueError(f"{name}: {x.shape} and {factors.shape} do not fit")
    builder.bounded(name, float(abs(multiplier)) * x.reach * factors.reach)
    ends = [float(multiplier) * one * other for one in (x.low, x.high, 0) for other in (factors.low, factors.high, 0)]
    refs = np.ascontiguousarray(x.refs), np.ascontiguousarray(factors.refs)
    return builder.add(RowProduct, name, x.shape, builder.rescaled((min(ends), max(ends))), None, *refs, multiplier)


def row_groups(builder: Builder, refs: Integers) -> int:
    """The groups of channels that rows [rows, columns] fall into: as many as their gadget's positions say."""
    present = refs[refs >= 0]
    source = builder.maker(int(present.min()) >> 1) if present.size else None
    if source is None or source.channels is None or len(source.channels) != 2:
        return 1
    channels, positions = source.channels
    groups, left = divmod(len(refs), positions)
    return groups if not left and groups and channels % groups == 0 and groups <= MOST_GROUPS else 1


def worth_turning(builder: Builder, x: Cells, groups: int) -> bool:
    """Whether the products of x [channels, positions] take fewer rows so than as two each (gadgets/product.py).

    In a circuit of LANES. That is where x stands turned, or is copied so already: nobody reads it otherwise by now.
    """
    channels, positions = x.shape
    width = channels // groups
    wanted = channels * -(-positions // _LANES) + groups * positions
    if wanted >= 2 * -(-x.refs.size // _LANES):
        return False
    units = x.refs[x.refs >= 0] >> 1
    source = builder.maker(int(units.min())) if units.size else None
    if source is None:
        return False
    turns = source.equations or source.asks is not None
    stands = turns and source.channels is not None and source.channels[1:] == (positions,)
    stands = stands and source.steps is None and all(one.elementwise for one in source.contributions)
    end = source.first + source.count
    for block in builder.blocks[builder.blocks.index(source) + 1 :]:
        for one in block.contributions:
            read = one.x >> 1
            if not np.any((read >= source.first) & (read < end)):
                continue
            if one.turned and one.x.shape == x.refs.shape and np.array_equal(one.x, x.refs):
                return True
            alone = isinstance(one.factor, Weights) and one.factor.multiples is not None and one.elementwise
            stands = stands and (one.turned or alone)
    return bool(stands and width > 1)
