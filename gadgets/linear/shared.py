"""Weights that several layers share: T dense layers with one handle pass over their weights once.

    shared = SharedWeights(builder, weights, bias, steps=32, rows=1, name="recurrent")
    for x in sequence:
        h = shared(x)               # x may depend on the cells of earlier steps

They are one layer (gadgets/linear/convolution.py) whose positions are the steps: one term a channel in the linear
check, with all inputs of a channel in one run of rows. Nothing in the check depends on the order of the steps.
"""

from __future__ import annotations

import numpy as np

from plonnx.gadgets.builder import Builder, Interval, Part
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.function import Function
from plonnx.gadgets.gadget import Integers, Overflow
from plonnx.gadgets.linear.convolution import Convolution


class SharedWeights:
    """The handle. weights [K, N], bias [N] or None; each of the `steps` takes x [rows, K] in `interval` (|v| < T)."""

    def __init__(
        self,
        builder: Builder,
        weights: Integers,
        bias: Integers | None,
        steps: int,
        rows: int,
        name: str,
        interval: Interval | None = None,
    ) -> None:
        limit = builder.table_size - 1
        self.interval = (-limit, limit) if interval is None else interval
        self.builder, self.rows, self.steps, self.taken = builder, rows, steps, 0
        x = Cells(np.zeros((len(weights), steps * rows), np.int64), *self.interval)  # filled step by step
        offset = np.zeros((1, 1), np.int64)
        self.cells = builder.convolution(x, weights[:, None, :], offset, bias, (steps * rows,), name, steps=steps)
        self.number = len(builder.blocks) - 1

    def apply(self, function: Function) -> Cells:
        """Apply a function to every step's outputs, in their own units; the first step's, which nobody has read yet."""
        if self.taken > 1:
            raise ValueError("a function is applied to all steps, before the second")
        low, high = function.interval(self.builder.table_size)
        self.cells = self.builder.fuse(function, self.cells, self.builder.blocks[self.number].name, low, high)
        return self._outputs(0)

    def __call__(self, x: Cells) -> Cells:
        """The next step: x [rows, K] -> [rows, N]. Raises Overflow for an x that could leave the interval."""
        if self.taken == self.steps:
            raise ValueError(f"all {self.steps} steps are taken")
        if x.low < self.interval[0] or x.high > self.interval[1]:
            raise Overflow(f"a step's values lie in [{x.low}, {x.high}], beyond the {self.interval} of its layer")
        here = slice(self.taken * self.rows, (self.taken + 1) * self.rows)
        block = self.builder.blocks[self.number]
        assert isinstance(block, Convolution), "the handle made it"
        block.x[:, here] = x.transpose((1, 0)).refs
        self.builder.parts.append(Part(self.number, self.taken, len(self.builder.blocks) - 1))
        self.taken += 1
        return self._outputs(self.taken - 1)

    def _outputs(self, step: int) -> Cells:
        """[rows, N]."""
        return self.cells.transpose((1, 0))[step * self.rows : (step + 1) * self.rows]
