"""Fixed-point arithmetic over a gadgets.Builder: real weights in, integer coefficients at the right scales out.

With T = 2**t the table size, the builder computes z = floor((y + T/2) / T) for an exact integer y. A real coefficient
c of an operand at scale s_x enters a result at scale s_z as the integer round(c * 2**(t + s_z - s_x)), a constant as
round(b * 2**(t + s_z)). Handlers (compiler/ops) see a Call and Operands, and never touch a scale themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.gadgets import Builder, Cells, Overflow, TooWide

_LARGEST = 2.0**62
"""Coefficients stay below this; the builder sees to the sums that they make."""


@dataclass(frozen=True)
class Scaled:
    """Cells whose integers v stand for v / 2**scale."""

    cells: Cells
    scale: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.cells.shape)


Operand = Scaled | Array | None


class WidthError(CompileError):
    """A hidden value outside its declared width."""


@dataclass(frozen=True)
class Call:
    """One node on its way into the circuit: what a handler needs besides the operands."""

    builder: Builder
    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    table_bits: int

    @property
    def out(self) -> Tensor:
        """The node's first output, with its scale."""
        return self.outputs[0]

    @property
    def scale(self) -> int:
        """The scale of the first output."""
        assert self.out.scale is not None, "lowering comes after quantization"
        return self.out.scale

    def operand_dtype(self, index: int) -> np.dtype[Any]:
        """The ONNX element type of an operand that is there."""
        tensor = self.inputs[index]
        assert tensor is not None, "an absent operand has no type"
        return tensor.dtype

    def refuse(self, reason: str) -> CompileError:
        """The error of a node that is not supported as it stands, to be raised."""
        return CompileError(f"{self.node.label}: {reason}")

    def computed(self, operand: Operand, what: str) -> Scaled:
        """The operand as cells; refused where it is a constant or absent."""
        if not isinstance(operand, Scaled):
            raise self.refuse(f"{what} must be computed from the model's inputs, not a constant")
        return operand

    def constant(self, operand: Operand, what: str) -> Array:
        """The operand as a constant; refused where it is computed or absent."""
        if isinstance(operand, Scaled) or operand is None:
            raise self.refuse(f"{what} must be a constant of the model")
        return operand

    def integers(self, values: Array, exponent: int) -> NDArray[np.int64]:
        """round(values * 2**exponent), halves up; refused where 62 bits can't hold it."""
        rounded = np.floor(np.ldexp(np.asarray(values, dtype=np.float64), exponent) + 0.5)
        if not np.all(np.abs(rounded) < _LARGEST):
            raise self.refuse(f"at the scale of {self.out.name!r} a coefficient needs more than 62 bits")
        return rounded.astype(np.int64)

    def linear(self, x: Scaled, weights: Array, bias: Array | None = None, part: int | None = None) -> Cells:
        """x W + b for x of shape [R, K], W [K, N] and b [N], as [R, N] at the output's scale."""
        exponent = self.table_bits + self.scale
        coefficients = self.integers(weights, exponent - x.scale)
        constant = None if bias is None else self.integers(bias, exponent)
        try:
            return self.builder.linear(x.cells, coefficients, constant, self._part(part))
        except TooWide as error:
            raise WidthError(f"{self.node.label}: {error}") from error
        except Overflow as error:
            raise self.refuse(str(error)) from error

    def sum(
        self, terms: Sequence[tuple[Scaled, float]], constant: Array | None = None, part: int | None = None
    ) -> Cells:
        """sum_k c_k x_k + constant over operands of one shape, at the output's scale.

        A single term whose coefficient comes out as exactly one is the operand itself, at no cost.
        """
        exponent = self.table_bits + self.scale
        weighted = [(x.cells, int(self.integers(np.asarray(factor), exponent - x.scale))) for x, factor in terms]
        offset = None if constant is None else self.integers(constant, exponent)
        if offset is not None and not self.builder.hidden and not offset.any():
            offset = None
        if offset is None and len(weighted) == 1 and weighted[0][1] == 1 << self.table_bits:
            return weighted[0][0]
        try:
            return self.builder.sum(weighted, offset, self._part(part))
        except TooWide as error:
            raise WidthError(f"{self.node.label}: {error}") from error
        except Overflow as error:
            raise self.refuse(str(error)) from error

    def multiply(self, x: Scaled, factors: Array) -> Cells:
        """x * factors element by element (same shape); one sum for each distinct integer coefficient."""
        coefficients = self.integers(factors, self.table_bits + self.scale - x.scale).reshape(-1)
        distinct, first = np.unique(coefficients, return_index=True)
        flat = Scaled(x.cells.reshape((coefficients.size,)), x.scale)
        if distinct.size == 1:
            return self.sum([(flat, float(factors.reshape(-1)[0]))]).reshape(x.shape)
        parts, order = [], []
        for part, (coefficient, sample) in enumerate(zip(distinct, first, strict=True)):
            where = np.flatnonzero(coefficients == coefficient)
            chosen = Scaled(flat.cells.take(where, 0), x.scale)
            parts.append(self.sum([(chosen, float(factors.reshape(-1)[sample]))], part=part))
            order.append(where)
        return Cells.concatenate(parts, 0).take(np.argsort(np.concatenate(order)), 0).reshape(x.shape)

    def multiply_hidden(self, x: Scaled, factors: Array) -> Cells:
        """x * one hidden factor: a matrix of one weight, since a sum's coefficients are public."""
        if factors.size != 1:
            raise self.refuse(
                "a private model cannot have a product with a constant that differs from element to element and folds"
                " into no matrix; compile it with --model public, or change the model"
            )
        column = Scaled(x.cells.reshape((-1, 1)), x.scale)
        return self.linear(column, factors.reshape(1, 1)).reshape(x.shape)

    def at_scale(self, x: Scaled, part: int | None = None) -> Cells:
        """x at the output's scale: the same cells where it is there already, rescaled otherwise."""
        return x.cells if x.scale == self.scale else self.sum([(x, 1.0)], part=part)

    def _part(self, part: int | None) -> str:
        return self.out.name if part is None else f"{self.out.name}[{part}]"
