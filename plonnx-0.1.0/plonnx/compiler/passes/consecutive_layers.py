"""Two linear layers with nothing between them are one, where that has no more parameters than the two.

    Gemm(Gemm(x, W, b), V, c)               becomes      Gemm(x, W V, b V + c)
    Conv(Conv(x, W, b), V [O, C, 1, 1], c)  becomes      Conv(x, V W, V b + c)

The second Conv is pointwise, of stride 1 and unpadded; neither has groups. It saves the tensor between them.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.fold_into_convolution import convolution_node, convolution_parts
from plonnx.compiler.passes.fold_into_gemm import gemm_node, gemm_parts
from plonnx.compiler.passes.rewrite import Scene, rewrite


def consecutive_layers(graph: Graph) -> Graph:
    """Join each Gemm with a Gemm before it, and each pointwise Conv with a Conv before it."""
    return rewrite(rewrite(graph, _gemms), _convolutions)


def _gemms(scene: Scene, node: Node) -> list[Node] | None:
    before = scene.producer(node.inputs[0], "Gemm") if node.op == "Gemm" else None
    if before is None:
        return None
    first, second = gemm_parts(scene, before), gemm_parts(scene, node)
    if first is None or second is None or first[0].shape[0] * second[0].shape[1] > first[0].size + second[0].size:
        return None
    joined = first[0] @ second[0], first[1] @ second[0] + second[1]
    return [gemm_node(scene, before.inputs[0], joined, node.outputs[0], node.name)]


def _convolutions(scene: Scene, node: Node) -> list[Node] | None:
    before = scene.producer(node.inputs[0], "Conv") if node.op == "Conv" else None
    if before is None or not _is_pointwise(scene, node) or before.attributes.get("group", 1) != 1:
        return None
    first, second = convolution_parts(scene, before), convolution_parts(scene, node)
    if first is None or second is None:
        return None
    (kernel, bias), (pointwise, shift) = first, second
    matrix: Array = pointwise.reshape(pointwise.shape[:2])
    if matrix.shape[0] * kernel.size > (kernel.size + matrix.size) * kernel.shape[0]:
        return None
    joined = np.tensordot(matrix, kernel, axes=1), matrix @ bias + shift
    return [convolution_node(scene, before, before.inputs[0], *joined, node.outputs[0])]


def _is_pointwise(scene: Scene, node: Node) -> bool:
    given = node.attributes
    taps = scene.shape(node.inputs[1])[2:]
    moves = any(stride != 1 for stride in given.get("strides", ())) or any(given.get("pads", ()))
    return all(tap == 1 for tap in taps) and not moves and given.get("group", 1) == 1
