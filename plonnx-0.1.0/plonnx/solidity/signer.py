"""One signed EIP-1559 transaction: secp256k1 with RFC 6979 nonces, and RLP. For deploying to a node that holds no key.

Plain Python integers, not constant time: meant for the deployment of a verifier from a developer's machine.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from plonnx._native import keccak256

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
Point = tuple[int, int] | None  # None is the point at infinity
Item = int | bytes | Sequence["Item"]


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _multiply(scalar: int) -> tuple[int, int]:
    """scalar * G for 0 < scalar < N."""
    total: Point = None
    power: Point = G
    while scalar:
        if scalar & 1:
            total = _add(total, power)
        power = _add(power, power)
        scalar >>= 1
    assert total is not None
    return total


def _nonce(key: int, digest: bytes) -> int:
    """RFC 6979 section 3.2 with SHA-256."""
    seed = key.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    k, v = bytes(32), b"\x01" * 32
    for separator in (b"\x00", b"\x01"):
        k = hmac.digest(k, v + separator + seed, hashlib.sha256)
        v = hmac.digest(k, v, hashlib.sha256)
    while True:
        v = hmac.digest(k, v, hashlib.sha256)
        candidate = int.from_bytes(v, "big")
        if 0 < candidate < N:
            return candidate
        k = hmac.digest(k, v + b"\x00", hashlib.sha256)
        v = hmac.digest(k, v, hashlib.sha256)


def sign(key: int, digest: bytes) -> tuple[int, int, int]:
    """(y parity, r, s) with s in the lower half."""
    nonce = _nonce(key, digest)
    x, y = _multiply(nonce)
    r = x % N
    s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * key) % N
    parity = y & 1
    return (parity ^ 1, r, N - s) if s > N // 2 else (parity, r, s)


def address(key: int) -> bytes:
    """The account of a private key."""
    x, y = _multiply(key)
    return keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:]


def rlp(item: Item) -> bytes:
    """Recursive length prefix encoding; integers without leading zeros."""
    if isinstance(item, int):
        return rlp(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _length(len(item), 0x80) + item
    payload = b"".join(rlp(part) for part in item)
    return _length(len(payload), 0xC0) + payload


def _length(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size


def sign_creation(key: int, *, chain: int, nonce: int, tip: int, fee: int, gas: int, code: bytes) -> bytes:
    """A signed type-2 transaction that creates a contract."""
    fields: list[Item] = [chain, nonce, tip, fee, gas, b"", 0, code, []]
    digest = keccak256(b"\x02" + rlp(fields))
    return b"\x02" + rlp([*fields, *sign(key, digest)])
