"""One form for constant arithmetic: sums are Add(x, constant), scalings are Mul(x, constant).

    Sub(x, c)   becomes   Add(x, -c)
    Div(x, c)   becomes   Mul(x, 1/c)          (real numbers, no zero in c; not of inputs that are only rounded)
    Neg(x)      becomes   Mul(x, -1)
    Add(c, x)   becomes   Add(x, c), and so does Mul

so that the passes which fold constants into matrices know two operators, not six. An input that is divided to be
rounded to levels folds into nothing, and its divisor says which levels these are (levels.py).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite


def canonical_arithmetic(graph: Graph) -> Graph:
    """Rewrite Sub, Div and Neg, and put constants second."""
    rounded = {node.inputs[0] for node in graph.nodes if marks(node) & Mark.HALFWAY}
    inputs = frozenset(graph.inputs)
    return rewrite(graph, lambda scene, node: _rule(scene, node, inputs, rounded))


def _rule(scene: Scene, node: Node, inputs: Collection[str], rounded: Collection[str]) -> list[Node] | None:
    output = node.outputs[0]
    if node.op == "Neg":
        minus = scene.constant(output, np.asarray(-1, dtype=scene.tensors[output].dtype), public=True)
        return [scene.node("Mul", (node.inputs[0], minus), output, node.name)]
    if node.op in ("Add", "Mul") and scene.value(node.inputs[0]) is not None:
        return [scene.node(node.op, (node.inputs[1], node.inputs[0]), output, node.name)]
    constant = scene.value(node.inputs[1]) if node.op in ("Sub", "Div") else None
    levels = node.op == "Div" and node.inputs[0] in inputs and output in rounded
    if constant is None or constant.dtype.kind != "f" or levels:
        return None
    if node.op == "Sub":
        negative = scene.constant(output, -constant, node.inputs[1])
        return [scene.node("Add", (node.inputs[0], negative), output, node.name)]
    if np.all(constant):
        inverse = (1.0 / constant.astype(np.float64)).astype(constant.dtype)
        factor = scene.constant(output, inverse, node.inputs[1])
        return [scene.node("Mul", (node.inputs[0], factor), output, node.name)]
    return None  # a zero divisor: the handler says so
