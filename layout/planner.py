"""Layout: where the units of a Builder lie in rows and lanes.

A *place* holds a tensor as runs of rows, one run a channel, `height` value rows of L lanes each (layout/geometry.py
says which position stands where). What depends on the model alone is found once (layout/positions.py, sources.py), what
on the lanes once for these (parts.py); the draft gives every gadget its place (draft.py), which then gets its rows
(rows.py). Deterministic: the same builder and shape give the same circuit. layout/arithmetize.py makes the PLONK
circuit from it, layout/witness.py fills the columns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Rule
from plonnx.gadgets.unit import signed_is_less
from plonnx.layout import geometry
from plonnx.layout.draft import Draft
from plonnx.layout.parts import Parts
from plonnx.layout.place import Place, Placed, present
from plonnx.layout.positions import Positions
from plonnx.layout.rows import assign
from plonnx.layout.shape import Shape
from plonnx.layout.sources import Sources
from plonnx.plonk.keys import Run

Integers = NDArray[np.int64]
Numbers = NDArray[np.int8]
VIEWS = ("value", "positive", "taken", "rest")
"""What is seen of a unit's cells: v, a, q, c."""
_VALUE, _POSITIVE, _TAKEN, _ = range(len(VIEWS))


class Copied(NamedTuple):
    """Copied cells: rows and lanes of the copies, the refs of the originals, the view of these and of what takes them.

    views, into: numbers of VIEWS, of the original's cells and of the copy's.
    """

    rows: Integers
    lanes: Integers
    refs: Integers
    views: Numbers
    into: Numbers


