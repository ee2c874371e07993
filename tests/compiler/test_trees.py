"""Tree ensembles: random forests in every mode against onnxruntime, exactly decided; proved; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops import ml_paths, ml_trees
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.compiler.tensor_error import TensorError
from plonnx.gadgets import path
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import quantize
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_setup
from tests.compiler.forests import FEATURES, MODES, Grown, grid
from tests.compiler.learned import assert_agrees, compiled, one_node

POSTS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]


def check(
    model: Any, r: RandomState, rows: int = 1, tolerance: float = 0.004, labels: float = 1.0, **options: Any
) -> None:
    """On all samples, none of which may go another way than in onnxruntime: a leaf's value is far from another's."""
    made = compiled(model, {"x": grid(r, 40, rows)}, **options)
    assert_agrees(made, model, {"x": grid(r, 60, rows)}, tolerance, labels)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [1, 3])
def test_a_regressor_of_each_mode(mode: str, rows: int) -> None:
    r = RandomState(1)
    forest = Grown(r, 1, [mode], 4).grow(3)
    check(
        one_node("TreeEnsembleRegressor", {"x": (rows, FEATURES)}, **forest.by_number("target", n_targets=1)), r, rows
    )


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("table_bits", [10, 13])
def test_a_regressor_of_each_aggregate(aggregate: str, targets: int, table_bits: int) -> None:
    r = RandomState(targets)
    attributes = (
        Grown(r, targets, MODES, 3)
        .grow(4)
        .by_number("target", n_targets=targets, aggregate_function=aggregate, base_values=[0.25, -0.5][:targets])
    )
    model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
    check(model, r, tolerance=0.004 if table_bits == 13 else 0.03, table_bits=table_bits)


def test_categories_of_lightgbm() -> None:
    """[x in {1, 2, -0.5}] as a chain of questions that lead to one node: two of them, one below the other."""
    eq, leaf = "BRANCH_EQ", "LEAF"
    modes = [eq, eq, eq, "BRANCH_LEQ", eq, eq, leaf, leaf, leaf, leaf]
    attributes: dict[str, Any] = {
        **{"nodes_treeids": [0] * 10, "nodes_nodeids": list(range(10)), "nodes_modes": modes},
        **{"nodes_featureids": [0, 0, 0, 1, 2, 2, 0, 0, 0, 0], "nodes_values": [1, 2, -0.5, 0.25, 1, 0.5, 0, 0, 0, 0]},
        "nodes_truenodeids": [3, 3, 3, 6, 8, 8, 0, 0, 0, 0],
        "nodes_falsenodeids": [1, 2, 4, 7, 5, 9, 0, 0, 0, 0],
        **{"target_treeids": [0] * 4, "target_nodeids": [6, 7, 8, 9], "target_ids": [0] * 4, "n_targets": 1},
        "target_weights": [0.5, -1.0, 1.0, -0.25],
    }
    attributes["nodes_values"] = [float(value) for value in attributes["nodes_values"]]
    check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), RandomState(2))


@pytest.mark.parametrize("trees", [1, 3])
def test_a_class_without_a_weight_is_no_answer(trees: int) -> None:
    """Of leaves with negative weights of one class each the label is one that has a weight, not one that has none."""
    r = RandomState(trees)
    labels = [7, 12, 18, 4]
    grown = Grown(r, 4, ["BRANCH_LEQ"], 2, sparse=True).grow(trees)
    attributes = grown.by_number("class", classlabels_int64s=labels)
    attributes["class_weights"] = [-abs(weight) for weight in attributes["class_weights"]]
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    made = compiled(model, {"x": grid(r, 48)})
    assert_agrees(made, model, {"x": grid(r, 24).astype(np.float32)})


@pytest.mark.parametrize("aggregate", ["MIN", "MAX"])
def test_trees_that_are_compared_may_have_larger_values_than_the_result(aggregate: str) -> None:
    """One tree always has the same, which is near zero; the other's are far off on the other side."""
    sign = 1.0 if aggregate == "MIN" else -1.0
    model = one_node(
        *("TreeEnsembleRegressor", {"x": (1, 1)}),
        nodes_treeids=[0, 1, 1, 1],
        nodes_nodeids=[0, 0, 1, 2],
        nodes_featureids=[0, 0, 0, 0],
        nodes_modes=["LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.0, 0.5, 0.0, 0.0],
        nodes_truenodeids=[0, 1, 0, 0],
        nodes_falsenodeids=[0, 2, 0, 0],
        target_treeids=[0, 1, 1],
        target_nodeids=[0, 1, 2],
        target_ids=[0, 0, 0],
        target_weights=[sign / 64, 50 * sign, 60 * sign],
        n_targets=1,
        aggregate_function=aggregate,
    )
    samples = {"x": np.linspace(0, 1, 40, dtype=np.float32).reshape(40, 1, 1)}
    made = compiled(model, samples, table_bits=14, error_target=1.0)
    np.testing.assert_allclose(made.evaluate(samples)["y"], sign / 64, atol=0.005)


@pytest.mark.parametrize("post", POSTS)
def test_a_regressor_of_each_transform(post: str) -> None:
    r = RandomState(3)
    attributes = Grown(r, 3, MODES, 3, 0.3).grow(2).by_number("target", n_targets=3, post_transform=post)
    check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), r, tolerance=0.006)


