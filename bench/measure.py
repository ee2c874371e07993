"""Runs one command in a process group of its own, bounded in time and memory; its seconds, peak memory and record.

The memory is that of the command's process, or with `tree` of all processes below it together, as sampled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.005  # stages of a third of a second are timed with it
_SAID = 400  # characters of a command's last line: any of plonnx's, not another tool's dump of a value


@dataclass(frozen=True)
class Measured:
    """How one command went. `record` is the JSON object it printed last; `failure` is empty where it worked."""

    seconds: float
    peak_bytes: int
    record: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


def machine_memory() -> int:
    """Bytes that are free to use now."""
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def measure(
    command: Sequence[str | Path],
    *,
    limit_seconds: float,
    limit_bytes: int,
    environment: Mapping[str, str] | None = None,
    tree: bool = False,
) -> Measured:
    """Run a command to its end or to a limit. Whatever it started is ended with it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=err, cwd=ROOT, env=environment, start_new_session=True
            )
        except OSError as error:
            return Measured(0.0, 0, failure=str(error))
        try:
            status, peak, stopped = _watch(process.pid, start + limit_seconds, limit_bytes, tree)
        except BaseException:
            _end(process.pid)
            raise
        seconds = time.perf_counter() - start
        process.returncode = status
        _end(process.pid)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    if stopped:
        limits = {"time": f"stopped after {limit_seconds:.0f} s", "memory": f"stopped at {limit_bytes / 1e9:.1f} GB"}
        return Measured(seconds, peak, failure=limits[stopped])
    record = _last_object(texts[0])
    if status == 0:
        return Measured(seconds, peak, record)
    lines = [line for line in texts[1].splitlines() if line.strip()]
    reason = record.get("error") or (lines[-1] if lines else f"exit code {status}")
    return Measured(seconds, peak, record, str(reason)[:_SAID])


def _watch(pid: int, deadline: float, limit_bytes: int, tree: bool) -> tuple[int, int, str]:
    """Exit code, peak memory, and which limit stopped it."""
    stopped, peak = "", 0
    while True:
        below = _below(pid) if tree else []
        peak = max(peak, _resident(pid, "VmHWM"), sum(_resident(p, "VmRSS") for p in (pid, *below)) if below else 0)
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), peak or usage.ru_maxrss * 1024, stopped
        if not stopped:
            stopped = "time" if time.perf_counter() > deadline else "memory" if peak > limit_bytes else ""
            if stopped:
                _end(pid)
                for one in below:  # some start groups of their own
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(one, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _below(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *_below(child)]
    return found


def _resident(pid: int, kind: str) -> int:
    """The resident set: VmRSS now, VmHWM the largest so far. wait4's would do, but counts what this process had when it
    forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{kind}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _last_object(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                return dict(json.loads(line))
    return {}
