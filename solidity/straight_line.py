"""The vk's straight-line program as Yul: unrolled field arithmetic with as little memory traffic as pays.

A value used once stands inside the expression that uses it; a value used more often gets a word of memory, reused after
its last use. `add` without a reduction is enough where the bound of the sum stays below 2^256 (r is below 2^255), since
addmod and mulmod take any 256-bit operands; a difference a - b is a + (c r - b) with c r at least b's bound.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from plonnx.plonk.program import ADD, MODULUS, MUL, Program, Slot
from plonnx.solidity.layout import Layout, of_circuit

WORD = 1 << 256
DEPTH = 8  # stack words that one expression may take
CHUNK = 30  # statements of one function


@dataclass(frozen=True)
class Expr:
    """A Yul expression: its text, the largest value it can have, the stack it takes, the stored values it reads.

    `formula` is the same for a reader, a sum of several terms or not.
    """

    text: str
    bound: int
    depth: int = 1
    reads: frozenset[int] = frozenset()
    formula: str = ""
    is_sum: bool = False

    def reduced(self) -> Expr:
        """The same below r."""
        if self.bound < MODULUS:
            return self
        return replace(self, text=f"mod({self.text}, r)", bound=MODULUS - 1, depth=self.depth + 1)

    @property
    def factor(self) -> str:
        """The formula as it may be multiplied or subtracted."""
        return f"({self.formula})" if self.is_sum else self.formula


def add(a: Expr, b: Expr) -> Expr:
    """a + b; below 2^256, not always reduced."""
    if not a.bound:
        return b  # 0 + b
    shallow, deep = sorted((a, b), key=lambda x: x.depth)
    reads = a.reads | b.reads
    formula = f"{a.formula} - {b.formula[1:]}" if b.formula.startswith("-") else f"{a.formula} + {b.formula}"
    if a.bound + b.bound < WORD:
        text, bound, depth = f"add({shallow.text}, {deep.text})", a.bound + b.bound, max(deep.depth, shallow.depth + 1)
    else:
        text, bound, depth = f"addmod({shallow.text}, {deep.text}, r)", MODULUS - 1, _depth(shallow, deep)
    return Expr(text, bound, depth, reads, formula, is_sum=True)


def mul(a: Expr, b: Expr) -> Expr:
    """a * b, reduced."""
    shallow, deep = sorted((a, b), key=lambda x: x.depth)
    text, formula = f"mulmod({shallow.text}, {deep.text}, r)", f"{a.factor} {b.factor}"
    return Expr(text, MODULUS - 1, _depth(shallow, deep), a.reads | b.reads, formula)


def negate(a: Expr) -> Expr:
    """-a, not reduced."""
    if a.bound <= MODULUS:
        formula = a.factor[1:] if a.factor.startswith("-") else f"-{a.factor}"
        return Expr(f"sub(r, {a.text})", MODULUS, a.depth + 1, a.reads, formula)
    return negate(a.reduced())


def _depth(shallow: Expr, deep: Expr) -> int:
    return max(deep.depth + 1, shallow.depth + 2)


def literal(value: int) -> str:
    """A number as Solidity and a reader like it."""
    return str(value) if value < 1000 else hex(value)


class StraightLine:
    """The program as Yul functions over the memory of `layout`."""

    def __init__(self, program: Program, layout: Layout, evaluation: dict[Slot, int]) -> None:
        self.program, self.layout, self.evaluation = program, layout, evaluation
        self.ops = [tuple(op) for op in program.ops.tolist()]
        self.first_op = len(program.slots) + len(program.constants) + len(program.scalars)
        (self.output,) = program.outputs
        self.uses = self._count_uses()
        self.preloads: list[str] = []
        self.large: dict[int, str] = {}  # the names of large constants

    def _count_uses(self) -> Counter[int]:
        """How often the ops that matter read each value."""
        uses = Counter([self.output])
        for number in range(len(self.ops) - 1, -1, -1):
            if uses[self.first_op + number]:
                uses.update(self.ops[number][1:])
        return uses

    def _leaf(self, number: int) -> Expr:
        """A slot, a constant or a scalar."""
        program, layout = self.program, self.layout
        if number < len(program.slots):
            slot = program.slots[number]
            selector = slot.kind == "selector"
            word = layout.word(f"selector {slot.index}") if selector else layout.evaluation(self.evaluation[slot])
            return Expr(f"mload({word})", MODULUS - 1, formula=word.lower())
        number -= len(program.slots)
        if number < len(program.constants):
            value = program.constants[number] % MODULUS
            if value.bit_length() <= 32:
                return Expr(literal(value), value, formula=str(value))
            if MODULUS - value < 1 << 32:
                text = literal(MODULUS - value)
                return Expr(f"sub(r, {text})", value, 2, formula=f"-{MODULUS - value}")
            return self._large(value)
        word = layout.word(of_circuit(program.scalars[number - len(program.constants)]))
        return Expr(f"mload({word})", MODULUS - 1, formula=word.lower())

    def _large(self, value: int) -> Expr:
        """A field-sized constant: 33 bytes of code once, 4 at each further use."""
        name = f"constant {len(self.preloads)}" if value not in self.large else self.large[value]
        self.large[value] = name
        store = f"mstore({self.layout.word(name)}, {hex(value)})"
        if store not in self.preloads:
            self.preloads.append(store)
        return Expr(self.layout.read(name), value, formula=self.layout.word(name).lower())

    def statements(self) -> list[tuple[int, Expr]]:
        """(value number, its expression) for all values that are stored, the output last; reads name stored values."""
        built: dict[int, Expr] = {}
        stored: list[tuple[int, Expr]] = []
        for position, (code, left, right) in enumerate(self.ops):
            number = self.first_op + position
            if not self.uses[number]:
                continue
            a, b = (built[x] if x in built else self._leaf(x) for x in (left, right))
            value = mul(a, b) if code == MUL else add(a, b if code == ADD else negate(b))
            if self.uses[number] > 1 or value.depth > DEPTH or number == self.output:
                value = value.reduced()
                stored.append((number, value))
                value = Expr(f"mload(@{number})", MODULUS - 1, 1, frozenset([number]), f"@{number}")
            built[number] = value
        if self.output < self.first_op:
            stored.append((self.output, self._leaf(self.output).reduced()))
        return stored

    def functions(self) -> tuple[list[list[str]], str]:
        """Function bodies to run in order, and the address of the output."""
        stored = self.statements()
        last_read = {number: position for position, (_, value) in enumerate(stored) for number in value.reads}
        address: dict[int, str] = {}
        free: list[str] = []
        lines: list[str] = []
        taken = 0
        for position, (number, value) in enumerate(stored):
            text, formula = (
                re.sub(r"@(\d+)", lambda match: address[int(match[1])], held) for held in (value.text, value.formula)
            )
            free += [address[x] for x in sorted(value.reads) if last_read[x] == position]
            if not free:
                free.append(self.layout.word(f"value {taken}"))
                taken += 1
            address[number] = free.pop()
            lines.append(f"// {address[number].lower()} = {formula.replace('VALUE_', 'value_')}")
            lines.append(f"mstore({address[number]}, {text})")
        return chunks(self.preloads + lines, CHUNK), address[self.output]


def chunks(lines: Sequence[str], size: int) -> list[list[str]]:
    """Lines in parts of at most `size` statements each; a comment stays with what follows it."""
    parts: list[list[str]] = [[]]
    for at, line in enumerate(lines):
        if sum(not held.startswith("//") for held in parts[-1]) == size and not lines[at - 1].startswith("//"):
            parts.append([])
        parts[-1].append(line)
    return [part for part in parts if part]
