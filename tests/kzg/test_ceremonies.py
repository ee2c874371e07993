"""Ceremonies' files: small ones in exactly their layouts, made with a known tau, and damaged ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plonnx import _native
from plonnx.kzg.ceremonies import HASH_BYTES, Imported, file_bytes, import_srs
from plonnx.kzg.container import FileError
from plonnx.kzg.curve import MODULUS
from plonnx.kzg.srs import SRS
from tests.kzg.test_srs import ceremony_text

TAU, ALPHA, BETA = 0x123456789ABCDEF0123456789, 3, 5
P = 4
G1, G2 = _native.g1_generator(), _native.g2_generator()


def compressed_g1(points: bytes) -> bytes:
    return _native.Points.from_bytes(points).to_bytes(compressed=True)


def g1_powers(count: int, factor: int = 1, tau: int = TAU) -> bytes:
    return b"".join(_native.g1_mul(G1, factor * pow(tau, i, MODULUS) % MODULUS) for i in range(count))


def g2_powers(count: int, factor: int = 1, tau: int = TAU) -> list[bytes]:
    return [_native.g2_mul(G2, factor * pow(tau, i, MODULUS) % MODULUS) for i in range(count)]


def powers_of_tau(compressed: bool, tau: int = TAU, hash_bytes: int = HASH_BYTES) -> bytes:
    """A challenge, or (compressed) a response, of 2^P."""
    g1 = compressed_g1 if compressed else bytes
    g2 = _native.g2_to_compressed if compressed else bytes
    parts = [hashlib.blake2b(b"the file before").digest()[:hash_bytes]]
    parts.append(g1(g1_powers((2 << P) - 1, 1, tau)))
    parts += [g2(point) for point in g2_powers(1 << P, 1, tau)]
    parts += [g1(g1_powers(1 << P, factor, tau)) for factor in (ALPHA, BETA)]
    parts += [g2(point) for point in g2_powers(1, BETA, tau)]
    if compressed:  # the public key, never compressed
        parts += [g1_powers(6), *g2_powers(3)]
    return b"".join(parts)


def hexadecimal(points: bytes, size: int = 48) -> list[str]:
    return ["0x" + points[i : i + size].hex() for i in range(0, len(points), size)]


def transcript() -> dict[str, Any]:
    def part(count: int, tau: int) -> dict[str, Any]:
        return {
            "numG1Powers": count,
            "numG2Powers": 3,
            "powersOfTau": {
                "G1Powers": hexadecimal(compressed_g1(g1_powers(count, 1, tau))),
                "G2Powers": ["0x" + _native.g2_to_compressed(point).hex() for point in g2_powers(3, 1, tau)],
            },
            "witness": {"runningProducts": [], "potPubkeys": [], "blsSignatures": []},
        }

    return {"transcripts": [part(8, TAU + 1), part(16, TAU)], "participantIds": [""], "participantEcdsaSignatures": []}


def consensus() -> dict[str, Any]:
    return {
        "g1_monomial": hexadecimal(compressed_g1(g1_powers(16))),
        "g1_lagrange": hexadecimal(SRS.development(4, TAU).lagrange(4).to_bytes(compressed=True)),
        "g2_monomial": ["0x" + _native.g2_to_compressed(point).hex() for point in g2_powers(3)],
    }


def c_kzg() -> str:
    held = consensus()
    lines = ["16", "3", *held["g1_lagrange"], *held["g2_monomial"], *held["g1_monomial"]]
    return "\n".join(line.removeprefix("0x") for line in lines) + "\n"


def imported(folder: Path, content: bytes | str | dict[str, Any], powers: int | None = None) -> Imported:
    path = folder / "ceremony"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_srs(path, powers)


@pytest.mark.parametrize(
    ("make", "layout", "available"),
    [
        (lambda: powers_of_tau(False), "powers-of-tau challenge (uncompressed points) of 2^4", 31),
        (lambda: powers_of_tau(True), "powers-of-tau response (compressed points) of 2^4", 31),
        (transcript, "transcript of Ethereum's KZG ceremony (JSON)", 16),
        (lambda: transcript()["transcripts"][1], "transcript of Ethereum's KZG ceremony (JSON)", 16),
        (consensus, "trusted setup of Ethereum's consensus specifications (JSON)", 16),
        (c_kzg, "trusted setup of c-kzg (text)", 16),
    ],
)
def test_layouts(tmp_path: Path, make: Callable[[], Any], layout: str, available: int) -> None:
    for powers in (16, 11):
        found = imported(tmp_path, make(), powers)
        assert (found.layout, found.available, found.srs.size) == (layout, available, powers)
        assert found.srs.powers.to_bytes() == SRS.development(4, TAU).powers.slice(0, powers).to_bytes()
        assert found.srs.tau_g2 == _native.g2_mul(G2, TAU)
        assert not found.srs.unsafe and found.srs.name.startswith("unknown setup"), "no file size says whose it is"
        assert found.hash == hashlib.blake2b((tmp_path / "ceremony").read_bytes()).hexdigest()


def test_the_sizes_of_the_real_files() -> None:
    """Counted by hand from the constants of Zcash's tool; Filecoin took it to 2^27."""
    assert file_bytes(21, compressed=False) == 1_207_959_712
    assert file_bytes(21, compressed=True) == 603_981_040
    assert file_bytes(27, compressed=False) == 77_309_411_488


