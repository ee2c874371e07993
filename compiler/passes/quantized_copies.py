"""What only moves quantized values, between a DequantizeLinear and a QuantizeLinear of one scale, moves the integers.

    QuantizeLinear(MaxPool(Reshape(DequantizeLinear(q, s, z))), s, z)      becomes      MaxPool(Reshape(q))

Exporters put both around every operator. Neither rounds anything: round((q - z) s / s) + z is q.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite

_POOLED = (np.dtype(np.int8), np.dtype(np.uint8))
_POOLS_INTEGERS = 12
"""The version of MaxPool from which on it takes such integers."""


def quantized_copies(graph: Graph) -> Graph:
    """Apply the rule once to every node."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op != "QuantizeLinear" or not one_scale(scene, node):
        return None
    moving, name = list[Node](), node.inputs[0]
    while (made := scene.sole_maker(name)) is not None and _moves(scene, made, node):
        moving.append(made)
        name = made.inputs[0]
    if made is None or made.op != "DequantizeLinear" or not _alike(scene, node, made):
        return None
    held, nodes = made.inputs[0], list[Node]()
    for moved in reversed(moving):
        source = moved.outputs[0]
        held = scene.computed(source, scene.shape(source), scene.tensors[made.inputs[0]].dtype)
        before = nodes[-1].outputs[0] if nodes else made.inputs[0]
        nodes.append(replace(moved, inputs=(before, *moved.inputs[1:]), outputs=(held,)))
    if not nodes:
        return [scene.node("Identity", (held,), node.outputs[0], node.name)]
    return [*nodes[:-1], replace(nodes[-1], outputs=node.outputs)]


def _moves(scene: Scene, node: Node, quantizes: Node) -> bool:
    """Whether a node moves what it reads, or takes the largest of it, also of integers."""
    pools = node.op == "MaxPool" and not node.domain and len(node.outputs) == 1
    if pools:
        return node.since >= _POOLS_INTEGERS and scene.tensors[quantizes.outputs[0]].dtype in _POOLED
    return bool(marks(node) & Mark.COPIES) and len(node.outputs) == 1


def one_scale(scene: Scene, node: Node) -> bool:
    """One scale for the whole tensor, a constant."""
    known = [scene.value(name) for name in node.inputs[1:3] if name]
    return all(value is not None and value.size == 1 for value in known)


def _alike(scene: Scene, node: Node, other: Node) -> bool:
    """Whether both say the same scale, zero point and type."""
    if not one_scale(scene, other) or scene.tensors[node.outputs[0]].dtype != scene.tensors[other.inputs[0]].dtype:
        return False
    pairs = [[scene.value(name) if name else None for name in (*one.inputs, "")[1:3]] for one in (node, other)]
    plain = [[0.0 if value is None else float(value.reshape(-1)[0]) for value in pair] for pair in pairs]
    return plain[0] == plain[1]
