"""Support vector machines of ai.onnx.ml with random attributes against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

from plonnx.compiler.compile import compile_model
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.layout.inputs import quantize
from tests.compiler.learned import assert_agrees, compiled, one_node

KERNELS = {
    "LINEAR": [0.0, 0.0, 0.0],
    "POLY": [0.5, 0.25, 3.0],
    "RBF": [0.7, 0.0, 3.0],
    "SIGMOID": [0.5, -0.2, 3.0],
}


def check(model: Any, r: RandomState, tolerance: float = 0.006, labels: float = 0.93) -> None:
    x = r.uniform(-1.0, 1.0, (2, 40, 2, 3)).astype(np.float32)
    assert_agrees(compiled(model, {"x": x[0]}, table_bits=13), model, {"x": x[1] * 0.98}, tolerance, labels)


def vectors(r: RandomState, kernel: str, count: int) -> dict[str, Any]:
    return {
        "kernel_type": kernel,
        "kernel_params": KERNELS[kernel],
        "support_vectors": r.uniform(-1.0, 1.0, count * 3).tolist(),
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_a_regressor(kernel: str, one_class: int) -> None:
    r = RandomState(1)
    learned = {"coefficients": r.uniform(-1.0, 1.0, 5).tolist(), "rho": [0.1], "n_supports": 5}
    model = one_node("SVMRegressor", {"x": (2, 3)}, one_class=one_class, **learned, **vectors(r, kernel, 5))
    check(model, r, 0.006 if not one_class else 2.0)


def test_a_regressor_without_support_vectors() -> None:
    learned = {"coefficients": [0.5, -1.0, 0.25], "rho": [0.1], "kernel_params": [0.0, 0.0, 0.0]}
    check(one_node("SVMRegressor", {"x": (2, 3)}, **learned), RandomState(2))


def classifier(r: RandomState, kernel: str, labels: list[int], **more: Any) -> Any:
    counts = [3, 2, 4, 1][: len(labels)]
    pairs = len(labels) * (len(labels) - 1) // 2
    learned = {
        "coefficients": r.uniform(-1.0, 1.0, (len(labels) - 1) * sum(counts)).tolist(),
        "rho": r.uniform(-0.2, 0.2, pairs).tolist(),
        "vectors_per_class": counts,
        "classlabels_ints": labels,
        **vectors(r, kernel, sum(counts)),
        **more,
    }
    return one_node("SVMClassifier", {"x": (2, 3)}, ("label", "scores"), **learned)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("labels", [[0, 1], [2, 0, 5], [3, 4, 9, 1]])
def test_a_classifier(kernel: str, labels: list[int]) -> None:
    r = RandomState(len(labels))
    check(classifier(r, kernel, labels), r)


@pytest.mark.parametrize("post", ["LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("labels", [[0, 1], [2, 0, 5]])
def test_a_classifier_with_a_transform(post: str, labels: list[int]) -> None:
    r = RandomState(4)
    check(classifier(r, "RBF", labels, post_transform=post), r)


def test_probabilities_of_two_classes() -> None:
    r = RandomState(5)
    check(classifier(r, "RBF", [4, 7], prob_a=[-2.0], prob_b=[0.1]), r)


@pytest.mark.parametrize("labels", [[0, 1], [2, 0, 5]])
def test_a_classifier_without_support_vectors(labels: list[int]) -> None:
    r = RandomState(6)
    learned = {
        "coefficients": r.uniform(-1.0, 1.0, len(labels) * 3).tolist(),
        "rho": [0.05],
        "classlabels_ints": labels,
        "kernel_params": [0.0, 0.0, 0.0],
    }
    check(one_node("SVMClassifier", {"x": (2, 3)}, ("label", "scores"), **learned), r)


@pytest.mark.parametrize("labels", [[4, 7, 2], [3, 4, 9, 1]])
@pytest.mark.parametrize("reach", [1.0, 8.0])
def test_probabilities_of_many_classes(labels: list[int], reach: float) -> None:
    """Of pairs that agree or contradict each other; onnxruntime's iteration ends at 0.005 / classes."""
    r = RandomState(9)
    pairs = len(labels) * (len(labels) - 1) // 2
    learned = {"prob_a": (-reach * r.uniform(0.5, 1.5, pairs)).tolist(), "prob_b": r.uniform(-0.5, 0.5, pairs).tolist()}
    model = classifier(r, "RBF", labels, **learned)
    check(model, r, 0.012)
    del model.graph.output[1]
    check(model, r)


def test_a_classifier_passes_the_mock_prover() -> None:
    r = RandomState(7)
    x = r.uniform(-1.0, 1.0, (32, 2, 3))
    circuit = compile_model(classifier(r, "RBF", [0, 1, 2]), [{"x": x}], Options(table_bits=9))
    assert circuit.mock({"x": quantize(x[0], circuit.inputs[0])}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prob_a": [1.0] * 2, "prob_b": [0.0] * 3}, "2 prob_a and 3 prob_b do not fit 3 pairs"),
        ({"support_vectors": [1.0]}, "1 support_vectors do not fit"),
        ({"rho": [0.0]}, "1 rho do not fit 3 pairs"),
        ({"kernel_type": "SPLINE"}, "kernel_type 'SPLINE'"),
    ],
)
def test_what_is_refused_is_one_line(changes: dict[str, Any], words: str) -> None:
    r = RandomState(8)
    with pytest.raises(CompileError, match=words) as caught:
        compiled(classifier(r, "RBF", [0, 1, 2], **changes), {"x": np.zeros((20, 2, 3))})
    assert "\n" not in str(caught.value)
