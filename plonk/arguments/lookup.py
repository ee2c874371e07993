"""Lookups by logarithmic derivatives (logUp, Haboeck 2022, eprint 2022/1530), several per helper column.

For inputs f_t (numerator N_t, a fixed 0/1 column) and the table's entries T with multiplicities m (of every part of
the table),

    sum over rows of ( sum_t N_t / (beta - f_t)  -  m / (beta - T) )  =  0

holds for a random beta exactly if every looked-up f_t is an entry of T. Tuples are compressed with powers of theta, and
the number of the table, from 1 on, stands behind the last entry: f = e_0 + theta e_1 + .. + theta^w (number). So tuples
of two tables differ as polynomials in theta, those of tables of different widths too: the longer one has degree w in
any case, its number is not zero.

The terms of `group` lookups share one helper column h = (sum_t N_t prod_{s != t} D_s) / prod D_t. beta and theta come
after all cells and multiplicities; the number of lookups plus table entries is far below r.
"""

from __future__ import annotations

from collections.abc import Sequence

from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.expression import Column, Expression, slots


def add_columns(circuit: Circuit) -> list[Column]:
    """The helper columns of all lookups and tables; their sum over the active rows is zero."""
    if not circuit.lookups:
        return []
    for lookup in circuit.lookups:
        if any(s.kind == "advice" and s.index in circuit.free_columns for s in slots(lookup.inputs)):
            raise CircuitError(
                f"lookup {lookup.name}: what is chosen after phase 0 is not looked up, counts stand there"
            )
    beta, theta = (circuit.challenge(name, circuit.free_phase) for name in ("beta", "theta"))

    def denominator(entries: Sequence[Expression], tag: int) -> Expression:
        tagged = tag * theta ** len(entries)
        return beta - sum((entry * theta**i for i, entry in enumerate(entries)), start=tagged)

    tags = {id(table): tag for tag, table in enumerate(circuit.tables, start=1)}
    terms = [(lookup.numerator, denominator(lookup.inputs, tags[id(lookup.table)])) for lookup in circuit.lookups]
    for table in circuit.tables:
        for part, counts in zip(table.parts, table.multiplicities, strict=True):
            terms.append((-counts(), denominator(part, tags[id(table)])))
    helpers: list[Column] = []
    for start in range(0, len(terms), circuit.group):
        some = terms[start : start + circuit.group]
        helpers.append(circuit.fractions(f"lookup helper {len(helpers)}", circuit.last_phase, some))
    return helpers
