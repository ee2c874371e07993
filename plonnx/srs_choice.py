"""Which SRS a circuit is set up with, and which one a key needs.

Ethereum's ceremony comes with plonnx and serves circuits of up to 2^12 rows. Beyond that the user gives a file; where
none is given, a development SRS is made once and kept in the user's cache, and every use of it says that it is unsafe.
Its secret is a published constant, so that keys are the same on every machine and never outlive their SRS.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from plonnx.kzg.container import FileError
from plonnx.kzg.curve import MODULUS
from plonnx.kzg.srs import ETHEREUM_SIZE, SRS, cache_folder
from plonnx.kzg.wording import option
from plonnx.plonk.keys import VerifyingKey

PUBLIC_TAU = (
    int.from_bytes(hashlib.sha512(b"plonnx development SRS: everyone knows this tau").digest(), "big") % MODULUS
)


class UnsafeSetupWarning(UserWarning):
    """A development SRS is in use: proofs can be forged."""


def for_setup(k: int, path: str | Path | None = None) -> SRS:
    """The SRS to set up a circuit of 2^k rows with (rows times columns per commitment)."""
    if path is not None:
        srs = _from_file(path, k)
    elif 1 << k <= ETHEREUM_SIZE:
        srs = SRS.ethereum()
    else:
        srs = _development(k)
    if srs.unsafe:
        warn_unsafe(srs.name)
    return srs


def for_key(vk: VerifyingKey, path: str | Path | None = None) -> SRS:
    """The SRS that a key was made with: from `path`, the ceremony that comes with plonnx, or the development SRS."""
    needed = vk.k + (vk.packing - 1).bit_length()
    if path is not None:
        srs = _from_file(path, needed)
        if srs.tau_g2 != vk.tau_g2:
            raise FileError(f"{path}: this is another SRS ({srs.name}) than the one of the key ({vk.srs})")
        return srs
    srs = _development(needed) if vk.unsafe_srs else SRS.ethereum()
    if srs.tau_g2 != vk.tau_g2:
        raise FileError(f"the key was made with an SRS that is not here ({vk.srs}): give its file as {option('srs')}")
    return srs


def warn_unsafe(name: str) -> None:
    """Say that an unsafe SRS is in use."""
    warnings.warn(
        f"{name}: proofs can be forged. For tests only; for real use give a ceremony's file as {option('srs')}",
        UnsafeSetupWarning,
        stacklevel=3,
    )


def _from_file(path: str | Path, k: int) -> SRS:
    srs = SRS.load(path)
    if srs.size < 1 << k:
        raise FileError(f"{path}: this SRS has {srs.size} powers, the circuit needs 2^{k} = {1 << k}")
    return srs


def _development(k: int) -> SRS:
    folder = cache_folder()
    if folder is None:
        return SRS.development(k, PUBLIC_TAU)
    path = folder / f"development-{k}.srs"
    try:
        return SRS.load(path)
    except FileError:
        made = SRS.development(k, PUBLIC_TAU)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made.save(path)
    except (OSError, FileError):  # a cache that cannot be written costs time, nothing else
        return made
    return SRS.load(path)
