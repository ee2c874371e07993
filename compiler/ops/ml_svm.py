"""Support vector machines of ai.onnx.ml: kernels of x and every support vector, a table, then a dense layer.

    LINEAR    x . v                     POLY    (gamma x . v + c)^degree
    RBF       exp(-gamma |x - v|^2)     SIGMOID tanh(gamma x . v + c)

|x - v|^2 is |x|^2 - 2 x . v + |v|^2, of which x . v is a dense layer. A classifier of n classes has a score for each
pair of them; the label is the class with the most pairs, and of two classes the probabilities follow from the score.
Those of more classes are the fixed point of an iteration, which is refused. What the specification leaves open is as
onnxruntime has it.
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
    if kind == "LINEAR":
        return dense(steps, x, vectors.T, None)
    if kind == "RBF":
        squares = steps.reduce("ReduceSum", steps.apply("Mul", x, x), (1,))
        inner = dense(steps, x, 2.0 * gamma * vectors.T, -gamma * np.square(vectors.astype(np.float64)).sum(axis=1))
        exponent = steps.apply("Sub", inner, steps.apply("Mul", squares, steps.constant(gamma)))
        return steps.apply("Exp", exponent)
    inner = dense(steps, x, gamma * vectors.T, np.full(len(vectors), shift))
    if kind == "SIGMOID":
        return steps.apply("Tanh", inner)
    return steps.apply("Pow", inner, steps.constant(degree, public=True))


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
        reads = _kernels(steps, x, matrix(node, "support_vectors", (count, steps.shape(x)[1])))
        weights = matrix(node, "coefficients", (count, 1))
    else:
        reads, weights = x, matrix(node, "coefficients", (steps.shape(x)[1], 1))
    score = dense(steps, reads, weights, rho)
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
    kernels = _kernels(steps, x, matrix(node, "support_vectors", (total, steps.shape(x)[1])))
    rows = matrix(node, "coefficients", (classes - 1, total)).astype(np.float64)
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.stack([np.where(owner == i, rows[j - 1], np.where(owner == j, rows[i], 0.0)) for i, j in pairs], 1)
    rho = given(node, "rho").astype(np.float64)
    if rho.size < len(pairs):
        raise steps.refuse(f"its {rho.size} rho do not fit {len(pairs)} pairs of classes")
    return dense(steps, kernels, weights, rho[: len(pairs)])


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
    """Probabilities of two classes, by Platt's sigmoid of their score."""
    if classes > 2:
        raise steps.refuse(
            f"probabilities of {classes} classes come from an iteration that is not supported: take the label alone, or"
            " train it without (probability=False)"
        )
    slope, offset = (float(given(steps.node, name)[0]) for name in ("prob_a", "prob_b"))
    inner = steps.apply("Add", steps.apply("Mul", scores, steps.constant(-slope)), steps.constant(-offset))
    share = steps.apply("Sigmoid", inner)
    return two_columns(steps, complement(steps, share), share)
