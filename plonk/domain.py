"""The evaluation domain H and the row selectors X, first, last and active: on rows and at a point."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from plonnx import _native
from plonnx.plonk.keys import VerifyingKey
from plonnx.plonk.program import MODULUS


def selector(vk: VerifyingKey, index: int) -> _native.Vec:
    """The values on H of selector 0 X, 1 first, 2 last, 3 active."""
    if index == 0:
        return _native.Vec.powers(_native.omega(vk.k), vk.n)
    if index == 3:
        return _native.ntt(active_coefficients(vk).padded(vk.n))
    row = _native.Vec.zeros(vk.n)
    row.write_(0 if index == 1 else vk.last_row, _native.Vec.from_scalars([1]))
    return row


def active_coefficients(vk: VerifyingKey) -> _native.Vec:
    """The polynomial prod_{i >= u} (X - omega^i), n - u + 1 coefficients."""
    omega = _native.omega(vk.k)
    return _native.Vec.from_scalars(with_roots([pow(omega, row, MODULUS) for row in range(vk.last_row, vk.n)]))


def with_roots(roots: Sequence[int]) -> list[int]:
    """The coefficients of prod (X - root)."""
    coefficients = [1]
    for root in roots:
        shifted, scaled = [0, *coefficients], [*(c * root for c in coefficients), 0]
        coefficients = [(a - b) % MODULUS for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def inverse_base(vk: VerifyingKey, zeta: int) -> int:
    """zeta * (zeta - 1) * (zeta - omega^u) * (zeta^n - 1): the proof has the inverse of this and of more."""
    last = pow(_native.omega(vk.k), vk.last_row, MODULUS)
    return zeta * (zeta - 1) * (zeta - last) * (pow(zeta, vk.n, MODULUS) - 1) % MODULUS


def selectors_at(vk: VerifyingKey, zeta: int) -> tuple[int, int, int, int]:
    """X, first, last and active at zeta."""
    omega_u = pow(_native.omega(vk.k), vk.last_row, MODULUS)
    vanishing = (pow(zeta, vk.n, MODULUS) - 1) * pow(vk.n, -1, MODULUS) % MODULUS
    first = vanishing * pow(zeta - 1, -1, MODULUS) % MODULUS
    last = omega_u * vanishing * pow(zeta - omega_u, -1, MODULUS) % MODULUS
    active = 1
    for row in range(vk.last_row, vk.n):
        active = active * (zeta - pow(_native.omega(vk.k), row, MODULUS)) % MODULUS
    return zeta, first, last, active


def lagrange_at(k: int, x: int) -> _native.Vec:
    """What the values on H are weighted with for the polynomial's at x: (x^n - 1) / n * omega^i / (x - omega^i)."""
    n, inverse = 1 << k, pow(_native.omega(k), -1, MODULUS)
    scale = (pow(x, n, MODULUS) - 1) * pow(n, -1, MODULUS) % MODULUS
    return _native.Vec.powers(inverse, n, x).sub(_native.Vec.powers(1, n)).inverse().scale(scale)


def vandermonde_inverse(points: Sequence[int]) -> list[list[int]]:
    """The inverse of the matrix (points_j^i)_{j,i}: row i gives the i-th coefficient from the values at the points."""
    columns = []
    for j, point in enumerate(points):  # the Lagrange basis polynomial of point j
        others = [*points[:j], *points[j + 1 :]]
        scale = pow(prod(point - other for other in others), -1, MODULUS)
        columns.append([value * scale % MODULUS for value in with_roots(others)])
    return [list(row) for row in zip(*columns, strict=True)]
