"""Layout: where the units of a Builder lie in rows and lanes.

A *place* holds a tensor as runs of rows, one run a channel, `height` value rows of L lanes each (compiler/geometry.py
says which position stands where). A block gets the place that the convolution wants which reads it, so that weights
come to the rows where a value lives and nothing is copied. What fits no such place is copied: into a copy place of the
reader, or into the operand rows of a gadget. Deterministic: the same builder and shape give the same circuit.
compiler/arithmetize.py makes the PLONK circuit from it, compiler/witness.py fills the columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler import geometry
from plonnx.gadgets.blocks import Block, Convolution, Linear, Lookup, Maximum, Product, Sum
from plonnx.gadgets.builder import Builder
from plonnx.plonk.keys import PublicTensor, Run
from plonnx.plonk.public_values import values_per_word

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


@dataclass(frozen=True, eq=False)
class Operand:
    """What is copied into a place's rows: refs [runs, height, lanes] (-1: nothing), to the row `at` of each stride.

    `viewed`: the value that the ref shows is copied; otherwise its unit's, and the reader takes the view.
    """

    refs: Integers
    at: int
    viewed: bool = False


@dataclass(frozen=True, eq=False)
class Reader:
    """A convolution that reads a place: where it puts its outputs, and which view of each cell it reads.

    `marks`: which group each run belongs to. `channelwise`: the group's factor is the power of chi that P holds.
    """

    block: Convolution
    output: Place
    positive: NDArray[np.bool_]
    channelwise: bool


@dataclass(eq=False)
class Place:
    """Runs of rows. units: [runs, height, lanes], -1 where a lane ends early; copies name the unit that they copy."""

    name: str
    units: Integers
    grid: tuple[int, ...]
    block: Block | None = None  # None: a copy place
    operands: list[Operand] = field(default_factory=list)
    reader: Reader | None = None
    border: Integers | None = None  # positions [count, axes]: rows for the border of the next place's convolution
    stride: int = 1  # rows of a value
    run_rows: int = 1
    lead: int = 0  # rows of a run before its first value
    row: int = 0
    exponent: int = 0  # of chi in P on the first run (or value row)
    window: int = 0  # of psi^Omega in P
    horner: bool = False  # an output whose equations are gathered run by run
    groups: int = 1  # consecutive runs that share a power of chi, where P is there for a channelwise reader
    claims: set[tuple[bool, bool]] = field(default_factory=set)  # public (view, across lanes) taken
    per_word: int = 1

    @property
    def runs(self) -> int:
        """Channels."""
        return len(self.units)

    @property
    def height(self) -> int:
        """Value rows of a run."""
        return self.units.shape[1]

    @property
    def used_lanes(self) -> int:
        """Lanes with units of their own."""
        return int(np.any(self.units >= 0, axis=(0, 1)).sum())

    @property
    def rows(self) -> int:
        """All rows."""
        return self.runs * self.run_rows

    @property
    def equations(self) -> bool:
        """Whether the value rows hold equations."""
        return isinstance(self.block, Linear)

    @property
    def free_power(self) -> bool:
        """Whether nothing else decides P on these rows."""
        return not self.equations and self.border is None

    def rows_at(self, at: int) -> Integers:
        """The rows number `at` of each stride, [runs, height]."""
        first = self.row + self.lead + self.run_rows * np.arange(self.runs)[:, None]
        return first + self.stride * np.arange(self.height) + at

    @property
    def value_rows(self) -> Integers:
        """The rows of the values, [runs, height]."""
        return self.rows_at(0 if isinstance(self.block, Product) else self.stride - 1)

    @property
    def last_rows(self) -> Integers:
        """The last row of each run."""
        return self.row + self.run_rows * (1 + np.arange(self.runs)) - 1


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
            place.border is not None
            or (place.height > 1 and (place.reader is not None or isinstance(place.block, Convolution)))
            or (place.reader is not None and isinstance(place.block, Product))
            for place in self.places
        )
        self.tensors, self.runs, self.public_bytes = self._place_public()
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
                border = geometry.border(block, self.pitch)
                if len(border):
                    units = np.full((1, len(border) + 2, self.shape.lanes), -1, np.int64)
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
        if isinstance(block, Sum) and not _uniform(block, units, self.builder.hidden):
            cells = block.units[None, :]
            units = geometry.arrange(cells, 1)
            units = np.pad(units, ((0, 0), (0, 0), (0, self.shape.lanes - 1)), constant_values=-1)
        place = Place(block.name, units, cells.shape[1:], block)
        local = units - block.first

        def operand(refs: Integers, at: int, viewed: bool) -> None:
            place.operands.append(Operand(np.where(units < 0, -1, refs[np.maximum(local, 0)]), at, viewed))

        place.stride = _stride(block)
        if isinstance(block, Sum):
            for at, term in enumerate(block.terms):
                operand(term, at, viewed=False)
        elif isinstance(block, Lookup):
            operand(block.x, 0, viewed=True)
        elif isinstance(block, Maximum):
            for at, candidate in enumerate(block.candidates):
                operand(candidate, at, viewed=True)
        elif isinstance(block, Product):
            for at, factor in enumerate(block.factors):
                operand(factor, at, viewed=True)
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
        weights, stride = weight_rows(block, self.shape.weight_columns), _stride(source)
        wanted = channels * max(height * stride + 1, weights)
        copied = channels * max(height + 1, weights) + -(-source.count // self.shape.lanes) * stride
        return wanted <= copied

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

    # Public values ---------------------------------------------------------------------------------------------------

    def _place_public(self) -> tuple[list[PublicTensor], list[tuple[Place, Run, bool, bool]], int]:
        width = (self.builder.table_bits + 1 + 7) // 8
        tensors: list[PublicTensor] = []
        runs: list[tuple[Place, Run, bool, bool]] = []
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
            for place, positive, across in self._public_places(refs.reshape(-1), name, width):
                if across:
                    place.per_word = self.shape.lanes
                elif not place.equations:
                    place.per_word = values_per_word(width)
                for lane, row, count in _words(place, across):
                    runs.append((place, Run(offset, count, width, row, 0, lane), positive, across))
                    offset += count * width
        return tensors, runs, offset

    def _public_places(self, refs: Integers, name: str, width: int) -> list[tuple[Place, bool, bool]]:
        """Places that hold exactly these values in order, down the lanes or across; copy places where there are none."""
        views = refs & 1
        starts = np.flatnonzero(np.r_[True, np.diff(views) != 0]).tolist()
        parts = [refs[start:stop] for start, stop in pairwise([*starts, len(refs)])]  # of one view each
        found = []
        for part in parts:
            found += self._public_part(part >> 1, bool(part[0] & 1), name, width)
        return found

    def _public_part(
        self, units: Integers, positive: bool, name: str, width: int
    ) -> list[tuple[Place, bool, bool]]:
        """The place of one part, claimed for it: a place states its values once, or two words would add up to them."""
        fits = self.shape.lanes <= values_per_word(width)
        for place in self.places:
            flexible = place.free_power and not (place.reader and place.reader.channelwise)
            usable = flexible or (place.equations and place.height == 1) or isinstance(place.block, Sum)
            if place.border is not None or not usable or any(view == positive for view, _ in place.claims):
                continue
            if place.claims and not place.equations:
                continue  # the other view has set the powers of its words
            for across in (False, True) if fits and flexible else (False,):
                flat = place.units.reshape(-1) if across else place.units.transpose(2, 0, 1).reshape(-1)
                if np.array_equal(flat[flat >= 0], units) and _unbroken(place, across):
                    place.claims.add((positive, across))
                    return [(place, positive, across)]
        grid = _downwards(units, self.shape.lanes)
        place = Place(f"public {name}", grid, (len(grid[0]),), operands=[Operand(np.where(grid < 0, -1, 2 * grid), 0)])
        place.claims.add((positive, False))
        self.places.append(place)
        return [(place, positive, False)]

    # Rows ------------------------------------------------------------------------------------------------------------

    def _assign_rows(self) -> None:
        row = exponent = window = 0
        for index, place in enumerate(self.places):
            place.horner = isinstance(place.block, Convolution) and place.height > 1
            needed = place.height * place.stride
            if self.horner and (place.reader is not None or place.horner):
                needed += 1  # the accumulators hold the whole run on its last row
            if place.reader is not None:
                needed = max(needed, weight_rows(place.reader.block, self.shape.weight_columns))
            place.run_rows = needed
            place.lead = 0 if self.horner else needed - place.height * place.stride
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
            (place, self._with_exponent(place, run, across), positive, across)
            for place, run, positive, across in self.runs
        ]

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
        return np.unique(np.r_[rows[place.per_word - 1 :: place.per_word], rows[-1]])

    def _with_exponent(self, place: Place, run: Run, across: bool) -> Run:
        """The run with its powers; until now `per_word` held its first value row and `power` its lane."""
        first = place.exponent + (run.per_word if across or place.equations else 0)
        lane = 0 if across else self.lane_power(run.power)
        return Run(run.offset, run.count, run.width, place.per_word, first, lane + place.window * self.omega)

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

    def border_linear(self, place: Place) -> Integers:
        """The linear positions of a border place's rows after the first, which is empty; the last one, where nothing
        is, lies Omega beyond the output's R."""
        assert place.border is not None
        output = self.places[self.places.index(place) + 1]
        return np.r_[geometry.linear(place.border, self.pitch), self.reach(output) + self.omega]

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


