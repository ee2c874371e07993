"""Files of ceremonies over BLS12-381, as their makers publish them, made into an SRS.

    Ethereum's KZG ceremony   JSON: {"transcripts": [{"numG1Powers", "powersOfTau": {"G1Powers", "G2Powers"}, ..}, ..]}
    consensus specifications  JSON: {"g1_monomial", "g2_monomial", ..}
    c-kzg                     text: numbers of points, then one point a line: G1 Lagrange, G2, G1 monomial
    powers of tau of 2^p      binary: 64 bytes of hash, [tau^i]_1 (2^(p+1) - 1), [tau^i]_2 (2^p), [alpha tau^i]_1 (2^p),
      (Zcash p = 21,          [beta tau^i]_1 (2^p), [beta]_2; uncompressed in a `challenge` file; compressed in a
      Filecoin p = 27)        `response` file, which ends in a public key of 6 G1 and 3 G2 points, uncompressed
    Midnight's catalogue      binary: k in 4 bytes, little-endian, [tau^i]_1 (2^k), [L_i(tau)]_1 over H of 2^k rows
                              (2^k), [1]_2, [tau]_2; uncompressed

Uncompressed points are those of docs/protocol.md, compressed ones those of Zcash. Only the points that are asked for
are read. They are checked in full: encodings, subgroups, and by pairings that they are the powers of one tau. That
nobody knows this tau cannot be seen in a file: its [tau]_2 is a ceremony's that plonnx knows (origin.py), or compare
the file's hash with the one that the ceremony published.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from plonnx import _native
from plonnx._native import Points
from plonnx.kzg.container import FileError
from plonnx.kzg.curve import G1_BYTES, G2_BYTES
from plonnx.kzg.srs import SRS
from plonnx.kzg.wording import option

HASH_BYTES = 64
PUBLIC_KEY_BYTES = 6 * 96 + 3 * 192
EXTENDED_MOST = 32  # 2^k powers
MOST_HASHED = 4 << 30  # larger files take minutes to hash; `b2sum` does it as well


@dataclass(frozen=True)
class Imported:
    """An SRS and facts about its file; `hash` is of the kind that its ceremony publishes, "" for huge files."""

    srs: SRS
    layout: str
    available: int
    hash: str
    hash_name: str  # sha256 or blake2b


@dataclass(frozen=True)
class _Found:
    """Points as the file holds them."""

    layout: str
    available: int
    compressed: bool
    powers: bytes
    g2: bytes
    tau_g2: bytes
    hash_name: str = "blake2b"


def import_srs(path: str | Path, powers: int | None = None) -> Imported:
    """The first `powers` powers of a ceremony's file (by default all of a JSON or text file), or a FileError."""
    source = Path(path)
    if powers is not None and powers < 2:
        raise FileError(f"{option('powers', str(powers))}: an SRS needs at least 2")
    try:
        with source.open("rb") as stream:
            start = stream.read(1 << 12)
            stream.seek(0)
            if _is_extended(source, start):
                found = _extended(source, stream, powers)
            elif start.lstrip()[:1] == b"{":
                found = _json(source, stream, powers)
            elif start.lstrip()[:1].isdigit() and all(byte in b"0123456789abcdefABCDEFx\r\n\t " for byte in start):
                found = _text(source, stream, powers)
            else:
                found = _powers_of_tau(source, stream, powers)
            srs = _checked(source, found)
            return Imported(srs, found.layout, found.available, _hash(source, found.hash_name), found.hash_name)
    except OSError as error:
        raise FileError(f"{source}: cannot be read ({error.strerror})") from error


def _checked(source: Path, found: _Found) -> SRS:
    try:
        if _native.g2_from_bytes(found.g2, compressed=found.compressed) != _native.g2_generator():
            raise ValueError("the SRS is not over the standard generator of G2")
        tau_g2 = _native.g2_from_bytes(found.tau_g2, compressed=found.compressed)
        powers = Points.from_bytes(found.powers, compressed=found.compressed, check=False)
        srs = SRS(powers, tau_g2)
        if tau_g2 == _native.g2_generator():
            raise ValueError("tau is 1: this is the file that a ceremony starts from")
        srs.verify()
        srs.note_verified()
    except ValueError as error:
        raise FileError(f"{source}: {error}") from error
    return srs


