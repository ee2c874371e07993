"""A convolution of patches that become tokens is a Gemm over them: its kernel meets no cell twice.

    Transpose(Reshape(Conv<strides = kernel_shape>(x, W, b), [1, O, P]), [0, 2, 1])   becomes
    Reshape(Gemm(Reshape(Transpose(Reshape(x, [1, C, H, k, W, k]))), W', b), [1, P, O])

so that positions and a class token may be its bias (constant_rows.py), and its rows stand as a normalization reads
them. Where the Conv pads nothing, has one group and no dilation, meets all of its input, and the Transpose, which alone
reads it, moves the channels behind the positions in their order.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Graph, Node, Shape
from plonnx.compiler.ops.windows import axes_of
from plonnx.compiler.passes.fold_into_convolution import by_channel, convolution_parts
from plonnx.compiler.passes.rewrite import Scene, rewrite


def patches_to_gemm(graph: Graph) -> Graph:
    """Rewrite every such Transpose; runs last: what is beside a Conv has been folded, and dead code reads nothing."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if node.op != "Transpose" or node.domain:
        return None
    name = node.inputs[0]
    while (reshape := scene.producer(name, "Reshape")) is not None:
        name = reshape.inputs[0]
    layer = scene.producer(name, "Conv")
    if layer is None or layer.domain or not _moves_channels(scene, node, scene.shape(name)):
        return None
    parts, sides = convolution_parts(scene, layer), _patch(scene, layer)
    if parts is None or sides is None or _folds(scene, layer):
        return None
    kernel, bias = parts
    x, output = layer.inputs[0], node.outputs[0]
    batch, outputs, *grid = scene.shape(name)
    channels = kernel.shape[1]
    split = (batch, channels, *(size for pair in zip(grid, sides, strict=True) for size in pair))
    order = (0, *range(2, len(split), 2), 1, *range(3, len(split), 2))
    rows = batch * int(np.prod(grid)), kernel[0].size
    cut = scene.computed(x, split)
    turned = scene.computed(x, tuple(split[axis] for axis in order))
    flat = scene.computed(x, rows)
    made = scene.computed(output, (rows[0], outputs))
    matrix = scene.constant(output, np.ascontiguousarray(kernel.reshape(outputs, -1).T), layer.inputs[1])
    constants = (scene.constant(output, bias, *layer.inputs[2:3]),) if any(layer.inputs[2:3]) else ()
    return [
        scene.node("Reshape", (x, _shape(scene, output, split)), cut, layer.name),
        scene.node("Transpose", (cut,), turned, layer.name, perm=order),
        scene.node("Reshape", (turned, _shape(scene, output, rows)), flat, layer.name),
        scene.node("Gemm", (flat, matrix, *constants), made, layer.name),
        scene.node("Reshape", (made, _shape(scene, output, scene.shape(output))), output, node.name),
    ]


def _moves_channels(scene: Scene, node: Node, made: Shape) -> bool:
    """Whether a Transpose of what a Conv makes, in this shape or another, brings [N, O, *grid] to [N, *grid, O]."""
    shape = scene.shape(node.inputs[0])
    last = len(shape) - 1
    permutation = tuple(node.attributes.get("perm", range(last, -1, -1)))
    return last > 1 and shape[:2] == made[:2] and permutation == (0, *range(2, last + 1), 1)


def _patch(scene: Scene, layer: Node) -> Shape | None:
    """The sides of the patches that a Conv reads: each cell of its input once."""
    shapes = scene.shape(layer.inputs[0])[2:], scene.shape(layer.outputs[0])[2:]
    sides = scene.shape(layer.inputs[1])[2:]
    axes = axes_of(layer.attributes, *shapes, sides)
    plain = int(layer.attributes.get("group", 1)) == 1 and max(sides) > 1
    meets = all(
        np.array_equal(axis.starts, np.arange(side)) and axis.stride == side and axis.extent == side * axis.outputs
        for axis, side in zip(axes, sides, strict=True)
    )
    return sides if plain and meets else None


def _folds(scene: Scene, layer: Node) -> bool:
    """Whether what is before a Conv will be folded into it."""
    step = scene.constant_step(layer.inputs[0])
    return step is not None and by_channel(step[2], scene.shape(step[1]), scene.shape(layer.inputs[0])) is not None


def _shape(scene: Scene, base: str, shape: Shape) -> str:
    return scene.constant(base, np.asarray(shape, np.int64), public=True)
