"""Public values: circuit and verifier form the same words and Horner-sum them (docs/protocol.md section 6).

A public tensor's values lie one after another in the value rows of its lanes. With P, the row's power of chi, and F =
256^(width * place in the word), fixed,

    sum over rows of P F (sum_l psi^l v_l)  =  the instance sum that the verifier computes from the bytes

so every word agrees, up to probability (words)/r. A word has one representation by values in [-2^(8 width - 1), 2^(8
width - 1)), and |v| < T stays inside (gadgets/unit.py): every value agrees. Values and positive parts have a sum
each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx.gadgets.linear_check import lane_sum
from plonnx.gadgets.unit import UnitColumns
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import Run


def add(
    circuit: Circuit,
    units: Sequence[UnitColumns],
    powers: sympy.Expr,
    shifts: NDArray[np.int64],
    runs: Sequence[Run],
    positive: bool,
) -> None:
    """Tie the runs to the rows. shifts: per row 0 (not public) or 1 + the power of 256 of F."""
    if not runs:
        return
    psi = circuit.challenge("psi")
    kind = "positive parts" if positive else "values"
    palette = (0, *(256**power for power in range(int(shifts.max()))))
    factor = circuit.fixed(f"word places of {kind}", shifts, palette)
    values = lane_sum(psi, [unit.a() if positive else unit.a() - unit.b() for unit in units])
    total = circuit.instance(f"public {kind}", runs)
    circuit.sum(f"public {kind}", powers * factor() * values, total)
