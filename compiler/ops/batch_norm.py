"""BatchNormalization in inference: a constant scaling and a constant shift of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node
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
    shape = (-1, *(1,) * (len(steps.shape(node.inputs[0])) - 2))
    known = [scene.value(name) for name in node.inputs[1:5]]
    if any(value is None for value in known):
        return steps.finish(_of_computed(steps, shape))
    scale, bias, mean, variance = (np.asarray(value, np.float64) for value in known)
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    scaled = steps.apply("Mul", node.inputs[0], steps.constant(factor.reshape(shape)))
    return steps.finish(steps.apply("Add", scaled, steps.constant((bias - mean * factor).reshape(shape))))


def _of_computed(steps: Steps, shape: tuple[int, ...]) -> str:
    """(x - mean) scale / sqrt(variance + epsilon) + bias: so tf2onnx writes LayerNormalization of Keras."""
    x, *rest = steps.node.inputs[:5]
    scale, bias, mean, variance = (steps.reshape(name, shape) for name in rest)
    epsilon = steps.constant(float(steps.node.attributes.get("epsilon", 1e-5)), public=True)
    inverse = steps.apply("Reciprocal", steps.apply("Sqrt", steps.apply("Add", variance, epsilon)))
    scaled = steps.apply("Mul", steps.apply("Sub", x, mean), steps.apply("Mul", inverse, scale))
    return steps.apply("Add", scaled, bias)
