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
from plonnx.gadgets.keyed import Keyed
from plonnx.gadgets.lanes import of_lane
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.maximum import Maximum
from plonnx.gadgets.path import Walk
from plonnx.gadgets.product import Product
from plonnx.gadgets.product_sum import ProductSum
from plonnx.gadgets.quadratic import ALONE, COEFFICIENTS, FUSED, Quadratic
from plonnx.gadgets.select import Select
from plonnx.gadgets.shelf import Shelf
from tests.properties.equations import At, Audited

KEPT = tuple(f"{sign}{kind}" for sign in ("", "natural ") for kind in ("narrow", "whole"))
PLAIN = ("maximum start", "comparison start", "boolean", "chain stated", *KEPT)  # which leave e as it is
MARKS = (
    *("applied", "maximum start", "maximum chain", "maximum result", "product", "second", "boolean"),
    "chain stated",
    *KEPT,
    *(f"comparison {part}" for part in ("start", "above", "apart", "plain", "opposite")),
    *("select", "path start", "path decide", "path end", ALONE, FUSED),
)
OWN = ("shelf", "shelf asked", "path asked", "path tree", "path sample", "keyed asked", "keyed")
"""Columns that each lane has for itself."""


class Operands:
    """The rows that the blocks of a circuit mark; their operands are checked as they are walked."""

    def __init__(self, audited: Audited) -> None:
        self.audited, self.builder = audited, audited.layout.builder
        self.marks: dict[str, set[int]] = {name: set() for name in MARKS}
        self.own: dict[str, dict[At, int]] = {name: {} for name in OWN}
        self.free: set[int] = set()  # rows whose e is free for a reason that no mark tells
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

    def _unit(self, block: Gadget, number: int, at: At) -> None:  # noqa: PLR0912  # a branch a kind
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
                self.marks["second"].add(row + 1)
                assert self.audited.column("multiplier")[row] == block.multiplier, f"another multiplier on row {row}"
            case ProductSum():
                self._chain(block, number, at)
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
                self.marks["second"].add(row + 1)
            case Shelf() | Keyed() | Walk():
                self._tabled(block, number, at)
            case Input() if block.boolean or block.narrow or block.step:
                self._free(at)
                self._keeps(block, row)
            case Equation() if block.function is not None:
                self._applies(block, row)
                self._free(at)
            case _:
                self._free(at)
                assert not self.audited.extended[row], f"{block.name} on row {row}, where e is free"

    def _keeps(self, block: Input, row: int) -> None:
        """The row is marked with what the input's values are, and as nothing else."""
        kind = "natural " * block.natural + ("narrow" if block.narrow else "whole")
        self.marks["boolean" if block.boolean else kind].add(row)
        for name in KEPT:
            marked, own = self.audited.column(name)[row], (block.narrow or block.step) * (name == kind)
            assert marked in (0, own), f"row {row} has the range of another input"

    def _tabled(self, block: Shelf | Keyed | Walk, number: int, at: At) -> None:
        if isinstance(block, Walk):
            self._path(block, number, at)
            return
        self._bound(at, block.x[number])
        if isinstance(block, Keyed):
            self.free.add(at[0])
            self.own["keyed asked"][at], self.own["keyed"][at] = 1, int(block.offsets[number])
        else:
            assert not self.audited.extended[at[0]], f"{block.name} on row {at[0]}, where e is free"
            self.own["shelf"][at] = block.start + 2 * number

    def _path(self, block: Walk, number: int, at: At) -> None:
        """Of a level two rows, in which nothing is copied; the leaf stands below them."""
        end, lane = at
        sample, tree = divmod(number, len(block.trees))
        start = end - 2 * block.depth
        self.marks["path start"].add(start)
        self.marks["path end"].add(end)
        self.free |= set(range(start, end + 1))
        for row in range(start, end + 1):
            self._free((row, lane))
            assert row == end or (row, lane) not in self.audited.home, f"a path lies over another unit on row {row}"
        for row in range(start, end, 2):
            self.marks["path decide"].add(row + 1)
            for name, value in (
                *(("shelf asked", 1), ("path asked", 1)),
                *(("path tree", int(block.trees[tree])), ("path sample", 2 * block.x.shape[1] * sample)),
            ):
                self.own[name][row, lane] = value

    def _applies(self, block: Gadget, row: int) -> None:
        function = block.applies
        if isinstance(function, Quadratic):
            self.marks[FUSED if isinstance(block, Equation) else ALONE].add(row)
            held = tuple(int(self.audited.column(f"polynomial's {part}")[row]) for part in COEFFICIENTS)
            assert held == function.coefficients, f"row {row} has another polynomial"
            return
        self.marks["applied"].add(row)
        tag = self.audited.column("tag")[row]
        assert self.builder.functions[tag] is block.function, f"row {row} applies another function"  # type: ignore[attr-defined]

    def _chain(self, block: ProductSum, number: int, at: At) -> None:
        first = at[0] - len(block.factors)
        for above, operand in enumerate(block.chain):
            self._bound((first + above, at[1]), operand[number])
        for above, link in enumerate(zip(block.factors, block.carried, strict=True)):
            self.marks["chain stated"].add(first + above)
            self.free.add(first + above + 1)
            held = [int(self.audited.column(f"chain {part}")[first + above]) for part in ("factor", "carried")]
            assert held == list(link), f"other factors on row {first + above}"

    def _free(self, at: At) -> None:
        assert at not in self.audited.copies, f"row {at[0]}, lane {at[1]} holds a unit and a copy"

    def _bound(self, at: At, ref: int, copies: Mapping[At, tuple[str, int]] | None = None) -> None:
        """A cell is a copy of what a ref shows: a positive part, or the value that its unit gives."""
        copies = self.audited.copies if copies is None else copies
        assert at in copies, f"row {at[0]}, lane {at[1]} is no copy of {ref}"
        view, unit = copies[at]
        source = self.builder.blocks[self.of_unit[unit]]
        gadget = (
            isinstance(source, Lookup | Maximum | Product | ProductSum | Comparison | Select | Keyed | Walk)
            or getattr(source, "function", None) is not None
        )
        shown = {"positive"} if ref & 1 else {"value"} if gadget else {"value", "taken"}  # e of the others is zero
        assert unit == ref >> 1 and view in shown, f"row {at[0]}, lane {at[1]} is a copy of another cell"
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
        empty |= extended - busy - self.free
        own = self.free.union(*(rows for name, rows in self.marks.items() if name not in PLAIN))
        assert extended - empty == own, f"e is free on the rows {sorted((extended - empty) ^ own)} or is not"
        for name, cells in self.own.items():
            for lane in range(self.audited.layout.shape.lanes):
                column = self.audited.column(of_lane(name, lane))
                wanted = np.zeros_like(column)
                for row in (row for row, on in cells if on == lane):
                    wanted[row] = cells[row, lane]
                assert np.array_equal(column, wanted), f"{name} of lane {lane} is not what its units say"
        multiplied = set(np.flatnonzero(self.audited.column("multiplier")).tolist())
        assert multiplied <= self.marks["product"] | empty, "a multiplier on a row without a product"
