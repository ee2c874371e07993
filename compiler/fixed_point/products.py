"""Products of computed tensors: element by element, of rows with a number each, of matrices, squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.fixed_point.operands import Scaled
from plonnx.compiler.fixed_point.sums import Sums
from plonnx.gadgets import Cells
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_groups, row_product, worth_turning
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.product_sum import Link, product_sum

_PRECISE = 1 << 10
"""A whole number that stands for a real one within a twentieth of a per cent."""


class Products(Sums):
    """A product over T has the scale x.scale + y.scale - t, or a finer one by a whole multiplier."""

    def product(self, x: Scaled, y: Scaled, part: int | None = None) -> Cells:
        """x * y element by element, broadcast.

        A product over T has the scale x.scale + y.scale - t; where the output's is coarser still (calibration without
        a margin), x is rescaled first.
        """
        shape = np.broadcast_shapes(x.shape, y.shape)
        for rows, each in ((x, y), (y, x)):
            made = self._row_product(rows, each, shape, part)
            if made is not None:
                return made
        with self.errors():
            cells, multiplier = self._made_coarse(x, y)
            one, other = cells.broadcast_to(shape), y.cells.broadcast_to(shape)
            if self.chained:
                return product_sum(self.builder, one, [Link(other, multiplier)], self._part(part))
            return multiply(self.builder, one, other, multiplier, self._part(part))

    def product_sum(self, first: Scaled, links: Sequence[tuple[Scaled, int, int]]) -> Cells:
        """A chain of operands of the output's shape with the factors of gadgets/product_sum.py."""
        with self.errors():
            below = [Link(x.cells, factor, carried) for x, factor, carried in links]
            return product_sum(self.builder, first.cells, below, self.out.name)

    def _row_product(self, x: Scaled, factors: Scaled, shape: tuple[int, ...], part: int | None) -> Cells | None:
        """The product of each row of x [.., C] with a number of its own; None where that costs more units than copies.

        Not of a private model.
        """
        wide = (1,) * (len(shape) - len(factors.shape)) + factors.shape
        if self.builder.hidden or x.shape != shape or len(shape) < 2 or wide[-1] != 1 or shape[-1] == 1:
            return None
        rows = x.cells.refs.size // shape[-1]
        groups = row_groups(self.builder, x.cells.refs.reshape(rows, -1))
        by_group = x.cells.reshape((groups, -1, shape[-1])).transpose((0, 2, 1))
        turned = by_group.reshape((-1, rows // groups))
        if not worth_turning(self.builder, turned, groups):
            return None
        with self.errors():
            each, multiplier = self._made_coarse(factors, x)
            column = each.broadcast_to((*shape[:-1], 1)).reshape((groups, -1))
            made = row_product(self.builder, turned, column, multiplier, self._part(part))
            back = made.reshape(by_group.shape).transpose((0, 2, 1)).reshape(shape)
            return self.builder.name(self._part(part), back)

    def sum_of_powers(self, x: Scaled, power: int, mean: bool) -> Cells:
        """The sum or mean of squares or, of power one, of magnitudes along the last axis of x [.., C], at the output's
        scale.

        Where the mean's factor 1 / C is no whole number over T, the sum has a unit, and the mean another one. Where one
        unit does not hold it, there are two, one for each half of the row.
        """
        width, summed_up = x.shape[-1], square_sum if power == 2 else magnitude_sum
        columns = x.cells.reshape((-1, width)).transpose((1, 0))
        exponent = self.table_bits + self.scale - power * x.scale
        factor = float(np.ldexp(1.0 / width if mean else 1.0, exponent))
        multiplier = int(np.floor(factor + 0.5))
        with self.errors():
            if multiplier and (factor == multiplier or multiplier >= _PRECISE):
                return summed_up(self.builder, columns, multiplier, self.out.name).reshape(self.out.shape)
            assert self.out.interval is not None, "lowering comes after quantization"
            most = float(np.ldexp(self.out.interval[1] * (width if mean else 1), -self.scale))  # real
            room = self.table_bits - int(np.frexp(np.ldexp(most, power * x.scale - self.table_bits))[1])
            finer, name = max(0, room), f"{self.out.name}~sum"
            if room < 0:
                halves = np.arange(width)[:, None] < width // 2, np.arange(width)[:, None] >= width // 2
                parts = [replace(columns, refs=np.where(half, columns.refs, -1)) for half in halves]
                totals = [summed_up(self.builder, x, 1, f"{name}~{part}") for part, x in enumerate(parts)]
            else:
                totals = [summed_up(self.builder, columns, 1 << finer, name)]
        summed = Scaled(Cells.concatenate(totals, 0).transpose((1, 0)), power * x.scale - self.table_bits + finer)
        return self.linear(summed, np.full((len(totals), 1), 1.0 / width if mean else 1.0)).reshape(self.out.shape)

    def matmul(self, a: Scaled, b: Scaled) -> Cells:
        """A B for a [G, I, K] and b [G, K, J], both computed, at the output's scale (as in `product`)."""
        with self.errors():
            cells, multiplier = self._made_coarse(a, b)
            return matmul(self.builder, cells, b.cells, multiplier, self.out.name)

    def _made_coarse(self, x: Scaled, y: Scaled) -> tuple[Cells, int]:
        """x so coarse that products with y over T times a whole number are at the output's scale; that number."""
        exponent = self.table_bits + self.scale - x.scale - y.scale
        if exponent >= 0:
            return x.cells, 1 << exponent
        shift = self.table_bits + exponent  # below zero every product is less than a unit in the last place
        return self.builder.sum([(x.cells, 1 << shift if shift >= 0 else 0)], None, f"{self.out.name}~"), 1
