"""Field arithmetic as data: expressions become a tape of multiply-adds, which one contract runs for every key.

An instruction names three words of memory a, b, c, and the next word of memory becomes a * b + c mod r. There is no
other, so the contract that runs a tape has nothing to decide. Sums and differences are multiply-adds by 1 and by -1.
What would fill a tape stands beside it: sum_i x^i f_i over words that lie side by side is a *Horner run*, a tenth as
long. schedule.py orders the steps and puts them into blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plonnx.plonk.program import MODULUS
from plonnx.solidity.arithmetic import (
    POLYNOMIAL,
    SUMS,
    Arithmetic,
    Chains,
    Node,
    Place,
    Powers,
    Value,
    gathered,
    is_product,
)
from plonnx.solidity.schedule import MINUS_ONE, ONE, ZERO, Block, HornerRun, Instruction, Step, ordered

SMALL = 1 << 32  # constants below take 4 bytes, others a word


@dataclass
class Tape:
    """What computes `outputs`: blocks, and the constants that these read."""

    blocks: list[Block] = field(default_factory=list)
    small: list[int] = field(default_factory=list)
    wide: list[int] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)
    words: int = 0  # of results
    steps: list[Step] = field(default_factory=list)

    @property
    def multiplications(self) -> int:
        """What running it takes."""
        return sum(step.terms if isinstance(step, HornerRun) else 1 for step in self.steps)


def assemble(arithmetic: Arithmetic, outputs: Sequence[Value]) -> Tape:
    """The tape of some expressions."""
    arithmetic, outputs = gathered(arithmetic, outputs)
    return _Assembler(arithmetic, [value.number for value in outputs]).tape


class _Assembler:
    """Writes steps in the order of the expressions' numbers: operands have smaller ones."""

    def __init__(self, arithmetic: Arithmetic, outputs: Sequence[int]) -> None:
        self.of, self.nodes, self.tape = arithmetic, arithmetic.nodes, Tape()
        self.places: dict[int, Place] = {}
        self.made: dict[Instruction, Place] = {}
        self.sums: dict[tuple[tuple[int, ...], ...], tuple[int, Instruction]] = {}  # by terms: a constant, what ends it
        self.constants: dict[int, Place] = {0: ZERO, 1: ONE, MODULUS - 1: MINUS_ONE}
        self.uses = arithmetic.uses(outputs)
        self.inside = arithmetic.inside(self.uses)
        self.rows = _Rows(arithmetic, self.uses, self.inside)
        self.powers = Chains({self.of.powers(Value(arithmetic, number)) for number in self.uses})
        self.row_steps: list[list[int]] = []
        for number in sorted(self.uses.keys() - self.inside - self.rows.runs - self.rows.instructions):
            self._write(number)
        self.tape.outputs = [self._place(number) for number in outputs]
        self._order()

    def _order(self) -> None:
        made = ordered(self.tape.steps, self.row_steps)
        self.tape.blocks, self.tape.words = made.blocks, made.words
        self.tape.outputs = [made.places[o.index] if o.space == "steps" else o for o in self.tape.outputs]

    def _write(self, number: int) -> None:
        node = self.nodes[number]
        if node.kind == "polynomial":
            self._polynomial(number, node)
        elif node.kind in ("multiply", *SUMS):
            self.places[number] = self._emit(self._last(number))

    def _polynomial(self, number: int, node: Node) -> None:
        """A run over words that lie side by side, or are put there; or, where it is short, instructions."""
        x, *coefficients = node.operands
        if number not in self.rows.long:
            *rest, total = (self._place(c) for c in coefficients)
            for place in reversed(rest):
                total = self._emit(Instruction(total, self._place(x), place))
            self.places[number] = total
            return
        self.places[number] = self._append(self._prepared(node))

    def _prepared(self, node: Node) -> HornerRun:
        """A run, once its coefficients lie side by side."""
        x, *coefficients = node.operands
        first, stride = self.rows.of_words(coefficients) or (self._row(coefficients), 1)
        return HornerRun(first, len(coefficients), stride, self._place(x))

    def _row(self, coefficients: Sequence[int]) -> Place:
        """Where they begin: all of them runs, or results of instructions."""
        if coefficients[0] in self.rows.runs:
            return self._side_by_side([self._append(self._prepared(self.nodes[c])) for c in coefficients])
        last = [
            self._last(c) if c in self.rows.instructions else Instruction(ONE, self._place(c), ZERO)
            for c in coefficients
        ]
        return self._side_by_side([self._append(instruction) for instruction in last])

    def _side_by_side(self, places: Sequence[Place]) -> Place:
        self.row_steps.append([place.index for place in places])
        return places[0]

    def _last(self, number: int) -> Instruction:
        """What computes a sum or a product from what is there, after instructions for parts of it."""
        node = self.nodes[number]
        if node.kind == "multiply":
            a, b = (self._place(operand) for operand in node.operands)
            return Instruction(a, b, ZERO)
        return self._sum(number)

    def _sum(self, number: int) -> Instruction:
        """What is added, less what is subtracted: one instruction for each product, one for the difference.

        A sum of which there is one but for the constant is made of that.
        """
        both = self.of.terms(number, self.inside)
        plus, minus = (sum(self.nodes[t].value for t in side if self.nodes[t].kind == "constant") for side in both)
        sides = [[term for term in side if self.nodes[term].kind != "constant"] for side in both]
        constant = (plus - minus) % MODULUS
        key = tuple(tuple(sorted(side)) for side in sides)
        before, last = self.sums.get(key, (constant, None))
        if last is not None and before == constant:
            return last
        if last is not None and (shift := self._shift(constant - before)):
            instruction = Instruction(*shift, self._emit(last))
            self.sums[key] = constant, instruction
            return instruction
        negative = constant > 0 and (plus == 0 or MODULUS - constant < SMALL)
        added = self._total(sides[0], [self._constant(constant)] if constant and not negative else [])
        subtracted = self._total(sides[1], [self._constant(MODULUS - constant)] if negative else [])
        if isinstance(subtracted, Instruction) or subtracted != ZERO:
            instruction = Instruction(MINUS_ONE, self._put(subtracted), self._put(added))
        else:
            instruction = added if isinstance(added, Instruction) else Instruction(ONE, added, ZERO)
        if constant or sum(map(len, sides)) > 1:
            self.sums[key] = constant, instruction
        return instruction

    def _shift(self, by: int) -> tuple[Place, Place] | None:
        """Two constants with this product, if it is a short one or at hand."""
        by %= MODULUS
        if by in self.constants or by < SMALL:
            return ONE, self._constant(by)
        return (MINUS_ONE, self._constant(MODULUS - by)) if MODULUS - by < SMALL else None

    def _total(self, terms: Sequence[int], constants: Sequence[Place]) -> Place | Instruction:
        """The sum of terms: a word, or the last instruction."""
        products = [term for term in terms if self.nodes[term].kind == "multiply" and term in self.inside]
        total: Place | Instruction
        total, *others = [*(self._place(term) for term in terms if term not in products), *constants] or [ZERO]
        for operand in others:
            total = Instruction(ONE, operand, self._put(total))
        for product in products:
            a, b = (self._place(x) for x in self.nodes[product].operands)
            total = Instruction(a, b, self._put(total))
        return total

    def _put(self, value: Place | Instruction) -> Place:
        return self._emit(value) if isinstance(value, Instruction) else value

    def _emit(self, instruction: Instruction) -> Place:
        """Where the instruction's result is: that of an equal one, or the next word."""
        return self.made[instruction] if instruction in self.made else self._append(instruction)

    def _append(self, step: Step) -> Place:
        self.tape.steps.append(step)
        place = Place("steps", len(self.tape.steps) - 1)
        if isinstance(step, Instruction):
            self.made.setdefault(step, place)
        return place

    def _place(self, number: int) -> Place:
        node = self.nodes[number]
        if node.kind == "constant":
            return self._constant(node.value)
        if node.kind == "monomial":
            return self._product(node.powers)
        return node.place if node.kind == "input" else self.places[number]

    def _product(self, powers: Powers) -> Place:
        """Where a monomial is: an input, or the product of two others."""
        if not is_product(powers):
            return self.nodes[powers[0][0]].place
        a, b = (self._product(factor) for factor in self.powers.factors(powers))
        return self._emit(Instruction(a, b, ZERO))

    def _constant(self, value: int) -> Place:
        """Where a constant is: stored, or computed in one instruction, which is shorter than a word."""
        if value not in self.constants:
            if value < SMALL:
                self.constants[value] = Place("small", len(self.tape.small))
                self.tape.small.append(value)
            elif MODULUS - value < SMALL or MODULUS - value in self.constants:
                positive = self._constant(MODULUS - value)
                self.constants[value] = self._emit(Instruction(MINUS_ONE, positive, ZERO))
            elif factors := self._factors(value):
                self.constants[value] = self._emit(Instruction(*factors, ZERO))
            else:
                self.constants[value] = Place("wide", len(self.tape.wide))
                self.tape.wide.append(value)
        return self.constants[value]

    def _factors(self, value: int) -> tuple[Place, Place] | None:
        """Two constants at hand whose product it is: so powers of delta or omega follow from one or two of them."""
        for other, place in self.constants.items():
            rest = value * pow(other, -1, MODULUS) % MODULUS if other > 1 else 0
            if rest in self.constants and rest > 1:
                return place, self.constants[rest]
        return None


