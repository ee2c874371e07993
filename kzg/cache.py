"""The user's cache: what takes seconds to compute and follows from an SRS, kept between commands.

Who reads an entry checks what it says (srs.py): the folder may be anyone's to write.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from plonnx.kzg.container import Arrays, FileError, decode, write_container


def cache_folder() -> Path | None:
    """Where computed points are kept: $PLONNX_CACHE, or plonnx in the platform's cache folder; None without a home."""
    chosen = os.environ.get("PLONNX_CACHE")
    if chosen:
        return Path(chosen)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "plonnx"
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "plonnx" / "cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plonnx"
    except RuntimeError:
        return None


def read_entry(entry: str, kind: str) -> dict[str, NDArray[Any]] | None:
    """The arrays of a cache entry; None where there is none, or where it is damaged (it is then made again)."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        meta, arrays = decode((folder / entry).read_bytes(), kind, entry)
    except (OSError, ValueError):
        return None
    return arrays if meta == {"entry": entry} else None


def keep_entry(entry: str, kind: str, arrays: Arrays) -> None:
    """Keep a cache entry where that is possible; a command never fails because its cache cannot be written."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_container(folder / entry, kind, {"entry": entry}, arrays)
    except (OSError, FileError):
        return
