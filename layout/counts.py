"""What a layout's cost follows from: what is known before its circuit is declared (Size), and after (Facts).

Columns, commitments, evaluations and bytes are those of a dry run of the constraints (plonk/tally.py), exactly. What
every circuit of a shape has at least (`Counts`) is known without it: first from the lanes, then from what is declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from plonnx.gadgets.linear.check import LOW
from plonnx.gadgets.linear.contribution import Accumulator, Weights
from plonnx.gadgets.unit import signed_entries, signed_is_less
from plonnx.layout.arithmetize import declare
from plonnx.layout.fixed import Fixed
from plonnx.layout.place import lanes_of
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.plonk.expression import slots
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES
from plonnx.plonk.tally import Tally


class Size:
    """What of a placed model is known before its circuit is declared."""

    def __init__(self, layout: Layout) -> None:
        self.shape, self.rows, self.extended = layout.shape, layout.rows, layout.extended
        self.table_size, self.hidden = layout.builder.table_size, layout.builder.hidden
        self.applied = sum(len(f.values) for f in layout.builder.functions)
        self.entries = self.table_size + self.applied
        self.entries += sum(block.entries for block in layout.builder.blocks)
        self.copied = len(set(_copied(layout)))
        self.terms = layout.border_lanes if any(place.has_terms for place in layout.places) else 0
        self.sums = len(set(_sums(layout)))
        factors = [one.factor for one in layout.positions.contributions if isinstance(one.factor, Weights)]
        self.weights = layout.shape.weight_columns if factors else 0
        self.parameters = sum(factor.values.size for factor in factors)
        self.public_words = sum(-(-run.count // run.per_word) for _, run, _, _ in layout.runs)
        self.public_runs = len(layout.runs)
        self.public_bytes = layout.public_bytes
        self.reads_parts = layout.reads_parts

    def signed(self, shape: Shape) -> bool:
        """Whether the shape's cells are signed (Layout.signed)."""
        return not self.reads_parts and signed_is_less(self.shape.lanes, self.table_size, shape.active_rows)

    def ranged(self, shape: Shape) -> int:
        """The entries of the range table."""
        return signed_entries(self.table_size) if self.signed(shape) else self.table_size

    def met(self, shape: Shape) -> int:
        """How many of them a lookup meets: of signed cells half as a mean, T of c and 2 T of v."""
        return self.ranged(shape) // 2 if self.signed(shape) else self.table_size

    def least(self, shape: Shape) -> Counts:
        """What every circuit of the shape has: units, the range and the functions with their lookups, copies, sums."""
        ranged, signed = self.ranged(shape), self.signed(shape)
        parts, applied = (-(-entries // shape.active_rows) for entries in (ranged, self.applied))
        asked = (3 if applied else 2) * shape.lanes
        lookups = asked + parts + applied
        narrow = (3 + self.extended - signed) * shape.lanes + parts + applied
        helpers, ratios = -(-lookups // shape.group), _least_ratios(self.copied, shape.group)
        filled = narrow + self.terms + self.sums + helpers + ratios
        shown = 0 if self.hidden else self.weights
        return Counts(
            packing=shape.packing,
            narrow=narrow,
            looked_up=lookups,
            helpers=helpers,
            ratios=ratios,
            recurrences=self.sums + 1 + (self.copied > 0),
            free=self.terms,
            combinations=0,
            cosets=_least_cosets(shape.group, lookups, self.copied),
            fixed_members=-(-(self.weights + self.copied) // shape.packing),
            evaluations=filled + self.copied + (self.sums + 2 if shape.packing == 1 else 1 + shown),
            hidden=0,
        )


def _least_ratios(views: int, group: int) -> int:
    """The columns of a permutation's product over so many views, besides itself (plonk/arguments/permutation.py)."""
    return max(0, -(-views // max(2, group)) - 1)


def _least_cosets(group: int, looked_up: int, views: int) -> int:
    """Those of a gate of a helper column, or of a permutation's product: they hold so many terms, and one column more.

    The product takes two views a part, at least.
    """
    return max(1, min(group, looked_up), min(2, views))


def _copied(layout: Layout) -> Iterator[tuple[str, int]]:
    """Of every lane that takes copies, the cells that do: each has a column of the permutation, at least."""
    for place in layout.places:
        for operand in place.operands:
            yield from ((operand.take.into, lane) for lane in operand.lanes)
        if place.asks is not None:
            yield "taken", 0
        if place.above is not None:
            yield from (("taken", lane) for lane in lanes_of(place.above))


def _sums(layout: Layout) -> Iterator[str]:
    """The columns that the linear check sums up in (gadgets/linear/check.py)."""
    for place in layout.places:
        if place.equations:
            yield "powers of chi"
        if place.has_terms or (place.equations and (place.gathered or place.turned or place.turn)):
            yield "output sums"
        if place.asks is not None:
            yield "input sums"
        if place.reader is not None:
            factor = layout.parts.factor(place.reader.contribution)
            several = bool(place.sharing) or factor.rows(layout.shape.weight_columns) > 1
            if isinstance(factor, Accumulator) or (several and not place.reader.alone):
                yield "weight sums"
            if place.height * place.stride > place.value_row + 1:
                yield "input sums"


class Facts(Size):
    """What of a placed model the cost depends on, besides k, group and packing: its circuit is declared on a Tally."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.fixed = Fixed(layout, counted=True)
        self._declared: dict[tuple[int, bool], Declared] = {}
        self._finished: dict[tuple[int, int], Tally] = {}

    def declared(self, k: int, group: int) -> Declared:
        """The circuit of 2^k rows, not finished, for helper columns of so many lookups."""
        low = self._is_low(group)
        if (k, low) not in self._declared:
            tally = Tally(k, group=LOW if low else LOW + 1)
            declare(tally, self.fixed, Shape(k, 1, 1, 1).active_rows)
            self._declared[k, low] = Declared(tally)
        return self._declared[k, low]

    def _is_low(self, group: int) -> bool:
        """Whether a circuit for such helper columns has the check without gates of a degree of four."""
        return group <= LOW and self._apart > 0

    @cached_property
    def _apart(self) -> int:
        """The columns that the check has more where no gate is to have a degree of four, at most."""
        readings = any(reading.by_power and not reading.alone for reading in self.fixed.readings)
        return readings + bool(self.fixed.squares)

    def tally(self, shape: Shape) -> Tally:
        """The finished circuit of a shape, counted."""
        key = shape.k, shape.group
        if key not in self._finished:
            self._finished[key] = self.declared(shape.k, shape.group).tally.shaped(shape.group)
            self._finished[key].finish()
        return self._finished[key]

    def least(self, shape: Shape) -> Counts:
        """What the declarations ask for, all arguments' columns among them; the degree is at least a helper's.

        Where those of the other check are made already, they say it: they differ in the columns that stand apart.
        """
        k, group = shape.k, shape.group
        low = self._is_low(group)
        other = None if (k, low) in self._declared else self._declared.get((k, not low))
        declared = self.declared(k, group) if other is None else other
        fewer = 0 if other is None or low else self._apart
        tally, views = declared.tally, declared.views
        helpers, ratios = -(-declared.looked_up // group), _least_ratios(views, group)
        hidden, free = len(tally.hidden), len(tally.free_columns)
        recurrences = len(tally.definitions) - fewer + 1 + (views > 0)
        fixed = len(tally.fixed_columns) - hidden + views
        return Counts(
            packing=shape.packing,
            narrow=tally.advice_phases.count(0),
            looked_up=declared.looked_up,
            helpers=helpers,
            ratios=ratios,
            recurrences=recurrences,
            free=free,
            combinations=len(tally.combinations),
            cosets=_least_cosets(group, declared.looked_up, views),
            fixed_members=-(-fixed // shape.packing) + hidden,
            evaluations=declared.queried - fewer + views + helpers + ratios + 2 * (1 + (views > 0))
            if shape.packing == 1
            else len(tally.advice_names) - fewer + helpers + ratios + 1 + fixed,
            hidden=0,
        )


class Declared:
    """A circuit before the arguments' columns, and what these will be over."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    @cached_property
    def looked_up(self) -> int:
        """Lookups, and parts of tables: the terms of helper columns."""
        return len(self.tally.lookups) + sum(len(table.parts) for table in self.tally.tables)

    @cached_property
    def views(self) -> int:
        """What is copied: the permutation's columns."""
        return len({view for a, _, b, _ in self.tally.copies for view in (a, b)})

    @cached_property
    def queried(self) -> int:
        """The evaluations of what is declared: every column of advice, and every other slot of an expression."""
        tally = self.tally
        expressions = [gate.expression for gate in tally.gates]
        expressions += [term for _, term, _ in tally.sums]
        expressions += [e for lookup in tally.lookups for e in (*lookup.inputs, lookup.numerator)]
        expressions += [e for table in tally.tables for part in table.parts for e in part]
        read = [slot for slot in slots(expressions) if slot.kind != "selector"]
        found = {(slot.kind, slot.index, slot.rotation if slot.kind == "advice" else 0) for slot in read}
        return len(found | {("advice", index, 0) for index in range(len(tally.advice_names))})


@dataclass(frozen=True)
class Counts:
    """What of a finished circuit its cost follows from: exactly, or at least that many of each."""

    packing: int
    narrow: int  # columns of phase 0
    looked_up: int  # lookups, and parts of tables: the terms of helper columns
    helpers: int
    ratios: int
    recurrences: int
    free: int
    combinations: int
    cosets: int  # of the quotient: as many as a helper column has terms
    fixed_members: int  # commitments of fixed columns
    evaluations: int
    hidden: int  # combinations of hidden columns

    @property
    def columns(self) -> int:
        """Defined ones."""
        return self.helpers + self.ratios + self.recurrences

    @property
    def full(self) -> int:
        """Columns of field elements: defined and free ones, and the quotient on its cosets."""
        return self.columns + self.free + self.cosets

    @property
    def polynomials(self) -> int:
        """What the prover makes anew in every proof and gates read: columns of advice, and combinations."""
        return self.narrow + self.columns + self.free + self.combinations

    @property
    def commitments(self) -> int:
        """Of a proof at least: phases are packed each for itself."""
        packed = (self.narrow, self.columns + self.free, self.cosets)
        return sum(-(-columns // self.packing) for columns in packed) + self.hidden

    @property
    def proof_bytes(self) -> int:
        """The length of a proof."""
        return (self.commitments + 2) * G1_BYTES + (self.evaluations + 1) * SCALAR_BYTES
