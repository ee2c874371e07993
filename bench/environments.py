"""The peers, each from PyPI in an environment of its own under build/bench."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 240


@dataclass(frozen=True)
class Peer:
    """An installed package: the Python that has it and its version, or why there is none."""

    python: Path
    version: str = ""
    failure: str = ""


def install(package: str, folder: Path) -> Peer:
    """The environment of a package, made where it is missing."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            _run([sys.executable, "-m", "venv", folder])
        version = _version(python, package)
        if not version:
            _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
            version = _version(python, package)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last = said.strip().splitlines()[-1][:160] if said.strip() else type(error).__name__
        return Peer(python, failure=f"{package} could not be installed: {last}")
    return Peer(python, version, "" if version else f"{package} could not be installed")


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def _run(command: list[str | Path]) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
