"""Tree ensembles: TreeEnsembleRegressor, TreeEnsembleClassifier, TreeEnsemble. Every node is decided, every leaf asked.

    d = x - k, d - 1       for each distinct test [x > k], two outputs of one dense layer
    g = max(d, 0) - max(d - 1, 0)        the test, 0 or 1: a difference of free views, no cell; or [d > 0] by a table
    z = max(sum of the agreeing tests - depth + 1, 0)        1 at the one leaf of a tree that is reached, 0 elsewhere
    y = sum over leaves of value * z                         another dense layer

All of it is exact but the leaves' values. Where x - k is too wide, d is ceil((x - k) / 2^j), which has its sign. A
forest's leaves read all tests, of which equal ones are one, or each tree's its own, whichever costs less.
A second operand says which features are missing (compiler/missing.py): their tests then hold as the nodes say, whatever
x is, by a multiple of that Boolean in d that is larger than any x - k.

Large forests of public models go by paths instead (ml_paths.py): their depth counts, not their size.

A classifier is a regressor with a target for each class, and a label, as onnxruntime makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.compiler.ops import ml_paths
from plonnx.compiler.ops.ml_forest import AGGREGATES, Exits, Forest, Ints, classes, read
from plonnx.compiler.ops.ml_scores import (
    Made,
    best_label,
    classified,
    complement,
    decided_label,
    features,
    given,
    samples,
    transformed,
    two_columns,
)
from plonnx.compiler.ops.registry import ML, Call, Operand, expands, op
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.expansion import Steps
    from plonnx.compiler.passes.rewrite import Scene

_FLOAT = np.dtype(np.float32)
_OF_CLASSES = "~of classes"
"""A note on the trees that make a classifier's scores."""
_TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
"""In the order of TreeEnsemble's numbers, as onnxruntime has them (ONNX says that SOFTMAX is 1 and LOGISTIC 2)."""
_WEIGHTS_A_UNIT = 500
"""How many weights cost a proof as much as a unit does, by the predictions for forests of either form."""


def _targets(node: Node) -> int:
    return int(node.attributes.get("n_targets", 1))


def _transform(node: Node) -> str:
    """Of one target only a probit does something in onnxruntime."""
    kind = node.attributes.get("post_transform", "NONE")
    name = _TRANSFORMS[kind] if isinstance(kind, int) else str(kind)
    return name if _targets(node) > 1 or name == "PROBIT" else "NONE"


def _aggregate(node: Node) -> str:
    kind = node.attributes.get("aggregate_function", "SUM")
    return AGGREGATES[kind] if isinstance(kind, int) and 0 <= kind < len(AGGREGATES) else str(kind)


def _regressed(node: Node, operands: Sequence[Tensor | None]) -> Made:
    count, width = samples(node, operands[0])
    used = given(node, "nodes_featureids")
    if used.size and (used.min() < 0 or used.max() >= width):
        raise CompileError(f"{node.label}: it reads feature {int(used.max())}, and has {width} features")
    x = operands[0]
    double = node.op == "TreeEnsemble" and x is not None and x.dtype == np.float64
    return [((count, _targets(node)), np.dtype(np.float64) if double else _FLOAT)]


def _operands(scene: Scene, node: Node) -> tuple[Steps, tuple[str, ...]]:
    """Steps; the features as real numbers and, where that is given, what is missing of them, [samples, features]."""
    steps, x = features(scene, node)
    shape = steps.shape(x)
    missing = [name if steps.shape(name) == shape else steps.reshape(name, shape) for name in node.inputs[1:]]
    return steps, (x, *missing)


def _transformed(scene: Scene, node: Node) -> list[Node] | None:
    """The trees alone, and the post transform behind them."""
    read(node)
    kind, aggregate = _transform(node), _aggregate(node)
    if aggregate not in AGGREGATES:
        raise CompileError(f"{node.label}: its aggregate_function {aggregate!r} is not one of ONNX's")
    if kind == "NONE":
        return None
    steps, x = _operands(scene, node)
    plain = {"post_transform": 0 if node.op == "TreeEnsemble" else "NONE"}
    return steps.finish(transformed(steps, _trees(steps, node.op, x, {**node.attributes, **plain}), kind))


