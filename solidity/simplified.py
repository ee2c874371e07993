"""A key's program by fewer multiplications: the same value, as a contract that is written out computes it.

Sums are brought to Horner's form in what is drawn, those of public words among them, and the monomials that are left
are made of one another (arithmetic.py), as in a key's tape. straight_line.py prints it like any program.
"""

from __future__ import annotations

import numpy as np

from plonnx.plonk.keys import VerifyingKey
from plonnx.plonk.program import ADD, INVERSE_PSI, MUL, PSI, SUB, Program
from plonnx.plonk.public_values import CHI
from plonnx.solidity.arithmetic import Arithmetic, Chains, Powers, Value, gathered, is_product
from plonnx.solidity.public_words import run_words

CODES = {"add": ADD, "subtract": SUB, "multiply": MUL}


def simplified(vk: VerifyingKey) -> Program:
    """The key's program; of public values it reads the sum of each run's words (`run_words`), without their factors."""
    program, field, runs = vk.program, Arithmetic(), run_words(vk)
    drawn = [*(name for phase in vk.phases for name in phase.challenges), INVERSE_PSI]
    named = {name: field.input("drawn", i) for i, name in enumerate(drawn)}
    sums = iter(field.input("runs", len(drawn) + i) for i in range(len(runs)))
    for column in vk.instances:
        total = field.value(0)
        for run in column.runs:
            psi = named[PSI] ** run.power if PSI in named else field.value(1)
            total += named[CHI] ** run.exponent * psi * next(sums)
        named[column.name] = total
    values = [field.input("slots", i) for i in range(len(program.slots))]
    values += map(field.value, program.constants)
    values += [named[name] for name in program.scalars]
    for code, left, right in program.ops.tolist():
        a, b = values[left], values[right]
        values.append(a + b if code == ADD else a * b if code == MUL else a - b)
    (output,) = program.outputs
    made, (total,) = gathered(field, [values[output]])
    return _Writer(program, (*drawn, *(name for name, _ in runs)), made, total.number).written


class _Writer:
    """Numbers expressions as a program does: slots, constants, scalars, then operations."""

    def __init__(self, given: Program, scalars: tuple[str, ...], field: Arithmetic, output: int) -> None:
        self.field, self.ops = field, list[tuple[int, int, int]]()
        needed = sorted(field.uses([output]))
        constants = sorted({node.value for node in map(field.nodes.__getitem__, needed) if node.kind == "constant"})
        self.constants = {value: len(given.slots) + i for i, value in enumerate(constants)}
        self.first_scalar = len(given.slots) + len(constants)
        self.first_op = self.first_scalar + len(scalars)
        self.chains = Chains({field.powers(Value(field, number)) for number in needed})
        self.numbers: dict[int, int] = {}
        self.products: dict[Powers, int] = {}
        for number in needed:
            self.numbers[number] = self._number(number)
        ops = np.array(self.ops, np.int32).reshape(-1, 3)
        self.written = Program(given.slots, tuple(constants), scalars, ops, (self.numbers[output],))

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
