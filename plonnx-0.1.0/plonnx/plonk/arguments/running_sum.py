"""One running sum for everything additive: the lookups' helpers, linear checks and instance sums.

    S_0 = 0,   S' = S + sum_h h + sum_i mu^(i+1) term_i,   S_u = sum_i mu^(i+1) total_i

mu is drawn after every cell that a term holds, so the sums are separate equalities (Schwartz-Zippel in mu).
"""

from __future__ import annotations

from collections.abc import Sequence

from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Column, Expression


def add_column(circuit: Circuit, helpers: Sequence[Column]) -> None:
    """The running sum over the helper columns and `circuit.sums`."""
    if not helpers and not circuit.sums:
        return
    term: Expression = sum((h() for h in helpers), start=0)
    total: Expression = 0
    for i, (_, summand, result) in enumerate(circuit.sums):
        mu = circuit.challenge("mu", circuit.free_phase)
        term += mu ** (i + 1) * summand
        total += 0 if result is None else mu ** (i + 1) * result
    circuit.recurrence("running sum", circuit.last_phase, 0, 1, term, final=total)
