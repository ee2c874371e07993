"""What handlers take and make: cells whose integers stand for real numbers at a scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plonnx.compiler.graph import Array, Tensor
from plonnx.gadgets import Cells


@dataclass(frozen=True)
class Scaled:
    """Cells whose integers v stand for v / 2**scale; `tensor` is the graph's tensor that they are, if any."""

    cells: Cells
    scale: int
    tensor: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.cells.shape)

    @property
    def terms(self) -> Sequence[tuple[Cells, int]]:
        """Cells and factors of which the integers are the sum."""
        return [(self.cells, 1)]

    def each(self, moved: Callable[[Cells], Cells]) -> Scaled:
        """Re-indexed."""
        return replace(self, cells=moved(self.cells))


@dataclass(frozen=True)
class Wide:
    """Integers T high + low with 0 <= low < T, at scale 0 (ops/wide.py)."""

    high: Cells
    low: Cells
    size: int
    tensor: Tensor | None = None
    scale: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.low.shape)

    @property
    def terms(self) -> Sequence[tuple[Cells, int]]:
        """Cells and factors of which the integers are the sum."""
        return [(self.high, self.size), (self.low, 1)]

    def each(self, moved: Callable[[Cells], Cells]) -> Wide:
        """Re-indexed."""
        return replace(self, high=moved(self.high), low=moved(self.low))


Operand = Scaled | Wide | Array | None
Made = Cells | Wide
"""What a handler makes."""
