"""The way of a sample through a binary tree: the leaf that it reaches, in two rows of a lane for each level.

A node has a number i within its tree, the root 0, siblings l and l + 1. It asks [x > t] of one cell of the shelf
(gadgets/shelf.py, by the number n), and leads to l, or to l + 1 where that holds. A leaf above the last level asks what
never holds, and leads to itself. All nodes of all trees are rows (tree + i, n, t, l) of one fixed table, where `tree`
is what a tree's numbers are told apart by.

    row 2s        a - b = x, c = n, e = i                       row 2s + 1    a - b = x - t - g, c = g, e = i'
    row 2 depth   a - b = e = i, the leaf                       (gadgets/unit.py for a, b, c, e)

    start e = 0                                                                 row 0
    (tree + e, c - sample, (a - b) - (a' - b') - c', e' - c') is a node         rows 2s, where `path asked`
    (c, a - b) is on the shelf                                                  rows 2s
    decide c (1 - c) = 0,  decide (c b + (1 - c) a) = 0,  decide (e' - e) = 0   rows 2s + 1
    end (a - b - e) = 0                                                         row 2 depth

Why there is one way. By induction e on row 2s is the number of a node of this tree: the root's is 0, and the table has
one row for (tree, i), which fixes n, t and l. The shelf has one x for n. With g in {0, 1}: g = 1 leaves b' = 0 and
x - t - 1 = a' in [0, T), so x > t; g = 0 leaves a' = 0 and t - x = b', so x <= t. Then i' = l + g, and the next row
takes it. All of this is about integers below 4 T, which do not wrap. x is the part of a feature on t's side of zero, so
that |x - t| <= T always: nothing is refused. `tree`, `sample` (2 for each feature of the samples before) and `path
asked` are fixed columns of each lane; start, decide and end of each row. Lanes without a path ask nothing, and all of
their cells may be zero.

Cost: 2 depth + 1 units a tree and sample, two lookups a lane; four fixed columns and one of multiplicities for each
part of the table of nodes. a, b, c are queried on the next row, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from plonnx.gadgets import constant_tables
from plonnx.gadgets.gadget import (
    Cellwise,
    Filled,
    Gadget,
    Given,
    Held,
    Integers,
    Marks,
    Outcome,
    OutOfRange,
    Rule,
)
from plonnx.gadgets.shelf import Shelf, numbers
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes

TABLE = "nodes"


class Step(NamedTuple):
    """One level of many ways: the node, the number that it asks for, what is there, its threshold, its answer, left."""

    node: Integers
    number: Integers
    x: Integers
    threshold: Integers
    above: Integers
    left: Integers

    @property
    def below(self) -> Integers:
        """The nodes that it leads to."""
        return self.left + self.above


@dataclass(frozen=True, eq=False)
class Walk(Gadget, Rule):
    """The leaves of `trees` [K] for samples x [R, F] of one shelf; nodes [M, 4], `depth` levels; units [R, K]."""

    kind: ClassVar[str] = "path"

    x: Integers
    start: int
    nodes: Integers
    trees: Integers
    depth: int

    @property
    def entries(self) -> int:
        """The rows of its table."""
        return len(self.nodes)

    @property
    def constants(self) -> int:
        """Its thresholds."""
        return len(self.nodes)

    @property
    def operands(self) -> Integers:
        """x, which is looked up, not copied."""
        return self.x.reshape(-1)

    @property
    def stride(self) -> int:
        """Two rows a level, and the leaf."""
        return 2 * self.depth + 1

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own; the shelf's stand where that is."""
        return [Walk]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """a - b, which e equals."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Where it starts, decides and ends; e is free on all rows."""
        return {
            "path start": {0: 1},
            "path decide": dict.fromkeys(range(1, 2 * self.depth, 2), 1),
            "path end": {2 * self.depth: 1},
            "extended": dict.fromkeys(range(self.stride), 1),
        }

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """Which lanes ask, of which tree and of which sample."""
        asked = range(0, 2 * self.depth, 2)
        sample, tree = np.divmod(np.arange(self.count), len(self.trees))
        return {
            "path asked": {row: np.ones(self.count, np.int64) for row in asked},
            "path tree": dict.fromkeys(asked, self.trees[tree]),
            "path sample": dict.fromkeys(asked, 2 * self.x.shape[1] * sample),
            **Shelf.asked(asked, self.count),
        }

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Through the same trees."""
        nodes = self.nodes - np.array([0, self.start, 0, 0])
        return walk(builder, cells(self.x), nodes, self.trees, self.depth, self.name)

    def validate(self, where: str) -> int:
        """A leaf for each sample and tree."""
        require(self.x.ndim == 2 and self.trees.ndim == 1, f"{where}: its samples are no matrix, or its trees no list")
        constant_tables.check(self.nodes, 4, np.append(self.trees, self.start), where)
        asked = self.nodes[:, 1] - self.start
        inside = self.start >= 0 and bool(np.all((asked >= 0) & (asked < 2 * self.x.shape[1])))
        require(inside, f"{where}: a node asks for what is in no sample")
        require(1 <= self.depth < 1 << 12, f"{where}: it has {self.depth} levels")
        return len(self.x) * len(self.trees)

    def run(self, operands: Integers, size: int) -> Outcome:
        """The leaves; OutOfRange for a node that the table lacks."""
        *_, last = self._steps(operands.reshape(-1, *self.x.shape))
        return Outcome(last.below)

    def _steps(self, x: Integers) -> Iterator[Step]:
        """Level by level, [runs, units] each."""
        runs, (sample, tree) = np.arange(len(x))[:, None], np.divmod(np.arange(self.count), len(self.trees))
        node = np.zeros((len(x), self.count), np.int64)
        for _ in range(self.depth):
            at, found = constant_tables.place(self.nodes[:, 0], node + self.trees[tree])
            if not found.all():
                raise OutOfRange(self.name, int(node[~found][0]), 0, int(self.nodes[:, 3].max()) + 1)
            number, threshold, left = self.nodes[at, 1:].transpose(2, 0, 1)
            feature, negative = np.divmod(number - self.start, 2)
            whole = x[runs, sample, feature]
            shown = np.where(negative == 1, np.minimum(whole, 0), np.maximum(whole, 0))
            asked = number + 2 * self.x.shape[1] * sample
            step = Step(node, asked, shown, threshold, (shown > threshold).astype(np.int64), left)
            yield step
            node = step.below

    def fill(self, given: Given) -> Sequence[Held]:
        """Two rows a level; zeros in lanes without a path."""

        def own(values: Integers) -> Integers:
            return np.where(given.present, values[0][given.number], 0)

        held = []
        for step in self._steps(given.read().reshape(1, *self.x.shape)):
            x, difference = own(step.x), own(step.x - step.threshold - step.above)
            held.append(Held(x + own(step.node), x, own(step.number)))
            held.append(Held(difference + own(step.below), difference, own(step.above)))
        return [*held, Held(2 * given.values, given.values)]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """One table for all trees; five gates and a lookup a lane."""
        columns = list(_nodes(lanes.gadgets).T)
        table = constant_tables.declare(lanes.circuit, TABLE, columns, lanes.active_rows)
        start, decide, end = (lanes.mark(f"path {part}") for part in ("start", "decide", "end"))
        gate = lanes.circuit.gate
        for lane, unit in enumerate(lanes.units):
            a, b, c, e = unit.positive(), unit.negative(), unit.c(), unit.extra()
            gate(f"lane {lane}: a path starts at a root", start * e)
            gate(f"lane {lane}: a node's answer is 0 or 1", decide * c * (1 - c))
            gate(f"lane {lane}: a node is decided", decide * (c * b + (1 - c) * a))
            gate(f"lane {lane}: a path goes on", decide * (unit.extra(1) - e))
            gate(f"lane {lane}: a path ends at its leaf", end * (unit.value - e))
            asked = lanes.own("path asked", lane)
            if not isinstance(asked, int):
                above = unit.c(1)
                node = lanes.own("path tree", lane) + e
                threshold = unit.value - unit.shown(1) - above
                inputs = [node, c - lanes.own("path sample", lane), threshold, unit.extra(1) - above]
                lanes.circuit.lookup(f"lane {lane} is at a node", table, inputs, asked)

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """How often each node is passed."""
        nodes, asked = _nodes(filled.gadgets), filled.own("path asked") != 0
        at = filled.taken - filled.values + filled.own("path tree")
        found, _ = constant_tables.place(nodes[:, 0], at[asked])
        return constant_tables.multiplicities(TABLE, len(nodes), found, filled.active_rows)


def _nodes(gadgets: Sequence[Gadget]) -> Integers:
    """The nodes of all paths, in order."""
    return np.concatenate([gadget.nodes for gadget in gadgets if isinstance(gadget, Walk)])


def walk(builder: Builder, x: Cells, nodes: Integers, trees: Integers, depth: int, name: str) -> Cells:
    """The numbers of the leaves [R, K] that samples x [R, F], which stand on a shelf in this order, reach.

    nodes [M, 4]: tree + number, ascending; 2 feature, or 2 feature + 1 for its negative part; threshold; left child.
    trees [K]: what is added to the numbers of each. `depth` levels are gone down.
    """
    before = [block for block in builder.blocks if isinstance(block, Walk)]
    base = 1 + int(before[-1].nodes[-1, 0]) - int(nodes[0, 0]) if before else 0
    start = int(numbers(builder, x).reshape(-1)[0])
    own = nodes + np.array([base, start, 0, 0])
    shape, most = (x.shape[0], len(trees)), int(nodes[:, 3].max()) + 1
    return builder.add(Walk, name, shape, (0, most), x.refs, start, own, trees + base, depth)
