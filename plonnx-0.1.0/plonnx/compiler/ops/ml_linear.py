"""Linear models of ai.onnx.ml: LinearRegressor and LinearClassifier, a dense layer, a post transform, a label.

What the specification leaves open is as onnxruntime has it (two classes from one row of coefficients).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.graph import CompileError, Node, Tensor
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


def _regressed(node: Node, operands: Sequence[Tensor | None]) -> Made:
    count, _ = samples(node, operands[0])
    return [((count, int(node.attributes.get("targets", 1))), np.dtype(np.float32))]


@expands("LinearRegressor", since=1, domain=ML, makes=_regressed)
def linear_regressor(scene: Scene, node: Node) -> list[Node]:
    """x W^T + b, and a post transform."""
    steps, x = features(scene, node)
    targets = int(node.attributes.get("targets", 1))
    weights, bias = matrix(node, "coefficients", (targets, steps.shape(x)[1])), given(node, "intercepts")
    scores = dense(steps, x, weights.T, bias if bias.size == targets else None)
    return steps.finish(transformed(steps, scores, _transform(node, targets)))


def _transform(node: Node, columns: int) -> str:
    """Of one column only a probit does something in onnxruntime."""
    kind = str(node.attributes.get("post_transform", "NONE"))
    return kind if columns > 1 or kind == "PROBIT" else "NONE"


def _classified(node: Node, operands: Sequence[Tensor | None]) -> Made:
    rows, labels = given(node, "intercepts").size, given(node, "classlabels_ints").size
    if labels < 2 or rows not in (labels, 1) or (rows == 1 and labels != 2):
        raise CompileError(f"{node.label}: {rows} intercepts do not fit {labels} class labels")
    return classified(node, operands, labels)


@expands("LinearClassifier", since=1, domain=ML, makes=_classified)
def linear_classifier(scene: Scene, node: Node) -> list[Node]:
    """x W^T + b, one column a class, and the label of the largest.

    Of one column s the scores are [1 - s, s], s by a sigmoid where one is asked for; the label is the second class
    where x W^T + b is above 0.
    """
    steps, x = features(scene, node)
    bias, labels = given(node, "intercepts"), given(node, "classlabels_ints")
    scores = dense(steps, x, matrix(node, "coefficients", (bias.size, steps.shape(x)[1])).T, bias)
    kind = str(node.attributes.get("post_transform", "NONE"))
    if bias.size > 1:
        return steps.finish(best_label(steps, scores, labels), transformed(steps, scores, kind))
    if kind == "PROBIT":
        raise steps.refuse("a probit of one column is not supported")
    positive = steps.apply("Greater", steps.reshape(scores, (-1,)), steps.constant(0.0, public=True))
    second = transformed(steps, scores, kind) if kind == "LOGISTIC" else scores
    return steps.finish(
        decided_label(steps, positive, labels.tolist()), two_columns(steps, second, complement(steps, second))
    )
