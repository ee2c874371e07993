"""Residual streams lose their means: the same function, without a mean or a difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler.graph import Graph
from plonnx.compiler.passes import optimize
from plonnx.gadgets.linear.residual import Residual
from tests.compiler.small import assert_accurate, assert_same_function, compiled, graph_of, operators

C = 8
RANDOM = np.random.default_rng(2)
CONSTANTS = {
    **{name: RANDOM.normal(size=(C, C)) for name in ("w", "u", "z")},
    **{name: 1.0 + RANDOM.normal(size=C) for name in ("g", "b", "c")},
    "position": RANDOM.normal(size=(4, C)),
    "start": RANDOM.normal(size=(1, C)),
    "first": np.array([0]),
}
NORM = "LayerNormalization<axis = -1>"
SIGNATURE = f"float[4,{C}] x) => (float y)"
FREED = {
    "a layer": f"h = MatMul(x, w) y = {NORM}(h, g, b)",
    "a layer with its bias": f"h = MatMul(x, w) i = Add(h, b) n = {NORM}(i, g, b) y = Relu(n)",
    "a stream": f"""s = MatMul(x, w) t = Add(s, position) n = {NORM}(t, g, b) m = MatMul(n, u) r = Relu(m)
        o = MatMul(r, z) p = Add(t, o) y = {NORM}(p, g, c)""",
    "a token in front": f"""s = MatMul(x, w) t = Concat<axis = 0>(start, s) n = {NORM}(t, g, b) m = MatMul(n, u)
        p = Add(t, m) q = Gather<axis = 0>(p, first) y = {NORM}(q, g, c)""",
}
KEPT = {
    "the output": f"h = MatMul(x, w) n = {NORM}(h, g, b) y = Add(h, n)",
    "its readers": f"h = MatMul(x, w) n = {NORM}(h, g, b) r = Relu(h) y = Add(r, n)",
    "a layer that others read": f"""n = {NORM}(x, g, b) h = MatMul(n, w) s = Add(n, h) r = {NORM}(s, g, c)
        y = Add(r, h)""",
    "no layer": f"n = {NORM}(x, g, b) r = Relu(n) s = Add(n, r) y = {NORM}(s, g, c)",
}
AFTER = {
    "one block": f"n = {NORM}(e, g, b) h = MatMul(n, w) s = Add(n, h) y = {NORM}(s, g, c)",
    "two blocks": f"""n = {NORM}(e, g, b) h = MatMul(n, w) i = Add(h, c) r = Relu(i) j = MatMul(r, u) k = Add(j, b)
        s = Add(k, n) o = {NORM}(s, b, c) p = MatMul(o, z) t = Add(o, p) y = {NORM}(t, g, c)""",
}


def test_a_member_times_one_number(tmp_path: Path) -> None:
    """As dynamically quantized layers are made: the number has no last axis to keep."""
    body = f"m = MatMul(x, w) k = ReduceMax<keepdims = 0>(x) h = Mul(m, k) y = {NORM}(h, g, b)"
    before = graph_of(tmp_path, SIGNATURE, body, CONSTANTS)
    assert_same_function(before, optimize(before))


def means(graph: Graph) -> int:
    """Means but those of squares."""
    squares = {node.outputs[0] for node in graph.nodes if node.op in ("Mul", "Pow")}
    return sum(node.op == "ReduceMean" and node.inputs[0] not in squares for node in graph.nodes)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("name", FREED)
def test_no_mean_is_left(name: str, hidden: bool, tmp_path: Path) -> None:
    before = graph_of(tmp_path, SIGNATURE, FREED[name], CONSTANTS)
    after = optimize(before, hidden)
    assert_same_function(before, after)
    assert means(after) == 0
    assert "Sub" not in operators(after)


@pytest.mark.parametrize("name", KEPT)
def test_what_else_is_read_keeps_its_mean(name: str, tmp_path: Path) -> None:
    before = graph_of(tmp_path, SIGNATURE, KEPT[name], CONSTANTS)
    after = optimize(before)
    assert_same_function(before, after)
    assert means(after) > 0


@pytest.mark.parametrize("name", AFTER)
def test_blocks_that_are_normalized_after_the_sum(name: str, tmp_path: Path) -> None:
    """What is added to a layer loses its mean in a layer of its own, in one equation with the other; a private model
    keeps the mean."""
    before = graph_of(tmp_path, SIGNATURE, f"e = MatMul(x, w) {AFTER[name]}", CONSTANTS)
    after, private = optimize(before), optimize(before, hidden=True)
    for made in (after, private):
        assert_same_function(before, made)
    assert means(after) == 0
    assert means(private) > 0
    model = compiled(tmp_path, SIGNATURE, f"e = MatMul(x, w) {AFTER[name]}", CONSTANTS)
    joined = [block for block in model.builder.blocks if isinstance(block, Residual)]
    assert [len(block.layers) for block in joined] == [2] * len(joined)
    assert len(joined) == AFTER[name].count(NORM) - 1
    assert_accurate(model)


def test_an_input_is_centred_where_it_joins_the_stream(tmp_path: Path) -> None:
    """Once, for all three normalizations."""
    body = f"""n = {NORM}(x, g, b) m = MatMul(n, w) s = Add(x, m) o = {NORM}(s, g, c) p = MatMul(o, u)
        t = Add(s, p) y = {NORM}(t, g, b)"""
    before = graph_of(tmp_path, SIGNATURE, body, CONSTANTS)
    after = optimize(before)
    assert_same_function(before, after)
    assert means(after) == 1


def test_embeddings_are_freed(tmp_path: Path) -> None:
    body = f"""e = Gather(w, x) s = Add(e, position) n = {NORM}(s, g, b) m = MatMul(n, u)
        t = Add(s, m) y = {NORM}(t, g, c)"""
    before = graph_of(tmp_path, "int64[4] x) => (float y)", body, CONSTANTS)
    assert means(optimize(before)) == 0


def test_its_circuit(tmp_path: Path) -> None:
    assert_accurate(compiled(tmp_path, SIGNATURE, FREED["a stream"], CONSTANTS, table_bits=14))
