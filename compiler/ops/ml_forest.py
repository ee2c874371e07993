"""The trees of ai.onnx.ml's three ensembles as one form: inner nodes with two edges each, to a node or to a leaf.

    TreeEnsembleRegressor, TreeEnsembleClassifier     nodes by (tree, number), leaves among them; any targets a leaf
    TreeEnsemble                                      inner nodes and leaves apart, roots given; one target a leaf

A test is [x > k] for a feature and a whole number k, as a circuit holds the feature; every mode is a sum of such tests.
LEQ and GT, whose thresholds scikit-learn and LightGBM put between values of their data, are decided for each value that
the circuit can hold as the real threshold decides it. LT, GTE, EQ and NEQ compare with the threshold rounded as
features are: XGBoost's thresholds are values of its data, on which a feature and its threshold must stay equal.
Where a pass knows on which side the values at a threshold are (compiler/clear_thresholds.py), they come out there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from plonnx.compiler.graph import Array, CompileError, Node
from plonnx.compiler.ops.ml_scores import given
from plonnx.compiler.ops.registry import ML

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""In the order of TreeEnsemble's numbers."""
LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(len(MODES))
SIDES = "~sides"
"""A note on a node, no attribute of ONNX: for each threshold 1 where values at it are below, -1 above, else 0."""
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Exits:
    """Leaf, tree and depth of each; and, level by level up, (exit, node, side) of the edges that lead to it."""

    leaves: Ints
    trees: Ints
    depths: Ints
    steps: list[tuple[Ints, Ints, Ints]]


class Tests(NamedTuple):
    """The tests [x > k] of all nodes: a node is true where its constant + sum sign [x > k] is one.

    nodes, cuts, signs [tests]; constants [nodes]. lost [tests]: 1 where a test holds of what is missing, else 0.
    """

    nodes: Ints
    cuts: Ints
    signs: Reals
    constants: Reals
    lost: Ints


@dataclass(frozen=True)
class Forest:
    """Inner nodes 0..M-1, leaves 0..L-1. `edges` [M, 2]: where a false and a true test lead, a leaf l as -1 - l.

    `members` are the sets of the nodes of mode MEMBER, by node. `values` [L, targets] and `held`, where one is given.
    tracks [M]: which nodes are true of what is missing (a NEQ is, whatever it says).
    """

    features: Ints
    modes: Ints
    thresholds: Reals
    members: dict[int, Reals]
    edges: Ints
    roots: Ints
    values: Reals
    held: NDArray[np.bool_]
    sides: Ints | int
    tracks: NDArray[np.bool_]

    @property
    def nodes(self) -> int:
        """Inner nodes."""
        return len(self.features)

    def owners(self) -> Ints:
        """The tree of every inner node, -1 of those that no root leads to; every node has one parent at most."""
        tree, inner = np.full(self.nodes, -1), np.flatnonzero(self.roots >= 0)
        frontier = self.roots[inner]
        tree[frontier] = inner
        while frontier.size:  # level by level
            below, above = self.edges[frontier], tree[frontier]
            inside = below >= 0
            frontier = below[inside]
            tree[frontier] = np.repeat(above, 2).reshape(-1, 2)[inside]
        return tree

    def exits(self) -> Exits:
        """The edges to leaves, and roots that are leaves."""
        parent, side = np.full(self.nodes, -1), np.zeros(self.nodes, np.int64)
        above, way = np.nonzero(self.edges >= 0)
        parent[self.edges[above, way]], side[self.edges[above, way]] = above, way
        node, way = np.nonzero(self.edges < 0)
        single = np.flatnonzero(self.roots < 0)
        leaves = np.concatenate([-1 - self.edges[node, way], -1 - self.roots[single]])
        trees = np.concatenate([self.owners()[node], single])
        steps, exits, depths = [], np.arange(len(node)), np.zeros(len(leaves), np.int64)
        while exits.size:
            depths[exits] += 1
            steps.append((exits, node, way))
            up, way = parent[node], side[node]
            kept = up >= 0
            exits, node, way = exits[kept], up[kept], way[kept]
        return Exits(leaves, trees, depths, steps)

    def tests(self, scale: int) -> Tests:
        """The tests for features whose integers v stand for v / 2^scale."""
        exact = np.ldexp(self.thresholds, scale)
        down, near = np.floor(exact), np.floor(exact + 0.5)
        every = np.arange(self.nodes)
        known = [self.sides > 0, self.sides < 0]
        between, at = (np.select(known, [near, near - 1], cut) for cut in (down, near - 1))
        true, false = self.tracks, np.zeros(self.nodes, bool)
        parts = [
            (every[self.modes == mode], cut[self.modes == mode], sign, lost[self.modes == mode])
            for mode, cut, sign, lost in (
                *((LEQ, between, -1.0, ~true), (LT, at, -1.0, ~true), (GTE, at, 1.0, true), (GT, between, 1.0, true)),
                *((EQ, near - 1, 1.0, true), (EQ, near, -1.0, false)),
                *((NEQ, near - 1, -1.0, false), (NEQ, near, 1.0, false)),
            )
        ]
        for node, held in self.members.items():
            values = np.unique(np.floor(np.ldexp(held, scale) + 0.5))
            own, none = np.full(values.size, node), np.zeros(values.size, bool)
            first = (np.arange(values.size) == 0) & true[node]
            parts += [(own, values - 1, 1.0, first), (own, values, -1.0, none)]
        nodes = np.concatenate([part[0] for part in parts])
        cuts = np.concatenate([part[1] for part in parts])
        signs = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
        lost = np.concatenate([part[3] for part in parts]).astype(np.int64)
        constants = np.isin(self.modes, (LEQ, LT, NEQ)).astype(np.float64)
        order = np.argsort(nodes, kind="stable")
        held = np.clip(cuts, -(2.0**40), 2.0**40)[order].astype(np.int64)
        return Tests(nodes[order], held, signs[order], constants, lost[order])


