"""Runs one command in a process of its own; its seconds, its peak memory and what it printed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """How one command went. `record` is the JSON object it printed last; `failure` is empty where it worked."""

    seconds: float
    peak_bytes: int
    record: dict[str, Any]
    failure: str = ""


def measure(command: Sequence[str | Path], *, limit_seconds: float, limit_bytes: int | None = None) -> Measured:
    """Run a command to its end or to a limit."""

    def set_limits() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err, preexec_fn=set_limits)  # noqa: PLW1509
        status, usage = _wait(process.pid, start + limit_seconds)
        seconds = time.perf_counter() - start
        process.returncode = status
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    peak = usage.ru_maxrss * 1024
    if seconds >= limit_seconds:
        return Measured(seconds, peak, {}, f"not done after {limit_seconds:.0f} s")
    record = _last_object(texts[0])
    if status != 0:
        lines = texts[1].strip().splitlines()
        reason = record.get("error") or (lines[-1] if lines else f"exit code {status}")
        return Measured(seconds, peak, record, str(reason)[:200])
    return Measured(seconds, peak, record)


def _wait(pid: int, deadline: float) -> tuple[int, resource.struct_rusage]:
    killed = False
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), usage
        if time.perf_counter() > deadline and not killed:
            os.kill(pid, 9)
            killed = True
        time.sleep(0.005)


def _last_object(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            return found if isinstance(found, dict) else {}
    return {}
