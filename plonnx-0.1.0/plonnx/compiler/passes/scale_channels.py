"""A scaling and a shift of channels that folded into no layer are one depthwise convolution of one tap.

    Add(Mul(x [N, C, ..], a), b)     becomes     Conv(x, a [C, 1, 1, ..], b, group = C)       a, b one value a channel

and likewise along the last axis, as behind a LayerNormalization, between a Transpose and one back. A sum of its own for
each step would take two units an element. In a hidden model both are then weights and biases.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.fold_into_convolution import by_channel
from plonnx.compiler.passes.fold_into_gemm import as_row
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
    (x, factor), shape, shift = inner, scene.shape(scaling.outputs[0]), outer[1]
    output, several = node.outputs[0], len(shape) > 2 and max(factor.size, shift.size) > 1
    if not several or scene.tensors[x].dtype.kind != "f" or scene.shape(output) != shape:
        return None
    factors, shifts = by_channel(factor, scene.shape(x), shape), by_channel(shift, shape, shape)
    if factors is not None and shifts is not None:
        return [_depthwise(scene, x, factors, shifts, output, scaling.name)]
    factors, shifts = as_row(factor, scene.shape(x), shape), as_row(shift, shape, shape)
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    if factors is None or shifts is None or rows == 1:
        return None
    flat, back = (1, rows, shape[-1]), (1, shape[-1], rows)
    shapes = [scene.constant(output, np.array(wanted, np.int64)) for wanted in (flat, shape)]
    a, b, c, d = (scene.computed(output, made) for made in (flat, back, back, flat))
    return [
        scene.node("Reshape", (x, shapes[0]), a, scaling.name),
        scene.node("Transpose", (a,), b, scaling.name, perm=(0, 2, 1)),
        _depthwise(scene, b, factors, shifts, c, scaling.name),
        scene.node("Transpose", (c,), d, scaling.name, perm=(0, 2, 1)),
        scene.node("Reshape", (d, shapes[1]), output, scaling.name),
    ]


def _depthwise(scene: Scene, x: str, factors: Array, shifts: Array, output: str, name: str) -> Node:
    """The convolution of x [N, C, ..]."""
    shape, dtype = scene.shape(x), scene.tensors[x].dtype
    kernel = scene.constant(output, factors.reshape(-1, 1, *(1,) * (len(shape) - 2)).astype(dtype))
    bias = scene.constant(output, np.asarray(shifts, dtype))
    return scene.node("Conv", (x, kernel, bias), output, name, group=shape[1])
