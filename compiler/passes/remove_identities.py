"""Identities: Identity, Dropout, a Cast between float types, and re-indexing that changes nothing.

    y = Dropout(Identity(x));  z = Relu(y)         becomes         z = Relu(x)
    y = Reshape(x, x's own shape)                  likewise, and Flatten, Squeeze, Unsqueeze, Expand, Tile, Transpose
    y = Where(IsNaN(x), c, x)                      likewise: what a circuit holds is a number; and where both x and what
                                                   tests it went through the same Gather, as gather_early leaves them

A Dropout in training mode stays and is refused by its handler. A Cast stays before a comparison with a constant of its
type, since no evaluator compares numbers of different types.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks


def remove_identities(graph: Graph) -> Graph:
    """Let the readers of an identity read its operand."""
    compared = {name for node in graph.nodes if marks(node) & Mark.COMPARES for name in node.inputs}
    renamed = {node.outputs[0]: node.inputs[0] for node in graph.nodes if _is_identity(graph, node, compared)}
    tested = _tested(graph)
    renamed |= {node.outputs[0]: node.inputs[2] for node in graph.nodes if _replaces_none(graph, node, tested)}
    return graph.with_nodes((node for node in graph.nodes if node.outputs[0] not in renamed), renamed=renamed)


def _is_identity(graph: Graph, node: Node, compared: set[str]) -> bool:
    if node.domain or not node.inputs or not node.inputs[0]:
        return False
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    if node.op == "Dropout":
        training = graph.value(node.inputs[2]) if len(node.inputs) > 2 else np.asarray(False)
        return len(node.outputs) == 1 and training is not None and not np.any(training)
    if node.op == "Cast":
        alike = x.dtype.kind == "f" and y.dtype.kind == "f" and y.name not in compared
        return bool(x.dtype == y.dtype or alike)
    if node.op == "Transpose":
        moving = [axis for axis in node.attributes.get("perm", range(len(x.shape) - 1, -1, -1)) if x.shape[axis] > 1]
        return x.shape == y.shape and moving == sorted(moving)
    return x.shape == y.shape and bool(marks(node) & Mark.RESHAPES)


def _tested(graph: Graph) -> dict[str, str]:
    """By what tells whether numbers are none: these numbers."""
    copies = {_copy_of(node): node.outputs[0] for node in graph.nodes if marks(node) & Mark.COPIES}
    tested: dict[str, str] = {}
    for node in graph.nodes:
        if marks(node) & Mark.GUARDS:
            tested[node.outputs[0]] = node.inputs[0]
        elif marks(node) & Mark.COPIES and node.inputs[0] in tested:
            beside = copies.get(_copy_of(replace(node, inputs=(tested[node.inputs[0]], *node.inputs[1:]))))
            if beside is not None:
                tested[node.outputs[0]] = beside
    return tested


def _copy_of(node: Node) -> tuple[str, tuple[str, ...], str]:
    """What is the same of nodes that copy the same elements."""
    return node.op, node.inputs, repr(sorted(node.attributes.items()))


def _replaces_none(graph: Graph, node: Node, tested: dict[str, str]) -> bool:
    """Whether it chooses what replaces x where x is no number, else x."""
    if node.op != "Where" or tested.get(node.inputs[0]) != node.inputs[2]:
        return False
    return graph.tensors[node.inputs[2]].shape == graph.tensors[node.outputs[0]].shape
