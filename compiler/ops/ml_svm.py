"""Support vector machines of ai.onnx.ml: kernels of x and every support vector, a table, then a dense layer.

    LINEAR    x . v                     POLY    (gamma x . v + c)^degree
    RBF       exp(-gamma |x - v|^2)     SIGMOID tanh(gamma x . v + c)

|x - v|^2 is |x|^2 - 2 x . v + |v|^2, of which x . v is a dense layer. A classifier of n classes has a score for each
pair of them; the label is the class with the most pairs, and probabilities follow from the scores. What the
specification leaves open is as onnxruntime has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.compiler.ops.ml_scores import (
    Made,
    best_label,
    classified,
    complement,
    decided_label,
    dense,
    features,
    given,
    matrix,
    samples,
    transformed,
    two_columns,
)
from plonnx.compiler.ops.registry import ML, expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def _kernels(steps: Steps, x: str, vectors: Array) -> str:
    """[samples, vectors]: the kernel of each sample and each support vector."""
    node = steps.node
    kind = str(node.attributes.get("kernel_type", "LINEAR"))
    gamma, shift, degree = (*given(node, "kernel_params").tolist(), 0.0, 0.0, 0.0)[:3]
    if kind not in _KERNELS:
        raise steps.refuse(f"its kernel_type {kind!r} is not one of ONNX's")
    if kind == "RBF":
        squares = steps.reduce("ReduceSum", steps.apply("Mul", x, x), (1,))
        inner = dense(steps, x, 2.0 * gamma * vectors.T, -gamma * np.square(vectors.astype(np.float64)).sum(axis=1))
        exponent = steps.apply("Sub", inner, steps.apply("Mul", squares, steps.constant(gamma)))
        return steps.apply("Exp", exponent)
    inner = dense(steps, x, gamma * vectors.T, np.full(len(vectors), shift))
    if kind == "SIGMOID":
        return steps.apply("Tanh", inner)
    return steps.apply("Pow", inner, steps.constant(degree, public=True))


def _scored(steps: Steps, x: str, vectors: Array, weights: Array, rho: Array) -> str:
    """Sums of the kernels by weights [vectors, scores], and rho.

    Linear kernels and their weights are one layer: of features that are not scaled, kernels are a million times larger
    than what is left of their sums.
    """
    if str(steps.node.attributes.get("kernel_type", "LINEAR")) == "LINEAR":
        return dense(steps, x, vectors.T.astype(np.float64) @ weights, rho)
    return dense(steps, _kernels(steps, x, vectors), weights, rho)


def _regressed(node: Node, operands: Sequence[Tensor | None]) -> Made:
    return [((samples(node, operands[0])[0], 1), np.dtype(np.float32))]


@expands("SVMRegressor", since=1, domain=ML, makes=_regressed)
def svm_regressor(scene: Scene, node: Node) -> list[Node]:
    """sum of coefficient * kernel + rho; of one class its sign. onnxruntime has no post transform here."""
    steps, x = features(scene, node)
    count, rho = int(node.attributes.get("n_supports", 0)), given(node, "rho").astype(np.float64)[:1]
    if not rho.size:
        raise steps.refuse("it has no rho")
    if count:
        vectors = matrix(node, "support_vectors", (count, steps.shape(x)[1]))
        score = _scored(steps, x, vectors, matrix(node, "coefficients", (count, 1)).astype(np.float64), rho)
    else:
        score = dense(steps, x, matrix(node, "coefficients", (steps.shape(x)[1], 1)), rho)
    if not node.attributes.get("one_class", 0):
        return steps.finish(score)
    above = steps.cast(steps.apply("Greater", score, steps.constant(0.0, public=True)), np.float32)
    doubled = steps.apply("Mul", above, steps.constant(2.0, public=True))
    return steps.finish(steps.apply("Sub", doubled, steps.constant(1.0, public=True)))


# Classifiers ---------------------------------------------------------------------------------------------------------


def _is_linear(node: Node) -> bool:
    """Without support vectors: a row of coefficients for each class."""
    return not given(node, "vectors_per_class").sum()


def _labels(node: Node) -> Array:
    return given(node, "classlabels_ints")


def _classified(node: Node, operands: Sequence[Tensor | None]) -> Made:
    classes = _labels(node).size
    if classes < 2:
        raise CompileError(f"{node.label}: it has {classes} class labels")
    pairs = classes * (classes - 1) // 2
    plain = not _is_linear(node) and not given(node, "prob_a").size and classes > 2
    return classified(node, operands, pairs if plain else classes)


@expands("SVMClassifier", since=1, domain=ML, makes=_classified)
def svm_classifier(scene: Scene, node: Node) -> list[Node]:
    """A score for each pair of classes, or for each class where there are no support vectors; and a label."""
    steps, x = features(scene, node)
    labels, kind = _labels(node), str(node.attributes.get("post_transform", "NONE"))
    if _is_linear(node):
        weights = matrix(node, "coefficients", (labels.size, steps.shape(x)[1]))
        scores = dense(steps, x, weights.T, np.full(labels.size, float(given(node, "rho")[0])))
        return steps.finish(_linear_label(steps, scores, labels), transformed(steps, scores, kind))
    scores = _pairs(steps, x, labels.size)
    label = _voted(steps, scores, labels)
    if len(node.outputs) < 2:
        return steps.finish(label)
    if given(node, "prob_a").size:
        return steps.finish(label, transformed(steps, _shares(steps, scores, labels.size), kind))
    if labels.size > 2:
        return steps.finish(label, transformed(steps, scores, kind))
    if kind == "PROBIT":
        raise steps.refuse("a probit of one column is not supported")
    if kind == "NONE":
        return steps.finish(label, two_columns(steps, scores, steps.apply("Neg", scores)))
    second = transformed(steps, scores, kind) if kind == "LOGISTIC" else scores
    return steps.finish(label, two_columns(steps, second, complement(steps, second)))


def _linear_label(steps: Steps, scores: str, labels: Array) -> str:
    """The largest; of two classes the second where the largest score is above 0 (1/2, where no weight is negative)."""
    if labels.size > 2:
        return best_label(steps, scores, labels)
    positive = bool(np.all(given(steps.node, "coefficients") >= 0)) and not steps.scene.hidden
    largest = steps.reduce("ReduceMax", scores, (1,), keepdims=False)
    above = steps.apply("Greater", largest, steps.constant(0.5 if positive else 0.0, public=True))
    columns = [
        steps.apply("Gather", scores, steps.integers(np.array([k])), shape=(steps.shape(scores)[0], 1), axis=1)
        for k in range(2)
    ]
    later = steps.reshape(steps.apply("Greater", columns[1], columns[0]), (-1,))
    return decided_label(steps, steps.apply("Or", above, later), labels.tolist())


def _pairs(steps: Steps, x: str, classes: int) -> str:
    """[samples, pairs]: for i < j the sum over both classes' support vectors, with the coefficients of that pair."""
    node = steps.node
    counts = given(node, "vectors_per_class").astype(np.int64)
    if counts.size != classes:
        raise steps.refuse(f"its {counts.size} vectors_per_class do not fit {classes} classes")
    total, owner = int(counts.sum()), np.repeat(np.arange(classes), counts)
    vectors = matrix(node, "support_vectors", (total, steps.shape(x)[1]))
    rows = matrix(node, "coefficients", (classes - 1, total)).astype(np.float64)
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.stack([np.where(owner == i, rows[j - 1], np.where(owner == j, rows[i], 0.0)) for i, j in pairs], 1)
    rho = given(node, "rho").astype(np.float64)
    if rho.size < len(pairs):
        raise steps.refuse(f"its {rho.size} rho do not fit {len(pairs)} pairs of classes")
    return _scored(steps, x, vectors, weights, rho[: len(pairs)])


