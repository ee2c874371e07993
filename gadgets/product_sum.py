"""Sums of products of values: a chain of rows of a lane, one operand a row (gadgets/unit.py for a, b, c, e, q).

    row 0       q = x_0 (a copy, e = 0)
    row i       q = x_i (a copy)        stated (T v' + c' - T/2) = factor q q' + carried v

The gate stands on row i - 1 and speaks of the next one: v_i is (factor x_(i-1) x_i + carried v_(i-1)) / T, half up.
So f c + i g takes four rows (f, c, i, g, where the third carries), a + z (b - a) three: a, then a - a z at z, then z b
added to it at b. The value stands on the last row. factor, carried and stated (0/1) are fixed columns.

Why no other cells pass. q is copied on every row; on row 0, e = 0 makes v = q. Given v_(i-1), the right side is one
integer, below 2^62 in magnitude (`bounded`), and 0 <= c' < T leaves one v'; then e' = q' - v'. A v' outside (-T, T) no
unit holds: such operands have no proof.

Cost: a unit an operand; no lookup of its own. a, b, c and e are queried on the next row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import (
    Cellwise,
    Gadget,
    Given,
    Held,
    Integers,
    Marks,
    Outcome,
    Rule,
    Take,
    check_range,
)
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


class Link(NamedTuple):
    """An operand below the one before: v = (factor * (the one before) * x + carried * (v before)) / T, half up."""

    x: Cells
    factor: int = 0
    carried: int = 0


@dataclass(frozen=True, eq=False)
class ProductSum(Gadget, Rule):
    """v of the last row, elementwise; refs [rows, N], factors and carried of every row but the first."""

    kind: ClassVar[str] = "product sum"
    reads_parts: ClassVar[bool] = False

    chain: Integers
    factors: tuple[int, ...]
    carried: tuple[int, ...]

    @property
    def stride(self) -> int:
        """A row for each operand."""
        return len(self.chain)

    @property
    def takes(self) -> Sequence[Take]:
        """The operands, one below the other."""
        return [Take(refs, row) for row, refs in enumerate(self.chain)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [ProductSum]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The sum; the last operand goes in."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Factors and what is carried stand on the row above that of which they speak."""
        links = range(len(self.factors))
        return {
            "chain factor": {row: factor for row, factor in enumerate(self.factors) if factor},
            "chain carried": {row: carried for row, carried in enumerate(self.carried) if carried},
            "chain stated": dict.fromkeys(links, 1),
            "extended": {row + 1: 1 for row in links},
        }

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same operands."""
        first, *others = (cells(refs) for refs in self.chain)
        links = [Link(*each) for each in zip(others, self.factors, self.carried, strict=True)]
        return product_sum(builder, first, links, self.name)

    def validate(self, where: str) -> int:
        """As many as each operand."""
        require(self.chain.ndim == 2 and len(self.chain) > 1, f"{where} has no two operands")
        fits = len(self.factors) == len(self.carried) == len(self.chain) - 1
        require(fits, f"{where} has not one factor for each operand but the first")
        return int(self.chain.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """The exact sums, rescaled half up on each row."""
        taken = operands.reshape(len(operands), *self.chain.shape).transpose(1, 0, 2)
        rows = list(self._rows(list(taken), size))
        for _, values in rows:
            check_range(self.name, values, 1 - size, size - 1)
        return Outcome(*reversed(rows[-1]))

    def fill(self, given: Given) -> Sequence[Held]:
        """On each row what has come together so far, with what rounding leaves."""
        held, half = [Held(given.operands[0], given.operands[0])], given.size >> 1
        for q, (sums, values) in zip(given.operands[1:], self._rows(given.operands, given.size), strict=True):
            held.append(Held(q, values, sums + half - values * given.size))
        return held

    def _rows(self, operands: Sequence[Integers], size: int) -> Iterator[tuple[Integers, Integers]]:
        """Exact sum and value of each row but the first."""
        values = operands[0]
        for before, x, factor, carried in zip(operands, operands[1:], self.factors, self.carried, strict=False):
            sums = factor * before * x + carried * values
            values = (sums + (size >> 1)) // size
            yield sums, values

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane."""
        factor, carried, stated = (lanes.mark(f"chain {part}") for part in ("factor", "carried", "stated"))
        for lane, unit in enumerate(lanes.units):
            value = unit.shown(1)
            made = factor * (unit.taken * (value + unit.extra(1))) + carried * unit.value  # a factor of 0 counts none
            rescaled = lanes.size * value + unit.c(1) - lanes.size // 2
            lanes.circuit.gate(f"lane {lane}: the sum of products", made - stated * rescaled)


def product_sum(builder: Builder, first: Cells, links: Sequence[Link], name: str) -> Cells:
    """What a chain of operands comes to, elementwise over one shape. Raises Overflow as `Builder.convolution`."""
    operands = [builder.present(x) for x in (first, *(link.x for link in links))]
    low, high = operands[0].low, operands[0].high
    for before, x, link in zip(operands, operands[1:], links, strict=False):
        products = [float(link.factor) * one * other for one in (before.low, before.high) for other in (x.low, x.high)]
        held = [float(link.carried) * low, float(link.carried) * high]
        builder.bounded(name, max(map(abs, products)) + max(map(abs, held)))
        low, high = builder.rescaled((min(products) + min(held), max(products) + max(held)))
    refs = np.stack([x.refs.reshape(-1) for x in operands])
    made = tuple(link.factor for link in links), tuple(link.carried for link in links)
    return builder.add(ProductSum, name, first.shape, (low, high), refs, *made)
