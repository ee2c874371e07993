"""Reductions against the float model: axes as an attribute or as an input, one or all, kept or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler.graph import CompileError
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.maximum import Maximum
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, compiled, onnx_model

NAMES = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
)
X = "float[2,3,4] x) => "


@pytest.mark.parametrize("name", NAMES)
def test_axes_as_an_attribute(tmp_path: Path, name: str) -> None:
    assert_accurate(compiled(tmp_path, X + "(float[2,1,4] y)", f"y = {name}<axes = [-2]>(x)", opset=11))
    assert_accurate(compiled(tmp_path, X + "(float[3] y)", f"y = {name}<axes = [0, 2], keepdims = 0>(x)", opset=11))


@pytest.mark.parametrize("name", NAMES)
def test_axes_as_an_input(tmp_path: Path, name: str) -> None:
    axes = {"a": np.array([2, 0])}
    assert_accurate(compiled(tmp_path, X + "(float[1,3,1] y)", f"y = {name}(x, a)", axes, opset=18))
    assert_accurate(compiled(tmp_path, X + "(float y)", f"y = {name}<keepdims = 0>(x)", opset=18), 0.03)


@pytest.mark.parametrize("attributes", ["axes = [1], keepdims = 2", "axes = [1], keepdims = -1", "axes = [-1, 2, 0]"])
@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMean"])
def test_what_is_not_one_keeps_none_and_an_axis_counts_once(name: str, attributes: str) -> None:
    model = onnx_model("float[2,3,4] x) => (float y)", f"y = {name}<{attributes}>(x)", opset=13)
    x = np.random.RandomState(0).uniform(-1, 1, (20, 2, 3, 4)).astype(np.float32)
    assert_as_onnxruntime(model, {"x": x}, 0.005)


def test_no_axes_can_mean_none(tmp_path: Path) -> None:
    body = "y = ReduceSum<noop_with_empty_axes = 1>(x)"
    assert_accurate(compiled(tmp_path, X + "(float[2,3,4] y)", body, opset=13))


def test_log_of_a_sum(tmp_path: Path) -> None:
    body = "e = Exp(x) y = ReduceLogSum<axes = [1]>(e)"
    assert_accurate(compiled(tmp_path, X + "(float[2,1,4] y)", body, opset=13))


def test_what_they_cost(tmp_path: Path) -> None:
    """A root of a sum of squares is a table, and a matrix that the root's table joins."""
    made = compiled(tmp_path, X + "(float[2,3,1] y)", "y = ReduceL2<axes = [2]>(x)")
    assert [type(block) for block in made.builder.blocks[1:]] == [Lookup, Convolution]
    made = compiled(tmp_path, X + "(float[2,3,1] y)", "r = Relu(x) y = ReduceMax<axes = [2]>(r)")
    assert [type(block) for block in made.builder.blocks[1:]] == [Maximum]


def test_computed_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"depends on values|its axes must be a constant"):
        compiled(tmp_path, "float[2,3] x, int64[1] a) => (float[N,M] y)", "y = ReduceL2(x, a)", opset=18)


@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("width", [2, 3])
def test_extremes_of_booleans_are_exact(name: str, width: int) -> None:
    """Of two candidates too, which are not halved where they can't lie far apart."""
    model = onnx_model(
        f"bool[4,{width}] x) => (bool[4] y)", f"y = {name}<keepdims = 0>(x, a)", {"a": np.array([1])}, 20
    )
    assert_as_onnxruntime(model, {"x": np.random.RandomState(0).rand(20, 4, width) < 0.5})


@pytest.mark.parametrize("attributes", ["axes = [1]", "axes = [0, 2], keepdims = 0", "axes = [-1]", "keepdims = 0"])
def test_products(attributes: str) -> None:
    """Halves meet halves; an odd one waits."""
    model = onnx_model("float[2,3,5] x) => (float y)", f"y = ReduceProd<{attributes}>(x)", None, 13)
    assert_as_onnxruntime(
        model, {"x": np.random.RandomState(0).uniform(0.7, 1.3, (20, 2, 3, 5)).astype(np.float32)}, 0.02
    )


@pytest.mark.parametrize("attributes", ["", "<exclusive = 1>", "<reverse = 1>", "<exclusive = 1, reverse = 1>"])
@pytest.mark.parametrize("axis", [0, -1])
def test_running_sums(attributes: str, axis: int) -> None:
    body = f"y = CumSum{attributes}(x, a)"
    model = onnx_model("float[3,4] x) => (float[3,4] y)", body, {"a": np.array(axis)})
    x = np.random.RandomState(0).randint(-16, 17, (20, 3, 4)) / 16
    assert_as_onnxruntime(model, {"x": x.astype(np.float32)})


@pytest.mark.parametrize("attributes", ["", "<exclusive = 1>", "<reverse = 1>", "<exclusive = 1, reverse = 1>"])
@pytest.mark.parametrize("axis", [0, -1])
def test_running_products(attributes: str, axis: int) -> None:
    """Of integers, exactly; onnx's reference evaluator is the oracle."""
    model = onnx_model("int32[3,4] x) => (int32[3,4] y)", f"y = CumProd{attributes}(x, a)", {"a": np.array(axis)}, 26)
    assert_as_onnxruntime(model, {"x": np.random.RandomState(0).randint(-3, 4, (20, 3, 4)).astype(np.int32)})


def test_running_sums_of_integers() -> None:
    model = onnx_model("int64[6] x) => (int64[6] y)", "y = CumSum(x, a)", {"a": np.array(0)})
    assert_as_onnxruntime(model, {"x": np.random.RandomState(0).randint(-9, 10, (20, 6))})
