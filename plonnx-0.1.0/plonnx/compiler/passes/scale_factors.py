"""A scalar behind a product of computed matrices moves to its smaller factor.

    Mul(MatMul(q, k), 1/sqrt(d))         becomes         MatMul(Mul(q, 1/sqrt(d)), k)

where that factor has fewer elements than the product: so many are scaled. Next to a Gemm the scalar vanishes in it.
"""

from __future__ import annotations

from dataclasses import replace

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def scale_factors(graph: Graph) -> Graph:
    """Rewrite every Mul by a scalar of such a product, of real numbers."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    operands = scene.split(node) if node.op == "Mul" else None
    product = None if operands is None else scene.producer(operands[0], "MatMul")
    if operands is None or product is None or operands[1].size != 1:
        return None
    output = node.outputs[0]
    if any(scene.value(name) is not None for name in product.inputs) or scene.tensors[output].dtype.kind != "f":
        return None
    factor = min(product.inputs, key=lambda name: scene.tensors[name].size)
    shape = scene.shape(factor)
    if scene.tensors[factor].size >= scene.tensors[output].size or scene.shape(output) != scene.shape(operands[0]):
        return None
    sources = [name for name in node.inputs if name != operands[0]]
    scalar = scene.constant(output, operands[1].reshape(()), *sources)
    scaled = scene.computed(output, shape)
    first = product.inputs.index(factor)
    inputs = tuple(scaled if place == first else name for place, name in enumerate(product.inputs))
    return [
        scene.node("Mul", (factor, scalar), scaled, node.name),
        replace(product, inputs=inputs, outputs=(output,)),
    ]
