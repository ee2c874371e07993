"""Formulas of each entry alone, in a table a column: as onnxruntime, proved, and only where they need one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.tabulated import with_tabulated_columns
from tests.compiler.small import assert_as_onnxruntime, assert_proves, graph_of, onnx_model, operators, run_float

RANDOM = np.random.RandomState(3)
SIGNATURE = "float[1, 3] x) => (float[1, 3] y)"
SAMPLES = {"x": RANDOM.uniform(-3, 3, (40, 1, 3)).astype(np.float32)}
# A power of 1 + x where x is not negative, of 1 - x where it is: each is no number on one side.
POWERS = """
    up = Add(one, x)  raised = Pow(up, power)
    above = ai.onnx.ml.Imputer<imputed_value_floats=[0.0], replaced_value_float=nan>(raised)
    down = Sub(one, x)  lowered = Pow(down, other)  flipped = Neg(lowered)
    below = ai.onnx.ml.Imputer<imputed_value_floats=[0.5, 0.0, 0.0], replaced_value_float=nan>(flipped)
    negative = Less(x, zero)  chosen = Cast<to=1>(negative)  positive = Not(negative)  kept = Cast<to=1>(positive)
    first = Mul(above, kept)  second = Mul(below, chosen)  y = Add(first, second)"""
CONSTANTS = {
    "one": np.array([1.0]),
    "power": np.array([0.5, 1.3, 0.5]),
    "other": np.array([1.5, 0.7, 1.5]),
    "zero": 0.0,
}
# Of each column the larger of two thresholds that x reaches, and what stands there.
SEARCH = """
    flat = Reshape(x, three)  first = Gather(limits, start)  reached = GreaterOrEqual(flat, first)
    place = Where(reached, start, before)  next = Add(place, ones)  second = Gather(limits, next)
    further = GreaterOrEqual(flat, second)  found = Where(further, next, place)  value = Gather(values, found)
    y = Reshape(value, shape)"""
TABLES = {
    "three": np.array([3]),
    "shape": np.array([1, 3]),
    "start": np.array([1, 4, 7]),
    "before": np.array([0, 3, 6]),
    "ones": np.array([1]),
    "limits": np.array([-9, -1.03, 0.07, -9, 0.51, 1.13, -9, -2.01, 2.31]),
    "values": np.array([0.0, 1.0, 2.0, 5.0, 3.0, 1.0, -1.0, 0.5, 4.0]),
}


def powers() -> ModelProto:
    return onnx_model(SIGNATURE, POWERS.replace("\n", " "), CONSTANTS)


def test_a_power_transformer() -> None:
    made = assert_as_onnxruntime(powers(), SAMPLES, 0.002)
    assert len(made.builder.functions) == 3  # the imputed values of the first and the third column differ
    assert made.builder.unit_count == 3 * 2


def test_a_search() -> None:
    model = onnx_model(SIGNATURE, SEARCH, TABLES)
    made = assert_as_onnxruntime(model, SAMPLES, 0.002)
    assert made.builder.unit_count == 3 * 2


def test_a_proof() -> None:
    assert_proves(powers(), SAMPLES, error_target=0.1)


def test_columns_of_the_same_constants_share_a_table() -> None:
    constants = {**CONSTANTS, "power": np.full(3, 0.5), "other": np.array([1.5])}
    model = onnx_model(SIGNATURE, POWERS.replace("0.5, 0.0, 0.0", "0.5"), constants)
    assert len(assert_as_onnxruntime(model, SAMPLES, 0.002).builder.functions) == 1


def test_the_graph_computes_the_same(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SIGNATURE, POWERS, CONSTANTS)
    after = with_tabulated_columns(graph)
    assert set(operators(after)) == {"Reshape", "Gather", "Tabulated", "Concat"}
    samples = {"x": SAMPLES["x"].astype(np.float64)}
    np.testing.assert_allclose(run_float(after, samples)["y"], run_float(graph, samples)["y"], rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("a = Add(one, x)  b = Sqrt(a)  y = Mul(b, power)", CONSTANTS),
        ("y = ai.onnx.ml.Imputer<imputed_value_floats=[0.0], replaced_value_float=nan>(x)", {}),
        ("unread, places = TopK(x, k)  y = Cast<to=1>(places)", {"k": np.array([3])}),
    ],
)
def test_what_stays_as_it_is(body: str, constants: dict[str, Any], tmp_path: Path) -> None:
    """No table is needed."""
    graph = graph_of(tmp_path, SIGNATURE, body, constants)
    assert with_tabulated_columns(graph) is graph


def test_places_that_an_input_gives_stay_as_they_are() -> None:
    """A table would ask for places that no list has."""
    lists = {"order": np.array([2, 0, 1]), "values": np.array([0.5, 7.0, -3.0])}
    model = onnx_model("int64[1, 2] x) => (float y)", "p = Gather(order, x) y = Gather(values, p)", lists)
    places = {"x": np.arange(6).reshape(3, 1, 2) % 3}
    assert not any(node.op == "Tabulated" for node in assert_as_onnxruntime(model, places).graph.nodes)


def test_it_starts_behind_what_takes_several_elements(tmp_path: Path) -> None:
    imputed = "ai.onnx.ml.Imputer<imputed_value_floats=[0.0], replaced_value_float=nan>"
    graph = graph_of(tmp_path, SIGNATURE, f"s = ReduceMax(x)  u = Add(x, s)  r = Sqrt(u)  y = {imputed}(r)")
    assert operators(with_tabulated_columns(graph))[:2] == ["ReduceMax", "Add"]


def test_a_private_model_has_no_such_tables(tmp_path: Path) -> None:
    model = read_model(powers())
    graph = import_graph(model, fix_shapes(model), hidden=True)
    assert with_tabulated_columns(graph, hidden=True) is graph
