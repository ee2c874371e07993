"""BatchNormalization in inference: a constant scaling and a constant shift of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node
from plonnx.compiler.ops.registry import expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


@expands("BatchNormalization", since=7)
def batch_normalization(scene: Scene, node: Node) -> list[Node]:
    """Add(Mul(x, a), b) with a = scale / sqrt(variance + epsilon) and b = bias - mean a.

    Both fold into the Conv or the Gemm beside it (passes/fold_into_convolution.py, passes/fold_into_gemm.py).
    """
    steps = Steps(scene, node)
    if node.attributes.get("training_mode", 0) or len(node.outputs) > 1:
        raise steps.refuse("is in training mode; export the model for inference")
    if not node.attributes.get("spatial", 1):
        raise steps.refuse("normalizes every element by itself (spatial = 0), which is not supported")
    scale, bias, mean, variance = (_constant(steps, name) for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    shape = (-1, *(1,) * (len(steps.shape(node.inputs[0])) - 2))
    scaled = steps.apply("Mul", node.inputs[0], steps.constant(factor.reshape(shape)))
    return steps.finish(steps.apply("Add", scaled, steps.constant((bias - mean * factor).reshape(shape))))


def _constant(steps: Steps, name: str) -> Array:
    value = steps.scene.value(name)
    if value is None:
        raise steps.refuse("its scale, bias, mean and variance must be constants of the model")
    return value.astype(np.float64)