def _json(source: Path, stream: BinaryIO, powers: int | None) -> _Found:
    try:
        held = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{source}: not valid JSON ({error})") from error
    if "transcripts" in held:
        return _transcript(source, held["transcripts"], powers)
    if "powersOfTau" in held:
        return _transcript(source, [held], powers)
    if "g2_monomial" in held:
        if "g1_monomial" not in held:
            raise FileError(f"{source}: it holds the Lagrange form alone; take a file with g1_monomial")
        layout = "trusted setup of Ethereum's consensus specifications (JSON)"
        return _hexadecimal(source, layout, held["g1_monomial"], held["g2_monomial"], powers)
    raise FileError(f"{source}: JSON without transcripts or g1_monomial: no ceremony's file that is known here")


def _transcript(source: Path, transcripts: Any, powers: int | None) -> _Found:
    layout = "transcript of Ethereum's KZG ceremony (JSON)"
    try:
        sets = {int(one["numG1Powers"]): one["powersOfTau"] for one in transcripts}
        wanted = max(sets) if powers is None else min((size for size in sets if size >= powers), default=0)
        if not wanted:
            sizes = ", ".join(map(str, sorted(sets)))
            raise FileError(f"{source}: {option('powers', str(powers))}: its transcripts have {sizes} powers")
        chosen = sets[wanted]
        if len(chosen["G1Powers"]) != wanted:
            raise FileError(f"{source}: {len(chosen['G1Powers'])} G1 powers where it announces {wanted}")
        return _hexadecimal(source, layout, chosen["G1Powers"], chosen["G2Powers"], powers)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{source}: a ceremony's JSON without its {error}") from error


def _text(source: Path, stream: BinaryIO, powers: int | None) -> _Found:
    lines = stream.read().decode("ascii", "replace").split()
    layout = "trusted setup of c-kzg (text)"
    try:
        g1_count, g2_count = int(lines[0]), int(lines[1])
    except (IndexError, ValueError) as error:
        raise FileError(f"{source}: a text file that does not start with two numbers of points") from error
    if len(lines) == 2 + g1_count + g2_count:
        raise FileError(f"{source}: it holds the Lagrange form alone; take a file with monomial points")
    if len(lines) != 2 + 2 * g1_count + g2_count:
        raise FileError(f"{source}: {len(lines) - 2} points, {2 * g1_count + g2_count} announced")
    monomial = lines[2 + g1_count + g2_count :]
    return _hexadecimal(source, layout, monomial, lines[2 + g1_count : 2 + g1_count + g2_count], powers)


def _hexadecimal(source: Path, layout: str, g1: Sequence[Any], g2: Sequence[Any], powers: int | None) -> _Found:
    if not isinstance(g1, list) or not isinstance(g2, list):
        raise FileError(f"{source}: its points are no lists")
    count = len(g1) if powers is None else powers
    if count > len(g1):
        raise FileError(f"{source}: {option('powers', str(count))}: it has {len(g1)}")
    if len(g2) < 2:
        raise FileError(f"{source}: {len(g2)} points of G2, two are needed")
    return _Found(
        layout=layout,
        available=len(g1),
        compressed=True,
        powers=_points(source, "G1", g1[:count], 48),
        g2=_points(source, "G2", g2[:1], 96),
        tau_g2=_points(source, "G2", g2[1:2], 96),
    )


def _points(source: Path, group: str, texts: Sequence[Any], size: int) -> bytes:
    points = []
    for i, text in enumerate(texts):
        try:
            point = bytes.fromhex(str(text).removeprefix("0x"))
        except ValueError as error:
            raise FileError(f"{source}: {group} point {i} is not hexadecimal") from error
        if len(point) != size:
            raise FileError(f"{source}: {group} point {i} has {len(point)} bytes, a compressed one has {size}")
        points.append(point)
    return b"".join(points)