def is_forest(node: Node) -> bool:
    """A node of trees."""
    return node.domain == ML and node.op in ("TreeEnsemble", "TreeEnsembleRegressor")


def reads_missing(node: Node) -> bool:
    """A node of trees, whose nodes say where missing values go: a second operand says what is missing."""
    return node.domain == ML and node.op.startswith("TreeEnsemble")


def questions(node: Node) -> tuple[Ints, Ints, Reals]:
    """Feature, mode (-1: a leaf's) and threshold of each place of a forest's attributes."""
    if node.op == "TreeEnsemble":
        modes, thresholds = given(node, "nodes_modes").astype(np.int64), given(node, "nodes_splits")
    else:
        modes = np.array([_mode(node, str(mode)) for mode in node.attributes.get("nodes_modes", ())], np.int64)
        thresholds = given(node, "nodes_values")
    return given(node, "nodes_featureids").astype(np.int64), modes, thresholds.astype(np.float64)


def with_thresholds(node: Node, changed: Mapping[int, float]) -> Node:
    """The forest with other thresholds at some places."""
    named = [name for name in ("nodes_values", "nodes_values_as_tensor", "nodes_splits") if name in node.attributes]
    made = {}
    for name in named:
        value = node.attributes[name]
        array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value, np.float64)
        array = array.copy()
        array[list(changed)] = list(changed.values())
        is_tensor = isinstance(value, TensorProto)
        made[name] = numpy_helper.from_array(array, value.name) if is_tensor else tuple(array.tolist())
    return replace(node, attributes={**node.attributes, **made})


def moved_thresholds(node: Node, exponents: Ints) -> Node:
    """The node for features times 2^exponents: what they are compared with is multiplied, exactly."""
    by_node = exponents[given(node, "nodes_featureids").astype(np.int64)]
    moved = {}
    for name in ("nodes_values", "nodes_values_as_tensor", "nodes_splits"):
        if name in node.attributes:
            moved[name] = _multiplied(node.attributes[name], by_node)
    if "membership_values" in node.attributes:
        sets = given(node, "membership_values")
        ends = np.cumsum(np.isnan(sets)) - np.isnan(sets)  # the set that a value or its end belongs to
        members = by_node[given(node, "nodes_modes") == MEMBER]
        moved["membership_values"] = _multiplied(node.attributes["membership_values"], members[ends])
    return replace(node, attributes={**node.attributes, **moved})


def _multiplied(value: Any, exponents: Ints) -> Any:
    if isinstance(value, TensorProto):
        array = numpy_helper.to_array(value)
        return numpy_helper.from_array(np.ldexp(array, exponents).astype(array.dtype), value.name)
    return tuple(np.ldexp(np.asarray(value, np.float64), exponents).tolist())


