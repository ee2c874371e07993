"""The opening's polynomials against plain arithmetic on lists of Python integers, and its equation at the real tau."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.curve import MODULUS
from plonnx.kzg.opening import Claim
from plonnx.kzg.srs import SRS

Polynomial = list[int]
ROWS = 8
SMALL = st.integers(0, MODULUS - 1)
POINTS = st.integers(1, MODULUS - 1)


# Plain polynomials, lowest coefficient first -------------------------------------------------------------------------


def trimmed(f: Sequence[int]) -> Polynomial:
    kept = [c % MODULUS for c in f]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def add(f: Sequence[int], g: Sequence[int], factor: int = 1) -> Polynomial:
    length = max(len(f), len(g))
    one, other = [*f, *[0] * (length - len(f))], [*g, *[0] * (length - len(g))]
    return trimmed([a + factor * b for a, b in zip(one, other, strict=True)])


def product(f: Sequence[int], g: Sequence[int]) -> Polynomial:
    result = [0] * (len(f) + len(g))
    for i, a in enumerate(f):
        for j, b in enumerate(g):
            result[i + j] += a * b
    return trimmed(result)


def divided(f: Sequence[int], g: Sequence[int]) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder by a monic g."""
    rest, quotient = trimmed(f), [0] * max(0, len(f) - len(g) + 1)
    while len(rest) >= len(g):
        at, factor = len(rest) - len(g), rest[-1]
        quotient[at] = factor
        rest = add(rest, [0] * at + list(g), -factor)
    return trimmed(quotient), rest


def at(f: Sequence[int], x: int) -> int:
    return sum(c * pow(x, i, MODULUS) for i, c in enumerate(f)) % MODULUS


def spread(f: Sequence[int], t: int, place: int = 0) -> Polynomial:
    """X^place f(X^t)."""
    result = [0] * (place + t * len(f))
    result[place::t] = f
    return trimmed(result)


def atom(t: int, point: int) -> Polynomial:
    return [-point % MODULUS, *[0] * (t - 1), 1]


def through(points: Sequence[int], values: Sequence[int]) -> Polynomial:
    """Lagrange's interpolation."""
    total: Polynomial = []
    for x, y in zip(points, values, strict=True):
        basis, scale = [1], 1
        for other in points:
            if other != x:
                basis, scale = product(basis, [-other, 1]), scale * (x - other)
        total = add(total, basis, y * pow(scale, -1, MODULUS))
    return total


def plain(f: _native.Vec) -> Polynomial:
    return trimmed([f[i] for i in range(len(f))])


def vector(f: Sequence[int], length: int) -> _native.Vec:
    return _native.Vec.from_scalars([*f, *[0] * (length - len(f))])


# What is opened ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """One packed polynomial: its members' coefficients and where they are wanted."""

    members: list[Polynomial]
    points: tuple[int, ...]
    t: int

    @property
    def claim(self) -> Claim:
        return Claim(self.points, tuple(tuple(at(f, x) for x in self.points) for f in self.members), self.t)

    @property
    def packed(self) -> _native.Vec:
        return opening.pack([vector(f, ROWS) for f in self.members], self.t)

    @property
    def polynomial(self) -> Polynomial:
        total: Polynomial = []
        for i, f in enumerate(self.members):
            total = add(total, spread(f, self.t, i))
        return total

    @property
    def vanishing(self) -> Polynomial:
        total = [1]
        for x in self.points:
            total = product(total, atom(self.t, x))
        return total

    @property
    def remainder(self) -> Polynomial:
        """r = sum_i X^i l_i(X^t)."""
        total: Polynomial = []
        for i, values in enumerate(self.claim.values):
            total = add(total, spread(through(self.points, values), self.t, i))
        return total


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    """t in 1..8, members missing, one or two points that several openings share."""
    t = draw(st.integers(1, 8))
    count = draw(st.integers(1, t))
    members = [draw(st.lists(SMALL, min_size=ROWS, max_size=ROWS)) for _ in range(count)]
    zeta = 1234567
    chosen = draw(st.sampled_from([(zeta,), (zeta, 7 * zeta), (7 * zeta,)]))
    return Opening(members, chosen, t)


MIXED = st.lists(openings(), min_size=1, max_size=5)


# Each part -----------------------------------------------------------------------------------------------------------


@given(openings())
def test_pack_is_the_sum_of_the_spread_members(one: Opening) -> None:
    assert len(one.packed) == one.t * ROWS
    assert plain(one.packed) == one.polynomial


@given(st.lists(SMALL, min_size=1, max_size=40), st.integers(1, 8), SMALL)
def test_divide_is_the_division_without_the_remainder(f: list[int], t: int, point: int) -> None:
    quotient, _ = divided(f, atom(t, point))
    assert plain(opening.divide(_native.Vec.from_scalars(f), (t, point))) == quotient


@given(openings(), SMALL)
def test_interpolate_is_the_remainder_at_a_point(one: Opening, x: int) -> None:
    _, rest = divided(one.polynomial, one.vanishing)
    assert one.remainder == rest
    assert opening.interpolate(one.claim, x) == at(rest, x)


@given(openings())
def test_a_packed_polynomial_takes_its_members_values_at_the_roots(one: Opening) -> None:
    """F modulo X^t - a is sum_i X^i f_i(a)."""
    for number, point in enumerate(one.points):
        _, rest = divided(one.polynomial, atom(one.t, point))
        assert rest == trimmed([values[number] for values in one.claim.values])


