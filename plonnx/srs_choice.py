"""Which SRS a circuit is set up with, and which one a key needs.

Ethereum's ceremony comes with plonnx and serves circuits of up to 2^12 rows. Beyond that the user gives a file; where
none is given, a development SRS is made once, kept in the user's cache, and every use of it says that it is unsafe.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from plonnx.kzg.container import FileError
from plonnx.plonk.keys import VerifyingKey

if TYPE_CHECKING:
    from plonnx.kzg.srs import SRS

ETHEREUM_K = 12


class UnsafeSetupWarning(UserWarning):
    """A development SRS is in use: whoever made it could forge proofs."""


def cache_folder() -> Path:
    """Where development SRS files are kept: $PLONNX_CACHE, else the user's cache folder."""
    chosen = os.environ.get("PLONNX_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plonnx"


def for_setup(k: int, path: str | Path | None = None) -> SRS:
    """The SRS to set up a circuit of 2^k rows with."""
    from plonnx.kzg.srs import SRS

    if path is not None:
        srs = SRS.load(path)
        _check_size(srs, k, str(path))
    elif k <= ETHEREUM_K:
        srs = SRS.ethereum()
    else:
        srs = _development(k)
    if srs.unsafe:
        warn_unsafe(srs.name)
    return srs


def for_key(vk: VerifyingKey, path: str | Path | None = None) -> SRS:
    """The SRS that a key was made with: from `path`, the embedded ceremony or the cache."""
    from plonnx.kzg.srs import SRS

    if path is not None:
        srs = SRS.load(path)
        if srs.tau_g2 != vk.tau_g2:
            raise FileError(f"{path}: this is the SRS {srs.name}; the key was made with {vk.srs}")
        _check_size(srs, vk.k, str(path))
        return srs
    ethereum = SRS.ethereum()
    if ethereum.tau_g2 == vk.tau_g2:
        return ethereum
    cached = _cached(vk.k)
    if cached.exists():
        srs = SRS.load(cached)
        if srs.tau_g2 == vk.tau_g2:
            return srs
    raise FileError(f"the key was made with the SRS {vk.srs}, which is not here: give its file with --srs FILE")


def warn_unsafe(name: str) -> None:
    """Say that an unsafe SRS is in use."""
    warnings.warn(
        f"UNSAFE development SRS {name}: whoever made it can forge proofs. For tests only; for real use give a ceremony"
        " file with --srs FILE",
        UnsafeSetupWarning,
        stacklevel=3,
    )


def _cached(k: int) -> Path:
    return cache_folder() / f"development-{k}.srs"


def _development(k: int) -> SRS:
    from plonnx.kzg.srs import SRS

    path = _cached(k)
    if path.exists():
        return SRS.load(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{path.parent}: cannot be made ({error.strerror}); set PLONNX_CACHE to another folder"
        ) from error
    srs = SRS.development(k)
    srs.save(path)
    return srs


def _check_size(srs: SRS, k: int, source: str) -> None:
    if srs.size < 1 << k:
        raise FileError(f"{source}: this SRS has {srs.size} powers, the circuit has 2^{k} = {1 << k} rows")