@pytest.mark.parametrize("seed", range(3))
def test_trees_with_layers_of_their_own(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one layer for all would have too many weights."""
    monkeypatch.setattr(ml_trees, "_WEIGHTS_A_UNIT", 0)
    r = RandomState(seed)
    attributes = Grown(r, 2, MODES, 4).grow(3).by_number("target", n_targets=2)
    check(one_node("TreeEnsembleRegressor", {"x": (2, FEATURES)}, **attributes), r, 2)


@pytest.mark.parametrize("targets", [1, 2])
def test_a_leaf_with_several_weights_for_a_target(targets: int) -> None:
    """scikit-learn's `decision_leaf` is exported so: of one target the first counts, of more their sum."""
    r = RandomState(14)
    attributes = Grown(r, targets, ["BRANCH_LEQ"], 2).grow(2).by_number("target", n_targets=targets)
    for name in ("target_treeids", "target_nodeids", "target_ids"):
        attributes[name] += attributes[name]
    attributes["target_weights"] += [2.0 * weight for weight in attributes["target_weights"]]
    check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), r)


def test_a_tree_of_one_leaf() -> None:
    r = RandomState(5)
    forest = Grown(r, 1, MODES, 2).grow(2)
    forest.leaves.append(np.array([-0.5], np.float32))
    forest.roots.append(-len(forest.leaves))
    for aggregate in ("SUM", "MAX"):
        attributes = forest.by_number("target", n_targets=1, aggregate_function=aggregate)
        check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), r)


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("labels", [[0, 1, 2], [7, -3, 5, 11]])
@pytest.mark.parametrize("based", [False, True])
def test_a_classifier(post: str, labels: list[int], based: bool) -> None:
    r = RandomState(len(labels))
    more = {"base_values": [0.5, -0.25, 0.1, 0.3][: len(labels)]} if based else {}
    attributes = (
        Grown(r, len(labels), MODES, 3, 0.1)
        .grow(3)
        .by_number("class", classlabels_int64s=labels, post_transform=post, **more)
    )
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    check(model, r, tolerance=0.006, labels=0.95)


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("case", ["first", "second", "both"])
@pytest.mark.parametrize("base", [0, 1, 2])
def test_a_classifier_of_two_classes(post: str, low: float, case: str, base: int) -> None:
    """Which classes have weights, their signs, and how many base values there are, decide what onnxruntime does."""
    r = RandomState(6)
    attributes = (
        Grown(r, 2 if case == "both" else 1, ["BRANCH_LEQ", "BRANCH_LT"], 2, low)
        .grow(2)
        .by_number(
            "class",
            classlabels_int64s=[3, 8],
            post_transform=post,
            **({"base_values": [0.2, -0.1][:base]} if base else {}),
        )
    )
    if case == "second":
        attributes["class_ids"] = [1] * len(attributes["class_ids"])
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    if base == 2 and case != "first":
        with pytest.raises(CompileError, match="two base_values"):
            check(model, r)
        return
    check(model, r, tolerance=0.006, labels=0.95)


