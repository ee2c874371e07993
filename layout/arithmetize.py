"""A Layout becomes a PLONK circuit: the fixed columns (layout/fixed.py) go into the gadgets' constraints."""

from __future__ import annotations

import numpy as np
import sympy

from plonnx.gadgets import function, linear_check, maximum, product, public, unit
from plonnx.gadgets.linear_check import LinearCheck
from plonnx.gadgets.unit import UnitColumns
from plonnx.layout.fixed import Fixed, distinct
from plonnx.layout.planner import Layout
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import PublicTensor


def arithmetize(layout: Layout, name: str, tensors: list[PublicTensor]) -> Circuit:
    """The circuit of a layout; `tensors` are the layout's public tensors with their scales."""
    shape, size, fixed = layout.shape, layout.builder.table_size, Fixed(layout)
    circuit = Circuit(shape.k, group=shape.group, name=name, packing=shape.packing)
    extended = fixed.extended if layout.gadgets else None
    units = unit.add_lanes(circuit, shape.lanes, size, shape.active_rows, extended)
    _gadgets(circuit, layout, fixed, units)
    _copies(circuit, layout, units)
    border = linear_check.add_border(circuit, layout.border_lanes if len(fixed.borders) else 0)
    lanes = linear_check.Lanes(circuit, circuit.challenge("psi", circuit.free_phase), units)
    if np.any(fixed.steps):
        powers = linear_check.add_powers(circuit, fixed.steps, fixed.windows, layout.omega)
        linear_check.add(circuit, lanes, size, powers, border, _linear_check(fixed))
        for words in fixed.words:
            public.add(circuit, lanes, powers, distinct(words.places), words.runs, words.positive, words.across)
    circuit.tensors = tensors
    circuit.public_bytes = layout.public_bytes
    circuit.active_rows = shape.active_rows
    return circuit


def _gadgets(circuit: Circuit, layout: Layout, fixed: Fixed, units: list[UnitColumns]) -> None:
    """Functions, maxima and products: gates on a lane's own rows."""
    builder = layout.builder
    if np.any(fixed.applied):
        function.add(circuit, units, builder.functions, fixed.applied, fixed.tags, layout.shape.active_rows)
    if np.any(fixed.maxima[0]):
        maximum.add(circuit, units, *fixed.maxima)
    if np.any(fixed.products[1]):
        product.add(circuit, units, builder.table_size, *fixed.products)


def _copies(circuit: Circuit, layout: Layout, units: list[UnitColumns]) -> None:
    """What a copy takes equals its original: the value that its unit holds, or its positive part."""
    copied, (rows, lanes) = layout.copied, layout.unit_cells
    source = copied["refs"] >> 1
    views: dict[str, list[sympy.Expr]] = {
        "value": [unit.value for unit in units],
        "positive": [sympy.sympify(unit.a()) for unit in units],
        "taken": [unit.taken for unit in units],
    }
    shown = layout.copied_views
    for view in sorted(set(shown.tolist())):
        for to in range(len(units)):
            for origin in range(len(units)):
                chosen = (shown == view) & (copied["lanes"] == to) & (lanes[source] == origin)
                if np.any(chosen):
                    left, right = views["taken"][to], views[view][origin]
                    circuit.copy(left, copied["rows"][chosen], right, rows[source[chosen]])


def _linear_check(fixed: Fixed) -> LinearCheck:
    builder = fixed.layout.builder
    return LinearCheck(
        weights=list(fixed.weights),
        holds=fixed.holds,
        readings=fixed.readings,
        carries=fixed.carries,
        reads=(distinct(fixed.reads[0]), distinct(fixed.reads[1])),
        gathered=distinct(fixed.gathered),
        summed=distinct(fixed.summed),
        totals=fixed.totals,
        borders=fixed.borders,
        operands=fixed.operands,
        bias=fixed.bias,
        hidden_bits=builder.widths,
    )
