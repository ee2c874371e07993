"""Pools whose windows are read where their elements stand, without a copy: of large layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point.operands import Scaled
from plonnx.compiler.fixed_point.sums import Sums
from plonnx.gadgets import Cells
from plonnx.gadgets.linear.contribution import MOST_TAPS
from plonnx.gadgets.linear.window import largest

_LARGE, _LARGE_FOR_MAXIMA = 1 << 12, 1 << 11
"""Cells of a layer's output that are not copied for the windows that read them, but read where they stand."""
_LARGE_CIRCUIT = 1 << 14
"""Units from which on half as many are enough for maxima: columns of sums are there, those of copies are not."""


class Windows(Sums):
    """Averages and maxima of windows."""

    def reads_in_place(self, x: Scaled, maxima: bool = False) -> bool:
        """Whether x [1, channels, *grid] is a layer's output so large that copies of it cost more than columns do."""
        least = _LARGE_FOR_MAXIMA >> (self.builder.unit_count >= _LARGE_CIRCUIT) if maxima else _LARGE
        return bool(x.shape[0] == 1 and x.cells.refs.size >= least and self.builder.is_layer(x.cells))

    def averages(
        self, x: Scaled, taps: Sequence[NDArray[np.int64]], strides: Sequence[int], divisor: int
    ) -> Cells | None:
        """The sum of each window by one divisor, read in place: x [1, channels, *grid], `taps` of output 0 by axis.

        None where the windows are copied: of small tensors, long windows, and hidden models, whose kernels take a row a
        tap.
        """
        if self.builder.hidden or not self.reads_in_place(x) or len(taps[-1]) > MOST_TAPS:
            return None
        channels, grid = x.shape[1], x.shape[2:]
        box = np.stack(np.meshgrid(*taps, indexing="ij"), axis=-1).reshape(-1, len(grid))
        weights = np.full((channels, len(box), 1), 1.0 / divisor)
        shape = self.out.shape[2:] if len(self.out.shape) == len(x.shape) else (1,) * len(grid)
        cells = Scaled(x.cells.reshape((channels, *grid)), x.scale)
        return self.convolution(cells, weights, box, None, shape, channels, strides=strides).reshape(self.out.shape)

    def largest(self, x: Scaled, taps: Sequence[NDArray[np.int64]], strides: Sequence[int]) -> Cells | None:
        """The largest of each window, by differences of what is read in place; zeros outside the grid count.

        None where the windows are copied: of small tensors, and hidden models, of which no coefficient may be shown.
        """
        if self.builder.hidden or not self.reads_in_place(x, maxima=True):
            return None
        with self.errors():
            cells, shape = x.cells.reshape(x.shape[1:]), self.out.shape[2:]
            return largest(self.builder, cells, taps, strides, shape, self.out.name).reshape(self.out.shape)
