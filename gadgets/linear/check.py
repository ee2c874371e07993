"""The random linear check: every convolution, dense layer and sum of the model, in one equation (Freivalds 1979).

The claim is M v = y over the integers, one equation a row of M. It is checked as sum_e m_e (M v - y)_e = 0, where m_e
is a monomial in chi and psi of its own for every equation. chi is drawn after all cells of phase 0.

A convolution y[o, p] = sum_{c, t} W[c, t, o] x[c, p + d_t] is a product of polynomials in psi. With lin(p) the linear
position of p (layout/geometry.py) and the sums over a channel's positions

    X_c = sum_a psi^(R - lin(a)) x[c, a]
    Y_o = sum_p psi^(R' - lin(p)) y[o, p]
    K_c = sum_{o, t} chi^o psi^lin(d_t) W[c, t, o]

(each up to a constant power of psi) the equation is sum_o chi^o Y_o + B = sum_c X_c K_c: one term a channel, whatever
the kernel. B = sum_{p outside} psi^(R' - lin(p)) b_p are the *border terms*, what the full product puts outside the
output, over all outputs together. The prover commits b after chi and before psi (and every other challenge): for that
chi the equation is an identity of polynomials in psi, and b_p stand at powers of psi that no output has. Each
convolution with a border has a window of psi^Omega of its own, so that its b reach no other equation. A dense layer
[R, K] x [K, N] is the convolution of K channels with R positions, one tap and no border.

Row by row, with lanes weighted by psi^(L-1-l), x and y the sums over the row's lanes that count:

    x  = sum_l psi^(L-1-l) (ma_l a_l - mb_l b_l)           what is read
    y  = sum_l psi^(L-1-l) my_l (y_l - bias) + border b    equations of a run, and borders
    y1 = sum_l psi^(L-1-l) ms_l (y_l - bias)               equations that stand alone
    X' = carry (X + x),   Y' = carry (Y + y),   K' = hold (K + w~)
    term = (D + D_P P) (X + x) (K + w~)                    on the last row of an input's run
         + P (G_a A - G_b B)                               an operand of a sum
         - P (total (Y + y) + y1)                          on the last row of an output's run; a sum

- w~ = sum_c chi^c w_c over C fixed weight columns (a combination: nothing is committed). The last rows of a run hold
  its channel's weights, taps and blocks of C outputs by descending power: hold = powers of psi, or chi^C.
- carry = sum of powers of psi times 0/1 columns; 0 on the last row of a run, so that the next one starts at zero.
- D = sum over layers of chi^(first equation) psi^(shift) times 0/1 columns; of many groups D_P, for P then holds the
  group's power.
- P' = P (1 + step (chi - 1)) (1 + window (psi^Omega - 1)), P_0 = 1: the power of the row's equation.
- The masks m are fixed: a lane without a value takes part in nothing.

Where every run that is read has one row, there is no X; where no lane of such a circuit is idle, no mask is needed
either: D is 0 on runs without a value, and D_a A - D_b B with all lanes in A and B says which views are read.

X, Y, K and P are determined by their gates, b is free on purpose: nothing else here is the prover's choice. A wrong y
passes with probability at most (degree in chi + degree in psi) / r.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.lanes import Lanes, Shared
from plonnx.gadgets.linear.contribution import Reading
from plonnx.plonk.keys import Monomial

if TYPE_CHECKING:
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.expression import Column, Expression

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LinearCheck:
    """The fixed content of the check besides the gadgets' marks, as integers on rows; empty for what there is none of.

    `bias`, `coefficients a` and `coefficients b` are marks (gadgets/lanes.py). `signed`: for each reading the rows on
    which values are read and not positive parts, where all lanes agree on that.
    """

    weights: Sequence[Integers]  # C columns
    holds: Mapping[Monomial, Integers]
    readings: Sequence[Reading]
    signed: Sequence[Integers]
    carries: Mapping[int, Integers]  # by power of psi
    accumulated: bool  # whether a run that is read has several rows: X is needed
    reads: tuple[Shared, Shared]  # of a, and of b
    gathered: Shared
    alone: Shared
    totals: Integers
    borders: Integers
    hidden: bool = False  # weights and biases are committed, not shown


def add_powers(circuit: Circuit, step: Integers, window: Integers, omega: int) -> Expression:
    """P."""
    chi, psi = circuit.challenge("chi"), circuit.challenge("psi", circuit.free_phase)
    factor = 1 + circuit.shared_fixed("step", step)() * (chi - 1)
    if np.any(window):
        factor = factor * (1 + circuit.shared_fixed("window", window)() * (psi**omega - 1))
    return circuit.recurrence("powers of chi", circuit.last_phase, 1, factor, 0)()


def add(lanes: Lanes, powers: Expression, border: Sequence[Column], check: LinearCheck) -> None:
    """Add the check."""
    circuit = lanes.circuit
    weight = _weights(circuit, check) if check.readings else None  # hidden weights stand before the hidden bias
    carry = _carry(circuit, check) if check.carries else 0
    term: Expression = 0
    if weight is not None:
        term += weight * _reads(lanes, powers, carry, check)
    positive, negative = lanes.mark("coefficients a"), lanes.mark("coefficients b")
    term += powers * (positive * _parts(lanes)[0] - negative * _parts(lanes)[1])
    term -= powers * _outputs(lanes, carry, border, check)
    circuit.sum("linear check", term)


def _parts(lanes: Lanes) -> tuple[Expression, Expression]:
    """A and B: a and b of all lanes, weighted."""
    return lanes.weigh([unit.a() for unit in lanes.units]), lanes.weigh([unit.b() for unit in lanes.units])


def _carry(circuit: Circuit, check: LinearCheck) -> Expression:
    terms: list[tuple[Column, Monomial]] = [
        (circuit.shared_fixed(f"carry {power}", rows), (("psi", power),) if power else ())
        for power, rows in check.carries.items()
    ]
    return circuit.combination("carry", terms)()


def _weights(circuit: Circuit, check: LinearCheck) -> Expression:
    """K + w~, the whole weights' sum on the last row of a run."""
    declare = circuit.hidden_fixed if check.hidden else circuit.fixed
    columns = [declare(f"weights {c}", values) for c, values in enumerate(check.weights)]
    terms: list[tuple[Column, Monomial]] = [(column, (("chi", c),) if c else ()) for c, column in enumerate(columns)]
    here = circuit.combination("weights", terms)()
    if not check.holds:
        return here
    held = [(circuit.shared_fixed(f"hold {monomial}", rows), monomial) for monomial, rows in check.holds.items()]
    hold = circuit.combination("hold", held)()
    return circuit.recurrence("weight sums", circuit.last_phase, 0, hold, hold * here)() + here


def _reads(lanes: Lanes, powers: Expression, carry: Expression, check: LinearCheck) -> Expression:
    """(D + D_P P) (X + x), or D_a A - D_b B."""
    if not check.accumulated and _full(lanes, check):
        return _unmasked(lanes, check)
    read = lanes.masked(check.reads[0], [unit.a() for unit in lanes.units], "read")
    read -= lanes.masked(check.reads[1], [unit.b() for unit in lanes.units], "read signed")
    circuit = lanes.circuit
    if check.accumulated:
        read += circuit.recurrence("input sums", circuit.last_phase, 0, carry, carry * read)()
    total: Expression = 0
    for channelwise, name, factor in ((False, "inputs", 1), (True, "channelwise inputs", powers)):
        chosen = [reading for reading in check.readings if reading.channelwise == channelwise]
        if chosen:
            terms = [(_marked(circuit, r.rows, f"{name} {i}"), r.monomial) for i, r in enumerate(chosen)]
            total += circuit.combination(name, terms)() * factor
    return total * read


def _full(lanes: Lanes, check: LinearCheck) -> bool:
    """Whether all lanes of every row that is read hold a value of one view, and no reading takes P."""
    of_a, of_b = ({tuple(on) for _, on in shared} for shared in check.reads)
    every = tuple(range(len(lanes.units)))
    return of_a == {every} and of_b <= {every} and not any(r.channelwise for r in check.readings)


def _unmasked(lanes: Lanes, check: LinearCheck) -> Expression:
    """D_a A - D_b B over all lanes."""
    circuit = lanes.circuit
    positive, negative = _parts(lanes)
    terms, signed = [], []
    for number, (reading, rows) in enumerate(zip(check.readings, check.signed, strict=True)):
        terms.append((_marked(circuit, reading.rows, f"inputs {number}"), reading.monomial))
        if len(rows):
            signed.append((_marked(circuit, rows, f"signed inputs {number}"), reading.monomial))
    layers = circuit.combination("inputs", terms)()
    if not signed:
        return layers * positive
    if signed == terms:
        return layers * (positive - negative)
    return layers * positive - circuit.combination("signed inputs", signed)() * negative


def _outputs(lanes: Lanes, carry: Expression, border: Sequence[Column], check: LinearCheck) -> Expression:
    """total (Y + y) + y1."""
    circuit = lanes.circuit
    outputs = lanes.masked(check.alone, _sums(lanes, check), "equations") if check.alone else 0
    if not check.gathered and not border:
        return outputs
    gathered = lanes.masked(check.gathered, _sums(lanes, check), "equations") if check.gathered else 0
    if border:
        gathered += circuit.shared_fixed("border", check.borders)() * lanes.weigh([column() for column in border])
    sums = circuit.recurrence("output sums", circuit.last_phase, 0, carry, carry * gathered)()
    return outputs + circuit.shared_fixed("total", check.totals)() * (sums + gathered)


def _sums(lanes: Lanes, check: LinearCheck) -> list[Expression]:
    """y_l - bias of every lane; a hidden bias goes through a combination of one, which masks it."""
    sums = [unit.exact_sum(lanes.size) for unit in lanes.units]
    if not check.hidden:
        return [y - lanes.mark("bias") for y in sums]
    circuit = lanes.circuit
    bias = circuit.named_combination("bias")
    if bias is None:
        bias = circuit.combination("bias", [(circuit.hidden_fixed("bias", lanes.columns("bias")), ())])
    return [y - bias() for y in sums]


def _marked(circuit: Circuit, rows: Integers, name: str) -> Column:
    marks = np.zeros(int(rows.max()) + 1, np.int64)
    marks[rows] = 1
    return circuit.shared_fixed(name, marks)
