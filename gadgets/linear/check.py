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

Row by row, with lanes weighted by psi^(L-1-l), x and y the sums over the row's lanes that count (by psi^(s(L-1-l)) on
rows whose positions lie s apart, as behind a layer of stride s: layout/geometry.py; masks and D are then columns of
their own):

    x  = sum_l psi^(L-1-l) (ma_l a_l - mb_l b_l)               what is read
    y  = sum_l psi^(L-1-l) my_l (y_l - bias) + border b        equations of a run, and borders
    X' = carry X + x,   Y' = carry Y + y,   K' = hold (K + w~)
    term = D X' (K + w~)                                               on the last row of an input's run
         + P E X'                                                      there, for others who read it
         + P sum_l S_l v_l^2                                           squares (square_sum.py), or |v_l| = a_l + b_l
         + P (G_a A - G_b B)                                           an operand of a sum
         - P (total Y' + sum_l psi^(L-1-l) mf_l (y_l - bias) - k)      on the last row of an output's run; a sum

X' and Y' are the sums behind the row (the next row's X and Y), so that the last row's own values are in them.

- w~ = sum_c chi^c w_c over C fixed weight columns (a combination: nothing is committed). The last rows of a run hold
  its channel's weights, block by block of C outputs, each tap by tap, by descending power: hold = powers of psi from
  tap to tap, chi^C psi^-span on to the next block, which starts at the first tap again.
- Where several layers read a run, the weights of the later ones stand above, and hold goes on from one layer's to the
  next by the powers of chi and psi between their equations.
- Of a kernel of one output a row may hold a line of taps, in columns v beside the first: w~ has psi^power v, too.
- carry = sum of powers of psi times 0/1 columns; 0 on the first row of a run, which so starts at zero.
- D = sum over layers of chi^(first equation) psi^(shift) times 0/1 columns; of many groups these are times P, which
  then holds the group's power. So are those of many layers that P comes to alike: one column has them all.
- E = sum over those who take multiples of a run's channels, at one tap or several, of multiple chi^(..) psi^(shift +
  tap) times 0/1 columns: P has the channel's power of chi already. So a tensor that a layer reads is added elsewhere,
  or its neighbours are, with neither a copy nor a weight.
- P' = P (1 + step (chi - 1) + turn (psi - 1)) (1 + window (psi^Omega - 1)), P_0 = 1: the power of the row's equation.
- The masks m are fixed: a lane without a value takes part in nothing.
- k = sum_l psi^(L-1-l) k_l, a combination of fixed columns: the constants of sums where each lane has its own.

The second factor may be computed cells, too, as in a product of matrices y[o, p] = sum_c B[c, o] x[c, p]: copies of B
stand above the channel's run, which has no weights then, and K' = hold (K + sum_l chi^(L-1-l) (..)) sums them up by
falling powers of chi, then keeps what it has until the run's last row. Its equations are polynomials in chi and psi as
those of weights are.

What is multiplied by a number of each position (row_product.py), or squared, stands turned (layout/geometry.py): a run
is a position, its rows hold channels. There lanes are weighted by chi^(L-1-l), carry is chi^L, and P takes psi from run
to run (turn): each value has the monomial that it would have in a run a channel. Biases have a column for each lane
(biases.py).

Where values stand above the scores that weigh them (layout/stacked.py), both have lanes by chi in their equations, and
P takes psi from one position's runs to the next one's: `total` has the powers by which runs of one position differ, and
Y a carry of its own, as X reads the scores' lanes by psi.

Where every run that is read has one row, there is no X: in its place are sum_l psi^(L-1-l) (Da_l a_l - Db_l b_l), and
E's likewise. Da_l and Db_l are D where lane l of that row holds a value, or one that is read as it is and not as its
positive part: no mask is multiplied with D. Where no equations are gathered and there is no border, there is no Y, and
mf_l has them all; else it has those of sums that stand row by row. Lanes of equal columns share them.

Where cells are signed (gadgets/unit.py), a is v and stands for both: the masks of b are those of a, which is asserted,
and have no part in any gate.

P D X' (K + w~) and P S_l v_l^2 have a degree of four. Where a helper column's gate has three (LOW), so has the check:
R = D X' of the readings that take P, and Q = sum_l S_l v_l^2, stand in columns of their own.

X, Y, K, P, R and Q are determined by their gates, b is free on purpose: nothing else is the prover's choice. A wrong y
passes with probability at most (degree in chi + degree in psi) / r.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Sums
from plonnx.gadgets.lanes import Lanes, Numbers, Shared
from plonnx.gadgets.linear import biases
from plonnx.gadgets.linear.contribution import Reading, Squared
from plonnx.plonk.keys import Monomial

if TYPE_CHECKING:
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.expression import Column, Expression

Integers = NDArray[np.int64]
LOW = 2
"""The lookups of helper columns whose gates have a degree of three: then the check's have no more."""


@dataclass(frozen=True, eq=False)
class LinearCheck:
    """The fixed content of the check besides the gadgets' marks, as integers on rows; empty for what there is none of.

    `bias`, `coefficients a` and `coefficients b` are marks (gadgets/lanes.py).
    """

    weights: Sequence[Integers]  # C columns
    beside: Mapping[int, Integers]  # by power of psi, further taps of a row
    holds: Mapping[Monomial, Numbers]
    readings: Sequence[Reading]
    squares: Sequence[Squared]
    carries: Mapping[Monomial, Numbers]
    stated_carries: Mapping[Monomial, Numbers]  # of equations
    accumulated: bool  # whether a run that is read has rows before its last value: X is needed
    asked: bool  # whether runs are looked up where they stand
    reads: Mapping[int, tuple[Shared, Shared]]  # by spacing, of a, and of b: ma and mb
    seconds: tuple[Shared, Shared]  # of a, and of b, of computed second factors
    gathered: Mapping[int, Shared]  # by spacing, my
    final: Mapping[int, Shared]  # by spacing, mf
    totals: Mapping[Monomial, Numbers]
    borders: Mapping[int, Numbers]  # by spacing
    hidden_bits: tuple[int, int] | None = None  # of weights and biases that are committed, not shown


def add_powers(circuit: Circuit, step: Numbers, turn: Numbers, window: Numbers, omega: int) -> Expression:
    """P."""
    chi, psi = circuit.challenge("chi"), circuit.challenge("psi", circuit.free_phase)
    factor = 1 + circuit.shared_fixed("step", step)() * (chi - 1)
    if np.any(turn):
        factor += circuit.shared_fixed("turn", turn)() * (psi - 1)
    if np.any(window):
        factor = factor * (1 + circuit.shared_fixed("window", window)() * (psi**omega - 1))
    return circuit.recurrence("powers of chi", circuit.last_phase, 1, factor, 0)()


def add(lanes: Lanes, powers: Expression, border: Sequence[Column], check: LinearCheck) -> Sums:
    """Add the check; gives what it sums up of a run, on its last row."""
    circuit = lanes.circuit
    factors = _factors(lanes, check)  # hidden weights stand before the hidden bias
    stated = bool(check.final or check.gathered)
    carry = _carry(circuit, "carry", check.carries) if check.carries and (stated or check.asked) else 0
    sums = _input_sums(lanes, carry, check) if check.accumulated and (stated or check.asked) else 0
    looked_up = Sums(factors, factors + sums if check.asked else factors)
    if not stated:
        return looked_up
    term: Expression = 0
    for alone, by_power in itertools.product((False, True), repeat=2):
        chosen = [one for one in check.readings if (one.alone, one.by_power) == (alone, by_power)]
        if chosen:
            read = _reads(lanes, sums, chosen)
            if by_power:
                read = powers * (read if alone else _apart(circuit, "read by powers", read))
            term += read if alone else factors * read
    if check.squares:
        term += powers * _apart(circuit, "squares", _squares(lanes, check.squares))
    term += powers * _row_by_row(lanes)
    if check.stated_carries is not check.carries:
        carry = _carry(circuit, "stated carry", check.stated_carries)
    term -= powers * _outputs(lanes, carry, border, check)
    circuit.sum("linear check", term)
    return looked_up


def _row_by_row(lanes: Lanes) -> Expression:
    """What the sums read whose terms are copied above them."""
    a, b = (f"coefficients {part}" for part in "ab")
    read = lanes.mark(a) * lanes.weigh([unit.a() for unit in lanes.units])
    if lanes.signed:
        _read_whole(np.array_equal(lanes.columns(a), lanes.columns(b)))
        return read
    return read - lanes.mark(b) * lanes.weigh([unit.negative() for unit in lanes.units])


def _read_whole(alike: bool) -> None:
    """Of signed cells the column of a says what is read of v: that of b must say the same, of every lane."""
    assert alike, "a positive part is read of signed cells"


def _carry(circuit: Circuit, name: str, carries: Mapping[Monomial, Numbers]) -> Expression:
    terms: list[tuple[Column, Monomial]] = [
        (circuit.shared_fixed(f"{name} {monomial}", rows), monomial) for monomial, rows in carries.items()
    ]
    return circuit.combination(name, terms)()


def _factors(lanes: Lanes, check: LinearCheck) -> Expression:
    """K + w~, the whole second factor on the last row of a run: of weights, or of computed values above it."""
    circuit = lanes.circuit
    here = _weights(circuit, check) if len(check.weights) else 0
    if not check.holds:
        return here
    held = [(circuit.shared_fixed(f"hold {monomial}", rows), monomial) for monomial, rows in check.holds.items()]
    hold = circuit.combination("hold", held)()
    made = circuit.recurrence("weight sums", circuit.last_phase, 0, hold, hold * (here + _computed(lanes, check)))
    return made() + here


def _weights(circuit: Circuit, check: LinearCheck) -> Expression:
    """w~."""
    if check.hidden_bits is None:
        columns = [circuit.fixed(f"weights {c}", values) for c, values in enumerate(check.weights)]
    else:
        bits = check.hidden_bits[0]
        columns = [circuit.hidden_fixed(f"weights {c}", values, bits) for c, values in enumerate(check.weights)]
    terms: list[tuple[Column, Monomial]] = [(column, (("chi", c),) if c else ()) for c, column in enumerate(columns)]
    terms += [(circuit.fixed(f"weights beside {p}", v), (("psi", p),)) for p, v in check.beside.items()]
    return circuit.combination("weights", terms)()


def _computed(lanes: Lanes, check: LinearCheck) -> Expression:
    """What a row adds of computed values."""
    circuit, chi, count = lanes.circuit, lanes.circuit.challenge("chi"), len(lanes.units)
    read: Expression = 0
    if lanes.signed:
        _read_whole(_same(*check.seconds))
    for shared, part in zip(check.seconds, "a" if lanes.signed else "ab", strict=not lanes.signed):
        for mask, on in shared:
            if np.any(mask):
                cells = (chi ** (count - 1 - lane) * getattr(lanes.units[lane], part)() for lane in on)
                summed = circuit.shared_fixed(f"second {part}", mask)() * sum(cells, start=0)
                read += summed if part == "a" else -summed
    return read


def _input_sums(lanes: Lanes, carry: Expression, check: LinearCheck) -> Expression:
    """X."""
    positive, negative = ({spacing: both[part] for spacing, both in check.reads.items()} for part in (0, 1))
    read = lanes.masked(positive, [unit.a() for unit in lanes.units], "read")
    if lanes.signed:
        _read_whole(all(_same(positive[spacing], negative[spacing]) for spacing in positive))
    else:
        read -= lanes.masked(negative, [unit.negative() for unit in lanes.units], "read signed")
    return lanes.circuit.recurrence("input sums", lanes.circuit.last_phase, 0, carry, read)(1)


def _same(positive: Shared, negative: Shared) -> bool:
    """Whether two lots of masks are the same."""
    return [on for _, on in positive] == [on for _, on in negative] and all(
        np.array_equal(one, other) for (one, _), (other, _) in zip(positive, negative, strict=True)
    )


def _apart(circuit: Circuit, name: str, factor: Expression) -> Expression:
    """A factor of degree two or three: where no gate is to have a degree of four, by a column of its own."""
    return factor if circuit.group > LOW else circuit.ratio(name, circuit.last_phase, factor, 1)()


def _reads(lanes: Lanes, sums: Expression, readings: Sequence[Reading]) -> Expression:
    """D X, or sum_l psi^(L-1-l) (Da_l a_l - Db_l b_l)."""
    circuit = lanes.circuit
    known: dict[tuple[tuple[int, Monomial], ...], Expression] = {}

    def layers(rows: Sequence[tuple[Integers, Reading]]) -> Expression:
        """The combination of monomials that stand on these rows; the same one for equal ones."""
        marked = [(circuit.shared_marks("inputs", at, r.multiplier), r.monomial) for at, r in rows if len(at)]
        key = tuple((column.index, monomial) for column, monomial in marked)
        if key not in known:
            known[key] = circuit.combination(f"inputs {len(circuit.combinations)}", marked)() if marked else 0
        return known[key]

    if not isinstance(sums, int):
        return layers([(r.rows, r) for r in readings]) * sums
    total: Expression = 0
    for spacing in sorted({reading.spacing for reading in readings}):
        held = [reading for reading in readings if reading.spacing == spacing]
        for lane, unit in enumerate(lanes.units):
            a = layers([(r.rows[r.last[0][:, lane]], r) for r in held])
            if lanes.signed:
                _read_whole(all(np.array_equal(r.last[0][:, lane], r.last[1][:, lane]) for r in held))
                total += lanes.power(lane, spacing) * (a * unit.a())
            else:
                b = layers([(r.rows[r.last[1][:, lane]], r) for r in held])
                total += lanes.power(lane, spacing) * (a * unit.a() - b * unit.negative())
    return total


def _squares(lanes: Lanes, squares: Sequence[Squared]) -> Expression:
    """sum_l S_l v_l^2 or S_l |v_l|: lanes whose values are squared on the same rows share S."""
    circuit = lanes.circuit
    terms: dict[tuple[bool, tuple[tuple[int, Monomial], ...]], Expression] = {}
    marks: dict[tuple[bool, tuple[tuple[int, Monomial], ...]], list[tuple[Column, Monomial]]] = {}
    for magnitudes, part in itertools.product((False, True), (0, 1)):
        for lane, unit in enumerate(lanes.units):
            held = [(one.rows[one.cells[part][:, lane]], one) for one in squares if one.magnitudes == magnitudes]
            marked = [(circuit.shared_marks("squares", at, s.multiplier), s.monomial) for at, s in held if len(at)]
            if marked:
                key = magnitudes, tuple((column.index, monomial) for column, monomial in marked)
                marks[key] = marked
                shown = unit.positive() if part else unit.magnitude if magnitudes else unit.value
                terms[key] = terms.get(key, 0) + (shown if magnitudes else shown**2)
    names = {key: f"squares {number}" for number, key in enumerate(terms)}
    return sum((circuit.combination(names[key], marks[key])() * total for key, total in terms.items()), start=0)


def _outputs(lanes: Lanes, carry: Expression, border: Sequence[Column], check: LinearCheck) -> Expression:
    """total Y + sum_l psi^(L-1-l) mf_l (y_l - bias) - k."""
    circuit, sums = lanes.circuit, _sums(lanes, check)
    outputs = lanes.masked(check.final, sums, "equations") - biases.stated(lanes, {*check.final, *check.gathered})
    if not check.gathered and not border:
        return outputs
    gathered = lanes.masked(check.gathered, sums, "gathered equations") - biases.summed_up(lanes, check.gathered)
    if border:
        terms = [column() for column in border]
        for spacing, rows in check.borders.items():
            gathered += circuit.shared_fixed("border", rows)() * lanes.weigh(terms, spacing=spacing)
    made = circuit.recurrence("output sums", circuit.last_phase, 0, carry, gathered)(1)
    return outputs + _total(circuit, check.totals) * made


def _total(circuit: Circuit, totals: Mapping[Monomial, Numbers]) -> Expression:
    """1 where the sum of a run's equations is complete, or what P lacks of their power there."""
    if list(totals) == [()]:
        return circuit.shared_fixed("total", totals[()])()
    terms = [(circuit.shared_fixed(f"total {monomial}", rows), monomial) for monomial, rows in totals.items()]
    return circuit.combination("total", terms)()


def _sums(lanes: Lanes, check: LinearCheck) -> list[Expression]:
    """y_l - bias of every lane; a hidden bias goes through a combination of one, which masks it."""
    sums = [unit.exact_sum(lanes.size) for unit in lanes.units]
    if check.hidden_bits is None:
        shown = lanes.mark("bias")
        return [y - shown for y in sums]
    circuit = lanes.circuit
    bias = circuit.named_combination("bias")
    if bias is None:
        bias = circuit.combination(
            "bias", [(circuit.hidden_fixed("bias", lanes.columns("bias"), check.hidden_bits[1]), ())]
        )
    return [y - bias() for y in sums]
