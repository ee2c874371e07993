"""Thresholds on values of the samples: comparisons come out as in onnxruntime, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from plonnx.compiler.clear_thresholds import with_clear_thresholds
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.options import Options
from tests.compiler.learned import ML, assert_agrees, of_nodes
from tests.compiler.small import graph_of, onnx_model

TENTHS = np.random.RandomState(0).randint(-30, 31, (64, 2, 3))
ON_GRID = (TENTHS / 10.0).astype(np.float32)
X = np.where(TENTHS % 2, np.nextafter(ON_GRID, np.float32(9)), ON_GRID)  # some are larger by a float's last bit
SIGNATURE = "float[2,3] x) => (bool[2,3] y)"


@pytest.mark.parametrize("op", ["Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
@pytest.mark.parametrize("operands", ["x, c", "c, x"])
@pytest.mark.parametrize("model", ["public", "private"])
def test_as_onnxruntime(op: str, operands: str, model: str) -> None:
    """Against values of the samples, of one column each or of all."""
    for constant in (ON_GRID[3, 0], ON_GRID[5, 1, 1]):
        proto = onnx_model(SIGNATURE, f"y = {op}({operands})", {"c": constant})
        made = quantized(proto, [{"x": X}], Options(table_bits=13, model=model))
        expected = FloatModel(proto).run_all([{"x": x} for x in X])["y"]
        np.testing.assert_array_equal(made.evaluate({"x": X.astype(np.float64)})["y"], expected)


@pytest.mark.parametrize(("constant", "moves"), [(0.0, False), (0.3, True), (0.35, False), (9.0, False)])
def test_what_moves(tmp_path: Path, constant: float, moves: bool) -> None:
    """Zero is exact; between two values, or beyond all, nothing is close. It stays between the values seen."""
    graph = graph_of(tmp_path, SIGNATURE, "y = Less(x, c)", {"c": np.array([constant])})
    before = graph.value("c")
    cleared = with_clear_thresholds(graph, {"x": ON_GRID.astype(np.float64)}, FloatModel(to_onnx(graph)))
    after = cleared.value(cleared.nodes[0].inputs[1])
    assert before is not None and after is not None
    assert (after[0] != before[0]) == moves
    assert not moves or 0.2 < after[0] < 0.3


def test_trees_of_scaled_steps() -> None:
    """Midpoints of columns in steps are on their grid; behind a scaler float32 decides there, by its own order."""
    r = np.random.RandomState(3)
    offset, scale = r.uniform(20, 40, 4).round(4), r.uniform(0.02, 0.3, 4).round(5)
    scaled = ((np.arange(10, 60)[:, None] - offset.astype(np.float32)) * scale.astype(np.float32)).astype(np.float32)
    places = r.randint(0, 50, 15)
    features, thresholds = np.arange(15) % 4, scaled[places, np.arange(15) % 4].tolist()
    below = [*range(1, 31, 2)]
    attributes = {
        **{"nodes_treeids": [0] * 31, "nodes_nodeids": list(range(31)), "nodes_values": [*thresholds, *[0.0] * 16]},
        **{"nodes_featureids": [*features.tolist(), *[0] * 16], "nodes_modes": ["BRANCH_LEQ"] * 15 + ["LEAF"] * 16},
        **{"nodes_truenodeids": [*below, *[0] * 16], "nodes_falsenodeids": [*(k + 1 for k in below), *[0] * 16]},
        **{"target_treeids": [0] * 16, "target_nodeids": list(range(15, 31)), "target_ids": [0] * 16, "n_targets": 1},
        "target_weights": [float(leaf) for leaf in range(16)],
    }
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=offset.tolist(), scale=scale.tolist()),
        helper.make_node("TreeEnsembleRegressor", ["s"], ["y"], domain=ML, **attributes),
    ]
    model = of_nodes(nodes, {"x": (1, 4)}, ["y"])
    seen, fresh = (r.randint(10, 60, (count, 1, 4)).astype(np.float64) for count in (60, 400))
    assert_agrees(quantized(model, [{"x": seen}], Options(table_bits=14)), model, {"x": fresh})
