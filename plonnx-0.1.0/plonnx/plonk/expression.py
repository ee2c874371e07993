"""The symbolic source of every gate: sympy expressions over column queries, challenges and row selectors.

From an expression come its degree, its straight-line program (plonk/program.py) and its formula in docs/. Used at
compile and keygen time only; the prover and the verifier run programs and never import this file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np
import sympy

from plonnx.plonk.program import ADD, MODULUS, MUL, SUB, Kind, Program, Slot

Expression: TypeAlias = sympy.Expr | int


class Query(sympy.Symbol):  # type: ignore[misc]  # sympy has no types
    """A column at a rotation. Its slot tells it apart: sympy takes symbols of one name for one symbol."""

    slot: Slot

    def __new__(cls, slot: Slot, label: str) -> Query:
        turn = "" if slot.rotation == 0 else f"[{slot.rotation:+d}]"
        query: Query = sympy.Symbol.__xnew__(cls, f"{label}{turn}")  # as sympy.Dummy: not from the cache of symbols
        query.slot = slot
        return query

    def _hashable_content(self) -> tuple[object, ...]:
        return (*super()._hashable_content(), self.slot)


class Scalar(sympy.Symbol):  # type: ignore[misc]
    """A challenge or an instance sum: one value for all rows."""


X = Query(Slot("selector", 0, 0), "X")
FIRST = Query(Slot("selector", 1, 0), "first")
LAST = Query(Slot("selector", 2, 0), "last")
ACTIVE = Query(Slot("selector", 3, 0), "active")


@dataclass(frozen=True)
class Column:
    """A fixed, advice or combination column. Call it for a query: `a(1)` is a one row further on."""

    kind: Kind
    index: int
    name: str

    def __call__(self, rotation: int = 0) -> Query:
        return Query(Slot(self.kind, self.index, rotation), self.name)


class Counted:
    """What a Tally (plonk/tally.py) knows of an expression: its degree in X, and the slots that it queries.

    `known` lists the Tally's slots; bit i of `mask` says whether known[i] is queried.
    """

    __slots__ = ("degree", "known", "mask")

    def __init__(self, degree: int, mask: int, known: list[Slot]) -> None:
        self.degree, self.mask, self.known = degree, mask, known

    def __add__(self, other: Counted | int) -> Counted:
        if isinstance(other, int):
            return self
        degree = self.degree if self.degree > other.degree else other.degree
        return Counted(degree, self.mask | other.mask, self.known)

    def __mul__(self, other: Counted | int) -> Counted:
        if isinstance(other, int):
            return self if other else Counted(0, 0, self.known)
        return Counted(self.degree + other.degree, self.mask | other.mask, self.known)

    def __pow__(self, exponent: int) -> Counted:
        return Counted(self.degree * exponent, self.mask, self.known)

    def __neg__(self) -> Counted:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and (self.degree, self.mask) == (other.degree, other.mask)

    def __hash__(self) -> int:
        return hash((self.degree, self.mask))

    __radd__ = __sub__ = __rsub__ = __add__
    __rmul__ = __mul__


@dataclass(frozen=True)
class Gate:
    """selector * expression = 0 on every row of H; selector is None (all rows), ACTIVE, FIRST or LAST."""

    name: str
    selector: Query | None
    expression: sympy.Expr

    @property
    def formula(self) -> str:
        """The gate as text."""
        return f"{self.expression} = 0" if self.selector is None else f"{self.selector} * ({self.expression}) = 0"


def degree(expression: sympy.Expr, n: int, blinding: int, masked: Collection[int] = ()) -> int:  # noqa: PLR0911
    """The degree in X: n - 1 for a column, n - u = `blinding` for active(X), n + 1 for a masked combination."""
    if isinstance(expression, Counted):
        return expression.degree
    if isinstance(expression, Query):
        if expression == X:
            return 1
        if expression.slot.kind == "combination" and expression.slot.index in masked:
            return n + 1
        return blinding if expression == ACTIVE else n - 1
    if isinstance(expression, sympy.Add):
        return max(degree(term, n, blinding, masked) for term in expression.args)
    if isinstance(expression, sympy.Mul):
        return sum(degree(factor, n, blinding, masked) for factor in expression.args)
    is_power = isinstance(expression, sympy.Pow)
    return degree(expression.base, n, blinding, masked) * _exponent(expression) if is_power else 0


def gate_degree(gate: Gate, n: int, blinding: int, masked: Collection[int] = ()) -> int:
    """The degree of selector * expression."""
    selector = 0 if gate.selector is None else degree(gate.selector, n, blinding)
    return degree(gate.expression, n, blinding, masked) + selector


def slots(expressions: Iterable[sympy.Expr]) -> list[Slot]:
    """Every slot that the expressions query, sorted."""
    found: set[Slot] = set()
    mask, known = 0, list[Slot]()
    for e in expressions:
        if isinstance(e, Counted):
            mask, known = mask | e.mask, e.known
        else:
            found.update(s.slot for s in e.free_symbols if isinstance(s, Query))
    while mask:
        found.add(known[(mask & -mask).bit_length() - 1])
        mask &= mask - 1
    return sorted(found)


def compile_program(expressions: Sequence[sympy.Expr]) -> Program:
    """One program whose outputs are the expressions; equal subexpressions are computed once."""
    writer = _Writer(expressions)
    return writer.finish([writer.value(sympy.sympify(e)) for e in expressions])


def compile_gates(gates: Sequence[Gate], y: Scalar) -> Program:
    """One program whose output is sum_j y^(m-1-j) gate_j, with gates ordered by selector: each multiplies once."""
    return compile_weighted(list(enumerate(reversed(ordered(gates)))), y)


def ordered(gates: Sequence[Gate]) -> list[Gate]:
    """The gates by selector, in the order in which they get their powers of y."""
    order: list[Query | None] = [None, ACTIVE, FIRST, LAST]
    return [gate for selector in order for gate in gates if gate.selector == selector]


def compile_weighted(gates: Sequence[tuple[int, Gate]], y: Scalar) -> Program:
    """One program whose output is the sum of y^exponent gate, by Horner's rule from the highest exponent down."""
    writer = _Writer([*(g.expression for _, g in gates), *(g.selector for _, g in gates if g.selector is not None), y])
    y_value = writer.value(y)

    def times_power(value: _Value, exponent: int) -> _Value:
        return writer.op(MUL, value, writer.power(y_value, exponent)) if exponent else value

    total: _Value | None = None
    before = 0
    falling = sorted(gates, key=lambda pair: -pair[0])
    for selector, run in groupby(falling, key=lambda pair: pair[1].selector):
        group = list(run)
        folded, last = writer.value(group[0][1].expression), group[0][0]
        for exponent, gate in group[1:]:
            folded = writer.op(ADD, times_power(folded, last - exponent), writer.value(gate.expression))
            last = exponent
        if selector is not None:
            folded = writer.op(MUL, writer.value(selector), folded)
        total = folded if total is None else writer.op(ADD, times_power(total, before - last), folded)
        before = last
    assert total is not None
    return writer.finish([times_power(total, before)])