def _trees(steps: Steps, name: str, x: tuple[str, ...], attributes: dict[str, Any]) -> str:
    """The scores of trees without a post transform; x are their operands."""
    node = steps.node
    result = steps.scene.computed(node.outputs[0], (steps.shape(x[0])[0], int(attributes.get("n_targets", 1))), _FLOAT)
    steps.nodes.append(Node(name, x, (result,), attributes, node.since, node.name, ML))
    return result


def _any_tree(node: Node, tensors: Mapping[str, Tensor]) -> Mapping[str, float]:
    """Where trees are compared, every leaf has the scale of the result, which may be small."""
    if _aggregate(node) not in ("MIN", "MAX"):
        return {}
    base = np.abs(given(node, "base_values")).max(initial=0.0)
    return {node.outputs[0]: float(np.abs(read(node).values).max(initial=0.0) + base)}


@op("TreeEnsemble", since=5, domain=ML, makes=_regressed, expand=_transformed, known=_any_tree)
@op("TreeEnsembleRegressor", since=1, domain=ML, makes=_regressed, expand=_transformed, known=_any_tree)
def trees(call: Call, x: Operand, missing: Operand = None) -> Cells:
    """The sum, average, least or largest of the trees' values for each target, and the base values."""
    node, forest = call.node, read(call.node)
    operand = call.computed(x, "the operand")
    shape = samples(node, call.inputs[0])
    rows = Scaled(operand.cells.reshape(shape), operand.scale)
    lost = None if missing is None else call.computed(missing, "what is missing").cells.reshape(shape)
    targets, base = forest.values.shape[1], given(node, "base_values").astype(np.float64)
    base = np.broadcast_to(base, (targets,)) if base.size == 1 == targets or base.size == targets else np.zeros(targets)
    kind, paths = _aggregate(node), ml_paths.pays(call, forest, rows, lost)
    exits = forest.exits()
    if _OF_CLASSES not in node.attributes and given(node, "base_values").size > 1 and not _surely(forest, exits).all():
        raise call.refuse("base_values of a target whose leaves have no value, some of them, are not supported")
    values = forest.values / len(forest.roots) if kind == "AVERAGE" else forest.values
    if kind in ("MIN", "MAX"):
        return _extreme(call, forest, exits, (rows, lost), kind == "MIN", base, paths)
    if paths:
        return ml_paths.summed(call, forest, rows, lost, values, base)
    reached, places = _Leaves(call, forest, exits, rows, lost).cells()
    return _weighed(call, reached, places, values[exits.leaves], base)


def _surely(forest: Forest, exits: Exits) -> NDArray[np.bool_]:
    """The targets for which every sample reaches a leaf with a value: all leaves of some tree have one.

    Where none has, onnxruntime leaves out a regressor's base value, which ONNX adds.
    """
    every = np.ones((len(forest.roots), forest.values.shape[1]), bool)
    np.logical_and.at(every, exits.trees, forest.held[exits.leaves])
    return np.asarray(every.any(axis=0))


def _weighed(call: Call, reached: Scaled, places: Ints, values: Array, base: Array, part: int | None = None) -> Cells:
    """The sum of the values [exits, outputs] of the exits that are reached, as a tree's only leaf is, and a base."""
    always = places < 0
    matrix = np.zeros((reached.shape[1], values.shape[1]))
    matrix[places[~always]] = values[~always]
    return call.linear(reached, matrix, base + values[always].sum(axis=0), part)


@dataclass(frozen=True)
class _Plan:
    """Leaves of one group share a layer, that of the group's own tests; a group is a tree, or the whole forest.

    tests [3, tests of all groups]: feature, k, and 1 where it holds of what is missing; `owner` their group, `column`
    their place in it; `which` the test of each term of `Forest.tests`, by its group.
    """

    groups: int
    tests: Ints
    owner: Ints
    column: Ints
    which: Ints
    leaf_column: Ints

    @property
    def slots(self) -> int:
        """Places for a group's tests."""
        return int(self.column.max(initial=0)) + 1

    @property
    def width(self) -> int:
        """Places for a group's leaves."""
        return int(self.leaf_column.max(initial=0)) + 1

    @property
    def cost(self) -> int:
        """In weights: those of the leaves' layer, and what the units cost."""
        units = self.groups * (2 * self.slots + self.width)
        return 2 * self.groups * self.slots * self.width + _WEIGHTS_A_UNIT * units


