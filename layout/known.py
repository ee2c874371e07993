"""What everybody knows of a hidden model's columns: where they hold a secret, and what stands everywhere else.

It follows from the layout alone. The registration (layout/registration.py) proves it of the committed columns: else a
value where the layout has no weight would be a hidden connection into other equations (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.layout.fixed import Fixed

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Known:
    """Of one hidden column, row by row; zeros beyond.

    secret: 1 where it holds a secret. value: what it holds elsewhere, 0 in the place of secrets. again: 1 where the
    next row holds the same secret again.
    """

    secret: NDArray[np.integer]
    value: Integers
    again: NDArray[np.integer]


def known_columns(fixed: Fixed) -> tuple[Known, ...]:
    """Of every hidden column of a layout, in order: the weight columns, then the bias column."""
    never = np.zeros(0, np.int8)
    weights = zip(fixed.secret_weights, fixed.known_weights, strict=True)
    columns = [Known(secret, value, never) for secret, value in weights]
    return *columns, Known(fixed.secret_bias, fixed.known_bias, fixed.repeated_bias)


@dataclass(frozen=True)
class Pattern:
    """Which fixed column of a registration says what of each hidden column; -1 where none is needed."""

    secret: tuple[int, ...]
    value: tuple[int, ...]
    again: tuple[int, ...]


def shared(known: Sequence[Known]) -> tuple[Pattern, list[Integers]]:
    """The pattern, and its columns: equal ones are one, all-zero ones of `value` and `again` are none."""
    columns: list[Integers] = []
    numbers: dict[bytes, int] = {}

    def number(column: NDArray[np.integer]) -> int:
        last = int(np.flatnonzero(column)[-1]) if np.any(column) else 0
        integers: Integers = column[: last + 1].astype(np.int64)
        key = integers.tobytes()
        if key not in numbers:
            numbers[key] = len(columns)
            columns.append(integers)
        return numbers[key]

    secret = tuple(number(column.secret) for column in known)
    value, again = (
        tuple(number(column) if np.any(column) else -1 for column in each)
        for each in ([c.value for c in known], [c.again for c in known])
    )
    return Pattern(secret, value, again), columns
