"""Expressions over a proof's scalars, each once, and their sums brought to Horner's form.

A product of powers of what is drawn (challenges, u, v) is a *monomial*: `Chains` makes all of them together, of one
another. `gathered` rewrites sums: terms with powers of one such x become polynomials in x, so that powers are
hardly needed, and a chain ((g_0 x + g_1) x + g_2).. becomes one, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from plonnx.plonk.program import MODULUS

DRAWN = ("drawn", "challenges")  # the spaces of what monomials are of
SUMS = ("add", "subtract")
MOST_SUMMED = 128  # exponents of one input among which sums of three and four are looked for: it takes their cube
POLYNOMIAL = 4  # terms from which on a sum in powers of x is one; below, as many multiply-adds
Powers = tuple[tuple[int, int], ...]  # of a monomial: (number of an input, exponent), by number


class Place(NamedTuple):
    """Word number `index` of a space of memory. Where spaces begin is decided when the key is laid out."""

    space: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls


class Node(NamedTuple):
    """An expression: what it is, of which others, and what else there is to say."""

    kind: Literal["input", "constant", "monomial", "add", "subtract", "multiply", "polynomial"]
    operands: tuple[int, ...] = ()  # of a polynomial: x, then the coefficients, that of x^0 first
    value: int = 0  # of a constant
    place: Place = Place("constants", 0)  # of an input
    powers: Powers = ()  # of a monomial


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
        self.nodes: list[Node] = []
        self._numbers: dict[Node, int] = {}
        self._powers: dict[tuple[int, int], Value] = {}

    def made(self, node: Node) -> Value:
        """The expression of a node."""
        number = self._numbers.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return Value(self, number)

    def value(self, given: Value | int) -> Value:
        """A constant as an expression."""
        return given if isinstance(given, Value) else self.made(Node("constant", value=given % MODULUS))

    def input(self, space: str, index: int = 0) -> Value:
        """A word that is there before the tape runs."""
        return self.made(Node("input", place=Place(space, index)))

    def monomial(self, powers: Powers) -> Value:
        """The product of powers of drawn inputs."""
        if not powers:
            return self.value(1)
        if not is_product(powers):
            return Value(self, powers[0][0])
        return self.made(Node("monomial", powers=powers))

    def powers(self, value: Value) -> Powers:
        """Of a monomial; none of what is not one."""
        node = self.nodes[value.number]
        return ((value.number, 1),) if node.kind == "input" and node.place.space in DRAWN else node.powers

    def polynomial(self, x: Value, coefficients: Sequence[Value]) -> Value:
        """sum_i x^i c_i."""
        if len(coefficients) == 1:
            return coefficients[0]
        return self.made(Node("polynomial", (x.number, *(one.number for one in coefficients))))

    def add(self, a: Value, b: Value) -> Value:
        """a + b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x + y)
        if 0 in (x, y):
            return b if x == 0 else a
        for one, other in ((a, b), (b, a)):
            if (less := self._negated(one)) is not None:
                return self.subtract(other, less)
        return self.made(Node("add", tuple(sorted((a.number, b.number)))))

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x - y)
        if (less := self._negated(b)) is not None:
            return self.add(a, less)
        return a if y == 0 else self.made(Node("subtract", (a.number, b.number)))

    def multiply(self, a: Value, b: Value) -> Value:
        """a * b."""
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.value(x * y)
        if 0 in (x, y):
            return self.value(0)
        if 1 in (x, y):
            return b if x == 1 else a
        for one, other in ((a, b), (b, a)):
            if (less := self._negated(one)) is not None:
                return self.value(0) - less * other
        p, q = self.powers(a), self.powers(b)
        if p and q:
            return self.monomial(merged(p, q))
        return self.made(Node("multiply", tuple(sorted((a.number, b.number)))))

    def power(self, x: Value, exponent: int) -> Value:
        """x^exponent; where it is no monomial from the power below, if that is there, or from two of half the size."""
        if exponent < 2:
            return x if exponent else self.value(1)
        if powers := self.powers(x):
            return self.monomial(tuple((number, each * exponent) for number, each in powers))
        if (x.number, exponent) not in self._powers:
            below = self._powers.get((x.number, exponent - 1))
            high = power_below(exponent)
            factors = (below, x) if below else (self.power(x, high), self.power(x, exponent - high))
            self._powers[x.number, exponent] = factors[0] * factors[1]
        return self._powers[x.number, exponent]

    def uses(self, outputs: Iterable[int]) -> dict[int, int]:
        """How often each expression that matters is read."""
        uses: dict[int, int] = {}
        for number in outputs:
            uses[number] = uses.get(number, 0) + 1
        for number in range(len(self.nodes) - 1, -1, -1):
            for operand in self.nodes[number].operands if number in uses else ():
                uses[operand] = uses.get(operand, 0) + 1
        return uses

    def inside(self, uses: dict[int, int]) -> set[int]:
        """Sums and products that one sum reads, and nothing else: they are terms of that sum."""
        sums = [number for number in uses if self.nodes[number].kind in SUMS]
        return {
            operand
            for number in sums
            for operand in self.nodes[number].operands
            if uses[operand] == 1 and self.nodes[operand].kind in (*SUMS, "multiply")
        }

    def terms(self, number: int, inside: set[int]) -> tuple[list[int], list[int]]:
        """What a sum adds, and what it subtracts."""
        found: tuple[list[int], list[int]] = ([], [])
        waiting = [(number, True)]
        while waiting:
            term, added = waiting.pop()
            node = self.nodes[term]
            if node.kind in SUMS and (term == number or term in inside):
                left, right = node.operands
                waiting += [(right, added == (node.kind == "add")), (left, added)]
            else:
                found[not added].append(term)
        return found

    def _negated(self, value: Value) -> Value | None:
        """x of 0 - x."""
        node = self.nodes[value.number]
        if node.kind != "subtract" or self._constant(Value(self, node.operands[0])) != 0:
            return None
        return Value(self, node.operands[1])

    def _constant(self, value: Value) -> int | None:
        node = self.nodes[value.number]
        return node.value if node.kind == "constant" else None


