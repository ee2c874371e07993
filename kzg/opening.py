"""SHPLONK: many polynomials at many points with two G1 points (BDFG20, eprint 2020/081; docs/protocol.md section 7).

A packed polynomial F = sum_i X^i f_i(X^t) (fflonk, GW21) is opened at the t-th roots of the points a where its
members are wanted, that is modulo the atoms X^t - a; an unpacked one is the case t = 1.

    W  = [ sum_j v^e(j) (F_j - r_j) / Z_j ],  Z_j the product of F_j's atoms
    W' = [ L / (X - u) ],   L = sum_j v^e(j) c_j (F_j - r_j(u)) - Z_P(u) * (the polynomial of W)

The *pivot*, the first polynomial with the most atoms, has the factor 1: Z_P is its Z_j and c_j = Z_P(u) / Z_j(u), a
product of atoms divided by the *divisor* Z_D(u), over the atoms that the pivot lacks. The exponents e(j) are 0, 1, ..
in order, but that the pivot comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plonnx import _native
from plonnx.kzg.curve import MODULUS

Atom = tuple[int, int]  # (t, a): the polynomial X^t - a


@dataclass(frozen=True)
class Claim:
    """The members of a polynomial take these values at these points: values[member][point]."""

    points: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]
    packing: int = 1

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """The factors of the vanishing polynomial."""
        return tuple((self.packing, point) for point in self.points)


def pack(members: Sequence[_native.Vec], packing: int) -> _native.Vec:
    """The coefficients of sum_i X^i f_i(X^packing) from those of the f_i (equal lengths)."""
    if packing == 1:
        return members[0]
    length = len(members[0])
    joined = _native.Vec.zeros(packing * length)
    for i, member in enumerate(members):
        joined.write_(i * length, member)
    return joined.take(np.arange(packing * length).reshape(packing, length).T.reshape(-1))


def divide(polynomial: _native.Vec, atom: Atom) -> _native.Vec:
    """The quotient by X^t - a; the remainder is dropped."""
    t, point = atom
    if t == 1:
        return polynomial.divide_by_root(point)
    length = -(-len(polynomial) // t)
    apart = polynomial.padded(t * length).take(np.arange(t * length).reshape(length, t).T.reshape(-1))
    return pack([apart.slice(i * length, (i + 1) * length).divide_by_root(point) for i in range(t)], t)


def groups(claims: Sequence[Claim]) -> dict[tuple[Atom, ...], list[int]]:
    """The numbers of the polynomials by their atoms: a set of atoms divides one sum of them."""
    numbers: dict[tuple[Atom, ...], list[int]] = {}
    for j, claim in enumerate(claims):
        numbers.setdefault(claim.atoms, []).append(j)
    return numbers


def witness_polynomial(batched: Mapping[tuple[Atom, ...], _native.Vec]) -> _native.Vec:
    """The polynomial of W, from sum_j v^e(j) F_j over each of the `groups`: less its interpolation, and divided."""
    quotients = []
    for atoms, polynomial in batched.items():
        # dividing atom by atom drops exactly the interpolation r
        quotients.append(functools.reduce(divide, atoms, polynomial))
    return _native.linear_combination(quotients, [1] * len(quotients))


def final_polynomial(
    batched: Mapping[tuple[Atom, ...], _native.Vec], claims: Sequence[Claim], witness: _native.Vec, u: int
) -> _native.Vec:
    """The polynomial of W': L / (X - u). L(u) = 0, so constants need not be subtracted before the division."""
    shares, vanishing = _shares(claims, u)
    factors = [shares[atoms] % MODULUS for atoms in batched]
    combined = _native.linear_combination([*batched.values(), witness], [*factors, -vanishing % MODULUS])
    return combined.divide_by_root(u)


def verification_terms(claims: Sequence[Claim], v: int, u: int) -> tuple[list[int], int, int]:
    """The scalars of F: one for each commitment C_j, one for [1]_1, one for W (W' has the scalar u)."""
    factors, vanishing = _factors(claims, v, u)
    constant = sum(f * interpolate(c, u) for f, c in zip(factors, claims, strict=True)) % MODULUS
    return factors, -constant % MODULUS, -vanishing % MODULUS


def check(tau_g2: bytes, folded: bytes, final: bytes) -> bool:
    """e(F, [1]_2) = e(W', [tau]_2), where [1]_2 is the generator: with another one, anything could be opened."""
    negated = _native.g1_mul(final, MODULUS - 1)
    return _native.pairing_check([(folded, _native.g2_generator()), (negated, tau_g2)])


def interpolate(claim: Claim, x: int) -> int:
    """r(x) = sum_i x^i l_i(x^t), where l_i takes member i's values at the claim's points."""
    at = pow(x, claim.packing, MODULUS)
    weights = []
    for i, point in enumerate(claim.points):
        weight, scale = 1, 1
        for j, other in enumerate(claim.points):
            if j != i:
                weight = weight * (at - other) % MODULUS
                scale = scale * (point - other) % MODULUS
        weights.append(weight * pow(scale, -1, MODULUS) % MODULUS)
    total = 0
    for values in reversed(claim.values):
        total = (total * x + sum(w * y for w, y in zip(weights, values, strict=True))) % MODULUS
    return total


def pivot(atoms: Sequence[Sequence[Atom]]) -> int:
    """The number of the first polynomial with the most atoms."""
    return max(range(len(atoms)), key=lambda j: len(atoms[j]))


def divisor(claims: Sequence[Claim], u: int) -> int:
    """Z_D(u), which the verifier divides by: the product at u of all atoms that the pivot lacks."""
    atoms = [claim.atoms for claim in claims]
    return _at({x for each in atoms for x in each} - set(atoms[pivot(atoms)]), u)


def powers(claims: Sequence[Claim], v: int) -> list[int]:
    """v^e(j) for each claim: the pivot's is 1."""
    first = pivot([claim.atoms for claim in claims])
    made = [pow(v, j, MODULUS) for j in range(len(claims))]
    return [*made[1 : first + 1], made[0], *made[first + 1 :]]


def _factors(claims: Sequence[Claim], v: int, u: int) -> tuple[list[int], int]:
    """v^e(j) c_j for each claim, and Z_P(u)."""
    shares, vanishing = _shares(claims, u)
    pairs = zip(powers(claims, v), claims, strict=True)
    return [power * shares[claim.atoms] % MODULUS for power, claim in pairs], vanishing


def _shares(claims: Sequence[Claim], u: int) -> tuple[dict[tuple[Atom, ...], int], int]:
    """c_j by the atoms that it follows from, and Z_P(u)."""
    most = set(claims[pivot([claim.atoms for claim in claims])].atoms)
    shares: dict[tuple[Atom, ...], int] = {}
    for claim in claims:
        if claim.atoms not in shares:
            atoms = set(claim.atoms)
            shares[claim.atoms] = _at(most - atoms, u) * pow(_at(atoms - most, u), -1, MODULUS)
    return shares, _at(most, u)


def _at(atoms: Iterable[Atom], u: int) -> int:
    """Their product at u."""
    product = 1
    for t, point in atoms:
        product = product * (pow(u, t, MODULUS) - point) % MODULUS
    return product
