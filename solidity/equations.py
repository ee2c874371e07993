"""All field arithmetic of a verification as expressions over a proof's scalars: docs/protocol.md sections 5 to 7.

What sections.py, public_words.py and opening.py write as Yul for one key, this writes as expressions, which a key's
contract holds (shared.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

from plonnx.plonk.keys import Combination, Monomial, VerifyingKey
from plonnx.plonk.program import ADD, INVERSE_PSI, MODULUS, MUL, PSI
from plonnx.plonk.public_values import CHI
from plonnx.solidity.arithmetic import Arithmetic, Value
from plonnx.solidity.layout import Layout
from plonnx.solidity.opening import Atom, Opening, omega


@dataclass(frozen=True)
class Equations:
    """What must be zero, and the scalars of the MSM in the order of its points (layout.py)."""

    arithmetic: Arithmetic
    inverse: Value  # zero where the proof's inverse fits
    scalars: tuple[Value, ...]


def equations(vk: VerifyingKey) -> Equations:
    """The equations of a key."""
    writer = _Writer(vk)
    return Equations(writer.field, writer.fit, writer.scalars())


class _Writer:
    """Inputs are the words that the contract has before the tape runs: what is drawn, read, summed."""

    def __init__(self, vk: VerifyingKey) -> None:
        self.vk, self.layout = vk, Layout(vk)
        self.opening = Opening(vk, self.layout)
        self.field = Arithmetic()
        self.inverse, self.u, self.v, self.zeta_n = (self.field.input("drawn", i) for i in range(4))
        names = challenges(vk)
        self.named = {name: self.field.input("challenges", i) for i, name in enumerate(names)}
        self.zeta = self.field.input("challenges", len(names))
        self.evaluations = [self.field.input("evaluations", i) for i in range(vk.evaluation_count)]
        self.vanishing = self.zeta_n - 1
        # omega^u .. omega^(n - 1), the last first: each constant follows from the one before.
        self.roots = [omega(vk, -i) for i in range(1, vk.n - vk.last_row + 1)]
        self.active = reduce(Value.__mul__, [self.zeta - root for root in self.roots])
        self.from_first, self.from_last = self.zeta - 1, self.zeta - self.roots[-1]
        both, whole = self.from_first * self.from_last, self.zeta * self.vanishing
        base, divisor = both * whole, self._product(self.opening.lacking)
        rest, psi = base * self.inverse, self.named[PSI] if vk.inverts_psi else self.field.value(1)
        self.over_divisor = rest * psi
        if vk.inverts_psi:
            self.named[INVERSE_PSI] = rest * divisor
        self.inverse *= psi * divisor
        self.fit = base * self.inverse - 1
        self.over_zeta = self.inverse * both * self.vanishing
        self.over_vanishing = self.inverse * both * self.zeta
        self.lagrange = self.inverse * whole * (self.vanishing * pow(vk.n, -1, MODULUS))

    # Sections 5 and 6

    def _gates(self) -> Value:
        """The program at zeta: gates in powers of y."""
        opened = (slot for o in self.vk.opened for slot in o.slots)
        at_zeta: dict[tuple[str, int, int], Value] = dict(zip(opened, self.evaluations, strict=True))
        first = self.lagrange * self.from_last
        last = self.lagrange * (self.from_first * self.roots[-1])
        selectors = (self.zeta, first, last, self.active)
        program = self.vk.program
        scalars = self.named | self._instance_sums()
        values = [selectors[slot.index] if slot.kind == "selector" else at_zeta[slot] for slot in program.slots]
        values += map(self.field.value, program.constants)
        values += [scalars[name] for name in program.scalars]
        for code, left, right in program.ops.tolist():
            a, b = values[left], values[right]
            values.append(a + b if code == ADD else a * b if code == MUL else a - b)
        (output,) = program.outputs
        return values[output]

    def _instance_sums(self) -> dict[str, Value]:
        """The contract reduces each run to a word, as if it began at chi^0; these are counted over all columns."""
        sums: dict[str, Value] = {}
        number = 0
        for column in self.vk.instances:
            total = self.field.value(0)
            for run in column.runs:
                psi = ((PSI, run.power),) if PSI in self.named else ()
                total += self._monomial(((CHI, run.exponent), *psi)) * self.field.input("words", number)
                number += 1
            sums[column.name] = total
        return sums

    def _monomial(self, monomial: Monomial) -> Value:
        return reduce(Value.__mul__, [self.named[name] ** e for name, e in monomial], self.field.value(1))

    # Section 7

    def scalars(self) -> tuple[Value, ...]:
        """Those of the MSM's points."""
        factors, constant = self._factors(), self._constant()
        sent, masks = [], [self.field.value(0)] * len(self.vk.masked)
        step = self.zeta_n**self.vk.packing * (self.over_zeta * self.over_zeta)
        fixed = dict.fromkeys(self.layout.fixed, self.field.value(0))
        for j, o in enumerate(self.vk.opened):
            if o.kind == "advice":
                sent += [factors[j]] if j != self.layout.pivot else []
            elif o.kind == "quotient":
                sent += [factors[j] * step**i for i in o.members]
            elif o.kind == "fixed":
                fixed[self.opening.places[o.members[0]]] += factors[j]
            else:
                for column, factor in self._combined(self.vk.combinations[o.members[0]], factors[j]):
                    fixed[self.opening.places[column]] += factor
                if o.members[0] in self.vk.masked:
                    masks[self.vk.masked.index(o.members[0])] = factors[j] * self.vanishing
        w = self.field.value(0) - self._product(self.opening.most)
        return (*sent, *masks, w, self.u, *fixed.values(), self.field.value(0) - constant)

    def _factors(self) -> list[Value]:
        """v^e(j) c_S for each polynomial, each from the one before in its set."""
        factors = [self.field.value(0)] * len(self.vk.opened)
        for atoms, numbers in self.opening.sets.items():
            value, before = self._share(atoms), 0
            for j in numbers:
                value *= self.v ** (self.opening.exponent[j] - before)
                factors[j], before = value, self.opening.exponent[j]
        return factors

    def _constant(self) -> Value:
        """sum over sets S and their atoms a of c_S b_a sum_{j in S} v^e(j) sum_i u^i f_{j,i}(a)."""
        total = self.field.value(0)
        quotient = self._gates() * self.over_vanishing
        for atoms, numbers in self.opening.sets.items():
            for at, atom in enumerate(atoms):
                inner, after = self.field.value(0), 0
                for j in reversed(numbers):
                    o, exponent = self.vk.opened[j], self.opening.exponent[j]
                    members = quotient
                    if o.evaluations:
                        first, stop = self.opening.first[j] + at, self.opening.first[j] + o.evaluations
                        members = self.field.polynomial(self.u, self.evaluations[first : stop : len(o.rotations)])
                    inner = inner * self.v ** max(after - exponent, 0) + members
                    after = exponent
                total += inner * self.v**after * self._weight(atoms, atom)
        return total

    def _weight(self, atoms: tuple[Atom, ...], atom: Atom) -> Value:
        """c_S times the Lagrange basis of S at u^t: a constant times zeta^-(|S|-1) times c of the atom alone."""
        x = omega(self.vk, atom[1])
        constant = pow(prod(x - omega(self.vk, s) for _, s in atoms if s != atom[1]), -1, MODULUS)
        return self.over_zeta ** (len(atoms) - 1) * constant * self._share([atom])

    def _share(self, atoms: Sequence[Atom]) -> Value:
        factors, divided = self.opening.share(atoms)
        return self._product(factors) * self.over_divisor if divided else self._product(factors)

    def _product(self, atoms: Sequence[Atom]) -> Value:
        """The atoms X^t - omega^rotation zeta at u, multiplied."""
        values = [self.u**t - self.zeta * omega(self.vk, rotation) for t, rotation in atoms]
        return reduce(Value.__mul__, values, self.field.value(1))

    def _combined(self, combination: Combination, factor: Value) -> list[tuple[int, Value]]:
        """Columns and their factors, by degree, each from the one before where that takes one multiplication."""
        found = []
        before: dict[str, int] = {}
        running = factor
        for column, monomial in sorted(combination.terms, key=lambda term: sum(e for _, e in term[1])):
            powers = {name: exponent for name, exponent in monomial if exponent}
            if any(powers.get(name, 0) < exponent for name, exponent in before.items()):
                before, running = {}, factor
            running *= self._monomial(tuple((name, e - before.get(name, 0)) for name, e in powers.items()))
            before = powers
            found.append((column, running))
        return found


def challenges(vk: VerifyingKey) -> list[str]:
    """The names of the challenges before zeta, in the order in which they are drawn."""
    return [name for phase in vk.phases for name in phase.challenges]
