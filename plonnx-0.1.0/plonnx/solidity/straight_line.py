"""The vk's straight-line program as Yul: unrolled field arithmetic with as little memory traffic as pays.

A value used once stands inside the expression that uses it; a value used more often gets a word of memory, reused after
its last use. `add` without a reduction is enough where the bound of the sum stays below 2^256 (r is below 2^255), since
addmod and mulmod take any 256-bit operands; a difference a - b is a + (c r - b) with c r at least b's bound.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from plonnx.plonk.program import ADD, MODULUS, MUL, Program, Slot
from plonnx.solidity.layout import Layout, of_circuit

WORD = 1 << 256
DEPTH = 8  # stack words that one expression may take
CHUNK = 30  # statements of one function


@dataclass(frozen=True)
class Expr:
    """A Yul expression: its text, the largest value it can have, the stack it takes, the stored values it reads."""

    text: str
    bound: int
    depth: int = 1
    reads: frozenset[int] = frozenset()

    def reduced(self) -> Expr:
        """The same below r."""
        return self if self.bound < MODULUS else Expr(f"mod({self.text}, r)", MODULUS - 1, self.depth + 1, self.reads)


def add(a: Expr, b: Expr) -> Expr:
    """a + b; below 2^256, not always reduced."""
    shallow, deep = sorted((a, b), key=lambda x: x.depth)
    reads = a.reads | b.reads
    if a.bound + b.bound < WORD:
        return Expr(f"add({shallow.text}, {deep.text})", a.bound + b.bound, max(deep.depth, shallow.depth + 1), reads)
    return Expr(f"addmod({shallow.text}, {deep.text}, r)", MODULUS - 1, _depth(shallow, deep), reads)


def mul(a: Expr, b: Expr) -> Expr:
    """a * b, reduced."""
    shallow, deep = sorted((a, b), key=lambda x: x.depth)
    return Expr(f"mulmod({shallow.text}, {deep.text}, r)", MODULUS - 1, _depth(shallow, deep), a.reads | b.reads)


def negate(a: Expr) -> Expr:
    """-a, not reduced."""
    if a.bound <= MODULUS:
        return Expr(f"sub(r, {a.text})", MODULUS, a.depth + 1, a.reads)
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
            if slot.kind == "selector":
                return Expr(layout.read(f"selector {slot.index}"), MODULUS - 1)
            return Expr(f"mload({layout.evaluation(self.evaluation[slot])})", MODULUS - 1)
        number -= len(program.slots)
        if number < len(program.constants):
            value = program.constants[number] % MODULUS
            if value.bit_length() <= 32:
                return Expr(literal(value), value)
            if MODULUS - value < 1 << 32:
                return Expr(f"sub(r, {literal(MODULUS - value)})", value, 2)
            return self._large(value)
        return Expr(layout.read(of_circuit(program.scalars[number - len(program.constants)])), MODULUS - 1)

    def _large(self, value: int) -> Expr:
        """A field-sized constant: 33 bytes of code once, 4 at each further use."""
        name = f"constant {value:x}"
        store = f"mstore({self.layout.word(name)}, {hex(value)})"
        if store not in self.preloads:
            self.preloads.append(store)
        return Expr(self.layout.read(name), value)

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
                value = Expr(f"mload(@{number})", MODULUS - 1, 1, frozenset([number]))
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
            text = re.sub(r"@(\d+)", lambda match: address[int(match[1])], value.text)
            free += [address[x] for x in sorted(value.reads) if last_read[x] == position]
            if not free:
                free.append(self.layout.word(f"value {taken}"))
                taken += 1
            address[number] = free.pop()
            lines.append(f"mstore({address[number]}, {text})")
        lines = self.preloads + lines
        return [lines[i : i + CHUNK] for i in range(0, len(lines), CHUNK)], address[self.output]
