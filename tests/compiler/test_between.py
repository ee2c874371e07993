"""Models that decide are judged between their samples, and data that come in steps on their grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler.between import between
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Graph
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.steps import grid_of, with_places
from tests.compiler.learned import one_node
from tests.compiler.small import onnx_model

Reals = NDArray[np.float64]


def on_grid(step: float, offset: float, count: int, seen: int, seed: int = 0) -> Reals:
    """Values of a grid as float32 has them, ends included."""
    inner = np.random.RandomState(seed).permutation(count - 2)[: seen - 2] + 1
    k = np.concatenate([[0, count - 1], inner])
    return (offset + step * k).astype(np.float32).astype(np.float64)


@given(st.floats(1e-3, 1e3), st.floats(-30, 30), st.integers(20, 400), st.floats(0.4, 1.0), st.integers(0, 2**31 - 1))
def test_a_grid_is_found(step: float, offset: float, count: int, share: float, seed: int) -> None:
    """Every value is at a place of it; of the places that were not seen, nearly all to the float32."""
    values = on_grid(step, offset * step, count, max(10, int(share * count)), seed)
    grid = grid_of(values)
    assert grid is not None
    gaps = np.rint(np.diff(np.unique(values)) / step).astype(int)
    assert grid.step == pytest.approx(step * np.gcd.reduce(gaps), rel=1e-5)
    close = np.spacing(np.float32(np.abs(values).max()))
    assert np.abs(values[:, None] - grid.places).min(axis=1).max() <= 4 * close
    assert np.mean(np.isin(values, grid.places)) > 0.6


@pytest.mark.parametrize(("low", "high", "parts"), [(110, 388, 100), (14, 66, 100), (271, 856, 500), (0, 255, 255)])
def test_decimals_and_parts_of_a_whole_number_are_exact(low: int, high: int, parts: int) -> None:
    """To the float32, where a fit is off in the last bit of some: a threshold there would decide the other way."""
    every = (np.arange(low, high + 1) / parts).astype(np.float32)
    for seed in range(8):
        seen = np.sort(np.random.RandomState(seed).permutation(every)[: len(every) // 2])
        grid = grid_of(np.concatenate([every[[0, -1]], seen]))
        assert grid is not None and np.array_equal(grid.places, every)


@pytest.mark.parametrize("values", [[1.0, 2.0], np.random.RandomState(0).rand(200), np.zeros(9), [0, 1, 1e7, 2e7]])
def test_what_is_on_no_grid(values: list[float]) -> None:
    """Few values, real ones, and steps that no table would tell apart."""
    assert grid_of(np.array(values)) is None


def test_places_that_nobody_gave_are_added() -> None:
    seen = np.stack([on_grid(0.1, 0.0, 30, 12), np.random.RandomState(1).rand(12)], axis=1)
    more = with_places(seen)[len(seen) :]
    assert set(np.round(10 * np.concatenate([seen, more])[:, 0]).astype(int)) == set(range(30))
    assert np.all(more[:, 1] == seen[0, 1])
    assert with_places(seen, most=8) is seen


def _graph(signature: str, body: str) -> Graph:
    model = read_model(onnx_model(signature, body, {}))
    return import_graph(model, fix_shapes(model, {}, {}))


def test_samples_between_stay_between_and_on_their_grid() -> None:
    r = np.random.RandomState(0)
    x = np.stack([on_grid(0.5, 3.0, 25, 20), r.rand(20), np.full(20, 7.0)], axis=1)
    graph = _graph("float[3] x, int64[2] i) => (float[3] y, int64[2] j)", "y = Neg(x) j = Neg(i)")
    i = r.randint(0, 9, (20, 2))
    near = between(graph, {"x": x, "i": i}, 1)
    assert len(near["x"]) == len(near["i"]) == 512
    assert np.all(np.isin(near["x"][:, 0], 3.0 + 0.5 * np.arange(25))) and len(np.unique(near["x"][:, 0])) > 20
    assert np.all(near["x"][:, 2] == 7.0) and {tuple(row) for row in near["i"]} <= {tuple(row) for row in i}
    line = np.sort(x[:, 1])
    assert line[0] <= near["x"][:, 1].min() and near["x"][:, 1].max() <= line[-1]
    assert np.mean(np.isin(near["x"][:, 1], line)) < 0.1, "but the least one down, and the largest one up"
    assert len(between(graph, {"x": x, "i": i}, 1 << 24)["x"]) == 32, "fewer of a large model"


def test_ids_between_samples_join_those_of_several() -> None:
    """Each is what some sample has in that place, half are the sample's own; a mask chooses no rows and stays whole."""
    r = np.random.RandomState(0)
    table = r.randn(50, 4).astype(np.float32)
    model = read_model(
        onnx_model(
            "int64[6] i, int64[6] m) => (float[6, 4] y, int64[6] n)", "y = Gather(w, i) n = Neg(m)", {"w": table}
        )
    )
    graph = import_graph(model, fix_shapes(model, {}, {}))
    given_ = {"i": r.randint(0, 50, (16, 6)), "m": r.randint(0, 2, (16, 6))}
    mixed, kept = between(graph, given_, 1, mixed=True), between(graph, given_, 1)
    assert all(set(mixed["i"][:, place]) <= set(given_["i"][:, place]) for place in range(6))
    assert 0.3 < np.mean(mixed["i"] != kept["i"]) < 0.6
    rows = {tuple(row) for row in given_["i"]}
    assert {tuple(row) for row in kept["i"]} == rows and not {tuple(row) for row in mixed["i"]} <= rows
    assert np.all(mixed["m"] == kept["m"])