def pivot(opened: list[Opening]) -> int:
    """The first polynomial with the most atoms."""
    counts = [len(o.points) for o in opened]
    return counts.index(max(counts))


def exponents(opened: list[Opening]) -> list[int]:
    """Of v: 0 for the pivot, 1, 2, .. for the others."""
    others = iter(range(1, len(opened)))
    return [0 if j == pivot(opened) else next(others) for j in range(len(opened))]


def batched(opened: list[Opening], v: int) -> dict[tuple[opening.Atom, ...], _native.Vec]:
    """The sums of the opened polynomials by their atoms."""
    claims = [o.claim for o in opened]
    powers = opening.powers(claims, v)
    return {
        atoms: _native.linear_combination([opened[j].packed for j in numbers], [powers[j] for j in numbers])
        for atoms, numbers in opening.groups(claims).items()
    }


@given(MIXED, POINTS)
def test_the_witness_polynomial(opened: list[Opening], v: int) -> None:
    made = opening.witness_polynomial(batched(opened, v))
    expected: Polynomial = []
    for j, o in enumerate(opened):
        quotient, rest = divided(add(o.polynomial, o.remainder, -1), o.vanishing)
        assert rest == []
        expected = add(expected, quotient, pow(v, exponents(opened)[j], MODULUS))
    assert plain(made) == expected


def atoms_at(one: Opening, u: int) -> int:
    """Z_j(u)."""
    return at(one.vanishing, u)


@given(MIXED, POINTS, POINTS)
def test_the_final_polynomial_and_the_verifiers_scalars(opened: list[Opening], v: int, u: int) -> None:
    claims = [o.claim for o in opened]
    witness = opening.witness_polynomial(batched(opened, v))
    whole, lacking = atoms_at(opened[pivot(opened)], u), 1
    held = {(opened[pivot(opened)].t, x) for x in opened[pivot(opened)].points}
    for t, x in {(o.t, x) for o in opened for x in o.points} - held:
        lacking = lacking * at(atom(t, x), u) % MODULUS
    assert opening.divisor(claims, u) == lacking
    factors, combined = [], add([], plain(witness), -whole)
    for j, o in enumerate(opened):
        factor = pow(v, exponents(opened)[j], MODULUS) * whole * pow(atoms_at(o, u), -1, MODULUS) % MODULUS
        factors.append(factor)
        combined = add(combined, add(o.polynomial, [at(o.remainder, u)], -1), factor)
    quotient, rest = divided(combined, [-u, 1])
    assert rest == []
    assert plain(opening.final_polynomial(batched(opened, v), claims, witness, u)) == quotient

    expected, constant, w_factor = opening.verification_terms(claims, v, u)
    assert expected == factors
    assert constant == -sum(f * at(o.remainder, u) for f, o in zip(factors, opened, strict=True)) % MODULUS
    assert w_factor == -whole % MODULUS


# The whole, over a real SRS ------------------------------------------------------------------------------------------

TAU = 987654321


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(6, tau=TAU)


def accepts(srs: SRS, opened: list[Opening], claims: list[Claim], v: int, u: int) -> bool:
    """The prover opens `opened`, the verifier checks `claims`."""
    polynomials = [o.packed for o in opened]
    honest = [o.claim for o in opened]
    witness = opening.witness_polynomial(batched(opened, v))
    final = opening.final_polynomial(batched(opened, v), honest, witness, u)
    w, w_final = srs.commit(witness), srs.commit(final)
    factors, constant, w_factor = opening.verification_terms(claims, v, u)
    points = b"".join(srs.commit(f) for f in polynomials) + w + w_final + _native.g1_generator()
    folded = _native.g1_sum_of_products(points, [*factors, w_factor, u, constant])
    return opening.check(srs.tau_g2, folded, w_final)


@given(opened=MIXED, v=POINTS, u=POINTS, data=st.data())
def test_true_claims_are_accepted_and_no_others(
    srs: SRS, opened: list[Opening], v: int, u: int, data: st.DataObject
) -> None:
    claims = [o.claim for o in opened]
    assert accepts(srs, opened, claims, v, u)
    j = data.draw(st.integers(0, len(opened) - 1))
    values = [list(row) for row in claims[j].values]
    member, point = (data.draw(st.integers(0, n - 1)) for n in (len(values), len(values[0])))
    values[member][point] = (values[member][point] + data.draw(POINTS)) % MODULUS
    claims[j] = replace(claims[j], values=tuple(map(tuple, values)))
    assert not accepts(srs, opened, claims, v, u)


def test_a_missing_member_is_zero(srs: SRS) -> None:
    """The claim (3, 0) about a polynomial that holds a second member is refused, though the first value is right."""
    one = Opening([[3], [4]], (5,), 2)
    alone = Opening([[3]], (5,), 2)
    assert accepts(srs, [one], [one.claim], 11, 13)
    assert accepts(srs, [alone], [alone.claim], 11, 13)
    assert accepts(srs, [alone], [Claim((5,), ((3,), (0,)), 2)], 11, 13)
    assert not accepts(srs, [one], [alone.claim], 11, 13)


def test_claims_of_other_packings_do_not_hold(srs: SRS) -> None:
    one = Opening([[3, 1], [4, 1], [5, 9]], (5,), 3)
    for t in (1, 2, 4):
        assert not accepts(srs, [one], [replace(one.claim, packing=t)], 11, 13)
    turned = replace(one.claim, values=one.claim.values[::-1])
    assert not accepts(srs, [one], [turned], 11, 13)
