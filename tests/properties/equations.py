"""What the linear check and the public sums of a circuit say, cell by cell, against what its blocks say.

`check` wants: every equation of a convolution, a product of matrices or a sum once, with a monomial in chi and psi of
its own, exactly M v + bias - y; border terms at powers of psi that no equation has; idle cells in no equation; public
sums that are the public words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np
import sympy

from plonnx.gadgets.input import Input
from plonnx.gadgets.linear.combination import Combination
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.equation import Equation
from plonnx.gadgets.linear.magnitude_sum import MagnitudeSum
from plonnx.gadgets.linear.matmul import MatMul
from plonnx.gadgets.linear.residual import Residual
from plonnx.gadgets.linear.row_product import RowProduct
from plonnx.gadgets.linear.square_sum import SquareSum
from plonnx.gadgets.linear.sum import Sum
from plonnx.gadgets.linear.window import WindowSum
from plonnx.layout.arithmetize import arithmetize, declare
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import Layout
from plonnx.plonk import expression as ex
from plonnx.plonk.keys import InstanceColumn
from plonnx.plonk.tally import Tally
from tests.properties.symbolic import Form, Forms

At = tuple[int, int]  # a row and a lane, or a column and a row
Name = tuple[str, Any]  # ("a", unit), also of its copies; ("idle a", (row, lane)); ("border", ..); ("one", 0);
# ("product", two names in order)
Named = dict[tuple[Name, int, int], int]  # coefficients by name and powers of chi and psi
ONE: Name = ("one", 0)


@dataclass
class Counted:
    """How much there was to check: what a test of many circuits must have met."""

    equations: int = 0
    borders: int = 0
    idle: int = 0
    words: int = 0

    def __iadd__(self, other: Counted) -> Counted:
        for name in ("equations", "borders", "idle", "words"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass
class Audited:
    """A circuit, not finished, with what its cells are: the gates and the copies that make them so are checked here."""

    layout: Layout
    home: dict[At, int] = field(default_factory=dict)  # (row, lane) of the units
    copies: dict[At, tuple[str, int]] = field(default_factory=dict)  # (row, lane) of the copies: view, unit
    rests: dict[At, tuple[str, int]] = field(default_factory=dict)  # of the copies that c takes

    def __post_init__(self) -> None:
        layout = self.layout
        self.signed = layout.signed(layout.shape.active_rows)
        self.fixed, self.parts = Fixed(layout), "a" + "b" * (not self.signed) + "c" + "e" * layout.extended
        self.circuit = arithmetize(layout, "audited", layout.tensors)
        self.forms = Forms(self.circuit, layout.rows)
        self.extended = self.column("extended")
        rows, lanes = layout.unit_cells
        self.home = {at: unit for unit, at in enumerate(zip(rows.tolist(), lanes.tolist(), strict=True))}
        assert len(self.home) == layout.builder.unit_count, "two units in one place"
        self._views()
        self._copies()

    def column(self, name: str) -> np.ndarray:
        """A fixed column on all rows of the layout and one more; zeros where the circuit has none of this name."""
        values = np.zeros(self.layout.rows + 1, np.int64)
        if name in self.circuit.aliases:
            found = self.forms.fixed(self.circuit.aliases[name].index)
            values[: len(found)] = found
        return values

    def cell(self, part: str, lane: int) -> sympy.Expr:
        """The column of a part of a lane, as an expression."""
        name = f"{part}{lane}"
        assert self.circuit.advice_names.count(name) == 1
        return ex.Column("advice", self.circuit.advice_names.index(name), name)()

    def _views(self) -> None:
        """a + b and c are in the range, a b = 0, or a alone is, signed; e = 0 on rows that are not extended."""
        lanes, circuit = range(self.layout.shape.lanes), self.circuit
        self.part_of = {self.cell(part, lane).slot.index: (part, lane) for lane in lanes for part in self.parts}
        gates = {gate.name: gate.expression for gate in circuit.gates}
        self.views: dict[sympy.Expr, tuple[str, int]] = {}
        for lane in lanes:
            a, b = self.cell("a", lane), 0 if self.signed else self.cell("b", lane)
            self.views |= {a - b: ("value", lane)}
            size, c = self.layout.builder.table_size, self.cell("c", lane)
            if self.signed:
                assert not any(f"b{lane}" in name for name in (*gates, *circuit.advice_names))
            else:
                self.views |= {a: ("positive", lane)}
                assert gates[f"a{lane} or b{lane} is zero"] == a * b
            for looked_up in ((a + size - 1, 1), (c, 0)) if self.signed else ((a + b,), (c,)):
                (found,) = (lookup for lookup in circuit.lookups if lookup.inputs == looked_up)
                assert found.numerator == 1
                assert found.table.name == f"[0, {self.layout.builder.table_size})"
            if self.layout.extended:
                e = self.cell("e", lane)
                self.views |= {a - b + e: ("taken", lane), self.cell("c", lane): ("rest", lane)}
                assert sympy.expand(gates[f"e{lane} is zero"] - (1 - circuit.aliases["extended"]()) * e) == 0

    def _copies(self) -> None:
        """Every cell is copied once, and no copy is of what goes into a gadget."""
        for copied, rows, original, sources in self.circuit.copies:
            (view, to), (shown, lane) = self.views[copied], self.views[original]
            assert view in ("taken", "rest", "value")
            made = self.rests if view == "rest" else self.copies
            for row, source in zip(rows.tolist(), sources.tolist(), strict=True):
                assert view != "value" or not self.extended[row], f"a copy into what row {row}'s gadget gives"
                assert (row, to) not in made, f"two copies on row {row}, lane {to}"
                assert shown != "taken" or not self.extended[source], f"a copy of what row {source}'s gadget takes"
                made[row, to] = shown, self.home[source, lane]

    def names(self, cell: At) -> list[Name]:
        """What a cell is, a sum of names; a copy that must hold its unit's cells has their names.

        Of a copy of a positive part it is a - b that holds it: a is that and b, so b is idle where only a - b is read.
        """
        column, row = cell
        if column in self.circuit.free_columns:
            return [("border", cell)]
        name, lane = self.part_of[column]
        at = row, lane
        if at in self.home:
            return [(name, self.home[at])]
        if at in self.copies and name in "ab" and not self.extended[row]:
            view, unit = self.copies[at]
            if view != "positive":
                return [(name, unit)]
            return [("a", unit), ("idle b", at)] if name == "a" else [("idle b", at)]
        return [(f"idle {name}", at)]

    def sum(self, name: str) -> tuple[Named, sympy.Expr | None]:
        """A sum of the circuit by the names of its cells, and its total."""
        ((term, total),) = ((term, total) for each, term, total in self.circuit.sums if each == name)
        return self.named(self.forms.total(term)), total

    def named(self, form: Form) -> Named:
        """A form by the names of its cells."""
        found: Named = {}
        for (cells, chi, psi), coefficient in form.items():
            for names in product(*(self.names(cell) for cell in cells)):
                put(found, together(*names), chi, psi, coefficient)
        return {term: coefficient for term, coefficient in found.items() if coefficient}


def together(*names: Name) -> Name:
    """No cell, one, or the product of two."""
    return ("product", tuple(sorted(names, key=str))) if len(names) == 2 else names[0] if names else ONE


def factors(name: Name) -> tuple[Name, ...]:
    """The names that are multiplied."""
    return name[1] if name[0] == "product" else (name,)


def idle(name: Name) -> bool:
    """Whether a name is an idle cell, or has one as a factor."""
    return any(part.startswith("idle") for part, _ in factors(name))


def put(into: Named, name: Name, chi: int, psi: int, coefficient: int) -> None:
    """Add a term."""
    into[name, chi, psi] = into.get((name, chi, psi), 0) + coefficient


def check(layout: Layout) -> Counted:
    """All of it, on one layout; AssertionError says what is wrong."""
    audited = Audited(layout)
    counted = Counted()
    challenges(audited)
    if any(isinstance(block, Equation) for block in layout.builder.blocks):
        counted += linear_check(audited)
    counted.words = public_sums(audited)
    return counted


def challenges(audited: Audited) -> None:
    """chi follows the cells, psi and all others the border terms too."""
    circuit = audited.circuit
    drawn = {scalar.name: phase for phase, scalars in enumerate(circuit.challenges) for scalar in scalars}
    assert drawn.pop("chi") == 0
    assert set(drawn.values()) <= {circuit.free_phase}
    assert {circuit.advice_phases[index] for index in circuit.free_columns} <= {1}


def reading(layout: Layout) -> str:
    """How a circuit reads inputs: through sums over several rows, or each run on its only row."""
    made = Tally(layout.shape.k)
    declare(made, Fixed(layout), layout.shape.active_rows)
    return "accumulated" if "input sums" in made.advice_names else "at once"


# The linear check ----------------------------------------------------------------------------------------------------


def linear_check(audited: Audited) -> Counted:
    """Each equation exactly once and exactly; nothing else but border terms, and idle cells apart."""
    terms, total = audited.sum("linear check")
    assert total is None
    monomials: dict[int, tuple[int, int]] = {}
    for ((part, unit), chi, psi), coefficient in terms.items():
        if part == "c":
            assert isinstance(unit, int)
            assert coefficient == -1, f"c of unit {unit} has the coefficient {coefficient}"
            assert unit not in monomials, f"two equations of unit {unit}"
            monomials[unit] = chi, psi
    blocks = [block for block in audited.layout.builder.blocks if isinstance(block, Equation)]
    stated = [unit for block in blocks for unit in block.units.tolist()]
    assert sorted(monomials) == stated, f"the equations differ in the units {set(stated) ^ set(monomials)}"
    of_equations = set(monomials.values())
    assert len(of_equations) == len(monomials), "two equations share a monomial"

    bordered = {psi for (part, _), _, psi in terms if part == "border"}
    assert not bordered & {psi for _, psi in of_equations}, "a border term reaches an equation"
    counted = Counted(equations=len(monomials), borders=len({name for name, _, _ in terms if name[0] == "border"}))
    standing: Named = {}
    for (name, *monomial), coefficient in terms.items():
        if idle(name):
            counted.idle += 1
            assert all(part in ("a", "b", "idle a", "idle b") for part, _ in factors(name)), f"{name} in the check"
            assert tuple(monomial) not in of_equations, f"{name} in an equation, times {coefficient}"
        elif monomial[1] not in bordered:
            standing[name, monomial[0], monomial[1]] = coefficient
    expected = equations(audited, monomials)
    wrong = {term for term in standing.keys() | expected.keys() if standing.get(term) != expected.get(term)}
    assert not wrong, f"{len(wrong)} coefficients differ, first {min(wrong, key=str)}"
    held = {name[1] for name, _, _ in terms if name[0] == "border"}
    assert held == border_cells(audited), "cells are border terms where none stands, or none where one does"
    return counted


def border_cells(audited: Audited) -> set[tuple[int, int]]:
    """(column, row) of the cells that are border terms."""
    rows = [row for p in audited.layout.places if p.has_terms for row in p.term_rows.tolist()]
    return {(column, row) for column in audited.circuit.free_columns for row in rows}


def equations(audited: Audited, monomials: dict[int, tuple[int, int]]) -> Named:
    """sum M v + bias - y of every equation, times its monomial; v = a - b, or a for a positive part."""
    found: Named = {}
    size = audited.layout.builder.table_size
    for block in audited.layout.builder.blocks:
        if not isinstance(block, Equation):
            continue
        for number, unit in enumerate(block.units.tolist()):
            monomial = monomials[unit]
            signs = {"a": size, "b": -size, "c": 1, "e": size}
            for part in audited.parts:
                put(found, (part, unit), *monomial, -signs[part])
            put(found, ONE, *monomial, size // 2 + constant(block, number))
            for refs, coefficient in operands(block, number):
                for names in product(*(viewed(ref) for ref in refs)):
                    negative = sum(part == "b" for part, _ in names)
                    if not negative or not audited.signed:
                        put(found, together(*names), *monomial, coefficient * (-1) ** negative)
    return {term: coefficient for term, coefficient in found.items() if coefficient}


def viewed(ref: int) -> list[Name]:
    """The cells that a ref shows: a - b, of a positive part a alone; of nothing none."""
    return [] if ref < 0 else [("a", ref >> 1), ("b", ref >> 1)][: 1 if ref & 1 else 2]


def constant(block: Equation, number: int) -> int:
    """The bias of an equation of a block, or its constant."""
    if isinstance(block, (Combination, MatMul, RowProduct, SquareSum, WindowSum)):
        return 0
    if isinstance(block, Sum):
        return 0 if block.constant is None else int(block.constant[number])
    assert isinstance(block, Convolution)
    if block.bias is None:
        return 0
    return int(block.bias.reshape(-1)[number] if block.bias.ndim > 1 else block.bias[number // block.positions])


def operands(block: Equation, number: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The refs that an equation of a block multiplies, with their coefficients."""
    if isinstance(block, (Combination, Sum)):
        refs = block.terms.reshape(len(block.terms), block.count)[:, number]
        for ref, coefficient in zip(refs.tolist(), block.coefficients, strict=True):
            yield (ref,), coefficient
        return
    if isinstance(block, MatMul):
        positions, columns = block.a.shape[2], block.b.shape[2]
        group, j, i = np.unravel_index(number, (len(block.a), columns, positions))
        for x, y in zip(block.a[group, :, i].tolist(), block.b[group, :, j].tolist(), strict=True):
            yield (x, y), block.multiplier
        return
    if isinstance(block, (RowProduct, SquareSum)):
        yield from of_turned(block, number)
        return
    if isinstance(block, WindowSum):
        yield from of_windows(block, number)
        return
    assert isinstance(block, Convolution)
    if isinstance(block, Residual):
        refs = block.terms.reshape(len(block.terms), block.count)[:, number]
        for ref, coefficient in zip(refs.tolist(), block.coefficients, strict=True):
            yield (ref,), coefficient
    output, position = divmod(number, block.positions)
    group, j = divmod(output, block.weights.shape[2])
    at = np.array(np.unravel_index(position, block.shape))
    per_group = len(block.x) // block.groups
    for channel in range(group * per_group, (group + 1) * per_group):
        for tap, offset in enumerate(block.offsets):
            read = at * (block.strides or 1) + offset
            if np.all((read >= 0) & (read < block.x.shape[1:])):
                yield (int(block.x[(channel, *read)]),), int(block.weights[channel, tap, j])


