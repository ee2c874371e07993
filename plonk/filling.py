"""How defined columns are filled from the parts of their definitions (plonk/circuit.py). Imports no sympy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plonnx import _native

FRACTIONS = "fractions"
KINDS = ("ratio", "recurrence", "product", FRACTIONS)
Filled = tuple[int, _native.Vec, _native.Fractions | None]


def parts(kind: str, number: int) -> int:
    """How many outputs a column takes of its level's program; `number` is that of the fractions, or the first value."""
    return 2 * number if kind == FRACTIONS else 2


def fill(columns: Sequence[tuple[int, str, int]], outputs: Sequence[_native.Vec], active: int) -> Iterator[Filled]:
    """Each column of a level: its number, its values on the active rows (a scan: and one more), and its fractions."""
    rest = iter(outputs)
    for index, kind, number in columns:
        own = [next(rest) for _ in range(parts(kind, number))]
        if kind == FRACTIONS:
            fractions = _native.Fractions(own[::2], own[1::2], active)
            yield index, fractions.sum(), fractions
        else:
            left, right = own
            values = _scanned(kind, number, left, right, active)
            yield index, values.slice(0, active + (kind != "ratio")), None


def _scanned(kind: str, first: int, left: _native.Vec, right: _native.Vec, active: int) -> _native.Vec:
    """left / right on every row; or active + 1 values x_0 = first and x' = left x + right, x' = x left / right."""
    if kind == "ratio":
        return left.mul(right.inverse())
    left, right = left.slice(0, active), right.slice(0, active)
    if kind == "product":
        left, right = left.mul(right.inverse()), _native.Vec.zeros(active)
    return _native.affine_scan(first, left, right)
