"""Trains a small convolutional classifier of digits and writes model.onnx, calibration.npz and input.json beside this.

    python -m circuits.digits_cnn.train        (in the root of the project)

image [batch, 1, 8, 8], pixels in [0, 1] -> 3x3 convolution of 8 channels, ReLU, 2x2 max pooling -> 3x3 convolution of
16 channels, ReLU, 2x2 max pooling -> 10 logits. Gradients by hand in numpy (im2col), Adam; the split is digits_mlp's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from circuits.digits_mlp.train import CALIBRATION_IMAGES, split

HERE = Path(__file__).parent
CHANNELS = (8, 16)
EPOCHS, BATCH, RATE, DECAY = 40, 32, 2e-3, 1e-4
SEED = 0

Array = NDArray[np.float32]
Parameters = dict[str, Array]


def initial(random: np.random.Generator) -> Parameters:
    """He initialisation."""
    first, second = CHANNELS
    shapes = {"conv1": (first, 1, 3, 3), "conv2": (second, first, 3, 3), "logits": (10, second * 4)}
    parameters: Parameters = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        parameters[f"{name}.weight"] = random.normal(0, scale, shape).astype(np.float32)
        parameters[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return parameters


def windows(x: Array) -> Array:
    """[n, c, h, w] -> every 3x3 window of the image padded by 1: [n, c, h, w, 3, 3]."""
    return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))


def block(p: Parameters, name: str, x: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Convolution, ReLU, 2x2 max pooling; with what the gradient needs."""
    seen = windows(x)
    y = np.einsum("nchwij,ocij->nohw", seen, p[f"{name}.weight"], optimize=True) + p[f"{name}.bias"][:, None, None]
    n, o, h, w = y.shape
    quads = (
        np.maximum(y, 0)
        .reshape(n, o, h // 2, 2, w // 2, 2)
        .transpose(0, 1, 2, 4, 3, 5)
        .reshape(n, o, h // 2, w // 2, 4)
    )
    return quads.max(axis=-1), (seen, y, quads)


def block_gradient(
    p: Parameters, name: str, kept: tuple[Array, Array, Array], upstream: Array, into: Parameters
) -> Array:
    """The gradient by the input; those by the parameters go to `into`."""
    seen, y, quads = kept
    n, o, h, w = y.shape
    winner = (np.arange(4) == quads.argmax(axis=-1)[..., None]) * upstream[..., None]
    delta = winner.reshape(n, o, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(y.shape) * (y > 0)
    into[f"{name}.weight"] = np.einsum("nohw,nchwij->ocij", delta, seen, optimize=True)
    into[f"{name}.bias"] = delta.sum(axis=(0, 2, 3))
    flipped = p[f"{name}.weight"][:, :, ::-1, ::-1]
    back: Array = np.einsum("nohwij,ocij->nchw", windows(delta), flipped, optimize=True)
    return back


def logits(p: Parameters, images: Array) -> Array:
    """The network, [n, 1, 8, 8] -> [n, 10]."""
    x, _ = block(p, "conv1", images)
    x, _ = block(p, "conv2", x)
    return x.reshape(len(x), -1) @ p["logits.weight"].T + p["logits.bias"]


def gradients(p: Parameters, images: Array, labels: NDArray[np.int64]) -> Parameters:
    """Of the mean cross-entropy."""
    into: Parameters = {}
    first, kept1 = block(p, "conv1", images)
    second, kept2 = block(p, "conv2", first)
    flat = second.reshape(len(second), -1)
    scores = flat @ p["logits.weight"].T + p["logits.bias"]
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(labels)), labels] -= 1
    chances /= len(labels)
    into["logits.weight"], into["logits.bias"] = chances.T @ flat, chances.sum(axis=0)
    upstream = block_gradient(p, "conv2", kept2, (chances @ p["logits.weight"]).reshape(second.shape), into)
    block_gradient(p, "conv1", kept1, upstream, into)
    return into


def train(images: Array, labels: NDArray[np.int64]) -> Parameters:
    """Adam with weight decay."""
    random = np.random.default_rng(SEED)
    p = initial(random)
    mean = {name: np.zeros_like(value) for name, value in p.items()}
    square = {name: np.zeros_like(value) for name, value in p.items()}
    step = 0
    for _ in range(EPOCHS):
        order = random.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            for name, gradient in gradients(p, images[chosen], labels[chosen]).items():
                mean[name] = 0.9 * mean[name] + 0.1 * gradient
                square[name] = 0.999 * square[name] + 0.001 * gradient**2
                move = mean[name] / (1 - 0.9**step) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
                p[name] = (p[name] - RATE * (move + DECAY * p[name])).astype(np.float32)
    return p


def to_onnx(p: Parameters) -> onnx.ModelProto:
    """The network as ONNX."""
    pool: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = []
    tensor = "image"
    for name in ("conv1", "conv2"):
        operands = [tensor, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", operands, [name], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], f"{name}.relu"))
        nodes.append(helper.make_node("MaxPool", [f"{name}.relu"], [f"{name}.pool"], f"{name}.pool", **pool))
        tensor = f"{name}.pool"
    nodes.append(helper.make_node("Flatten", [tensor], ["features"], "flatten"))
    nodes.append(helper.make_node("Gemm", ["features", "logits.weight", "logits.bias"], ["logits"], "logits", transB=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    weights = [numpy_helper.from_array(value, name) for name, value in p.items()]
    graph = helper.make_graph(nodes, "digits_cnn", [image], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Train, report the float model's accuracy, write the files."""
    images, held_out, labels, held_out_labels = split()
    shaped = [part.reshape(-1, 1, 8, 8) for part in (images, held_out)]
    p = train(shaped[0], labels)
    right = logits(p, shaped[1]).argmax(axis=1) == held_out_labels
    print(f"held-out accuracy of the float model: {right.mean():.2%} of {len(right)} images")
    model = to_onnx(p)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / "model.onnx")
    np.savez_compressed(HERE / "calibration.npz", image=shaped[0][:CALIBRATION_IMAGES])
    text = json.dumps({"input_data": [shaped[1][0].reshape(-1).tolist()]}) + "\n"
    (HERE / "input.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
