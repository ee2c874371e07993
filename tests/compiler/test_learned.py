"""Operators of ai.onnx.ml with random attributes against onnxruntime, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from onnx import TensorProto, helper

from plonnx.compiler.compile import compile_model
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.layout.inputs import quantize
from tests.compiler.learned import Array, assert_agrees, compiled, of_nodes, one_node
from tests.compiler.small import onnx_model

SEEDS = range(3)


def uniform(r: RandomState, *shape: int, reach: float = 1.0) -> Array:
    return r.uniform(-reach, reach, shape).astype(np.float32)


def check(model: Any, r: RandomState, *shape: int, tolerance: float = 0.005, labels: float = 0.95) -> None:
    """Compiled on some uniform samples, compared on others."""
    made = compiled(model, {"x": uniform(r, 48, *shape)})
    assert_agrees(made, model, {"x": uniform(r, 48, *shape, reach=0.99)}, tolerance, labels)


# Features ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_scaler(seed: int) -> None:
    r = RandomState(seed)
    width = int(r.randint(1, 6))
    sizes = [1 if r.rand() < 0.5 else width for _ in range(2)]
    offset, scale = uniform(r, sizes[0]), r.uniform(0.5, 2.0, sizes[1])
    check(one_node("Scaler", {"x": (1, width)}, offset=offset.tolist(), scale=scale.tolist()), r, 1, width)


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm: str) -> None:
    r = RandomState(7)
    model = one_node("Normalizer", {"x": (2, 5)}, norm=norm)
    given = {"x": r.uniform(0.2, 1.0, (48, 2, 5)) * (1 if norm == "MAX" else r.choice([-1, 1], (48, 2, 5)))}
    assert_agrees(compiled(model, given), model, given, 0.006)


@pytest.mark.parametrize("threshold", [0.0, 0.25, -0.6000000238418579])
def test_binarizer(threshold: float) -> None:
    check(one_node("Binarizer", {"x": (1, 6)}, threshold=threshold), RandomState(3), 1, 6, tolerance=1.0)
    model = one_node("Binarizer", {"x": (1, 6)}, threshold=threshold)
    away = {"x": np.where(np.arange(48).reshape(8, 1, 6) % 2, threshold + 0.01, threshold - 0.01)}
    assert_agrees(compiled(model, away), model, away, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_imputer(dtype: Any) -> None:
    """What equals the replaced value is imputed: for each feature, or for all."""
    r = RandomState(4)
    x = np.where(r.rand(64, 1, 3) < 0.3, -9, r.randint(0, 9, (64, 1, 3)))
    for imputed in ([1, 2, 3], [5]):
        names = ("int64", "int64s") if dtype == np.int64 else ("float", "floats")
        values = [dtype(value).item() for value in imputed]
        replaced = {f"replaced_value_{names[0]}": dtype(-9).item(), f"imputed_value_{names[1]}": values}
        model = one_node("Imputer", {"x": (1, 3)}, dtype=dtype, **replaced)
        assert_agrees(compiled(model, {"x": x}), model, {"x": x}, 0.002)


def test_an_imputer_of_nan_is_the_identity_where_nothing_is_missing() -> None:
    r = RandomState(4)
    imputer = {"replaced_value_float": float("nan"), "imputed_value_floats": [0.5]}
    model = one_node("Imputer", {"x": (1, 3)}, **imputer)
    check(model, r, 1, 3)


def test_array_feature_extractor_takes_columns() -> None:
    r = RandomState(5)
    check(one_node("ArrayFeatureExtractor", {"x": (3, 4), "i": np.array([[2, 0, 2]])}), r, 3, 4)
    check(one_node("ArrayFeatureExtractor", {"x": (4,), "i": np.array([1])}), r, 4)


def test_feature_vectorizer_pads_and_cuts() -> None:
    r = RandomState(6)
    inputs = {"a": (2, 3), "b": (2, 2), "c": (2, 1)}
    model = one_node("FeatureVectorizer", inputs, inputdimensions=[2, 4, 1])
    given = {name: uniform(r, 40, *shape) for name, shape in inputs.items()}
    assert_agrees(compiled(model, given), model, given)


@pytest.mark.parametrize("source", [np.int64, np.float32])
@pytest.mark.parametrize("target", ["int64s", "floats"])
def test_label_encoder(source: Any, target: str) -> None:
    r = RandomState(8)
    keys = [source(key).item() for key in (-3, 0, 2, 7)]
    default = {"default_int64": 5} if target == "int64s" else {"default_float": 0.25}
    values = {"values_int64s": [4, -1, 0, 9], "values_floats": [0.5, -1.0, 2.0, 0.0]}[f"values_{target}"]
    kinds = "int64s" if source == np.int64 else "floats"
    taken = {f"keys_{kinds}": keys, f"values_{target}": values, **default}
    model = one_node("LabelEncoder", {"x": (2, 3)}, dtype=source, version=2, **taken)
    given = {"x": r.choice([*keys, 1, 5], (40, 2, 3))}
    assert_agrees(compiled(model, given), model, given, 0.004)


def test_one_hot_encoder() -> None:
    given = {"x": RandomState(9).randint(0, 6, (40, 3))}
    model = one_node("OneHotEncoder", {"x": (3,)}, dtype=np.int64, cats_int64s=[0, 2, 3, 5])
    assert_agrees(compiled(model, given), model, given, 0.0)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LabelEncoder", {"keys_int64s": [1, 1, 2, 1], "values_floats": [0.5, 2.0, -1.0, 4.0]}),
        ("OneHotEncoder", {"cats_int64s": [2, 1, 1, 0, 2]}),
    ],
)
def test_a_key_that_is_there_twice(op: str, attributes: dict[str, Any]) -> None:
    """onnxruntime takes a LabelEncoder's first, and a OneHotEncoder's last."""
    given = {"x": RandomState(9).randint(0, 3, (40, 3))}
    model = one_node(op, {"x": (3,)}, dtype=np.int64, version=2 if op == "LabelEncoder" else 1, **attributes)
    assert_agrees(compiled(model, given), model, given, 0.004)


# Linear models -------------------------------------------------------------------------------------------------------

POSTS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressor(post: str, targets: int) -> None:
    r = RandomState(targets)
    weights = uniform(r, targets * 4).tolist()
    bias = {} if post == "LOGISTIC" else {"intercepts": uniform(r, targets).tolist()}
    model = one_node(
        "LinearRegressor", {"x": (2, 4)}, coefficients=weights, targets=targets, post_transform=post, **bias
    )
    check(model, r, 2, 4)


def test_a_probit() -> None:
    r = RandomState(2)
    weights = [0.05, 0.05, 0.05, -0.05]
    model = one_node(
        "LinearRegressor",
        {"x": (1, 2)},
        coefficients=weights,
        targets=2,
        intercepts=[0.5, 0.3],
        post_transform="PROBIT",
    )
    check(model, r, 1, 2)


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("labels", [[0, 1, 2], [3, -7, 20, 4], [1, 3], [0, 1]])
def test_linear_classifier(post: str, labels: list[int]) -> None:
    r = RandomState(len(labels))
    model = one_node(
        "LinearClassifier",
        {"x": (2, 3)},
        ("label", "scores"),
        coefficients=uniform(r, len(labels) * 3).tolist(),
        intercepts=uniform(r, len(labels), reach=0.2).tolist(),
        classlabels_ints=labels,
        post_transform=post,
    )
    check(model, r, 2, 3)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC"])
def test_a_linear_classifier_of_one_row(post: str) -> None:
    model = one_node(
        "LinearClassifier",
        {"x": (2, 3)},
        ("label", "scores"),
        coefficients=[0.5, -1.0, 0.25],
        intercepts=[0.1],
        classlabels_ints=[2, 9],
        post_transform=post,
    )
    check(model, RandomState(1), 2, 3)


def _logistic(labels: dict[str, Any], zipped: dict[str, Any]) -> Any:
    """As skl2onnx writes a LogisticRegression."""
    classify = helper.make_node(
        *("LinearClassifier", ["x"], ["label", "scores"]),
        domain="ai.onnx.ml",
        coefficients=[1.0, -0.5, 0.25, 0.5, -1.0, 0.5],
        intercepts=[0.1, 0.0, -0.1],
        multi_class=1,
        post_transform="SOFTMAX",
        **labels,
    )
    nodes = [
        classify,
        helper.make_node("Normalizer", ["scores"], ["shares"], domain="ai.onnx.ml", norm="L1"),
        helper.make_node("ZipMap", ["shares"], ["by_class"], domain="ai.onnx.ml", **zipped),
    ]
    model = of_nodes(nodes, {"x": (1, 2)}, ("label", "by_class"), opset=9)
    key = TensorProto.STRING if "classlabels_strings" in zipped else TensorProto.INT64
    model.graph.output[1].CopyFrom(
        helper.make_value_info(
            "by_class",
            helper.make_sequence_type_proto(
                helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
            ),
        )
    )
    return model


def test_a_label_that_no_sample_has() -> None:
    labels = [18, 14, 16, 4]
    model = one_node(
        *("LinearClassifier", {"x": (1, 1)}, ("label", "scores")),
        coefficients=[-1.0, 0.0, 0.5, 1.0],
        intercepts=[0.0, -9.0, -9.0, 0.0],
        classlabels_ints=labels,
    )
    made = compiled(model, {"x": np.linspace(0.5, 1.0, 48, dtype=np.float32).reshape(48, 1, 1)})
    assert made.evaluate({"x": np.array([[[0.7]], [[-0.7]]])})["label"].tolist() == [[4], [18]]


def test_lists_of_outputs_are_their_tensors() -> None:
    """As skl2onnx writes a classifier of several labels: a list of probabilities."""
    model = onnx_model(
        "float[1, 2] x) => (float[1, 2] all, float[1, 2] list, float[1, 2] z)",
        "a = Softmax(x)  b = Sigmoid(x)  all = Add(a, b)  list = SequenceConstruct(a, b)  z = Neg(x)",
    )
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model.graph.output[1].CopyFrom(helper.make_value_info("list", helper.make_sequence_type_proto(element)))
    samples = {"x": uniform(RandomState(0), 48, 1, 2)}
    made = compiled(model, samples)
    assert [port.name for port in made.facts.outputs] == ["all", "a", "b", "z"]
    np.testing.assert_allclose(made.evaluate(samples)["b"], 1 / (1 + np.exp(-samples["x"])), atol=0.01)


def test_equations_of_a_constant_matrix_are_solved_by_its_inverse() -> None:
    """com.microsoft's Solve, which no runtime has: as skl2onnx writes a Gaussian process classifier."""
    matrix = np.array([[2.0, 1.0], [0.5, 1.0]])
    model = onnx_model("float[2, 1] x) => (float[2, 1] y)", "y = com.microsoft.Solve(m, x)", {"m": matrix})
    samples = {"x": uniform(RandomState(0), 48, 2, 1)}
    made = compiled(model, samples)
    np.testing.assert_allclose(made.evaluate(samples)["y"], np.linalg.solve(matrix, samples["x"]), atol=0.01)
    singular = onnx_model("float[2, 1] x) => (float[2, 1] y)", "y = com.microsoft.Solve(m, x)", {"m": np.ones((2, 2))})
    with pytest.raises(ValueError, match=r"node 'y' \(Solve\): its matrix has no inverse"):
        compiled(singular, samples)


