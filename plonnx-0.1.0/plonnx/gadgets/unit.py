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
    """One lane: the columns of a, b, c and, in circuits that have it, e."""

    a: Column
    b: Column
    c: Column
    e: Column | None = None

    @property
    def value(self) -> Expression:
        """v = a - b."""
        return self.a() - self.b()

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
    circuit: Circuit, lanes: int, table_size: int, active_rows: int, extended: Integers | None = None
) -> list[UnitColumns]:
    """The unit columns of every lane with their constraints; with `extended`, e too."""
    parts = "abc" if extended is None else "abce"
    columns = [UnitColumns(*(circuit.advice(f"{part}{lane}") for part in parts)) for lane in range(lanes)]
    add_range_table(circuit, table_size, active_rows)
    for lane, unit in enumerate(columns):
        look_up_range(circuit, f"a{lane} + b{lane}", unit.a() + unit.b(), table_size)
        look_up_range(circuit, f"c{lane}", unit.c(), table_size)
        circuit.gate(f"a{lane} or b{lane} is zero", unit.a() * unit.b())
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


def look_up_range(circuit: Circuit, name: str, cell: Expression, table_size: int) -> None:
    """A cell is in [0, T), on every active row; the circuit has the range table."""
    table = next(table for table in circuit.tables if table.name == range_name(table_size))
    circuit.lookup(f"{name} is in {table.name}", table, [cell])


def range_name(table_size: int) -> str:
    """The name of the range table."""
    return f"[0, {table_size})"


def row_numbers(circuit: Circuit, active_rows: int) -> Column:
    """The fixed column of row numbers, one for all tables."""
    return circuit.shared_fixed(ROW, np.arange(active_rows))


def count_parts(counts: Integers, active_rows: int) -> list[Integers]:
    """The multiplicity columns from the counts of a table's entries."""
    return [counts[start : start + active_rows] for start in range(0, len(counts), active_rows)]


def columns(taken: Integers, values: Integers, rest: Integers, extended: bool) -> dict[str, Integers]:
    """The columns a, b, c (and e) of units that take q, hold v and c, each [rows, lanes], by name."""
    cells = {"a": np.maximum(values, 0), "b": np.maximum(-values, 0), "c": rest}
    if extended:
        cells["e"] = taken - values
    return {
        f"{part}{lane}": np.ascontiguousarray(column[:, lane])
        for lane in range(values.shape[1])
        for part, column in cells.items()
    }


def range_multiplicities(
    values: Integers, rest: Integers, table_size: int, active_rows: int, further: Sequence[Integers] = ()
) -> Mapping[str, Integers]:
    """The multiplicities of the range table: |v| = a + b and c of every lane, and further columns; zeros beyond."""
    looked_up = np.concatenate([np.abs(values).reshape(-1), rest.reshape(-1), *further])
    if looked_up.min(initial=0) < 0 or looked_up.max(initial=0) >= table_size:
        raise ValueError(f"a cell of a unit is outside [0, {table_size})")
    counts = np.bincount(looked_up, minlength=table_size)
    counts[0] += (2 * values.shape[1] + len(further)) * active_rows - len(looked_up)
    name = range_name(table_size)
    return {column_name(name, part): column for part, column in enumerate(count_parts(counts, active_rows))}
