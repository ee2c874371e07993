"""Products of computed matrices: one term a channel in the linear check, at the cost of the operands.

y[g, i, j] = multiplier sum_k A[g, i, k] B[g, k, j]: A is read in place, a run of rows for each (g, k), and B is copied
above those runs (gadgets/linear/check.py, the second factor). No row and no cell is a product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.cells import Cells, descending
from plonnx.gadgets.gadget import Cellwise, Integers
from plonnx.gadgets.linear.contribution import Accumulator, Contribution
from plonnx.gadgets.linear.convolution import exact_type
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder


@dataclass(frozen=True, eq=False)
class MatMul(Equation):
    """y[g, j, i] = multiplier sum_k a[g, k, i] b[g, k, j]; refs a [G, K, I], b [G, K, J]; units [G, J, I]."""

    kind: ClassVar[str] = "matmul"

    a: Integers
    b: Integers
    multiplier: int

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """A in place, B above it."""
        groups, inner, positions = self.a.shape
        b = Accumulator(self.b.reshape(groups * inner, -1), groups, self.multiplier)
        return (Contribution(self.a.reshape(groups * inner, positions), b, (positions,)),)

    @property
    def channels(self) -> tuple[int, ...]:
        """A channel for each column of each product."""
        return (self.a.shape[0] * self.b.shape[2], self.a.shape[2])

    @property
    def operands(self) -> Integers:
        """The refs of a, then of b."""
        return np.concatenate([self.a.reshape(-1), self.b.reshape(-1)])

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same factors."""
        return matmul(builder, cells(self.a).transpose((0, 2, 1)), cells(self.b), self.multiplier, self.name)

    def validate(self, where: str) -> int:
        """The products'."""
        shapes = (
            self.a.ndim == self.b.ndim == 3 and self.a.shape[:2] == self.b.shape[:2] and self.a.size * self.b.size > 0
        )
        require(shapes, f"{where}: its factors do not fit each other")
        return int(self.a.shape[0] * self.b.shape[2] * self.a.shape[2])

    def sums(self, operands: Integers) -> Integers:
        """The exact products."""
        a, b = np.split(operands, [self.a.size], axis=1)
        left, right = (b.reshape(-1, *self.b.shape).transpose(0, 1, 3, 2), a.reshape(-1, *self.a.shape))
        kind = exact_type(float(np.abs(left).sum(axis=-1, dtype=np.float64).max(initial=0)), right)
        made: Integers = (left.astype(kind) @ right.astype(kind)).astype(np.int64)
        return self.multiplier * made.reshape(len(operands), self.count)


def matmul(builder: Builder, a: Cells, b: Cells, multiplier: int, name: str) -> Cells:
    """multiplier * A B / T, half up: a [G, I, K], b [G, K, J] -> [G, I, J]. Absent cells are zeros.

    Raises Overflow as `Builder.convolution`.
    """
    groups, positions, inner = a.shape
    if b.shape[:2] != (groups, inner):
        raise ValueError(f"{name}: {a.shape} and {b.shape} do not fit")
    products = [float(x * y) for x in (a.low, a.high, 0) for y in (b.low, b.high, 0)]
    builder.bounded(name, float(abs(multiplier)) * inner * a.reach * b.reach)
    ends = multiplier * inner * min(products), multiplier * inner * max(products)
    interval = builder.rescaled((min(ends), max(ends)))
    left, right = a.refs.transpose(0, 2, 1), b.refs
    if descending(left):
        left, right = left[:, ::-1], right[:, ::-1]
    reverse = not builder.hidden and _of_one_layer(builder, left, right)
    refs = np.ascontiguousarray(left), np.ascontiguousarray(right[:, :, ::-1] if reverse else right)
    made = builder.add(MatMul, name, (groups, b.shape[2], positions), interval, None, *refs, multiplier)
    if reverse:
        made = made.take(np.arange(b.shape[2])[::-1], 1)
    return builder.name(name, made.transpose((0, 2, 1)))


def _of_one_layer(builder: Builder, a: Integers, b: Integers) -> bool:
    """Whether the factors [groups, inner, ..] are other channels of one layer, as long: b may stand above a then.

    Its positions count down by powers of chi there (layout/pairs.py), so that the product's channels are in reverse.
    """
    if a.shape != b.shape or min(int(a.min()), int(b.min())) < 0:
        return False
    source = builder.maker(int(a.min()) >> 1)
    if source is None or source.channels is None or source.channels[1:] != a.shape[2:]:
        return False
    cells = 2 * source.units.reshape(source.channels)
    return all(
        np.array_equal(cells[start : start + rows.shape[0] * rows.shape[1]], rows.reshape(-1, rows.shape[2]))
        for rows in (a, b)
        for start in [(int(rows.min() >> 1) - source.first) // rows.shape[2]]
    )


def stands(builder: Builder, x: Cells) -> bool:
    """Whether a product would read x [G, K, I] in place: all units of one gadget, each once.

    Of a gadget with channels: in these channels, where some may be left out (absent cells).
    """
    refs = x.refs.reshape(-1)
    units = refs[refs >= 0] >> 1
    source = builder.maker(int(units.min())) if units.size else None
    if source is None or refs.size != source.count:
        return False
    if source.channels is not None:
        chosen = refs >= 0
        return source.channels[1:] == x.shape[2:] and np.array_equal(units, source.units[chosen])
    return units.size == source.count and np.array_equal(np.sort(units), source.units)
