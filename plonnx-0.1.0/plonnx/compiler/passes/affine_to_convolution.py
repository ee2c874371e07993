"""A scaling and a shift of channels that fold into no layer are one depthwise convolution of one tap.

    Add(Mul(x, a), b)      becomes      Conv<group = C>(x, a [C, 1, 1, 1], b)         a, b one value for each channel

as after a BatchNormalization between a Relu and a padded Conv. One tensor instead of two.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.fold_into_convolution import by_channel
from plonnx.compiler.passes.rewrite import Scene, rewrite


def affine_to_convolution(graph: Graph) -> Graph:
    """Rewrite every such pair; runs behind the passes that fold them."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    shift = scene.split(node) if node.op == "Add" else None
    before = None if shift is None else scene.producer(shift[0], "Mul")
    scale = None if before is None else scene.split(before)
    if shift is None or scale is None:
        return None
    x, output = scale[0], node.outputs[0]
    shape, dtype = scene.shape(x), scene.tensors[output].dtype
    values = [by_channel(constant, shape, scene.shape(output)) for _, constant in (scale, shift)]
    if len(shape) < 3 or dtype.kind != "f" or any(constant.size == 1 for _, constant in (scale, shift)):
        return None
    kernel, bias = (None if v is None else np.ascontiguousarray(v, dtype) for v in values)
    if kernel is None or bias is None:
        return None
    names = scene.constant(output, kernel.reshape(-1, *(1,) * (len(shape) - 1))), scene.constant(output, bias)
    return [scene.node("Conv", (x, *names), output, node.name, group=shape[1])]