def read(node: Node) -> Forest:
    """The forest of a node; CompileError where its attributes fit no trees."""
    try:
        return _apart(node) if node.op == "TreeEnsemble" else _by_number(node)
    except (IndexError, ValueError) as error:
        if isinstance(error, CompileError):
            raise
        raise CompileError(f"{node.label}: its attributes do not fit together: they describe no trees") from error


def _by_number(node: Node) -> Forest:
    kind = "target" if node.op == "TreeEnsembleRegressor" else "class"
    trees, numbers = given(node, "nodes_treeids"), given(node, "nodes_nodeids")
    modes = np.array([_mode(node, str(mode)) for mode in node.attributes.get("nodes_modes", ())], np.int64)
    leaf = modes < 0
    leaves, nodes = (np.cumsum(those.astype(np.int64)) for those in (leaf, ~leaf))
    place = np.where(leaf, -leaves, nodes - 1)  # -1 - leaf, or inner node
    keys = _Keys(node, trees, numbers)
    inner = np.flatnonzero(~leaf)
    below = np.stack(
        [keys.find(trees[inner], given(node, f"nodes_{side}nodeids")[inner]) for side in ("false", "true")], axis=1
    )
    edges = place[below]
    roots = np.setdiff1d(np.arange(len(numbers)), below)
    order = np.argsort(trees[roots], kind="stable")
    targets = int(node.attributes.get("n_targets", 1)) if kind == "target" else classes(node)
    values = np.zeros((int(leaf.sum()), targets))
    held = np.zeros(values.shape, bool)
    where = -1 - place[keys.find(given(node, f"{kind}_treeids"), given(node, f"{kind}_nodeids"))]
    ids, weights = given(node, f"{kind}_ids").astype(np.int64), given(node, f"{kind}_weights").astype(np.float64)
    if kind == "target" and targets == 1:  # of several weights of a leaf onnxruntime takes the first
        where, first = np.unique(where, return_index=True)
        ids, weights = ids[first], weights[first]
    np.add.at(values, (where, ids), weights)
    held[where, ids] = True
    features, thresholds = given(node, "nodes_featureids")[inner], given(node, "nodes_values").astype(np.float64)[inner]
    grown = (edges, place[roots[order]], values, held, _sides(node, inner), _tracks(node, inner))
    forest = _with_sets(Forest(features, modes[inner], thresholds, {}, *grown))
    return _checked(node, forest, np.unique(trees))


def _with_sets(forest: Forest) -> Forest:
    """Chains of EQ that lead to one node, as LightGBM's categories are exported, become one MEMBER."""
    below, inner, every = forest.edges[:, 0], forest.edges[:, 0] >= 0, np.arange(forest.nodes)
    own, next_ = every[inner], below[inner]
    alike = (forest.modes[own] == EQ) & (forest.modes[next_] == EQ) & (forest.features[own] == forest.features[next_])
    chained = alike & (forest.edges[own, 1] == forest.edges[next_, 1])
    if not chained.any():
        return forest
    last, members = every.copy(), dict[int, Reals]()
    follows = dict(zip(own[chained].tolist(), next_[chained].tolist(), strict=True))
    kept = ~np.isin(every, next_[chained])
    for head in [one for one in follows if kept[one]]:
        chain = [head]
        while chain[-1] in follows:
            chain.append(follows[chain[-1]])
        members[head], last[head] = forest.thresholds[chain], chain[-1]
    modes, edges, number = forest.modes.copy(), forest.edges.copy(), np.cumsum(kept) - 1
    modes[list(members)], edges[:, 0] = MEMBER, forest.edges[last, 0]
    tracks = forest.tracks | forest.tracks[last]
    edges, roots = (np.where(one < 0, one, number[np.maximum(one, 0)]) for one in (edges, forest.roots))
    return replace(
        forest,
        features=forest.features[kept],
        modes=modes[kept],
        thresholds=forest.thresholds[kept],
        members={int(number[head]): held for head, held in members.items()},
        edges=edges[kept],
        roots=roots,
        sides=forest.sides if isinstance(forest.sides, int) else forest.sides[kept],
        tracks=tracks[kept],
    )


