"""Points, encodings and pairings against py_ecc."""

import hashlib

import numpy as np
import pytest
from py_ecc import optimized_bls12_381 as ecc
from py_ecc.bls.point_compression import compress_G1, compress_G2

from plonnx import _native
from plonnx._native import Points, Vec

R, P = ecc.curve_order, ecc.field_modulus
INFINITY = bytes(96)
G1, G2 = _native.g1_generator(), _native.g2_generator()


def g1_bytes(point: tuple) -> bytes:
    if ecc.is_inf(point):
        return INFINITY
    x, y = ecc.normalize(point)
    return int(x).to_bytes(48, "big") + int(y).to_bytes(48, "big")


def g2_bytes(point: tuple) -> bytes:
    if ecc.is_inf(point):
        return bytes(192)
    x, y = ecc.normalize(point)
    return b"".join(int(c).to_bytes(48, "big") for c in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))  # type: ignore[attr-defined]


def outside_the_subgroup() -> tuple[int, int]:
    """A point of the curve whose order is not r."""
    x = next(x for x in range(4, 100) if pow(x**3 + 4, (P - 1) // 2, P) == 1)
    y = pow(x**3 + 4, (P + 1) // 4, P)
    assert not ecc.is_inf(ecc.multiply((ecc.FQ(x), ecc.FQ(y), ecc.FQ(1)), R))
    return x, y


def test_generators() -> None:
    assert g1_bytes(ecc.G1) == G1
    assert g2_bytes(ecc.G2) == G2


@pytest.mark.parametrize("scalar", [0, 1, 2, R - 1, 0x1234567890ABCDEF << 180])
def test_multiplication_and_compression(scalar: int) -> None:
    g1, g2 = ecc.multiply(ecc.G1, scalar), ecc.multiply(ecc.G2, scalar)
    ours = _native.g1_mul(G1, scalar)
    assert ours == g1_bytes(g1)
    assert Points.from_bytes(ours).to_bytes(compressed=True) == compress_G1(g1).to_bytes(48, "big")
    ours_g2 = _native.g2_mul(G2, scalar)
    assert ours_g2 == g2_bytes(g2)
    compressed = b"".join(part.to_bytes(48, "big") for part in compress_G2(g2))
    assert _native.g2_to_compressed(ours_g2) == compressed
    assert _native.g2_from_bytes(compressed, compressed=True) == ours_g2 == _native.g2_from_bytes(ours_g2)


def test_addition() -> None:
    two, minus = _native.g1_mul(G1, 2), _native.g1_mul(G1, R - 1)
    assert _native.g1_add(G1, G1) == two
    assert _native.g1_add(G1, minus) == INFINITY
    assert _native.g1_add(G1, INFINITY) == G1 == _native.g1_add(INFINITY, G1)
    assert _native.g1_add(INFINITY, INFINITY) == INFINITY
    assert _native.g1_add(two, G1) == g1_bytes(ecc.multiply(ecc.G1, 3))


def test_many_points_round_trip() -> None:
    points = _native.fixed_base(Vec.from_scalars([0, 1, R - 1, *range(2, 200)]))
    assert len(points) == 201
    assert points.slice(0, 3).to_bytes() == INFINITY + G1 + _native.g1_mul(G1, R - 1)
    for compressed in (False, True):
        data = points.to_bytes(compressed=compressed)
        for check in (False, True):
            assert Points.from_bytes(data, compressed=compressed, check=check).to_bytes() == points.to_bytes()
    part = points.slice(10, 20).slice(5, 10)
    assert part.to_bytes() == points.to_bytes()[15 * 96 : 20 * 96]
    assert len(points.slice(7, 7)) == 0


def test_srs_powers() -> None:
    assert _native.srs_powers(5, 4).to_bytes() == b"".join(_native.g1_mul(G1, 5**i) for i in range(4))
    assert len(_native.srs_powers(5, 0)) == 0


def test_bad_encodings_name_the_index() -> None:
    x, y = outside_the_subgroup()
    stray = x.to_bytes(48, "big") + y.to_bytes(48, "big")
    flagged_infinity = b"\x40" + bytes(95)
    big = (P + int.from_bytes(G1[:48], "big")).to_bytes(48, "big") + G1[48:]
    cases = {
        b"\x80" + G1[1:]: "not a canonical encoding",
        bytes([G1[0] | 0x20]) + G1[1:]: "not a canonical encoding",
        flagged_infinity: "not a canonical encoding",
        big: "not a canonical encoding",
        G1[:95] + bytes([G1[95] ^ 1]): "not on the curve",
        bytes(95) + b"\x01": "not on the curve",
        stray: "not in the subgroup",
    }
    for encoding, reason in cases.items():
        with pytest.raises(ValueError, match=f"G1 point 3 is {reason}"):
            Points.from_bytes(G1 * 3 + encoding + b"\xff" * 96)
        with pytest.raises(ValueError, match=f"G1 point 0 is {reason}"):
            _native.g1_sum_of_products(encoding, [1])
        with pytest.raises(ValueError, match=reason):
            _native.g1_mul(encoding, 1)
        if encoding != stray:
            with pytest.raises(ValueError, match=reason):
                _native.g1_add(G1, encoding)
        with pytest.raises(ValueError, match=f"G1 point 1 is {reason}"):
            _native.pairing_check([(G1, G2), (encoding, G2)])
    assert Points.from_bytes(stray, check=False).to_bytes() == stray
    with pytest.raises(ValueError, match="whole number"):
        Points.from_bytes(G1[:95])
    with pytest.raises(ValueError, match="wrong length"):
        _native.g1_mul(G1[:95], 1)


def test_bad_compressed_encodings() -> None:
    good = Points.from_bytes(G1).to_bytes(compressed=True)
    for bad in (
        bytes(48),
        good[:1] + b"\xff" * 47,
        bytes([good[0] & 0x7F]) + good[1:],
        b"\xe0" + bytes(47),
        b"\xc0" + bytes(46) + b"\1",
    ):
        with pytest.raises(ValueError, match="G1 point 1"):
            Points.from_bytes(good + bad, compressed=True)
    x, _ = outside_the_subgroup()
    stray = bytes([0x80 | (x >> 376)]) + x.to_bytes(48, "big")[1:]
    with pytest.raises(ValueError, match="G1 point 0 is not in the subgroup"):
        Points.from_bytes(stray, compressed=True)


def test_bad_g2_encodings() -> None:
    for bad in (bytes([G2[0] | 0x80]) + G2[1:], G2[:191], G2[:191] + bytes([G2[191] ^ 1]), b"\x40" + bytes(191)):
        with pytest.raises(ValueError, match="G2 point"):
            _native.g2_from_bytes(bad)
    # A point of the twist outside the subgroup: x = 2 + 0u or the next that lies on it.
    for x in range(1, 50):
        compressed = b"\x80" + bytes(47) + x.to_bytes(48, "big")
        try:
            _native.g2_from_bytes(compressed, compressed=True)
        except ValueError as error:
            if "subgroup" in str(error):
                return
    raise AssertionError("no stray point was found")


def test_sum_of_products() -> None:
    points = [_native.g1_mul(G1, i) for i in (1, 2, 3)]
    sums = _native.g1_sum_of_products(b"".join(points), [5, R - 1, 7])
    assert sums == _native.g1_mul(G1, 5 - 2 + 21)
    assert _native.g1_sum_of_products(b"", []) == INFINITY
    assert _native.g1_sum_of_products(INFINITY + G1, [3, 0]) == INFINITY
    with pytest.raises(ValueError, match="2 scalars for 3 points"):
        _native.g1_sum_of_products(b"".join(points), [1, 2])


def test_pairing() -> None:
    a, b = 1234567, R - 98765
    left = (_native.g1_mul(G1, a), _native.g2_mul(G2, b))
    assert _native.pairing_check([left, (_native.g1_mul(G1, R - a * b % R), G2)])
    assert not _native.pairing_check([left, (_native.g1_mul(G1, a * b % R), G2)])
    assert _native.pairing_check([])
    assert _native.pairing_check([(INFINITY, G2), (G1, bytes(192))])
    assert not _native.pairing_check([(G1, G2)])


def test_pairing_agrees_with_py_ecc() -> None:
    p, q = ecc.multiply(ecc.G1, 6), ecc.multiply(ecc.G2, 35)
    product = ecc.pairing(q, p) * ecc.pairing(ecc.G2, ecc.neg(ecc.multiply(ecc.G1, 210)))
    assert product == ecc.FQ12.one()
    assert _native.pairing_check([(g1_bytes(p), g2_bytes(q)), (_native.g1_mul(G1, R - 210), G2)])


@pytest.mark.parametrize("k", [0, 1, 2, 3, 5, 7])
def test_lagrange(k: int) -> None:
    tau, n = 0xABCDEF123456789, 1 << k
    powers = _native.srs_powers(tau, n + 3)
    lagrange = powers.lagrange(n)
    assert lagrange.to_bytes() == _native.fixed_base(_native.intt(Vec.powers(tau, n))).to_bytes()
    f = Vec.from_wide_bytes(np.random.default_rng(k).bytes(64 * n))
    assert powers.msm(f) == lagrange.msm(_native.ntt(f))


def test_lagrange_with_special_points() -> None:
    """Equal, opposite and infinite inputs meet the exceptional cases of the addition."""
    points = Points.from_bytes(G1 + G1 + INFINITY + _native.g1_mul(G1, R - 1))
    scalars = _native.intt(Vec.from_scalars([1, 1, 0, R - 1]))
    assert points.lagrange(4).to_bytes() == _native.fixed_base(scalars).to_bytes()


def test_lagrange_refuses_other_sizes() -> None:
    powers = _native.srs_powers(3, 8)
    for n in (0, 3, 16):
        with pytest.raises(ValueError, match="power of two"):
            powers.lagrange(n)


def test_keccak256() -> None:
    assert _native.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert _native.keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert _native.keccak256(b"abc") != hashlib.sha3_256(b"abc").digest()
    assert _native.thread_count() >= 1
