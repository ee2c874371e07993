"""A sum of tensors with a coefficient each and a constant, in the linear check: its operands are copied above it.

On an operand's row the check adds P (G_a A - G_b B), the coefficient times what the lanes hold; on the sum's own row it
takes y - constant. Coefficients and constants are fixed columns: they speak to whole rows. Many constants that differ
(the embedding of positions) have a column for each lane, so that they stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.function import Function
from plonnx.gadgets.gadget import Cellwise, Integers, Marks, Take
from plonnx.gadgets.linear.biases import CONSTANTS
from plonnx.gadgets.linear.equation import Equation, fits, zeros
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells


MANY = 256
"""Constants that are worth a column for each lane."""


@dataclass(frozen=True, eq=False)
class Sum(Equation):
    """y = sum_k coefficient_k x_k + constant, elementwise over N; refs [terms, N].

    hides: the constant is a secret of a hidden model.
    """

    kind: ClassVar[str] = "sum"

    terms: Integers
    coefficients: tuple[int, ...]
    constant: Integers | None
    hides: bool = False

    @property
    def stride(self) -> int:
        """A row for each operand and one for the sum."""
        return 1 + len(self.terms)

    @property
    def takes(self) -> Sequence[Take]:
        """The operands' units; which view counts, the coefficients say."""
        return [Take(refs, row, viewed=False) for row, refs in enumerate(self.terms)]

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Its function's; the coefficients, of b where the value itself counts; the constant."""
        made = dict(super().marks(number))
        present = [(row, refs, c) for row, (refs, c) in enumerate(zip(self.terms, self.coefficients, strict=True))]
        made["coefficients a"] = {row: np.full(self.count, c) for row, _, c in present}
        made["coefficients b"] = {row: np.where(refs & 1 == 0, c, 0) for row, refs, c in present}
        if self.constant is not None and not self.by_lane:
            made["bias"] = {self.value_row: self.constant}
        return made

    @property
    def by_lane(self) -> bool:
        """Whether each lane has its constants for itself."""
        return not self.hides and self.constant is not None and self.count >= MANY and bool(np.ptp(self.constant))

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """The constants, where each lane has its own."""
        if self.constant is None or not self.by_lane:
            return {}
        return {CONSTANTS: {self.value_row: self.constant}}

    def per_row(self) -> Sequence[Integers]:
        """The operands' views, and the constant; of a hidden one nothing may show: it differs from cell to cell."""
        views = [refs & 1 for refs in self.terms]
        if self.constant is None or self.by_lane:
            return views
        return [*views, np.arange(self.count) if self.hides else self.constant]

    def lowered(self, half: int, hidden: bool) -> Sum | None:
        """By its constant."""
        constant = np.zeros(self.count, np.int64) if self.constant is None else self.constant
        whole = not any(c % (2 * half) for c in self.coefficients) and not np.any(constant % (2 * half))
        return None if whole and not self.hides else replace(self, constant=constant - half)

    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same terms."""
        if not len(self.terms) and self.constant is None:
            return builder.zero
        terms = [(cells(refs), c) for refs, c in zip(self.terms, self.coefficients, strict=True)]
        return builder.sum(terms, self.constant, self.name, self.hides)

    @property
    def secrets(self) -> int:
        """The constant, where it is hidden."""
        return self.count * self.hides

    @property
    def constants(self) -> int:
        """The constant, where it is shown."""
        return self.count * (self.constant is not None and not self.hides)

    @property
    def hides_constants(self) -> bool:
        """As it says."""
        return self.hides

    def bare(self) -> Sum:
        """Without a hidden constant."""
        return replace(self, constant=zeros(self.constant)) if self.hides and self.constant is not None else self

    @property
    def blank(self) -> Sequence[str]:
        """The constant, where it is hidden."""
        return ["constant"] * self.hides

    def validate(self, where: str) -> int:
        """As many as each term."""
        require(self.terms.ndim == 2, f"{where}: its terms are no matrix")
        require(len(self.coefficients) == len(self.terms), f"{where} has not one coefficient for each term")
        constant = self.constant is None or self.constant.shape == self.terms.shape[1:]
        require(constant, f"{where}: its constant has another shape")
        return int(self.terms.shape[1])

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """The constant's; coefficients are public."""
        require(self.constant is None or fits(self.constant, bias_bits), f"{where}: a constant is wider than declared")

    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, N] from the terms' values [samples, terms * N]."""
        weights = np.array(self.coefficients, np.int64)[:, None]
        y: Integers = (operands.reshape(len(operands), *self.terms.shape) * weights).sum(axis=1)
        return y if self.constant is None else y + self.constant
