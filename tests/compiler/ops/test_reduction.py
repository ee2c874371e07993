"""Reductions against the float model: axes as an attribute or as an input, one or all, kept or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler.graph import CompileError
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.maximum import Maximum
from tests.compiler.small import assert_accurate, compiled

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
