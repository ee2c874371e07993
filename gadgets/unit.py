"""A unit: the cells (a, b, c) that hold one value of a tensor. T is the size of the range table.

Proved: a + b and c in [0, T) (two lookups) and a * b = 0. The unit's value is v = a - b, in (-T, T); its positive part
max(v, 0) is a itself, so a ReLU costs nothing. In a linear block the exact sum y is no cell but the expression

    y = T (a - b) + c - T/2

so that v = floor((y + T/2) / T): rescaling by T, half up, is free too.

In circuits with gadgets that take more than they give each lane has a fourth cell e, and q = a - b + e takes the place
of v in y: q is what goes into the unit, v = a - b what comes out. e = 0 wherever no such gadget says otherwise:

    (1 - extended) e = 0                                    extended: fixed 0/1

Why no other cells pass. A field has no zero divisors: a b = 0 makes one of them zero, so a + b is the other one, and
its lookup puts both into [0, T). Given y (fixed by the linear check over the integers; |y| < r/2), y + T/2 = T q + c
with 0 <= c < T has one solution (q, c). Given v, a - b = v with a, b >= 0 and a * b = 0 has one solution: one of them
is zero, the other |v|. In a block without a sum (inputs, copies) c takes part in nothing; the prover sets it to zero.

Cost: three narrow advice cells, two lookups, one gate of degree 2; one cell and one gate more with e.

Signed cells. b is there for who reads a alone, or |v| = a + b. Where no gadget of a circuit does, nor any ref shows a
positive part (`Builder.reads_parts`), b is the number 0 and no cell: a is v itself, and there is no product. The range
table holds pairs then, (c, 0) for c in [0, T) and (v + T - 1, 1) for v in (-T, T): two lookups of pairs say what the
two above say of c and of v. Whoever asks for a - b gets a, and `positive` and `negative` refuse. The range may take
more parts so, each with a column of multiplicities: the number of lanes decides (`signed_is_less`).

Cost: two narrow cells, two lookups, no gate; a fixed column of zeros and ones where a part of the table has both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.multiplicities import column_name

if TYPE_CHECKING:  # the prover fills units without sympy
    from plonnx.plonk.circuit import Circuit, Table
    from plonnx.plonk.expression import Column, Expression

Integers = NDArray[np.int64]
ROW = "row"  # the name of the column of row numbers


@dataclass(frozen=True)
class UnitColumns:
    """One lane: the columns of a, of b where cells are not signed, of c and, in circuits that have it, of e."""

    a: Column
    b: Column | None
    c: Column
    e: Column | None = None

    @property
    def signed(self) -> bool:
        """Whether a is v itself."""
        return self.b is None

    @property
    def value(self) -> Expression:
        """v = a - b."""
        return self.shown()

    def shown(self, rotation: int = 0) -> Expression:
        """v so many rows further on."""
        return self.a(rotation) if self.b is None else self.a(rotation) - self.b(rotation)

    @property
    def size(self) -> Expression:
        """Zero just where v is: a + b = |v|, or v where cells are signed."""
        return self.a() if self.b is None else self.a() + self.b()

    def positive(self, rotation: int = 0) -> Expression:
        """max(v, 0), which the circuit has wherever a gadget says that it reads it."""
        assert self.b is not None, "signed cells show no positive part"
        return self.a(rotation)

    def negative(self, rotation: int = 0) -> Expression:
        """max(-v, 0), likewise."""
        assert self.b is not None, "signed cells show no negative part"
        return self.b(rotation)

    @property
    def magnitude(self) -> Expression:
        """|v|, likewise."""
        return self.positive() + self.negative()

    @property
    def taken(self) -> Expression:
        """q = a - b + e, what goes in."""
        return self.value if self.e is None else self.value + self.e()

    def extra(self, rotation: int = 0) -> Expression:
        """e, which the circuit has wherever a gadget asks for it."""
        assert self.e is not None, "no gadget of this circuit frees e"
        return self.e(rotation)

    def exact_sum(self, table_size: int) -> Expression:
        """y, the exact sum before rescaling."""
        return table_size * self.taken + self.c() - table_size // 2


def add_lanes(
    circuit: Circuit,
    lanes: int,
    table_size: int,
    active_rows: int,
    extended: Integers | None = None,
    signed: bool = False,
) -> list[UnitColumns]:
    """The unit columns of every lane with their constraints; with `extended`, e too; `signed`: without b."""
    columns = []
    for lane in range(lanes):
        a, b, c = (circuit.advice(f"{part}{lane}") if part != "b" or not signed else None for part in "abc")
        assert a is not None and c is not None
        columns.append(UnitColumns(a, b, c, None if extended is None else circuit.advice(f"e{lane}")))
    table = (add_signed_table if signed else add_range_table)(circuit, table_size, active_rows)
    for lane, unit in enumerate(columns):
        if unit.b is not None:
            look_up_range(circuit, f"a{lane} + b{lane}", unit.a() + unit.b(), table_size)
            circuit.gate(f"a{lane} or b{lane} is zero", unit.a() * unit.b())
        look_up_range(circuit, f"c{lane}", unit.c(), table_size)
    # Those of v behind all of c: pairs of one kind in a helper column have few values.
    for lane, unit in enumerate(columns if signed else ()):
        moved = unit.a() + (table_size - 1)
        circuit.lookup(f"a{lane} is in (-{table_size}, {table_size})", table, [moved, 1])
    if extended is not None:
        plain = 1 - circuit.shared_fixed("extended", extended)()
        for lane, unit in enumerate(columns):
            circuit.gate(f"e{lane} is zero", plain * unit.extra())
    return columns


def add_range_table(circuit: Circuit, table_size: int, active_rows: int) -> Table:
    """The integers of [0, T), in as many parts as the rows ask for: a part costs one column of multiplicities.

    All full parts share one fixed column; the last part repeats 0 on the rows that it does not need.
    """
    parts, rest = divmod(table_size, active_rows)
    entries = []
    if parts:
        rows = row_numbers(circuit, active_rows)
        entries += [[rows() + part * active_rows] for part in range(parts)]
    if rest:
        entries.append([circuit.fixed("rest of the range", np.arange(parts * active_rows, table_size))()])
    return circuit.table(range_name(table_size), *entries)


def add_signed_table(circuit: Circuit, table_size: int, active_rows: int) -> Table:
    """The pairs (i, 0) for i in [0, T) and (i, 1) for i in [0, 2 T - 1), one after the other, in parts as above.

    The last part repeats (0, 0). A fixed column says which rows of the part that has both are of which kind.
    """
    entries: list[list[Expression]] = []
    count = signed_entries(table_size)
    for start in range(0, count, active_rows):
        at = np.arange(start, min(start + active_rows, count))
        kinds = (at >= table_size).astype(np.int8)
        whole = len(at) == active_rows
        kind: Expression = int(kinds[0])
        if kinds[0] != kinds[-1] or (kind and not whole):
            kind = circuit.fixed("kind of range", kinds)()
        if whole:
            value = row_numbers(circuit, active_rows)() + start - table_size * kind
        else:
            value = circuit.fixed("rest of the range", at - table_size * kinds.astype(np.int64))()
        entries.append([value, kind])
    return circuit.table(range_name(table_size), *entries)


def look_up_range(circuit: Circuit, name: str, cell: Expression, table_size: int) -> None:
    """A cell is in [0, T), on every active row; the circuit has the range table."""
    table = next(table for table in circuit.tables if table.name == range_name(table_size))
    kind = [0] * (len(table.parts[0]) - 1)  # of pairs, where cells are signed
    circuit.lookup(f"{name} is in {table.name}", table, [cell, *kind])


def signed_entries(table_size: int) -> int:
    """The entries of the range table where cells are signed."""
    return 3 * table_size - 1


def signed_is_less(lanes: int, table_size: int, active_rows: int) -> bool:
    """Whether the cells that signed lanes save are more than what further parts of the range cost.

    A part costs a column of counts and a term of a helper column, which is of field elements: two cells, by dry runs.
    """
    more = -(-signed_entries(table_size) // active_rows) - -(-table_size // active_rows)
    return lanes > 2 * more


def range_name(table_size: int) -> str:
    """The name of the range table."""
    return f"[0, {table_size})"


def row_numbers(circuit: Circuit, active_rows: int) -> Column:
    """The fixed column of row numbers, one for all tables."""
    return circuit.shared_fixed(ROW, np.arange(active_rows))


def count_parts(counts: Integers, active_rows: int) -> list[Integers]:
    """The multiplicity columns from the counts of a table's entries."""
    return [counts[start : start + active_rows] for start in range(0, len(counts), active_rows)]


