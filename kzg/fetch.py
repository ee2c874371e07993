"""Larger setups: files of Midnight's catalogue, downloaded, checked and kept in the cache folder.

A file is known by its pinned sha256, wherever it comes from; its points are checked in full all the same. What is kept
is an SRS file of ours and the Lagrange form, which would take minutes to compute. A download that stopped leaves
midnight-K.part in the cache folder, and the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plonnx.kzg.cache import cache_folder
from plonnx.kzg.ceremonies import extended_bytes, import_srs, lagrange_form
from plonnx.kzg.container import FileError
from plonnx.kzg.origin import MIDNIGHT
from plonnx.kzg.srs import SRS

PUBLISHER = "https://srs.midnight.network/midnight-srs-2p{k}"
# MIDNIGHT_SRS_CATALOG.md of the repository midnightntwrk/midnight-trusted-setup, by k
SHA256 = {
    15: "724c7c3d779148bb113c7ee9c034b2f27db16e6bdf315fde90105a9bad00b1de",
    16: "09c877216d6589b370263e18af40a030a901b41a7a7c37ef58c9901db41f05c6",
    17: "4a9ef6c7c0619aab74eede44b13e753e3ba54508a02dd3b7106a949aabb73b74",
    18: "e8436dc5d8b598f169c127c745135d889744007e6d384ff126df8d1332522f86",
    19: "8e8dc15c4362f05c912f1e770559a3945db3e58a374def416ed5d3e65ad5b10e",
    20: "1cc62978558fdc1e445cd70cfd9a86ec3c2e2151b6d74811232d37faf9133ff1",
    21: "9cf1644a87f0f027ae5fc6278f91d823a6334ff3e338a29e2f2ef57d071ed64d",
    22: "e8ad5eed936d657a0fb59d2a55ba19f81a3083bb3554ef88f464f5377e9b2c2f",
    23: "09399d05f9f50875dfdd87dc9903d40c897eaafa9ec8cbb08bace853ecc36c0c",
    24: "b0e6fa7a4ab4a79a1e6560966f267556409db44bab6d5fab3711ad6c6b623207",
    25: "3289a751c938988cd2f54154d8722d1eda2cd11593064afdde82099b24ff4a58",
}
SILENCE_SECONDS = 30.0  # after which a server is given up
_CHUNK = 1 << 20
_TOLD_SECONDS = 2.0  # between two reports of progress

Progress = Callable[[str], None]


class _Interrupted(Exception):
    """The network's fault; the reason."""


@dataclass(frozen=True)
class Fetched:
    """An SRS of the cache folder, and whether it was there before."""

    srs: SRS
    path: Path
    already: bool


def fetch(k: int, source: str | Path | None = None, progress: Progress = lambda _: None) -> Fetched:
    """The SRS of 2^k powers of Midnight's ceremony, into the cache folder.

    `source` is a mirror's URL or a file, by default it comes from its publisher. FileError of one line for whatever
    goes wrong; what a download has brought so far is kept for the next one.
    """
    if k not in SHA256:
        sizes = f"K = {min(SHA256)} to {max(SHA256)}"
        raise FileError(f"plonnx srs fetch {k}: it brings 2^K powers, {sizes}; 2^14 come with plonnx")
    folder = _folder()
    path = _path(folder, k)
    found = _kept(folder, k)
    if found is not None:
        return Fetched(found, path, already=True)
    given = PUBLISHER.format(k=k) if source is None else str(source)
    if "://" in given:
        file = folder / f"midnight-{k}.part"
        _download(k, given, file, progress)
    else:
        file = Path(given)
    try:
        _check_digest(k, file, progress)
    except FileError:
        if "://" in given:  # it is complete, so what is wrong with it will not mend
            file.unlink(missing_ok=True)
        raise
    srs = _keep(k, file, path, progress)
    if "://" in given:
        file.unlink(missing_ok=True)
    progress(f"fetching 2^{k} powers")
    return Fetched(srs, path, already=False)


def fetched(k: int) -> SRS | None:
    """The smallest SRS that was fetched before and has 2^k powers or more."""
    folder = cache_folder()
    if folder is None:
        return None
    found = (_kept(folder, larger) for larger in sorted(SHA256) if larger >= k)
    return next((srs for srs in found if srs is not None), None)