@pytest.mark.parametrize("aggregate", [0, 1, 2, 3])
def test_an_ensemble(aggregate: int) -> None:
    r = RandomState(7)
    attributes = Grown(r, 1, [*MODES, "BRANCH_MEMBER"], 3).grow(3).apart(aggregate_function=aggregate)
    check(one_node("TreeEnsemble", {"x": (1, FEATURES)}, version=5, opset=21, **attributes), r)


@pytest.mark.parametrize("post", [1, 2, 3])
def test_an_ensemble_with_a_transform(post: int) -> None:
    r = RandomState(8)
    attributes = Grown(r, 3, [*MODES, "BRANCH_MEMBER"], 3, 0.3, True).grow(6).apart(post_transform=post)
    check(one_node("TreeEnsemble", {"x": (2, FEATURES)}, version=5, opset=21, **attributes), r, 2, tolerance=0.006)


def test_a_forest_passes_the_mock_prover() -> None:
    r = RandomState(9)
    attributes = Grown(r, 3, MODES, 3, 0.1).grow(2).by_number("class", classlabels_int64s=[0, 1, 2])
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    x = grid(r, 32)
    circuit = compile_model(model, [{"x": x}], Options(table_bits=8))
    for sample in x[:3]:
        assert circuit.mock({"x": quantize(sample, circuit.inputs[0])}) == []


def test_equal_tests_are_decided_once_unless_they_are_secret() -> None:
    r = RandomState(10)
    forest = Grown(r, 1, ["BRANCH_LEQ"], 2).grow(1)
    forest.roots += forest.roots * 3
    attributes = forest.by_number("target", n_targets=1)
    model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
    x = {"x": grid(r, 32)}
    counts = [
        next(b.count for b in quantized(model, [x], options).builder.blocks if b.name.endswith("~tests"))
        for options in (Options(table_bits=8), Options(table_bits=8, model="private", weight_bits=24))
    ]
    assert counts == [2 * len(forest.nodes), 8 * len(forest.nodes)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes_modes": ["BRANCH_SOMEWHERE"]}, "no mode of a node"),
        ({"nodes_truenodeids": [0]}, "no trees"),
        ({"nodes_truenodeids": [99]}, "do not fit together"),
        ({"nodes_featureids": [4]}, "reads feature 4, and has 4 features"),
        ({"nodes_values": [float("nan")]}, "not a number"),
        ({"target_ids": [3]}, "do not fit together"),
        ({"aggregate_function": "MEDIAN"}, "aggregate_function 'MEDIAN'"),
    ],
)
def test_what_is_no_forest_is_one_line(changes: dict[str, Any], words: str) -> None:
    attributes = Grown(RandomState(1), 1, ["BRANCH_LEQ"], 2).grow(1).by_number("target", n_targets=1)
    for name, value in changes.items():
        attributes[name] = value if isinstance(value, str) else [*value, *attributes[name][len(value) :]]
    model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
    with pytest.raises(CompileError, match=words) as caught:
        compiled(model, {"x": grid(RandomState(2), 20)})
    assert "\n" not in str(caught.value)


def test_a_base_value_where_a_target_may_get_no_value() -> None:
    """onnxruntime leaves it out there, ONNX adds it; where all leaves of a tree have one, both add it."""
    r = RandomState(9)
    attributes = Grown(r, 2, ["BRANCH_LEQ"], 3).grow(2).by_number("target", n_targets=2, base_values=[0.5, -1.0])
    check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), r)
    for name in ("target_treeids", "target_nodeids", "target_ids", "target_weights"):
        attributes[name] = attributes[name][::3]
    with pytest.raises(CompileError, match="base_values of a target"):
        check(one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes), r)