def power_below(number: int) -> int:
    """The largest power of two below a number from 2 on."""
    return 1 << (number - 1).bit_length() - 1


def is_product(powers: Powers) -> bool:
    """Whether a monomial is more than one input."""
    return sum(exponent for _, exponent in powers) > 1


def merged(a: Powers, b: Powers) -> Powers:
    """The powers of a product."""
    total = dict(a)
    for number, exponent in b:
        total[number] = total.get(number, 0) + exponent
    return tuple(sorted(total.items()))


def without(a: Powers, number: int) -> Powers:
    """What is left of a monomial when one input's power is taken out."""
    return tuple(one for one in a if one[0] != number)


class Chains:
    """Every monomial as the product of two others: of two that are needed anyway, where there are such."""

    def __init__(self, needed: Iterable[Powers]) -> None:
        self.known: dict[Powers, tuple[Powers, Powers]] = {}
        self._exponents: dict[int, set[int]] = {}  # by input: of its powers that are known
        needed = set(needed)
        needed |= {(power,) for powers in needed for power in powers}
        for powers in sorted(needed, key=lambda powers: (len(powers), sum(e for _, e in powers), powers)):
            if is_product(powers):
                self.factors(powers)

    def factors(self, powers: Powers) -> tuple[Powers, Powers]:
        """The two."""
        if powers not in self.known:
            self.known[powers] = self._split(powers)
            for factor in filter(is_product, self.known[powers]):
                self.factors(factor)
        return self.known[powers]

    def _split(self, powers: Powers) -> tuple[Powers, Powers]:
        if len(powers) > 1:
            return powers[:1], powers[1:]
        ((number, exponent),) = powers
        there = self._exponents.setdefault(number, {1})
        high = _summand(exponent, there)
        there.add(exponent)
        return ((number, high),), ((number, exponent - high),)


def _summand(total: int, there: set[int]) -> int:
    """A part of a sum of up to four numbers that are there, of two where these are many; or else a power of two."""
    pairs = {a + b for a in there for b in there} if len(there) <= MOST_SUMMED else set()
    for parts, rests in ((there, there), (there, pairs), (pairs, pairs)):
        if found := [part for part in parts if total - part in rests]:
            return max(found)
    return power_below(total)


class Term(NamedTuple):
    """A monomial times an expression."""

    powers: Powers
    value: int


def gathered(given: Arithmetic, outputs: Sequence[Value]) -> tuple[Arithmetic, list[Value]]:
    """The same expressions, with sums in Horner's form."""
    gatherer = _Gatherer(given, [value.number for value in outputs])
    return gatherer.made, [gatherer.new[value.number] for value in outputs]


