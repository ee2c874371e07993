"""How a defined column is filled from the two parts of its definition (plonk/circuit.py). Imports no sympy."""

from __future__ import annotations

from plonnx import _native

KINDS = ("ratio", "recurrence", "product")


def fill(kind: str, first: int, left: _native.Vec, right: _native.Vec, active: int) -> _native.Vec:
    """left / right on every row; or active + 1 values x_0 = first and x' = left x + right, x' = x left / right."""
    if kind == "ratio":
        return left.mul(right.inverse())
    left, right = left.slice(0, active), right.slice(0, active)
    if kind == "product":
        left, right = left.mul(right.inverse()), _native.Vec.zeros(active)
    return _native.affine_scan(first, left, right)
