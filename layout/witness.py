"""The witness of one inference: the phase 0 columns of a layout, and the border terms once chi is known. No sympy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets import function, maximum
from plonnx.gadgets import unit as unit_gadget
from plonnx.gadgets.blocks import ABSENT, Convolution, Linear, Maximum, Product, gather_index, view
from plonnx.gadgets.builder import Execution
from plonnx.layout.fixed import Fixed
from plonnx.layout.place import Place
from plonnx.layout.planner import Layout
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.program import MODULUS

Integers = NDArray[np.int64]


class Filler:
    """Fills the columns of one layout; what does not depend on the inference is computed once."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.fixed = layout, Fixed(layout)
        self.gadgets = layout.gadgets

    def advice(self, done: Execution) -> list[Integers]:
        """The columns of one execution (one sample): a, b, c (and e) of every lane, then the multiplicities."""
        taken, values, sums, summed = self._cells(done)
        size = self.layout.builder.table_size
        cells = unit_gadget.fill(taken, values, sums, summed, size)
        parts = cells if self.gadgets else cells[:3]
        lanes = range(self.layout.shape.lanes)
        columns = [np.ascontiguousarray(part[:, lane]) for lane in lanes for part in parts]
        ranged = [column for i, column in enumerate(columns) if i % len(parts) < 3]
        active = self.layout.shape.active_rows
        counts = multiplicities(np.arange(size), ranged, size)
        counts[0] += len(ranged) * (active - self.layout.rows)
        columns += unit_gadget.count_parts(counts, active)
        if np.any(self.fixed.applied):
            rows = np.flatnonzero(self.fixed.applied)
            tags = [self.fixed.tags[rows]] * len(lanes)
            columns += function.count(self.layout.builder.functions, [taken[rows, i] for i in lanes], tags, active)
        return columns

    def _cells(self, done: Execution) -> tuple[Integers, Integers, Integers, NDArray[np.bool_]]:
        """What each unit takes, what it holds, its exact sum and whether it has one: [rows, lanes]."""
        layout = self.layout
        shape = (layout.rows, layout.shape.lanes)
        taken, values, sums = (np.zeros(shape, np.int64) for _ in range(3))
        summed = np.zeros(shape, bool)
        copied = layout.copied
        shown = np.where(copied["viewed"] == 1, copied["refs"], copied["refs"] & ~1)
        at = copied["rows"], copied["lanes"]
        taken[at] = values[at] = view(done.values, shown)[0]
        applied = np.flatnonzero(self.fixed.applied)
        if len(applied):  # lanes without a value hold some row of the function's table
            functions = layout.builder.functions
            taken[applied] = np.array([f.low for f in functions])[self.fixed.tags[applied], None]
            values[applied] = np.array([f.values[0] for f in functions])[self.fixed.tags[applied], None]
        half, bits = layout.builder.table_size >> 1, layout.builder.table_bits
        for place in layout.places:
            if place.block is None:
                continue
            run, height, lane = np.nonzero(place.units >= 0)
            units, rows = place.units[run, height, lane], place.value_rows[run, height]
            values[rows, lane] = taken[rows, lane] = done.values[0, units]
            if isinstance(place.block, Linear):
                sums[rows, lane] = done.sums[0, units]
                summed[rows, lane] = True
                taken[rows, lane] = (sums[rows, lane] + half) >> bits
            elif getattr(place.block, "function", None) is not None or isinstance(place.block, Product):
                taken[rows, lane] = view(done.values, place.operands[0].refs[run, height, lane])[0]
            if isinstance(place.block, Maximum):
                self._maximum(place, done, taken, values)
            elif isinstance(place.block, Product):
                products = place.rows_at(0).reshape(-1)
                sums[rows, lane] = done.sums[0, units] + (taken[rows, lane] - values[rows, lane] << bits)
                summed[products] = True
                values[place.rows_at(1)] = 0
        return taken, values, sums, summed

    @staticmethod
    def _maximum(place: Place, done: Execution, taken: Integers, values: Integers) -> None:
        refs = np.stack([operand.refs for operand in place.operands])
        rows = np.stack([place.rows_at(at) for at in range(place.stride)])
        candidates = view(done.values, np.where(refs < 0, ABSENT, refs).reshape(-1))[0].reshape(refs.shape)
        taken[rows], values[rows] = maximum.fill(candidates)

    # Border terms ----------------------------------------------------------------------------------------------------

    def border_column(self) -> int:
        """The number of the advice column of border terms: the first after phase 0."""
        layout = self.layout
        active = layout.shape.active_rows
        entries = sum(len(f.values) for f in layout.builder.functions) if np.any(self.fixed.applied) else 0
        narrow = (4 if self.gadgets else 3) * layout.shape.lanes
        return narrow + -(-layout.builder.table_size // active) + -(-entries // active)

    def border_terms(self, done: Execution, chi: int) -> list[_native.Vec]:
        """sum_{c, t} (sum_o chi^o W[c, t, o]) x[c, p + d_t] where p stands in the rows of its border, lane by lane."""
        columns = [_native.Vec.zeros(self.layout.rows) for _ in range(self.layout.border_lanes)]
        for place, output in zip(self.layout.places, self.layout.places[1:], strict=False):
            if place.border is not None and len(place.border.positions):
                assert isinstance(output.block, Convolution)
                terms = _border(output.block, place.border.positions, done, chi)
                for lane, column in enumerate(columns):
                    filled, missing = np.full(len(place.border.starts), len(terms)), terms.padded(len(terms) + 1)
                    here = place.border.lanes == lane
                    filled[place.border.rows[here]] = np.flatnonzero(here)
                    column.write_(place.row + 1, missing.take(filled))
        return columns

    def later(self, done: Execution, phase: int, scalars: Mapping[str, int]) -> Mapping[int, _native.Vec]:
        """The free columns of a later phase, as plonk.prover.Witness asks for them."""
        if phase != 1 or not len(self.fixed.borders):
            return {}
        first = self.border_column()
        return {first + lane: column for lane, column in enumerate(self.border_terms(done, scalars["chi"]))}


def _border(block: Convolution, positions: Integers, done: Execution, chi: int) -> _native.Vec:
    channels, taps, outputs = block.weights.shape
    flat = np.ascontiguousarray(block.weights.reshape(-1, outputs).T)
    groups = np.arange(channels) // (channels // block.groups)
    weights = _native.combine_ints(list(flat), [pow(chi, j, MODULUS) for j in range(outputs)]).to_bytes()
    factors = [int.from_bytes(weights[i : i + 32], "big") for i in range(0, len(weights), 32)]
    if block.groups > 1:
        powers = [pow(chi, int(group) * outputs, MODULUS) for group in groups]
        factors = [factor * powers[i // taps] % MODULUS for i, factor in enumerate(factors)]
    x = view(done.values, block.x.reshape(-1))[0].reshape(channels, -1)
    padded = np.concatenate([x, np.zeros((channels, 1), np.int64)], axis=1)
    windows = padded[:, gather_index(positions, block.offsets, block.x.shape[1:])].reshape(channels * taps, -1)
    return _native.combine_ints(list(np.ascontiguousarray(windows)), factors)