def columns(
    taken: Integers, values: Integers, rest: Integers, extended: bool, signed: bool = False
) -> dict[str, Integers]:
    """The columns a, b (unless signed), c (and e) of units that take q, hold v and c, each [rows, lanes], by name."""
    parts = {"a": values} if signed else {"a": np.maximum(values, 0), "b": np.maximum(-values, 0)}
    cells = {**parts, "c": rest}
    if extended:
        cells["e"] = taken - values
    return {
        f"{part}{lane}": np.ascontiguousarray(column[:, lane])
        for lane in range(values.shape[1])
        for part, column in cells.items()
    }


def range_multiplicities(
    values: Integers,
    rest: Integers,
    table_size: int,
    active_rows: int,
    further: Sequence[Integers] = (),
    signed: bool = False,
) -> Mapping[str, Integers]:
    """The multiplicities of the range table: |v| = a + b and c of every lane, and further columns; zeros beyond."""
    sizes = np.abs(values).reshape(-1)
    looked_up = np.concatenate([*([] if signed else [sizes]), rest.reshape(-1), *further])
    if looked_up.min(initial=0) < 0 or max(looked_up.max(initial=0), sizes.max(initial=0)) >= table_size:
        raise ValueError(f"a cell of a unit is outside [0, {table_size})")
    counts = np.bincount(looked_up, minlength=table_size)
    lanes = values.shape[1]
    counts[0] += ((1 if signed else 2) * lanes + len(further)) * active_rows - len(looked_up)
    if signed:
        own = np.bincount(values.reshape(-1) + table_size - 1, minlength=2 * table_size - 1)
        own[table_size - 1] += lanes * active_rows - len(sizes)
        counts = np.concatenate([counts, own])
    name = range_name(table_size)
    return {column_name(name, part): column for part, column in enumerate(count_parts(counts, active_rows))}
