"""Constant sums and scalings before a Flatten disappear into the Gemm behind it.

    Gemm(Flatten(Mul(x, c)), W, b)      becomes      Gemm(Flatten(x), c' W, b)             c' is c, flattened
    Gemm(Flatten(Add(x, c)), W, b)      becomes      Gemm(Flatten(x), W, b + c' W)

as after a BatchNormalization that follows an activation. c is the same for every row; likewise for a Reshape.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.passes.fold_into_gemm import gemm_node, gemm_parts
from plonnx.compiler.passes.rewrite import Scene, rewrite


def fold_through_flatten(graph: Graph) -> Graph:
    """Fold the Mul or Add before the Flatten before each Gemm."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    parts = gemm_parts(scene, node) if node.op == "Gemm" else None
    flatten = scene.producer(node.inputs[0], "Flatten") or scene.producer(node.inputs[0], "Reshape")
    if parts is None or flatten is None:
        return None
    step = scene.constant_step(flatten.inputs[0])
    if step is None:
        return None
    before, x, constant = step
    row = _flattened(constant, scene.shape(x), scene.shape(before.outputs[0]), scene.shape(node.inputs[0]))
    if row is None:
        return None
    weights, bias = parts
    folded = (weights, bias + row @ weights) if before.op == "Add" else (row[:, None] * weights, bias)
    moved = scene.computed(node.outputs[0], scene.shape(node.inputs[0]))
    return [
        replace(flatten, inputs=(x, *flatten.inputs[1:]), outputs=(moved,)),
        gemm_node(scene, moved, folded, node.outputs[0], node.name),
    ]


def _flattened(constant: Array, shape: Shape, result: Shape, flat: Shape) -> Array | None:
    """The constant as a row of the flattened tensor, where axis 0 stays and all of its entries share it."""
    lead = len(shape) - constant.ndim
    if shape != result or flat[:1] != shape[:1] or len(flat) != 2 or (lead == 0 and constant.shape[0] != 1):
        return None
    return np.broadcast_to(constant.astype(np.float64), (1, *shape[1:])).reshape(-1)
