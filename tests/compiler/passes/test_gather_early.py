"""Rows that nobody reads are not computed: what picks some goes before what makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.gather_early import gather_early
from tests.compiler.small import assert_accurate, assert_same_function, compiled, graph_of, operators

RANDOM = np.random.RandomState(0)
X = "float[2,4,3] x) => (float y)"
CONSTANTS: dict[str, Any] = {
    "w": RANDOM.randn(3, 5),
    "g": RANDOM.randn(3),
    "c": RANDOM.randn(1, 4, 1),
    "last": np.array(-1),
    "two": np.array([2, -4]),
    "all": np.arange(4),
    "s": np.array([8, 3]),
    "q": np.array([2, 4, 3]),
}
MOVES = {
    "a layer": ("a = MatMul(x, w) y = Gather<axis = 1>(a, two)", ["Gather", "MatMul"]),
    "a single row": ("a = MatMul(x, w) y = Gather<axis = 1>(a, last)", ["Gather", "MatMul", "Reshape"]),
    "a normalization": ("a = LayerNormalization(x, g) y = Gather<axis = 1>(a, two)", ["Gather", "LayerNormalization"]),
    "a softmax": ("a = Softmax<axis = 2>(x) y = Gather<axis = 1>(a, two)", ["Gather", "Softmax"]),
    "a function": ("a = Tanh(x) y = Gather<axis = 1>(a, two)", ["Gather", "Tanh"]),
    "constants": ("a = Add(x, c) b = Mul(a, g) y = Gather<axis = 1>(b, two)", ["Gather", "Add", "Mul"]),
    "an axis that moves": (
        "a = Transpose<perm = [1, 0, 2]>(x) y = Gather<axis = 0>(a, two)",
        ["Gather", "Transpose"],
    ),
    "an axis that stays": (
        "a = Reshape(x, s) b = MatMul(a, w) y = Gather<axis = 0>(b, two)",
        ["Reshape", "Gather", "MatMul"],
    ),
    "several readers": (
        "a = Relu(x) b = LayerNormalization(a, g) d = Add(a, b) y = Gather<axis = 1>(d, two)",
        ["Gather", "Relu", "LayerNormalization", "Add"],
    ),
}
STAYS = {
    "every row": "a = MatMul(x, w) y = Gather<axis = 1>(a, all)",
    "columns of a layer": "a = MatMul(x, w) y = Gather<axis = 2>(a, two)",
    "entries of a softmax": "a = Softmax<axis = 1>(x) y = Gather<axis = 1>(a, two)",
    "entries of a normalization": "a = LayerNormalization<axis = 1>(x, g3) y = Gather<axis = 2>(a, two)",
    "another reader": "a = Tanh(x) b = Gather<axis = 1>(a, two) r = ReduceSum(a) y = Add(b, r)",
    "an axis that is cut": "a = Reshape(x, s) y = Gather<axis = 0>(a, two)",
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(tmp_path: Path, name: str) -> None:
    body, left = MOVES[name]
    graph = graph_of(tmp_path, X, body, CONSTANTS)
    after = gather_early(graph)
    assert operators(after) == left
    assert_same_function(graph, after)
    assert_same_function(graph, optimize(after))


@pytest.mark.parametrize("name", STAYS)
def test_stays(tmp_path: Path, name: str) -> None:
    graph = graph_of(tmp_path, X, STAYS[name], CONSTANTS | {"g3": RANDOM.randn(4, 3)})
    assert operators(gather_early(graph)) == operators(graph)


@pytest.mark.parametrize("model", ["public", "private"])
def test_units_of_the_row_alone(tmp_path: Path, model: str) -> None:
    body = "a = MatMul(x, w) b = Relu(a) y = Gather<axis = 1>(b, last)"
    made = compiled(tmp_path, X, body, CONSTANTS, model=model)
    assert made.builder.unit_count == 24 + 2 * 5
    assert_accurate(made)


def test_that_hidden_constants_are_equal_does_not_show(tmp_path: Path) -> None:
    """Two layers of equal weights stay two in a private model, as layers of different weights do."""
    body = "a = MatMul(x, w) b = MatMul(x, v) d = Add(a, b) y = Gather<axis = 1>(d, two)"
    made = []
    for place, other in enumerate((CONSTANTS["w"], CONSTANTS["w"] + 1)):
        (tmp_path / str(place)).mkdir()
        graph = graph_of(tmp_path / str(place), X, body, CONSTANTS | {"v": other})
        made.append([(node.op, node.inputs) for node in gather_early(graph, hidden=True).nodes])
    assert made[0] == made[1]
