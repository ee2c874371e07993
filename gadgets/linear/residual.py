"""Layers and other tensors in one equation: what a residual stream is after a layer, at one unit an element.

y[o, p] = bias[o] + sum_{c, t} W[c, t, o] x[c, p + d_t] + sum_k g_k z_k[o, p]: the layer contributes to the check as
every layer does (gadgets/linear/convolution.py), each z_k as a term of a combination does (gadgets/linear/
combination.py): a layer of one tap with a group for each channel. The equation of (o, p) has one monomial, to which all
of them come. The prover chooses nothing beyond the units, and border terms as of every layer; z_k that stand where they
can't be read are copied. A dense layer's channels may be those of several layers, one after another, each of which is a
contribution of its own: what they read stands where it does, or is copied, each for itself. For public models:
coefficients stand in the weight columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Integers
from plonnx.gadgets.linear.contribution import Contribution, Weights, multiple
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells


@dataclass(frozen=True, eq=False)
class Residual(Convolution):
    """A layer of which sum_k coefficient_k terms_k is a part; refs of the terms: [terms, outputs, *shape].

    layers: how many channels of a dense layer are each layer's; () where there is one.
    """

    kind: ClassVar[str] = "residual"

    terms: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    coefficients: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """The layers, then each term by a weight for each channel."""
        terms = [multiple(z, c) for z, c in zip(self.terms, self.coefficients, strict=True)]
        if not self.layers:
            return [Contribution(self.x, self.kernel, self.shape, strides=self.strides), *terms]
        ends = np.cumsum(self.layers)[:-1]
        read = zip(np.split(self.x, ends), np.split(self.weights, ends), strict=True)
        return [*(Contribution(x, Weights(w, self.offsets), self.shape) for x, w in read), *terms]

    @property
    def operands(self) -> Integers:
        """The refs of x, then of all terms."""
        return np.concatenate([self.x.reshape(-1), self.terms.reshape(-1)])

    def lowered(self, half: int, hidden: bool) -> Convolution | None:
        """By its bias, unless all sums are multiples of T."""
        if any(c % (2 * half) for c in self.coefficients):
            return self.with_less(half)
        return super().lowered(half, hidden)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells."""
        terms = [(cells(z), c) for z, c in zip(self.terms, self.coefficients, strict=True)]
        layer = cells(self.x), self.weights, self.offsets, self.bias, self.shape, self.name, self.groups
        return builder.convolution(*layer, terms=terms, strides=self.strides, layers=self.layers)

    @property
    def constants(self) -> int:
        """Those of the layer, and a coefficient for each channel of each term."""
        return super().constants + len(self.terms) * self.outputs + (0 if self.bias is None else self.bias.size)

    def validate(self, where: str) -> int:
        """As many as the layer, and as each term."""
        count = super().validate(where)
        fits = self.terms.ndim == 2 + len(self.shape) and self.terms.shape[1:] == self.channels
        present = len(self.terms) > 0 or len(self.layers) > 0
        require(fits and present, f"{where}: its terms are not the layer's channels of positions")
        dense = self.groups == len(self.offsets) == 1 and not np.any(self.offsets) and not self.strides
        split = dense and self.x.shape[1:] == self.shape and min(self.layers, default=0) > 0
        whole = self.layers == () or (split and sum(self.layers) == len(self.x))
        require(whole, f"{where}: its layers are not its channels")
        require(len(self.coefficients) == len(self.terms), f"{where} has not one coefficient for each term")
        require(self.parts is None and self.hides is None, f"{where}: it has neither steps nor secrets")
        return count

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """No hidden model has one."""
        require(False, f"{where}: a private model adds by copies")

    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, count] from the operands' values."""
        x, rest = np.split(operands, [self.x.size], axis=1)
        weights = np.array(self.coefficients, np.int64)[:, None]
        added: Integers = (rest.reshape(len(operands), len(self.terms), self.count) * weights).sum(axis=1)
        return super().sums(x) + added
