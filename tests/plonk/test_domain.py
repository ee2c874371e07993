"""The row selectors: on rows, as polynomials and at a point they are one and the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plonnx import _native
from plonnx.plonk import domain
from plonnx.plonk.program import DELTA, MODULUS


def key(k: int, last_row: int) -> Any:
    """What the selectors read of a verifying key."""
    return SimpleNamespace(k=k, n=1 << k, last_row=last_row)


@pytest.mark.parametrize(("k", "last_row"), [(2, 1), (3, 3), (3, 4), (4, 11), (6, 59), (6, 61)])
def test_selectors_on_rows(k: int, last_row: int) -> None:
    vk, n = key(k, last_row), 1 << k
    omega = _native.omega(k)
    x, first, last, active = ([domain.selector(vk, i)[row] for row in range(n)] for i in range(4))
    assert x == [pow(omega, row, MODULUS) for row in range(n)]
    assert first == [int(row == 0) for row in range(n)]
    assert last == [int(row == last_row) for row in range(n)]
    for row in range(n):
        expected = 1
        for other in range(last_row, n):
            expected = expected * (x[row] - x[other]) % MODULUS
        assert active[row] == expected
        assert (active[row] == 0) == (row >= last_row)


@given(st.integers(2, MODULUS - 1), st.sampled_from([(3, 4), (4, 11), (6, 59)]))
def test_selectors_at_a_point(zeta: int, size: tuple[int, int]) -> None:
    vk = key(*size)
    assume(domain.inverse_base(vk, zeta))  # -1 is omega^u for (3, 4)
    at_point = domain.selectors_at(vk, zeta)
    as_polynomials = tuple(_native.intt(domain.selector(vk, i)).evaluate(zeta) for i in range(4))
    assert at_point == as_polynomials


@pytest.mark.parametrize("row", [0, 1, 11, 15])
def test_no_inverse_where_a_selector_or_the_quotient_would_divide_by_zero(row: int) -> None:
    zeta = pow(_native.omega(4), row, MODULUS)
    assert domain.inverse_base(key(4, 11), zeta) == 0
    assert domain.inverse_base(key(4, 11), 0) == 0


@given(st.lists(st.integers(1, MODULUS - 1), min_size=1, max_size=6, unique=True))
def test_the_vandermonde_inverse_interpolates(points: list[int]) -> None:
    inverse = domain.vandermonde_inverse(points)
    coefficients = [pow(3, i + 1, MODULUS) for i in range(len(points))]
    values = [sum(c * pow(p, i, MODULUS) for i, c in enumerate(coefficients)) % MODULUS for p in points]
    found = [sum(w * v for w, v in zip(row, values, strict=True)) % MODULUS for row in inverse]
    assert found == coefficients


def test_the_permutations_cosets_are_disjoint() -> None:
    """delta^i / delta^j lies in H of no size up to 2^32: its order is odd and not 1."""
    for i in range(1, 200):
        assert pow(DELTA, i << 32, MODULUS) != 1
