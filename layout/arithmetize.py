"""A Layout becomes a PLONK circuit: its fixed columns (layout/fixed.py) go into the gadgets' constraints.

The same declarations make the Circuit and, on a Tally, the counts that the cost model reads.
"""

from __future__ import annotations

import numpy as np

from plonnx.gadgets import public, unit
from plonnx.gadgets.lanes import Lanes, distinct
from plonnx.gadgets.linear import border, check
from plonnx.gadgets.unit import UnitColumns
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import Layout
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Expression
from plonnx.plonk.keys import PublicTensor


def arithmetize(layout: Layout, name: str, tensors: list[PublicTensor]) -> Circuit:
    """The circuit of a layout; `tensors` are the layout's public tensors with their scales."""
    shape = layout.shape
    circuit = Circuit(shape.k, group=shape.group, name=name, packing=shape.packing)
    declare(circuit, Fixed(layout), shape.active_rows)
    circuit.tensors = tensors
    circuit.public_bytes = layout.public_bytes
    circuit.active_rows = shape.active_rows
    return circuit


def declare(circuit: Circuit, fixed: Fixed, active_rows: int) -> None:
    """Declare every column and constraint of a layout."""
    layout = fixed.layout
    size, functions = layout.builder.table_size, layout.builder.functions
    extended = fixed.column("extended") if layout.extended else None
    units = unit.add_lanes(circuit, layout.shape.lanes, size, active_rows, extended)
    lanes = Lanes(circuit, units, size, active_rows, fixed.column, functions)
    for rule in layout.rules:
        rule.constrain(lanes)
    _copies(circuit, layout, units)
    terms = border.add_columns(circuit, layout.border_lanes if len(fixed.borders) else 0)
    if np.any(fixed.steps):
        powers = check.add_powers(circuit, fixed.steps, fixed.windows, layout.omega)
        if fixed.alone or fixed.gathered:
            check.add(lanes, powers, terms, _linear_check(fixed))
        for words in fixed.words:
            public.add(lanes, powers, distinct(words.places), words.runs, words.positive, words.across)


def _copies(circuit: Circuit, layout: Layout, units: list[UnitColumns]) -> None:
    """What a copy takes equals its original: the value that its unit holds, or its positive part."""
    copied, (rows, lanes) = layout.copied, layout.unit_cells
    source = copied.refs >> 1
    views: dict[str, list[Expression]] = {
        "value": [unit.value for unit in units],
        "positive": [unit.a() for unit in units],
        "taken": [unit.taken for unit in units],
        "rest": [unit.c() for unit in units],
    }
    for into in sorted(set(copied.into.tolist())):
        for view in sorted(set(copied.views.tolist())):
            for to in range(len(units)):
                for origin in range(len(units)):
                    chosen = (copied.into == into) & (copied.views == view)
                    chosen &= (copied.lanes == to) & (lanes[source] == origin)
                    if np.any(chosen):
                        left, right = views[into][to], views[view][origin]
                        circuit.copy(left, copied.rows[chosen], right, rows[source[chosen]])


def _linear_check(fixed: Fixed) -> check.LinearCheck:
    return check.LinearCheck(
        weights=list(fixed.weights),
        holds=fixed.holds,
        readings=fixed.readings,
        signed=fixed.signed,
        carries=fixed.carries,
        accumulated=fixed.accumulated,
        reads=(distinct(fixed.reads[0]), distinct(fixed.reads[1])),
        gathered=distinct(fixed.gathered),
        alone=distinct(fixed.alone),
        totals=fixed.totals,
        borders=fixed.borders,
        hidden=fixed.layout.builder.hidden,
    )
