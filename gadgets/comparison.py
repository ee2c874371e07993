"""A comparison of two values: g = [x1 > x0] or [x1 != x0], or its opposite; three rows of a lane (gadgets/unit.py).

    row 0       q = x0 (a copy, e = 0)        start (e' - (a - b)) = 0
    row 1       q = x1 (a copy), e = x0       with g = e' and decide = above + apart:
                                              decide g (1 - g) = 0
                                              decide (c - (a + b - g)) = 0
                                              above ((1 - g) a + g b) + apart (1 - g) (a + b) = 0
    row 2       the result, e = g             plain (a - b - e) + opposite (a - b + e - 1) = 0

On row 1, a - b = q - e = x1 - x0 with a b = 0, and c takes part in no sum: it takes a + b - g, so that the lookup of c,
which is there anyway, says that a + b >= g. Of `above`: g = 1 leaves b = 0 and a >= 1, the difference is positive; g =
0 leaves a = 0, it is not. Of `apart`: g = 1 leaves a + b >= 1, the values differ; g = 0 leaves a = b = 0. So g has one
value, and the result follows. Without g (1 - g) = 0 a prover could take g = -s at a = b = 0. Ranges: the two values are
less than T apart (`compare` refuses others). All marks are fixed 0/1 columns.

Cost: three units a result, two of them copies; no lookup of its own. e is queried on the next row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Gadget, Given, Held, Integers, Marks, Outcome, Overflow, Rule, Take
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


@dataclass(frozen=True, eq=False)
class Comparison(Gadget, Rule):
    """v = [x1 > x0], or with `apart` [x1 != x0]; with `opposite` one minus that; refs [2, N]: x0, then x1."""

    kind: ClassVar[str] = "comparison"

    values: Integers
    apart: bool
    opposite: bool

    @property
    def stride(self) -> int:
        """Both values and the result."""
        return 3

    @property
    def takes(self) -> Sequence[Take]:
        """x0, then x1."""
        return [Take(refs, row) for row, refs in enumerate(self.values)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [Comparison]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The result; q is nothing on its row."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Where a comparison starts, is decided in which way, and is stated in which way."""
        return {
            "comparison start": {0: 1},
            "comparison apart" if self.apart else "comparison above": {1: 1},
            "comparison opposite" if self.opposite else "comparison plain": {2: 1},
            "extended": {1: 1, 2: 1},
        }

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same values."""
        x0, x1 = self.values
        return compare(builder, cells(x0), cells(x1), self.name, self.apart, self.opposite)

    def validate(self, where: str) -> int:
        """As many as each side."""
        require(self.values.ndim == 2 and len(self.values) == 2, f"{where} has not two values to compare")
        return int(self.values.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """0 or 1."""
        x0, x1 = operands.reshape(len(operands), 2, -1).transpose(1, 0, 2)
        return Outcome(self._decide(x0, x1) ^ int(self.opposite))

    def _decide(self, x0: Integers, x1: Integers) -> Integers:
        return (x1 != x0 if self.apart else x1 > x0).astype(np.int64)

    def fill(self, given: Given) -> Sequence[Held]:
        """The difference with what its lookup leaves, then the result over g."""
        x0, x1 = given.operands
        g = self._decide(x0, x1)
        stated = g ^ int(self.opposite)
        return [Held(x0, x0), Held(x1, x1 - x0, np.abs(x1 - x0) - g), Held(stated + g, stated)]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Five gates a lane."""
        start, above, apart, plain, opposite = (
            lanes.mark(f"comparison {part}") for part in ("start", "above", "apart", "plain", "opposite")
        )
        decide = above + apart
        for lane, unit in enumerate(lanes.units):
            a, b, g, gate = unit.positive(), unit.negative(), unit.extra(1), lanes.circuit.gate
            gate(f"lane {lane}: the comparison starts", start * (g - unit.value))
            gate(f"lane {lane}: the comparison is 0 or 1", decide * g * (1 - g))
            gate(f"lane {lane}: the comparison leaves room", decide * (unit.c() - a - b + g))
            decided = above * ((1 - g) * a + g * b) + apart * (1 - g) * (a + b)
            gate(f"lane {lane}: the comparison is decided", decided)
            stated = plain * (unit.value - unit.extra()) + opposite * (unit.value + unit.extra() - 1)
            gate(f"lane {lane}: the comparison is stated", stated)


def compare(builder: Builder, x0: Cells, x1: Cells, name: str, apart: bool = False, opposite: bool = False) -> Cells:
    """[x1 > x0], or [x1 != x0] with `apart`; 1 minus that with `opposite`; elementwise, in [0, 1].

    Raises Overflow where the two could lie T or more apart.
    """
    x0, x1 = builder.present(x0), builder.present(x1)
    if max(x0.high - x1.low, x1.high - x0.low) >= builder.table_size:
        raise Overflow(f"{name}: the values that are compared can lie {builder.table_size} or more apart")
    refs = np.stack([x0.refs.reshape(-1), x1.refs.reshape(-1)])
    return builder.add(Comparison, name, x0.shape, (0, 1), refs, apart, opposite)