def _exponent(power: sympy.Pow) -> int:
    if not (power.exp.is_Integer and power.exp > 0):
        raise ValueError(f"a gate holds the power {power}; only positive integer exponents are polynomials")
    return int(power.exp)


def _field(number: sympy.Rational) -> int:
    return int(number.p) * pow(int(number.q), -1, MODULUS) % MODULUS


_Value = tuple[str, int]  # ("slot" | "constant" | "scalar" | "op", position) until `finish` numbers them all


class _Writer:
    """Turns expressions into numbered ops; equal values get one number. Scalars are combined before columns."""

    def __init__(self, expressions: Sequence[sympy.Expr]) -> None:
        atoms = {a for e in expressions for a in sympy.sympify(e).atoms(sympy.Symbol)}
        self.slots = slots(expressions)
        self.scalars = sorted(a.name for a in atoms if isinstance(a, Scalar))
        self.constants: list[int] = []
        self.ops: list[tuple[int, _Value, _Value]] = []
        self.values: dict[sympy.Expr, _Value] = {}
        self.known: dict[tuple[int, _Value, _Value], _Value] = {}
        self.is_scalar: list[bool] = []  # of each op

    def value(self, expression: sympy.Expr) -> _Value:
        if expression in self.values:
            return self.values[expression]
        result = self._build(expression)
        self.values[expression] = result
        return result

    def _build(self, e: sympy.Expr) -> _Value:
        if isinstance(e, Query):
            return "slot", self.slots.index(e.slot)
        if isinstance(e, Scalar):
            return "scalar", self.scalars.index(e.name)
        if isinstance(e, sympy.Rational):
            return self._constant(_field(e))
        if isinstance(e, sympy.Add):
            return self._sum(e)
        if isinstance(e, sympy.Mul):
            return self._product([self.value(f) for f in e.args])
        if isinstance(e, sympy.Pow):
            return self.power(self.value(e.base), _exponent(e))
        raise ValueError(f"a gate holds {e} ({type(e).__name__}), which is no column, challenge or constant")

    def _constant(self, number: int) -> _Value:
        if number not in self.constants:
            self.constants.append(number)
        return "constant", self.constants.index(number)

    def _sum(self, e: sympy.Add) -> _Value:
        plus: list[_Value] = []
        minus: list[_Value] = []
        for term in e.args:
            coefficient, _ = term.as_coeff_Mul()
            (minus if coefficient.is_negative else plus).append(self.value(-term if coefficient.is_negative else term))
        plus.sort(key=self._scalar_first)
        minus.sort(key=self._scalar_first)
        total = plus[0] if plus else self._constant(0)
        for value in plus[1:]:
            total = self.op(ADD, total, value)
        for value in minus:
            total = self.op(SUB, total, value)
        return total

    def _product(self, factors: list[_Value]) -> _Value:
        factors.sort(key=self._scalar_first)
        total = factors[0]
        for factor in factors[1:]:
            total = self.op(MUL, total, factor)
        return total

    def power(self, base: _Value, exponent: int) -> _Value:
        result: _Value | None = None
        while exponent:
            if exponent & 1:
                result = base if result is None else self.op(MUL, result, base)
            exponent >>= 1
            if exponent:
                base = self.op(MUL, base, base)
        assert result is not None
        return result

    def _scalar_first(self, value: _Value) -> tuple[int, _Value]:
        return (0 if self._is_scalar(value) else 1), value

    def _is_scalar(self, value: _Value) -> bool:
        kind, position = value
        return self.is_scalar[position] if kind == "op" else kind != "slot"

    def op(self, code: int, left: _Value, right: _Value) -> _Value:
        key = (code, left, right)
        if key not in self.known:
            self.ops.append(key)
            self.is_scalar.append(self._is_scalar(left) and self._is_scalar(right))
            self.known[key] = ("op", len(self.ops) - 1)
        return self.known[key]

    def finish(self, outputs: Sequence[_Value]) -> Program:
        start = {"slot": 0, "constant": len(self.slots)}
        start["scalar"] = start["constant"] + len(self.constants)
        start["op"] = start["scalar"] + len(self.scalars)

        def number(value: _Value) -> int:
            return start[value[0]] + value[1]

        ops = [(code, number(left), number(right)) for code, left, right in self.ops]
        return Program(
            tuple(self.slots),
            tuple(self.constants),
            tuple(self.scalars),
            np.array(ops, np.int32).reshape(-1, 3),
            tuple(number(value) for value in outputs),
        )
