"""What a handler is given of its node: tensors and scales, constants, and the errors that name the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point.operands import Operand, Scaled, Wide
from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.gadgets import Builder, Cells, Overflow, TooWide
from plonnx.gadgets.linear.shared import SharedWeights

_LARGEST = 2.0**62
"""Coefficients stay below this; the builder sees to the sums that they make."""
_FARTHEST = 2000
"""By a larger power of two every number but zero is too large, and by a smaller one it rounds to zero."""
_VALUES = 1 << 15
"""Weights that are rounded at a time: a large layer's take memory once, as integers."""


class WidthError(CompileError):
    """A hidden value outside its declared width."""


class TooSmall(CompileError):
    """A node that this table is too small for."""


@dataclass
class Recurrence:
    """Layers of one matrix, one bias and the same scales: the steps of one gadget, made with the first of them.

    alike: one function is all that reads each of them; it is `applied` in their units once the first has been read.
    """

    steps: int
    alike: bool = False
    weights: SharedWeights | None = None
    applied: bool = False

    @property
    def begun(self) -> bool:
        """Whether the first step is all that is made yet."""
        return self.weights is not None and self.weights.taken == 1


@dataclass(frozen=True)
class Given:
    """One node with its tensors.

    `kept` are the cells that later nodes or the graph's outputs read too; `domains` the intervals that tables must
    hold, by the name of their function, so that two of one function are one. `recurrence`: the layers of which this
    one is a step; `reads`: those of which its operand is one. `added`: what a convolution takes into its sums, of its
    output's shape (compiler/residuals.py). `leveled`: what it makes is rounded to levels, and read by nobody else.
    `chained`: the circuit has sums of products, of which a product is one.
    """

    builder: Builder
    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]
    table_bits: int
    kept: Sequence[Cells] = ()
    domains: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    recurrence: Recurrence | None = None
    reads: Recurrence | None = None
    added: Scaled | None = None
    leveled: bool = False
    chained: bool = False

    @property
    def out(self) -> Tensor:
        """The node's first output that is read, with its scale."""
        return next(tensor for tensor in self.outputs if tensor is not None)

    @property
    def scale(self) -> int:
        """The scale of the first output."""
        assert self.out.scale is not None, "lowering comes after quantization"
        return self.out.scale

    @property
    def is_moved(self) -> bool:
        """Whether the operand or the output has a scale for each channel: the same integers stand for both."""
        return any(tensor is not None and tensor.shift is not None for tensor in (*self.inputs, self.out))

    @property
    def is_wide(self) -> bool:
        """Whether an operand or the output is of integers of two units."""
        return any(tensor is not None and tensor.wide > 0 for tensor in (*self.inputs, self.out))

    def operand_dtype(self, index: int) -> np.dtype[Any]:
        """The ONNX element type of an operand that is there."""
        tensor = self.inputs[index]
        assert tensor is not None, "an absent operand has no type"
        return tensor.dtype

    def refuse(self, reason: str) -> CompileError:
        """The error of a node that is not supported as it stands, to be raised."""
        return CompileError(f"{self.node.label}: {reason}")

    def too_small(self, reason: str) -> TooSmall:
        """The error of a node that a larger table may hold, to be raised."""
        return TooSmall(f"{self.node.label}: {reason}")

    def computed(self, operand: Operand, what: str) -> Scaled:
        """The operand as cells; refused where it is a constant or absent."""
        if isinstance(operand, Wide):
            raise self.too_small(f"{what} holds integers beyond 2^{self.table_bits}, which it does not take")
        if not isinstance(operand, Scaled):
            raise self.refuse(f"{what} must be computed from the model's inputs, not a constant")
        return operand

    def constant(self, operand: Operand, what: str) -> Array:
        """The operand as a constant; refused where it is computed or absent."""
        if isinstance(operand, Scaled | Wide) or operand is None:
            raise self.refuse(f"{what} must be a constant of the model")
        return operand

    def is_public(self, place: int) -> bool:
        """Whether an operand is a constant that everybody knows of a hidden model, too."""
        tensor = self.inputs[place]
        return tensor is not None and tensor.public

    def scalar(self, operand: Operand, what: str) -> float | None:
        """The one value of a constant that is the same everywhere; None where it is absent."""
        if operand is None:
            return None
        values = self.constant(operand, what).astype(np.float64).reshape(-1)
        if not values.size or np.any(values != values[0]):
            raise self.refuse(f"{what} must be the same value everywhere")
        return float(values[0])

    def integers(self, values: Array, exponent: int) -> NDArray[np.int64]:
        """round(values * 2**exponent), halves up; refused where 62 bits can't hold it."""
        return self._rounded(np.asarray(values), exponent, narrow=False)

    def weights(self, values: Array, exponent: int) -> NDArray[Any]:
        """The same of many values: in half the bytes where they fit, and in the order in which memory has them."""
        return self._rounded(np.asarray(values), exponent, narrow=True)

    def _rounded(self, values: Array, exponent: int, narrow: bool) -> NDArray[Any]:
        """Some values at a time."""
        by = min(max(int(exponent), -_FARTHEST), _FARTHEST)
        factors = [2.0**by] if abs(by) < _FARTHEST // 2 else [2.0 ** (by // 2), 2.0 ** (by - by // 2)]
        ends = np.array([values.min(), values.max()] if values.size else [0.0], np.float64)
        reach = float(np.abs(_halves_up(ends, factors, ends)).max())
        if not reach < _LARGEST:
            raise self.refuse(f"at the scale of {self.out.name!r} a coefficient needs more than 62 bits")
        order = _memory_order(values) if narrow else tuple(range(values.ndim))
        flat, room = values.transpose(order).reshape(-1), np.empty(min(values.size, _VALUES))
        made = np.empty(flat.shape, np.int32 if narrow and reach < 1 << 31 else np.int64)
        for start in range(0, len(flat), _VALUES):
            part = flat[start : start + _VALUES]
            made[start : start + _VALUES] = _halves_up(part, factors, room[: len(part)])
        return made.reshape([values.shape[axis] for axis in order]).transpose(np.argsort(order))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The builder's refusals name the node."""
        try:
            yield
        except TooWide as error:
            raise WidthError(f"{self.node.label}: {error}") from error
        except Overflow as error:
            raise self.refuse(str(error)) from error

    def _part(self, part: int | None) -> str:
        return self.out.name if part is None else f"{self.out.name}[{part}]"


def _halves_up(values: Array, factors: Sequence[float], out: NDArray[np.float64]) -> NDArray[np.float64]:
    """round(values * factors), halves up, written to `out`."""
    np.multiply(values, factors[0], out=out, dtype=np.float64)
    for factor in factors[1:]:
        out *= factor
    out += 0.5
    return np.floor(out, out=out)


def _memory_order(values: Array) -> tuple[int, ...]:
    """The axes such that memory is read from front to back, where it has no gaps; else as they are."""
    order = tuple(sorted(range(values.ndim), key=lambda axis: -values.strides[axis]))
    return order if values.transpose(order).flags.c_contiguous else tuple(range(values.ndim))
