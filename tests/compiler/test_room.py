"""What is joined with something larger is made at its scale, and not rescaled; factors leave room for their product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.room import with_room
from plonnx.gadgets.linear.sum import Sum
from tests.compiler.small import assert_accurate, compiled, graph_of

MATRIX = {"w": np.eye(4) + 0.25}
LOW = {"low": np.full((1, 4), -60.0)}


def sums(made: Any) -> int:
    """Units of sums with an operand, which rescale or add."""
    return sum(block.count for block in made.builder.blocks if isinstance(block, Sum) and len(block.terms))


@pytest.mark.parametrize(
    "body",
    [
        "m = MatMul(x, w) y = Concat<axis = 0>(m, low)",
        "m = MatMul(x, w) q = Mul(m, quarter) t = Transpose(q) u = Transpose(t) y = Concat<axis = 0>(low, u)",
        "m = MatMul(x, w) e = Exp(m) y = Concat<axis = 0>(e, low)",
        "m = MatMul(x, w) l = Mul(x, many) n = MatMul(l, w) y = Concat<axis = 0>(m, n)",
    ],
)
def test_a_part_is_made_as_coarse_as_the_whole(tmp_path: Path, body: str) -> None:
    constants = {**MATRIX, **LOW, "quarter": np.array(0.25), "many": np.array(300.0)}
    used = {name: value for name, value in constants.items() if name in body}
    made = compiled(tmp_path, "float[2,4] x) => (float y)", body, used)
    assert sums(made) == 0
    assert_accurate(made)


def test_what_has_other_readers_and_inputs_keep_their_scale(tmp_path: Path) -> None:
    body = "m = MatMul(x, w) c = Concat<axis = 0>(m, low) r = Relu(m) s = ReduceSum(r) y = Mul(c, s)"
    made = compiled(tmp_path, "float[2,4] x) => (float y)", body, {**MATRIX, **LOW})
    assert sums(made) == 8
    made = compiled(tmp_path, "float[2,4] x) => (float y)", "y = Concat<axis = 0>(x, low)", LOW)
    assert sums(made) == 8


def test_factors_leave_room(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "float[2,4] x) => (float y)", "a = Exp(x) t = Transpose(a) b = Relu(x) y = MatMul(b, t)")
    limits = {"x": 1.0, "a": 4.0, "t": 4.0, "b": 1.0, "y": 63.0}
    raised = with_room(graph, limits)
    assert raised == {**limits, "a": 8.0, "t": 8.0, "b": 2.0}  # 63 needs 6 bits, 4 and 1 have 3 and 1


def test_inputs_of_one_product_leave_room(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "float[4,4] x, float[4,4] z) => (float[4,4] y)", "y = MatMul(x, z)")
    assert with_room(graph, {"x": 1.5, "z": 1.0, "y": 31.0}) == {"x": 6.0, "z": 2.0, "y": 31.0}
    read_again = graph_of(
        tmp_path, "float[4,4] x, float[4,4] z) => (float[4,4] y, float[4,4] r)", "y = MatMul(x, z) r = Relu(x)"
    )
    assert with_room(read_again, {"x": 1.5, "z": 1.0, "y": 31.0, "r": 1.5}) == {"x": 1.5, "z": 2.0, "y": 31.0, "r": 1.5}


def test_a_factor_that_nobody_else_reads_is_as_coarse_as_the_product(tmp_path: Path) -> None:
    """What it would be rescaled to. The first that can be; not an input, not what is read or shown elsewhere."""
    signature = "float[4] x, float[4] z) => (float[4] y"
    graph = graph_of(tmp_path, f"{signature})", "a = Exp(x) b = Tanh(z) y = Mul(a, b)")
    limits = {"x": 1.0, "z": 1.0, "a": 0.9, "b": 0.9, "y": 0.7}
    assert with_room(graph, limits) == limits
    assert with_room(graph, {**limits, "y": 3.5}) == {**limits, "a": 3.6, "y": 3.5}
    assert with_room(graph, {**limits, "y": 1.9999}, table_bits=20)["a"] == 1.8
    assert with_room(graph, {**limits, "y": 1.9999}, table_bits=12)["a"] == 3.6  # 2^12 - 1 is no room for it
    read_again = graph_of(tmp_path, f"{signature}, float[4] r)", "a = Exp(x) b = Tanh(z) y = Mul(a, b) r = Neg(a)")
    assert with_room(read_again, {**limits, "y": 3.5, "r": 1.0}) == {**limits, "b": 3.6, "y": 3.5, "r": 1.0}
    given = graph_of(tmp_path, f"{signature})", "y = Mul(x, z)")
    assert with_room(given, {"x": 0.9, "z": 0.9, "y": 3.5}) == {"x": 0.9, "z": 0.9, "y": 3.5}


def test_steps_of_a_recurrence_keep_their_scale(tmp_path: Path) -> None:
    body = "p = Gemm(x, w) q = Gemm(z, w) a = Tanh(p) b = Sigmoid(q) y = Mul(a, b)"
    graph = graph_of(tmp_path, "float[1,4] x, float[1,4] z) => (float[1,3] y)", body, {"w": np.ones((4, 3))})
    limits = {**dict.fromkeys(graph.tensors, 0.9), "y": 3.5}
    assert with_room(graph, limits) == limits
    other = graph_of(
        tmp_path,
        "float[1,4] x) => (float[1,3] y)",
        "p = Gemm(x, w) a = Tanh(p) b = Exp(p) y = Mul(a, b)",
        {"w": np.ones((4, 3))},
    )
    assert with_room(other, {**dict.fromkeys(other.tensors, 0.9), "y": 3.5})["a"] == 3.6


def test_a_branch_far_larger_than_what_is_chosen(tmp_path: Path) -> None:
    """It is held at the result's scale, chosen or not; a Where inside a table sees what is chosen alone."""
    body = "m = MatMul(x, w) e = Mul(m, many) g = Greater(x, big) y = Where(g, e, x)"
    constants = {**MATRIX, "many": np.array(30.0), "big": np.array(3.0)}
    made = compiled(tmp_path, "float[2,4] x) => (float[2,4] y)", body, constants, table_bits=15)
    assert_accurate(made)
    body, constants = "e = Exp(x) d = Mul(e, many) g = Greater(x, big) y = Where(g, d, x)", {"many": np.array(1e3)}
    made = compiled(tmp_path, "float[2,4] x) => (float[2,4] y)", body, {**constants, "big": np.array(3.0)})
    assert made.graph.tensors["y"].scale == 10
    assert_accurate(made)
