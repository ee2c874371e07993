"""A Layout becomes a PLONK circuit: its fixed columns (layout/fixed.py) go into the gadgets' constraints.

The same declarations make the Circuit and, on a Tally, the counts that the cost model reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plonnx.gadgets import public, unit
from plonnx.gadgets.lanes import Lanes, distinct
from plonnx.gadgets.linear import border, check
from plonnx.gadgets.unit import UnitColumns
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import VIEWS, Layout
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Expression
from plonnx.plonk.keys import PublicTensor


def arithmetize(layout: Layout, name: str, tensors: list[PublicTensor]) -> Circuit:
    """The circuit of a layout; `tensors` are the layout's public tensors with their scales."""
    shape = layout.shape
    circuit = Circuit(shape.k, group=shape.group, name=name, packing=shape.packing)
    declare(circuit, Fixed(layout), shape.active_rows)
    circuit.tensors = tuple(tensors)
    circuit.public_bytes = layout.public_bytes
    circuit.active_rows = shape.active_rows
    return circuit


def declare(circuit: Circuit, fixed: Fixed, active_rows: int) -> None:
    """Declare every column and constraint of a layout."""
    layout = fixed.layout
    size, functions = layout.builder.table_size, layout.builder.functions
    extended = fixed.column("extended") if layout.extended else None
    units = unit.add_lanes(circuit, layout.shape.lanes, size, active_rows, extended, layout.signed(active_rows))
    lanes = Lanes(circuit, units, size, active_rows, fixed.column, functions, layout.builder.blocks)
    for rule in layout.rules:
        rule.constrain(lanes)
    _copies(circuit, layout, units)
    terms = border.add_columns(circuit, layout.border_lanes if len(fixed.borders) else 0)
    looked_up = bool(fixed.looked_up or fixed.asked)
    if np.any(fixed.steps) or np.any(fixed.turns) or looked_up:
        powers = check.add_powers(circuit, fixed.steps, fixed.turns, fixed.windows, layout.omega)
        if fixed.final or fixed.gathered or looked_up:
            sums = check.add(lanes, powers, terms, _linear_check(fixed))
            for rule in layout.rules:
                rule.look_up(lanes, sums)
        for words in fixed.words:
            public.add(lanes, powers, distinct(words.places), words.runs, words.positive, words.across)


def _copies(circuit: Circuit, layout: Layout, units: list[UnitColumns]) -> None:
    """What a copy takes equals its original: the value that its unit holds, or its positive part."""
    copied, (rows, lanes) = layout.copied, layout.unit_cells
    if not len(copied.rows):
        return
    source = copied.refs >> 1
    seen: dict[str, Callable[[UnitColumns], Expression]] = {
        "value": lambda unit: unit.value,
        "positive": lambda unit: unit.positive(),
        "taken": lambda unit: unit.taken,
        "rest": lambda unit: unit.c(),
    }
    views = [seen[view] for view in VIEWS]
    shape = len(VIEWS), len(VIEWS), len(units), len(units)
    of = np.ravel_multi_index((copied.into, copied.views, copied.lanes, lanes[source]), shape)
    counts = np.bincount(of)
    found = np.flatnonzero(counts)
    parts = np.split(np.argsort(of, kind="stable"), np.cumsum(counts[found])[:-1])
    for number, chosen in zip(found.tolist(), parts, strict=True):
        left, right, to, origin = np.unravel_index(number, shape)
        copy, original = views[left](units[to]), views[right](units[origin])
        circuit.copy(copy, copied.rows[chosen], original, rows[source[chosen]])


def _linear_check(fixed: Fixed) -> check.LinearCheck:
    return check.LinearCheck(
        weights=list(fixed.weights),
        beside=fixed.beside,
        holds=fixed.holds,
        readings=fixed.readings,
        squares=fixed.squares,
        carries=fixed.carries,
        stated_carries=fixed.stated_carries,
        accumulated=fixed.accumulated,
        asked=bool(fixed.asked),
        reads={spacing: (distinct(a), distinct(b)) for spacing, (a, b) in fixed.reads.items()},
        seconds=(distinct(fixed.seconds[0]), distinct(fixed.seconds[1])),
        gathered={spacing: distinct(masks) for spacing, masks in fixed.gathered.items()},
        final={spacing: distinct(masks) for spacing, masks in fixed.final.items()},
        totals=fixed.totals,
        borders=fixed.borders,
        hidden_bits=fixed.layout.builder.widths,
    )
