"""Field arithmetic as data: expressions become a tape of multiply-adds, which one contract runs for every key.

An instruction names three words of memory a, b, c, and the next word of memory becomes a * b + c mod r. There is no
other, so the contract that runs a tape has nothing to decide. Sums and differences are multiply-adds by 1 and by -1.
What would fill a tape stands beside it: sum_i x^i f_i over evaluations that lie side by side is a *Horner run*, a tenth
as long. Runs come between two tapes, since their x may come from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from plonnx.plonk.program import MODULUS

SMALL = 1 << 32  # constants below take 4 bytes, others a word
Part = Literal["first", "second"]
SUMS = ("add", "subtract")


class Place(NamedTuple):
    """Word number `index` of a space of memory. Where spaces begin is decided when the key is laid out."""

    space: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls


ZERO, ONE, MINUS_ONE = (Place("constants", i) for i in range(3))


class Instruction(NamedTuple):
    """The next word is a * b + c."""

    a: Place
    b: Place
    c: Place


class HornerRun(NamedTuple):
    """The next word is sum_i x^i f_i over `terms` words, the first at `first`, `stride` words apart."""

    first: Place
    terms: int
    stride: int
    x: Place


@dataclass
class Tape:
    """What computes `outputs`: instructions, Horner runs, instructions; and the constants that these read."""

    first: list[Instruction] = field(default_factory=list)
    runs: list[HornerRun] = field(default_factory=list)
    second: list[Instruction] = field(default_factory=list)
    small: list[int] = field(default_factory=list)
    wide: list[int] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)

    @property
    def multiplications(self) -> int:
        """What running it takes."""
        return len(self.first) + len(self.second) + sum(run.terms for run in self.runs)


class _Node(NamedTuple):
    """An expression: what it is, of which others, and what else there is to say."""

    kind: Literal["input", "constant", "add", "subtract", "multiply", "run"]
    operands: tuple[int, ...] = ()
    value: int = 0  # of a constant
    place: Place = ZERO  # of an input
    terms: int = 0  # of a Horner run, over operands (first, x)
    stride: int = 0


@dataclass(frozen=True)
class Value:
    """An expression; equal expressions have equal numbers."""

    of: Arithmetic
    number: int

    def __add__(self, other: Value | int) -> Value:
        return self.of.add(self, self.of.value(other))

    def __sub__(self, other: Value | int) -> Value:
        return self.of.subtract(self, self.of.value(other))

    def __mul__(self, other: Value | int) -> Value:
        return self.of.multiply(self, self.of.value(other))

    def __pow__(self, exponent: int) -> Value:
        return self.of.power(self, exponent)


class Arithmetic:
    """Expressions, each once, in an order in which they can be computed."""

    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self._numbers: dict[_Node, int] = {}
        self._powers: dict[tuple[int, int], Value] = {}

    def _value(self, node: _Node) -> Value:
        number = self._numbers.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return Value(self, number)

    def value(self, given: Value | int) -> Value:
        """A constant as an expression."""
        return given if isinstance(given, Value) else self._value(_Node("constant", value=given % MODULUS))

    def input(self, space: str, index: int = 0) -> Value:
        """A word that is there before the tapes run."""
        return self._value(_Node("input", place=Place(space, index)))

    def horner(self, first: Value, terms: int, stride: int, x: Value) -> Value:
        """sum_i x^i f_i over inputs, f_0 at `first`, each `stride` words behind the one before."""
        if terms == 1:
            return first
        return self._value(_Node("run", (first.number, x.number), terms=terms, stride=stride))

    def add(self, a: Value, b: Value) -> Value:
        """a + b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x + y)
        if 0 in (x, y):
            return b if x == 0 else a
        return self._value(_Node("add", tuple(sorted((a.number, b.number)))))

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x - y)
        return a if y == 0 else self._value(_Node("subtract", (a.number, b.number)))

    def multiply(self, a: Value, b: Value) -> Value:
        """a * b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x * y)
        if 0 in (x, y):
            return self.value(0)
        if 1 in (x, y):
            return b if x == 1 else a
        return self._value(_Node("multiply", tuple(sorted((a.number, b.number)))))

    def power(self, x: Value, exponent: int) -> Value:
        """x^exponent by a short chain: from the power below where that is there, else from two of half the size."""
        if exponent < 2:
            return x if exponent else self.value(1)
        if (x.number, exponent) not in self._powers:
            below = self._powers.get((x.number, exponent - 1))
            high = 1 << (exponent - 1).bit_length() - 1  # the largest power of two below
            factors = (below, x) if below else (self.power(x, high), self.power(x, exponent - high))
            self._powers[x.number, exponent] = factors[0] * factors[1]
        return self._powers[x.number, exponent]

    def _constant(self, value: Value) -> int | None:
        node = self.nodes[value.number]
        return node.value if node.kind == "constant" else None


def assemble(arithmetic: Arithmetic, outputs: Sequence[Value]) -> Tape:
    """The tape of some expressions."""
    return _Assembler(arithmetic, [value.number for value in outputs]).tape


class _Assembler:
    """Writes a tape in the order of the expressions' numbers: operands have smaller ones than what reads them."""

    def __init__(self, arithmetic: Arithmetic, outputs: Sequence[int]) -> None:
        self.nodes, self.tape = arithmetic.nodes, Tape()
        self.places: dict[int, Place] = {}
        self.made: dict[Instruction, Place] = {}
        self.constants: dict[int, Place] = {0: ZERO, 1: ONE, MODULUS - 1: MINUS_ONE}
        self.uses = self._count_uses(outputs)
        late = self._after_runs()
        self._write("first", sorted(self.uses.keys() - late))
        runs = sorted(number for number in self.uses if self.nodes[number].kind == "run")
        for number in runs:
            node = self.nodes[number]
            first, x = (self._place(operand, "first") for operand in node.operands)
            self.places[number] = Place("runs", len(self.tape.runs))
            self.tape.runs.append(HornerRun(first, node.terms, node.stride, x))
        self._write("second", sorted(self.uses.keys() & late))
        self.tape.outputs = [self._place(number, "second") for number in outputs]

    def _count_uses(self, outputs: Iterable[int]) -> dict[int, int]:
        """How often each expression that matters is read."""
        uses = dict.fromkeys(outputs, 1)
        for number in range(len(self.nodes) - 1, -1, -1):
            for operand in self.nodes[number].operands if number in uses else ():
                uses[operand] = uses.get(operand, 0) + 1
        return uses

    def _after_runs(self) -> set[int]:
        """The runs and all that is made of them."""
        late: set[int] = set()
        for number, node in enumerate(self.nodes):
            if node.kind == "run" or not late.isdisjoint(node.operands):
                late.add(number)
        return late

    def _write(self, part: Part, numbers: Sequence[int]) -> None:
        inside = self._inside()
        for number in numbers:
            kind = self.nodes[number].kind
            if kind == "multiply" and number not in inside:
                a, b = (self._place(x, part) for x in self.nodes[number].operands)
                self.places[number] = self._emit(part, Instruction(a, b, ZERO))
            elif kind in SUMS and number not in inside:
                self.places[number] = self._sum(part, number, inside)

    def _inside(self) -> set[int]:
        """Sums and products that one sum reads, and nothing else: they go into the instructions of that sum."""
        sums = [number for number in self.uses if self.nodes[number].kind in SUMS]
        return {
            operand
            for number in sums
            for operand in self.nodes[number].operands
            if self.uses[operand] == 1 and self.nodes[operand].kind in (*SUMS, "multiply")
        }

    def _sum(self, part: Part, number: int, inside: set[int]) -> Place:
        """What is added, less what is subtracted: one instruction for each product, one for the difference."""
        terms: dict[bool, list[int]] = {True: [], False: []}
        waiting = [(number, True)]
        while waiting:
            term, added = waiting.pop()
            node = self.nodes[term]
            if node.kind in SUMS and (term == number or term in inside):
                left, right = node.operands
                waiting += [(right, added == (node.kind == "add")), (left, added)]
            else:
                terms[added].append(term)
        total, less = (self._total(part, terms[sign], inside) for sign in (True, False))
        return total if less == ZERO else self._emit(part, Instruction(MINUS_ONE, less, total))

    def _total(self, part: Part, terms: Sequence[int], inside: set[int]) -> Place:
        products = [term for term in terms if self.nodes[term].kind == "multiply" and term in inside]
        first, *others = [self._place(term, part) for term in terms if term not in products] or [ZERO]
        total = first
        for operand in others:
            total = self._emit(part, Instruction(ONE, operand, total))
        for product in products:
            a, b = (self._place(x, part) for x in self.nodes[product].operands)
            total = self._emit(part, Instruction(a, b, total))
        return total

    def _emit(self, part: Part, instruction: Instruction) -> Place:
        """Where the instruction's result is: that of an equal one, or the next word."""
        if instruction not in self.made:
            written: list[Instruction] = getattr(self.tape, part)
            self.made[instruction] = Place(part, len(written))
            written.append(instruction)
        return self.made[instruction]

    def _place(self, number: int, part: Part) -> Place:
        node = self.nodes[number]
        if node.kind == "constant":
            return self._constant(node.value, part)
        return node.place if node.kind == "input" else self.places[number]

    def _constant(self, value: int, part: Part) -> Place:
        """Where a constant is: stored, or computed in one instruction, which is shorter than a word."""
        if value not in self.constants:
            if value < SMALL:
                self.constants[value] = Place("small", len(self.tape.small))
                self.tape.small.append(value)
            elif MODULUS - value < SMALL or MODULUS - value in self.constants:
                positive = self._constant(MODULUS - value, part)
                self.constants[value] = self._emit(part, Instruction(MINUS_ONE, positive, ZERO))
            elif factors := self._factors(value):
                self.constants[value] = self._emit(part, Instruction(*factors, ZERO))
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
