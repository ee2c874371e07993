"""The README's own commands, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from plonnx.solidity.node import ToolError, find_anvil, find_solc
from tests.cli.conftest import Plonnx

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
NEEDS_NODE = ("verify-evm",)
PLACEHOLDERS = ("https://..", "0x..", "COMMAND", "FILE", "pip", "srs fetch")  # the last needs a network


def commands() -> list[list[str]]:
    """The lines that start with plonnx, without their comments."""
    lines = re.findall(r"^    (plonnx .*)$", README, flags=re.M)
    return [shlex.split(line, comments=True)[1:] for line in lines if not any(word in line for word in PLACEHOLDERS)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "circuits").symlink_to(ROOT / "circuits")
    return tmp_path


def test_commands(plonnx: Plonnx, clone: Path) -> None:
    found = commands()
    assert {"compile", "setup", "mock", "prove", "verify", "solidity", "calldata"} <= {words[0] for words in found}
    for words in found:
        if words[0] in NEEDS_NODE:
            try:
                find_anvil(), find_solc()
            except ToolError:
                continue
        ran = plonnx(*words, cwd=clone)
        assert ran.code == 0, (words, ran.err)


def test_python(clone: Path, cache: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    environment = {**os.environ, "PLONNX_CACHE": str(cache)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["2"], "the image is a 2"
    assert (clone / "model.proof").exists()