def _path(folder: Path, k: int) -> Path:
    return folder / f"midnight-{k}.srs"


def _folder() -> Path:
    folder = cache_folder()
    if folder is None:
        raise FileError("there is no cache folder to keep an SRS in: name one in PLONNX_CACHE")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: the cache folder cannot be made ({error.strerror})") from error
    return folder


def _kept(folder: Path, k: int) -> SRS | None:
    """The SRS of 2^k powers in the cache folder; None where there is none, or something else under its name."""
    path = _path(folder, k)
    try:
        srs = SRS.load(path) if path.exists() else None
    except FileError:
        return None
    return srs if srs is not None and srs.origin == MIDNIGHT and srs.size == 1 << k else None


def _check_digest(k: int, file: Path, progress: Progress) -> None:
    progress(f"checking the sha256 of {file}")
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})") from error
    if digest != SHA256[k]:
        raise FileError(f"{file}: its sha256 is {digest}, that of the ceremony's 2^{k} powers is {SHA256[k]}")


def _keep(k: int, file: Path, path: Path, progress: Progress) -> SRS:
    """Check the points of a file of the catalogue, and keep what is needed of them."""
    progress(f"checking 2^{k} powers by pairings")
    srs = import_srs(file).srs
    if srs.origin != MIDNIGHT:
        raise FileError(f"{file}: this is {srs.name}, not {MIDNIGHT.name}")
    progress(f"checking 2^{k} points of the Lagrange form")
    points = lagrange_form(file)
    try:
        srs.keep_lagrange(points)
    except ValueError as error:
        raise FileError(f"{file}: {error}") from error
    srs.save(path)
    return srs


def _download(k: int, url: str, part: Path, progress: Progress) -> None:
    """Bring `part` to its full size."""
    if not url.startswith(("http://", "https://")):
        raise FileError(f"{url}: --from takes a URL (http:// or https://) or a file")
    size = extended_bytes(k)
    try:
        have = _held(part)
        if have > size:
            part.unlink()
        if have != size:
            _go_on(url, part, size, progress)
    except _Interrupted as reason:
        kept = _held(part)
        again = f"{_mb(kept)} of {_mb(size)} are kept, run the command again to go on; or " if kept else ""
        raise FileError(
            f"{url}: {reason}: {again}download {PUBLISHER.format(k=k)} by hand ({_mb(size)}) and give it with plonnx"
            f" srs fetch {k} --from FILE"
        ) from reason
    except OSError as error:
        raise FileError(f"{part}: could not be written ({error.strerror})") from error


def _go_on(url: str, part: Path, size: int, progress: Progress) -> None:
    """Download what is missing, or everything where the server knows no ranges."""
    have = _held(part)
    with _open(url, have) as answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            have = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise _Interrupted(f"the server does not go on from byte {have}")
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size - have:
            raise FileError(f"{url}: it is {have + int(announced)} bytes long where {size} are due: another file")
        told = 0.0
        with part.open("ab" if have else "wb", buffering=0) as stream:  # an interrupt loses nothing
            while have < size and (chunk := _read(answer, min(_CHUNK, size - have))):
                stream.write(chunk)
                have += len(chunk)
                if time.monotonic() > told + _TOLD_SECONDS:
                    told = time.monotonic()
                    progress(f"downloading {url}: {_mb(have)} of {_mb(size)}")
    if have < size:
        raise _Interrupted("the server ended early")


def _open(url: str, have: int) -> http.client.HTTPResponse:
    """The answer from byte `have` on; from the first where the server has fewer."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen  # loads ssl: only where something is downloaded

    headers = {"User-Agent": "plonnx", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        answer: http.client.HTTPResponse = urlopen(Request(url, headers=headers), timeout=SILENCE_SECONDS)
    except HTTPError as error:
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _open(url, 0)
        raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Interrupted(f"no answer ({getattr(error, 'reason', error)})") from error
    return answer


def _read(answer: http.client.HTTPResponse, count: int) -> bytes:
    try:
        return answer.read1(count)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error})") from error


def _held(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
