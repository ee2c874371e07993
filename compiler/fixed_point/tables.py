"""Functions of one tensor by lookup tables: which arguments a table holds, and whose unit it joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point.given import Given, Recurrence
from plonnx.compiler.fixed_point.operands import Scaled
from plonnx.compiler.graph import Array, Tensor
from plonnx.compiler.polynomial import as_polynomial
from plonnx.gadgets import Cells, Function, OutOfRange
from plonnx.gadgets.function import apply


class Tables(Given):
    """What is looked up."""

    def apply(
        self,
        function: Callable[[Array], Array],
        x: Scaled,
        scale: int | None = None,
        part: int | None = None,
        formula: str | None = None,
        last: bool = True,
        halfway: bool = False,
    ) -> Cells:
        """function(x), elementwise, at `scale` (the output's where it is None), by a lookup table over x's interval.

        `formula` says which function it is; where it is None, what the node computes of one operand.

        The table holds the arguments whose values are numbers within T, on the sides of a pole where calibration was
        (of a hidden model both), and T, which no cell holds, between them; others, 0 of a reciprocal or a logarithm,
        are refused when they turn up (OutOfRange). A real value that would round to T is T - 1. The table joins the
        block that makes x where nobody else reads x, so a handler reads x no more after this unless it says that this
        is not the last time; equal tables are one.

        halfway: the function jumps between two of the integers that stand for x. Where x is made by a layer with a
        bias, it is rounded down instead of to the nearest, so that every integer lies between two jumps and no sum is
        on the wrong side of one. (A sum that is exactly halfway is rounded up then, not to the even number.)
        """
        if formula is None:
            operands = [t if t is None or t.value is None else t.value for t in self.inputs]
            formula = self.node.formula(["x" if isinstance(operand, Tensor) else operand for operand in operands])
        fuse, middle, taken = last and self.alone(x.cells), 0.0, x
        if fuse and halfway and x.scale > 0:
            with self.errors():
                floored = self.builder.rounded_down(x.cells)
            if floored is not None:
                middle, taken, formula = 0.5, replace(x, cells=floored), f"{formula}, rounded down"
        table = self._table(function, taken, self.scale if scale is None else scale, formula, middle)
        if fuse and self.reads is not None and self.reads.alike and self.reads.begun:
            return self._in_steps(self.reads, table, taken)
        return apply(self.builder, table, taken.cells, self._part(part), fuse)

    def _in_steps(self, layers: Recurrence, table: Function, x: Scaled) -> Cells:
        """A function in the units of all steps, of which x is the first."""
        assert layers.weights is not None and x.tensor is not None, "x is the output of a step"
        made, layers.applied = layers.weights.apply(table), True
        del self.builder.named[x.tensor.name]  # its units now hold the function's values
        return self.applied(replace(x, cells=made))

    def applied(self, x: Scaled) -> Cells:
        """What a function that is applied in the steps' own units made of a step, x."""
        return self.builder.name(self.out.name, x.cells.reshape(self.out.shape))

    def _table(
        self, function: Callable[[Array], Array], x: Scaled, scale: int, formula: str, middle: float
    ) -> Function:
        """The function of the integers of x, each of which stands for what is `middle` above it."""
        name = f"{formula}, scale {x.scale} to {scale}"
        low, high = x.cells.low, x.cells.high
        if x.tensor is not None and x.tensor.interval is not None and not self.builder.hidden:
            low, high = max(low, x.tensor.interval[0] - (middle > 0)), min(high, x.tensor.interval[1])
        if name in self.domains:
            low, high = min(low, self.domains[name][0]), max(high, self.domains[name][1])

        def real(arguments: NDArray[np.int64]) -> Array:
            return np.asarray(np.ldexp(function(np.ldexp(arguments + middle, -x.scale)), scale))

        with np.errstate(all="ignore"):
            reals = real(np.arange(low, high + 1))
            if self.out.dtype.kind == "f":
                defined = np.abs(reals) < (1 << self.table_bits) + 1  # false for what is no number
            else:
                defined = np.abs(np.floor(reals + 0.5)) < 1 << self.table_bits  # whole numbers are exact or refused
        first, end = self._domain(defined, x, low)
        limit = (1 << self.table_bits) - 1
        known = np.where(defined, reals, 0.0)[first:end]
        values = np.clip(np.floor(known + 0.5), -limit, limit).astype(np.int64)
        values[~defined[first:end]] = self.builder.table_size
        made = Function(name, low + first, values)
        if self.out.dtype.kind == "f":  # a table of integers may end where their type does
            made = as_polynomial(made, real, self.builder.table_size)
        return self.builder.in_use(made)

    def _domain(self, defined: NDArray[np.bool_], x: Scaled, low: int) -> tuple[int, int]:
        """[first, end) of the arguments with a value that calibration met, whatever lies between them.

        Where that is not known: the run that holds zero, or else the longest. Of a hidden model, whose measured range
        would show the signs of inner tensors: all of them.
        """
        runs = np.flatnonzero(np.diff(np.concatenate([[False], defined, [False]]).astype(np.int8))).reshape(-1, 2)
        if not len(runs):
            raise OutOfRange(self.out.name, low, 0, 0)
        measured = None if x.tensor is None else x.tensor.measured
        if self.builder.hidden:
            met = runs
        elif measured is None:
            met = runs[(runs[:, 0] <= -low) & (runs[:, 1] > -low)]
        else:
            seen = np.floor(np.ldexp(measured[0], x.scale)) - low, np.ceil(np.ldexp(measured[1], x.scale)) - low
            met = runs[(runs[:, 0] <= seen[1]) & (runs[:, 1] > seen[0])]
        if not len(met):
            met = runs[np.argmax(runs[:, 1] - runs[:, 0])][None]
        return int(met[0, 0]), int(met[-1, 1])

    def fuses(self, x: Cells) -> bool:
        """A function of x would join the block that makes x: it costs no unit, and pays for a table of its own."""
        return x.refs.size >= self.builder.table_size and self.alone(x) and self.builder.makes(x)

    def alone(self, x: Cells) -> bool:
        """No block reads the units of x yet, and no tensor that is still to be read holds one of them."""
        units = x.refs >> 1
        first, last = int(units.min()), int(units.max())
        later = []
        for block in reversed(self.builder.blocks):
            if block.first + block.count <= first:
                break
            later.append(block.operands)
        stepped = [block.operands for block in self.builder.stepped]
        readers = [*later, *stepped, *(cells.refs for cells in self.kept)]
        return not any(np.any((refs >> 1 >= first) & (refs >> 1 <= last)) for refs in readers)
