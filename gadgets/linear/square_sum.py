"""Sums of squares over channels, in place: what a variance or a norm reads takes no unit for each square.

y[p] = multiplier sum_c x[c, p]^2. x stands turned (layout/geometry.py): a run for each position p, on whose rows P has
the power of psi of p. So each row adds to the check the squares of its own cells, times P: no row is a square, and no
sum goes from row to row. The prover chooses nothing beyond the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import Cellwise, Integers
from plonnx.gadgets.linear.contribution import Contribution, Squares
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder


@dataclass(frozen=True, eq=False)
class SquareSum(Equation):
    """y[0, p] = multiplier sum_c x[c, p]^2; refs x [channels, positions]."""

    kind: ClassVar[str] = "square sum"

    x: Integers
    multiplier: int

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """x, turned."""
        return (Contribution(self.x, Squares(self.multiplier), self.x.shape[1:]),)

    @property
    def channels(self) -> tuple[int, ...]:
        """One."""
        return (1, self.x.shape[1])

    @property
    def operands(self) -> Integers:
        """The refs of x."""
        return self.x.reshape(-1)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells."""
        return square_sum(builder, cells(self.x), self.multiplier, self.name)

    def validate(self, where: str) -> int:
        """One a position."""
        require(self.x.ndim == 2 and self.x.size > 0, f"{where}: it reads no channels of positions")
        return int(self.x.shape[1])

    def sums(self, operands: Integers) -> Integers:
        """The exact sums."""
        made: Integers = self.multiplier * (operands.reshape(len(operands), *self.x.shape) ** 2).sum(axis=1)
        return made


def square_sum(builder: Builder, x: Cells, multiplier: int, name: str) -> Cells:
    """multiplier * sum of x^2 / T over the channels, half up: x [channels, positions] -> [1, positions].

    Absent cells are zeros. Raises Overflow as `Builder.convolution`.
    """
    most = float(multiplier) * x.shape[0] * x.reach**2
    builder.bounded(name, abs(most))
    interval = builder.rescaled((min(most, 0.0), max(most, 0.0)))
    return builder.add(SquareSum, name, (1, x.shape[1]), interval, None, np.ascontiguousarray(x.refs), multiplier)