def _powers_of_tau(source: Path, stream: BinaryIO, powers: int | None) -> _Found:
    length = source.stat().st_size
    match = next(((p, c) for p in range(1, 32) for c in (False, True) if file_bytes(p, c) == length), None)
    if match is None:
        raise FileError(
            f"{source}: no ceremony's file that is known here: neither JSON nor text, and {length} bytes are not the"
            " size of a powers-of-tau file over BLS12-381 or of one of Midnight's catalogue"
        )
    p, compressed = match
    available = (2 << p) - 1
    if powers is None:
        some = option("powers", str(1 << min(p, 16)))
        raise FileError(f"{source}: it has {available} powers: say how many to take, such as {some}")
    if powers > available:
        raise FileError(f"{source}: {option('powers', str(powers))}: it has {available}")
    g1_size, g2_size = (48, 96) if compressed else (96, 192)

    g2_start = HASH_BYTES + available * g1_size
    kind = "response (compressed points)" if compressed else "challenge (uncompressed points)"
    return _Found(
        layout=f"powers-of-tau {kind} of 2^{p}",
        available=available,
        compressed=compressed,
        powers=_read(source, stream, HASH_BYTES, powers * g1_size),
        g2=_read(source, stream, g2_start, g2_size),
        tau_g2=_read(source, stream, g2_start + g2_size, g2_size),
    )


def _read(source: Path, stream: BinaryIO, start: int, count: int) -> bytes:
    stream.seek(start)
    content = stream.read(count)
    if len(content) != count:
        raise FileError(f"{source}: ends early")
    return content


def _is_extended(source: Path, start: bytes) -> bool:
    k = int.from_bytes(start[:4], "little")
    return len(start) > 4 and 1 <= k <= EXTENDED_MOST and source.stat().st_size == extended_bytes(k)


def _extended(source: Path, stream: BinaryIO, powers: int | None) -> _Found:
    k = int.from_bytes(stream.read(4), "little")
    count = 1 << k if powers is None else powers
    if count > 1 << k:
        raise FileError(f"{source}: --powers {count}: it has {1 << k}")
    g2_start = extended_bytes(k) - 2 * G2_BYTES
    return _Found(
        layout=f"file of Midnight's catalogue of 2^{k} (powers and Lagrange form)",
        available=1 << k,
        compressed=False,
        powers=_read(source, stream, 4, count * G1_BYTES),
        g2=_read(source, stream, g2_start, G2_BYTES),
        tau_g2=_read(source, stream, g2_start + G2_BYTES, G2_BYTES),
        hash_name="sha256",
    )


def extended_bytes(k: int) -> int:
    """The size of a file of Midnight's catalogue."""
    return 4 + (2 * G1_BYTES << k) + 2 * G2_BYTES


def lagrange_form(path: str | Path) -> Points:
    """The Lagrange form in a file of Midnight's catalogue, curve and subgroup checked; FileError for another file."""
    source = Path(path)
    try:
        with source.open("rb") as stream:
            start = stream.read(1 << 12)
            if not _is_extended(source, start):
                raise FileError(f"{source}: not a file of Midnight's catalogue")
            size = G1_BYTES << int.from_bytes(start[:4], "little")
            content = _read(source, stream, 4 + size, size)
    except OSError as error:
        raise FileError(f"{source}: cannot be read ({error.strerror})") from error
    try:
        return Points.from_bytes(content)
    except ValueError as error:
        raise FileError(f"{source}: the Lagrange form: {error}") from error


def file_bytes(p: int, compressed: bool) -> int:
    """The size of a powers-of-tau file: a challenge, or (compressed) a response."""
    g1, g2 = (48, 96) if compressed else (96, 192)
    points = ((2 << p) - 1 + 2 * (1 << p)) * g1 + ((1 << p) + 1) * g2
    return HASH_BYTES + points + (PUBLIC_KEY_BYTES if compressed else 0)


def _hash(source: Path, name: str) -> str:
    if source.stat().st_size > MOST_HASHED:
        return ""
    with source.open("rb") as stream:
        return hashlib.file_digest(stream, name).hexdigest()
