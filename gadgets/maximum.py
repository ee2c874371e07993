"""A maximum of candidates x_0 .. x_(k-1): k + 1 rows of a lane, one below the other (gadgets/unit.py for a, b, e, q).

    row 0       q = x_0 (a copy, e = 0)                  start (e' - (a - b)) = 0
    row i       q = x_i (a copy), e the maximum so far   chain (e' - (e + a)) = 0
    row k       the result                               result (a - b - e) = 0

On row i, a - b = q - e = x_i - (maximum so far), so a is how much x_i is above it, and e + a the maximum with x_i: it
is at least every candidate and equal to one of them. Ranges: any two candidates are less than T apart (the builder
refuses others), and a - b is in (-T, T) by the unit's own lookups, where a b = 0 fixes a. e follows from row to row;
the prover chooses nothing. start, chain and result are fixed 0/1 columns.

Cost: k + 1 units a result, k of them copies; no lookup of its own. e is queried on the next row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from plonnx.gadgets.unit import UnitColumns
    from plonnx.plonk.circuit import Circuit

Integers = NDArray[np.int64]


def add(circuit: Circuit, units: Sequence[UnitColumns], start: Integers, chain: Integers, result: Integers) -> None:
    """Add the gates of every lane."""
    starts, chains, results = (
        circuit.fixed(f"maximum {name}", rows)()
        for name, rows in (("start", start), ("chain", chain), ("result", result))
    )
    for lane, unit in enumerate(units):
        assert unit.e is not None
        begun = starts * (unit.e(1) - unit.value)
        circuit.gate(f"lane {lane}: the maximum starts", begun + chains * (unit.e(1) - unit.e() - unit.a()))
        circuit.gate(f"lane {lane}: the maximum is stated", results * (unit.value - unit.e()))


def fill(candidates: Integers) -> tuple[Integers, Integers]:
    """q and v on the rows of a maximum, from the candidates [k, ...]: both [k + 1, ...]."""
    running = np.maximum.accumulate(candidates, axis=0)
    before = np.concatenate([np.zeros_like(running[:1]), running[:-1]])
    values = np.concatenate([candidates - before, running[-1:]])
    taken = np.concatenate([candidates, 2 * running[-1:]])
    return taken, values
