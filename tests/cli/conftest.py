"""A small model and what the commands make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.command import Ran

Plonnx = Callable[..., Ran]
PUBLIC = [[0.5, -0.25, 1.0]]


def write_mlp(path: Path, seed: int = 1, bias: float = 0.0) -> Path:
    """relu(W x + b), 3 to 2."""
    weights = np.random.default_rng(seed).uniform(-1, 1, (2, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["y"])],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch_size", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch_size", 2])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.full(2, bias, np.float32), "b")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_input(path: Path, values: object = PUBLIC) -> Path:
    path.write_text(json.dumps({"input_data": values}))
    return path


@pytest.fixture(scope="session")
def proved(plonnx: Plonnx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx, input.json, model.circuit, model.pk, model.vk and model.proof."""
    folder = tmp_path_factory.mktemp("proved")
    write_mlp(folder / "model.onnx")
    write_input(folder / "input.json")
    for arguments in (
        ["compile", "model.onnx", "--data", "input.json", "-o", "model.circuit"],
        ["setup", "model.circuit"],
        ["prove", "model.circuit", "input.json", "-o", "model.proof"],
    ):
        ran = plonnx(*arguments, cwd=folder)
        assert ran.code == 0, ran.err
    return folder
