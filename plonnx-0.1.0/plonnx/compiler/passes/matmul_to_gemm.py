"""A MatMul by a constant matrix is a Gemm over rows; the reshapes around it are free.

    y = MatMul(x [2, 5, 8], W [8, 3])      becomes      y = Reshape(Gemm(Reshape(x, [10, 8]), W), [2, 5, 3])

An Add after it then becomes the Gemm's bias (passes/fold_into_gemm.py). Stacks of matrices and constants on the
left stay MatMul; so do integers, of which onnxruntime has no Gemm.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Graph, Node, Shape
from plonnx.compiler.passes.rewrite import Scene, rewrite


def matmul_to_gemm(graph: Graph) -> Graph:
    """Rewrite MatMul by a constant of rank 2."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op != "MatMul":
        return None
    x, matrix, output = *node.inputs, node.outputs[0]
    weights = scene.value(matrix)
    if weights is None or weights.ndim != 2 or scene.value(x) is not None or weights.dtype.kind != "f":
        return None
    inner, width = weights.shape
    shape = scene.shape(x)
    if len(shape) == 2:
        return [scene.node("Gemm", (x, matrix), output, node.name)]
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    flat, product = scene.computed(output, (rows, inner)), scene.computed(output, (rows, width))
    return [
        scene.node("Reshape", (x, _shape(scene, output, (rows, inner))), flat, node.name),
        scene.node("Gemm", (flat, matrix), product, node.name),
        scene.node("Reshape", (product, _shape(scene, output, scene.shape(output))), output, node.name),
    ]


def _shape(scene: Scene, base: str, shape: Shape) -> str:
    return scene.constant(base, np.asarray(shape, dtype=np.int64))
