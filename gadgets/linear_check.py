"""The random linear check: every linear layer and sum of the model, in one equation (Freivalds 1979).

The claim is M v = y over the integers, one equation a row of M, all layers together. It is checked as sum_e chi^e (M
v - y)_e = 0 for a chi drawn after all cells: false for a wrong y except with probability (equations)/r. Lanes count
as equations of their own through psi^lane. Row by row, with A = sum_l psi^l a_l and B = sum_l psi^l b_l (so A - B is
the row's value):

    term = (D_a A - D_b B) (chi^C wacc + w~)                 a dense layer's input, on its value row
         + P (G_a A - G_b B)                                 an operand of a sum
         - P summed (sum_l psi^l y_l - bias sum_l psi^l)     an output

- w~ = sum_c chi^c w_c over C fixed weight columns (a combination: nothing is committed). The rows that end in an
  input's value row hold its weights, block by block downwards: wacc' = hold (chi^C wacc + w~), so that the value row
  sees sum_i chi^i W_ij.
- D_a, D_b = sum over layers of chi^(first equation) * (0/1 column of its value rows); D_b leaves out the
  rows whose positive part is read. 0 on all other rows: they are the selectors.
- P' = P (1 + step (chi - 1)), P_0 = 1: the power of chi of the row's equation; `step` is 1 on every row that holds an
  equation, so all exponents differ. P also gives the public values their powers (gadgets/public.py).

wacc and P are determined by their gates; nothing here is the prover's choice. Cost: two full columns, no row a
multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx.gadgets.unit import UnitColumns
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Scalar

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class DenseLayer:
    """Where a dense layer reads: its value rows, where it takes positive parts, its first equation."""

    rows: Integers
    exponent: int
    positive: NDArray[np.bool_]


@dataclass(frozen=True)
class LinearCheck:
    """The fixed content of the check, as integers on rows."""

    weights: Sequence[Integers]  # C columns
    hold: Integers  # 0/1; empty where every layer's weights fit one row (no wacc then)
    layers: Sequence[DenseLayer]
    operands: tuple[Integers, Integers]  # G_a, G_b; empty without sums
    summed: Integers  # 0/1
    bias: Integers  # empty without bias
    hidden: bool = False  # weights and biases are committed, not shown


def lane_sum(psi: Scalar, terms: Sequence[sympy.Expr]) -> sympy.Expr:
    """sum_l psi^l terms_l."""
    return sum((psi**lane * term for lane, term in enumerate(terms)), start=sympy.Integer(0))


def add_powers(circuit: Circuit, step: Integers) -> sympy.Expr:
    """P: the recurrence P' = P (1 + step (chi - 1))."""
    chi = circuit.challenge("chi")
    return circuit.recurrence("powers of chi", 1, 1, 1 + circuit.fixed("step", step)() * (chi - 1), 0)()


def add(
    circuit: Circuit, units: Sequence[UnitColumns], table_size: int, powers: sympy.Expr, check: LinearCheck
) -> None:
    """Add the check to a circuit whose lanes are `units`."""
    psi = circuit.challenge("psi")
    positive = lane_sum(psi, [unit.a() for unit in units])
    negative = lane_sum(psi, [unit.b() for unit in units])
    term: sympy.Expr = sympy.Integer(0)
    if check.layers:
        weight = _weights(circuit, check)
        term += weight * _reads(circuit, check.layers, positive, negative)
    if len(check.operands[0]):
        columns = [
            circuit.fixed(f"coefficients {part}", values) for part, values in zip("ab", check.operands, strict=True)
        ]
        term += powers * (columns[0]() * positive - columns[1]() * negative)
    if np.any(check.summed):
        sums = lane_sum(psi, [unit.exact_sum(table_size) for unit in units])
        if len(check.bias):
            sums -= _bias(circuit, check) * lane_sum(psi, [sympy.Integer(1)] * len(units))
        term -= powers * circuit.fixed("summed", check.summed)() * sums
    if term != 0:
        circuit.sum("linear check", term)


def _bias(circuit: Circuit, check: LinearCheck) -> sympy.Expr:
    """The bias column; through a combination of one where it is hidden, which masks it."""
    if not check.hidden:
        return circuit.fixed("bias", check.bias)()
    return circuit.combination("bias", [(circuit.hidden_fixed("bias", check.bias), ())])()


def _weights(circuit: Circuit, check: LinearCheck) -> sympy.Expr:
    """chi^C wacc + w~, the whole sum_i chi^i W_ij on an input's value row."""
    chi = circuit.challenge("chi")
    declare = circuit.hidden_fixed if check.hidden else circuit.fixed
    columns = [declare(f"weights {c}", values) for c, values in enumerate(check.weights)]
    terms = [(column, ((chi.name, c),) if c else ()) for c, column in enumerate(columns)]
    here = circuit.combination("weights", terms)()
    if not len(check.hold):
        return here
    hold, step = circuit.fixed("hold", check.hold)(), chi ** len(columns)
    before = circuit.recurrence("weight accumulator", 1, 0, hold * step, hold * here)
    return step * before() + here


def _reads(circuit: Circuit, layers: Sequence[DenseLayer], positive: sympy.Expr, negative: sympy.Expr) -> sympy.Expr:
    """D_a A - D_b B."""
    chi = circuit.challenge("chi")
    terms, signed = [], []
    for number, layer in enumerate(layers):
        monomial = ((chi.name, layer.exponent),) if layer.exponent else ()
        terms.append((circuit.fixed(f"inputs of layer {number}", _marks(layer.rows)), monomial))
        if not np.any(layer.positive):
            signed.append(terms[-1])
        elif not np.all(layer.positive):
            marks = _marks(layer.rows[~layer.positive])
            signed.append((circuit.fixed(f"signed inputs of layer {number}", marks), monomial))
    all_layers = circuit.combination("inputs", terms)()
    if not signed:
        return all_layers * positive
    if signed == terms:
        return all_layers * (positive - negative)
    return all_layers * positive - circuit.combination("signed inputs", signed)() * negative


def _marks(rows: Integers) -> Integers:
    marks = np.zeros(int(rows.max()) + 1, np.int64)
    marks[rows] = 1
    return marks
