"""One of two values by a Boolean g: g x + (1 - g) y, two rows of a lane (gadgets/unit.py for a, b, c, e, q).

    row 0       q = x (a copy), c = g (a copy), a - b the result     choose (a - b - c q - (1 - c) e') = 0
    row 1       q = y (a copy), e = y                                gadgets/second.py

On row 0 the result is c q + (1 - c) y, with c = g by the permutation argument: c takes part in no sum there. The prover
chooses nothing. g is 0 or 1 wherever it was made so (gadgets/comparison.py); `select` refuses cells of another
interval. choose is a fixed 0/1 column.

Cost: two units a result; no lookup of its own, a view of c in the permutation. e is queried on the next row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Gadget, Given, Held, Integers, Marks, Outcome, Overflow, Rule, Take
from plonnx.gadgets.second import Second
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


@dataclass(frozen=True, eq=False)
class Select(Gadget, Rule):
    """v = x where g is 1, y where it is 0, elementwise; refs [3, N]: x, y, g."""

    kind: ClassVar[str] = "select"
    reads_parts: ClassVar[bool] = False

    branches: Integers

    @property
    def stride(self) -> int:
        """A row for each value; the Boolean stands beside the first."""
        return 2

    @property
    def value_row(self) -> int:
        """The result stands where x is taken."""
        return 0

    @property
    def takes(self) -> Sequence[Take]:
        """x and y, and g into c."""
        x, y, g = self.branches
        return [Take(x, 0), Take(y, 1), Take(g, 0, into="rest")]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own, and the other value's."""
        return [Select, Second]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The result; x goes in."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The row of the result, and the one below."""
        return {"select": {0: 1}, **Second.MARKS}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same branches."""
        x, y, g = self.branches
        return select(builder, cells(g), cells(x), cells(y), self.name)

    def validate(self, where: str) -> int:
        """As many as each branch."""
        require(self.branches.ndim == 2 and len(self.branches) == 3, f"{where} has not two branches and a choice")
        return int(self.branches.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """g x + (1 - g) y."""
        x, y, g = operands.reshape(len(operands), 3, -1).transpose(1, 0, 2)
        return Outcome(g * x + (1 - g) * y)

    def fill(self, given: Given) -> Sequence[Held]:
        """The result with g in c; below it an empty unit."""
        x, y, g = given.operands
        return [Held(x, g * x + (1 - g) * y, g), Held(y, np.zeros_like(y))]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane."""
        choose = lanes.mark("select")
        for lane, unit in enumerate(lanes.units):
            g = unit.c()
            chosen = g * unit.taken + (1 - g) * unit.extra(1)
            lanes.circuit.gate(f"lane {lane}: the selection", choose * (unit.value - chosen))


def select(builder: Builder, g: Cells, x: Cells, y: Cells, name: str) -> Cells:
    """x where g is 1, y where it is 0, elementwise over one shape. Raises Overflow for a g that could be another."""
    if g.low < 0 or g.high > 1:
        raise Overflow(f"{name}: what selects lies in [{g.low}, {g.high}], it must be 0 or 1")
    x, y, g = (builder.present(cells) for cells in (x, y, g))
    refs = np.stack([cells.refs.reshape(-1) for cells in (x, y, g)])
    return builder.add(Select, name, x.shape, (min(x.low, y.low), max(x.high, y.high)), refs)