def stump(thresholds: list[float]) -> object:
    """The sum of trees of one question each, whose leaves are 0 and 1."""
    n = len(thresholds)
    return one_node(
        "TreeEnsembleRegressor",
        {"x": (1, 1)},
        nodes_treeids=np.repeat(np.arange(n), 3).tolist(),
        nodes_nodeids=[0, 1, 2] * n,
        nodes_featureids=[0] * 3 * n,
        nodes_values=[v for t in thresholds for v in (t, 0.0, 0.0)],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * n,
        nodes_truenodeids=[1, 0, 0] * n,
        nodes_falsenodeids=[2, 0, 0] * n,
        target_treeids=np.repeat(np.arange(n), 2).tolist(),
        target_nodeids=[1, 2] * n,
        target_ids=[0] * 2 * n,
        target_weights=[0.0, 1.0] * n,
        n_targets=1,
    )


@pytest.mark.parametrize("model", ["public", "private"])
def test_midpoints_on_the_grid_of_the_data_decide_what_nobody_gave(model: str) -> None:
    """A tree halves the way between two tenths: the tenth between, not in the data, comes out as in onnxruntime."""
    tenths = (np.arange(61) / 10).astype(np.float32)
    given = np.isin(np.arange(61), [0, 1, 60]) | (np.random.RandomState(2).rand(61) < 0.6)
    seen, new = tenths[given], tenths[~given]
    thresholds = ((seen[1:].astype(np.float64) + seen[:-1]) / 2).astype(np.float32)
    proto = stump(thresholds.tolist())
    options = Options(table_bits=12, model=model, weight_bits=24 if model == "private" else None)
    made = quantized(proto, {"x": np.resize(seen, 64).reshape(-1, 1, 1)}, options)
    x = new.reshape(-1, 1, 1)
    expected = FloatModel(read_model(proto).fixed({"x": (1, 1)})).run_all([{"x": one} for one in x])["y"]
    on = new[np.isin(new, thresholds) | np.isin(new, np.nextafter(thresholds, np.float32(9)))]
    assert len(on) > 5, "some are at a threshold, to a float's rounding"
    np.testing.assert_allclose(made.evaluate({"x": x.astype(np.float64)})["y"], expected, atol=0.05)


def test_a_table_is_large_enough_for_new_samples() -> None:
    """Each of 200 samples lies far from all thresholds; of new ones, one in a hundred may come out otherwise."""
    r = np.random.RandomState(0)
    x = np.sort(r.rand(200))
    proto = stump(((x[1:] + x[:-1]) / 2).tolist())
    made = quantized(proto, {"x": x.reshape(-1, 1, 1)}, Options())
    fresh = r.uniform(x[0], x[-1], (2000, 1, 1)).astype(np.float32)
    expected = (fresh.reshape(-1, 1) > ((x[1:] + x[:-1]) / 2).astype(np.float32)).sum(axis=1)
    got = made.evaluate({"x": fresh.astype(np.float64)})["y"].reshape(-1)
    assert np.mean(np.abs(got - expected) < 0.5) > 0.99


@pytest.mark.parametrize("seed", [0, 10, 26, 30, 44])
def test_few_samples_are_no_measure_of_new_ones(seed: int) -> None:
    """By chance 16 samples are within the target by tables of which new samples are 0.56 to 1 % off."""
    r = np.random.RandomState(seed)
    constants = {"w": r.normal(size=(2, 3)), "v": r.normal(size=(3, 1))}
    proto = onnx_model("float[1,2] x) => (float y)", "h = MatMul(x, w) t = Tanh(h) y = MatMul(t, v)", constants)
    x, fresh = r.normal(size=(16, 1, 2)), r.normal(size=(600, 1, 2)).clip(-1.5, 1.5)
    oracle, made = FloatModel(proto), quantized(proto, {"x": x}, Options())
    seen, expected = (oracle.run_all([{"x": one} for one in data.astype(np.float32)])["y"] for data in (x, fresh))
    assert np.abs(made.evaluate({"x": fresh})["y"] - expected).max() <= 0.005 * np.ptp(seen)
