"""A unit: the cells (a, b, c) that hold one value of a tensor. T is the size of the range table.

Proved: a, b, c in [0, T) (three lookups) and a * b = 0. The unit's value is v = a - b, in (-T, T); its positive part
max(v, 0) is a itself, so a ReLU costs nothing. In a linear block the exact sum y is no cell but the expression

    y = T (a - b) + c - T/2

so that v = floor((y + T/2) / T): rescaling by T, half up, is free too.

In circuits with functions, maxima or products each lane has a fourth cell e, and q = a - b + e takes the place of v in
y: q is what goes into the unit, v = a - b what comes out. e = 0 wherever no such gadget says otherwise:

    (1 - extended) e = 0                                    extended: fixed 0/1

Why no other cells pass. Given y (fixed by the linear check over the integers; |y| < r/2), y + T/2 = T q + c with 0 <=
c < T has one solution (q, c). Given v, a - b = v with a, b >= 0 and a * b = 0 has one solution: one of them is zero,
the other |v|. In a block without a sum (inputs, copies) c takes part in nothing; the prover sets it to zero.

Cost: three narrow advice cells, three lookups, one gate of degree 2; one cell and one gate more with e.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the prover fills units without sympy
    import sympy

    from plonnx.plonk.circuit import Circuit, Table
    from plonnx.plonk.expression import Column


ROW = "row"  # the name of the column of row numbers


@dataclass(frozen=True)
class UnitColumns:
    """One lane: the columns of a, b, c and, in circuits that have it, e."""

    a: Column
    b: Column
    c: Column
    e: Column | None = None

    @property
    def value(self) -> sympy.Expr:
        """v = a - b."""
        return self.a() - self.b()

    @property
    def taken(self) -> sympy.Expr:
        """q = a - b + e, what goes in."""
        return self.value if self.e is None else self.value + self.e()

    def exact_sum(self, table_size: int) -> sympy.Expr:
        """y, the exact sum before rescaling."""
        return table_size * self.taken + self.c() - table_size // 2


def add_lanes(
    circuit: Circuit, lanes: int, table_size: int, active_rows: int, extended: NDArray[np.int64] | None = None
) -> list[UnitColumns]:
    """The unit columns of every lane with their constraints; with `extended`, e too."""
    parts = "abc" if extended is None else "abce"
    columns = [UnitColumns(*(circuit.advice(f"{part}{lane}") for part in parts)) for lane in range(lanes)]
    table = add_range_table(circuit, table_size, active_rows)
    for unit in columns:
        for column in (unit.a, unit.b, unit.c):
            circuit.lookup(f"{column.name} is in [0, {table_size})", table, [column()])
        circuit.gate(f"{unit.a.name} or {unit.b.name} is zero", unit.a() * unit.b())
    if extended is not None:
        plain = 1 - circuit.fixed("extended", extended)()
        for unit in columns:
            assert unit.e is not None
            circuit.gate(f"{unit.e.name} is zero", plain * unit.e())
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
    return circuit.table(f"[0, {table_size})", *entries)


def row_numbers(circuit: Circuit, active_rows: int) -> Column:
    """The fixed column of row numbers, one for all tables."""
    from plonnx.plonk.expression import Column  # sympy's: only where circuits are made

    if ROW in circuit.fixed_names:
        return Column("fixed", circuit.fixed_names.index(ROW), ROW)
    return circuit.fixed(ROW, np.arange(active_rows))


def count_parts(counts: NDArray[np.int64], active_rows: int) -> list[NDArray[np.int64]]:
    """The multiplicity columns from the counts of 0 .. T-1."""
    return [counts[start : start + active_rows] for start in range(0, len(counts), active_rows)]


def fill(
    taken: NDArray[np.int64], values: NDArray[np.int64], sums: NDArray[np.int64], summed: NDArray[np.bool_], size: int
) -> list[NDArray[np.int64]]:
    """The cells a, b, c, e of units that take q and hold v; c only where `summed`, from the exact sums."""
    rest = np.where(summed, sums + (size >> 1) - taken * size, 0)
    return [np.maximum(values, 0), np.maximum(-values, 0), rest, taken - values]
