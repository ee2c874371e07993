"""Chains of constant sums or scalings.

Add(Add(x, a), b)   becomes   Add(x, a + b)
Mul(Mul(x, a), b)   becomes   Mul(x, a * b)
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def merge_constants(graph: Graph) -> Graph:
    """Join a constant Add or Mul with the same operator before it."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op not in ("Add", "Mul"):
        return None
    outer = scene.split(node)
    before = None if outer is None else scene.producer(outer[0], node.op)
    inner = None if before is None else scene.split(before)
    if outer is None or before is None or inner is None:
        return None
    joined = (np.add if node.op == "Add" else np.multiply)(inner[1], outer[1])
    sources = [name for name in (*before.inputs, *node.inputs) if scene.value(name) is not None]
    constant = scene.constant(node.outputs[0], joined, *sources)
    return [scene.node(node.op, (inner[0], constant), node.outputs[0], node.name)]
