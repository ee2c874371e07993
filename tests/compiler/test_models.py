"""Accuracy on real models, calibrated with nothing but their one input: at most 1 % of the output's range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler.calibration import as_sample, input_range, random_inputs
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.compiler.tensor_error import tensor_error
from plonnx.layout.inputs import Reals, read_samples

FUNCTIONS = (
    "1l_elu",
    "1l_prelu",
    "1l_sigmoid",
    "1l_lppool",
    "1l_instance_norm",
    "1l_div",
    "clip",
    "max",
    "reducel2",
    "1l_gelu_noappx",
    "1l_var",
    "layernorm",
    "log_softmax",
    "1l_softmax",
    "mnist_gan",
    "ltsf",
)
IMAGES = (
    "1l_average",
    "1l_batch_norm",
    "1l_concat",
    "1l_conv",
    "1l_conv_transpose",
    "1l_max_pool",
    "1l_slice",
    "2l_relu_sigmoid_conv",
    "4l_relu_conv_fc",
    "idolmodel",
    "lenet_5",
    "tril",
)
NAMES = (
    *FUNCTIONS,
    *IMAGES,
    "1l_relu",
    "1l_linear",
    "1l_mlp",
    "2l_relu_fc",
    "accuracy",
    "large_mlp",
    "linear_regression",
)
INPUTS = 100


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, models: Path) -> tuple[Path, Quantized]:
    """A model's folder and the model compiled."""
    folder = models / str(request.param)
    return folder, quantized(folder / "network.onnx", folder / "input.json")


def _expected(folder: Path, compiled: Quantized, samples: dict[str, Reals]) -> dict[str, np.ndarray]:
    shapes = {port.name: port.shape for port in compiled.facts.inputs}
    oracle = FloatModel(read_model(folder / "network.onnx").fixed(shapes))
    return oracle.run_all([as_sample(compiled.graph, samples, index) for index in range(INPUTS)])


def test_error_within_the_calibrated_range(made: tuple[Path, Quantized]) -> None:
    folder, compiled = made
    given = read_samples(folder / "input.json", {port.name: port.shape for port in compiled.facts.inputs})
    ranges = {name: input_range(values) for name, values in given.items()}
    samples = random_inputs(compiled.graph, ranges, INPUTS, seed=7)
    got = compiled.evaluate(samples)
    for name, value in _expected(folder, compiled, samples).items():
        assert got[name].shape == value.shape
        assert tensor_error(name, got[name], value).max_relative <= 0.01


def test_nothing_overflows_on_the_inputs_that_are_accepted(made: tuple[Path, Quantized]) -> None:
    folder, compiled = made
    ranges = {port.name: (-port.largest, port.largest) for port in compiled.facts.inputs}
    samples = random_inputs(compiled.graph, ranges, INPUTS, seed=8)
    got = compiled.evaluate(samples)
    for name, value in _expected(folder, compiled, samples).items():
        assert tensor_error(name, got[name], value).max_relative <= 0.01


def test_wrong_declared_output_shape_is_not_believed(models: Path) -> None:
    folder = models / "large_mlp"
    compiled = quantized(folder / "network.onnx", folder / "input.json", Options(table_bits=10))
    assert compiled.facts.outputs[0].shape == (10, 100)


def test_small_models_compile(models: Path) -> None:
    """Those that are not proved in test_models_proved.py too; the large ones are compiled by the benchmark."""
    folders = [file.parent for file in sorted(models.glob("*/network.onnx")) if file.stat().st_size < 50_000]
    folders.remove(models / "bitwise_ops")  # its input file is another model's
    assert folders
    for folder in folders:
        assert quantized(folder / "network.onnx", folder / "input.json", Options(table_bits=12)).facts.outputs, folder
