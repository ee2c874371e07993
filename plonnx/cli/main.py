"""How the command ends: exit code 0 done, 1 failed or refused, 2 misuse, 130 interrupted; one line says why."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

INTERRUPTED = 130
_INTERRUPTION = "interrupted; no file was left half-written"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Nothing here or below shows a traceback unless PLONNX_TRACEBACK is set."""
    argv = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    # Before numpy is imported: threads of BLAS wait by spinning, on the cores that the kernels want.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(100_000, 50)  # a command makes few cycles; looking for them takes a tenth of its start
    signal.signal(signal.SIGTERM, _terminate)  # so that a half-written temporary file is removed
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code == INTERRUPTED:
        _abandon_work()
    return code


def _abandon_work() -> None:
    """End the process here and now where an interrupted kernel is still running (cli/worker.py)."""
    from plonnx.cli.worker import busy

    if busy():
        from plonnx.kzg.container import remove_unfinished  # loads numpy, which an interrupt may have left half-loaded

        remove_unfinished()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _run(argv: list[str]) -> int:
    try:
        from plonnx.cli.commands import run
        from plonnx.kzg.wording import speak_shell

        speak_shell()
        warnings.showwarning = _show_warning
        result = run(argv)
    except KeyboardInterrupt:
        return _fail(argv, _INTERRUPTION, INTERRUPTED)
    except (BrokenPipeError, SystemExit):
        raise
    except BaseException as error:  # a panic of the Rust crate is no Exception
        if os.environ.get("PLONNX_TRACEBACK"):
            traceback.print_exc()
        return _fail(argv, *_explain(error))
    if result == INTERRUPTED:  # a Ctrl-C that typer caught
        return _fail(argv, _INTERRUPTION, INTERRUPTED)
    return int(result or 0)


def _explain(error: BaseException) -> tuple[str, int]:
    """What to say about an exception, and the exit code."""
    import typer

    if isinstance(error, typer.Abort):
        return _INTERRUPTION, INTERRUPTED
    describe_misuse = getattr(error, "format_message", None)  # typer's usage errors
    if describe_misuse is not None:
        context = getattr(error, "ctx", None)  # of the command that was misused
        return f"{describe_misuse()} (see {context.command_path if context else 'plonnx'} --help)", 2
    if isinstance(error, MemoryError):
        return "out of memory", 1
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}", 1
    message = " ".join(str(error).split())
    if isinstance(error, ValueError):
        return message, 1
    return f"internal error: {type(error).__name__}: {message} (PLONNX_TRACEBACK=1 shows where)", 1


def _fail(argv: list[str], message: str, code: int) -> int:
    if "--json" in argv:
        from plonnx.cli.console import print_json

        command = next((word for word in argv if not word.startswith("-")), "")
        print_json({"command": command, "ok": False, "error": message})
    else:
        print(f"plonnx: {message}", file=sys.stderr)
    return code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    from plonnx.cli.console import Report

    Report.warn(str(message))