class _Gatherer:
    """Rebuilds expressions in the order of their numbers. Numbers are those of the given ones, Values new ones."""

    def __init__(self, given: Arithmetic, outputs: Sequence[int]) -> None:
        self.given, self.made = given, Arithmetic()
        self.uses = given.uses(outputs)
        self.inside = given.inside(self.uses)
        self.new: dict[int, Value] = {}
        self.chains: dict[int, tuple[int, list[Value]]] = {}  # of a sum that goes on: x, coefficients, the first last
        for number in sorted(self.uses):
            node = given.nodes[number]
            if node.kind == "monomial":
                self.new[number] = self._monomial(node.powers)
            elif node.kind in SUMS:
                if number not in self.inside:
                    self.new[number] = self._sum(number)
            elif node.kind == "multiply":
                if number not in self.inside:
                    a, b = node.operands
                    self.new[number] = self.new[a] * self.new[b]
            elif node.kind == "polynomial":
                x, *coefficients = (self.new[operand] for operand in node.operands)
                self.new[number] = self.made.polynomial(x, coefficients)
            else:
                self.new[number] = self.made.made(node)

    def _monomial(self, powers: Powers) -> Value:
        return self.made.monomial(
            tuple(sorted((self.made.made(self.given.nodes[number]).number, exponent) for number, exponent in powers))
        )

    def _sum(self, number: int) -> Value:
        added, subtracted = ([self._term(one) for one in terms] for terms in self.given.terms(number, self.inside))
        for at, term in enumerate(added):
            others = [*added[:at], *added[at + 1 :]]
            if chain := self._continued(term, [*others, *subtracted]):
                x, coefficients = chain
                rest = self._collected(others) - self._collected(subtracted)
                self.chains[number] = x, [rest, *coefficients]
                if len(coefficients) < POLYNOMIAL - 1:
                    return self.new[term.value] * self._power(x, 1) + rest
                return self._polynomial(x, self.chains[number][1])
        return self._collected(added) - self._collected(subtracted)

    def _continued(self, term: Term, others: Iterable[Term]) -> tuple[int, list[Value]] | None:
        """x and the coefficients of x^1, x^2, .. where a term is x times a sum that nothing else reads."""
        if len(term.powers) != 1 or term.powers[0][1] != 1 or self.uses[term.value] > 1:
            return None
        x = term.powers[0][0]
        if self.given.nodes[term.value].kind not in (*SUMS, "polynomial") or any(
            x in dict(other.powers) for other in others
        ):
            return None
        before, coefficients = self.chains.get(term.value, (x, []))
        return x, coefficients if before == x and coefficients else [self.new[term.value]]

    def _polynomial(self, x: int, coefficients: list[Value]) -> Value:
        """A chain; of polynomials, where what it began with is none: that is kept out, so that those form a row."""
        kinds = [self.made.nodes[value.number].kind == "polynomial" for value in coefficients]
        if len(kinds) > POLYNOMIAL and all(kinds[:-1]) and not kinds[-1]:
            *values, first = coefficients
            return self.made.polynomial(self._power(x, 1), values) + self._power(x, len(values)) * first
        return self.made.polynomial(self._power(x, 1), coefficients)

    def _term(self, number: int) -> Term:
        """A product of a sum is a monomial times the rest."""
        powers: Powers = ()
        while (
            self.given.nodes[number].kind == "multiply" and (number in self.inside or powers) and self.uses[number] == 1
        ):
            a, b = self.given.nodes[number].operands
            if more := self.given.powers(Value(self.given, a)):
                number = b
            elif more := self.given.powers(Value(self.given, b)):
                number = a
            else:
                break
            powers = merged(powers, more)
        return Term(powers, number)

    def _value(self, number: int) -> Value:
        """A term's other factor, which may be a product inside a sum."""
        if number not in self.new:
            a, b = self.given.nodes[number].operands
            self.new[number] = self._value(a) * self._value(b)
        return self.new[number]

    def _collected(self, terms: Sequence[Term]) -> Value:
        """Their sum: a polynomial in the x that most of them have, whose coefficients are sums likewise."""
        counts: dict[int, int] = {}
        for term in terms:
            for number, _ in term.powers:
                counts[number] = counts.get(number, 0) + 1
        if len(terms) < 2 or max(counts.values(), default=0) < 2:
            total = self.made.value(0)
            for term in terms:
                total += self._monomial(term.powers) * self._value(term.value)
            return total
        x = max(counts, key=lambda number: (counts[number], -number))
        by_exponent: dict[int, list[Term]] = {}
        for term in terms:
            by_exponent.setdefault(dict(term.powers).get(x, 0), []).append(Term(without(term.powers, x), term.value))
        return self._horner(x, [(e, self._collected(by_exponent[e])) for e in sorted(by_exponent)])

    def _horner(self, x: int, coefficients: list[tuple[int, Value]]) -> Value:
        """sum x^e c_e, from the highest exponent down; where exponents are evenly spaced for long, a polynomial."""
        total, above = self.made.value(0), coefficients[-1][0]
        while coefficients:
            even = _even([exponent for exponent, _ in coefficients])
            taken, coefficients = coefficients[-even:], coefficients[:-even]
            values = [value for _, value in taken]
            low = taken[0][0]
            if even > 1:
                step = taken[1][0] - low
                value = self.made.polynomial(self._monomial(((x, step),)), values)
            else:
                (value,) = values
            total = total * self._power(x, above - low) + value
            above = low
        return total * self._power(x, above)

    def _power(self, x: int, exponent: int) -> Value:
        return self._monomial(((x, exponent),)) if exponent else self.made.value(1)


def _even(exponents: Sequence[int]) -> int:
    """How many at the end are evenly spaced; 1 where there are not enough for a polynomial."""
    count = min(2, len(exponents))
    while count < len(exponents) and exponents[-count] - exponents[-count - 1] == exponents[-1] - exponents[-2]:
        count += 1
    return count if count >= POLYNOMIAL else 1
