"""The generated networks: of the declared size, their activations neither vanishing nor exploding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.networks import CIFAR, IMAGE, KINDS, WIDE, conv_network, one_convolution

NAMES = {"cifar": (CIFAR, 62_006), "wide": (WIDE, 264_342)}


def outputs(folder: Path) -> np.ndarray:
    """The network on its calibration data."""
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    return np.array([session.run(None, {"x": x})[0] for x in np.load(folder / "calibration.npz")["x"]])


@pytest.mark.parametrize("name", NAMES)
def test_convolutional(name: str, tmp_path: Path) -> None:
    network, parameters = NAMES[name]
    conv_network(network, tmp_path)
    model = onnx.load(tmp_path / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert network.parameters == parameters == sum(int(np.prod(c.dims)) for c in model.graph.initializer)
    assert 0.3 < outputs(tmp_path).std() < 3


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_keep_sides(kind: str, tmp_path: Path) -> None:
    for kernel in (3, 7):
        one_convolution(kind, kernel, tmp_path)
        channels, *sides = outputs(tmp_path).shape[2:]
        assert channels == IMAGE[0]
        assert sides == [side * (2 if kind == "transposed" else 1) for side in IMAGE[1:]]