def _sides(node: Node, places: Ints) -> Ints | int:
    return np.asarray(node.attributes[SIDES], np.int64)[places] if SIDES in node.attributes else 0


def _tracks(node: Node, places: Ints) -> NDArray[np.bool_]:
    """Of nodes at some places: where those are true that are asked for what is missing."""
    tracks = given(node, "nodes_missing_value_tracks_true")
    return tracks[places] != 0 if tracks.size else np.zeros(len(places), bool)


def _mode(node: Node, name: str) -> int:
    if name == "LEAF":
        return -1
    if name not in MODES[:MEMBER]:
        raise CompileError(f"{node.label}: {name!r} is no mode of a node")
    return MODES.index(name)


def classes(node: Node) -> int:
    """The classes of a classifier."""
    return given(node, "classlabels_int64s").size


class _Keys:
    """Nodes by tree and number."""

    def __init__(self, node: Node, trees: Array, numbers: Array) -> None:
        self.most = int(numbers.max(initial=0)) + 1
        keys = trees * self.most + numbers
        self.order = np.argsort(keys, kind="stable")
        self.sorted = keys[self.order]
        if np.any(np.diff(self.sorted) == 0):
            raise CompileError(f"{node.label}: two nodes of one tree have the same number")

    def find(self, trees: Array, numbers: Array) -> Ints:
        """The places of nodes."""
        keys = trees * self.most + numbers
        at = np.searchsorted(self.sorted, keys)
        if np.any((numbers < 0) | (numbers >= self.most)) or np.any(self.sorted[at] != keys):
            raise ValueError("a node that is not there")
        return np.asarray(self.order[at])


def _apart(node: Node) -> Forest:
    features, modes = given(node, "nodes_featureids"), given(node, "nodes_modes").astype(np.int64)
    sides = [
        np.where(
            given(node, f"nodes_{side}leafs") == 1,
            -1 - given(node, f"nodes_{side}nodeids"),
            given(node, f"nodes_{side}nodeids"),
        )
        for side in ("false", "true")
    ]
    if np.any((modes < 0) | (modes >= len(MODES))):
        raise CompileError(f"{node.label}: {int(modes.max())} is no mode of a node")
    ids, weights = given(node, "leaf_targetids"), given(node, "leaf_weights").astype(np.float64)
    values = np.zeros((len(ids), int(node.attributes.get("n_targets", 1))))
    values[np.arange(len(ids)), ids] = weights
    held = np.zeros(values.shape, bool)
    held[np.arange(len(ids)), ids] = True
    sets = given(node, "membership_values").astype(np.float64)
    ends = np.flatnonzero(np.isnan(sets))
    groups = [group[~np.isnan(group)] for group in np.split(sets, ends)]
    members = dict(zip(np.flatnonzero(modes == MEMBER).tolist(), groups, strict=False))
    if len(members) != int(np.sum(modes == MEMBER)):
        raise CompileError(f"{node.label}: it has fewer membership_values than nodes that ask for a member")
    roots = given(node, "tree_roots")
    forest = Forest(
        features,
        modes,
        given(node, "nodes_splits").astype(np.float64),
        members,
        np.stack(sides, 1),
        roots,
        values,
        held,
        _sides(node, np.arange(len(features))),
        _tracks(node, np.arange(len(features))),
    )
    return _checked(node, forest, roots)


def _checked(node: Node, forest: Forest, trees: Sequence[int] | Array) -> Forest:
    """Every node has one parent, or is the root of a tree, and is reached."""
    edges = forest.edges
    if np.any(edges >= forest.nodes) or np.any(-1 - edges >= len(forest.values)) or len(forest.roots) != len(trees):
        raise ValueError("an edge to nowhere")
    count = np.bincount(edges[edges >= 0], minlength=forest.nodes)
    count += np.bincount(forest.roots[forest.roots >= 0], minlength=forest.nodes)
    if np.any(count != 1) or np.any(forest.owners() < 0):
        raise CompileError(
            f"{node.label}: its nodes form no trees: one has several parents, or none that leads to a root"
        )
    if np.isnan(forest.thresholds[forest.modes != MEMBER]).any():
        raise CompileError(f"{node.label}: one of its thresholds is not a number (NaN)")
    return forest
