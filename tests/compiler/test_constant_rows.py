"""Positions and class tokens: biases of the layer that makes the other rows, nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.constant_rows import constant_rows
from plonnx.compiler.passes import optimize
from plonnx.gadgets.linear.combination import Combination
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.sum import Sum
from tests.compiler.small import assert_accurate, assert_proves, compiled, graph_of, onnx_model, random_samples

RANDOM = np.random.default_rng(0)
WIDTH = 32
X = f"float[8,6] x) => (float[1,{{rows}},{WIDTH}] y)"
CONSTANTS: dict[str, Any] = {
    "w": RANDOM.normal(size=(6, WIDTH)),
    "b": RANDOM.normal(size=WIDTH),
    "s": np.array([1, 8, WIDTH]),
    "g": np.array([1, 2, 4, WIDTH]),
    "h": np.array([1, 10, WIDTH]),
    "p8": RANDOM.normal(size=(1, 8, WIDTH)),
    "p9": RANDOM.normal(size=(1, 9, WIDTH)),
    "p10": RANDOM.normal(size=(10, WIDTH)),
    "c": RANDOM.normal(size=(1, 1, WIDTH)),
    "d": RANDOM.normal(size=(1, 1, WIDTH)),
    "column": RANDOM.normal(size=(1, 8, 1)),
    "edge": RANDOM.normal(size=(1, 2, 1, WIDTH)),
}
LAYER = "a = MatMul(x, w) e = Add(a, b) t = Reshape(e, s)"
MADE = {
    "positions": (f"{LAYER} y = Add(t, p8)", 8),
    "a class token": (f"{LAYER} j = Concat<axis = 1>(c, t) y = Add(j, p9)", 9),
    "without positions": (f"{LAYER} y = Concat<axis = 1>(c, t)", 9),
    "two tokens, one behind": (f"{LAYER} j = Concat<axis = -2>(c, t, d) y = Add(p10, j)", 10),
    "positions of patches alone": (f"{LAYER} q = Add(t, p8) y = Concat<axis = 1>(c, q)", 9),
    "no bias": ("a = MatMul(x, w) t = Reshape(a, s) j = Concat<axis = 1>(c, t) y = Add(j, p9)", 9),
    "a number for each position": (f"{LAYER} y = Add(t, column)", 8),
    "in a grid": (f"{LAYER} i = Reshape(t, g) j = Concat<axis = 2>(edge, i) k = Reshape(j, h) y = Add(k, p10)", 10),
}


@pytest.mark.parametrize("name", MADE)
def test_constants_are_biases(tmp_path: Path, name: str) -> None:
    body, rows = MADE[name]
    made = compiled(tmp_path, X.format(rows=rows), body, used(body), table_bits=12)
    layer, *others = made.builder.blocks[1:]
    assert isinstance(layer, Convolution) and layer.by_position and not others
    assert layer.bias is not None and layer.bias.shape == (WIDTH, rows)
    assert np.count_nonzero(np.all(layer.x < 0, axis=0)) == rows - 8
    assert_accurate(made, 0.002)


def used(body: str) -> dict[str, Any]:
    """The constants that a body names."""
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {name: value for name, value in CONSTANTS.items() if name in words}


@pytest.mark.parametrize("name", MADE)
def test_of_a_private_model_they_are_added(tmp_path: Path, name: str) -> None:
    body, rows = MADE[name]
    options: dict[str, Any] = {"model": "private", "weight_bits": 20, "bias_bits": 40}
    made = compiled(tmp_path, X.format(rows=rows), body, used(body), table_bits=12, **options)
    assert not any(isinstance(block, Convolution) and block.by_position for block in made.builder.blocks)
    assert any(isinstance(block, Sum) for block in made.builder.blocks)
    assert_accurate(made, 0.002)


def test_few_constants_are_added(tmp_path: Path) -> None:
    """Where a column for each lane is not worth it."""
    constants = {"w": RANDOM.normal(size=(6, 4)), "p": RANDOM.normal(size=(8, 4))}
    made = compiled(tmp_path, "float[8,6] x) => (float[8,4] y)", "a = MatMul(x, w) y = Add(a, p)", constants)
    assert [type(block) for block in made.builder.blocks[1:]] == [Convolution, Sum]


def test_what_others_read_is_made(tmp_path: Path) -> None:
    body = f"{LAYER} q = Add(t, p8) r = Relu(t) y = Add(q, r)"
    made = compiled(tmp_path, X.format(rows=8), body, used(body), table_bits=12)
    assert [type(block) for block in made.builder.blocks[1:]] == [Convolution, Sum, Combination]
    assert_accurate(made, 0.002)


def test_nothing_that_is_made_otherwise_is_taken(tmp_path: Path) -> None:
    body, rows = MADE["a class token"]
    graph = optimize(graph_of(tmp_path, X.format(rows=rows), body, used(body)))
    (found,) = constant_rows(graph, ())
    assert found == "y"
    (layer,) = (node.outputs[0] for node in graph.nodes if node.op == "Gemm")
    assert not constant_rows(graph, {layer})
    between = [node.outputs[0] for node in graph.nodes if node.op == "Concat"]
    assert not constant_rows(graph, between)


def test_a_proof_is_of_these_rows(tmp_path: Path) -> None:
    body, rows = MADE["two tokens, one behind"]
    model = onnx_model(X.format(rows=rows), body, used(body))
    assert_proves(model, random_samples(graph_of(tmp_path, X.format(rows=rows), body, used(body))), table_bits=10)


def test_an_embedding_of_patches_is_one_layer(tmp_path: Path) -> None:
    """As exporters write it: a convolution, tokens, a class token, positions."""
    body = """p = Conv<strides = [2, 2]>(x, k, b) r = Reshape(p, f) t = Transpose<perm = [0, 2, 1]>(r)
              j = Concat<axis = 1>(c, t) y = Add(j, p9)"""
    constants = used(body) | {"k": RANDOM.normal(size=(WIDTH, 3, 2, 2)), "f": np.array([1, WIDTH, -1])}
    shape = f"float[1,3,4,8] x) => (float[1,9,{WIDTH}] y)"
    made = compiled(tmp_path, shape, body.replace("\n", " "), constants, table_bits=12)
    (layer,) = made.builder.blocks[1:]
    assert isinstance(layer, Convolution) and layer.x.shape == (12, 9)
    assert_accurate(made, 0.002)
