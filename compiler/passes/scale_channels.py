"""A scaling and a shift of an image's channels that folded into no layer are one depthwise convolution of one tap.

    Add(Mul(x [N, C, ..], a), b)     becomes     Conv(x, a [C, 1, 1, ..], b, group = C)       a, b one value a channel

A sum of its own for each step would take two units an element. In a hidden model both are then weights and biases.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.fold_into_convolution import by_channel
from plonnx.compiler.passes.rewrite import Scene, rewrite


def scale_channels(graph: Graph) -> Graph:
    """Rewrite what the folding passes before this one have left."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    outer = scene.split(node) if node.op == "Add" else None
    scaling = None if outer is None else scene.producer(outer[0], "Mul")
    inner = None if scaling is None else scene.split(scaling)
    if outer is None or scaling is None or inner is None:
        return None
    (x, factor), shape = inner, scene.shape(scaling.outputs[0])
    if len(shape) < 3 or scene.tensors[x].dtype.kind != "f" or max(factor.size, outer[1].size) == 1:
        return None
    factors, shifts = by_channel(factor, scene.shape(x), shape), by_channel(outer[1], shape, shape)
    if factors is None or shifts is None or scene.shape(node.outputs[0]) != shape:
        return None
    output, dtype = node.outputs[0], scene.tensors[x].dtype
    kernel = scene.constant(output, factors.reshape(-1, 1, *(1,) * (len(shape) - 2)).astype(dtype))
    bias = scene.constant(output, np.asarray(shifts, dtype))
    return [scene.node("Conv", (x, kernel, bias), output, scaling.name, group=shape[1])]
