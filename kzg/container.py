"""The file format of everything plonnx writes to disk: a versioned header, JSON metadata, raw arrays, a digest.

    magic "plonnx" | format version u16 | kind, 16 bytes | sha256 of the rest, 32 bytes | length of the JSON u64 |
    JSON | arrays

All integers little-endian. Arrays are C-contiguous, recorded as (name, dtype, shape) in the JSON, their bytes one
after another, each padded with zeros to 8 bytes. Loading runs no code, and refuses any other bytes than those that
`encode` gives for the same content. What fields may hold is said where they are read (kzg/record.py). Writing is
atomic: a temporary file beside the target, then a rename. Knows nothing of circuits.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import struct
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"plonnx"
VERSION = 4
"""One more whenever old files would be misread, or keys of before would not fit how circuits are laid out now."""
_OF_POINTS = dict.fromkeys(("lagrange", "points", "srs", "verified"), 1)
"""Versions of what follows no circuit: nobody fetches a setup again."""
ALIGNMENT = 8  # of the JSON's end and of every array, so that arrays are read in place
DTYPES = ("|u1", "|i1", "<i2", "<i4", "<i8")  # of arrays
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
DEEPEST = 200  # lists and objects in one another
MOST_AXES = 8
MOST_LINKS = 40  # as Linux
_HEADER = struct.Struct("<6sH16s32s")

Arrays = dict[str, NDArray[Any]]
Piece = bytes | memoryview
_unfinished: set[Path] = set()


class FileError(ValueError):
    """A file that is not what the command needs; the message is one line that names the file and the mend."""


def atomic_write(path: str | Path, content: bytes | Iterable[Piece]) -> None:
    """Write `content`, or its pieces one after another, to `path` or nothing at all.

    An interruption or a full disk leaves no half-written file.
    A symbolic link stays one: what it leads to is written, with the permissions that it has. What is no regular file
    (a device, a FIFO, /dev/stdout) takes the bytes as they come.
    """
    pieces = [content] if isinstance(content, bytes) else content
    try:
        target = _followed(Path(path))
        found = target.stat() if target.exists() else None
        number = _open_file(target)
        if number is not None or (found is not None and not stat.S_ISREG(found.st_mode)):
            sys.stdout.flush()
            with target.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as stream:
                stream.writelines(pieces)
            return
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        raise FileError(f"{path}: cannot write here ({error.strerror})") from error
    _unfinished.add(Path(temporary))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask if found is None else stat.S_IMODE(found.st_mode))
        Path(temporary).replace(target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise FileError(f"{path}: could not be written ({error.strerror}); nothing was left behind") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(Path(temporary))


def check_target(path: str | Path) -> None:
    """FileError where `atomic_write` could not write, said before the work whose result goes there."""
    try:
        target = _followed(Path(path))
        if target.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not target.parent.is_dir():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        special = _open_file(target) is not None or (target.exists() and not target.is_file())
        if not special and not os.access(target.parent, os.W_OK):  # a file is written beside it, and renamed
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise FileError(f"{path}: cannot write here ({error.strerror})") from error


def descriptor(path: str | Path) -> int | None:
    """The number of the open file that a name such as /dev/stdout, or a link to one, stands for; else None.

    Opening such a name anew would start at the front of the file that the shell redirects to.
    """
    return _open_file(_followed(Path(path)))


def _open_file(path: Path) -> int | None:
    number = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d{1,9})", str(path))
    return int(number[1]) if number else {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))


def _followed(path: Path) -> Path:
    """Where symbolic links lead, up to the name of an open file, which on Linux is a link too."""
    for _ in range(MOST_LINKS):
        if _open_file(path) is not None or not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def remove_unfinished() -> None:
    """Remove the temporary files of this process: for one that ends while a thread still writes."""
    for path in list(_unfinished):
        path.unlink(missing_ok=True)


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file, or a FileError of one line."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error


def encode(kind: str, meta: dict[str, Any], arrays: Arrays) -> bytes:
    """The canonical bytes of a container: equal content gives equal bytes."""
    return b"".join(encode_in_pieces(kind, meta, arrays))


def encode_in_pieces(kind: str, meta: dict[str, Any], arrays: Arrays) -> list[Piece]:
    """The same in pieces, arrays as they lie in memory: a large file is written without a copy of it."""
    records, blobs = [], list[Piece]()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")  # `ascontiguousarray` would give a scalar an axis
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        records.append([name, array.dtype.str, list(array.shape)])
        blobs += [array.reshape(-1).view(np.uint8).data, bytes(-array.nbytes % ALIGNMENT)]
    text = _canonical({"arrays": records, "meta": meta})
    body = [struct.pack("<Q", len(text)), text, *blobs]
    digest = hashlib.sha256()
    for piece in body:
        digest.update(piece)
    return [_HEADER.pack(MAGIC, _OF_POINTS.get(kind, VERSION), kind.encode(), digest.digest()), *body]


def is_made_of(content: bytes, pieces: Sequence[Piece]) -> bool:
    """Whether the pieces, one after another, are the content."""
    held, ends = np.frombuffer(content, np.uint8), list(accumulate(len(piece) for piece in pieces))
    return ends[-1:] == [len(content)] and all(
        np.array_equal(held[end - len(piece) : end], np.frombuffer(piece, np.uint8))
        for piece, end in zip(pieces, ends, strict=True)
    )


def decode(content: bytes, kind: str, source: str | Path) -> tuple[dict[str, Any], Arrays]:
    """The metadata and arrays of a container of `kind`; FileError says what is wrong with `source`."""
    if len(content) < _HEADER.size or content[: len(MAGIC)] != MAGIC:
        model = kind == "circuit" and str(source).endswith(".onnx")
        hint = ": compile the model, which writes one" if model else ""
        raise FileError(f"{source}: not a plonnx {kind} file{hint}")
    _, version, found, digest = _HEADER.unpack_from(content)
    found_kind = found.rstrip(b"\0").decode("ascii", "replace")
    if found_kind != kind:
        raise FileError(f"{source}: this is a plonnx {found_kind} file, a {kind} file is needed here")
    if version != (read := _OF_POINTS.get(kind, VERSION)):
        raise FileError(
            f"{source}: {kind} file of format version {version}; this plonnx reads version {read}: make it again"
        )
    body = memoryview(content)[_HEADER.size :]
    if hashlib.sha256(body).digest() != digest:
        raise FileError(f"{source}: the {kind} file is truncated or damaged (its digest does not fit): make it again")
    try:
        return _decode_body(body)
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:  # made by somebody else
        raise FileError(f"{source}: the {kind} file does not hold what it should ({error}): make it again") from error


def _decode_body(body: memoryview) -> tuple[dict[str, Any], Arrays]:
    """The one body that `encode` gives for what is returned: equal content has equal bytes, here too."""
    (length,) = struct.unpack_from("<Q", body)
    offset = 8 + length
    text = bytes(body[8:offset])
    if _depth(text) > DEEPEST:  # the parser recurses, and whoever runs us may have lifted Python's limit
        raise ValueError("its JSON is nested too deep")
    record = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(record, dict) or record.keys() != {"arrays", "meta"} or _canonical(record) != text:
        raise ValueError("its JSON is not in canonical form")
    arrays: Arrays = {}
    before = ""
    for name, dtype, shape in record["arrays"]:
        sizes = len(shape) <= MOST_AXES and all(type(size) is int and 0 <= size <= len(body) for size in shape)
        if dtype not in DTYPES or not sizes:
            raise ValueError("it has an array of a type or a shape that is not allowed")
        if not isinstance(name, str) or name <= before:
            raise ValueError("its arrays are not in the order of their names")
        count, before = math.prod(shape), name
        end = offset + count * np.dtype(dtype).itemsize
        padded = end + -end % ALIGNMENT
        if padded > len(body) or any(body[end:padded]):
            raise ValueError("its arrays do not fit its length")
        arrays[name] = np.frombuffer(body, dtype, count, offset).reshape(shape)
        offset = padded
    if offset != len(body):
        raise ValueError("something follows its last array")
    return record["meta"], arrays


def _depth(text: bytes) -> int:
    """How deep lists and objects are nested in a JSON text."""
    signs = np.frombuffer(_STRING.sub(b"", text), np.uint8)
    opened = np.isin(signs, list(b"[{")).astype(np.int32) - np.isin(signs, list(b"]}"))
    return int(np.cumsum(opened).max(initial=0))


def _canonical(record: dict[str, Any]) -> bytes:
    return _aligned(json.dumps(record, sort_keys=True, separators=(",", ":")).encode(), b" ")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"its JSON holds {name}")


def _aligned(content: bytes, filler: bytes) -> bytes:
    return content + filler * (-len(content) % ALIGNMENT)


def write_container(path: str | Path, kind: str, meta: dict[str, Any], arrays: Arrays) -> None:
    """Write a container atomically."""
    atomic_write(path, encode_in_pieces(kind, meta, arrays))


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """The same integers in the smallest signed dtype that holds them."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return values.astype(dtype)
    return values.astype(np.int64)
