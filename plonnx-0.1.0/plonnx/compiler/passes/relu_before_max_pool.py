"""A Relu moves before the MaxPool that feeds it: the largest of the positive parts is the positive part of the largest.

    Relu(MaxPool(x))      becomes      MaxPool(Relu(x))

A Relu costs nothing anywhere. The pool then compares values that are not negative: they lie less than T apart without
being rescaled first, and keep all of their bits.
"""

from __future__ import annotations

from dataclasses import replace

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def relu_before_max_pool(graph: Graph) -> Graph:
    """Swap every Relu with the MaxPool before it."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    pool = scene.producer(node.inputs[0], "MaxPool") if node.op == "Relu" else None
    if pool is None or len(pool.outputs) > 1:
        return None
    output = node.outputs[0]
    positive = scene.computed(output, scene.shape(pool.inputs[0]))
    return [
        scene.node("Relu", (pool.inputs[0],), positive, node.name),
        replace(pool, inputs=(positive,), outputs=(output,)),
    ]
