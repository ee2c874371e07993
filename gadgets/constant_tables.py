"""Tables of constant rows that gadgets bring themselves: declared in parts, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.unit import count_parts
from plonnx.kzg.record import lies_within, require
from plonnx.plonk.multiplicities import column_name

if TYPE_CHECKING:
    from plonnx.plonk.circuit import Circuit, Table

Integers = NDArray[np.int64]
_MOST = 1 << 40
"""Keys, and what stands beside them, stay below this."""


def part(column: Integers, start: int, active_rows: int) -> Integers:
    """A column of a table's part: the rows from `start` on; the last part repeats the last row."""
    return column[np.minimum(np.arange(start, start + active_rows), len(column) - 1)]


def declare(circuit: Circuit, name: str, columns: Sequence[Integers], active_rows: int) -> Table:
    """The table whose rows are the columns' side by side; its last part repeats the last row."""
    parts = []
    for start in range(0, len(columns[0]), active_rows):
        held = [part(column, start, active_rows) for column in columns]
        parts.append([circuit.fixed(f"{name}, column {i}", rows)() for i, rows in enumerate(held)])
    return circuit.table(name, *parts)


def multiplicities(name: str, count: int, found: Integers, active_rows: int) -> Mapping[str, Integers]:
    """The columns of multiplicities from the rows that are looked up."""
    counts = count_parts(np.bincount(found, minlength=count), active_rows)
    return {column_name(name, part): column for part, column in enumerate(counts)}


def check(table: Integers, columns: int, others: Integers, where: str) -> None:
    """Malformed, which names `where`, for no table of so many columns with ascending keys in the first, or for numbers
    of it or of `others` that are too large."""
    require(all(lies_within(part, _MOST - 1) for part in (table, others)), f"{where}: a number is too large")
    some = table.ndim == 2 and table.shape[1:] == (columns,) and len(table) > 0
    require(some and bool(np.all(np.diff(table[:, 0]) > 0)), f"{where}: its table has no ascending keys")


def place(keys: Integers, wanted: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    """Where each wanted key stands among ascending keys, and whether it is there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted
