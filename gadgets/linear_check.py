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

Row by row, with lanes weighted by psi^(L-1-l):

    X' = carry (X + sum_l psi^(L-1-l) (ma_l a_l - mb_l b_l))          input sums, a run of rows a channel
    Y' = carry (Y + sum_l psi^(L-1-l) my_l (y_l - bias) + border b)   output sums, and borders
    K' = hold (K + w~)                                               weights' sums
    term = (D + D_P P) X (K + w~)                                    on the last row of an input's run
         + (D_a A - D_b B) (K + w~)                                  the same, of runs of one value
         + P (G_a A - G_b B)                                         an operand of a sum
         - P ( total Y + sum_l psi^(L-1-l) ms_l (y_l - bias) )       on the last row of an output's run; a sum

- w~ = sum_c chi^c w_c over C fixed weight columns (a combination: nothing is committed). The last rows of a run hold
  its channel's weights, taps and blocks of C outputs by descending power: hold = powers of psi, or chi^C.
- carry = sum of powers of psi times 0/1 columns; 0 on the last row of a run, which starts the next one at zero.
- D = sum over layers of chi^(first equation) psi^(shift) times 0/1 columns; of many groups D_P, for P then holds the
  group's power.
- P' = P (1 + step (chi - 1)) (1 + window (psi^Omega - 1)), P_0 = 1: the power of the row's equation.
- The masks m are fixed: a lane without a value takes part in nothing.

A run of one value in the first lane is read on its own row, without X: A and B are that lane's a and b. Where no run
has more than one row there are no X and Y, and A and B are the sums over all lanes, as in plain dense layers. These
readings have no masks: D is 0 on runs without a value.

X, Y, K and P are determined by their gates, b is free on purpose: nothing else here is the prover's choice. A wrong y
passes with probability at most (degree in chi + degree in psi) / r.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx.gadgets.reading import Reading
from plonnx.gadgets.unit import UnitColumns
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Column, Scalar
from plonnx.plonk.keys import Monomial

Integers = NDArray[np.int64]
Shared = Sequence[tuple[Integers, Sequence[int]]]  # a fixed column and the lanes that it is for


@dataclass(frozen=True, eq=False)
class LinearCheck:
    """The fixed content of the check, as integers on rows; empty arrays for what a circuit does not have."""

    weights: Sequence[Integers]  # C columns
    holds: Mapping[Monomial, Integers]
    readings: Sequence[Reading]
    carries: Mapping[int, Integers]  # by power of psi; empty where every run is one row
    reads: tuple[Shared, Shared]  # of a, and of b
    gathered: Shared
    summed: Shared
    totals: Integers
    borders: Integers
    operands: tuple[Integers, Integers]  # G_a, G_b
    bias: Integers
    hidden_bits: tuple[int, int] | None = None  # of weights and biases that are committed, not shown


class Lanes:
    """Sums over lanes: sum_l psi^(L-1-l) term_l."""

    def __init__(self, circuit: Circuit, psi: Scalar, units: Sequence[UnitColumns]) -> None:
        self.circuit, self.psi, self.units = circuit, psi, units
        self._masks: dict[bytes, Column] = {}

    def weigh(self, terms: Sequence[sympy.Expr], lanes: Sequence[int] | None = None) -> sympy.Expr:
        """The weighted sum of a term for each lane (or for some)."""
        chosen = range(len(terms)) if lanes is None else lanes
        powers = (self.psi ** (len(terms) - 1 - lane) * terms[lane] for lane in chosen)
        return sum(powers, start=sympy.Integer(0))

    def masked(self, shared: Shared, terms: Sequence[sympy.Expr], name: str) -> sympy.Expr:
        """The weighted sum with each lane's mask; lanes of equal masks share a column, as do equal masks."""
        total: sympy.Expr = sympy.Integer(0)
        for values, lanes in shared:
            total += self.mask(values, name)() * self.weigh(terms, lanes)
        return total

    def mask(self, values: Integers, name: str) -> Column:
        """A fixed 0/1 column; the same one for equal values."""
        key = values.tobytes()
        if key not in self._masks:
            self._masks[key] = self.circuit.fixed(name, values)
        return self._masks[key]