class _Rows:
    """Which polynomials are runs, and what must lie side by side for them."""

    def __init__(self, arithmetic: Arithmetic, uses: dict[int, int], inside: set[int]) -> None:
        self.nodes, self.uses = arithmetic.nodes, uses
        self.long: set[int] = set()  # polynomials that are runs
        self.runs: set[int] = set()  # runs that are coefficients of others: they stand beside one another
        self.instructions: set[int] = set()  # likewise sums and products
        for number in sorted(uses):
            if self.nodes[number].kind == "polynomial":
                self._decide(number, self.nodes[number].operands[1:])
        self.instructions -= inside

    def _decide(self, number: int, coefficients: Sequence[int]) -> None:
        if self.of_words(coefficients):
            self.long.add(number)
            return
        alone = [c for c in coefficients if self.uses[c] == 1]
        if len(alone) == len(coefficients) and self.long.issuperset(coefficients):
            self.long.add(number)
            self.runs.update(coefficients)
            return
        computed = [c for c in alone if self.nodes[c].kind in ("multiply", *SUMS)]
        if len(computed) >= POLYNOMIAL and len(computed) > len(coefficients) / 2:
            self.long.add(number)
            self.instructions.update(computed)

    def of_words(self, coefficients: Sequence[int]) -> tuple[Place, int] | None:
        """The first and the stride where all are inputs, evenly spaced."""
        nodes = [self.nodes[c] for c in coefficients]
        first, second = nodes[0].place, nodes[1].place
        stride = second.index - first.index
        places = [Place(first.space, first.index + stride * i) for i in range(len(nodes))]
        fits = all(node.kind == "input" and node.place == place for node, place in zip(nodes, places, strict=True))
        return (first, stride) if fits and stride > 0 else None
