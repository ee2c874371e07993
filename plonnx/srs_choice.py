"""Which SRS a circuit is set up with, which one a key needs, and what is said about it.

Two ceremonies come with plonnx: Ethereum's serves up to 2^12 powers, Midnight's 2^14; `plonnx srs fetch` brings more
of Midnight's, and the user may give a file. A development SRS is used where it is asked for and nowhere else. It is
kept in the user's cache; its secret is a published constant, so that keys are the same on every machine.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from plonnx.kzg import origin
from plonnx.kzg.cache import cache_folder
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import ETHEREUM, MAX_K, MIDNIGHT, SRS
from plonnx.kzg.wording import option

if TYPE_CHECKING:
    from plonnx.plonk.keys import VerifyingKey

SHIPPED_POWERS = MIDNIGHT.size  # the most that comes with plonnx
MOST_MADE = 20  # 2^20 powers, 100 MB: a key may be anybody's, and does not say how much of the disk it may fill


class UnsafeSetupWarning(UserWarning):
    """The setup's secret is known to somebody: proofs can be forged."""


class UnknownSetupWarning(UserWarning):
    """The setup is of no ceremony that plonnx knows: whether its secret is known to somebody, nobody here can say."""


def for_setup(k: int, path: str | Path | None = None, unsafe: bool = False) -> SRS:
    """The SRS to set up a circuit with that needs 2^k powers: a file's, a development SRS, or the smallest real one."""
    if path is not None:
        if unsafe:
            raise ValueError(f"{option('srs')} and {option('unsafe_srs')}: give one of them")
        return _from_file(path, k)
    if unsafe:
        return _development(k)
    if 1 << k <= ETHEREUM.size:
        return SRS.ethereum()
    return _midnight(k)


def for_key(vk: VerifyingKey, path: str | Path | None = None) -> SRS:
    """The SRS that a key was made with, by its [tau]_2: from `path`, a ceremony at hand, or the development SRS."""
    needed = vk.k + (vk.packing - 1).bit_length()
    if path is not None:
        srs = _from_file(path, needed)
        if srs.tau_g2 != vk.tau_g2:
            raise FileError(f"{path}: this is another SRS ({srs.name}) than the one of the key ({vk.srs})")
        return srs
    if vk.origin == origin.ETHEREUM:
        return SRS.ethereum()
    if vk.origin == origin.MIDNIGHT:
        return _midnight(needed)
    if vk.origin == origin.DEVELOPMENT:
        return _development(needed, MOST_MADE)
    raise FileError(f"the key was made with an SRS that is not here ({vk.srs}): give its file as {option('srs')}")


def warn(subject: SRS | VerifyingKey) -> None:
    """Warn of a setup that is unsafe, or unknown; called by what is public, once each time."""
    found = subject.origin
    if found.unsafe:
        said = f"{found.name}: anyone can forge proofs; for tests only"
        warnings.warn(said, UnsafeSetupWarning, stacklevel=3)
    elif not found.known:
        said = (
            f"{found.name}: no ceremony that plonnx knows. Whoever knows its secret can forge proofs: compare its hash"
            " or its [tau]_2 with what a ceremony published"
        )
        warnings.warn(said, UnknownSetupWarning, stacklevel=3)


def _from_file(path: str | Path, k: int) -> SRS:
    srs = SRS.load(path)
    if srs.size < 1 << k:
        raise FileError(f"{path}: this SRS has {srs.size} powers, the circuit needs 2^{k} = {1 << k}")
    return srs


def _midnight(k: int) -> SRS:
    """The smallest of the ceremony that is at hand and has 2^k powers."""
    if 1 << k <= MIDNIGHT.size:
        return SRS.midnight()
    from plonnx.kzg.fetch import SHA256, fetched

    srs = fetched(k)
    if srs is None:
        wanted = f"run plonnx srs fetch {k}" if k in SHA256 else f"give a ceremony's file as {option('srs')}"
        raise FileError(
            f"an SRS of 2^{k} powers is needed and none is here: {wanted}; for tests only, --unsafe-srs takes one with"
            " which anyone can forge proofs (unsafe_srs=True in Python)"
        )
    return srs


def _development(k: int, most: int = MAX_K) -> SRS:
    """The one of 2^k powers in the cache, or made and kept there where k is at most `most`."""
    if k > MAX_K:
        raise FileError(f"2^{k} powers are more than a development SRS has, 2^{MAX_K}")
    folder = cache_folder()
    path = Path() if folder is None else folder / f"development-{k}.srs"
    try:
        kept = SRS.load(path)
        if kept.origin == origin.DEVELOPMENT and kept.tau == origin.DEVELOPMENT_TAU and kept.size == 1 << k:
            return kept
    except FileError:
        pass  # made again
    if k > most:
        raise FileError(
            f"the key needs a development SRS of 2^{k} powers; for a key none of more than 2^{most} is made: give its"
            f" file as {option('srs')}"
        )
    made = SRS.development(k)
    if folder is None:
        return made
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made.save(path)
    except (OSError, FileError):  # a cache that cannot be written costs time, nothing else
        return made
    return SRS.load(path)
