"""Independent parts of one task, some at a time on the cores that there are, given back in their order.

What runs side by side is numpy or onnxruntime, which release Python's lock; each part is computed as it would be alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import chain, islice
from typing import TypeVar

from plonnx import _native

MOST = 8
"""Parts at a time: each holds memory of its own."""

Part = TypeVar("Part")
Made = TypeVar("Made")


def workers() -> int:
    """How many parts are worked on side by side."""
    return min(MOST, _native.thread_count())


def in_order(work: Callable[[Part], Made], parts: Iterable[Part]) -> Generator[Made, None, None]:
    """`work` on each part; an exception comes where its part would."""
    rest = iter(parts)
    first = list(islice(rest, 2))
    if len(first) < 2 or workers() < 2:
        yield from map(work, chain(first, rest))
        return
    with ThreadPoolExecutor(workers()) as pool:
        running: deque[Future[Made]] = deque()
        for part in chain(first, rest):
            running.append(pool.submit(copy_context().run, work, part))  # numpy's error state is of the context
            if len(running) == workers():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
