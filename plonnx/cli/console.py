"""What a command prints: numbers and JSON on stdout, progress and warnings on stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

if TYPE_CHECKING:
    from plonnx.statement import Statement, Tensors

QUIET_SECONDS = 1.0  # what is done sooner needs no progress
SAID_SECONDS = 10.0  # between two lines of how far work is, where there is no terminal
SHOWN_VALUES = 64  # larger arrays are abbreviated
_LARGE = 10**6  # whole numbers from here on are printed with all their digits


class Report:
    """The record of one run: its stages with their seconds, what it found, printed as text or as one JSON object.

    It goes to stdout; to stderr where stdout takes one of the files that are written, `targets`. A target that cannot
    be written is refused before the work begins.
    """

    def __init__(self, command: str, as_json: bool, *targets: Path | None) -> None:
        self.command = command
        self.as_json = as_json
        files = [target for target in targets if target is not None]
        self.stream = sys.stderr if any(map(_is_stdout, files)) else sys.stdout
        self.seconds: dict[str, float] = {}
        self.fields: dict[str, Any] = {}
        for file in files:
            _check_target(file)

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Ticker]:
        """Time a stage and show progress on stderr where it takes long."""
        start = time.perf_counter()
        with Ticker(doing) as ticker:
            yield ticker
        self.seconds[name] = round(time.perf_counter() - start, 4)

    def statement(self, statement: Statement) -> None:
        """Record the public inputs and outputs, the context and whether the setup is unsafe; print them."""
        self.fields["unsafe"] = statement.unsafe
        self.fields["inputs"] = {name: values.tolist() for name, values in statement.inputs.items()}
        self.fields["outputs"] = {name: values.tolist() for name, values in statement.outputs.items()}
        self.tensors("input", statement.inputs)
        self.tensors("output", statement.outputs)
        self.fields["context"] = "0x" + statement.context.hex()
        if any(statement.context):
            self.say(f"context {self.fields['context']}")

    def tensors(self, role: str, tensors: Tensors) -> None:
        """Print arrays compactly."""
        import numpy as np

        for name, values in tensors.items():
            whole = np.all(values == np.rint(values)) and np.abs(values).max(initial=0) >= _LARGE
            shown = values.astype(np.int64) if whole else values
            text = np.array2string(shown, precision=6, separator=", ", threshold=SHOWN_VALUES, max_line_width=100)
            self.say(f"{role} {name} {list(values.shape)}:")
            self.say("  " + text.replace("\n", "\n  "))

    def say(self, line: str) -> None:
        """A line of the result; nothing in JSON mode."""
        if not self.as_json:
            print(line, file=self.stream)

    def show(self, description: Mapping[str, Any]) -> None:
        """Record nested plain data, print it as indented lines, and end."""
        self.fields.update(description)
        for line in outline(description):
            self.say(line)
        self.finish()

    def written(self, **paths: Path) -> None:
        """What was written; a device or a pipe has no size."""
        sizes = {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
        self.fields["bytes"] = sizes
        for name, path in paths.items():
            self.say(f"wrote {path} ({sizes[name]} bytes)" if name in sizes else f"wrote {path}")

    @staticmethod
    def warn(message: str) -> None:
        """A warning on stderr."""
        print(f"warning: {message}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Print the JSON object, where that is what is wanted."""
        self._print(ok=True)

    def refuse(self, reason: str) -> NoReturn:
        """End with exit code 1: the work is done and the answer is no."""
        self.fields["error"] = reason
        self._print(ok=False)
        if not self.as_json:
            print(f"plonnx: {reason}", file=sys.stderr)
        raise typer.Exit(1)

    def _print(self, ok: bool) -> None:
        if self.as_json:
            record = {"command": self.command, "ok": ok, "seconds": self.seconds, **self.fields}
            print_json(record, self.stream)


def _is_stdout(target: Path) -> bool:
    from plonnx.kzg.container import descriptor

    return descriptor(target) == 1


def _check_target(target: Path) -> None:
    from plonnx.kzg.container import check_target

    check_target(target)


class Ticker:
    """Progress on stderr: a spinner with a clock on a terminal, a line at the start and the end elsewhere.

    Appears once the work has taken a second. Calling it replaces the text; `share` adds how much is left.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._start = time.perf_counter()
        self._lock = threading.Lock()
        self._timer = threading.Timer(QUIET_SECONDS, self._appear)
        self._timer.daemon = True
        self._live: Any = None  # rich.progress.Progress on a terminal
        self._lines = False
        self._done = False
        self._said = self._start

    def share(self, done: float) -> None:
        """Which share of the work is done, and so how much time is left."""
        now = time.perf_counter()
        with self._lock:
            if not 0.0 < done < 1.0:
                return
            text = f"{self._doing}: {done:.0%}, about {(now - self._start) * (1 / done - 1):.0f} s left"
            if self._live is not None:
                self._live.update(0, description=text)
            elif self._lines and now - self._said >= SAID_SECONDS:
                self._said = now
                self._line(text)

    def __call__(self, doing: str) -> None:
        with self._lock:
            self._doing = doing
            if self._live is not None:
                self._live.update(0, description=doing)
            elif self._lines:
                self._line(f"{doing} ..")

    def __enter__(self) -> Ticker:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._done = True
            if self._live is not None:
                self._live.stop()
            if (self._live is not None or self._lines) and kind is None:
                self._line(f"{self._doing}: {time.perf_counter() - self._start:.1f} s")

    def _appear(self) -> None:
        with self._lock:
            if self._done:
                return
            if not sys.stderr.isatty():
                self._lines = True
                self._line(f"{self._doing} ..")
                return
            from rich.console import Console
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
            self._live = Progress(*columns, console=Console(stderr=True), transient=True)
            self._live.add_task(self._doing, total=None)
            self._live.start()

    @staticmethod
    def _line(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def print_json(record: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """One object on stdout. Numbers that JSON does not have do not occur: integers and finite reals only."""
    print(json.dumps(record, allow_nan=False), file=stream)


def outline(record: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Nested plain data as indented lines; a list of records becomes a table. Below the top, None is left out."""
    shown = {key: value for key, value in record.items() if value is not None or not indent}
    width = max((len(key) for key in shown), default=0)
    for key, value in shown.items():
        label = f"{indent}{key.replace('_', ' '):{width}}"
        if isinstance(value, Mapping):
            yield label.rstrip()
            yield from outline(value, indent + "  ")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            yield label.rstrip()
            yield from _table(value, indent + "  ")
        else:
            yield f"{label}  {_plain(value)}"


def _table(rows: Sequence[Mapping[str, Any]], indent: str) -> Iterator[str]:
    header = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    cells = [header] + [
        ["-" if row.get(key, "") is None else _plain(row.get(key, "")) for key in header] for row in rows
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        yield indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value) or "-"
    return str(value)
