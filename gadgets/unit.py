"""A unit: the three cells (a, b, c) that hold one value of a tensor. T is the size of the range table.

Proved: a, b, c in [0, T) (three lookups) and a * b = 0. The unit's value is v = a - b, in (-T, T); its positive part
max(v, 0) is a itself, so a ReLU costs nothing. In a linear block the exact sum y is no cell but the expression

    y = T (a - b) + c - T/2

so that v = floor((y + T/2) / T): rescaling by T, half up, is free too.

Why no other cells pass. Given y (fixed by the linear check over the integers; |y| < r/2), y + T/2 = T v + c with 0 <=
c < T has one solution (v, c). Given v, a - b = v with a, b >= 0 and a * b = 0 has one solution: one of them is zero,
the other |v|. In a block without a sum (inputs, copies) c takes part in nothing; the prover sets it to zero.

Cost: three narrow advice cells, three lookups, one gate of degree 2.
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


@dataclass(frozen=True)
class UnitColumns:
    """One lane: the columns of a, b and c."""

    a: Column
    b: Column
    c: Column

    def exact_sum(self, table_size: int) -> sympy.Expr:
        """y, the exact sum before rescaling."""
        return table_size * (self.a() - self.b()) + self.c() - table_size // 2


def add_lanes(circuit: Circuit, lanes: int, table_size: int, active_rows: int) -> list[UnitColumns]:
    """The unit columns of every lane with their constraints."""
    columns = [UnitColumns(*(circuit.advice(f"{part}{lane}") for part in "abc")) for lane in range(lanes)]
    table = add_range_table(circuit, table_size, active_rows)
    for unit in columns:
        for column in (unit.a, unit.b, unit.c):
            circuit.lookup(f"{column.name} is in [0, {table_size})", table, [column()])
        circuit.gate(f"{unit.a.name} or {unit.b.name} is zero", unit.a() * unit.b())
    return columns


def add_range_table(circuit: Circuit, table_size: int, active_rows: int) -> Table:
    """The integers of [0, T), in as many parts as the rows ask for: a part costs one column of multiplicities.

    All full parts share one fixed column; the last part repeats 0 on the rows that it does not need.
    """
    parts, rest = divmod(table_size, active_rows)
    entries = []
    if parts:
        rows = circuit.fixed("row", np.arange(active_rows))
        entries += [[rows() + part * active_rows] for part in range(parts)]
    if rest:
        entries.append([circuit.fixed("rest of the range", np.arange(parts * active_rows, table_size))()])
    return circuit.table(f"[0, {table_size})", *entries)


def count_parts(counts: NDArray[np.int64], active_rows: int) -> list[NDArray[np.int64]]:
    """The multiplicity columns from the counts of 0 .. T-1."""
    return [counts[start : start + active_rows] for start in range(0, len(counts), active_rows)]


def fill(
    values: NDArray[np.int64], sums: NDArray[np.int64], summed: NDArray[np.bool_], table_size: int
) -> list[NDArray[np.int64]]:
    """The cells a, b, c of units with these values; c only where `summed`, from the exact sums."""
    rest = np.where(summed, sums + (table_size >> 1) - values * table_size, 0)
    return [np.maximum(values, 0), np.maximum(-values, 0), rest]
