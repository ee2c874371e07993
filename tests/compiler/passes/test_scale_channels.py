"""A scaling and a shift of channels that fold into no layer become one depthwise convolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.scale_channels import scale_channels
from tests.compiler.small import assert_accurate, assert_same_function, compiled, graph_of, operators

IMAGE = "float[2,3,4,4] x) => (float[2,3,4,4] y)"
A, B = np.array([0.5, -1.5, 2.0]).reshape(3, 1, 1), np.array([0.1, 0.0, -0.3]).reshape(3, 1, 1)


@pytest.mark.parametrize("constants", [{"a": A, "b": B}, {"a": A, "b": np.array(0.2)}, {"a": np.array(0.3), "b": B}])
def test_one_convolution(tmp_path: Path, constants: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, IMAGE, "m = Mul(x, a) y = Add(m, b)", constants)
    after = optimize(graph)
    assert operators(after) == ["Conv"]
    assert_same_function(graph, after)


ROWS = "float[2,3,4] x) => (float[2,3,4] y)"
GAIN, SHIFT = np.array([0.5, -1.5, 2.0, 1.1]), np.array([[0.1, 0.0, -0.3, 0.7]])


@pytest.mark.parametrize("constants", [{"a": GAIN, "b": SHIFT}, {"a": GAIN, "b": np.array(0.2)}])
def test_the_last_axis(tmp_path: Path, constants: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, ROWS, "m = Mul(x, a) y = Add(m, b)", constants)
    after = optimize(graph)
    assert [op for op in operators(after) if op not in ("Reshape", "Transpose")] == ["Conv"]
    assert_same_function(graph, after)
    assert compiled(tmp_path, ROWS, "m = Mul(x, a) y = Add(m, b)", constants).builder.unit_count == 2 * 24


@pytest.mark.parametrize("model", ["public", "private"])
def test_one_unit_an_element(tmp_path: Path, model: str) -> None:
    made = compiled(tmp_path, IMAGE, "m = Mul(x, a) y = Add(m, b)", {"a": A, "b": B}, model=model)
    assert made.builder.unit_count == 2 * 96
    assert_accurate(made)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (IMAGE, "m = Mul(x, c) y = Add(m, d)"),
        (IMAGE, "m = Mul(x, last) y = Add(m, b)"),
        ("float[1,1,3] x) => (float[1,1,3] y)", "m = Mul(x, row) y = Add(m, row)"),
        (IMAGE, "m = Mul(x, a) s = Add(m, b) y = Add(s, m)"),
        ("float[2,3] x) => (float[2,3] y)", "m = Mul(x, row) y = Add(m, row)"),
    ],
)
def test_others_stay(tmp_path: Path, signature: str, body: str) -> None:
    given = {"a": A, "b": B, "c": np.array(0.3), "d": np.array(0.2), "last": np.ones(4), "row": np.arange(3.0)}
    graph = graph_of(tmp_path, signature, body, given)
    assert operators(scale_channels(graph)) == operators(graph)
