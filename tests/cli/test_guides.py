"""The guides of docs/guides, run as they stand: their Python, and their commands, in one folder from top to bottom.

Each needs the libraries that it is about, which plonnx does not; where one is missing the guide is skipped.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.conftest import Plonnx

GUIDES = Path(__file__).parent.parent.parent / "docs" / "guides"
IMPORTED_AS = {"scikit-learn": "sklearn", "tensorflow-cpu": "tensorflow"}
COMMANDS = ("compile", "setup", "prove", "verify", "solidity", "calldata")


def blocks(guide: str) -> list[tuple[str, str]]:
    """The language and the code of each block."""
    return re.findall(r"```(python|sh)\n(.*?)```", (GUIDES / guide).read_text(), flags=re.S)


def needed(guide: str) -> list[str]:
    """The packages of the line that installs them."""
    (line,) = re.findall(r"^    pip install (.*)$", (GUIDES / guide).read_text(), flags=re.M)
    return str(line).split()


@pytest.mark.parametrize("guide", sorted(path.name for path in GUIDES.glob("*.md")))
def test_the_guide_works(guide: str, plonnx: Plonnx, tmp_path: Path) -> None:
    missing = [name for name in needed(guide) if find_spec(IMPORTED_AS.get(name, name)) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    for language, code in blocks(guide):
        if language == "sh":
            for line in code.strip().splitlines():
                ran = plonnx(*shlex.split(line)[1:], cwd=tmp_path)
                assert ran.code == 0, (line, ran.err)
            continue
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", sorted(path.name for path in GUIDES.glob("*.md")))
def test_the_guide_goes_to_the_contract(guide: str) -> None:
    """From the training script on, whatever is installed."""
    made = blocks(guide)
    assert made and made[0][0] == "python"
    for language, code in made:
        if language == "python":
            compile(code, guide, "exec")
    lines = [line for language, code in made if language == "sh" for line in code.strip().splitlines()]
    assert all(line.startswith("plonnx ") for line in lines)
    assert set(COMMANDS) <= {line.split()[1] for line in lines}
