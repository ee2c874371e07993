"""Gemm in its plainest form: x W + b with constant W [K, N] and constant b [N].

Gemm(x, W, b, alpha, beta, transB=1)   becomes   Gemm(x, alpha W^T, beta b)
Gemm(x, W, transA=1)                   becomes   Gemm(Transpose(x), W)
Gemm(A, x) with constant A             becomes   Transpose(Gemm(Transpose(x), A^T))
Gemm(A, B, alpha) of two computed       becomes   Mul(MatMul(A, B), alpha)
a bias that differs from row to row, or is computed, becomes an Add after the product
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def normalise_gemm(graph: Graph) -> Graph:
    """Rewrite every Gemm."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op != "Gemm" or _is_plain(scene, node):
        return None
    left, right = scene.value(node.inputs[0]), scene.value(node.inputs[1])
    transposed = [bool(node.attributes.get(key, 0)) for key in ("transA", "transB")]
    steps = _Steps(scene, node)
    if right is not None:
        x = steps.transpose(node.inputs[0]) if transposed[0] else node.inputs[0]
        weights = right.T if transposed[1] else right
        product = steps.product(x, weights)
    elif left is None:
        a, b = (steps.transpose(x) if swap else x for x, swap in zip(node.inputs, transposed, strict=False))
        product = steps.scaled_product(a, b)
    else:
        x = node.inputs[1] if transposed[1] else steps.transpose(node.inputs[1])
        product = steps.transpose(steps.product(x, left if transposed[0] else left.T))
    return steps.finish(steps.add_bias(product, rows_are_rows=right is not None))


def _is_plain(scene: Scene, node: Node) -> bool:
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    width = scene.shape(node.outputs[0])[-1]
    plain_bias = not bias or (scene.value(bias) is not None and scene.shape(bias) == (width,))
    return not node.attributes and plain_bias and scene.value(node.inputs[1]) is not None


class _Steps:
    """The nodes that replace one Gemm; each step names its result after the Gemm's output."""

    def __init__(self, scene: Scene, node: Node) -> None:
        self.scene, self.node = scene, node
        self.output = node.outputs[0]
        self.nodes: list[Node] = []

    def transpose(self, x: str) -> str:
        rows, columns = self.scene.shape(x)
        return self._emit("Transpose", (x,), (columns, rows), perm=(1, 0))

    def product(self, x: str, weights: Array) -> str:
        scaled = (weights.astype(np.float64) * float(self.node.attributes.get("alpha", 1.0))).astype(weights.dtype)
        rows = self.scene.shape(x)[0]
        return self._emit("Gemm", (x, self.scene.constant(self.output, scaled)), (rows, scaled.shape[1]))

    def scaled_product(self, a: str, b: str) -> str:
        """alpha A B of two computed matrices."""
        shape = self.scene.shape(self.output)
        product = self._emit("MatMul", (a, b), shape)
        alpha = np.asarray(self.node.attributes.get("alpha", 1.0), self.scene.tensors[self.output].dtype)
        if alpha == 1.0:
            return product
        return self._emit("Mul", (product, self.scene.constant(self.output, alpha, public=True)), shape)

    def add_bias(self, product: str, rows_are_rows: bool) -> str:
        bias = self.node.inputs[2] if len(self.node.inputs) > 2 else ""
        beta = float(self.node.attributes.get("beta", 1.0))
        if not bias or beta == 0.0:
            return product
        shape = self.scene.shape(self.output)
        value = self.scene.value(bias)
        if value is None:
            if beta != 1.0:
                factor = self.scene.constant(self.output, np.asarray(beta, self.scene.tensors[bias].dtype))
                bias = self._emit("Mul", (bias, factor), self.scene.shape(bias))
            return self._emit("Add", (product, bias), shape)
        scaled = (value.astype(np.float64) * beta).astype(value.dtype)
        if rows_are_rows and (scaled.ndim < 2 or scaled.shape[0] == 1):
            row = np.broadcast_to(scaled.reshape(-1), (shape[1],))
            gemm = self.nodes.pop()
            return self._emit("Gemm", (*gemm.inputs, self.scene.constant(self.output, row)), shape)
        return self._emit("Add", (product, self.scene.constant(self.output, scaled)), shape)

    def finish(self, result: str) -> list[Node]:
        """The nodes, the last of which takes the name of the Gemm's output."""
        last = self.nodes[-1]
        assert last.outputs == (result,)
        return [*self.nodes[:-1], self.scene.node(last.op, last.inputs, self.output, self.node.name, **last.attributes)]

    def _emit(self, op: str, inputs: tuple[str, ...], shape: tuple[int, ...], **attributes: object) -> str:
        result = self.scene.computed(self.output, shape)
        self.nodes.append(self.scene.node(op, inputs, result, self.node.name, **attributes))
        return result
