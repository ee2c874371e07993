"""Dense layers and other tensors in one equation: what a residual stream is after a layer, at one unit an element.

y[o, p] = bias[o] + sum_i sum_c W_i[c, o] x_i[c, p] + sum_k g_k z_k[o, p]: each layer contributes to the check as every
layer does, each z_k as a term of a combination does (gadgets/linear/combination.py): a layer of one tap with a group
for each channel. The equation of (o, p) has one monomial, to which all of them come. The prover chooses nothing beyond
the units; x_i and z_k that stand elsewhere, or have another reader, are copied. For public models: coefficients stand
in the weight columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.function import Function, apply
from plonnx.gadgets.gadget import Cellwise, Integers, Marks
from plonnx.gadgets.linear.combination import Terms
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.gadgets.linear.convolution import exact_type
from plonnx.gadgets.linear.equation import Equation
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells


@dataclass(frozen=True, eq=False)
class Residual(Equation):
    """y = W x + bias + sum_k coefficient_k terms_k; refs x [K, R], terms [terms, N, R]; weights [K, N].

    layers: how many of the K channels, one after another, are each layer's.
    """

    kind: ClassVar[str] = "residual"

    x: Integers
    weights: Integers
    bias: Integers | None
    terms: Integers
    coefficients: tuple[int, ...]
    layers: tuple[int, ...]

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """The layers, then each term by a weight for each channel."""
        offset, grid = np.zeros((1, 1), np.int64), self.x.shape[1:]
        ends = np.cumsum(self.layers)[:-1]
        layers = [
            Contribution(x, Weights(w[:, None, :], offset), grid)
            for x, w in zip(np.split(self.x, ends), np.split(self.weights, ends), strict=True)
        ]
        own = [
            Weights(np.full((len(z), 1, 1), c), offset, len(z))
            for z, c in zip(self.terms, self.coefficients, strict=True)
        ]
        return [*layers, *(Contribution(z, w, grid) for z, w in zip(self.terms, own, strict=True))]

    @property
    def channels(self) -> tuple[int, ...]:
        """Those of the terms."""
        return self.terms.shape[1:]

    @property
    def operands(self) -> Integers:
        """The refs of x, then of all terms."""
        return np.concatenate([self.x.reshape(-1), self.terms.reshape(-1)])

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Its function's, and the bias on the rows of each channel."""
        if self.bias is None:
            return super().marks(number)
        return {**super().marks(number), "bias": {0: np.repeat(self.bias, self.x.shape[1])}}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells, and its function."""
        terms = [(cells(z), c) for z, c in zip(self.terms, self.coefficients, strict=True)]
        ends = np.cumsum(self.layers)[:-1]
        layers = [(cells(x), w) for x, w in zip(np.split(self.x, ends), np.split(self.weights, ends), strict=True)]
        made = residual(builder, layers, self.bias, terms, self.name)
        return made if self.function is None else apply(builder, self.function, made, self.name, fuse=True)

    @property
    def constants(self) -> int:
        """The weights, the bias, and a coefficient for each channel of each term."""
        bias = 0 if self.bias is None else len(self.bias)
        return int(self.weights.size) + len(self.terms) * int(self.terms.shape[1]) + bias

    def validate(self, where: str) -> int:
        """As many as each term."""
        require(self.x.ndim == 2 and self.x.size > 0, f"{where}: its input has no channels of positions")
        require(self.terms.ndim == 3, f"{where}: its terms are no channels of positions")
        layers = len(self.layers) > 0 and min(self.layers) > 0 and sum(self.layers) == len(self.x)
        require(layers, f"{where}: its channels are not those of its layers")
        shape = self.weights.shape == (len(self.x), self.terms.shape[1]) and self.terms.shape[2] == self.x.shape[1]
        require(shape, f"{where}: its weights do not fit its input and terms")
        require(len(self.coefficients) == len(self.terms), f"{where} has not one coefficient for each term")
        require(self.bias is None or self.bias.shape == self.terms.shape[1:2], f"{where}: its bias does not fit")
        return int(self.weights.shape[1] * self.x.shape[1])

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """No hidden model has one."""
        require(False, f"{where}: a private model adds by copies")

    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, count] from the operands' values."""
        x, rest = np.split(operands, [self.x.size], axis=1)
        left, right = self.weights.T, x.reshape(-1, *self.x.shape)
        kind = exact_type(float(np.abs(left).sum(axis=1, dtype=np.float64).max()), right)
        y: Integers = (left.astype(kind) @ right.astype(kind)).astype(np.int64).reshape(len(operands), -1)
        weights = np.array(self.coefficients, np.int64)[:, None]
        y += (rest.reshape(len(operands), len(self.terms), y.shape[1]) * weights).sum(axis=1)
        return y if self.bias is None else y + np.repeat(self.bias, self.x.shape[1])


def residual(
    builder: Builder, layers: Sequence[tuple[Cells, Integers]], bias: Integers | None, terms: Terms, name: str
) -> Cells:
    """Sum of W x over layers, + bias + sum of coefficient * term: x [K, R], W [K, N], bias [N], terms [N, R] -> [N, R].

    Absent cells are zeros. Raises Overflow as `Builder.convolution`.
    """
    if builder.hidden:
        raise ValueError(f"{name}: a private model adds by copies")
    shape = layers[0][1].shape[1], layers[0][0].shape[1]
    added = np.zeros(shape[0]) if bias is None else bias.astype(np.float64)
    low, high, reach = added, added, np.abs(added)
    for x, weights in layers:
        signed = weights.astype(np.float64)
        above, below = np.maximum(signed, 0).sum(axis=0), np.maximum(-signed, 0).sum(axis=0)
        least, most = min(x.low, 0), max(x.high, 0)
        low, high = low + above * least - below * most, high + above * most - below * least
        reach = reach + (above + below) * x.reach
    ends = [[float(c * z.low), float(c * z.high), 0.0] for z, c in terms]
    builder.bounded(name, float(reach.max()) + float(sum(abs(c) * z.reach for z, c in terms)))
    interval = builder.rescaled((float(low.min()) + sum(map(min, ends)), float(high.max()) + sum(map(max, ends))))
    kept = None if bias is None or not np.any(bias) else np.ascontiguousarray(bias, np.int64)
    x, weights = np.concatenate([x.refs for x, _ in layers]), np.concatenate([w for _, w in layers])
    refs = np.stack([z.refs for z, _ in terms]) if terms else np.zeros((0, *shape), np.int64)
    sizes = tuple(len(w) for _, w in layers)
    fields = None, x, np.ascontiguousarray(weights), kept, refs, tuple(int(c) for _, c in terms), sizes
    return builder.add(Residual, name, shape, interval, *fields)
