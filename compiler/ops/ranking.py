"""Order along an axis: ArgMax, ArgMin, TopK, Hardmax. A network of comparators moves values with their indices.

A comparator takes two wires (value, index) and leaves the better one above: g = [the lower one is better], then
select(g, lower, upper); the other one goes below. Batcher's odd-even merge sort says which wires meet;
of it only the comparators are built that the wanted places depend on: n - 1 for the best of n.

Better is a total order, so that ties end as ONNX says: of equal values the one with the lower index first (the higher
one where `select_last_index` asks for it). Values are compared as the circuit holds them, exactly (comparison.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Made, Scaled, Wide
from plonnx.compiler.graph import Node, Tensor
from plonnx.compiler.ops import wide
from plonnx.compiler.ops.comparison import counted, positive, zeros
from plonnx.compiler.ops.registry import Call, Mark, Operand, aligned, expands, op
from plonnx.gadgets import Cells
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.select import select

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Places = NDArray[np.int64]
Comparator = tuple[int, int, bool]
"""(upper wire, lower wire, whether what goes down is wanted, too)."""
_FLAT_UNTIL = 13
"""Hardmax before this version works on everything from its axis on."""


def network(width: int, wanted: int) -> list[list[Comparator]]:
    """Batcher's odd-even merge sort of `width` wires, in stages: the comparators that the first `wanted` depend on."""
    stages, block = [], 1
    while block < width:
        step = block
        while step:
            starts = range(step % block, width - step, 2 * step)
            pairs = [(i, i + step) for start in starts for i in range(start, min(start + step, width - step))]
            stages.append([(i, j) for i, j in pairs if i // (2 * block) == j // (2 * block)])
            step //= 2
        block *= 2
    needed, kept = set(range(wanted)), list[list[Comparator]]()
    for stage in reversed(stages):
        used = [(i, j, j in needed) for i, j in stage if i in needed or j in needed]
        needed.update(wire for i, j, _ in used for wire in (i, j))
        kept.append(used)
    return [stage for stage in reversed(kept) if stage]


@dataclass
class _Ranking:
    """The wires of a ranking of rows: `parts[..][k]` and `indices[k]`, cells [rows]; no index as long as it is k.

    A value is its part, or T times its high part and its low one (wide.py).
    """

    call: Call
    parts: list[list[Cells]]
    indices: list[Cells | None]
    sign: int
    """1 where the largest is best, -1 where the smallest is."""
    ties: int
    """1 where of equal values the lower index is better, -1 where the higher one is."""
    wanted: int
    indexed: bool
    """Whether indices are wanted; ties among several places ask for them, too."""

    @property
    def values(self) -> list[Cells]:
        """The wires of values, where these have one unit; else of their high parts."""
        return self.parts[0]

    def run(self) -> None:
        """Stage by stage, all comparators of a stage at once."""
        for number, stage in enumerate(network(len(self.values), self.wanted)):
            with self.call.errors():
                self._stage(stage, f"{self.call.node.outputs[0] or self.call.node.outputs[1]}~{number}")

    def _stage(self, stage: Sequence[Comparator], name: str) -> None:
        builder = self.call.builder
        size = builder.table_size
        upper, lower = ([_joined([wires[pair[side]] for pair in stage]) for wires in self.parts] for side in (0, 1))
        fresh = all(self.indices[wire] is None and j - i == 1 for i, j, _ in stage for wire in (i, j))
        above = below = None
        if self.indexed and not fresh:
            above, below = (_joined([self.index(pair[side]) for pair in stage]) for side in (0, 1))
        g = self._lower_is_better(upper, lower, (above, below) if self.wanted > 1 else (None, None), name)
        keeps = np.flatnonzero([both for _, _, both in stage])
        for part, wires in enumerate(self.parts):
            of = f" {part}" if part else ""
            _lay(wires, stage, select(builder, g, lower[part], upper[part], f"{name} value{of}"))
            if len(keeps):
                chosen, one, other = (_kept(x, len(stage), keeps) for x in (g, upper[part], lower[part]))
                _lay(wires, stage, select(builder, chosen, one, other, f"{name} rest{of}"), keeps)
        if not self.indexed:
            return
        if above is not None and below is not None:
            _lay(self.indices, stage, select(builder, g, below, above, f"{name} index"))
            if len(keeps):
                chosen, one, other = (_kept(x, len(stage), keeps) for x in (g, above, below))
                _lay(self.indices, stage, select(builder, chosen, one, other, f"{name} index rest"), keeps)
            return
        numbers = np.repeat([i for i, _, _ in stage], g.shape[0] // len(stage))  # neighbours: i + g, and i + 1 - g
        _lay(self.indices, stage, builder.sum([(g, size)], numbers * size, f"{name} index", hides=False))
        if len(keeps):
            others = numbers.reshape(len(stage), -1)[keeps].reshape(-1) + 1
            chosen = _kept(g, len(stage), keeps)
            made = builder.sum([(chosen, -size)], others * size, f"{name} index rest", hides=False)
            _lay(self.indices, stage, made, keeps)

    def index(self, wire: int) -> Cells:
        """The index on a wire; of one that was never moved, a cell that is its number by an equation."""
        held = self.indices[wire]
        if held is not None:
            return held
        if not wire:
            return Cells(np.full(self.values[wire].shape, -1, np.int64), 0, 0)
        constant = np.full(1, wire * self.call.builder.table_size, np.int64)
        made = self.call.builder.sum([], constant, f"{self.call.node.outputs[0]}~index {wire}", hides=False)
        return made.broadcast_to(self.values[wire].shape)

    def _lower_is_better(
        self, upper: list[Cells], lower: list[Cells], indices: tuple[Cells | None, Cells | None], name: str
    ) -> Cells:
        """g. Where upper wires always have lower indices, these need not be compared: for the best, and at first."""
        builder = self.call.builder
        x0, x1 = (upper, lower) if self.sign > 0 else (lower, upper)
        above, below = indices
        if above is None or below is None:
            if self.ties < 0:  # not upper > lower
                x0, x1 = x1, x0
            if len(x0) == 1 and max(x0[0].high - x1[0].low, x1[0].high - x0[0].low) < builder.table_size:
                return compare(builder, x0[0], x1[0], name, opposite=self.ties < 0)
            terms = self._terms(x1, 1) + self._terms(x0, -1)
        else:
            places = len(self.values)
            terms = self._terms(x1, places) + self._terms(x0, -places) + [(above, self.ties), (below, -self.ties)]
        difference = positive(self.call, terms, np.zeros((), np.int64), f"{name}-")
        return compare(builder, zeros(difference), difference, name, opposite=above is None and self.ties < 0)

    def _terms(self, value: list[Cells], factor: int) -> list[tuple[Cells, int]]:
        """Cells and factors whose sum is a value's integers."""
        size = self.call.builder.table_size
        return [(cells, factor * size ** (len(value) - 1 - part)) for part, cells in enumerate(value)]


def _places(node: Node, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """An index along the axis, whatever calibration saw."""
    made = node.outputs[-1] if node.op == "TopK" else node.outputs[0]
    shape = tensors[node.inputs[0]].shape
    extent = shape[int(node.attributes.get("axis", -1 if node.op == "TopK" else 0))]
    return {made: float(max(extent - 1, 1))} if tensors[made].dtype.kind == "i" else {}


def ranked(call: Call, wires: Sequence[Cells]) -> _Ranking:
    """The largest of some rows of cells, and its number; of equal ones the first."""
    ranking = _Ranking(call, [list(wires)], [None] * len(wires), 1, 1, 1, indexed=True)
    ranking.run()
    return ranking


def _ranked(call: Call, x: Operand, axis: int, wanted: int, largest: bool, last: bool, indexed: bool) -> _Ranking:
    """The best `wanted` along an axis, of x as wires [extent] of rows."""
    operand = _whole_or_real(call, x)
    parts = [operand.high, operand.low] if isinstance(operand, Wide) else [operand.cells]
    order, extent = (axis, *(a for a in range(len(operand.shape)) if a != axis)), operand.shape[axis]
    rows = [cells.transpose(order).reshape((extent, -1)) for cells in parts]
    wires = [[row[k] for k in range(extent)] for row in rows]
    ranking = _Ranking(call, wires, [None] * extent, 1 if largest else -1, -1 if last else 1, wanted, indexed)
    ranking.run()
    return ranking


def _whole_or_real(call: Call, x: Operand) -> Scaled | Wide:
    return x if isinstance(x, Wide) else call.computed(x, "the operand")


def _laid(rows: Sequence[Cells], axis: int, shape: Sequence[int]) -> Cells:
    """Cells [rows] for each place of an axis, as a tensor of the shape."""
    kept = [extent for a, extent in enumerate(shape) if a != axis]
    stacked = Cells.concatenate([row.reshape((1, *kept)) for row in rows], 0)
    order = list(range(1, len(shape)))
    order.insert(axis, 0)
    return stacked.transpose(order)


def _best(call: Call, x: Operand, largest: bool) -> Cells:
    given, rank = call.node.attributes, len(_whole_or_real(call, x).shape)
    axis = int(given.get("axis", 0)) % rank
    ranking = _ranked(call, x, axis, 1, largest, bool(given.get("select_last_index", 0)), indexed=True)
    return ranking.index(0).reshape(call.out.shape)


@op("ArgMax", since=1, scale=counted, known=_places, marks=Mark.STEPS | Mark.WIDE)
def arg_max(call: Call, x: Operand) -> Cells:
    """The index of the largest along `axis`; of the first, or the last, where several are."""
    return _best(call, x, largest=True)


@op("ArgMin", since=1, scale=counted, known=_places, marks=Mark.STEPS | Mark.WIDE)
def arg_min(call: Call, x: Operand) -> Cells:
    """The index of the smallest along `axis`."""
    return _best(call, x, largest=False)


def _values_or_indices(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The operand's scale for values; indices are whole."""
    return counted(node, tensors, asked) if node.outputs[0] == "" else aligned(node, tensors, asked)


_TOP = Mark.STEPS | Mark.NAMES_ALL | Mark.WIDE


@op("TopK", since=1, scale=_values_or_indices, known=_places, marks=_TOP)
def top_k(call: Call, x: Operand, k: Operand = None) -> list[Made]:
    """The k largest (smallest) along `axis`, sorted, whether or not that is asked for; their indices."""
    given, rank = call.node.attributes, len(_whole_or_real(call, x).shape)
    axis = int(given.get("axis", -1)) % rank
    shown = next(tensor for tensor in call.outputs if tensor is not None)
    count = shown.shape[axis]
    indexed = len(call.outputs) > 1 and call.outputs[1] is not None
    ranking = _ranked(call, x, axis, count, bool(given.get("largest", 1)), False, indexed)
    best = [_laid(wires[:count], axis, shown.shape) for wires in ranking.parts]
    values: Made = best[0]
    if isinstance(x, Wide):
        pair = Wide(best[0], best[1], x.size)
        values = pair if call.outputs[0] is None or call.outputs[0].wide else wide.made_sum(call, [(pair, 1)], None)
    if not indexed:
        return [values]
    return [values, _laid([ranking.index(wire) for wire in range(count)], axis, shown.shape)]


@expands("Hardmax", since=1, marks=Mark.STEPS)
def hardmax(scene: Scene, node: Node) -> list[Node]:
    """1 at the first of the largest along the axis, 0 elsewhere: [ArgMax(x) = k] for each place k."""
    steps, shape = Steps(scene, node), scene.shape(node.inputs[0])
    x, rank = node.inputs[0], len(shape)
    axis = int(node.attributes.get("axis", -1 if node.since >= _FLAT_UNTIL else 1)) % rank
    if node.since < _FLAT_UNTIL:
        lead = int(np.prod(shape[:axis], dtype=np.int64))
        x, axis = steps.reshape(x, (lead, -1)), 1
    own = steps.shape(x)
    kept = tuple(1 if a == axis else extent for a, extent in enumerate(own))
    best = steps.apply("ArgMax", x, shape=kept, axis=axis, keepdims=1)
    places = np.arange(own[axis]).reshape([-1 if a == axis else 1 for a in range(len(own))])
    numbers = scene.constant(node.outputs[0], places.astype(np.int64), public=True)
    chosen = steps.apply("Equal", best, numbers, shape=own)
    made = steps.cast(chosen)
    return steps.finish(made if own == shape else steps.reshape(made, shape))


def _joined(parts: Sequence[Cells]) -> Cells:
    return Cells.concatenate([part.reshape(-1) for part in parts], 0)


def _lay(wires: list[Any], stage: Sequence[Comparator], made: Cells, keeps: Places | None = None) -> None:
    """Put what a stage made on its upper wires, or on the lower ones of some comparators."""
    placed = [i for i, _, _ in stage] if keeps is None else [stage[place][1] for place in keeps.tolist()]
    rows = made.reshape((len(placed), -1))
    for row, wire in enumerate(placed):
        wires[wire] = rows[row]


def _kept(x: Cells, pairs: int, keeps: Places) -> Cells:
    return x.reshape((pairs, -1)).take(keeps, 0).reshape(-1)
