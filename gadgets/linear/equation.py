"""The base of gadgets with an exact sum in the linear check; a function may be applied to the rescaled sum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from plonnx.gadgets.function import Applied, Function, apply
from plonnx.gadgets.gadget import Cellwise, Gadget, Given, Held, Integers, Marks, Outcome, Rule

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells


def fits(values: Integers, bits: int) -> bool:
    """Whether all values have a two's complement form of so many bits."""
    limit = 1 << (bits - 1)
    values = values if any(values.strides) else values.reshape(-1)[:1]  # of `zeros`: no work for what is not there
    return -limit <= int(values.min(initial=0)) and int(values.max(initial=0)) < limit


def zeros(like: Integers) -> Integers:
    """Zeros of this shape that take no memory, read-only."""
    return np.broadcast_to(np.int64(0), like.shape)


@dataclass(frozen=True, eq=False)
class Equation(Gadget):
    """v = floor((y + T/2) / T) for an exact sum y, or a function of that."""

    equations: ClassVar[bool] = True
    reads_parts: ClassVar[bool] = False  # but those that its refs show

    function: Applied | None

    @property
    def applies(self) -> Applied | None:
        """The function, where there is one."""
        return self.function

    @abstractmethod
    def sums(self, operands: Integers) -> Integers:
        """The exact y [samples, count] from the operands' values [samples, operands]."""

    @abstractmethod
    def stated(self, builder: Builder, cells: Cellwise) -> Cells:
        """As `again`, without the function."""

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells, and its function."""
        made = self.stated(builder, cells)
        return made if self.function is None else apply(builder, self.function, made, self.name, fuse=True)

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Those of its function."""
        return [] if self.function is None else [self.function.rule]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The rescaled sum itself, or what the function makes of it."""
        return "taken" if self.function is None else "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Those of its function."""
        return {} if self.function is None else self.function.marks(self.value_row, number, fused=True)

    def run(self, operands: Integers, size: int) -> Outcome:
        """The exact sums, rescaled half up, and the function; OutOfRange outside its domain."""
        sums = self.sums(operands)
        values = (sums + (size >> 1)) >> (size.bit_length() - 1)
        return Outcome(values if self.function is None else self.function.of(self.name, values, size), sums)

    def fill(self, given: Given) -> Sequence[Held]:
        """The operands above, then the sum: q, what its function makes of it, what rounding leaves."""
        shifted = given.sums + (given.size >> 1)
        taken = np.where(given.present, shifted // given.size, 0)
        rest = np.where(given.present, shifted - taken * given.size, 0)
        values = given.values
        if self.function is not None:
            taken, values = self.function.fill(taken, values, given.present, given.size)
        return [*(Held(copied, copied) for copied in given.operands), Held(taken, values, rest)]
