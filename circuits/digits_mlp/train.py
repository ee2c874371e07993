"""Trains the digits classifier and writes model.onnx, calibration.npz and input.json beside this file.

    python circuits/digits_mlp/train.py

Images are 8x8 with pixels in [0, 1]; the network is 64-32-10 with ReLU, its outputs are logits. A quarter of the images
is held out: `held_out()` gives them again, in the same order.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
HIDDEN = 32
CALIBRATION_IMAGES = 256
SEED = 0

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def split() -> tuple[Images, Images, Labels, Labels]:
    """Training images, held-out images, training labels, held-out labels; images are [n, 64]."""
    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.25, random_state=SEED, stratify=labels
    )
    return train, test, train_labels, test_labels


def held_out() -> tuple[Images, Labels]:
    """The images that training never saw, [450, 64], and their labels."""
    _, images, _, labels = split()
    return images, labels


def to_onnx(classifier: MLPClassifier) -> onnx.ModelProto:
    """image [batch, 64] -> Gemm, Relu, Gemm -> logits [batch, 10]."""
    names = ("hidden.weight", "logits.weight"), ("hidden.bias", "logits.bias")
    weights = [
        numpy_helper.from_array(w.astype(np.float32), n) for w, n in zip(classifier.coefs_, names[0], strict=True)
    ]
    biases = [
        numpy_helper.from_array(b.astype(np.float32), n) for b, n in zip(classifier.intercepts_, names[1], strict=True)
    ]
    nodes = [
        helper.make_node("Gemm", ["image", "hidden.weight", "hidden.bias"], ["hidden"], "hidden"),
        helper.make_node("Relu", ["hidden"], ["activated"], "relu"),
        helper.make_node("Gemm", ["activated", "logits.weight", "logits.bias"], ["logits"], "logits"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 64])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "digits_mlp", [image], [logits], [*weights, *biases])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Train, report the float model's accuracy, write the files."""
    train, test, train_labels, test_labels = split()
    classifier = MLPClassifier((HIDDEN,), alpha=1e-2, max_iter=300, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(train, train_labels)
    print(f"held-out accuracy of the float model: {classifier.score(test, test_labels):.2%} of {len(test)} images")
    model = to_onnx(classifier)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / "model.onnx")
    np.savez_compressed(HERE / "calibration.npz", image=train[:CALIBRATION_IMAGES])
    (HERE / "input.json").write_text(json.dumps({"input_data": [test[0].tolist()]}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
