"""What the classifiers and regressors of ai.onnx.ml share: their attributes, post transforms of scores, labels.

A label is the class whose score is largest, the first of equal ones. Class labels that are text have become numbers
before (compiler/labels.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, CompileError, Node, Shape, Tensor
from plonnx.compiler.ops.registry import MOST

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Made = list[tuple[Shape, np.dtype[Any]]]
_WINITZKI = 0.147
"""Of the approximation to the inverse of erf by which onnxruntime computes a probit."""
_FEW = 16
"""So many values are looked up by comparing the index with each place, more by a table."""
_FLOAT, _INT = np.dtype(np.float32), np.dtype(np.int64)


def given(node: Node, name: str) -> Array:
    """An attribute of numbers, or the tensor that newer versions have in its place; empty where both are absent."""
    value = node.attributes.get(f"{name}_as_tensor", node.attributes.get(name, ()))
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def matrix(node: Node, name: str, shape: Shape) -> Array:
    """An attribute as a matrix of a shape; one extent may be -1."""
    values = given(node, name)
    try:
        return values.reshape(shape)
    except ValueError as error:
        raise CompileError(f"{node.label}: its {values.size} {name} do not fit the shape {list(shape)}") from error


def samples(node: Node, x: Tensor | None) -> tuple[int, int]:
    """(samples, features) of an operand [samples, features], or [features] of one sample."""
    assert x is not None, "the checker sees to the operands that must be there"
    if len(x.shape) not in (1, 2):
        raise CompileError(f"{node.label}: its operand of shape {list(x.shape)} is no table of samples and features")
    return (1, x.shape[0]) if len(x.shape) == 1 else (x.shape[0], x.shape[1])


def classified(node: Node, operands: Sequence[Tensor | None], columns: int) -> Made:
    """A label and `columns` scores for each sample."""
    count, _ = samples(node, operands[0])
    return [((count,), _INT), ((count, columns), _FLOAT)]


def features(scene: Scene, node: Node) -> tuple[Steps, str]:
    """Steps whose constants are real numbers, and the operand as real numbers [samples, features]."""
    steps, x = Steps(scene, node, dtype=_FLOAT), node.inputs[0]
    shape = samples(node, scene.tensors[x])
    real = steps.cast(x, np.float32)
    return steps, real if steps.shape(real) == shape else steps.reshape(real, shape)


def dense(steps: Steps, x: str, weights: Array, bias: Array | None) -> str:
    """x W + b."""
    made = steps.apply("MatMul", x, steps.constant(weights), shape=(steps.shape(x)[0], weights.shape[1]))
    return made if bias is None else steps.apply("Add", made, steps.constant(bias))


def transformed(steps: Steps, scores: str, kind: str) -> str:
    """A post transform of scores [samples, classes]."""
    if kind in ("", "NONE"):
        return scores
    if kind == "LOGISTIC":
        return steps.apply("Sigmoid", scores)
    if kind == "SOFTMAX":
        return steps.apply("Softmax", scores, axis=1)
    if kind == "SOFTMAX_ZERO":
        return _softmax_zero(steps, scores)
    if kind == "PROBIT":
        return _probit(steps, scores)
    raise steps.refuse(f"its post_transform {kind!r} is not one of ONNX's")


def _softmax_zero(steps: Steps, scores: str) -> str:
    """Softmax of the scores that are not zero; those that are stay it."""
    zero = steps.constant(0.0, public=True)
    present = steps.apply("Or", steps.apply("Greater", scores, zero), steps.apply("Less", scores, zero))
    powers = steps.apply("Exp", steps.apply("Sub", scores, steps.reduce("ReduceMax", scores, (1,))))
    kept = steps.apply("Mul", powers, steps.cast(present, np.float32))
    return steps.apply("Mul", kept, steps.apply("Reciprocal", steps.reduce("ReduceSum", kept, (1,))))


def _probit(steps: Steps, p: str) -> str:
    """sqrt(2) erf^-1(2 p - 1), as onnxruntime approximates it."""

    def constant(value: float) -> str:
        return steps.constant(value, public=True)

    z = steps.apply("Sub", steps.apply("Mul", p, constant(2.0)), constant(1.0))
    square = steps.apply("Mul", z, z)
    log = steps.apply("Log", steps.apply("Sub", constant(1.0), square))
    v = steps.apply("Add", steps.apply("Mul", log, constant(0.5)), constant(2.0 / (math.pi * _WINITZKI)))
    inner = steps.apply("Sub", steps.apply("Mul", v, v), steps.apply("Mul", log, constant(1.0 / _WINITZKI)))
    root = steps.apply("Sqrt", steps.apply("Sub", steps.apply("Sqrt", inner), v))
    return steps.apply("Mul", steps.apply("Mul", steps.apply("Sign", z), root), constant(math.sqrt(2.0)))


def two_columns(steps: Steps, score: str, opposite: str) -> str:
    """[opposite, score] of one column each."""
    return steps.apply("Concat", opposite, score, shape=(steps.shape(score)[0], 2), axis=1)


def complement(steps: Steps, score: str) -> str:
    """1 - score."""
    return steps.apply("Sub", steps.constant(1.0, public=True), score)


# Labels --------------------------------------------------------------------------------------------------------------


def best_label(steps: Steps, scores: str, labels: NDArray[np.int64]) -> str:
    """The label of the largest score, the first of equal ones, of each row."""
    index = steps.apply("ArgMax", scores, shape=steps.shape(scores)[:1], axis=1, keepdims=0)
    return looked_up(steps, index, labels)


def looked_up(steps: Steps, index: str, values: Array) -> str:
    """values[index] of a few constants that everybody knows, by an index that is computed and in range."""
    moves = np.unique(np.diff(values))
    if values.dtype.kind in "iu" and moves.size < 2:
        return _affine(steps, index, int(values[0]), int(moves[0]) if moves.size else 0)
    shape = steps.shape(index)
    if values.size > _FEW:
        table = steps.scene.constant(steps.node.outputs[0], values, public=True)
        return steps.apply("Gather", table, index, shape=shape, axis=0)
    column = steps.reshape(index, (*shape, 1))
    chosen = steps.cast(steps.apply("Equal", column, steps.integers(np.arange(values.size))), values.dtype.type)
    table = steps.scene.constant(steps.node.outputs[0], values.reshape(-1, 1), public=True)
    made = steps.apply("MatMul", chosen, table, shape=(*shape, 1))
    steps.note(made, **{MOST: float(np.abs(values).max(initial=0.0))})  # samples may not have every label
    return steps.reshape(made, shape)


def decided_label(steps: Steps, decided: str, labels: Sequence[int]) -> str:
    """labels[1] where the decision holds, labels[0] where it does not."""
    return _affine(steps, steps.cast(decided, np.int64), labels[0], labels[1] - labels[0])


def _affine(steps: Steps, x: str, start: int, step: int) -> str:
    """start + step x of integers."""
    if step != 1:
        x = steps.apply("Mul", x, steps.integers(np.asarray(step)))
    return x if start == 0 else steps.apply("Add", x, steps.integers(np.asarray(start)))
