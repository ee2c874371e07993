"""Whose secret an SRS has, by its [tau]_2: what a setup is called, and whether it is unsafe, follows from here alone.

A label in a file decides nothing: anyone can write one. Knows no files and no SRS, so that keys can ask.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

from plonnx import _native
from plonnx.kzg.curve import MODULUS

# The secret of every development SRS: published, so that keys over it are the same on every machine and that nobody,
# under whatever label, takes one for safe.
DEVELOPMENT_TAU = (
    int.from_bytes(hashlib.sha512(b"plonnx development SRS: everyone knows this tau").digest(), "big") % MODULUS
)


class Origin(NamedTuple):
    """What a setup is called; `unsafe` where its secret is known to somebody; not `known` where nobody here can say."""

    name: str
    unsafe: bool
    known: bool = True


ETHEREUM = Origin("Ethereum KZG ceremony (2023)", unsafe=False)
MIDNIGHT = Origin("Midnight ceremony (2025)", unsafe=False)
DEVELOPMENT = Origin("UNSAFE development SRS", unsafe=True)

# [tau]_2, compressed, as ceremonies publish it.
PINNED = {
    # KZG_SETUP_G2_MONOMIAL_1 of Ethereum's specifications: 4096 powers
    "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72"
    "185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2": ETHEREUM,
    # every file of Midnight's catalogue, 2^1 to 2^25 powers
    "a4bbe1a24fcc4f988c6ef268d0c1160eac0a0c4f53d80bd74f3d2e4667be27408625a83825354e27c70859883102eb43"
    "07acb569b3187c0fd1993980aa52a6e9e2080b9697fab96abd5c5f1c3b988256f2d99366f1bbccf13cf0e20702fee18c": MIDNIGHT,
    # [DEVELOPMENT_TAU]_2
    "95ce409fd043df8edf7fca3cd3466ccf1a86b0f6c8e1dc6ab495ad8f63abd134c6f335c21b85a2532f41dff58b521506"
    "07fe8078dea6b09267059719f1d7cb380b6e876a171766ff65ced92f145dda44a0aa344201a26da8845dfb48abe71b78": DEVELOPMENT,
    # the generator itself, tau = 1: what a ceremony starts from
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8": Origin(
        "UNSAFE tau = 1, what a ceremony starts from", unsafe=True
    ),
    "c0" + 95 * "00": Origin("UNSAFE tau = 0", unsafe=True),
}


def origin_of(tau_g2: bytes) -> Origin:
    """The origin of the setup with this [tau]_2 of 192 bytes.

    >>> from plonnx.kzg.srs import SRS
    >>> origin_of(SRS.ethereum().tau_g2).name
    'Ethereum KZG ceremony (2023)'
    """
    found = _by_point().get(tau_g2)
    return found or Origin(f"unknown setup (tau {fingerprint(tau_g2)})", unsafe=False, known=False)


def unsafe_points() -> list[bytes]:
    """The [tau]_2 of all setups whose secret is known, 192 bytes each."""
    return [point for point, origin in _by_point().items() if origin.unsafe]


def fingerprint(tau_g2: bytes) -> str:
    """16 hexadecimal digits that tell one unknown setup from another."""
    return hashlib.sha256(tau_g2).hexdigest()[:16]


@functools.cache
def _by_point() -> dict[bytes, Origin]:
    return {_native.g2_from_bytes(bytes.fromhex(point), compressed=True): origin for point, origin in PINNED.items()}
