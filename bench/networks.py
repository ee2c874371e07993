"""The two large networks, made with fixed seeds: ONNX file, an input, calibration data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DENSE = (1000, 1000, 1000, 1000, 1000)  # 4.0 million parameters
HIDDEN = (96, *[528] * 13, 1)  # 3.4 million parameters
GAIN = 1.4  # about what keeps the spread of the activations from layer to layer


def relu_network(widths: Sequence[int], folder: Path, seed: int = 0) -> None:
    """Write network.onnx, input.json and calibration.npz: dense layers with ReLU between them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    nodes, constants, before = [], [], "x"
    layers = list(itertools.pairwise(widths))
    for i, (inputs, outputs) in enumerate(layers):
        weights = rng.standard_normal((outputs, inputs)) / np.sqrt(inputs) * GAIN
        bias = rng.standard_normal(outputs) * 0.1
        for name, values in ((f"w{i}", weights), (f"b{i}", bias)):
            constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        last = i == len(layers) - 1
        after = "y" if last else f"sum{i}"
        nodes.append(helper.make_node("Gemm", [before, f"w{i}", f"b{i}"], [after], transB=1))
        if not last:
            before = f"relu{i}"
            nodes.append(helper.make_node("Relu", [after], [before]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
        for name, width in (("x", widths[0]), ("y", widths[-1]))
    ]
    graph = helper.make_graph(nodes, "relu_network", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "network.onnx")
    samples = rng.standard_normal((4, 1, widths[0])).astype(np.float32)
    np.savez(folder / "calibration.npz", x=samples)
    (folder / "input.json").write_text(json.dumps({"input_data": [samples[0].reshape(-1).tolist()]}))


def gated_sum(length: int, path: Path) -> np.ndarray:
    """Write y = relu(x) . w over `length` entries, a family that grows with n alone; gives an input."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (length, 1)).astype(np.float32)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name, width in (("x", length), ("y", 1))
    ]
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    graph = helper.make_graph(nodes, "gated_sum", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return rng.uniform(-1, 1, (1, length)).astype(np.float32)
