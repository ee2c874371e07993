"""Layout: where the units of a Builder lie in rows and lanes.

A *place* holds a tensor as runs of rows, one run a channel, `height` value rows of L lanes each (layout/geometry.py
says which position stands where). A block gets the place that the convolution wants which reads it, so that weights
come to the rows where a value lives and nothing is copied. What fits no such place is copied: into a copy place of the
reader, or into the operand rows of a gadget. Deterministic: the same builder and shape give the same circuit.
layout/arithmetize.py makes the PLONK circuit from it, layout/witness.py fills the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import Block, Convolution, Lookup, Maximum, Product, Sum
from plonnx.gadgets.builder import Builder
from plonnx.layout import geometry, public_places
from plonnx.layout.place import Operand, Place, Reader, first_present, stride_of, weight_rows
from plonnx.plonk.keys import Run

Integers = NDArray[np.int64]
BLINDING_ROWS = 5  # what keygen asks of this layout's columns: two opened points, one kept row, one of slack
FEW_GROUPS = 4  # up to so many groups of a convolution have a column each that says where they read


class LayoutError(ValueError):
    """A shape that a model cannot be laid out in."""


@dataclass(frozen=True)
class Shape:
    """The free choices of a layout.

    n = 2^k rows, lanes, weight columns, lookup terms per helper column, columns per commitment.
    """

    k: int
    lanes: int
    weight_columns: int
    group: int
    packing: int = 1

    @property
    def active_rows(self) -> int:
        """u."""
        return (1 << self.k) - BLINDING_ROWS


class Layout:
    """The placement of a builder for a shape."""

    def __init__(self, builder: Builder, shape: Shape) -> None:
        self.builder, self.shape = builder, shape
        self.places: list[Place] = []
        self.home: dict[int, Place] = {}  # by block's first unit
        self.convolutions = [block for block in builder.blocks if isinstance(block, Convolution)]
        self.pitch = geometry.pitches(self.convolutions)
        self.gadgets = any(
            isinstance(b, Lookup | Maximum | Product) or getattr(b, "function", None) is not None
            for b in builder.blocks
        )
        self._check_columns()
        self._place_blocks()
        self.horner = any(
            place.has_terms
            or (place.height > 1 and (place.reader is not None or isinstance(place.block, Convolution)))
            or (place.reader is not None and isinstance(place.block, Product))
            for place in self.places
        )
        self.tensors, self.runs, self.public_bytes = public_places.place(self)
        self._assign_rows()

    # Placement -------------------------------------------------------------------------------------------------------

    def _check_columns(self) -> None:
        for block in self.convolutions:
            if len(block.offsets) > 1 and block.weights.shape[2] > self.shape.weight_columns:
                raise LayoutError(f"{block.name}: {block.weights.shape[2]} output channels need as many weight columns")

    def _place_blocks(self) -> None:
        wanted = self._wanted()
        for block in self.builder.blocks:
            place = self._place(block, wanted.get(block.first))
            if isinstance(block, Convolution):
                source = self._read_place(block)
                border = geometry.border(block, self.pitch, self.border_lanes)
                if len(border.starts) or self.shift(source, block, place) < 0:
                    units = np.full((1, len(border.starts) + 2, self.shape.lanes), -1, np.int64)
                    self.places.append(Place(f"border of {block.name}", units, (), border=border))
                self._set_reader(source, block, place)
            self.places.append(place)
            self.home[block.first] = place

    def _place(self, block: Block, wanted: Integers | None) -> Place:
        """The place of a block's own units: as its reader wants them, else its channels, else flat."""
        if isinstance(block, Convolution):
            cells = block.units.reshape(block.outputs, *block.shape)
            return Place(block.name, geometry.arrange(cells, self.shape.lanes), block.shape, block)
        cells = block.units[None, :] if wanted is None else wanted
        units = geometry.arrange(cells, self.shape.lanes)
        if isinstance(block, Sum) and not _uniform(block, units):
            cells = block.units[None, :]
            units = geometry.arrange(cells, 1)
            units = np.pad(units, ((0, 0), (0, 0), (0, self.shape.lanes - 1)), constant_values=-1)
        place = Place(block.name, units, cells.shape[1:], block)
        place.stride = stride_of(block)
        local = np.maximum(units - block.first, 0)
        for at, refs in enumerate(block.operands.reshape(-1, block.count)):
            copied = np.where(units < 0, -1, refs[local])
            place.operands.append(Operand(copied, at, viewed=not isinstance(block, Sum)))
        return place

    def _wanted(self) -> dict[int, Integers]:
        """For blocks whose units one convolution reads, all and each once: [channels, *grid] of units, -1 between."""
        wanted: dict[int, Integers] = {}
        starts = {block.first: block for block in self.builder.blocks}
        for block in self.convolutions:
            present = block.x[block.x >= 0] >> 1
            if not present.size:
                continue
            source = starts.get(int(present.min()))
            if source is None or source.first in wanted or isinstance(source, Convolution):
                continue
            whole = present.size == source.count and np.array_equal(np.sort(present), source.units)
            if whole and self._worth(block, source):
                wanted[source.first] = np.where(block.x < 0, -1, block.x >> 1)
        return wanted

    def _worth(self, block: Convolution, source: Block) -> bool:
        """Whether the place that a convolution wants takes fewer rows than a flat one with copies for the reader."""
        channels, height, _ = geometry.arrange(block.x, self.shape.lanes).shape
        weights, stride = weight_rows(block, self.shape.weight_columns), stride_of(source)
        wanted = channels * max(height * stride + 1, weights)
        copied = channels * max(height + 1, weights) + -(-source.count // self.shape.lanes) * stride
        return bool(wanted <= copied)

    def _read_place(self, block: Convolution) -> Place:
        """The place that holds what a convolution reads, as it reads it; a copy place where there is none."""
        cells = geometry.arrange(block.x, self.shape.lanes)
        units = np.where(cells < 0, -1, cells >> 1)
        groups = self._channelwise(block)
        for place in self.places:
            steps_by_run = isinstance(place.block, Convolution) or place.height == 1
            powers = not groups or place.free_power or (groups == place.runs and steps_by_run)
            free = place.reader is None and place.border is None and powers
            if free and np.array_equal(place.units, units) and self._same_rows(place.grid, block.x.shape[1:]):
                return place
        copied = Operand(np.where(units < 0, -1, 2 * units), 0)
        place = Place(f"copy for {block.name}", units, block.x.shape[1:], operands=[copied])
        self.places.append(place)
        return place

    def _same_rows(self, grid: tuple[int, ...], other: tuple[int, ...]) -> bool:
        """Whether the rows of both grids stand at the same linear positions."""
        return np.array_equal(self._bases(grid), self._bases(other))

    @staticmethod
    def _channelwise(block: Convolution) -> int:
        """The groups of a convolution with many of them, whose factor is taken from P; else 0."""
        return block.groups if block.groups > FEW_GROUPS and block.weights.shape[2] == 1 else 0

    def _set_reader(self, place: Place, block: Convolution, output: Place) -> None:
        cells = geometry.arrange(block.x, self.shape.lanes)
        groups = self._channelwise(block)
        place.reader = Reader(block, output, (cells >= 0) & ((cells & 1) == 1), bool(groups))
        if groups and place.free_power:
            place.groups = place.runs // groups

    # Rows ------------------------------------------------------------------------------------------------------------

    def _assign_rows(self) -> None:
        row = exponent = window = 0
        for index, place in enumerate(self.places):
            place.horner = isinstance(place.block, Convolution) and place.height > 1
            place.direct = place.reader is not None and self._direct(place)
            needed = place.height * place.stride
            if (place.reader is not None and not place.direct) or place.horner:
                needed += 1  # the accumulators hold the whole run on its last row
            if place.reader is not None:
                needed = max(needed, weight_rows(place.reader.block, self.shape.weight_columns))
            place.run_rows = needed
            place.lead = needed - place.height * place.stride if place.direct else 0
            if place.border is not None:
                window += 1
            place.row, place.exponent, place.window = row, exponent, window
            bordered = index > 0 and self.places[index - 1].border is not None
            if bordered:
                window += 1
                place.window = window
            row += place.rows
            exponent += len(self.chi_steps(place))
            if bordered:
                window += 1
        self.rows = row
        self.runs = [
            (place, self._with_powers(place, run, across), positive, across)
            for place, run, positive, across in self.runs
        ]

    def _direct(self, place: Place) -> bool:
        """Whether a place is read without accumulators: lone values are, and every place of a circuit without them."""
        assert place.reader is not None
        lone = place.lone and not place.reader.channelwise and not isinstance(place.block, Product)
        return lone or not self.horner

    def chi_steps(self, place: Place) -> Integers:
        """The rows of a place after which P takes the next power of chi."""
        if place.horner:
            return place.last_rows
        if place.equations:
            return place.value_rows.reshape(-1)
        if place.reader is not None and place.reader.channelwise:
            return place.last_rows[place.groups - 1 :: place.groups]
        rows = place.value_rows.reshape(-1)
        across = any(across for _, across in place.claims)
        if across or not place.claims:
            return rows if across else rows[:0]
        ends = rows[place.per_word - 1 :: place.per_word]
        return ends if len(rows) % place.per_word == 0 else np.append(ends, rows[-1])

    def _with_powers(self, place: Place, run: Run, across: bool) -> Run:
        """The run with its powers; until now `exponent` held its first value row and `power` its lane."""
        exponent = place.exponent + (run.exponent if across or place.equations else 0)
        power = (0 if across else self.lane_power(run.power)) + place.window * self.omega
        return Run(run.offset, run.count, run.width, place.per_word, exponent, power)

    def lane_power(self, lane: int) -> int:
        """The power of psi of a lane: positions descend, as Horner's rule takes them."""
        return self.shape.lanes - 1 - lane

    # Positions -------------------------------------------------------------------------------------------------------

    @cached_property
    def omega(self) -> int:
        """A power of psi beyond every position: windows of this size keep convolutions with borders apart."""
        spans = [self.shape.lanes]
        for block in self.convolutions:
            grid, offsets = np.array(block.x.shape[1:]), block.offsets
            high = np.maximum(np.array(block.shape) - 1, grid - 1) + np.abs(offsets).max(axis=0)
            spans.append(2 * int(geometry.linear(high, self.pitch)) + 2 * self.shape.lanes)
        return max(spans) + 1

    def bases(self, place: Place) -> Integers:
        """The linear position of each value row's first lane, [height]."""
        return self._bases(place.grid)

    def _bases(self, grid: tuple[int, ...]) -> Integers:
        return geometry.linear(geometry.row_positions(grid, self.shape.lanes), self.pitch)

    def reach(self, place: Place) -> int:
        """R: a run's sum gives the value at linear position p the power psi^(R - p)."""
        return int(self.bases(place)[-1]) + self.shape.lanes - 1

    def shift(self, source: Place, block: Convolution, output: Place) -> int:
        """The power of psi that brings an input's sum, times its weights' sum, to the output's positions.

        It may be negative where rows end early: then the output needs a window ahead of the input's, with or without
        border terms.
        """
        least = int(geometry.linear(block.offsets, self.pitch).min())
        return self.reach(output) - self.reach(source) + least

    @property
    def border_lanes(self) -> int:
        """The border terms of a row."""
        return min(self.shape.lanes, geometry.BORDER_LANES)

    def border_linear(self, place: Place) -> Integers:
        """The linear position of the last lane on a border place's rows after the first, which is empty.

        That of the last row, where nothing is, lies Omega beyond the output's R.
        """
        assert place.border is not None
        output = self.places[self.places.index(place) + 1]
        ends: Integers = np.r_[place.border.starts + self.border_lanes - 1, self.reach(output) + self.omega]
        return ends

    # Cells -----------------------------------------------------------------------------------------------------------

    @cached_property
    def unit_cells(self) -> tuple[Integers, Integers]:
        """The row and the lane of every unit of the builder."""
        rows, lanes = np.zeros((2, self.builder.unit_count), np.int64)
        for place in self.places:
            if place.block is not None:
                run, height, lane = np.nonzero(place.units >= 0)
                units = place.units[run, height, lane]
                rows[units], lanes[units] = place.value_rows[run, height], lane
        return rows, lanes

    @cached_property
    def shown(self) -> NDArray[np.str_]:
        """For every unit, the view of its cells that is its value: what it takes, unless a gadget stands between."""
        views = np.full(self.builder.unit_count, "taken")
        for block in self.builder.blocks:
            if isinstance(block, Lookup | Maximum | Product) or getattr(block, "function", None) is not None:
                views[block.units] = "value"
        return views

    @cached_property
    def copied(self) -> dict[str, Integers]:
        """All copied cells: the rows and lanes of the copies, the refs of the originals, whether the view counts."""
        parts: list[Integers] = []
        for place in self.places:
            for operand in place.operands:
                run, height, lane = np.nonzero(operand.refs >= 0)
                rows = place.rows_at(operand.at)[run, height]
                refs = operand.refs[run, height, lane]
                parts.append(np.stack([rows, lane, refs, np.full(len(rows), operand.viewed)]))
        table = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), np.int64)
        return dict(zip(("rows", "lanes", "refs", "viewed"), table, strict=True))

    @cached_property
    def copied_views(self) -> NDArray[np.str_]:
        """For every copied cell, the view of the original's cells that it equals."""
        positive = (self.copied["viewed"] == 1) & (self.copied["refs"] & 1 == 1)
        return np.where(positive, "positive", self.shown[self.copied["refs"] >> 1])


def _uniform(block: Sum, units: Integers) -> bool:
    """Whether each row's lanes share the constant and the operands' views.

    Of a hidden constant nothing may show in the layout: it is taken to differ from cell to cell.
    """
    parts = [term & 1 for term in block.terms]
    if block.constant is not None:
        parts.append(np.arange(block.count) if block.hides else block.constant)
    local, first = (np.maximum(at - block.first, 0) for at in (units, first_present(units)[..., None]))
    return not any(np.any((units >= 0) & (part[local] != part[first])) for part in parts)