def add_border(circuit: Circuit, lanes: int) -> list[Column]:
    """The columns of border terms, which the prover chooses after chi; none for a circuit without borders."""
    circuit.challenge("chi")
    return [circuit.free(f"border terms {lane}", 1) for lane in range(lanes)]


def add_powers(circuit: Circuit, step: Integers, window: Integers, omega: int) -> sympy.Expr:
    """P."""
    chi, psi = circuit.challenge("chi"), circuit.challenge("psi", circuit.free_phase)
    factor = 1 + circuit.fixed("step", step)() * (chi - 1)
    if np.any(window):
        factor = factor * (1 + circuit.fixed("window", window)() * (psi**omega - 1))
    return circuit.recurrence("powers of chi", circuit.last_phase, 1, factor, 0)()


def add(
    circuit: Circuit, lanes: Lanes, table_size: int, powers: sympy.Expr, border: Sequence[Column], check: LinearCheck
) -> None:
    """Add the check."""
    term: sympy.Expr = sympy.Integer(0)
    weight = _weights(circuit, check) if check.readings else None  # hidden weights stand before the hidden bias
    inputs, outputs = _accumulators(circuit, lanes, table_size, border, check)
    if weight is not None:
        term += weight * _reads(circuit, lanes, powers, inputs, check)
    if len(check.operands[0]):
        columns = [
            circuit.fixed(f"coefficients {part}", values) for part, values in zip("ab", check.operands, strict=True)
        ]
        positive = lanes.weigh([unit.a() for unit in lanes.units])
        negative = lanes.weigh([unit.b() for unit in lanes.units])
        term += powers * (columns[0]() * positive - columns[1]() * negative)
    if check.summed:
        term -= powers * _equations(circuit, lanes, table_size, check.summed, check)
    if outputs is not None:
        term -= powers * circuit.fixed("total", check.totals)() * outputs
    if term != 0:
        circuit.sum("linear check", term)


def _accumulators(
    circuit: Circuit, lanes: Lanes, table_size: int, border: Sequence[Column], check: LinearCheck
) -> tuple[sympy.Expr | None, sympy.Expr | None]:
    """The columns X and Y, where a circuit needs them."""
    if not check.carries:
        return None, None
    terms = [
        (circuit.fixed(f"carry {power}", rows), (("psi", power),) if power else ())
        for power, rows in check.carries.items()
    ]
    carry = circuit.combination("carry", terms)()
    inputs = outputs = None
    if any(not reading.direct for reading in check.readings):
        read = _masked_read(lanes, check)
        inputs = circuit.recurrence("input sums", circuit.last_phase, 0, carry, carry * read)()
    if check.gathered or border:
        gathered = _equations(circuit, lanes, table_size, check.gathered, check)
        if border:
            gathered += circuit.fixed("border", check.borders)() * lanes.weigh([column() for column in border])
        outputs = circuit.recurrence("output sums", circuit.last_phase, 0, carry, carry * gathered)()
    return inputs, outputs


def _equations(circuit: Circuit, lanes: Lanes, table_size: int, masks: Shared, check: LinearCheck) -> sympy.Expr:
    """sum_l psi^(L-1-l) m_l (y_l - bias)."""
    sums = [unit.exact_sum(table_size) for unit in lanes.units]
    if len(check.bias):
        bias = _bias(circuit, lanes, check)
        sums = [y - bias for y in sums]
    return lanes.masked(masks, sums, "equations")


def _bias(circuit: Circuit, lanes: Lanes, check: LinearCheck) -> sympy.Expr:
    """The bias column; through a combination of one where it is hidden, which masks it."""
    if check.hidden_bits is None:
        return lanes.mask(check.bias, "bias")()
    for index, name in enumerate(circuit.combination_names):
        if name == "bias":
            return Column("combination", index, name)()
    return circuit.combination("bias", [(circuit.hidden_fixed("bias", check.bias, check.hidden_bits[1]), ())])()


