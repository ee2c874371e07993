"""The witness of one inference: the phase 0 columns of a layout, and the border terms once chi is known. No sympy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets import unit
from plonnx.gadgets.builder import Execution
from plonnx.gadgets.gadget import Filled, Given, view
from plonnx.gadgets.linear import border
from plonnx.layout.fixed import Fixed
from plonnx.layout.place import Placed, present
from plonnx.layout.planner import Layout

Integers = NDArray[np.int64]


class Filler:
    """Fills the columns of one layout; what does not depend on the inference is computed once."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.fixed = layout, Fixed(layout)
        self.signed = layout.signed(layout.shape.active_rows)

    def advice(self, done: Execution) -> dict[str, Integers]:
        """The columns of one execution (one sample), by name."""
        taken, values, rest = self.cells(done)
        columns = unit.columns(taken, values, rest, self.layout.extended, self.signed)
        filled = self.filled(taken, values, rest)
        further = self.further(filled)
        for rule in self.layout.rules:
            columns |= rule.multiplicities(filled)
        own = list(further.values())
        columns |= unit.range_multiplicities(values, rest, filled.size, filled.active_rows, own, self.signed)
        return columns | further

    def filled(self, taken: Integers, values: Integers, rest: Integers) -> Filled:
        """What rules are told of such cells."""
        builder, active_rows = self.layout.builder, self.layout.shape.active_rows
        functions, gadgets, size = builder.functions, builder.blocks, builder.table_size
        return Filled(taken, values, rest, self.fixed.column, functions, gadgets, active_rows, size)

    def further(self, filled: Filled) -> dict[str, Integers]:
        """The columns of the cells that rules add to the lanes, by name."""
        return {name: column for rule in self.layout.rules for name, column in rule.cells(filled).items()}

    def cells(self, done: Execution) -> tuple[Integers, Integers, Integers]:
        """What each unit takes (q), holds (v) and leaves (c): [rows, lanes]."""
        taken, values, rest = (np.zeros((self.layout.rows, self.layout.shape.lanes), np.int64) for _ in range(3))
        for place in self.layout.places:
            if place.asks is not None:
                last = place.last_rows
                taken[last, 0] = values[last, 0] = _shown(done.values, place.asks.keys)
            for operand in place.operands if place.block is None else ():
                rows = place.rows_at(operand.take.row)
                taken[rows] = values[rows] = _shown(done.values, operand.refs)
            for at, held in enumerate(() if place.block is None else place.block.fill(self._given(place, done))):
                rows = place.rows_at(at)
                taken[rows], values[rows], rest[rows] = held
            if place.above is not None:  # in lanes of its own, though others' values may stand beside
                _, rows, lanes = present(place.above, place.above_rows)
                shown = _shown(done.values, _signed(place.above[place.above >= 0]))
                taken[rows, lanes] = values[rows, lanes] = shown
        return taken, values, rest

    def _given(self, place: Placed, done: Execution) -> Given:
        present = place.units >= 0
        own = np.maximum(place.units, 0)
        operands = tuple(
            _shown(done.values, operand.refs if operand.take.viewed else _signed(operand.refs))
            for operand in place.operands
        )
        values, sums = (np.where(present, of[0][own], 0) for of in (done.values, done.sums))
        block = place.block
        assert block is not None, "copies have no gadget"
        number = np.where(present, place.units - block.first, 0)

        def read() -> Integers:
            values: Integers = view(done.values, block.operands)[0]
            return values

        return Given(values, sums, operands, present, self.layout.builder.table_size, number, read)

    # Border terms ----------------------------------------------------------------------------------------------------

    def border_terms(self, done: Execution, chi: int) -> dict[str, _native.Vec]:
        """The columns of border terms, by name: every term where it stands in the rows of its border."""
        layout = self.layout
        columns = {border.name(lane): _native.Vec.zeros(layout.rows) for lane in range(layout.border_lanes)}
        for place in layout.places:
            if place.border is None or not len(place.border.rows):
                continue
            output = layout.places[place.border.output].block
            assert output is not None, "a border belongs to a layer"
            terms = _native.Vec.zeros(len(place.border.rows))
            for one, (positions, numbers) in zip(output.contributions, place.border.reached, strict=True):
                if len(positions):
                    made = border.terms(one, positions, view(done.values, one.x.reshape(-1))[0], chi)
                    where = np.full(len(terms), len(made))
                    where[numbers] = np.arange(len(made))
                    terms = terms.add(made.padded(len(made) + 1).take(where))
            padded = terms.padded(len(terms) + 1)
            for lane, column in enumerate(columns.values()):
                filled = np.full(len(place.border.starts), len(terms))
                here = place.border.lanes == lane
                filled[place.border.rows[here]] = np.flatnonzero(here)
                column.write_(place.row + 1, padded.take(filled))
        return columns

    def later(self, done: Execution, phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        """The free columns of a later phase, as plonk.prover.Witness asks for them."""
        return self.border_terms(done, scalars["chi"]) if phase == 1 and len(self.fixed.borders) else {}


def _shown(values: Integers, refs: Integers) -> Integers:
    """What refs [..] show in the first sample."""
    shown: Integers = view(values, refs.reshape(-1))[0].reshape(refs.shape)
    return shown


def _signed(refs: Integers) -> Integers:
    """The units' values, whatever view the refs show."""
    return np.where(refs < 0, -1, refs & ~1)