def test_two_weights_of_one_class_at_a_leaf_are_refused() -> None:
    """Where both classes are decided by one score: onnxruntime adds them up, as a regressor would not."""
    attributes = Grown(RandomState(9), 1, ["BRANCH_LEQ"], 3).grow(1).by_number("class", classlabels_int64s=[0, 1])
    for name in ("class_treeids", "class_nodeids", "class_ids", "class_weights"):
        attributes[name] += attributes[name][:1]
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    with pytest.raises(CompileError, match="two weights of one class"):
        compiled(model, {"x": grid(RandomState(2), 20)})


@pytest.mark.parametrize("op", ["TreeEnsembleRegressor", "TreeEnsemble"])
def test_features_of_very_different_ranges_have_scales_of_their_own(op: str) -> None:
    """Each threshold moves with its feature; those of LT are values of the data, as XGBoost's are."""
    r = RandomState(11)
    sizes = np.array([1e-3, 1.0, 50.0, 3e4])
    x = (r.uniform(-1.0, 1.0, (64, 1, FEATURES)) * sizes).astype(np.float32)
    forest = Grown(r, 1, ["BRANCH_LT", "BRANCH_GTE"], 3).grow(3)
    for node in forest.nodes:
        node[2] = float(x[r.randint(64), 0, node[0]])
    attributes = forest.apart() if op == "TreeEnsemble" else forest.by_number("target", n_targets=1)
    model = one_node(op, {"x": (1, FEATURES)}, version=5 if op == "TreeEnsemble" else 3, opset=21, **attributes)
    made = quantized(model, [{"x": x}], Options())
    assert_agrees(made, model, {"x": x}, 0.004)
    assert made.report.reached and made.report.table_bits < 16


