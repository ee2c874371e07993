"""Commands are measured with what they start, and ended with it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.measure import measure

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], start_new_session=True)"
ALLOCATE = "import time; held = bytes(1) * 60_000_000; time.sleep(0.3)"
MEBIBYTE = 1 << 20
LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


@LINUX
def test_memory_of_the_tree() -> None:
    command = [sys.executable, "-c", CHILD.format(code=ALLOCATE)]
    limits: dict[str, Any] = {"limit_seconds": 20.0, "limit_bytes": 1 << 33}
    assert measure(command, **limits).peak_bytes < 50 * MEBIBYTE
    assert measure(command, **limits, tree=True).peak_bytes > 60 * MEBIBYTE


@LINUX
def test_the_tree_ends(tmp_path: Path) -> None:
    late = tmp_path / "late"
    code = CHILD.format(code=f"import time; time.sleep(2); open({str(late)!r}, 'w')")
    stopped = measure([sys.executable, "-c", code], limit_seconds=0.7, limit_bytes=1 << 33, tree=True)
    assert stopped.failure == "stopped after 1 s"
    time.sleep(2)
    assert not late.exists()


@LINUX
def test_what_a_command_says_last_is_kept_whole() -> None:
    """plonnx's lines have some 200 characters; a footnote of the page ended in the midst of one."""
    line = "the key would take 62,861 bytes: " + "compile with --optimize gas or use the shared verifier " * 4
    failed = measure([sys.executable, "-c", f"exit({line!r})"], limit_seconds=20.0, limit_bytes=1 << 33)
    assert failed.failure == line
