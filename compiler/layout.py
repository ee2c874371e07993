"""Layout: where the units of a Builder lie in rows and lanes, and the PLONK circuit that follows.

A *place* is a rectangle of units: `height` value rows, `stride` rows apart, by `lanes` lanes (the last one repeated
up to the circuit's lane count, so that idle lanes hold a consistent copy). A block gets the place that its dense
consumer wants, [R, K] as K value rows by R lanes, so that weights come to the row where a value lives and nothing is
copied. What fits no such place is copied: a copy place, or the operand rows above a sum's value row. Deterministic:
the same builder and shape give the same circuit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets import unit as unit_gadget
from plonnx.gadgets.builder import Block, Builder, Execution, Linear, Sum
from plonnx.plonk.keys import PublicTensor, Run
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.public_values import values_per_word

Integers = NDArray[np.int64]
BLINDING_ROWS = 5  # what keygen asks of this layout's columns: two opened points, one kept row, one of slack


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


@dataclass(eq=False)
class Place:
    """A rectangle of units. units: [height, lanes], -1 where a lane ends early."""

    name: str
    units: Integers
    block: Block | None = None  # None: a copy place
    reader: Reader | None = None  # the dense layer that reads it in place
    above: list[Integers] = field(default_factory=list)  # a sum's operand units [height, lanes], one array a term
    row: int = 0
    stride: int = 1
    exponent: int = 0  # of P on the first value row
    repeated: bool = False  # a one-lane place whose value every lane must hold
    per_word: int = 1
    claims: set[bool] = field(default_factory=set)  # public views taken: False values, True positive parts

    @property
    def height(self) -> int:
        """Value rows."""
        return len(self.units)

    @property
    def lanes(self) -> int:
        """Lanes with units of their own."""
        return len(self.units[0])

    @property
    def summed(self) -> bool:
        """Whether the value rows hold equations."""
        return isinstance(self.block, Linear | Sum)

    @property
    def value_rows(self) -> Integers:
        """The rows of the values."""
        return self.row + self.stride * np.arange(1, self.height + 1) - 1


@dataclass(frozen=True, eq=False)
class Reader:
    """A dense layer over one band of rows: its outputs' place, and which view of each value row it reads."""

    block: Linear
    output: Place
    positive: NDArray[np.bool_]  # for every value row