class _Leaves:
    """Which leaf of each tree is reached."""

    def __init__(self, call: Call, forest: Forest, exits: Exits, x: Scaled, missing: Cells | None) -> None:
        self.call, self.forest, self.exits, self.x, self.missing = call, forest, exits, x, missing
        self.nodes, cuts, self.signs, self.constants, lost = forest.tests(x.scale)
        if not call.builder.hidden:
            cuts = np.clip(cuts, x.cells.low - 1, x.cells.high)
        self.asked = np.stack([forest.features[self.nodes], cuts, 0 * lost if missing is None else lost])

    def cells(self) -> tuple[Scaled, Ints]:
        """[samples, places]: 1 where a leaf is reached, 0 elsewhere; and an exit's place, -1 of a tree's only leaf."""
        inner = self.exits.depths > 0
        if not inner.any():
            return Scaled(Cells(np.full((self.x.shape[0], 1), -1, np.int64), 0, 0), 0), np.full(inner.size, -1)
        tree_of_node, tree_of_exit = self.forest.owners()[self.nodes], self.exits.trees
        together = self._plan(np.zeros_like(tree_of_node), np.where(inner, 0, -1))
        apart = self._plan(tree_of_node, np.where(inner, tree_of_exit, -1))
        plan = min(together, apart, key=lambda one: one.cost)
        group = np.where(inner, 0 if plan is together else tree_of_exit, -1)
        return self._layer(plan, group, self._tests(plan)), np.where(inner, group * plan.width + plan.leaf_column, -1)

    def _plan(self, group: Ints, exit_group: Ints) -> _Plan:
        """Groups of tests and of exits; equal tests of a group are one, unless they are secret."""
        keyed = np.concatenate([group[None], self.asked])
        if self.call.builder.hidden:
            order = np.argsort(group, kind="stable")
            distinct, which = keyed[:, order], np.argsort(order)
        else:
            distinct, which = np.unique(keyed, axis=1, return_inverse=True)
        return _Plan(
            int(exit_group.max()) + 1,
            distinct[1:],
            distinct[0],
            _ranks(distinct[0]),
            which.reshape(-1),
            _ranks(exit_group),
        )

    def _tests(self, plan: _Plan) -> Cells:
        """[samples, groups * slots]: the tests g, by a table, where they are many. 0 in idle slots.

        Else [samples, groups * 2 slots], of each group max(d, 0), then max(d - 1, 0).
        """
        call, builder, size = self.call, self.call.builder, self.call.builder.table_size
        used, cuts, lost = plan.tests
        reach = self.x.cells.reach + (size if builder.hidden else int(np.abs(cuts).max()))
        beyond = 0 if self.missing is None else reach + 1
        halvings = max(0, (reach + beyond + 1).bit_length() + 1 - builder.table_bits)
        if halvings > builder.table_bits:
            raise call.too_small("its thresholds lie too far apart for this table size")
        step = size >> halvings
        read_features, rows = np.unique(used, return_inverse=True)
        halves = 1 if plan.groups * plan.slots * self.x.shape[0] >= size else 2
        columns = plan.owner * (halves * plan.slots) + plan.column
        read = self.x.cells.take(read_features, 1)
        if self.missing is not None:
            read = Cells.concatenate([read, self.missing.take(read_features, 1)], 1)
        matrix = np.zeros((read.shape[1], plan.groups * halves * plan.slots), np.int64)
        bias = np.zeros(matrix.shape[1], np.int64)
        rounding = size - step - (size >> 1) if halvings else 0
        for shift, less in ((0, 0), (plan.slots, size))[:halves]:
            matrix[rows.reshape(-1), columns + shift] = step
            if self.missing is not None:
                matrix[read_features.size + rows.reshape(-1), columns + shift] = (2 * lost - 1) * beyond * step
            bias[columns + shift] = rounding - np.clip(cuts, -size, size) * step - less
        with call.errors():
            d = builder.linear(read, matrix, bias, f"{call.out.name}~tests", _known())
        if halves == 1:
            return call.apply(lambda x: (x > 0) * 1.0, Scaled(d, 0), 0, formula="x > 0")
        return builder.relu(d, f"{call.out.name}~tests+")

    def _layer(self, plan: _Plan, group: Ints, tests: Cells) -> Scaled:
        """z = max(sum of agreement - depth + 1, 0), where an edge agrees with true or with 1 - true."""
        call, size = self.call, self.call.builder.table_size
        exits, above, sides = (np.concatenate([step[part] for step in self.exits.steps]) for part in range(3))
        agree = np.where(sides == 1, self.constants[above], 1 - self.constants[above])
        bias = np.zeros(plan.groups * plan.width)
        inner = np.flatnonzero(group >= 0)
        places = group * plan.width + plan.leaf_column
        bias[places[inner]] = (1.0 - self.exits.depths + np.bincount(exits, agree, len(group)))[inner]
        first = np.searchsorted(self.nodes, above)
        count = np.bincount(self.nodes, minlength=self.forest.nodes)[above]
        terms = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        leaf, test = np.repeat(exits, count), plan.which[terms]
        signs = np.repeat(np.where(sides == 1, 1, -1), count) * self.signs[terms].astype(np.int64) * size
        halves = tests.shape[1] // (plan.groups * plan.slots)
        weights = np.zeros((plan.groups, halves, plan.slots, plan.width), np.int64)
        for half, sign in ((0, 1), (1, -1))[:halves]:
            np.add.at(weights, (group[leaf], half, plan.column[test], plan.leaf_column[leaf]), sign * signs)
        channels = tests.transpose((1, 0))
        with call.errors():
            summed = call.builder.convolution(
                channels,
                weights.reshape(channels.shape[0], 1, plan.width),
                np.zeros((1, 1), np.int64),
                (bias * size).astype(np.int64),
                channels.shape[1:],
                f"{call.out.name}~leaves",
                plan.groups,
                hides=_known(),
            )
        z = call.builder.relu(summed, f"{call.out.name}~leaves+").transpose((1, 0))
        return Scaled(Cells(z.refs, 0, 1), 0)


