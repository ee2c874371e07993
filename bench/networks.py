"""The large networks, made with fixed seeds: ONNX file, an input, calibration data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

DENSE = (1000, 1000, 1000, 1000, 1000)  # 4.0 million parameters
HIDDEN = (96, *[528] * 13, 1)  # 3.4 million parameters
GAIN = {
    "": 1.4,
    "Relu": 1.4,
    "Clip": 1.4,
    "MaxPool": 0.8,
}  # after such a layer: about what keeps the activations' spread
OPSET, IR = 13, 8
# Defaults too, for JSTprove takes none.
GEMM: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
WINDOW: dict[str, Any] = {"dilations": (1, 1), "pads": (0, 0, 0, 0)}
IMAGE = (8, 32, 32)  # channels, and both sides
# One convolution of IMAGE to as many channels, by kind.
KINDS: dict[str, dict[str, Any]] = {
    "convolution": {"op": "Conv"},
    "depthwise": {"op": "Conv", "group": IMAGE[0]},
    "dilated": {"op": "Conv", "dilations": (2, 2)},
    "transposed": {"op": "ConvTranspose", "strides": (2, 2), "output_padding": (1, 1)},
}


@dataclass(frozen=True)
class Convolutional:
    """A network of convolutions, each with ReLU and 2x2 max pool, then dense layers with ReLU between them."""

    channels: tuple[int, ...]  # of the image, then of every convolution
    dense: tuple[int, ...]  # from what the last pool leaves
    size: int = 32
    kernel: int = 5

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        taps = self.kernel**2
        convolutions = sum((a * taps + 1) * b for a, b in itertools.pairwise(self.channels))
        return convolutions + sum((a + 1) * b for a, b in itertools.pairwise(self.dense))


CIFAR = Convolutional((3, 6, 16), (400, 120, 84, 10))  # 62,006 parameters
WIDE = Convolutional((3, 12, 32), (800, 260, 168, 10))  # 264,342 parameters


class Layers:
    """A network under construction: layers in a row, from x on."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "x"
        self.gain = GAIN[""]

    def weighted(self, op: str, shape: tuple[int, ...], bias: bool = True, **attributes: Any) -> None:
        """A layer with weights of this shape, outputs first, and a bias."""
        weights = self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) * self.gain
        constants = [self.constant(weights)]
        if bias:
            constants.append(self.constant(self.rng.standard_normal(shape[0]) * 0.1))
        self.node(op, *constants, **attributes)

    def normalized(self, channels: int, scale: float = 1.0) -> None:
        """A BatchNormalization whose statistics are about those of a layer made here."""
        around_one = [self.rng.uniform(0.7, 1.3, channels) for _ in range(2)]
        around_zero = [self.rng.standard_normal(channels) * 0.1 for _ in range(2)]
        statistics = (around_one[0] * scale, around_zero[0] * scale, around_zero[1], around_one[1])
        self.node("BatchNormalization", *map(self.constant, statistics))

    def constant(self, values: Any) -> str:
        """The name of a constant with these values."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, op: str, *others: str, **attributes: Any) -> None:
        """A layer of any kind, on the last one's output and these tensors."""
        from onnx import helper

        after = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *others], [after], after, **attributes))
        self.last = after
        self.gain = GAIN.get(op, self.gain)

    def write(self, folder: Path, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """network.onnx, input.json and calibration.npz."""
        import onnx
        from onnx import helper

        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(self.nodes, "network", [_end("x", inputs)], [_end("y", outputs)], self.constants)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(_model(graph), folder / "network.onnx")
        samples = self.rng.standard_normal((4, *inputs)).astype(np.float32)
        np.savez(folder / "calibration.npz", x=samples)
        (folder / "input.json").write_text(json.dumps({"input_data": [samples[0].reshape(-1).tolist()]}))


def relu_network(widths: Sequence[int], folder: Path, seed: int = 0) -> None:
    """Write network.onnx, input.json and calibration.npz: dense layers with ReLU between them."""
    layers = Layers(seed)
    _dense(layers, widths)
    layers.write(folder, (1, widths[0]), (1, widths[-1]))


def conv_network(network: Convolutional, folder: Path, seed: int = 0) -> None:
    """Write network.onnx, input.json and calibration.npz: convolutions, then dense layers."""
    layers = Layers(seed)
    kernel = (network.kernel, network.kernel)
    for inputs, outputs in itertools.pairwise(network.channels):
        layers.weighted("Conv", (outputs, inputs, *kernel), kernel_shape=kernel, **WINDOW, strides=(1, 1))
        layers.node("Relu")
        layers.node("MaxPool", kernel_shape=(2, 2), **WINDOW, strides=(2, 2))
    layers.node("Flatten", axis=1)
    _dense(layers, network.dense)
    layers.write(folder, (1, network.channels[0], network.size, network.size), (1, network.dense[-1]))


def one_convolution(kind: str, kernel: int, folder: Path) -> None:
    """Write network.onnx, input.json and calibration.npz: a convolution that keeps the sides, with ReLU."""
    layers = Layers(seed=0)
    attributes = {"dilations": (1, 1), "group": 1, "strides": (1, 1), **KINDS[kind]}
    pad = attributes["dilations"][0] * (kernel // 2)
    channels, side = IMAGE[0], IMAGE[1] * attributes["strides"][0]
    shape = (channels, channels // attributes["group"], kernel, kernel)
    layers.weighted(shape=shape, kernel_shape=(kernel, kernel), pads=(pad,) * 4, **attributes)
    layers.node("Relu")
    layers.write(folder, (1, *IMAGE), (1, channels, side, side))


def _dense(layers: Layers, widths: Sequence[int]) -> None:
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        if i:
            layers.node("Relu")
        layers.weighted("Gemm", (outputs, inputs), **GEMM)


def gated_sum(length: int, path: Path) -> np.ndarray:
    """Write y = relu(x) . w over `length` entries, a family that grows with n alone; gives an input."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (length, 1)).astype(np.float32)
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    ends = [_end("x", (1, length))], [_end("y", (1, 1))]
    graph = helper.make_graph(nodes, "gated_sum", *ends, [numpy_helper.from_array(weights, "w")])
    onnx.save(_model(graph), path)
    return rng.uniform(-1, 1, (1, length)).astype(np.float32)


def _end(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    from onnx import helper

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
