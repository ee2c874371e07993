"""Public values: circuit and verifier form the same words and Horner-sum them (docs/protocol.md section 6).

A public tensor's values lie one after another down the value rows of each lane, or across the lanes of each row. With
P, the row's power of chi, and F_l = 256^(width * place in the word), fixed, zero where a lane has no public value,

    down:      sum over rows of P sum_l psi^(L-1-l) F_l v_l
    across:    sum over rows of P sum_(l < N) 256^(width (N-1-l)) F_l v_l     N: the lanes of a word

equal the instance sums that the verifier computes from the bytes, so every word agrees, up to probability (words)/r.
A word has one representation by values in [-2^(8 width - 1), 2^(8 width - 1)), and constraints keep v inside: every
value agrees. For most it is |v| < T (gadgets/unit.py), for Boolean and narrow inputs more (gadgets/input.py). Values
and positive parts have a sum each, and across lanes each width and N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plonnx.gadgets.lanes import Lanes, Numbers, Shared
from plonnx.plonk.keys import Run

if TYPE_CHECKING:
    from plonnx.plonk.expression import Expression


def add(lanes: Lanes, powers: Expression, places: Shared, runs: Sequence[Run], positive: bool, across: bool) -> None:
    """Tie the runs to the rows. places: for lanes, per row 0 (not public) or 1 + the power of 256 of F."""
    circuit = lanes.circuit
    kind, (width, word) = "positive parts" if positive else "values", (runs[0].width, runs[0].per_word)
    terms = [unit.positive() if positive else unit.value for unit in lanes.units]
    if across:
        kind += f" of {width} bytes across {'' if word == len(terms) else f'{word} '}lanes"
        terms = [256 ** (width * (word - 1 - lane)) * term for lane, term in enumerate(terms[:word])]
    values: Expression = 0
    for shifts, chosen in places:
        factor = circuit.fixed(f"word places of {kind}", shifts, _palette(shifts))
        parts = sum((terms[lane] for lane in chosen), start=0) if across else lanes.weigh(terms, chosen)
        values += factor() * parts
    total = circuit.instance(f"public {kind}", runs)
    circuit.sum(f"public {kind}", powers * values, total)


def _palette(shifts: Numbers) -> tuple[int, ...]:
    return (0, *(256**power for power in range(int(shifts.max()))))