def _ranks(groups: Ints) -> Ints:
    """The place of each element among those of its group, in order."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order])
    ranks = np.empty(groups.size, np.int64)
    ranks[order] = np.arange(groups.size) - starts
    return ranks


def _known() -> Ints:
    """Weights that say how trees are read, no secret of a hidden model."""
    return np.zeros((1, 1, 1), np.int64)


def _extreme(
    call: Call,
    forest: Forest,
    exits: Exits,
    x: tuple[Scaled, Cells | None],
    smallest: bool,
    base: Array,
    paths: bool,
) -> Cells:
    """The least or largest over the trees that have a value for a target."""
    values, held = forest.values[exits.leaves], forest.held[exits.leaves]
    some = np.zeros((len(forest.roots), values.shape[1]), bool)
    every = np.ones(some.shape, bool)
    np.logical_or.at(some, exits.trees, held)
    np.logical_and.at(every, exits.trees, held)
    if np.any(some & ~every) or not np.all(some.any(axis=0)):
        raise call.refuse("a least or largest value over trees of which some leaves have none is not supported")
    if paths:
        apart = ml_paths.each(call, forest, *x, forest.values + base, some)
        return Cells.concatenate([_best(call, each, smallest) for each in apart], 1)
    reached, places = _Leaves(call, forest, exits, *x).cells()
    parts = []
    for target in range(values.shape[1]):
        owned = exits.trees[:, None] == np.flatnonzero(some[:, target])
        each = _weighed(
            call, reached, places, np.where(owned, values[:, target : target + 1], 0.0), base[target], target
        )
        parts.append(_best(call, each, smallest))
    return Cells.concatenate(parts, 1)


def _best(call: Call, each: Cells, smallest: bool) -> Cells:
    """The least or largest of each row, as a column."""
    return call.extreme(Scaled(each.transpose((1, 0)), call.scale), smallest).reshape((-1, 1))


# Classifiers ---------------------------------------------------------------------------------------------------------


def _classified(node: Node, operands: Sequence[Tensor | None]) -> Made:
    _regressed(node, operands)
    return classified(node, operands, classes(node))


@expands("TreeEnsembleClassifier", since=1, domain=ML, makes=_classified)
def tree_ensemble_classifier(scene: Scene, node: Node) -> list[Node]:
    """The sums of a regressor with a target for each class, a post transform, and the label of the largest.

    Two classes whose leaves have weights of one class alone are decided by that: above 0, or above 1/2 where no weight
    is negative: that leaves have shares and no margins says which operator it is, and shows of a hidden model, too.
    """
    forest = read(node)
    count, labels = classes(node), given(node, "classlabels_int64s")
    steps, x = _operands(scene, node)
    base = given(node, "base_values").astype(np.float64)
    kind = str(node.attributes.get("post_transform", "NONE"))
    named = {
        name.replace("class_", "target_", 1): value
        for name, value in node.attributes.items()
        if name not in ("classlabels_int64s", "base_values", "base_values_as_tensor")
    }
    plain = {**named, "post_transform": "NONE", "n_targets": count, _OF_CLASSES: 1}
    if count > 2:
        based = {"base_values": tuple(base.tolist())} if base.size == count else {}
        scores = _trees(steps, "TreeEnsembleRegressor", x, {**plain, **based})
        judged = scores if based else _of_those_given(steps, x, plain, forest, scores)
        return steps.finish(best_label(steps, judged, labels), transformed(steps, scores, kind))
    ids = np.unique(given(node, "class_ids"))
    return steps.finish(*_two_classes(steps, x, plain, ids.tolist(), forest, base, labels, kind))


def _of_those_given(steps: Steps, x: tuple[str, ...], plain: dict[str, Any], forest: Forest, scores: str) -> str:
    """The scores, those of classes for which no leaf that is reached has a weight far below all others.

    The same where a tree has one at each of its leaves, for every class, or where no weight is negative. In a private
    model, whose signs are secret, a class without a weight has 0.
    """
    exits, weights = forest.exits(), forest.values[forest.held]
    if _surely(forest, exits).all() or steps.scene.hidden or np.all(weights >= 0):
        return scores
    counted = {**plain, "target_weights": (1.0,) * len(plain["target_ids"]), "target_weights_as_tensor": None}
    counts = _trees(steps, "TreeEnsembleRegressor", x, {k: v for k, v in counted.items() if v is not None})
    absent = steps.cast(steps.apply("Less", counts, steps.constant(0.5, public=True)), np.float32)
    far = 2.0 * len(forest.roots) * float(np.abs(weights).max()) + 1.0
    return steps.apply("Sub", scores, steps.apply("Mul", absent, steps.constant(far)))


def _two_classes(
    steps: Steps,
    x: tuple[str, ...],
    plain: dict[str, Any],
    ids: list[int],
    forest: Forest,
    base: Array,
    labels: Array,
    kind: str,
) -> tuple[str, str]:
    """(label, scores) as onnxruntime has them, by which classes have weights and how many base values there are."""
    weights = forest.values[forest.held]
    positive = bool(np.all(weights >= 0))
    if ids == [0] and base.size < 2:  # one column, which is the second class's
        leaves = np.stack([plain["target_treeids"], plain["target_nodeids"]])
        if np.unique(leaves, axis=1).shape != leaves.shape:
            raise steps.refuse("a leaf has two weights of one class")
        plain = {**plain, "n_targets": 1, **({"base_values": tuple(base.tolist())} if base.size else {})}
        score = _trees(steps, "TreeEnsembleRegressor", x, plain)
        label = _above(steps, score, 0.5 if positive else 0.0, labels)
        if kind == "PROBIT":
            raise steps.refuse("a probit of one column is not supported")
        if kind != "LOGISTIC" and not positive:
            return label, two_columns(steps, score, steps.apply("Neg", score))
        share = transformed(steps, score, kind) if kind == "LOGISTIC" else score
        return label, two_columns(steps, share, complement(steps, share))
    if base.size == 2 and 1 in ids:
        raise steps.refuse("two classes with two base_values, and weights of the second class, are not supported")
    if base.size:  # it is the first class's alone
        base = np.array([base[0] if 0 in ids else 0.0, 0.0])
    plain = {**plain, **({"base_values": tuple(base.tolist())} if base.size else {})}
    scores = _trees(steps, "TreeEnsembleRegressor", x, plain)
    column = ids[-1]
    decisive = steps.take(scores, np.array([column]), 1)
    known = labels if len(ids) == 1 else np.array([0, 1])
    threshold = 0.5 if positive and len(ids) == 1 else 0.0
    return _above(steps, decisive, threshold, known), transformed(steps, scores, kind)


def _above(steps: Steps, column: str, threshold: float, labels: Array) -> str:
    above = steps.apply("Greater", steps.reshape(column, (-1,)), steps.constant(threshold, public=True))
    return decided_label(steps, above, labels.tolist())
