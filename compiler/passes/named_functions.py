"""Functions that are spelled out get their names: their inner tensors may overflow where they do not.

1 / (1 + exp(-x)) = Sigmoid(x)
x - log(sum(exp(x))) = LogSoftmax(x),   exp of it = Softmax(x)         along the last axis
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def named_functions(graph: Graph, hidden: bool = False) -> Graph:
    """The rewrite; of a hidden model that a constant is 1 is a secret."""
    return rewrite(graph, _rule, hidden)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.domain:
        return None
    if node.op in ("Reciprocal", "Div") and not scene.hidden:
        return _sigmoid(scene, node)
    if node.op == "Sub":
        return _log_softmax(scene, node)
    if node.op == "Exp":
        inner = scene.producer(node.inputs[0], "LogSoftmax")
        if inner is not None:
            return [scene.node("Softmax", inner.inputs, node.outputs[0], node.name, **inner.attributes)]
    return None


def _sigmoid(scene: Scene, node: Node) -> list[Node] | None:
    if node.op == "Div" and not _is(scene, node.inputs[0], 1.0):
        return None
    added = scene.producer(node.inputs[-1], "Add")
    if added is None:
        return None
    for power, one in (added.inputs, added.inputs[::-1]):
        exponential = scene.producer(power, "Exp")
        if exponential is not None and _is(scene, one, 1.0) and scene.shape(power) == scene.shape(node.outputs[0]):
            steps = Steps(scene, node)
            return steps.finish(steps.apply("Sigmoid", _negated(steps, exponential.inputs[0])))
    return None


def _negated(steps: Steps, x: str) -> str:
    """-x: the operand, where x is made by a change of signs."""
    scene = steps.scene
    negative, scaled = scene.producer(x, "Neg"), scene.producer(x, "Mul")
    if negative is not None:
        return negative.inputs[0]
    for place in range(2) if scaled is not None else ():
        assert scaled is not None, "there is a product"
        if _is(scene, scaled.inputs[place], -1.0) and scene.shape(scaled.inputs[1 - place]) == scene.shape(x):
            return scaled.inputs[1 - place]
    return steps.apply("Neg", x)


def _is(scene: Scene, name: str, number: float) -> bool:
    value = scene.value(name)
    return value is not None and bool(np.all(value == number))


def _log_softmax(scene: Scene, node: Node) -> list[Node] | None:
    x, total = node.inputs
    moved = scene.producer(total, "Reshape")
    sums = scene.producer(total if moved is None else moved.inputs[0], "ReduceLogSumExp")
    shape = scene.shape(x)
    if sums is None or sums.inputs[0] != x or scene.shape(total) != (*shape[:-1], 1):
        return None
    given = scene.value(sums.inputs[1]) if len(sums.inputs) > 1 and sums.inputs[1] else None
    if (given is None and len(sums.inputs) > 1) or reduced_axes(sums, given, len(shape)) != (len(shape) - 1,):
        return None
    return [scene.node("LogSoftmax", (x,), node.outputs[0], node.name, axis=len(shape) - 1)]
