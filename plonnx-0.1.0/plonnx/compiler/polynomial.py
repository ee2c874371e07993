"""Functions that are polynomials of the second degree: the gate that may take their table's place.

A table of x^2 + x over 2^17 arguments is 32 columns of multiplicities on 2^12 rows; the gate (gadgets/quadratic.py)
costs a cell and a lookup a lane at most. But a table ends where its function was calibrated, a gate does not: so a
function is replaced only where it is the polynomial for every argument at all whose value a unit could show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt

import numpy as np

from plonnx.compiler.graph import Array
from plonnx.gadgets import Builder, Function
from plonnx.gadgets.again import again
from plonnx.gadgets.gadget import Gadget, Integers
from plonnx.gadgets.quadratic import Quadratic

MOST_ARGUMENTS = 1 << 21  # that are looked at


def as_polynomial(function: Function, reals: Callable[[Integers], Array], size: int) -> Function:
    """The function with its polynomial, where it is one; `reals` are its values at integers, before rounding.

    Nothing is fitted: coefficients are those of three points, integers over T, and every argument is compared.
    """
    with np.errstate(all="ignore"):
        before, at, after = (reals(np.arange(-1, 2)) * size).tolist()
    parts = (before + after) / 2 - at, (after - before) / 2, at
    if not all(abs(part) < 1 << 40 and part == int(part) for part in parts) or not parts[0]:
        return function
    found = Quadratic(function.name, function.low, function.high, *map(int, parts))
    table = found(function.low + np.arange(len(function.values)), size)
    same = np.array_equal(table, function.values) and _is(found, reals, size)
    return replace(function, polynomial=found) if same else function


def _is(polynomial: Quadratic, reals: Callable[[Integers], Array], size: int) -> bool:
    """Whether a function has the polynomial's value wherever that lies within T."""
    a, b, c = map(abs, polynomial.coefficients)
    farthest = (b + isqrt(b * b + 4 * a * (size * (size + 1) + c))) // (2 * a) + 1  # beyond, |a x^2 + b x + c| > T^2
    if 2 * farthest >= MOST_ARGUMENTS:
        return False
    x = np.arange(-farthest, farthest + 1)
    exact = polynomial(x, size)
    shown = np.abs(exact) < size
    with np.errstate(all="ignore"):
        return bool(np.all(np.floor(reals(x) + 0.5)[shown] == exact[shown]))


def with_polynomials(builder: Builder) -> Builder | None:
    """The same gadgets with gates for tables, where some can have them.

    None also where the wider intervals that come with gates are more than another gadget takes, and for steps.
    """
    joined = {id(block.applies) for block in builder.blocks if block.equations}
    gates = {id(f): f.polynomial for f in builder.functions if f.polynomial is not None}
    gates = {number: gate for number, gate in gates.items() if gate.integral or number not in joined}
    if not gates or builder.parts:
        return None

    def gated(block: Gadget) -> Gadget:
        gate = gates.get(id(block.applies))
        return block if gate is None else replace(block, function=gate)  # type: ignore[call-arg]

    blocks = [gated(block) for block in builder.blocks]
    try:
        outputs = again(builder, blocks).outputs
    except ValueError:
        return None
    return replace(builder, blocks=blocks, outputs=outputs)
