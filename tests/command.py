"""The command `plonnx` in a process of its own, forked from one that has imported what commands import: imports are
half of what a short command takes, and the tests run hundreds. tests/cli/test_readme.py runs it as a shell does."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_IMPORTED = ("onnx.reference", "onnxruntime", "sympy", "plonnx.cli.commands", "plonnx.compiler.ops")
_FORKS.set_forkserver_preload([*_IMPORTED, "plonnx.solidity.generator"])


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        record = json.loads(self.out)
        assert isinstance(record, dict)
        return record


def run(arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str]) -> Ran:
    """Its exit code, or minus a signal's number, and what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = _FORKS.Process(target=_main, args=(list(arguments), cwd or Path.cwd(), dict(environment), out, err))
        process.start()
        process.join(timeout=300)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"plonnx {' '.join(arguments)}")
        return Ran(process.exitcode, out.read_text(), err.read_text())


def _main(arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """In the child."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    from plonnx.cli.main import main

    sys.argv = ["plonnx", *arguments]
    sys.exit(main())
