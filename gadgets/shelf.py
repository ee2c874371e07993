"""A shelf: cells that are looked up by a number that depends on the inference. A table whose entries are cells.

    (n, max(x, 0)) and (n + 1, min(x, 0))       two entries for the cell whose number n is, n = 2, 4, 6, ..

x is copied into a unit (gadgets/unit.py), whose a and -b the entries are; n is a fixed column of each lane. A reader
marks rows where c is a number and a - b what stands there:

    (c, a - b) is an entry, on rows where `shelf asked` (fixed 0/1) is one

Why a reader finds nothing else. Each number from 2 on is on one row of one lane, so one of an x's two parts belongs to
it. Rows and lanes without an x give (0, a) and (1, -b): who asks makes sure that its c is a number from 2 on. Entries,
looked up cells and multiplicities are committed before beta and theta are drawn; the argument (plonk/arguments/
lookup.py) does not ask that entries are fixed. Both parts are there because who compares x with k asks for the part on
k's side of zero, which is never T or more away from k; x is the sum of both.

Cost: a unit for each x, a copy; two columns of multiplicities a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.cells import SIGNED
from plonnx.gadgets.gadget import Cellwise, Filled, Gadget, Given, Held, Integers, Outcome, Overflow, Rule, Take
from plonnx.gadgets.lanes import of_lane
from plonnx.kzg.record import require
from plonnx.plonk.multiplicities import column_name

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.lanes import Lanes

TABLE = "the shelf"
FIRST = 2
"""The least number: rows without a cell have 0 and 1."""


@dataclass(frozen=True, eq=False)
class Shelf(Gadget, Rule):
    """x [N], whose numbers are start, start + 2, ..; its values are x."""

    kind: ClassVar[str] = "shelf"

    x: Integers
    start: int

    @property
    def takes(self) -> Sequence[Take]:
        """x."""
        return [Take(self.x, 0)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [Shelf]

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """The number of each cell."""
        return {"shelf": {0: self.start + 2 * np.arange(self.count)}}

    @staticmethod
    def asked(rows: Sequence[int], count: int) -> Mapping[str, Mapping[int, Integers]]:
        """The lane marks of a reader's rows, on which c is a number and a - b what stands there."""
        return {"shelf asked": {row: np.ones(count, np.int64) for row in rows}}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells."""
        return shelve(builder, cells(self.x), self.name)

    def validate(self, where: str) -> int:
        """As many as its cells."""
        require(self.x.ndim == 1, f"{where}: its operand is no list")
        require(FIRST <= self.start < 1 << 40, f"{where}: its numbers start nowhere")
        return len(self.x)

    def run(self, operands: Integers, size: int) -> Outcome:
        """x."""
        return Outcome(operands)

    def fill(self, given: Given) -> Sequence[Held]:
        """x."""
        return [Held(given.values, given.values)]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """One table, two parts a lane that holds cells; a lookup for each lane that asks."""
        parts = []
        for lane in _shelved(lanes.columns, len(lanes.units)):
            unit, number = lanes.units[lane], lanes.own("shelf", lane)
            parts += [[number, unit.positive()], [number + 1, -unit.negative()]]
        table = lanes.circuit.table(TABLE, *parts, cells=True)
        for lane, unit in enumerate(lanes.units):
            asked = lanes.own("shelf asked", lane)
            if not isinstance(asked, int):
                lanes.circuit.lookup(f"lane {lane} asks the shelf", table, [unit.c(), unit.value], asked)

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """How often each cell's parts are asked for."""
        asked = filled.own("shelf asked") != 0
        numbers = filled.rest[asked]
        counts = np.bincount(numbers, minlength=2)
        columns = {}
        for place, lane in enumerate(_shelved(filled.mark, filled.values.shape[1])):
            own = filled.mark(of_lane("shelf", lane))
            for part in range(2):
                number = own + part
                known = (own > 0) & (number < len(counts))
                columns[column_name(TABLE, 2 * place + part)] = np.where(known, counts[np.where(known, number, 0)], 0)
        return columns


def _shelved(columns: Callable[[str], Integers], lanes: int) -> list[int]:
    """The lanes that hold cells of a shelf."""
    return [lane for lane in range(lanes) if np.any(columns(of_lane("shelf", lane)))]


def shelve(builder: Builder, x: Cells, name: str) -> Cells:
    """x, flat, with a number for each: `numbers` says which. Raises Overflow where T is too small for them."""
    x = builder.present(x)
    before = [block for block in builder.blocks if isinstance(block, Shelf)]
    start = FIRST + 2 * sum(block.count for block in before)
    count = x.refs.size
    if start + 2 * count > builder.table_size:
        raise Overflow(f"{name}: {count} more cells have no numbers below {builder.table_size}")
    return builder.add(Shelf, name, (count,), (x.low, x.high), x.refs.reshape(-1), start)


def numbers(builder: Builder, x: Cells) -> Integers:
    """The numbers of the positive parts of cells that `shelve` gave; one more is that of the negative part.

    Raises ValueError for other cells, or for these in another order.
    """
    shelves = (b for b in builder.blocks if isinstance(b, Shelf))
    block = next((b for b in shelves if np.array_equal(2 * b.units + SIGNED, x.refs.reshape(-1))), None)
    if block is None:
        raise ValueError("cells that stand on no shelf have no numbers there")
    found: Integers = block.start + 2 * ((x.refs >> 1) - block.first)
    return found