def _weights(circuit: Circuit, check: LinearCheck) -> sympy.Expr:
    """K + w~, the whole weights' sum on the last row of a run."""
    chi = circuit.challenge("chi")
    if check.hidden_bits is None:
        columns = [circuit.fixed(f"weights {c}", values) for c, values in enumerate(check.weights)]
    else:
        bits = check.hidden_bits[0]
        columns = [circuit.hidden_fixed(f"weights {c}", values, bits) for c, values in enumerate(check.weights)]
    terms = [(column, ((chi.name, c),) if c else ()) for c, column in enumerate(columns)]
    here = circuit.combination("weights", terms)()
    if not check.holds:
        return here
    held = [(circuit.fixed(f"hold {monomial}", rows), monomial) for monomial, rows in check.holds.items()]
    hold = circuit.combination("hold", held)()
    return circuit.recurrence("weight sums", circuit.last_phase, 0, hold, hold * here)() + here


def _reads(
    circuit: Circuit, lanes: Lanes, powers: sympy.Expr, inputs: sympy.Expr | None, check: LinearCheck
) -> sympy.Expr:
    """(D + D_P P) X + (D_a A - D_b B), the latter for direct readings; these are masked where lanes are idle."""
    if not check.carries and not _plain(lanes, check):
        return _accumulated(circuit, powers, _masked_read(lanes, check), check.readings)
    direct = [reading for reading in check.readings if reading.direct]
    total: sympy.Expr = sympy.Integer(0)
    if inputs is not None:
        total += _accumulated(circuit, powers, inputs, [r for r in check.readings if not r.direct])
    if direct:
        total += _direct(circuit, lanes, [0] if check.carries else None, direct)
    return total


def _accumulated(circuit: Circuit, powers: sympy.Expr, inputs: sympy.Expr, readings: Sequence[Reading]) -> sympy.Expr:
    """(D + D_P P) X."""
    total: sympy.Expr = sympy.Integer(0)
    for channelwise, name, factor in ((False, "inputs", sympy.Integer(1)), (True, "channelwise inputs", powers)):
        chosen = [reading for reading in readings if reading.channelwise == channelwise]
        if chosen:
            terms = [(_marked(circuit, r.rows, f"{name} {i}"), r.monomial) for i, r in enumerate(chosen)]
            total += circuit.combination(name, terms)() * factor
    return total * inputs


def _direct(circuit: Circuit, lanes: Lanes, on: Sequence[int] | None, readings: Sequence[Reading]) -> sympy.Expr:
    """D_a A - D_b B over all lanes, or some."""
    positive = lanes.weigh([unit.a() for unit in lanes.units], on)
    negative = lanes.weigh([unit.b() for unit in lanes.units], on)
    terms, signed = [], []
    for number, reading in enumerate(readings):
        terms.append((_marked(circuit, reading.rows, f"direct inputs {number}"), reading.monomial))
        if not np.any(reading.positive):
            signed.append(terms[-1])
        elif not np.all(reading.positive):
            rows = reading.rows[~reading.positive]
            signed.append((_marked(circuit, rows, f"signed inputs {number}"), reading.monomial))
    layers = circuit.combination("direct inputs", terms)()
    if not signed:
        return layers * positive
    if signed == terms:
        return layers * (positive - negative)
    return layers * positive - circuit.combination("signed inputs", signed)() * negative


def _masked_read(lanes: Lanes, check: LinearCheck) -> sympy.Expr:
    """sum_l psi^(L-1-l) (ma_l a_l - mb_l b_l)."""
    read = lanes.masked(check.reads[0], [unit.a() for unit in lanes.units], "read")
    return read - lanes.masked(check.reads[1], [unit.b() for unit in lanes.units], "read signed")


def _plain(lanes: Lanes, check: LinearCheck) -> bool:
    """Whether all lanes of every row that is read hold a value of one view, and no reading takes P."""
    of_a, of_b = ({tuple(on) for _, on in shared} for shared in check.reads)
    every = tuple(range(len(lanes.units)))
    return of_a == {every} and of_b <= {every} and not any(r.channelwise for r in check.readings)


def _marked(circuit: Circuit, rows: Integers, name: str) -> Column:
    marks = np.zeros(int(rows.max()) + 1, np.int64)
    marks[rows] = 1
    return circuit.fixed(name, marks)