class Layout:
    """The placement of a builder for a shape.

    like: a layout of the same builder, whose draft is taken where this one's is the same: it follows from the lanes and
    from `chosen`, and most numbers of weight columns choose alike; what differs has most of its parts in common.
    """

    def __init__(self, builder: Builder, shape: Shape, like: Layout | None = None) -> None:
        self.builder, self.shape = builder, shape
        self.reads_parts: bool = builder.reads_parts if like is None else like.reads_parts
        given = shape.lanes, shape.copying, bool(shape.apart)
        if like is None or (like.shape.lanes, like.shape.copying, bool(like.shape.apart)) != given:
            sources = Sources(builder.blocks) if like is None else like.parts.sources
            parts, draft = Parts(builder, sources, *given), None
        else:
            parts, draft = like.parts, like.draft
        chosen = parts.chosen(shape.weight_columns)
        self.parts: Parts = parts
        self.positions: Positions = parts.positions
        self.draft: Draft = Draft(parts, chosen) if draft is None or draft.chosen != chosen else draft
        self.tensors = self.draft.tensors
        self.places, self.loose, self.rows = assign(self.draft, shape.weight_columns)
        self.runs = [
            (self.places[number], self._with_powers(self.places[number], run, across), positive, across)
            for number, run, positive, across in self.draft.stated
        ]

    @property
    def public_bytes(self) -> int:
        """The bytes of all public tensors."""
        return sum(tensor.count * tensor.width for tensor in self.tensors)

    def signed(self, active_rows: int) -> bool:
        """Whether units are of signed cells: who reads what of them decides, and what is less in so many rows."""
        return not self.reads_parts and signed_is_less(self.shape.lanes, self.builder.table_size, active_rows)

    @cached_property
    def extended(self) -> bool:
        """Whether some gadget frees e, so that the lanes have it."""
        return any(block.frees for block in self.builder.blocks)

    @cached_property
    def extended_rows(self) -> NDArray[np.bool_]:
        """The rows on which some gadget frees e."""
        marked = np.zeros(self.rows, bool)
        for place in self.places:
            for at in () if place.block is None else place.block.frees:
                marked[place.rows_at(at)] = True
        return marked

    @cached_property
    def rules(self) -> list[type[Rule]]:
        """The constraints of all gadgets, each once, in order of first use."""
        return list(dict.fromkeys(rule for block in self.builder.blocks for rule in block.rules))

    @cached_property
    def omega(self) -> int:
        """A power of psi beyond every position."""
        return self.positions.omega(self.shape.lanes)

    @property
    def border_lanes(self) -> int:
        """The border terms of a row."""
        return geometry.border_lanes(self.shape.lanes)

    def border_linear(self, place: Place) -> Integers:
        """The linear position of the last lane on a border place's rows after the first (Positions.border)."""
        assert place.border is not None
        return self.positions.border(place, self.places[place.border.output])

    def _with_powers(self, place: Placed, run: Run, across: bool) -> Run:
        """The run with its powers; until now `exponent` held its first value row and `power` its lane.

        Lanes' positions descend, as Horner's rule takes them.
        """
        exponent = place.exponent + (run.exponent if across or place.equations else 0)
        power = (0 if across else self.shape.lanes - 1 - run.power) + self.psi_power(place)
        return replace(run, exponent=exponent, power=power)

    def psi_power(self, place: Placed) -> int:
        """The power of psi in P on a place's first run."""
        return place.window * self.omega + place.turns

    @cached_property
    def unit_cells(self) -> tuple[Integers, Integers]:
        """The row and the lane of every unit of the builder."""
        rows, lanes = np.zeros((2, self.builder.unit_count), np.int64)
        for place in self.places:
            if place.block is not None:
                units, at, lane = present(place.units, place.value_rows)
                rows[units], lanes[units] = at, lane
        return rows, lanes

    @cached_property
    def shown(self) -> Numbers:
        """For every unit, the view of its cells that is its value."""
        views = np.full(self.builder.unit_count, _TAKEN, np.int8)
        for block in self.builder.blocks:
            views[block.first : block.first + block.count] = VIEWS.index(block.gives)
        return views

    @cached_property
    def copied(self) -> Copied:
        """All copied cells."""
        parts = [np.zeros((4, 0), np.int64)]
        for place in self.places:
            for operand in place.operands:
                refs, rows, lane = present(operand.refs, place.rows_at(operand.take.row))
                into = np.full(len(rows), VIEWS.index(operand.take.into))
                parts.append(np.stack([rows, lane, refs if operand.take.viewed else refs & ~1, into]))
            if place.above is not None:
                refs, rows, lane = present(place.above, place.above_rows)
                parts.append(np.stack([rows, lane, refs & ~1, np.full(len(rows), _TAKEN)]))
            if place.asks is not None:
                keys, (zeros, into) = place.asks.keys, np.full((2, place.runs), [[0], [_TAKEN]])
                parts.append(np.stack([place.last_rows, zeros, keys, into]))
        rows, lanes, refs, into = np.concatenate(parts, axis=1)
        views = np.where(refs & 1 == 1, _POSITIVE, self.shown[refs >> 1])
        return Copied(rows, lanes, refs, *self._with_few_views(rows, lanes, refs, views, into))

    def _with_few_views(
        self, rows: Integers, lanes: Integers, refs: Integers, views: Integers, into: Integers
    ) -> tuple[Numbers, Numbers]:
        """The views of originals and copies: where e is zero what is taken is the value, seen as what its lane needs.

        Each view of a lane costs the permutation a column.
        """
        origins = [of_units[refs >> 1] for of_units in self.unit_cells]
        kinds, at, of = np.r_[views, into].astype(np.int8), np.r_[origins[0], rows], np.r_[origins[1], lanes]
        either = ((kinds == _TAKEN) | (kinds == _VALUE)) & ~self.extended_rows[at]
        taken, value = (
            np.bincount(of[~either & (kinds == kind)], minlength=self.shape.lanes) > 0 for kind in (_TAKEN, _VALUE)
        )
        kinds[either] = np.where(taken & ~value, _TAKEN, _VALUE)[of[either]]
        return kinds[: len(refs)], kinds[len(refs) :]
