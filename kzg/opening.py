"""SHPLONK: many polynomials at many points with two G1 points (BDFG20, eprint 2020/081; docs/protocol.md section 7).

W  = [ sum_j v^j (f_j - r_j) / Z_{S_j} ]
W' = [ L / (X - u) ],   L = sum_j v^j Z_{T \\ S_j}(u) (f_j - r_j(u)) - Z_T(u) * (the polynomial of W)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plonnx import _native

MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
Points = tuple[int, ...]


@dataclass(frozen=True)
class Claim:
    """A polynomial takes these values at these points."""

    points: Points
    values: tuple[int, ...]


def witness_polynomial(polynomials: Sequence[_native.Vec], claims: Sequence[Claim], v: int) -> _native.Vec:
    """The polynomial of W: for each point set, the batched polynomial less its interpolation, divided by Z_S."""
    quotients = []
    for points, members in _by_points(claims).items():
        powers = [pow(v, j, MODULUS) for j in members]
        batched = _native.linear_combination([polynomials[j] for j in members], powers)
        for point in points:  # dividing root by root drops exactly the interpolation r
            batched = batched.divide_by_root(point)
        quotients.append(batched)
    return _native.linear_combination(quotients, [1] * len(quotients))


def final_polynomial(
    polynomials: Sequence[_native.Vec], claims: Sequence[Claim], v: int, witness: _native.Vec, u: int
) -> _native.Vec:
    """The polynomial of W': L / (X - u). L(u) = 0, so constants need not be subtracted before the division."""
    factors, vanishing = _factors(claims, v, u)
    combined = _native.linear_combination([*polynomials, witness], [*factors, -vanishing % MODULUS])
    return combined.divide_by_root(u)


def verification_terms(claims: Sequence[Claim], v: int, u: int) -> tuple[list[int], int, int]:
    """The scalars of F: one for each commitment C_j, one for [1]_1, one for W (W' has the scalar u)."""
    factors, vanishing = _factors(claims, v, u)
    constant = sum(f * interpolate(c, u) for f, c in zip(factors, claims, strict=True)) % MODULUS
    return factors, -constant % MODULUS, -vanishing % MODULUS


def check(srs_g2: bytes, tau_g2: bytes, folded: bytes, final: bytes) -> bool:
    """e(F, [1]_2) = e(W', [tau]_2)."""
    negated = _native.g1_mul(final, MODULUS - 1)
    return _native.pairing_check([(folded, srs_g2), (negated, tau_g2)])


def interpolate(claim: Claim, x: int) -> int:
    """The value at x of the polynomial of least degree through the claim's points."""
    total = 0
    for i, (point, value) in enumerate(zip(claim.points, claim.values, strict=True)):
        weight, scale = value, 1
        for j, other in enumerate(claim.points):
            if j != i:
                weight = weight * (x - other) % MODULUS
                scale = scale * (point - other) % MODULUS
        total += weight * pow(scale, -1, MODULUS)
    return total % MODULUS


def _by_points(claims: Sequence[Claim]) -> dict[Points, list[int]]:
    members: dict[Points, list[int]] = {}
    for j, claim in enumerate(claims):
        members.setdefault(claim.points, []).append(j)
    return members


def _factors(claims: Sequence[Claim], v: int, u: int) -> tuple[list[int], int]:
    """v^j Z_{T \\ S_j}(u) for each claim, and Z_T(u)."""
    union = sorted({point for claim in claims for point in claim.points})
    factors = []
    for j, claim in enumerate(claims):
        factors.append(pow(v, j, MODULUS) * _vanishing([p for p in union if p not in claim.points], u) % MODULUS)
    return factors, _vanishing(union, u)


def _vanishing(points: Sequence[int], u: int) -> int:
    value = 1
    for point in points:
        value = value * (u - point) % MODULUS
    return value
