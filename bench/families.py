"""Networks that are no plain layers: a forest, an LSTM, a product of two computed matrices and its cells alone.

Each writes network.onnx, input.json and calibration.npz, as bench/networks.py does; what is drawn has a fixed seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Of the two matrices, and of their product: 3 * 64^2 = 12,288 cells."""
_SAMPLES = 32


def forest(folder: Path, trees: int = 100, depth: int = 8, features: int = 50) -> None:
    """Full trees of one target, inner nodes with a feature and a threshold of their own: one TreeEnsembleRegressor."""
    r = np.random.default_rng(0)
    inner, every = (1 << depth) - 1, (1 << depth + 1) - 1
    number, leaf = np.arange(every), np.arange(every) >= inner
    below = np.where(leaf, 0, 2 * number + 1)
    asked = np.where(leaf, 0, r.integers(features, size=(trees, every)))
    thresholds = np.where(leaf, 0.0, r.uniform(-1, 1, (trees, every)))
    tree = np.repeat(np.arange(trees), every - inner)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=np.repeat(np.arange(trees), every).tolist(),
        nodes_nodeids=np.tile(number, trees).tolist(),
        nodes_featureids=asked.reshape(-1).tolist(),
        nodes_values=thresholds.reshape(-1).tolist(),
        nodes_modes=np.tile(np.where(leaf, "LEAF", "BRANCH_LEQ"), trees).tolist(),
        nodes_truenodeids=np.tile(below, trees).tolist(),
        nodes_falsenodeids=np.tile(np.where(leaf, 0, below + 1), trees).tolist(),
        target_treeids=tree.tolist(),
        target_nodeids=np.tile(number[leaf], trees).tolist(),
        target_ids=np.zeros(tree.size, int).tolist(),
        target_weights=r.uniform(-1, 1, tree.size).tolist(),
    )
    _write(folder, node, {"x": (1, features)}, (1, 1), {}, r)


def lstm(folder: Path, units: int = 64, steps: int = 32, features: int = 64) -> None:
    """One LSTM over a sequence; its output is the state after the last step."""
    r = np.random.default_rng(0)
    reach = 1 / np.sqrt(units)
    shapes = {"w": (1, 4 * units, features), "r": (1, 4 * units, units), "b": (1, 8 * units)}
    constants = {name: r.uniform(-reach, reach, shape) for name, shape in shapes.items()}
    node = helper.make_node("LSTM", ["x", *shapes], ["", "y"], hidden_size=units)
    _write(folder, node, {"x": (steps, 1, features)}, (1, 1, units), constants, r)


def product(folder: Path) -> None:
    """A B, both given by the prover."""
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    _write(folder, node, {"x": (SIDE, SIDE), "z": (SIDE, SIDE)}, (SIDE, SIDE), {}, np.random.default_rng(0))


def cells(folder: Path) -> None:
    """As many inputs and outputs as the product has, and next to nothing between them: y = the first half of x."""
    node = helper.make_node("Gemm", ["x", "w"], ["y"])
    weights = np.concatenate([np.eye(SIDE), np.zeros((SIDE, SIDE))])
    _write(folder, node, {"x": (SIDE, 2 * SIDE)}, (SIDE, SIDE), {"w": weights}, np.random.default_rng(0))


def _write(
    folder: Path,
    node: onnx.NodeProto,
    inputs: Mapping[str, tuple[int, ...]],
    output: tuple[int, ...],
    constants: Mapping[str, np.ndarray],
    r: np.random.Generator,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    shown = [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)]
    held = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph([node], folder.name, given, shown, held)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "network.onnx")
    samples: dict[str, Any] = {
        name: r.uniform(-1, 1, (_SAMPLES, *shape)).astype(np.float32) for name, shape in inputs.items()
    }
    np.savez(folder / "calibration.npz", **samples)
    first = [values[0].reshape(-1).tolist() for values in samples.values()]
    (folder / "input.json").write_text(json.dumps({"input_data": first}))
