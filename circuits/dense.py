"""A small dense network: trained by gradient descent in numpy, and written as ONNX. What the examples on a chain prove.

layers = train(inputs, labels, hidden=12, error=classes)
nodes, weights = dense(layers, "inputs", "logits")
proto = model("agent", nodes, weights, inputs={"inputs": [1, 8]}, outputs={"logits": [1, 3]})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Reals = NDArray[np.float64]
Layers = list[tuple[Reals, Reals]]  # weights [in, out] and bias [out] of each
Error = Callable[[Reals, NDArray[Any]], Reals]  # outputs, targets -> the loss's gradient for each output


def squares(outputs: Reals, targets: NDArray[Any]) -> Reals:
    """Of the mean squared error."""
    gradient: Reals = outputs - targets
    return gradient


def classes(outputs: Reals, targets: NDArray[Any]) -> Reals:
    """Of the cross entropy of a softmax; targets are the numbers of classes."""
    chances = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    gradient: Reals = chances / chances.sum(axis=1, keepdims=True) - np.eye(outputs.shape[1])[targets]
    return gradient


def chances(outputs: Reals, targets: NDArray[Any]) -> Reals:
    """Of the cross entropy of a sigmoid; targets are between 0 and 1."""
    gradient: Reals = 1 / (1 + np.exp(-outputs)) - targets
    return gradient


def train(inputs: Reals, targets: NDArray[Any], hidden: int, error: Error, seed: int = 0, steps: int = 400) -> Layers:
    """One hidden layer of ReLUs, by Adam over all samples at once. Targets are [n, out], of `classes` [n]."""
    rng = np.random.default_rng(seed)
    out = int(targets.max()) + 1 if error is classes else targets.shape[1]
    widths = [inputs.shape[1], hidden, out]
    shapes = [shape for pair in pairwise(widths) for shape in (pair, (1, pair[1]))]
    values = [rng.normal(0, (2 / s[0]) ** 0.5, s) if s[0] > 1 else np.zeros(s) for s in shapes]
    means, squared = [np.zeros(s) for s in shapes], [np.zeros(s) for s in shapes]
    for step in range(1, steps + 1):
        first, first_bias, second, second_bias = values
        activated = np.maximum(inputs @ first + first_bias, 0)
        above = error(activated @ second + second_bias, targets) / len(inputs)
        below = (above @ second.T) * (activated > 0)
        gradients = [inputs.T @ below, below.sum(0), activated.T @ above, above.sum(0)]
        for i, gradient in enumerate(gradients):
            means[i] += 0.1 * (gradient - means[i])
            squared[i] += 0.001 * (gradient**2 - squared[i])
            unbiased = means[i] / (1 - 0.9**step), squared[i] / (1 - 0.999**step)
            values[i] -= 0.02 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-9)
    return [(values[i], values[i + 1].reshape(-1)) for i in (0, 2)]


def dense(layers: Layers, source: str, result: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Gemm, Relu, .., Gemm from one tensor to another, and their constants."""
    nodes, weights = [], []
    for i, (matrix, bias) in enumerate(layers):
        last = i == len(layers) - 1
        names = [f"weights {i}", f"bias {i}"]
        weights += [
            numpy_helper.from_array(v.astype(np.float32), n) for v, n in zip((matrix, bias), names, strict=True)
        ]
        nodes.append(helper.make_node("Gemm", [source, *names], [result if last else f"sum {i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"sum {i}"], [f"hidden {i}"]))
            source = f"hidden {i}"
    return nodes, weights


def model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    integers: Sequence[str] = (),
) -> onnx.ModelProto:
    """A checked model; its ends are float32, or int32 where `integers` names them."""

    def ends(tensors: Mapping[str, Sequence[int]]) -> list[onnx.ValueInfoProto]:
        kinds = [TensorProto.INT32 if tensor in integers else TensorProto.FLOAT for tensor in tensors]
        named = zip(tensors.items(), kinds, strict=True)
        return [helper.make_tensor_value_info(tensor, kind, shape) for (tensor, shape), kind in named]

    graph = helper.make_graph(list(nodes), name, ends(inputs), ends(outputs), list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made
