"""A maximum of candidates x_0 .. x_(k-1): k + 1 rows of a lane, one below the other (gadgets/unit.py for a, b, e, q).

    row 0       q = x_0 (a copy, e = 0)                  start (e' - (a - b)) = 0
    row i       q = x_i (a copy), e the maximum so far   chain (e' - (e + a)) = 0
    row k       the result                               result (a - b - e) = 0

On row i, a - b = q - e = x_i - (maximum so far), so a is how much x_i is above it, and e + a the maximum with x_i: it
is at least every candidate and equal to one of them. Ranges: any two candidates are less than T apart (`maximum`
refuses others), and a - b is in (-T, T) by the unit's own lookup, where a b = 0 fixes a. e follows from row to row;
the prover chooses nothing. start, chain and result are fixed 0/1 columns.

Cost: k + 1 units a result, k of them copies; no lookup of its own. e is queried on the next row.
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
class Maximum(Gadget, Rule):
    """v = the largest of the candidates, elementwise; refs [candidates, N]. Any two are less than T apart."""

    kind: ClassVar[str] = "maximum"

    candidates: Integers

    @property
    def stride(self) -> int:
        """A row for each candidate and one for the result."""
        return 1 + len(self.candidates)

    @property
    def takes(self) -> Sequence[Take]:
        """The candidates, one below the other."""
        return [Take(refs, row) for row, refs in enumerate(self.candidates)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [Maximum]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The result; q is nothing on its row."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Where a maximum starts, takes another candidate, and is stated."""
        last = len(self.candidates)
        return {
            "maximum start": {0: 1},
            "maximum chain": dict.fromkeys(range(1, last), 1),
            "maximum result": {last: 1},
            "extended": dict.fromkeys(range(1, last + 1), 1),
        }

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same candidates."""
        return maximum(builder, [cells(refs) for refs in self.candidates], self.name)

    def validate(self, where: str) -> int:
        """As many as each candidate."""
        require(self.candidates.ndim == 2 and len(self.candidates) > 1, f"{where} has no two candidates")
        return int(self.candidates.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """The largest."""
        return Outcome(operands.reshape(len(operands), *self.candidates.shape).max(axis=1))

    def fill(self, given: Given) -> Sequence[Held]:
        """The running maximum in e, below each candidate."""
        taken, values = running(np.stack(given.operands))
        return [Held(q, v) for q, v in zip(taken, values, strict=True)]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Two gates a lane."""
        start, chain, result = (lanes.mark(f"maximum {part}") for part in ("start", "chain", "result"))
        for lane, unit in enumerate(lanes.units):
            begun = start * (unit.extra(1) - unit.value)
            chained = chain * (unit.extra(1) - unit.extra() - unit.positive())
            lanes.circuit.gate(f"lane {lane}: the maximum starts", begun + chained)
            lanes.circuit.gate(f"lane {lane}: the maximum is stated", result * (unit.value - unit.extra()))


def maximum(builder: Builder, candidates: Sequence[Cells], name: str) -> Cells:
    """The largest of cells of one shape. Raises Overflow where two candidates could lie T or more apart."""
    if len(candidates) == 1:
        return builder.name(name, candidates[0])
    present = [builder.present(x) for x in candidates]
    low, high = max(x.low for x in present), max(x.high for x in present)
    if high - min(x.low for x in present) >= builder.table_size:
        raise Overflow(f"{name}: the candidates of a maximum can lie {builder.table_size} or more apart")
    refs = np.stack([x.refs.reshape(-1) for x in present])
    return builder.add(Maximum, name, present[0].shape, (low, high), refs)


def running(candidates: Integers) -> tuple[Integers, Integers]:
    """q and v on the rows of a maximum, from the candidates [k, ...]: both [k + 1, ...]."""
    so_far = np.maximum.accumulate(candidates, axis=0)
    before = np.concatenate([np.zeros_like(so_far[:1]), so_far[:-1]])
    values = np.concatenate([candidates - before, so_far[-1:]])
    taken = np.concatenate([candidates, 2 * so_far[-1:]])
    return taken, values
