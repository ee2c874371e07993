"""Constant sums and scalings of channels next to a convolution disappear into its kernel and bias.

    Add(Conv(x, W, b), c)   becomes   Conv(x, W, b + c)           c one value for each channel
    Mul(Conv(x, W, b), c)   becomes   Conv(x, c W, c b)           c likewise: the kernels of each output are scaled
    Conv(Mul(x, c), W, b)   becomes   Conv(x, W c, b)             c likewise: the taps of each input are scaled
    Conv(Add(x, c), W, b)   becomes   Conv(x, W, b + sum W c)     c likewise, where the Conv pads nothing

and the first three for ConvTranspose as well. A BatchNormalization is a Mul and an Add by then (ops/batch_norm.py).
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.ops.windows import axes_of
from plonnx.compiler.passes.rewrite import Scene, rewrite


def fold_into_convolution(graph: Graph) -> Graph:
    """Fold the neighbours after, then those before each Conv and ConvTranspose."""
    return rewrite(rewrite(graph, _after), _before)


def _after(scene: Scene, node: Node) -> list[Node] | None:
    operands = scene.split(node) if node.op in ("Add", "Mul") else None
    if operands is None:
        return None
    made, constant = operands
    layer = scene.producer(made, "Conv") or scene.producer(made, "ConvTranspose")
    values = by_channel(constant, scene.shape(made), scene.shape(node.outputs[0]))
    if layer is None or values is None or (parts := convolution_parts(scene, layer)) is None:
        return None
    kernel, bias = parts
    if node.op == "Add":
        return [convolution_node(scene, layer, layer.inputs[0], kernel, bias + values, node.outputs[0])]
    scaled = along_channels(layer, kernel, values, of_output=True)
    return [convolution_node(scene, layer, layer.inputs[0], scaled, bias * values, node.outputs[0])]


def _before(scene: Scene, node: Node) -> list[Node] | None:
    step = scene.constant_step(node.inputs[0]) if node.op in ("Conv", "ConvTranspose") else None
    if step is None or (parts := convolution_parts(scene, node)) is None:
        return None
    before, x, constant = step
    values = by_channel(constant, scene.shape(x), scene.shape(before.outputs[0]))
    if values is None or (before.op == "Add" and not _pads_nothing(scene, node)):
        return None
    kernel, bias = parts
    scaled = along_channels(node, kernel, values, of_output=False)
    if before.op == "Mul":
        return [convolution_node(scene, node, x, scaled, bias, node.outputs[0])]
    shift = scaled.reshape(len(scaled), -1).sum(axis=1)
    return [convolution_node(scene, node, x, kernel, bias + shift, node.outputs[0])]


def by_channel(constant: Array, shape: Shape, result: Shape) -> Array | None:
    """The constant as one value for each entry of axis 1, where it differs along that axis alone."""
    if len(shape) < 2:
        return None
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if shape != result or any(extent != 1 for axis, extent in enumerate(aligned.shape) if axis != 1):
        return None
    return np.broadcast_to(aligned.astype(np.float64).reshape(-1), shape[1:2])


def convolution_parts(scene: Scene, layer: Node) -> tuple[Array, Array] | None:
    """(kernel, bias by output channel) in float64 of a Conv or ConvTranspose; None where one of them is computed."""
    kernel = scene.value(layer.inputs[1])
    biased = len(layer.inputs) > 2 and bool(layer.inputs[2])
    bias = scene.value(layer.inputs[2]) if biased else np.zeros(scene.shape(layer.outputs[0])[1])
    if kernel is None or bias is None:
        return None
    return kernel.astype(np.float64, copy=False), bias.astype(np.float64, copy=False)


def along_channels(layer: Node, kernel: Array, values: Array, of_output: bool) -> Array:
    """The kernel times one value for each channel of the layer's output, or of its operand."""
    ones = (1,) * (kernel.ndim - 2)
    if of_output == (layer.op == "Conv"):
        return np.asarray(kernel * values.reshape(-1, 1, *ones))
    groups = int(layer.attributes.get("group", 1))
    grouped = kernel.reshape(groups, -1, *kernel.shape[1:]) * values.reshape(groups, 1, -1, *ones)
    return np.asarray(grouped.reshape(kernel.shape))


def convolution_node(scene: Scene, layer: Node, x: str, kernel: Array, bias: Array, output: str) -> Node:
    """The layer with another operand, kernel, bias and output."""
    constants = (scene.constant(output, part) for part in (kernel, bias))
    return scene.node(layer.op, (x, *constants), output, layer.name, **layer.attributes)


def _pads_nothing(scene: Scene, layer: Node) -> bool:
    shapes = scene.shape(layer.inputs[0])[2:], scene.shape(layer.outputs[0])[2:]
    axes = axes_of(layer.attributes, *shapes, scene.shape(layer.inputs[1])[2:])
    return layer.op == "Conv" and all(axis.head <= 0 and axis.needed_tail == 0 for axis in axes)
