"""The generated families: what the page says they are, and models that onnxruntime runs and plonnx compiles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import plonnx
from bench import families
from plonnx.layout.inputs import read_arrays


def run(folder: Path) -> np.ndarray:
    """The network's output on input.json."""
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    shapes = {value.name: value.shape for value in session.get_inputs()}
    given = json.loads((folder / "input.json").read_text())["input_data"]
    feed = {n: np.array(v, np.float32).reshape(shapes[n]) for n, v in zip(shapes, given, strict=True)}
    return np.asarray(session.run(None, feed)[0])


@pytest.mark.parametrize("name", ["forest", "lstm", "product", "cells"])
def test_a_family_is_a_model(name: str, tmp_path: Path) -> None:
    getattr(families, name)(tmp_path)
    onnx.checker.check_model(onnx.load(tmp_path / "network.onnx"), full_check=True)
    y = run(tmp_path)
    assert np.ptp(y) > 0 or name == "forest"
    x = read_arrays(tmp_path / "input.json", ["x", "z"] if name == "product" else ["x"])
    cells = sum(value.size for value in x.values()) + y.size
    assert cells == {"forest": 51, "lstm": 32 * 64 + 64, "product": 12_288, "cells": 12_288}[name]


def test_a_small_forest_is_compiled_as_drawn(tmp_path: Path) -> None:
    families.forest(tmp_path, trees=5, depth=3, features=4)
    circuit = plonnx.compile(tmp_path / "network.onnx", tmp_path / "calibration.npz")
    got = plonnx.run(circuit, tmp_path / "input.json")["y"]
    np.testing.assert_allclose(got.reshape(-1), run(tmp_path).reshape(-1), atol=0.01)