def _voted(steps: Steps, scores: str, labels: Array) -> str:
    """The class that wins most pairs, the first of equal ones: i wins a pair i < j with a score above 0, else j."""
    won = steps.cast(steps.apply("Greater", scores, steps.constant(0.0, public=True)), np.float32)
    classes = labels.size
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    if classes == 2:
        return decided_label(
            steps,
            steps.apply("Greater", steps.reshape(scores, (-1,)), steps.constant(0.0, public=True)),
            labels[::-1].tolist(),
        )
    matrix_of = np.zeros((len(pairs), classes))
    for place, (i, j) in enumerate(pairs):
        matrix_of[place, i], matrix_of[place, j] = 1.0, -1.0
    weights = steps.constant(matrix_of, public=True)
    votes = steps.apply("MatMul", won, weights, shape=(steps.shape(scores)[0], classes))
    return best_label(steps, steps.apply("Add", votes, steps.constant(np.arange(classes) * 1.0, public=True)), labels)


def _shares(steps: Steps, scores: str, classes: int) -> str:
    """Probabilities by Platt's sigmoid of the scores: that of two classes, or what fits those of all pairs best."""
    slopes, offsets = (given(steps.node, name).astype(np.float64) for name in ("prob_a", "prob_b"))
    pairs = steps.shape(scores)[1]
    if slopes.size < pairs or offsets.size < pairs:
        raise steps.refuse(f"its {slopes.size} prob_a and {offsets.size} prob_b do not fit {pairs} pairs of classes")
    scaled = steps.apply("Mul", scores, steps.constant(-slopes[:pairs]))
    share = steps.apply("Sigmoid", steps.apply("Add", scaled, steps.constant(-offsets[:pairs])))
    if classes == 2:
        return two_columns(steps, complement(steps, share), share)
    return _coupled(steps, share, classes)


