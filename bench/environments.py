"""The peers, each from PyPI in an environment of its own under build/bench."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which

INSTALL_SECONDS = 600  # torch takes minutes


@dataclass(frozen=True)
class Peer:
    """An installed package: the Python that has it and its version, or why there is none."""

    python: Path
    version: str = ""
    failure: str = ""


@dataclass(frozen=True)
class System:
    """What a package needs of the system: shared libraries, programs, and the Debian packages that have them."""

    libraries: tuple[str, ...]
    programs: tuple[str, ...]
    packages: str

    @property
    def missing(self) -> list[str]:
        """Those that are not here."""
        return [name for name in self.libraries if not _loads(name)] + [p for p in self.programs if not which(p)]


def install(package: str, folder: Path, versions: str = "", system: System | None = None) -> Peer:
    """The environment of a package, made where it is missing; `versions` restricts which, as in "<2"."""
    python = folder / "bin" / "python"
    if system and system.missing:
        return Peer(python, failure=f"{package} needs Debian's {system.packages}: no {', '.join(system.missing)} here")
    try:
        if not python.exists():
            _run([sys.executable, "-m", "venv", folder])
        version = _version(python, package)
        if not version:
            _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package + versions])
            version = _version(python, package)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last = said.strip().splitlines()[-1][:160] if said.strip() else type(error).__name__
        return Peer(python, failure=f"{package} could not be installed: {last}")
    return Peer(python, version, "" if version else f"{package} could not be installed")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def _run(command: list[str | Path]) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
