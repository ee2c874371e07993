"""Transforms against direct evaluation."""

from collections.abc import Callable

import numpy as np
import pytest

from plonnx import _native
from plonnx._native import Vec

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def random_vec(count: int, seed: int = 0) -> Vec:
    return Vec.from_wide_bytes(np.random.default_rng(seed).bytes(64 * count))


def test_omega() -> None:
    for k in range(33):
        root = _native.omega(k)
        assert root == pow(7, (R - 1) >> k, R)
        assert pow(root, 1 << k, R) == 1
    with pytest.raises(ValueError, match="2\\^33"):
        _native.omega(33)


@pytest.mark.parametrize("shift", [1, 7, R - 1, 2**200])
@pytest.mark.parametrize("k", range(7))
def test_small_transforms_in_full(k: int, shift: int) -> None:
    f = random_vec(1 << k, k)
    omega, out = _native.omega(k), _native.ntt(f, shift)
    assert [out[i] for i in range(1 << k)] == [f.evaluate(shift * pow(omega, i, R) % R) for i in range(1 << k)]
    assert _native.intt(out, shift).to_bytes() == f.to_bytes()


@pytest.mark.parametrize("shift", [1, 7])
@pytest.mark.parametrize("k", range(7, 16))
def test_large_transforms_at_some_points(k: int, shift: int) -> None:
    n = 1 << k
    f = random_vec(n, k)
    omega, out = _native.omega(k), _native.ntt(f, shift)
    for i in [0, 1, 2, n // 2 - 1, n // 2, n - 1, n // 3]:
        assert out[i] == f.evaluate(shift * pow(omega, i, R) % R)
    assert _native.intt(out, shift).to_bytes() == f.to_bytes()


@pytest.mark.parametrize("shift", [1, 7])
@pytest.mark.parametrize(("many", "one"), [(_native.ntt_many, _native.ntt), (_native.intt_many, _native.intt)])
def test_many_at_once(many: Callable[..., list[Vec]], one: Callable[..., Vec], shift: int) -> None:
    vectors = [random_vec(1 << k, k) for k in (0, 3, 10, 10, 15, 2, 16)]
    assert [v.to_bytes() for v in many(vectors, shift)] == [one(v, shift).to_bytes() for v in vectors]
    assert many([]) == []
    with pytest.raises(ValueError, match="power of two"):
        many([Vec.zeros(4), Vec.zeros(3)])


def test_many_cosets_stay_apart() -> None:
    f = random_vec(16)
    for shift in [*range(1, 200), *range(1, 20)]:
        assert _native.ntt(f, shift)[0] == f.evaluate(shift)


def test_bad_arguments() -> None:
    for length in (0, 3, 12):
        with pytest.raises(ValueError, match="power of two"):
            _native.ntt(Vec.zeros(length))
        with pytest.raises(ValueError, match="power of two"):
            _native.intt(Vec.zeros(length))
    with pytest.raises(ValueError, match="shift"):
        _native.ntt(Vec.zeros(4), 0)