def test_the_smallest_transcript_that_is_large_enough(tmp_path: Path) -> None:
    assert imported(tmp_path, transcript(), 8).srs.tau_g2 == _native.g2_mul(G2, TAU + 1)
    assert imported(tmp_path, transcript(), 9).srs.tau_g2 == _native.g2_mul(G2, TAU)
    assert imported(tmp_path, transcript()).srs.size == 16


def test_the_real_ceremony_is_recognised(tmp_path: Path) -> None:
    found = imported(tmp_path, ceremony_text())
    assert found.srs.name == "Ethereum KZG ceremony (2023)" and found.srs.digest == SRS.ethereum().digest


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def off_subgroup() -> bytes:
    """A point on the curve outside the subgroup of order r: x = 4 is one (y^2 = 68)."""
    p = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
    x = 4
    y = pow(x**3 + 4, (p + 1) // 4, p)
    assert y * y % p == x**3 + 4
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


CHALLENGE_G1 = HASH_BYTES + 5 * 96  # [tau^5]_1
CHALLENGE_TAU_G2 = HASH_BYTES + 31 * 96 + 192


@pytest.mark.parametrize(
    ("make", "powers", "said"),
    [
        (lambda: powers_of_tau(False, hash_bytes=32), 16, "not the size of a powers-of-tau file"),
        (lambda: powers_of_tau(False)[:-1], 16, "not the size of a powers-of-tau file"),
        (lambda: powers_of_tau(False) + b"\0", 16, "not the size of a powers-of-tau file"),
        (lambda: b"", 16, "not the size"),
        (lambda: powers_of_tau(False), None, "powers=16"),
        (lambda: powers_of_tau(False), 32, "powers=32: it has 31"),
        (lambda: powers_of_tau(False), 1, "powers=1: an SRS needs at least 2"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_G1, b"\1" * 96), 16, "curve|encod|5"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_G1, b"\xff" * 96), 16, "5"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_G1, off_subgroup()), 16, "subgroup"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_G1, _native.g1_mul(G1, 77)), 16, "powers of .* one tau"),
        (lambda: changed(powers_of_tau(False), HASH_BYTES, _native.g1_mul(G1, 77)), 16, "not the generator of G1"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_TAU_G2, g2_powers(3)[2]), 16, "pairing check"),
        (lambda: changed(powers_of_tau(False), CHALLENGE_TAU_G2 - 192, g2_powers(3)[2]), 16, "generator of G2"),
        (lambda: powers_of_tau(False, tau=1), 16, "tau is 1: this is the file that a ceremony starts from"),
        (lambda: changed(powers_of_tau(True), HASH_BYTES + 5 * 48, b"\0" * 48), 16, "5"),
        (lambda: {**consensus(), "g1_monomial": consensus()["g1_monomial"][::-1]}, 16, "generator of G1"),
        (lambda: {"g2_monomial": [], "g1_lagrange": []}, 16, "Lagrange form alone"),
        (lambda: {**consensus(), "g2_monomial": consensus()["g2_monomial"][:1]}, 16, "two are needed"),
        (lambda: {**consensus(), "g1_monomial": ["0x12"] * 16}, 16, "point 0 has 1 bytes"),
        (lambda: {**consensus(), "g1_monomial": ["hello"] * 16}, 16, "point 0 is not hexadecimal"),
        (consensus, 17, "powers=17: it has 16"),
        (transcript, 17, "its transcripts have 8, 16 powers"),
        (lambda: {"transcripts": [{"numG1Powers": 8}]}, 8, "without its 'powersOfTau'"),
        (lambda: {"transcripts": 7}, 8, "a ceremony's JSON"),
        (lambda: {"nothing": 7}, 8, "no ceremony's file"),
        (lambda: '{"transcripts": [', 8, "not valid JSON"),
        (lambda: c_kzg()[:-97], 16, "announced"),
        (lambda: "\n".join(c_kzg().split()[:21]), 16, "Lagrange form alone"),
        (lambda: "7", 16, "two numbers"),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    tmp_path: Path, make: Callable[[], Any], powers: int | None, said: str
) -> None:
    with pytest.raises(FileError, match=said) as raised:
        imported(tmp_path, make(), powers)
    assert "\n" not in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        import_srs(tmp_path / "absent", 16)
