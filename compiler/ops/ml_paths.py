"""Large forests by paths: a sample passes the levels of a tree, whatever the tree's size (gadgets/path.py).

    leaf of each tree = walk(features on a shelf, nodes)      exact
    value of each tree and target = a table by the leaf       rounded as finely as T allows
    y = sum over trees                                        a dense layer of ones

Nodes are numbered level by level, siblings side by side. For public models, whose tables may hold thresholds, and for
nodes that ask one question. A feature of which some are missing is there twice, once below and once above all others
where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from plonnx.compiler.fixed_point import Call, Scaled
from plonnx.compiler.graph import Array
from plonnx.compiler.ops.ml_forest import GT, GTE, LEQ, LT, Forest, Ints
from plonnx.gadgets import Cells
from plonnx.gadgets.keyed import look_up
from plonnx.gadgets.path import walk
from plonnx.gadgets.select import select
from plonnx.gadgets.shelf import FIRST, shelve

_SMALL = 256
"""Nodes of forests that are decided node by node: the tables would cost as much."""


class Table(NamedTuple):
    """A forest's nodes as `walk` wants them, and where its leaves are.

    ends: for each leaf that is an end of an edge (leaf, tree, number). pitch: tells trees apart. depth: of the deepest.
    """

    nodes: Ints
    ends: Ints
    pitch: int
    depth: int


@dataclass(frozen=True)
class Values:
    """What trees give to targets: for each pair (target, tree) of `pairs` a value by the leaf's number.

    pairs [2, P]: ordered by target. values [E, targets] of the table's ends.
    """

    pairs: Ints
    values: Array
    table: Table

    def rows(self, integers: Ints) -> Ints:
        """(key, value) for each pair and leaf of its tree; keys of a pair start at its number times the pitch."""
        _, tree, number = self.table.ends
        made = []
        for pair, (target, own) in enumerate(self.pairs.T):
            here = tree == own
            made.append(np.stack([pair * self.table.pitch + number[here], integers[here, target]], axis=1))
        rows = np.concatenate(made)
        return rows[np.argsort(rows[:, 0], kind="stable")]


def pays(call: Call, forest: Forest, x: Scaled, lost: Cells | None) -> bool:
    """Whether paths serve this forest, and cost less than a decision for each node.

    A feature that is missing is as low or as high as T holds: no node may ask for more.
    """
    simple = bool(np.all(np.isin(forest.modes, (LEQ, LT, GTE, GT)))) and bool(np.all(forest.roots >= 0))
    if call.builder.hidden or not simple or forest.nodes * x.shape[0] < _SMALL:
        return False
    size, (features, cuts) = call.builder.table_size, _asked(forest, x, lost)
    if lost is not None and (cuts.min() <= -size or cuts.max() >= size - 1):
        return False
    taken = FIRST + 2 * call.builder.unit_count  # an upper bound of the numbers that shelves have given
    room = min(taken, size >> 1) + 2 * x.shape[0] * np.unique(features).size <= size
    sizes = np.bincount(forest.owners(), minlength=len(forest.roots))
    return room and 2 * int(sizes.max()) + 1 <= size


def numbered(forest: Forest, cuts: Ints, features: Ints, most: int) -> Table:
    """The nodes of every tree by levels; `cuts` [M] and `features` [M] (places on the shelf) of what they ask.

    most: no feature is above it.
    """
    above = np.isin(forest.modes, (GTE, GT)).astype(np.int64)  # where a true test leads: to the first child, or second
    below = np.stack([np.take_along_axis(forest.edges, side[:, None], 1)[:, 0] for side in (1 - above, above)], axis=1)
    trees, node = np.arange(len(forest.roots)), forest.roots
    number, used = np.zeros(len(node), np.int64), np.ones(len(forest.roots), np.int64)
    rows, ends, depth = [], [], 0
    while node.size:
        depth += 1
        rank = np.arange(node.size) - np.searchsorted(trees, trees)
        left = used[trees] + 2 * rank
        used += 2 * np.bincount(trees, minlength=len(used))
        rows.append(np.stack([trees, number, 2 * features[node] + (cuts[node] < 0), cuts[node], left]))
        child, tree = below[node].reshape(-1), np.repeat(trees, 2)
        spot = (left[:, None] + np.arange(2)).reshape(-1)
        leaf = child < 0
        ends.append(np.stack([-1 - child[leaf], tree[leaf], spot[leaf], np.full(int(leaf.sum()), depth)]))
        node, trees, number = child[~leaf], tree[~leaf], spot[~leaf]
    leaves = np.concatenate(ends, axis=1)
    early = leaves[:, leaves[3] < depth]
    stay = np.stack([early[1], early[2], np.zeros_like(early[0]), np.full_like(early[0], most), early[2]])
    tree, *held = np.concatenate([*rows, stay], axis=1)
    pitch = int(used.max())
    nodes = np.stack([tree * pitch + held[0], *held[1:]], axis=1)
    return Table(nodes[np.argsort(nodes[:, 0])], leaves[:3], pitch, depth)


def _asked(forest: Forest, x: Scaled, lost: Cells | None) -> tuple[Ints, Ints]:
    """What each node asks: a feature, or where some may be missing twice its number and which end these take; and k."""
    nodes, cuts, _, _, ends = forest.tests(x.scale)
    assert np.array_equal(nodes, np.arange(forest.nodes)), "one test a node"
    features = forest.features if lost is None else 2 * forest.features + ends
    return features, np.clip(cuts, x.cells.low - 1, x.cells.high)


def _at_ends(call: Call, x: Cells, lost: Cells, used: Ints) -> Cells:
    """Features [samples, used], of which a missing one is as low as T holds, or as high where its number is odd."""
    builder, name = call.builder, call.out.name
    most = builder.table_size - 1
    own, missing = (cells.take(used // 2, 1) for cells in (x, lost))
    ends = builder.sum([], np.array([-most, most]) * builder.table_size, f"{name}~ends", hides=False)
    return select(builder, missing, ends.take(used % 2, 0).broadcast_to(own.shape), own, f"{name}~present")


def leaves(call: Call, forest: Forest, x: Scaled, lost: Cells | None) -> tuple[Cells, Table]:
    """[samples, trees]: the numbers of the leaves that are reached."""
    builder, name = call.builder, call.out.name
    features, cuts = _asked(forest, x, lost)
    used, places = np.unique(features, return_inverse=True)
    table = numbered(forest, cuts, places.reshape(-1), builder.table_size - 1)
    with call.errors():
        chosen = x.cells.take(used, 1) if lost is None else _at_ends(call, x.cells, lost, used)
        shelf = shelve(builder, chosen, f"{name}~features").reshape(chosen.shape)
        trees = np.arange(len(forest.roots)) * table.pitch
        return walk(builder, shelf, table.nodes, trees, table.depth, f"{name}~leaf"), table


def summed(call: Call, forest: Forest, x: Scaled, lost: Cells | None, values: Array, base: Array) -> Cells:
    """[samples, targets]: the sum over trees of their values [leaves, targets], and a base."""
    reached, table = leaves(call, forest, x, lost)
    own = values[table.ends[0]]
    given = np.zeros((len(forest.roots), values.shape[1]), bool)
    np.logical_or.at(given, table.ends[1], own != 0)
    given[0] |= ~given.any(axis=0)  # of a target without a value: zeros
    pairs = np.stack(np.nonzero(given.T))
    scales = np.array([_finest(call, own[:, target]) for target in range(values.shape[1])])
    one = Values(pairs, own, table)
    looked = _looked_up(call, one, reached, np.floor(np.ldexp(own, scales) + 0.5).astype(np.int64))
    width = int(np.bincount(pairs[0]).max())
    refs = np.full((len(scales), width, x.shape[0]), -1, np.int64)
    rank = np.arange(pairs.shape[1]) - np.searchsorted(pairs[0], pairs[0])
    refs[pairs[0], rank] = looked.refs.T
    weights = np.repeat(np.int64(1) << (call.table_bits + call.scale - scales), width).reshape(-1, 1, 1)
    cells = Cells(refs.reshape(-1, x.shape[0]), min(looked.low, 0), max(looked.high, 0))
    bias = call.integers(base, call.table_bits + call.scale)
    with call.errors():
        y = call.builder.convolution(
            cells, weights, np.zeros((1, 1), np.int64), bias, x.shape[:1], call.out.name, len(scales)
        )
    return y.transpose((1, 0))


def each(call: Call, forest: Forest, x: Scaled, lost: Cells | None, values: Array, given: Array) -> list[Cells]:
    """For each target: [samples, trees that have values for it] at the output's scale; given [trees, targets]."""
    reached, table = leaves(call, forest, x, lost)
    own = values[table.ends[0]]
    pairs = np.stack(np.nonzero(given.T))
    looked = _looked_up(call, Values(pairs, own, table), reached, call.integers(own, call.scale))
    return [looked.take(np.flatnonzero(pairs[0] == target), 1) for target in range(values.shape[1])]


def _finest(call: Call, values: Array) -> int:
    """The finest scale at which the values fit T, no finer than what the sum can tell apart."""
    largest = float(np.abs(values).max())
    limit = call.table_bits + call.scale
    if largest == 0.0:
        return limit
    return min(limit, int(np.floor(np.log2((call.builder.table_size - 1) / largest))))


def _looked_up(call: Call, values: Values, reached: Cells, integers: Ints) -> Cells:
    """[samples, pairs]: the value of the leaf that is reached."""
    own = reached.take(values.pairs[1], 1)
    offsets = np.arange(values.pairs.shape[1]) * values.table.pitch
    with call.errors():
        return look_up(call.builder, own, offsets, values.rows(integers), f"{call.out.name}~values")
