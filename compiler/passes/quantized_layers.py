"""A layer between DequantizeLinear and QuantizeLinear is the quantized layer that it stands for, as onnxruntime has it.

    QuantizeLinear(Conv(DequantizeLinear(x, ..), DequantizeLinear(w, ..), DequantizeLinear(b, ..)), s, z)
                                                      becomes      QLinearConv(x, .., w, .., s, z, b)

and so with MatMul and Gemm, and an Add of two quantized tensors is QLinearAdd. Then sums are those of
integers, times real numbers (ops/quantized.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Array, Dequantized, Graph, Node
from plonnx.compiler.ops.registry import MICROSOFT
from plonnx.compiler.passes.quantized_copies import one_scale
from plonnx.compiler.passes.rewrite import Scene, rewrite

_CLOSE = 1e-5
"""By so much a bias's scale may differ from that of the products."""


def quantized_layers(graph: Graph, hidden: bool = False) -> Graph:
    """Apply the rule once to every node. Not of a hidden model, whose scales it would compare."""
    return graph if hidden else rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    layer = _layer(scene, node)
    if layer is None:
        return None
    if layer.op == "Add":
        return _sum(scene, node, layer)
    x, weights = scene.maker(layer.inputs[0]), scene.tensors[layer.inputs[1]].dequantized
    if x is None or x.op != "DequantizeLinear" or weights is None or not all(one_scale(scene, n) for n in (x, node)):
        return None
    (held, sx, zx), (_, sy, zy) = ((*one.inputs, "")[:3] for one in (x, node))
    bias = _bias(scene, layer, sx, weights)
    if bias is None or not _by_column(scene, layer, weights):
        return None
    ends = (held, sx, zx, weights.integers, weights.scale, weights.zero)
    if layer.op == "Gemm":
        attributes = {key: value for key, value in layer.attributes.items() if key != "beta"}
        return [Node("QGemm", (*ends, bias, sy, zy), node.outputs, attributes, 1, layer.name, MICROSOFT)]
    inputs = (*ends, sy, zy, *filter(None, [bias]))
    made = scene.node(f"QLinear{layer.op}", inputs, node.outputs[0], layer.name)
    return [replace(made, attributes=layer.attributes)]


def _layer(scene: Scene, node: Node) -> Node | None:
    """What a QuantizeLinear alone reads, through a Relu that changes no level, if it may be such a layer."""
    if node.op != "QuantizeLinear" or node.domain or set(node.attributes) - {"axis"}:
        return None
    layer = scene.sole_maker(node.inputs[0])
    if layer is not None and layer.op == "Relu" and _cuts_at_zero(scene, node):
        layer = scene.sole_maker(layer.inputs[0])
    if layer is None or layer.domain or layer.attributes.get("beta", 1.0) != 1.0:
        return None
    return layer if layer.op in ("Add", "Conv", "Gemm", "MatMul") else None


def _sum(scene: Scene, node: Node, layer: Node) -> list[Node] | None:
    """A QLinearAdd, of two quantized tensors of one shape and type."""
    made = [scene.maker(name) for name in layer.inputs]
    ends = [one for one in made if one is not None and one.op == "DequantizeLinear"]
    if len(ends) < 2 or not all(one_scale(scene, one) for one in (*ends, node)):
        return None
    held = [scene.tensors[one.inputs[0]] for one in ends]
    if held[0].shape != held[1].shape or {t.dtype for t in held} != {scene.tensors[node.outputs[0]].dtype}:
        return None
    operands = [(*one.inputs, "")[:3] for one in (*ends, node)]
    inputs = (*operands[0], *operands[1], *operands[2][1:])
    return [Node("QLinearAdd", inputs, node.outputs, {}, 1, layer.name, MICROSOFT)]


def _cuts_at_zero(scene: Scene, node: Node) -> bool:
    """Whether nothing below zero has a level."""
    zero = scene.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    kind = scene.tensors[node.outputs[0]].dtype
    return kind.kind in "iu" and (0 if zero is None else int(zero.flat[0])) == np.iinfo(kind).min


def _by_column(scene: Scene, layer: Node, weights: Dequantized) -> bool:
    """Whether the weights have one scale, or one for each output."""
    scale, shape = scene.value(weights.scale), scene.shape(weights.integers)
    if scale is None or scale.size == 1:
        return scale is not None
    outputs = 0 if layer.op == "Conv" or layer.attributes.get("transB", 0) else len(shape) - 1
    return weights.axis % len(shape) == outputs and scale.size == shape[outputs]


def _bias(scene: Scene, layer: Node, sx: str, weights: Dequantized) -> str | None:
    """The name of the bias in the steps of the products, "" where there is none; None where it has other steps."""
    if len(layer.inputs) < 3 or not layer.inputs[2]:
        return ""
    bias = scene.tensors[layer.inputs[2]].dequantized
    if bias is None or (bias.zero and np.any(_value(scene, bias.zero))):
        return None
    wanted = _value(scene, sx).reshape(()) * _value(scene, weights.scale).reshape(-1)
    close = np.allclose(_value(scene, bias.scale).reshape(-1), wanted, rtol=_CLOSE, atol=0.0)
    return bias.integers if close and scene.tensors[bias.integers].dtype == np.int32 else None


def _value(scene: Scene, name: str) -> Array:
    value = scene.value(name)
    assert value is not None, "it was folded"
    return value.astype(np.float64)