def of_turned(block: RowProduct | SquareSum, number: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The refs that rows times numbers, or sums of squares, multiply."""
    if isinstance(block, MagnitudeSum):
        for ref in block.x[:, number].tolist():
            if ref >= 0:  # a + b = 2 a - (a - b)
                yield (ref | 1,), 2 * block.multiplier
                yield (ref,), -block.multiplier
        return
    if isinstance(block, SquareSum):
        for ref in block.x[:, number].tolist():
            yield (ref, ref), block.multiplier
        return
    channel, position = divmod(number, block.x.shape[1])
    group = channel // (len(block.x) // len(block.factors))
    yield (int(block.x[channel, position]), int(block.factors[group, position])), block.multiplier


def of_windows(block: WindowSum, number: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The refs that a sum over windows multiplies, from its fields."""
    channel, *position = np.unravel_index(number, block.shape)
    cells, taps = iter(block.cells.tolist()), iter(zip(block.offsets.tolist(), block.coefficients, strict=True))
    for grid, steps, count in zip(block.grids.tolist(), block.strides.tolist(), block.counts, strict=True):
        size = block.shape[0] * int(np.prod(grid))
        x = np.array(list(islice(cells, size))).reshape(block.shape[0], *grid)
        for offset, coefficient in islice(taps, count):
            read = [p * step + d for p, step, d in zip(position, steps, offset, strict=True)]
            if all(0 <= at < extent for at, extent in zip(read, grid, strict=True)):
                yield (int(x[(channel, *read)]),), coefficient


# Public values -------------------------------------------------------------------------------------------------------


def public_sums(audited: Audited) -> int:
    """Each public sum is exactly its words, and the words of all sums together are the public bytes; their number."""
    stated = public_refs(audited.layout)
    assert len(audited.circuit.instances) == len(audited.fixed.words)
    words = 0
    for column in audited.circuit.instances:
        terms, total = audited.sum(column.name)
        assert str(total) == column.name
        expected, count = worded(column, stated)
        words += count
        if audited.signed:
            expected = {term: factor for term, factor in expected.items() if term[0][0] != "b"}
        assert terms == expected, f"{column.name}: the sum is not that of the words"
    assert not stated, f"the public bytes at {sorted(stated)} are in no word"
    return words


def public_refs(layout: Layout) -> dict[int, tuple[int, int]]:
    """By their place among the public bytes: the refs, and the bytes that each takes."""
    refs = [2 * block.units for block in layout.builder.inputs if block.public]
    refs += [output.cells.refs.reshape(-1) for output in layout.builder.outputs if output.public]
    size, tied = layout.builder.table_size, {u: b for b in layout.builder.inputs for u in b.units.tolist()}
    for tensor, of_tensor in zip(layout.tensors, refs, strict=True):
        most = (max(_most(tied.get(ref >> 1), size) for ref in of_tensor.reshape(-1).tolist()), tensor.width)
        assert most[0] < 1 << 8 * tensor.width - 1, f"too few bytes for the values of {tensor.name}: {most}"
    return {
        tensor.offset + i * tensor.width: (ref, tensor.width)
        for tensor, of_tensor in zip(layout.tensors, refs, strict=True)
        for i, ref in enumerate(of_tensor.tolist())
    }


def _most(block: Input | None, size: int) -> int:
    """The largest that a value can be: of most T - 1."""
    if block is None or not (block.boolean or block.narrow or block.step == 1):
        return size - 1
    if block.step:
        return size - 1 if block.natural else size // 2 - 1
    return 1 if block.boolean else size // block.narrow // (1 if block.natural else 2) - 1


def worded(column: InstanceColumn, stated: dict[int, tuple[int, int]]) -> tuple[Named, int]:
    """The words of a column, each with a monomial of its own; takes what they state out of `stated`."""
    found: Named = {}
    taken: set[tuple[int, int]] = set()
    positive = "positive" in column.name
    for run in column.runs:
        assert run.per_word * run.width <= 31, "a word must have one value only"
        for number in range(run.count):
            word, place = divmod(number, run.per_word)
            monomial = run.exponent + word, run.power
            assert place or monomial not in taken, f"two words of {column.name} share a monomial"
            taken.add(monomial)
            ref, width = stated.pop(run.offset + number * run.width)
            assert (width, bool(ref & 1)) == (run.width, positive)
            factor = 256 ** (run.width * (run.per_word - 1 - place))
            put(found, ("a", ref >> 1), *monomial, factor)
            if not positive:
                put(found, ("b", ref >> 1), *monomial, -factor)
    return {term: coefficient for term, coefficient in found.items() if coefficient}, len(taken)