def _stride(block: Block) -> int:
    """The rows of one value with its operands."""
    if isinstance(block, Sum):
        return 1 + len(block.terms)
    if isinstance(block, Maximum):
        return 1 + len(block.candidates)
    return 2 if isinstance(block, Product) else 1


def weight_rows(block: Convolution, columns: int) -> int:
    """The rows that the weights of one channel take."""
    return len(block.offsets) * -(-block.weights.shape[2] // columns)


def _words(place: Place, across: bool) -> list[tuple[int, int, int]]:
    """(lane, first value row, values) of the runs of public words: across rows, or down each lane."""
    present = (place.units >= 0).reshape(-1, place.units.shape[2])
    if not across:
        counts = present.sum(axis=0)
        return [(lane, 0, int(count)) for lane, count in enumerate(counts) if count]
    counts = present.sum(axis=1)
    stops = np.flatnonzero(np.r_[counts[:-1] < present.shape[1], True]) + 1  # a short word ends its run
    starts = np.r_[0, stops[:-1]]
    return [(0, int(a), int(counts[a:b].sum())) for a, b in zip(starts, stops, strict=True)]


def _unbroken(place: Place, across: bool) -> bool:
    """Whether words find no gap: units are the first of every row (across), or of every lane."""
    present = (place.units >= 0).reshape(-1, place.units.shape[2])
    if across:
        return bool(present[:, 0].all() and (present[:, 1:] <= present[:, :-1]).all())
    return bool((present[1:] <= present[:-1]).all())


def _downwards(units: Integers, lanes: int) -> Integers:
    """A flat tensor over `lanes` lanes, lane by lane, the last one short: [1, height, lanes]."""
    height = -(-len(units) // lanes)
    grid = np.full(height * lanes, -1, np.int64)
    grid[: len(units)] = units
    return grid.reshape(lanes, height).T[None].copy()


def _uniform(block: Sum, units: Integers, hidden: bool) -> bool:
    """Whether each row's lanes share the constant and the operands' views.

    Of a hidden constant nothing may show in the layout: it is taken to differ from cell to cell.
    """
    parts = [term & 1 for term in block.terms]
    if block.constant is not None:
        parts.append(np.arange(block.count) if hidden else block.constant)
    local = np.maximum(units - block.first, 0)
    present = units >= 0
    for part in parts:
        values = part[local]
        first = np.take_along_axis(values, np.argmax(present, axis=2)[..., None], axis=2)
        if np.any(present & (values != first)):
            return False
    return True
