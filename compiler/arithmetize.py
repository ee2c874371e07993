"""A Layout becomes a PLONK circuit: the fixed columns' integers row by row, then the gadgets' constraints over them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.layout import Layout, Place
from plonnx.gadgets import linear_check, public, unit
from plonnx.gadgets.blocks import Linear, Sum
from plonnx.gadgets.linear_check import DenseLayer, LinearCheck
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import PublicTensor

Integers = NDArray[np.int64]


def arithmetize(layout: Layout, name: str, tensors: list[PublicTensor]) -> Circuit:
    """The circuit of a layout; `tensors` are the layout's public tensors with their scales."""
    shape, size = layout.shape, layout.builder.table_size
    circuit = Circuit(shape.k, group=shape.group, name=name, packing=shape.packing)
    units = unit.add_lanes(circuit, shape.lanes, size, shape.active_rows)
    _copies(circuit, layout, units)
    for name_of in ("chi", "psi"):
        circuit.challenge(name_of)
    step = _step(layout)
    if np.any(step):
        powers = linear_check.add_powers(circuit, step)
        linear_check.add(circuit, units, size, powers, _linear_check(layout))
        for positive in (False, True):
            runs = [run for _, run, view in layout.runs if view == positive]
            public.add(circuit, units, powers, _word_places(layout, positive), runs, positive)
    _repeat(circuit, layout, units)
    circuit.tensors = tensors
    circuit.public_bytes = layout.public_bytes
    return circuit


def _copies(circuit: Circuit, layout: Layout, units: list[unit.UnitColumns]) -> None:
    """Copied units equal their originals: a with a, b with b."""
    if not layout.sources:
        return
    lanes = layout.shape.lanes
    position = np.full(layout.extra_units, -1, np.int64)
    for place in layout.places:
        rows = place.value_rows
        for depth, grid in enumerate([place.units, *place.above]):
            at = (rows - depth)[:, None] * lanes + np.arange(grid.shape[1])
            present = grid >= 0
            position[grid[present]] = at[present]
    copies, originals = position[np.concatenate(layout.sources, axis=1)]
    for to in range(lanes):
        for source in range(lanes):
            chosen = (copies % lanes == to) & (originals % lanes == source)
            if np.any(chosen):
                for part in ("a", "b"):
                    left, right = getattr(units[to], part), getattr(units[source], part)
                    circuit.copy(left, copies[chosen] // lanes, right, originals[chosen] // lanes)


def _step(layout: Layout) -> Integers:
    """1 on the rows after which P takes its next power: equations, and the last rows of public words."""
    step = np.zeros(layout.rows, np.int64)
    for place in layout.places:
        rows = place.value_rows
        if place.summed:
            step[rows] = 1
        elif place.claims:
            step[rows[place.per_word - 1 :: place.per_word]] = 1
            step[rows[-1]] = 1
    return step


def _word_places(layout: Layout, positive: bool) -> Integers:
    shifts = np.zeros(layout.rows, np.int64)
    for place, run, view in layout.runs:
        if view == positive:
            shifts[place.value_rows] = 1 + run.width * (place.per_word - 1 - np.arange(place.height) % place.per_word)
    return shifts


def _repeat(circuit: Circuit, layout: Layout, units: list[unit.UnitColumns]) -> None:
    """Where a one-lane place is read as several equal rows, its lanes are equal."""
    marks = np.zeros(layout.rows, np.int64)
    for place in layout.places:
        if place.repeated:
            marks[place.value_rows] = 1
    if np.any(marks):
        repeated = circuit.fixed("repeated", marks)
        for left, right in pairwise(units):
            for part in ("a", "b"):
                one, other = getattr(left, part), getattr(right, part)
                circuit.gate(f"{other.name} repeats {one.name}", repeated() * (one() - other()))


def _linear_check(layout: Layout) -> LinearCheck:
    columns, rows = layout.shape.weight_columns, layout.rows
    readers = [(place, place.reader) for place in layout.places if place.reader]
    weights = np.zeros((columns, rows), np.int64) if readers else np.zeros((0, 0), np.int64)
    hold, bias = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    layers = []
    for place, reader in readers:
        blocks = _place_weights(weights, place, reader.block)
        for block in range(1, blocks):
            hold[place.value_rows - block] = 1
        layers.append(DenseLayer(place.value_rows, reader.output.exponent, reader.positive))
    operands = np.zeros((2, rows), np.int64)
    summed = np.zeros(rows, np.int64)
    for place in layout.places:
        if isinstance(place.block, Linear | Sum):
            summed[place.value_rows] = 1
        if isinstance(place.block, Linear) and place.block.bias is not None:
            bias[place.value_rows] = place.block.bias
        if isinstance(place.block, Sum):
            _place_operands(operands, bias, place, place.block)
    empty = np.zeros(0, np.int64)
    return LinearCheck(
        weights=list(weights),
        hold=hold if np.any(hold) else empty,
        layers=layers,
        operands=(operands[0], operands[1]) if np.any(operands) else (empty, empty),
        summed=summed,
        bias=bias if np.any(bias) or layout.builder.hidden else empty,
        hidden=layout.builder.hidden,
    )


def _place_weights(weights: Integers, place: Place, block: Linear) -> int:
    """Input j's weights in the rows that end in its value row, the first C outputs in the value row itself."""
    columns = len(weights)
    inner, outputs = block.weights.shape
    blocks: int = -(-outputs // columns)
    padded = np.zeros((inner, blocks * columns), np.int64)
    padded[:, :outputs] = block.weights
    for number in range(blocks):
        weights[:, place.value_rows - number] = padded[:, number * columns : (number + 1) * columns].T
    return blocks


def _place_operands(operands: Integers, bias: Integers, place: Place, block: Sum) -> None:
    local = place.units[:, 0] - block.first
    for depth, (term, coefficient) in enumerate(zip(block.terms, block.coefficients, strict=True), start=1):
        at = place.value_rows - depth
        operands[0, at] = coefficient
        operands[1, at] = np.where(term[local] & 1, 0, coefficient)
    if block.constant is not None:
        bias[place.value_rows] = block.constant[local]
