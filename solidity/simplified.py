"""A key's program by fewer multiplications: the same value, as a contract that is written out computes it.

Sums are brought to Horner's form in what is drawn, and the monomials that are left are made of one another
(arithmetic.py), as in a key's tape. Slots and scalars stay; straight_line.py prints it like any program.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from plonnx.plonk.program import ADD, MUL, SUB, Program
from plonnx.solidity.arithmetic import Arithmetic, Chains, Powers, Value, gathered, is_product

CODES = {"add": ADD, "subtract": SUB, "multiply": MUL}


def simplified(program: Program, drawn: Collection[str]) -> Program:
    """The program of one output; `drawn` are those of its scalars of whose powers there are many."""
    field = Arithmetic()
    values = [field.input("slots", i) for i in range(len(program.slots))]
    values += map(field.value, program.constants)
    values += [field.input("drawn" if name in drawn else "sums", i) for i, name in enumerate(program.scalars)]
    for code, left, right in program.ops.tolist():
        a, b = values[left], values[right]
        values.append(a + b if code == ADD else a * b if code == MUL else a - b)
    (output,) = program.outputs
    made, (total,) = gathered(field, [values[output]])
    return _Writer(program, made, total.number).written


class _Writer:
    """Numbers expressions as a program does: slots, constants, scalars, then operations."""

    def __init__(self, given: Program, field: Arithmetic, output: int) -> None:
        self.field, self.ops = field, list[tuple[int, int, int]]()
        needed = sorted(field.uses([output]))
        constants = sorted({node.value for node in map(field.nodes.__getitem__, needed) if node.kind == "constant"})
        self.constants = {value: len(given.slots) + i for i, value in enumerate(constants)}
        self.first_scalar = len(given.slots) + len(constants)
        self.first_op = self.first_scalar + len(given.scalars)
        self.chains = Chains({field.powers(Value(field, number)) for number in needed})
        self.numbers: dict[int, int] = {}
        self.products: dict[Powers, int] = {}
        for number in needed:
            self.numbers[number] = self._number(number)
        ops = np.array(self.ops, np.int32).reshape(-1, 3)
        self.written = Program(given.slots, tuple(constants), given.scalars, ops, (self.numbers[output],))

    def _number(self, number: int) -> int:
        node = self.field.nodes[number]
        if node.kind == "input":
            return node.place.index + (0 if node.place.space == "slots" else self.first_scalar)
        if node.kind == "constant":
            return self.constants[node.value]
        if node.kind == "monomial":
            return self._product(node.powers)
        operands = [self.numbers[operand] for operand in node.operands]
        if node.kind != "polynomial":
            return self._op(CODES[node.kind], *operands)
        x, *rest, total = operands
        for coefficient in reversed(rest):
            total = self._op(ADD, coefficient, self._op(MUL, total, x))
        return total

    def _product(self, powers: Powers) -> int:
        """A monomial: a scalar, or the product of two others."""
        if not is_product(powers):
            return self.first_scalar + self.field.nodes[powers[0][0]].place.index
        if powers not in self.products:
            a, b = (self._product(factor) for factor in self.chains.factors(powers))
            self.products[powers] = self._op(MUL, a, b)
        return self.products[powers]

    def _op(self, code: int, left: int, right: int) -> int:
        self.ops.append((code, left, right))
        return self.first_op + len(self.ops) - 1
