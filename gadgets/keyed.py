"""Constants by a key that is computed: v = the value of the key x + offset, with an offset for each unit.

    (q + offset, a - b) is a row of the table, on rows where `keyed asked` (fixed 0/1, of each lane) is one

q = x, a copy; offset is a fixed column of each lane (gadgets/unit.py for a, b, e, q). The table holds (key, value),
each key once, so that v is the key's value; e follows. A key that the table does not hold cannot be proved. That x
makes no key which is meant for another offset is for who asks to know: a leaf is a number of its own tree, whatever
the prover chooses. Keys of one gadget are out of reach of another's. Lanes without a unit ask nothing.

Cost: a unit; a lookup a lane; two fixed columns and one of multiplicities for each part of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from plonnx.gadgets import constant_tables
from plonnx.gadgets.gadget import (
    Cellwise,
    Filled,
    Gadget,
    Given,
    Held,
    Integers,
    Marks,
    Outcome,
    OutOfRange,
    Rule,
    Take,
)
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes

TABLE = "values by key"


@dataclass(frozen=True, eq=False)
class Keyed(Gadget, Rule):
    """v = values[x + offset]; refs and offsets [N], the table's rows [M, 2]: ascending keys, values."""

    kind: ClassVar[str] = "keyed"
    reads_parts: ClassVar[bool] = False

    x: Integers
    offsets: Integers
    table: Integers

    @property
    def entries(self) -> int:
        """The rows of its table."""
        return len(self.table)

    @property
    def constants(self) -> int:
        """Its values."""
        return len(self.table)

    @property
    def takes(self) -> Sequence[Take]:
        """x."""
        return [Take(self.x, 0)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [Keyed]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """What comes out of the table."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """e is free."""
        return {"extended": {0: 1}}

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """Which lanes ask, and their offsets."""
        return {"keyed asked": {0: np.ones(self.count, np.int64)}, "keyed": {0: self.offsets}}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same cells and the same table."""
        return look_up(builder, cells(self.x), self.offsets, self.table, self.name)

    def validate(self, where: str) -> int:
        """As many as its operands."""
        require(self.x.ndim == 1 and self.x.shape == self.offsets.shape, f"{where}: its offsets do not fit its operand")
        constant_tables.check(self.table, 2, self.offsets, where)
        return len(self.x)

    def follows(self, before: Gadget | None, size: int, where: str) -> None:
        """Its keys are the next ones, and no x brings an offset to another gadget's."""
        first, last = int(self.table[0, 0]), int(self.table[-1, 0])
        apart = before is None or (isinstance(before, Keyed) and first == int(before.table[-1, 0]) + 2 * size)
        near = first - size <= int(self.offsets.min()) and int(self.offsets.max()) <= last + size
        require(apart and near, f"{where}: its keys are in reach of another's")

    def run(self, operands: Integers, size: int) -> Outcome:
        """The values; OutOfRange for a key that has none."""
        keys = operands + self.offsets
        at, found = constant_tables.place(self.table[:, 0], keys)
        if not found.all():
            raise OutOfRange(self.name, int(keys[~found][0]), int(self.table[0, 0]), int(self.table[-1, 0]))
        return Outcome(self.table[at, 1])

    def fill(self, given: Given) -> Sequence[Held]:
        """q = x, v its value."""
        return [Held(given.operands[0], given.values)]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """One table for all, a lookup a lane."""
        table = constant_tables.declare(lanes.circuit, TABLE, list(_table(lanes.gadgets).T), lanes.active_rows)
        for lane, unit in enumerate(lanes.units):
            asked = lanes.own("keyed asked", lane)
            if not isinstance(asked, int):
                key = unit.taken + lanes.own("keyed", lane)
                lanes.circuit.lookup(f"lane {lane} looks up a value", table, [key, unit.value], asked)

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """How often each key is asked for."""
        table, asked = _table(filled.gadgets), filled.own("keyed asked") != 0
        found, _ = constant_tables.place(table[:, 0], (filled.taken + filled.own("keyed"))[asked])
        return constant_tables.multiplicities(TABLE, len(table), found, filled.active_rows)


def _table(gadgets: Sequence[Gadget]) -> Integers:
    """All keys, ascending, with their values."""
    return np.concatenate([gadget.table for gadget in gadgets if isinstance(gadget, Keyed)])


def look_up(builder: Builder, x: Cells, offsets: Integers, table: Integers, name: str) -> Cells:
    """The value of the key x + offset, elementwise; table [M, 2]: ascending keys from 0 on, values below T.

    Raises OutOfRange from `run` for a key without a value.
    """
    x = builder.present(x)
    before = [block for block in builder.blocks if isinstance(block, Keyed)]
    apart = 2 * builder.table_size  # from any key that an x of the gadget before could make
    base = apart + int(before[-1].table[-1, 0]) - int(table[0, 0]) if before else 0
    shifted = np.stack([table[:, 0] + base, table[:, 1]], axis=1)
    values = table[:, 1]
    refs, own = x.refs.reshape(-1), np.broadcast_to(offsets, x.shape).reshape(-1) + base
    return builder.add(Keyed, name, x.shape, (int(values.min()), int(values.max())), refs, own, shifted)
