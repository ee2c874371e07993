"""What is computed of one tree's value goes into its leaves: an isolation forest as skl2onnx writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from onnx import helper, numpy_helper

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from tests.compiler.forests import FEATURES, Grown, grid
from tests.compiler.learned import ML, assert_agrees, of_nodes


def isolating(r: RandomState, trees: int, outputs: list[str], base: float = 0.0, rows: int = 1) -> Any:
    """Of each tree the number of a leaf, by two encoders depth + log(samples), summed over trees."""
    nodes, held = [], {"one": np.array([1.0], np.float32), "s": np.array([-1, 1])}
    for tree in range(trees):
        attributes = Grown(r, 1, ["BRANCH_LEQ", "BRANCH_GT"], 3).grow(1).by_number("target", n_targets=1)
        count = len(attributes["target_weights"])
        attributes |= {"target_weights": [float(leaf) for leaf in range(count)], "base_values": [base]}
        keys = (np.arange(count) + int(base)).tolist()
        nodes += [
            helper.make_node("TreeEnsembleRegressor", ["x"], [f"t{tree}"], domain=ML, **attributes),
            helper.make_node("Cast", [f"t{tree}"], [f"i{tree}"], to=7),
            helper.make_node("Reshape", [f"i{tree}", "s"], [f"r{tree}"]),
        ]
        for name, values in (("a", r.uniform(1, 4, count)), ("b", r.uniform(1, 9, count))):
            encoder = {"keys_int64s": keys, "values_floats": values.tolist()}
            nodes.append(helper.make_node("LabelEncoder", [f"r{tree}"], [f"{name}{tree}"], domain=ML, **encoder))
        nodes += [
            helper.make_node("Add", [f"b{tree}", "one"], [f"c{tree}"]),
            helper.make_node("Log", [f"c{tree}"], [f"l{tree}"]),
            helper.make_node("Add", [f"a{tree}", f"l{tree}"], [f"y{tree}"]),
        ]
    nodes.append(helper.make_node("Sum", [f"y{tree}" for tree in range(trees)], ["y"]))
    model = of_nodes(nodes, {"x": (rows, FEATURES)}, outputs)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in held.items())
    return model


@pytest.mark.parametrize(("base", "rows"), [(0.0, 1), (2.0, 3)])
def test_encoders_and_functions_of_a_leaf(base: float, rows: int) -> None:
    r = RandomState(4)
    model = isolating(r, 3, ["y"], base, rows)
    made = quantized(model, [{"x": grid(r, 40, rows)}], Options(table_bits=12))
    assert_agrees(made, model, {"x": grid(r, 40, rows)})
    assert {node.op for node in made.graph.nodes} <= {"TreeEnsembleRegressor", "Reshape", "Add", "Sum"}


def test_a_leaf_that_is_shown_stays() -> None:
    """The number of a leaf is an output, too; a private model keeps its encoders, whose values are secret."""
    r = RandomState(5)
    model = isolating(r, 1, ["y", "t0"])
    made = quantized(model, [{"x": grid(r, 40)}], Options(table_bits=12))
    assert_agrees(made, model, {"x": grid(r, 40)})
    hidden = quantized(model, [{"x": grid(r, 40)}], Options(model="private", weight_bits=30, table_bits=12))
    assert sum(node.op == "TreeEnsembleRegressor" for node in hidden.graph.nodes) == 1


def test_rows_with_constants_of_their_own() -> None:
    """A leaf has one value, whichever row reaches it: what is added to one row alone stays outside."""
    r = RandomState(6)
    attributes = Grown(r, 1, ["BRANCH_LEQ"], 3).grow(1).by_number("target", n_targets=1)
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["x"], ["t"], domain=ML, **attributes),
        helper.make_node("Mul", ["t", "c"], ["m"]),
        helper.make_node("Exp", ["m"], ["y"]),
    ]
    model = of_nodes(nodes, {"x": (2, FEATURES)}, ["y"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([[1.0], [-1.0]], np.float32), "c"))
    made = quantized(model, [{"x": grid(r, 40, 2)}], Options(table_bits=12))
    assert_agrees(made, model, {"x": grid(r, 40, 2)})