@pytest.mark.parametrize("options", [{}, {"model": "private", "weight_bits": 24}])
def test_many_tests_are_decided_by_a_table(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As exactly as by free views, where no paths are taken."""
    monkeypatch.setattr(ml_paths, "_SMALL", 1 << 20)
    r = RandomState(12)
    forest = Grown(r, 1, ["BRANCH_LEQ", "BRANCH_GT"], 5).grow(6)  # exact at a scale as coarse as this, too
    model = one_node("TreeEnsembleRegressor", {"x": (3, FEATURES)}, **forest.by_number("target", n_targets=1))
    made = quantized(model, [{"x": grid(r, 40, 3)}], Options(table_bits=7, **options))
    assert [function.name for function in made.builder.functions] == ["x > 0, scale 0 to 0"]
    assert_agrees(made, model, {"x": grid(r, 60, 3)}, 0.03)


@pytest.mark.parametrize("op", ["TreeEnsembleRegressor", "TreeEnsemble"])
@pytest.mark.parametrize("options", [{}, {"model": "private", "weight_bits": 24}])
def test_a_value_that_equals_a_threshold_is_decided_as_it_is(op: str, options: dict[str, Any]) -> None:
    """As midpoints on a grid are; a value that is larger by a float's last bit lies on the other side."""
    r = RandomState(13)
    tenths = r.randint(-30, 31, (64, 1, FEATURES))
    on_grid = (tenths / 10.0).astype(np.float32)
    x = np.where(tenths % 2, np.nextafter(on_grid, np.float32(9)), on_grid)
    forest = Grown(r, 1, ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"], 3).grow(3)
    for node in forest.nodes:
        node[2] = float(on_grid[r.randint(64), 0, node[0]])
    attributes = forest.apart() if op == "TreeEnsemble" else forest.by_number("target", n_targets=1)
    model = one_node(op, {"x": (1, FEATURES)}, version=5 if op == "TreeEnsemble" else 3, opset=21, **attributes)
    made = quantized(model, [{"x": x}], Options(table_bits=12, **options))
    assert_agrees(made, model, {"x": x}, 0.004)


# Paths ---------------------------------------------------------------------------------------------------------------

ASKED = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the forest's size."""
    monkeypatch.setattr(ml_paths, "_SMALL", 1)


def walked(made: Quantized) -> bool:
    return any(isinstance(block, path.Walk) for block in made.builder.blocks)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize(("rows", "targets"), [(1, 1), (1, 3), (3, 2)])
def test_paths_of_each_aggregate(aggregate: str, rows: int, targets: int) -> None:
    """As exactly as tests of all nodes."""
    r = RandomState(rows + targets)
    attributes = (
        Grown(r, targets, ASKED, 4)
        .grow(3)
        .by_number("target", n_targets=targets, aggregate_function=aggregate, base_values=[0.25, -0.5, 0.1][:targets])
    )
    model = one_node("TreeEnsembleRegressor", {"x": (rows, FEATURES)}, **attributes)
    made = compiled(model, {"x": grid(r, 40, rows)})
    assert walked(made)
    assert_agrees(made, model, {"x": grid(r, 60, rows)}, 0.004)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("sparse", [False, True])
def test_paths_of_a_classifier(sparse: bool) -> None:
    """Where each tree has a value for one class alone, too."""
    r = RandomState(4)
    attributes = Grown(r, 3, ASKED, 3, 0.1, sparse).grow(4).by_number("class", classlabels_int64s=[7, -3, 5])
    model = one_node("TreeEnsembleClassifier", {"x": (1, FEATURES)}, ("label", "scores"), **attributes)
    made = compiled(model, {"x": grid(r, 40)})
    assert walked(made)
    assert_agrees(made, model, {"x": grid(r, 60)}, 0.006, 0.95)


@pytest.mark.usefixtures("paths")
def test_a_forest_of_paths_is_proved(tmp_path: Path) -> None:
    r = RandomState(9)
    attributes = Grown(r, 2, ASKED, 3).grow(3).apart(n_targets=2)
    model = one_node("TreeEnsemble", {"x": (2, FEATURES)}, version=5, opset=21, **attributes)
    x = grid(r, 32, 2)
    circuit = compile_model(model, [{"x": x}], Options(table_bits=8))
    circuit.save(tmp_path / "model.circuit")
    assert ModelCircuit.load(tmp_path / "model.circuit").encode() == circuit.encode()
    for sample in x[:2]:
        assert circuit.mock({"x": quantize(sample, circuit.inputs[0])}) == []
    srs = for_setup(circuit.srs_k, unsafe=True)
    key = circuit.keygen(srs)
    verify(key.vk, prove(key, circuit.witness(circuit.read_inputs({"x": x[2]})), srs))


def test_paths_serve_public_models_and_plain_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are decided node by node, as are small forests."""
    r = RandomState(10)
    plain, other = (Grown(r, 1, modes, 3).grow(2).by_number("target", n_targets=1) for modes in (ASKED, MODES))
    x = {"x": grid(r, 32)}

    def made(attributes: dict[str, Any], **options: Any) -> bool:
        model = one_node("TreeEnsembleRegressor", {"x": (1, FEATURES)}, **attributes)
        return walked(quantized(model, [x], Options(table_bits=8, **options)))

    assert not made(plain)
    monkeypatch.setattr(ml_paths, "_SMALL", 1)
    assert made(plain)
    assert not made(plain, model="private", weight_bits=24)
    assert not made(other)


def test_what_jumps_is_judged_by_its_mean() -> None:
    """One sample on the other side of a threshold is no reason to prefer a circuit with many."""
    error = TensorError("label", 1.0, 0.002, 1.0, 0.002, 1.0, 1.0, None, stepped=True)
    assert error.excess(0.003) < 1.0 < replace(error, stepped=False).excess(0.003)
