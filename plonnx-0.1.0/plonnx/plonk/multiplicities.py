"""The witness side of lookups: how often each table entry is looked up. Imports no sympy, the prover uses it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def column_name(table: str, part: int) -> str:
    """The name of the advice column that counts the lookups of one part of a table."""
    return f"multiplicities of {table}, part {part}"


def multiplicities(table: NDArray[np.int64], inputs: Sequence[NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
    """How often each entry of a one-column table is looked up; `table` holds distinct entries on rows 0..len-1.

    Returns `rows` counts. Raises ValueError for an input that is no entry.
    """
    order = np.argsort(table, kind="stable")
    counts = np.zeros(rows, np.int64)
    for values in inputs:
        position = np.searchsorted(table, values, sorter=order)
        found = order[np.minimum(position, len(table) - 1)]
        if np.any(table[found] != values):
            raise ValueError(f"the value {values[table[found] != values][0]} is not in the table")
        counts[: len(table)] += np.bincount(found, minlength=len(table))
    return counts
