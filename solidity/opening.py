"""The opening as Yul: what each commitment is multiplied by in the one MSM (docs/protocol.md section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from plonnx.plonk.keys import Combination, Monomial, Opened, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.solidity.arithmetic import power_below
from plonnx.solidity.layout import Layout, fixed_places, of_circuit
from plonnx.solidity.straight_line import CHUNK, chunks

DIVISOR_INVERSE = "1/divisor"  # the word with 1/Z_D(u)
NESTED = 4  # terms of Horner in one expression: each takes a word of stack


def omega(vk: VerifyingKey, exponent: int) -> int:
    """omega^exponent."""
    return pow(pow(7, (MODULUS - 1) // vk.n, MODULUS), exponent % vk.n, MODULUS)


class Monomials:
    """Products of challenge powers, each computed once by the shortest chain at hand and kept in a word."""

    def __init__(self, layout: Layout, lines: list[str], known: set[Monomial] | None = None) -> None:
        self.layout, self.lines = layout, lines
        self.known: set[Monomial] = set() if known is None else known

    def read(self, monomial: Iterable[tuple[str, int]]) -> str:
        """An expression for the monomial."""
        factors = tuple(sorted((name, exponent) for name, exponent in monomial if exponent))
        if not factors:
            return "1"
        if factors == ((factors[0][0], 1),):
            return self.layout.read(factors[0][0])
        # A word of its own: a circuit may call its instance columns and challenges "chi^2".
        names = f"product {factors!r}", " * ".join(f"{c}^{e}" for c, e in factors)
        if factors not in self.known:
            self.known.add(factors)
            left, right = self._split(factors)
            product = f"mulmod({self.read(left)}, {self.read(right)}, r)"
            self.lines.append(f"mstore({self.layout.word(*names)}, {product})")
        return f"mload({self.layout.word(*names)})"

    def _split(self, factors: Monomial) -> tuple[Monomial, Monomial]:
        """Two shorter monomials with this product: many challenges into one and the rest, powers by what is known."""
        if len(factors) > 1:
            return factors[:1], factors[1:]
        ((challenge, exponent),) = factors
        if ((challenge, exponent - 1),) in self.known:
            return ((challenge, exponent - 1),), ((challenge, 1),)
        high = power_below(exponent)
        return ((challenge, high),), ((challenge, exponent - high),)


def horner(evaluations: Sequence[str], x: str, high: str = "") -> str:
    """sum_i x^i e_i, with `high` for what lies above them: one mulmod and one add each, below 2r."""
    text = high
    for at in reversed(evaluations):
        text = f"add(mload({at}), mulmod({x}, {text}, r))" if text else f"mload({at})"
    return text


Atom = tuple[int, int]  # (t, rotation): X^t - omega^rotation zeta


class Opening:
    """Section 7: the scalars of the MSM. Polynomials with the same atoms are taken together.

    With c_S = Z_P(u) / Z_S(u) for a set S of atoms, P the pivot's, and the Lagrange basis b_a of S at u^t,

        the scalar of C_j is   v^e(j) c_S
        that of [1] is         - sum_S sum_a (c_S b_a) sum_{j in S} v^e(j) sum_i u^i f_{j,i}(a)

    whose inner sums are Horner's: an evaluation costs one mulmod and one add.
    """

    def __init__(self, vk: VerifyingKey, layout: Layout) -> None:
        self.vk, self.layout = vk, layout
        self.places = fixed_places(vk)
        self.sets: dict[tuple[Atom, ...], list[int]] = {}
        self.first: list[int] = []  # number of the first evaluation of each polynomial
        evaluation = 0
        for j, o in enumerate(vk.opened):
            self.sets.setdefault(tuple((o.packing, rotation) for rotation in o.rotations), []).append(j)
            self.first.append(evaluation)
            evaluation += o.evaluations
        self.union = sorted({atom for atoms in self.sets for atom in atoms})
        pivot = vk.opened[vk.pivot]
        self.most = tuple(atom for atom in self.union if atom[0] == pivot.packing and atom[1] in pivot.rotations)
        self.lacking = tuple(atom for atom in self.union if atom not in self.most)  # D: atoms that the pivot lacks
        self.products: set[tuple[Atom, ...]] = set()
        self.written: set[str] = set()
        # e(j); the pivot comes first in its set.
        order = list(range(len(vk.opened)))
        order.insert(0, order.pop(vk.pivot))
        self.exponent = {j: e for e, j in enumerate(order)}
        self.sets = {atoms: sorted(numbers, key=self.exponent.__getitem__) for atoms, numbers in self.sets.items()}

    def share(self, atoms: Sequence[Atom]) -> tuple[tuple[Atom, ...], bool]:
        """c_S as the product of some atoms, and whether that is divided by Z_D(u)."""
        divided = any(atom in self.lacking for atom in atoms)
        return tuple(atom for atom in (self.union if divided else self.most) if atom not in atoms), divided

    def atoms(self) -> list[str]:
        """The atoms at u, and Z_D(u)."""
        layout = self.layout
        lines: list[str] = []
        powers = Monomials(layout, lines)
        shifted = {0: layout.read("zeta")}
        for t, rotation in self.union:
            if rotation not in shifted:
                lines.append(f"let zeta{len(shifted)} := mulmod({shifted[0]}, {hex(omega(self.vk, rotation))}, r)")
                shifted[rotation] = f"zeta{len(shifted)}"
            power = powers.read([("u", t)])
            at = layout.word(_product_name([(t, rotation)]))
            lines.append(f"// u^{t} - omega^{rotation} zeta")
            lines.append(f"mstore({at}, add({power}, sub(r, {shifted[rotation]})))")
        self.products |= {(atom,) for atom in self.union}
        self._product(self.lacking, lines)
        return lines

    def read(self, atoms: Sequence[Atom]) -> str:
        """An expression for a product of atoms that is there."""
        return self.layout.read(_product_name(atoms))

    def points(self) -> list[str]:
        """c_S of every set, its Lagrange basis; the scalars of W and W'."""
        layout = self.layout
        lines: list[str] = []
        for atoms in self.sets:
            made: list[str] = []
            self._write_share(atoms, made)
            if len(atoms) > 1:
                made += self._weights(atoms)
            lines += [f"// c_S and its Lagrange basis, S = {_written(atoms)}.", *made] if made else []
        self._product(self.most, lines)
        last = layout.sent
        lines.append(f"mstore({layout.scalar(last)}, sub(r, mod({self.read(self.most)}, r)))")
        lines.append(f"mstore({layout.scalar(last + 1)}, {layout.read('u')})")
        return lines

    def _product(self, atoms: tuple[Atom, ...], lines: list[str]) -> str:
        """An expression for the product of atoms at u, kept in a word; empty for no atoms."""
        if not atoms:
            return ""
        if atoms not in self.products:
            known = [at for at in range(len(atoms)) if atoms[:at] + atoms[at + 1 :] in self.products]
            at = known[0] if known else len(atoms) - 1
            rest = self._product(atoms[:at] + atoms[at + 1 :], lines)
            value = f"mulmod({self._product((atoms[at],), lines)}, {rest}, r)"
            lines.append(f"mstore({self.layout.word(_product_name(atoms))}, {value})")
            self.products.add(atoms)
        return self.read(atoms)

    def _write_share(self, atoms: Sequence[Atom], lines: list[str]) -> str:
        """An expression for c_S, kept in a word; empty for 1."""
        factors, divided = self.share(atoms)
        product = self._product(factors, lines)
        if not divided:
            return product
        inverse = self.layout.read(DIVISOR_INVERSE)
        if not product:
            return inverse
        name = _share_name(atoms)
        if name not in self.written:
            lines.append(f"mstore({self.layout.word(name)}, mulmod({product}, {inverse}, r))")
            self.written.add(name)
        return self.layout.read(name)

    def _weights(self, atoms: tuple[Atom, ...]) -> list[str]:
        """c_S times the Lagrange basis of S at u^t: a constant times zeta^-(|S|-1) times c of the atom alone."""
        lines: list[str] = []
        for atom in atoms:
            x = omega(self.vk, atom[1])
            constant = pow(prod(x - omega(self.vk, s) for _, s in atoms if s != atom[1]), -1, MODULUS)
            weight = f"mulmod({hex(constant)}, {self.layout.read('1/zeta')}, r)"
            for _ in atoms[2:]:
                weight = f"mulmod({self.layout.read('1/zeta')}, {weight}, r)"
            if share := self._write_share([atom], lines):
                weight = f"mulmod({share}, {weight}, r)"
            lines.append(f"mstore({self.layout.word(_weight_name(atoms, atom))}, {weight})")
        return lines

    def objects(self, known: set[Monomial]) -> list[list[str]]:
        """Function bodies over (scalar, sum, constant): each polynomial's scalar and all shares of [1]'s."""
        lines: list[str] = []
        monomials = Monomials(self.layout, lines, known)
        for atoms, numbers in self.sets.items():
            lines.append(f"// v^e(j) c_S, S = {_written(atoms)}.")
            self._scalars(atoms, numbers, monomials)
        for atoms, numbers in self.sets.items():
            for at, atom in enumerate(atoms):
                lines.append(
                    f"// c_S b_a sum_j v^e(j) sum_i u^i f_ji(a), S = {_written(atoms)}, a = {_written([atom])}."
                )
                self._sum(at, numbers, monomials)
                several = len(atoms) > 1
                weight = self.layout.read(_weight_name(atoms, atom)) if several else self._write_share(atoms, lines)
                share = f"mulmod(sum, {weight}, r)" if weight else "sum"
                lines.append(f"constant := addmod(constant, {share}, r)")
        lines.append(f"mstore({self.layout.scalar(self.layout.points - 1)}, sub(r, constant))")
        return chunks(lines, 2 * CHUNK)

    def _power(self, exponent: int, monomials: Monomials) -> str:
        return "v" if exponent == 1 else monomials.read([("v", exponent)])

    def _scalars(self, atoms: tuple[Atom, ...], numbers: list[int], monomials: Monomials) -> None:
        """v^e(j) c_S for the polynomials of a set, each from the one before."""
        lines = monomials.lines
        value = self._write_share(atoms, lines) or "1"
        before, reduced = 0, value == "1"
        for j in numbers:
            if j == self.vk.pivot and self.layout.pivot is not None:
                continue
            if self.exponent[j] > before:
                power = self._power(self.exponent[j] - before, monomials)
                value = power if value == "1" else f"mulmod({value}, {power}, r)"
                reduced = True
            lines.append(f"scalar := {value if reduced else f'mod({value}, r)'}")
            value, before, reduced = "scalar", self.exponent[j], True
            self._place(self.vk.opened[j], j, monomials)

    def _place(self, o: Opened, number: int, monomials: Monomials) -> None:
        """Write a polynomial's scalar to its commitment, or to those of the columns that it combines."""
        layout, lines = self.layout, monomials.lines
        if o.kind == "combination":
            index = o.members[0]
            self._combination(self.vk.combinations[index], monomials)
            if index in self.vk.masked:
                at = layout.scalar(layout.masks + self.vk.masked.index(index))
                lines.append(f"mstore({at}, mulmod(scalar, {layout.read('zeta^n - 1')}, r))")
        elif o.kind == "fixed":
            self._add(o.members[0], "scalar", lines)
        elif o.kind == "quotient":
            self._pieces(monomials)
        else:
            before = layout.pivot is not None and layout.pivot < number
            lines.append(f"mstore({layout.scalar(number - before)}, scalar)")

    def _pieces(self, monomials: Monomials) -> None:
        """The scalars of the quotient's pieces: times powers of zeta^(t n - 2)."""
        layout, lines = self.layout, monomials.lines
        lines.append(f"mstore({layout.scalar(layout.pieces)}, scalar)")
        if self.vk.pieces > 1:
            power, inverse = monomials.read([("zeta^n", self.vk.packing)]), layout.read("1/zeta")
            lines.append(f"sum := mulmod({power}, mulmod({inverse}, {inverse}, r), r)")
        for i in range(1, self.vk.pieces):
            lines.append("scalar := mulmod(scalar, sum, r)")
            lines.append(f"mstore({layout.scalar(layout.pieces + i)}, scalar)")

    def _add(self, column: int, value: str, lines: list[str]) -> None:
        at = self.layout.scalar(self.layout.fixed_point(self.places[column]))
        lines.append(f"mstore({at}, {f'addmod(mload({at}), {value}, r)' if at in self.written else value})")
        self.written.add(at)

    def _combination(self, combination: Combination, monomials: Monomials) -> None:
        """The columns' factors, by degree, each from the one before where that is a multiplication by one monomial."""
        before: dict[str, int] = {}
        running = "scalar"
        for column, monomial in sorted(combination.terms, key=lambda term: sum(e for _, e in term[1])):
            powers = {name: exponent for name, exponent in monomial if exponent}
            if any(powers.get(name, 0) < exponent for name, exponent in before.items()):
                before, running = {}, "scalar"
            step = monomials.read((of_circuit(name), e - before.get(name, 0)) for name, e in powers.items())
            if step != "1":
                monomials.lines.append(f"sum := mulmod({running}, {step}, r)")
                before, running = powers, "sum"
            self._add(column, running, monomials.lines)

    def _sum(self, at: int, numbers: list[int], monomials: Monomials) -> None:
        """sum = sum_j v^e(j) sum_i u^i (value of member i at the set's atom number `at`)."""
        lines = monomials.lines
        after = 0
        for j in reversed(numbers):
            o = self.vk.opened[j]
            first, width = self.first[j] + at, len(o.rotations)
            values = [self.layout.evaluation(first + width * i) for i in range(len(o.members))]
            if o.kind == "quotient":
                values = [self.layout.word("quotient")]
            *blocks, lowest = [values[i : i + NESTED] for i in range(0, len(values), NESTED)][::-1]
            high = ""
            for block in blocks:
                lines.append(f"scalar := {horner(block, 'u', high)}")
                high = "scalar"
            text = horner(lowest, "u", high)
            power = "" if j == numbers[-1] else self._power(after - self.exponent[j], monomials)
            if j == numbers[-1]:
                lines.append(f"sum := {text}")
            elif len(values) == 1:
                lines.append(f"sum := add({text}, mulmod(sum, {power}, r))")
            else:
                lines.append(f"sum := addmod({text}, mulmod(sum, {power}, r), r)")
            after = self.exponent[j]
        if after:
            lines.append(f"sum := mulmod(sum, {self._power(after, monomials)}, r)")


def _product_name(atoms: Iterable[Atom]) -> str:
    held = [f"{t} {rotation}" for t, rotation in atoms]
    return f"atom{'s' * (len(held) > 1)} {', '.join(held)}"


def _written(atoms: Iterable[Atom]) -> str:
    """A set of atoms for a comment: the packing and the rotation of each."""
    return "{" + ", ".join(f"u^{t} - omega^{rotation} zeta" for t, rotation in atoms) + "}"


def _share_name(atoms: Iterable[Atom]) -> str:
    return f"share of {_product_name(atoms)}"


def _weight_name(atoms: tuple[Atom, ...], atom: Atom) -> str:
    return f"weight of {_product_name([atom])} in {_product_name(atoms)}"
