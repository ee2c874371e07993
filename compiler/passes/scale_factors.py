"""A scalar behind a product of computed matrices moves to its smaller factor.

    Mul(MatMul(q, k), 1/sqrt(d))         becomes         MatMul(Mul(q, 1/sqrt(d)), k)

where that factor has fewer elements than the product: so many are scaled. Next to a Gemm the scalar vanishes in it.

    MatMul(Mul(q, d^(-1/4)), Mul(k, d^(-1/4)))         becomes         MatMul(Mul(q, 1/sqrt(d)), k)

Exporters of PyTorch scale both factors of an attention. One is scaled here, and none where that is a power of two.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite

NEAR = 2.0**-22
"""Of one: what two factors that are rounded to float32 may make of a power of two."""


def scale_factors(graph: Graph) -> Graph:
    """Rewrite every Mul by a scalar of such a product, and scalars of both its factors, of real numbers."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    return _of_both(scene, node) if node.op == "MatMul" else _behind(scene, node)


def _of_both(scene: Scene, node: Node) -> list[Node] | None:
    output = node.outputs[0]
    steps = [step for step in map(scene.constant_step, node.inputs) if step is not None]
    if len(steps) < 2 or scene.tensors[output].dtype.kind != "f":
        return None
    scalars = all(before.op == "Mul" and constant.size == 1 for before, _, constant in steps)
    names = [x for _, x, _ in steps]
    if not scalars or any(scene.shape(x) != scene.shape(name) for x, name in zip(names, node.inputs, strict=True)):
        return None
    chosen = min((0, 1), key=lambda place: scene.tensors[names[place]].size)
    sources = [name for before, x, _ in steps for name in before.inputs if name != x]
    factor = _rounded(prod(float(constant.reshape(())) for _, _, constant in steps))
    scalar = scene.constant(output, factor, *sources)
    scaled = scene.computed(output, scene.shape(names[chosen]))
    inputs = tuple(scaled if place == chosen else name for place, name in enumerate(names))
    return [scene.node("Mul", (names[chosen], scalar), scaled, node.name), replace(node, inputs=inputs)]


def _rounded(factor: float) -> Array:
    """The power of two that a factor is but for rounding; itself elsewhere."""
    _, exponent = np.frexp(factor * np.sqrt(2))
    power = float(np.ldexp(1.0, int(exponent) - 1))
    return np.array(power if abs(factor - power) <= NEAR * power else factor)


def _behind(scene: Scene, node: Node) -> list[Node] | None:
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