def _coupled(steps: Steps, share: str, classes: int) -> str:
    """The p with sum 1 that minimizes sum_ij (r_ji p_i - r_ij p_j)^2, where r_ij is the share of i beside j.

    With Q_ii = sum_j r_ji^2 and Q_ij = -r_ij r_ji it is p = x / sum(x), (Q + 1) x = 1: libsvm and onnxruntime go the
    same way by an iteration (Wu, Lin and Weng 2004). Q + 1 has no pivot below 1 / classes: it is solved exactly, by
    Gauss and Jordan.
    """
    count, pairs = steps.shape(share)
    i, j = np.triu_indices(classes, 1)
    other = complement(steps, share)
    both = steps.apply("Concat", share, other, shape=(count, 2 * pairs), axis=1)
    to_class = np.zeros((2 * pairs, classes))
    to_class[np.arange(pairs), j] = to_class[pairs + np.arange(pairs), i] = 1.0
    squares, one = steps.apply("Mul", both, both), steps.constant(1.0, public=True)
    summed = steps.apply("MatMul", squares, steps.constant(to_class, public=True), shape=(count, classes))
    apart = complement(steps, steps.apply("Mul", share, other))
    ones = steps.constant(np.ones((count, 1)), public=True)
    entries = steps.apply(
        "Concat", steps.apply("Add", summed, one), apart, ones, shape=(count, classes + pairs + 1), axis=1
    )
    places = np.full((classes, classes + 1), classes + pairs)
    places[i, j] = places[j, i] = classes + np.arange(pairs)
    np.fill_diagonal(places, np.arange(classes))
    solved = _solved(steps, steps.take(entries, places, 1))
    return steps.apply("Mul", solved, steps.apply("Reciprocal", steps.reduce("ReduceSum", solved, (1,))))


def _solved(steps: Steps, system: str) -> str:
    """[samples, n]: the solutions of n equations, [samples, n, n + 1] with their right sides; no pivot is zero."""
    count, size, _ = steps.shape(system)
    order = list(range(size))  # the variable of each row
    for variable in range(size):
        width, at = steps.shape(system)[2], order.index(variable)
        rows, columns = np.delete(np.arange(size), at), np.arange(1, width)
        pivot, others = steps.take(system, np.array([at]), 1), steps.take(system, rows, 1)
        first = np.array([0])
        inverse = steps.apply("Reciprocal", steps.take(pivot, first, 2))
        own = steps.apply("Mul", steps.take(pivot, columns, 2), inverse)
        taken = steps.apply("Mul", steps.take(others, first, 2), own)
        left = steps.apply("Sub", steps.take(others, columns, 2), taken)
        system = steps.apply("Concat", left, own, shape=(count, size, width - 1), axis=1)
        order = [order[row] for row in rows] + [variable]
    flat = steps.reshape(system, (count, size))
    return steps.take(flat, np.argsort(order), 1)
