"""What the gadgets of a circuit take, against what its blocks say: which cells are copied where, on which marked rows.

The gates and tables of the gadgets act on marked rows alone (gadgets/function.py, maximum.py, product.py, ..), on every
lane there; e may differ from zero on the rows of most of them only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plonnx.gadgets.comparison import Comparison
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.input import Input
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.maximum import Maximum
from plonnx.gadgets.product import Product
from plonnx.gadgets.select import Select
from tests.properties.equations import At, Audited

PLAIN = ("maximum start", "comparison start", "boolean")  # where e stays zero
MARKS = (
    *("applied", "maximum start", "maximum chain", "maximum result", "product", "second factor", "boolean"),
    *(f"comparison {part}" for part in ("start", "above", "apart", "plain", "opposite")),
    *("select", "select other"),
)


class Operands:
    """The rows that the blocks of a circuit mark; their operands are checked as they are walked."""

    def __init__(self, audited: Audited) -> None:
        self.audited, self.builder = audited, audited.layout.builder
        self.marks: dict[str, set[int]] = {name: set() for name in MARKS}
        self.bound = 0
        self.places = {unit: at for at, unit in audited.home.items()}
        starts = [block.first for block in self.builder.blocks]
        self.of_unit = np.searchsorted(starts, np.arange(self.builder.unit_count), "right") - 1

    def check(self) -> int:
        """Every operand of a gadget is bound to the right view, every mark is its own; the number of operands."""
        for block in self.builder.blocks:
            for number, unit in enumerate(block.units.tolist()):
                self._unit(block, number, self.places[unit])
        self._marks()
        return self.bound

    def _unit(self, block: Gadget, number: int, at: At) -> None:
        row, lane = at
        match block:
            case Lookup():
                self._applies(block, row)
                self._bound(at, block.x[number])
            case Maximum():
                self._free(at)
                first = row - len(block.candidates)
                for above, candidate in enumerate(block.candidates):
                    self._bound((first + above, lane), candidate[number])
                    self.marks["maximum chain" if above else "maximum start"].add(first + above)
                self.marks["maximum result"].add(row)
            case Product():
                self._bound(at, block.factors[0][number])
                self._bound((row + 1, lane), block.factors[1][number])
                self.marks["product"].add(row)
                self.marks["second factor"].add(row + 1)
                assert self.audited.column("multiplier")[row] == block.multiplier, f"another multiplier on row {row}"
            case Comparison():
                self._free(at)
                for above, value in zip((2, 1), block.values, strict=True):
                    self._bound((row - above, lane), value[number])
                decided, stated = "apart" if block.apart else "above", "opposite" if block.opposite else "plain"
                for above, part in ((2, "start"), (1, decided), (0, stated)):
                    self.marks[f"comparison {part}"].add(row - above)
            case Select():
                x, y, g = (int(refs[number]) for refs in block.branches)
                self._bound(at, x)
                self._bound((row + 1, lane), y)
                self._bound(at, g, self.audited.rests)
                self.marks["select"].add(row)
                self.marks["select other"].add(row + 1)
            case Input() if block.boolean:
                self._free(at)
                self.marks["boolean"].add(row)
            case Equation() if block.function is not None:
                self._applies(block, row)
                self._free(at)
            case _:
                self._free(at)
                assert not self.audited.extended[row], f"{block.name} on row {row}, where e is free"

    def _applies(self, block: Gadget, row: int) -> None:
        self.marks["applied"].add(row)
        tag = self.audited.column("tag")[row]
        assert self.builder.functions[tag] is block.function, f"row {row} applies another function"  # type: ignore[attr-defined]

    def _free(self, at: At) -> None:
        assert at not in self.audited.copies, f"row {at[0]}, lane {at[1]} holds a unit and a copy"

    def _bound(self, at: At, ref: int, copies: Mapping[At, tuple[str, int]] | None = None) -> None:
        """A cell is a copy of what a ref shows: a positive part, or the value that its unit gives."""
        copies = self.audited.copies if copies is None else copies
        assert at in copies, f"row {at[0]}, lane {at[1]} is no copy of {ref}"
        view, unit = copies[at]
        source = self.builder.blocks[self.of_unit[unit]]
        gadget = (
            isinstance(source, Lookup | Maximum | Product | Comparison | Select)
            or getattr(source, "function", None) is not None
        )
        shown = "positive" if ref & 1 else "value" if gadget or not self.audited.layout.extended else "taken"
        assert (view, unit) == (shown, ref >> 1), f"row {at[0]}, lane {at[1]} is a copy of another cell"
        self.bound += 1

    def _marks(self) -> None:
        """Marked are the rows of the gadgets, and besides only rows on which nothing lies."""
        busy = {row for row, _ in self.audited.home} | {row for row, _ in self.audited.copies}
        empty: set[int] = set()
        for name, own in self.marks.items():
            marked = set(np.flatnonzero(self.audited.column(name)).tolist())
            assert own <= marked, f"{name} misses the rows {sorted(own - marked)}"
            assert not (marked - own) & busy, f"{name} marks the rows {sorted((marked - own) & busy)}"
            empty |= marked - own
        extended = set(np.flatnonzero(self.audited.extended).tolist())
        own = set().union(*(rows for name, rows in self.marks.items() if name not in PLAIN))
        assert extended - empty == own, f"e is free on the rows {sorted((extended - empty) ^ own)} or is not"
        multiplied = set(np.flatnonzero(self.audited.column("multiplier")).tolist())
        assert multiplied <= self.marks["product"] | empty, "a multiplier on a row without a product"
