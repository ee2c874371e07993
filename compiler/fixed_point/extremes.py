"""The largest and the smallest of candidates, and bounds: differences that a table holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plonnx.compiler.fixed_point.given import Given
from plonnx.compiler.fixed_point.operands import Scaled
from plonnx.compiler.graph import Array
from plonnx.gadgets import Cells
from plonnx.gadgets.maximum import maximum


class Extremes(Given):
    """Maxima, minima and what bounds a tensor."""

    def extreme(self, x: Scaled, smallest: bool = False) -> Cells:
        """The largest (smallest) along the first axis of x [K, ..], which is at the output's scale.

        No two candidates of a Maximum lie T apart: where the intervals do not say so, two candidates are compared by
        max(a, b) = b + max(a - b, 0) with a - b at half the scale (2 units), more of them all at half the scale (2K + 2
        units). Either way the result is within one unit in the last place.
        """
        cells, sign, size = x.cells, -1 if smallest else 1, self.builder.table_size
        fits = cells.high - cells.low < size
        with self.errors():
            if cells.shape[0] == 1:
                return cells.reshape(cells.shape[1:])
            if cells.shape[0] == 2:
                return self._better(cells[0], cells[1], sign)
            if not fits:
                self._halving()
            if smallest or not fits:
                step = sign * (size if fits else size >> 1)
                cells = self.builder.sum([(cells, step)], None, f"{self.out.name}/2")
            best = maximum(self.builder, [cells[k] for k in range(cells.shape[0])], f"{self.out.name}/max")
            step = sign * (size if fits else 2 * size)
            return best if step == size else self.builder.sum([(best, step)], None, self.out.name)

    def _better(self, a: Cells, b: Cells, sign: int) -> Cells:
        """b + sign * max(sign * (a - b), 0), at one scale; a - b is halved, rounded down, where it could overflow."""
        size = self.builder.table_size
        if max(a.high - b.low, b.high - a.low) < size:
            difference = self.builder.sum([(a, sign * size), (b, -sign * size)], None, f"{self.out.name}-")
            above = self.builder.relu(difference, f"{self.out.name}+")
            return self.builder.sum([(b, size), (above, sign * size)], None, self.out.name)
        self._halving()
        half = sign * (size >> 1)
        down = np.full(a.shape, -1, np.int64)
        difference = self.builder.sum([(a, half), (b, -half)], down, f"{self.out.name}-", hides=False)
        above = self.builder.relu(difference, f"{self.out.name}+")
        return self.builder.sum([(b, size), (above, 2 * sign * size)], None, self.out.name)

    @property
    def _is_plain(self) -> bool:
        """Whether the output's integers are the cells themselves, odd ones too."""
        return self.out.dtype.kind in "iu" and self.scale < 1

    def _halving(self) -> None:
        """Refuses integers that halving would leave off by one."""
        if self._is_plain:
            raise self.too_small(f"integers of {self.out.dtype} so far apart have no exact difference in its table")

    def bounded(self, x: Scaled, bound: Array, smallest: bool = False) -> Cells:
        """max(x, c) = c + max(x - c, 0) for a constant c, or min(x, c) = c - max(c - x, 0).

        x - c is taken at half the scale, but of integers where all of them are told apart.
        """
        sign = -1.0 if smallest else 1.0
        reach = np.ldexp((1 << self.table_bits) - 1.0, -self.scale)
        constant = np.broadcast_to(np.clip(bound, -reach, reach), self.out.shape)
        cells, exponent = x.cells.broadcast_to(self.out.shape), self.table_bits + self.scale
        halvings = 0 if self._is_plain else 1
        if self._is_plain:
            apart = max(cells.high - constant.min(), constant.max() - cells.low)
            if self.builder.hidden or x.scale or self.scale or apart >= self.builder.table_size:
                self._halving()
        factor = int(self.integers(np.asarray(sign), exponent - halvings - x.scale))
        with self.errors():
            distance = self.builder.sum(
                [(cells, factor)], self.integers(-sign * constant, exponent - halvings), f"{self.out.name}-"
            )
            above = self.builder.relu(distance, f"{self.out.name}+")
            step = int(sign) * self.builder.table_size << halvings
            return self.builder.sum([(above, step)], self.integers(constant, exponent), self.out.name)

    def maximum(self, candidates: Sequence[Cells], part: int | None = None) -> Cells:
        """Builder.maximum of cells at the output's scale."""
        with self.errors():
            return maximum(self.builder, candidates, self._part(part))