class Layout:
    """The placement of a builder for a shape; `plonnx.compiler.arithmetize` makes the circuit from it."""

    def __init__(self, builder: Builder, shape: Shape) -> None:
        self.builder, self.shape = builder, shape
        self.places: list[Place] = []
        self.home: dict[int, list[Place]] = {}  # by block's first unit
        self.sources: list[Integers] = []  # copies: pairs of units (copy, original)
        self.extra_units = builder.unit_count  # copies are numbered beyond the builder's units
        self.original = [np.arange(builder.unit_count)]
        self._place_blocks()
        self._place_readers()
        self.tensors, self.runs, self.public_bytes = self._place_public()
        self._assign_rows()

    # Placement -------------------------------------------------------------------------------------------------------

    def _place_blocks(self) -> None:
        wanted = self._wanted_lanes()
        for block in self.builder.blocks:
            places = []
            if isinstance(block, Linear):
                grid = block.units.reshape(block.x.shape[0], -1)
                bands = [grid[at : at + self.shape.lanes] for at in range(0, len(grid), self.shape.lanes)]
                places = [Place(block.name, band.T.copy(), block) for band in bands]
            else:
                rows = wanted.get(block.first)
                if rows is not None and not (isinstance(block, Sum) and not _uniform(block, rows, self.builder.hidden)):
                    grid = block.units.reshape(rows, -1)
                    bands = [grid[at : at + self.shape.lanes] for at in range(0, len(grid), self.shape.lanes)]
                    places = [Place(block.name, band.T.copy(), block) for band in bands]
                else:
                    places = [Place(block.name, flat_grid(block.units, self._flat_lanes(block)), block)]
                if isinstance(block, Sum):
                    for place in places:
                        local = np.maximum(place.units - block.first, 0)
                        place.above = [self._copies(term[local] >> 1, place.units) for term in block.terms]
            self.places += places
            self.home[block.first] = places

    def _flat_lanes(self, block: Block) -> int:
        return _flat_lanes(block, self.shape.lanes, self.builder.hidden)

    def _wanted_lanes(self) -> dict[int, int]:
        """For blocks that one dense layer reads whole and in order: the number of rows of that matrix."""
        wanted: dict[int, int] = {}
        starts = {block.first: block for block in self.builder.blocks}
        for block in self.builder.blocks:
            if isinstance(block, Linear):
                first = int(block.x.flat[0]) >> 1
                source = starts.get(first)
                if source is not None and first not in wanted:
                    if np.array_equal(block.x.reshape(-1) >> 1, source.units):
                        wanted[first] = block.x.shape[0]
                    elif np.array_equal(block.x[0] >> 1, source.units) and np.all(block.x == block.x[0]):
                        wanted[first] = 1
        return wanted

    def _place_readers(self) -> None:
        for block in self.builder.blocks:
            if not isinstance(block, Linear):
                continue
            for number, output in enumerate(self.home[block.first]):
                refs = block.x[number * self.shape.lanes :][: output.lanes]
                self._read(block, output, refs)

    def _read(self, block: Linear, output: Place, refs: Integers) -> None:
        """Let the band's layer read its operands, in place if they lie as it needs them, else from a copy place."""
        units, views = (refs >> 1).T, (refs & 1).T
        if not np.all(views == views[:, :1]):
            raise LayoutError(f"{block.name}: it reads values and ReLUs of values in lanes of one row")
        reader = Reader(block, output, views[:, 0].astype(bool))
        for place in self.places:
            if place.reader is None and place.height == len(units):
                if np.array_equal(place.units, units):
                    place.reader = reader
                    return
                if place.lanes == 1 and np.array_equal(np.broadcast_to(place.units, units.shape), units):
                    place.reader, place.repeated = reader, True
                    return
        self.places.append(Place(f"copy for {block.name}", self._copies(units, units), reader=reader))

    def _copies(self, originals: Integers, template: Integers) -> Integers:
        """New units that equal `originals` where `template` has a unit."""
        present = template >= 0
        fresh = np.full(template.shape, -1, np.int64)
        fresh[present] = self.extra_units + np.arange(int(present.sum()))
        self.extra_units += int(present.sum())
        self.original.append(self._root(originals[present]))
        self.sources.append(np.stack([fresh[present], originals[present]]))
        return fresh

    def _root(self, units: Integers) -> Integers:
        """The builder's units that (possibly copied) units stand for."""
        return np.concatenate(self.original)[units]

    # Public values ---------------------------------------------------------------------------------------------------

    def _place_public(self) -> tuple[list[PublicTensor], list[tuple[Place, Run, bool]], int]:
        width = (self.builder.table_bits + 1 + 7) // 8
        tensors: list[PublicTensor] = []
        runs: list[tuple[Place, Run, bool]] = []
        offset = 0
        wanted = [("input", b.name, 2 * b.units.reshape(b.shape), b.public) for b in self.builder.inputs]
        wanted += [("output", o.name, o.cells.refs, o.public) for o in self.builder.outputs]
        intervals = {o.name: (o.cells.low, o.cells.high) for o in self.builder.outputs}
        limit = self.builder.table_size - 1
        for role, name, refs, public in wanted:
            if not public:
                continue
            low, high = intervals[name] if role == "output" else (-limit, limit)
            tensors.append(PublicTensor(name, role, refs.shape, 0, offset, width, low, high))
            for place, positive in self._public_places(refs.reshape(-1), name):
                if not place.summed:
                    place.per_word = values_per_word(width)
                for lane in range(place.lanes):
                    count = int((place.units[:, lane] >= 0).sum())
                    replicas = self.shape.lanes - place.lanes + 1 if lane == place.lanes - 1 else 1
                    if count:
                        runs.append((place, Run(offset, count, width, 0, 0, lane, replicas), positive))
                        offset += count * width
        return tensors, runs, offset

    def _public_places(self, refs: Integers, name: str) -> list[tuple[Place, bool]]:
        """Places that hold exactly these values lane by lane, in order; copy places where there are none."""
        views = refs & 1
        starts = np.flatnonzero(np.r_[True, np.diff(views) != 0]).tolist()
        parts = [refs[start:stop] for start, stop in pairwise([*starts, len(refs)])]  # of one view each
        return [pair for part in parts for pair in self._public_part(part >> 1, bool(part[0] & 1), name)]

    def _public_part(self, units: Integers, positive: bool, name: str) -> list[tuple[Place, bool]]:
        """The places of one part, claimed for it: a place states its values once, or two words would add up to them."""
        found, at = [], 0
        for place in self.places:
            flat = place.units.T.reshape(-1)
            flat = flat[flat >= 0]
            if at < len(units) and positive not in place.claims and np.array_equal(flat, units[at : at + len(flat)]):
                found.append(place)
                at += len(flat)
        if at < len(units):
            grid = flat_grid(units, self.shape.lanes)
            found = [Place(f"output {name}", self._copies(grid, grid))]
            self.places += found
        for place in found:
            place.claims.add(positive)
        return [(place, positive) for place in found]

    # Rows ------------------------------------------------------------------------------------------------------------

    def _assign_rows(self) -> None:
        row = exponent = 0
        for place in self.places:
            blocks = -(-place.reader.block.weights.shape[1] // self.shape.weight_columns) if place.reader else 1
            place.stride = max(blocks, 1 + len(place.above))
            place.row, place.exponent = row, exponent
            row += place.stride * place.height
            if place.summed:
                exponent += place.height
            elif place.claims:
                exponent += -(-place.height // place.per_word)
        self.rows = row
        runs = []
        for place, run, positive in self.runs:
            runs.append(
                (
                    place,
                    Run(run.offset, run.count, run.width, place.per_word, place.exponent, run.lane, run.replicas),
                    positive,
                )
            )
        self.runs = runs

    # Cells -----------------------------------------------------------------------------------------------------------

    def unit_grid(self) -> tuple[Integers, NDArray[np.bool_]]:
        """The unit at every (row, lane) or -1, [rows, lanes]; whether a row holds equations, [rows]."""
        grid = np.full((self.rows, self.shape.lanes), -1, np.int64)
        summed = np.zeros(self.rows, bool)
        for place in self.places:
            rows = place.value_rows
            grid[rows] = self.spread(place.units)
            for number, operand in enumerate(place.above):
                grid[rows - 1 - number] = self.spread(operand)
            summed[rows] = place.summed
        return grid, summed

    def spread(self, units: Integers) -> Integers:
        """[height, lanes] over all the circuit's lanes: the last one is repeated."""
        return np.concatenate([units, np.repeat(units[:, -1:], self.shape.lanes - units.shape[1], axis=1)], axis=1)

    def advice(self, done: Execution) -> list[Integers]:
        """The phase 0 columns of one execution (one sample): a, b, c of every lane, then the multiplicities."""
        grid, summed = self.unit_grid()
        original = np.concatenate(self.original)
        present = grid >= 0
        source = original[np.where(present, grid, 0)]
        values = np.where(present, done.values[0][source], 0)
        sums = np.where(present, done.sums[0][source], 0)
        size = self.builder.table_size
        cells = unit_gadget.fill(values, sums, np.broadcast_to(summed[:, None], grid.shape), size)
        columns = [np.ascontiguousarray(part[:, lane]) for lane in range(self.shape.lanes) for part in cells]
        counts = multiplicities(np.arange(size), columns, size)
        counts[0] += len(columns) * (self.shape.active_rows - self.rows)
        return [*columns, *unit_gadget.count_parts(counts, self.shape.active_rows)]


def flat_grid(units: Integers, lanes: int) -> Integers:
    """A flat tensor over `lanes` lanes, lane by lane, the last one short: [height, used lanes]."""
    height = -(-len(units) // lanes)
    used = -(-len(units) // height)
    grid = np.full(used * height, -1, np.int64)
    grid[: len(units)] = units
    return grid.reshape(used, height).T.copy()


def _flat_lanes(block: Block, most: int, hidden: bool) -> int:
    """The lanes of a flat placement. A constant stands in all lanes of its rows: no lane of such a sum ends early."""
    if not isinstance(block, Sum):
        return most
    if not _uniform(block, None, hidden):
        return 1
    if block.constant is None:
        return most
    return max(lanes for lanes in range(1, most + 1) if block.count % lanes == 0)


def _uniform(block: Sum, rows: int | None, hidden: bool) -> bool:
    """Whether a row's lanes share the constant and the operands' views; rows None: for a flat placement.

    Of a hidden constant nothing may show in the layout: it is taken to differ from cell to cell.
    """
    parts: Sequence[Integers] = [*(term & 1 for term in block.terms)]
    if hidden and block.constant is not None:
        parts = [*parts, np.arange(block.count)]
    elif block.constant is not None:
        parts = [*parts, block.constant]
    if rows is None:
        return all(np.all(part == part[0]) for part in parts)
    return all(np.all(part.reshape(rows, -1) == part.reshape(rows, -1)[0]) for part in parts)
