"""Long work in a thread of its own, so that Ctrl-C is heard while a kernel runs.

An interrupted kernel cannot be stopped. The command unwinds without it, removes what it had not finished writing, and
`main` ends the process at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_STACK_BYTES = 64 << 20  # as generous as the main thread's, on every platform
_running: set[threading.Thread] = set()


def interruptible(work: Callable[[], T]) -> T:
    """What `work` returns or raises; a KeyboardInterrupt is raised here at once, and leaves `work` running."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # a panic of the Rust crate is no Exception
            errors.append(error)

    before = threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=run, daemon=True)
    _running.add(thread)
    try:
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    _running.discard(thread)
    if errors:
        raise errors[0]
    return results[0]


def busy() -> bool:
    """Whether interrupted work is still running."""
    return any(thread.is_alive() for thread in _running)
