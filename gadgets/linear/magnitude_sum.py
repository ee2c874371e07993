"""Sums of magnitudes over channels, in place: the mean of |x| that a row is scaled by takes no unit for each |x|.

y[p] = multiplier sum_c |x[c, p]|, as sums of squares (gadgets/linear/square_sum.py): x stands turned, and each row adds
the magnitudes of its own cells to the check, times P. A unit holds v = a - b with a, b >= 0 and a b = 0, so that |v| is
a + b (gadgets/unit.py); of a positive part it is a. The prover chooses nothing beyond the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import Cellwise, Integers
from plonnx.gadgets.linear.contribution import Contribution, Magnitudes
from plonnx.gadgets.linear.square_sum import SquareSum

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder


@dataclass(frozen=True, eq=False)
class MagnitudeSum(SquareSum):
    """y[0, p] = multiplier sum_c |x[c, p]|; refs x [channels, positions]."""

    kind: ClassVar[str] = "magnitude sum"
    reads_parts: ClassVar[bool] = True

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """x, turned."""
        return (Contribution(self.x, Magnitudes(self.multiplier), self.x.shape[1:]),)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells."""
        return magnitude_sum(builder, cells(self.x), self.multiplier, self.name)

    def sums(self, operands: Integers) -> Integers:
        """The exact sums."""
        made: Integers = self.multiplier * np.abs(operands).reshape(len(operands), *self.x.shape).sum(axis=1)
        return made


def magnitude_sum(builder: Builder, x: Cells, multiplier: int, name: str) -> Cells:
    """multiplier * sum of |x| / T over the channels, half up: x [channels, positions] -> [1, positions].

    Absent cells are zeros. Raises Overflow as `Builder.convolution`.
    """
    most = float(multiplier) * x.shape[0] * x.reach
    builder.bounded(name, abs(most))
    interval = builder.rescaled((min(most, 0.0), max(most, 0.0)))
    return builder.add(MagnitudeSum, name, (1, x.shape[1]), interval, None, np.ascontiguousarray(x.refs), multiplier)