def test_labels_that_are_text_are_numbers_and_maps_are_columns() -> None:
    """A note says which class is which."""
    names = ["setosa", "versicolor", "virginica"]
    model = _logistic({"classlabels_strings": names}, {"classlabels_strings": names})
    r = RandomState(0)
    made = compiled(model, {"x": uniform(r, 48, 1, 2)})
    assert_agrees(made, model, {"x": uniform(r, 48, 1, 2)}, labels=0.95)
    assert "Reciprocal" not in _inner(made.facts.operators, 2), "the rows of a Softmax are normalized"
    assert made.facts.notes == (
        "output 'label' is the number of a class: 0 is 'setosa', 1 is 'versicolor', 2 is 'virginica'",
        "output 'by_class' has a column for each class: 'setosa', 'versicolor', 'virginica'",
    )


def _inner(operators: Any, times: int) -> list[str]:
    return [name for name, count in operators.items() if count >= times]


def test_labels_of_text_are_looked_up_and_encoded_by_number() -> None:
    """As skl2onnx writes an MLP's label, and an encoder of labels behind it."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["index"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["classes", "index"], ["found"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["found", "shape"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["label"], to=TensorProto.STRING),
        helper.make_node(
            "LabelEncoder",
            ["label"],
            ["number"],
            domain="ai.onnx.ml",
            keys_strings=["dog", "ape", "cat"],
            values_int64s=[7, -2, 30],
        ),
    ]
    inputs = {"x": (1, 3), "classes": np.array(["ape", "cat", "dog"], object), "shape": np.array([-1])}
    model = of_nodes(nodes, inputs, ("label", "number"), version=2)
    r = RandomState(0)
    made = compiled(model, {"x": uniform(r, 32, 1, 3)})
    x = uniform(r, 32, 1, 3)
    got = made.evaluate({"x": x.astype(np.float64)})
    best = x.argmax(axis=2)
    assert np.mean(got["label"] == best) >= 0.9
    np.testing.assert_array_equal(got["number"], np.array([-2, 30, 7])[got["label"].astype(int)])
    assert made.facts.notes == ("output 'label' is the number of a class: 0 is 'ape', 1 is 'cat', 2 is 'dog'",)


def test_a_classifier_passes_the_mock_prover_and_its_file_says_the_classes() -> None:
    names = ["no", "yes", "maybe"]
    model = _logistic({"classlabels_strings": names}, {"classlabels_strings": names})
    x = uniform(RandomState(0), 32, 1, 2)
    circuit = compile_model(model, [{"x": x}], Options(table_bits=8))
    given = {port.name: quantize(x[0].astype(np.float64), port) for port in circuit.inputs}
    assert circuit.mock(given) == []
    assert circuit.facts["notes"][0].endswith("0 is 'no', 1 is 'yes', 2 is 'maybe'")


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attributes", "words"),
    [
        ("Scaler", {"offset": [1.0, 2.0], "scale": [1.0]}, "do not fit 3 features"),
        (
            "LinearRegressor",
            {"coefficients": [1.0, 2.0], "targets": 1},
            r"2 coefficients do not fit the shape \[1, 3\]",
        ),
        (
            "LinearClassifier",
            {"coefficients": [1.0] * 6, "intercepts": [0.0] * 2, "classlabels_ints": [1, 2, 3]},
            "class labels",
        ),
        ("LabelEncoder", {"keys_floats": [1.0], "values_floats": [1.0, 2.0]}, "encodes text"),
        ("OneHotEncoder", {"cats_strings": ["a"]}, "encodes text"),
        ("Normalizer", {"norm": "L7"}, "norm 'L7'"),
        ("Imputer", {"imputed_value_floats": [1.0, 2.0]}, "imputed values do not fit"),
    ],
)
def test_attributes_that_do_not_fit_are_one_line(op: str, attributes: dict[str, Any], words: str) -> None:
    outputs = ("y", "z") if op == "LinearClassifier" else ("y",)
    with pytest.raises(CompileError, match=words) as caught:
        compiled(one_node(op, {"x": (1, 3)}, outputs, **attributes), {"x": np.zeros((20, 1, 3))})
    assert "\n" not in str(caught.value)


def test_a_tree_as_matrices_of_narrow_integers() -> None:
    """As hummingbird wrote them: float64 thresholds, and products of int8 that ONNX does not have."""
    nodes = [
        helper.make_node("Gather", ["x", "feature"], ["g"], axis=1),
        helper.make_node("Cast", ["g"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Less", ["threshold", "d"], ["l"]),
        helper.make_node("Cast", ["l"], ["i"], to=TensorProto.INT8),
        helper.make_node("MatMul", ["i", "paths"], ["p"]),
        helper.make_node("Cast", ["p"], ["w"], to=TensorProto.INT64),
        helper.make_node("Equal", ["w", "wanted"], ["e"]),
        helper.make_node("Cast", ["e"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "values"], ["y"]),
    ]
    inputs = {
        "x": (1, 3),
        "feature": np.array([2, 0]),
        "threshold": np.array([0.25, -0.1]),
        "paths": np.array([[1, 1, 0], [1, 0, 0]], np.int8),
        "wanted": np.array([2, 1, 0]),
        "values": np.array([[0.5], [1.0], [-1.0]], np.float32),
    }
    model = of_nodes(nodes, inputs, ("y",), opset=11)
    r = RandomState(0)
    made = compiled(model, {"x": uniform(r, 32, 1, 3)})
    x = uniform(r, 32, 1, 3).astype(np.float64)
    bits = np.stack([x[:, 0, 2] > 0.25, x[:, 0, 0] > -0.1], 1).astype(int)
    sums = bits @ np.array([[1, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(
        made.evaluate({"x": x})["y"].reshape(-1), (sums == [2, 1, 0]) @ [0.5, 1.0, -1.0], atol=0.002
    )


def test_array_feature_extractor_at_computed_indices() -> None:
    nodes = [
        helper.make_node("ArgMax", ["x"], ["i"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain="ai.onnx.ml"),
    ]
    check(of_nodes(nodes, {"x": (1, 4)}, ("y",)), RandomState(0), 1, 4)
