"""Constant sums and scalings next to a plain Gemm disappear into its matrix and bias.

    Add(Gemm(x, W, b), c)   becomes   Gemm(x, W, b + c)           c constant along rows
    Mul(Gemm(x, W, b), c)   becomes   Gemm(x, W c, b c)           c constant along rows: columns are scaled
    Gemm(Mul(x, c), W, b)   becomes   Gemm(x, c W, b)             c constant along rows: rows of W are scaled
    Gemm(Add(x, c), W, b)   becomes   Gemm(x, W, b + c W)         c constant along rows

Also through the Reshapes that passes/matmul_to_gemm.py leaves around the Gemm, whose last axes are the Gemm's; and
where several Gemms, and nobody else, read what is scaled or shifted (a normalization before queries, keys and values).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.passes.rewrite import Scene, rewrite


def fold_into_gemm(graph: Graph) -> Graph:
    """Fold the neighbours after, then those before each Gemm."""
    folded = rewrite(graph, _after)
    return rewrite(folded, _before, alike=_read_by_gemms(folded))


def _read_by_gemms(graph: Graph) -> set[str]:
    """Tensors that nobody reads but plain Gemms, as their rows, or a Reshape to such rows."""
    rows = set(graph.tensors) - {source for _, source in graph.outputs}
    for node in reversed(graph.nodes):
        reads = {name for name in node.inputs if name}
        if node.op == "Gemm" and not node.attributes:
            reads -= {node.inputs[0]} - set(node.inputs[1:])
        elif node.op == "Reshape" and _same_rows(graph, node) and node.outputs[0] in rows:
            reads -= {node.inputs[0]}
        rows -= reads
    return rows


def _same_rows(graph: Graph, reshape: Node) -> bool:
    """Whether a Reshape keeps the last axis."""
    return graph.tensors[reshape.inputs[0]].shape[-1:] == graph.tensors[reshape.outputs[0]].shape[-1:]


def _after(scene: Scene, node: Node) -> list[Node] | None:
    operands = scene.split(node) if node.op in ("Add", "Mul") else None
    if operands is None:
        return None
    product, constant = operands
    reshape = scene.producer(product, "Reshape")
    gemm = scene.producer(product if reshape is None else reshape.inputs[0], "Gemm")
    row = as_row(constant, scene.shape(product), scene.shape(node.outputs[0]))
    if gemm is None or row is None or scene.shape(gemm.outputs[0])[-1] != scene.shape(product)[-1]:
        return None
    parts = gemm_parts(scene, gemm)
    if parts is None:
        return None
    weights, bias = parts
    folded = (weights, bias + row) if node.op == "Add" else (weights * row, bias * row)
    output = node.outputs[0]
    if reshape is None:
        return [gemm_node(scene, gemm.inputs[0], folded, output, gemm.name)]
    inner = scene.computed(output, scene.shape(gemm.outputs[0]))
    return [
        gemm_node(scene, gemm.inputs[0], folded, inner, gemm.name),
        replace(reshape, inputs=(inner, *reshape.inputs[1:]), outputs=(output,)),
    ]


def _before(scene: Scene, node: Node) -> list[Node] | None:
    parts = gemm_parts(scene, node) if node.op == "Gemm" else None
    if parts is None:
        return None
    rows = node.inputs[0]
    reshape = scene.producer(rows, "Reshape")
    step = scene.constant_step(rows if reshape is None else reshape.inputs[0])
    if step is None:
        return None
    before, x, constant = step
    row = as_row(constant, scene.shape(x), scene.shape(before.outputs[0]))
    if row is None or scene.shape(x)[-1] != scene.shape(rows)[-1]:
        return None
    weights, bias = parts
    folded = (weights, bias + row @ weights) if before.op == "Add" else (row[:, None] * weights, bias)
    if reshape is None:
        return [gemm_node(scene, x, folded, node.outputs[0], node.name)]
    flat = scene.computed(rows, scene.shape(rows))
    return [
        replace(reshape, inputs=(x, *reshape.inputs[1:]), outputs=(flat,)),
        gemm_node(scene, flat, folded, node.outputs[0], node.name),
    ]


def gemm_parts(scene: Scene, node: Node) -> tuple[Array, Array] | None:
    """(W [K, N], b [N]) in float64 of a plain Gemm of real numbers."""
    weights = scene.value(node.inputs[1])
    bias = scene.value(node.inputs[2]) if len(node.inputs) > 2 else None
    computed_bias = len(node.inputs) > 2 and bias is None
    if weights is None or weights.dtype.kind != "f" or node.attributes or computed_bias:
        return None
    row = np.zeros(weights.shape[1]) if bias is None else np.broadcast_to(bias, weights.shape[1:])
    return weights.astype(np.float64), row.astype(np.float64)


def as_row(constant: Array, shape: Shape, result: Shape) -> Array | None:
    """The constant as one value per entry of the last axis, where all rows share it and it broadcasts nothing."""
    if shape != result or not shape or any(extent != 1 for extent in constant.shape[:-1]):
        return None
    return np.broadcast_to(constant.astype(np.float64).reshape(-1), shape[-1:])


def gemm_node(scene: Scene, x: str, parts: tuple[Array, Array], output: str, name: str) -> Node:
    """A plain Gemm of these (W, b)."""
    constants = tuple(scene.constant(output, part) for part in parts)
    return scene.node("Gemm", (x, *constants), output, name)
