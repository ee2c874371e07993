"""The sums of a circuit as forms: of degree at most two in the witness, polynomials in chi and psi, exact integers.

A sum runs over all rows of an expression over fixed columns, challenges, cells and accumulators. Here it is written
out, accumulators and all, as one integer for every cell (or product of two: matrices that are both computed) and every
monomial: what the sum really says of each cell, however it was put together.
"""

from __future__ import annotations

import sympy

from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Query, Scalar
from plonnx.plonk.program import INVERSE_PSI, PSI, Slot

Cell = tuple[int, int]  # (advice column, row)
Term = tuple[tuple[Cell, ...], int, int]  # no cell, one, or two in order; and the powers of chi and psi
Form = dict[Term, int]  # the coefficients; none is zero

ONE: Form = {((), 0, 0): 1}


def plus(left: Form, right: Form) -> Form:
    """The sum of two forms."""
    total = dict(left)
    for term, coefficient in right.items():
        total[term] = total.get(term, 0) + coefficient
    return {term: coefficient for term, coefficient in total.items() if coefficient}


def times(left: Form, right: Form) -> Form:
    """The product of two forms; ValueError where it has a product of three cells."""
    product: Form = {}
    for (cells, i, j), x in left.items():
        for (others, k, m), y in right.items():
            if len(cells) + len(others) > 2:
                raise ValueError(f"a product of the cells {cells + others}")
            term = (tuple(sorted(cells + others)), i + k, j + m)
            product[term] = product.get(term, 0) + x * y
    return {term: coefficient for term, coefficient in product.items() if coefficient}


def power(base: Form, exponent: int) -> Form:
    """A form to a power; at once where it is a monomial, for powers of psi go into the thousands."""
    match list(base.items()):
        case [(((), i, j), 1)]:
            return {((), i * exponent, j * exponent): 1}
    found = ONE
    for _ in range(exponent):
        found = times(found, base)
    return found


class Forms:
    """The forms of a circuit's expressions, row by row; the circuit is not finished, so no argument has columns yet."""

    def __init__(self, circuit: Circuit, rows: int) -> None:
        self.circuit, self.rows = circuit, rows
        self.definitions = {definition.column.index: definition for definition in circuit.definitions}
        self._fixed: dict[int, list[int]] = {}
        self._defined: dict[int, list[Form]] = {}

    def total(self, expression: sympy.Expr) -> Form:
        """The sum over all rows of the layout; the rows below must add nothing."""
        for below in (self.rows, self.rows + 1):
            assert not self.at(expression, below), f"row {below}, below the layout, is in the sum"
        found: Form = {}
        for row in range(self.rows):
            for term, coefficient in self.at(expression, row).items():
                found[term] = found.get(term, 0) + coefficient
        return {term: coefficient for term, coefficient in found.items() if coefficient}

    def at(self, expression: sympy.Expr, row: int) -> Form:
        """An expression on a row."""
        match expression:
            case Query():
                return self._slot(expression.slot, row)
            case Scalar():
                return {((), *self._powers({expression.name: 1})): 1}
            case sympy.Integer():
                return {((), 0, 0): int(expression)} if expression else {}
            case sympy.Add():
                found: Form = {}
                for part in expression.args:
                    found = plus(found, self.at(part, row))
                return found
            case sympy.Mul():
                found = ONE
                for part in sorted(expression.args, key=lambda part: len(part.free_symbols)):
                    found = times(found, self.at(part, row)) if found else found
                return found
            case sympy.Pow():
                return power(self.at(expression.base, row), int(expression.exp))
        raise TypeError(f"{expression} is no expression of a circuit")

    @staticmethod
    def _powers(monomial: dict[str, int]) -> tuple[int, int]:
        powers = {"chi": 0, PSI: 0, INVERSE_PSI: 0} | monomial
        if len(powers) > 3 or min(powers.values()) < 0:
            raise ValueError(f"{monomial} is no monomial in chi, psi and 1/psi")
        return powers["chi"], powers[PSI] - powers[INVERSE_PSI]

    def fixed(self, index: int) -> list[int]:
        """The values of a fixed column, as far as they are given: zero follows."""
        if index not in self._fixed:
            column = self.circuit.fixed_columns[index]
            values = [int(value) for value in column.values]
            self._fixed[index] = [column.palette[value] for value in values] if column.palette else values
        return self._fixed[index]

    def _fixed_at(self, index: int, row: int) -> int:
        values = self.fixed(index)
        return values[row] if row < len(values) else 0

    def _slot(self, slot: Slot, row: int) -> Form:
        at = row + slot.rotation
        if slot.kind == "fixed":
            value = self._fixed_at(slot.index, at)
            return {((), 0, 0): value} if value else {}
        if slot.kind == "combination":
            found: Form = {}
            for column, monomial in self.circuit.combinations[slot.index].terms:
                if value := self._fixed_at(column, at):
                    found = plus(found, {((), *self._powers(dict(monomial))): value})
            return found
        if slot.kind != "advice":
            raise ValueError(f"a {slot.kind} column in a sum")
        return self._column(slot.index)[at] if slot.index in self.definitions else {(((slot.index, at),), 0, 0): 1}

    def _column(self, index: int) -> list[Form]:
        """A defined column, unrolled."""
        if index not in self._defined:
            definition = self.definitions[index]
            if definition.kind == "ratio":
                numerator, denominator = definition.parts
                assert denominator == 1, definition.column.name
                self._defined[index] = [self.at(numerator, row) for row in range(self.rows + 2)]
                return self._defined[index]
            assert definition.kind == "recurrence", definition.column.name
            first: Form = {((), 0, 0): definition.first} if definition.first else {}
            self._defined[index] = column = [first]
            for row in range(self.rows + 2):
                factor, term = (self.at(part, row) for part in definition.parts)
                column.append(plus(times(factor, column[-1]), term))
        return self._defined[index]
