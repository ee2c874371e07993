"""Chains of elementwise operators become one table, and nothing else joins them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.graph import Node
from plonnx.compiler.pointwise import _Finder, chains
from tests.compiler.small import assert_accurate, compiled, graph_of, operators

X = "float[2,3] x) => (float[2,3] y)"
XZ = "float[2,3] x, float[2,3] z) => (float[2,3] y)"
C = {"c": np.array(0.4), "d": np.array(2.5), "v": np.array([0.1, 0.2, 0.3])}

CHAINS: list[tuple[str, str, str]] = [
    ("s = Sigmoid(x) y = Mul(x, s)", "x", "Sigmoid Mul"),
    ("s = Softplus(x) t = Tanh(s) y = Mul(x, t)", "x", "Softplus Tanh Mul"),
    ("s = HardSigmoid(x) y = Mul(s, x)", "x", "HardSigmoid Mul"),
    ("a = Mul(x, c) e = Erf(a) b = Add(e, d) m = Mul(x, b) y = Mul(m, c)", "x", "Mul Erf Add Mul Mul"),
    ("r = Relu(x) y = Sigmoid(r)", "x", "Relu Sigmoid"),
    ("m = Mul(x, x) a = Add(m, c) s = Sqrt(a) y = Reciprocal(s)", "x", "Mul Add Sqrt Reciprocal"),
    ("p = Pow(x, d) a = Abs(p) y = Sign(a)", "x", "Pow Abs Sign"),
    ("a = Add(x, v) s = Sigmoid(a) y = Mul(a, s)", "a", "Sigmoid Mul"),
    ("a = Add(x, v) m = Mul(a, c) y = Tanh(m)", "a", "Mul Tanh"),
]


@pytest.mark.parametrize(("body", "source", "members"), CHAINS, ids=[case[0] for case in CHAINS])
def test_chains(tmp_path: Path, body: str, source: str, members: str) -> None:
    (chain,) = chains(graph_of(tmp_path, X, body, C)).values()
    assert chain.source == source
    assert [node.op for node in chain.nodes] == members.split()


def test_a_long_chain_is_looked_at_node_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 nodes that take no table, each is asked once or twice, not once for each node behind it."""
    asked = 0
    curved = _Finder._curved

    def counted(finder: _Finder, node: Node) -> bool:
        nonlocal asked
        asked += 1
        return curved(finder, node)

    monkeypatch.setattr(_Finder, "_curved", counted)
    steps = [f"a{i} = Add({f'r{i - 1}' if i else 'x'}, c) r{i} = Relu(a{i})" for i in range(100)]
    flat = graph_of(tmp_path, X, " ".join(steps) + " y = Identity(r99)", C)
    assert chains(flat) == {}
    assert 0 < asked <= 2 * len(flat.nodes)
    (chain,) = chains(graph_of(tmp_path, X, " ".join(steps) + " y = Sigmoid(r99)", C)).values()
    assert len(chain.nodes) == 201


NONE: list[tuple[str, str]] = [
    (X, "y = Sigmoid(x)"),
    (X, "a = Add(x, c) y = Relu(a)"),
    (X, "a = LeakyRelu(x) y = Add(a, c)"),
    (X, "s = Sigmoid(x) y = Mul(s, v)"),
    (XZ, "s = Sigmoid(x) y = Mul(s, z)"),
    (X, "s = Sigmoid(x) w = MatMul(s, k) y = Add(s, w)"),
    ("float[1,3] x) => (float[2,3] y)", "s = Sigmoid(x) y = Mul(s, k2)"),
]


@pytest.mark.parametrize(("signature", "body"), NONE, ids=[case[1] for case in NONE])
def test_no_chain(tmp_path: Path, signature: str, body: str) -> None:
    constants = {**C, "k": np.eye(3), "k2": np.full((2, 1), 0.5)}
    assert chains(graph_of(tmp_path, signature, body, constants)) == {}


def test_a_shared_middle_ends_a_chain(tmp_path: Path) -> None:
    """s is needed by itself: it is a table, and so is what follows."""
    made = compiled(tmp_path, XZ, "s = Sigmoid(x) e = Exp(s) a = Tanh(e) b = Mul(s, z) y = Add(a, b)")
    assert [len(chain.nodes) for chain in chains(made.graph).values()] == [2]
    assert_accurate(made)


def test_an_output_in_the_middle(tmp_path: Path) -> None:
    made = compiled(tmp_path, "float[3] x) => (float[3] s, float[3] y)", "s = Sigmoid(x) y = Tanh(s)")
    assert chains(made.graph) == {}
    assert_accurate(made)


def test_hidden_constants_join_no_table(tmp_path: Path) -> None:
    """But the exponent and the bounds say which function it is."""
    body = "p = Pow(x, d) k = Clip(p, c, d) m = Mul(k, c) y = Tanh(m)"
    graph = graph_of(tmp_path, "float[3] x) => (float[3] y)", body, {"c": np.array(0.4), "d": np.array(2.0)})
    assert [node.op for chain in chains(graph, hidden=True).values() for node in chain.nodes] == ["Pow", "Clip"]
    made = compiled(tmp_path, "float[3] x) => (float[3] y)", body, C | {"d": np.array(2.0)}, model="private")
    assert_accurate(made)


def test_the_integers_of_a_chain_are_those_of_its_function(tmp_path: Path) -> None:
    """One rounding: the composed function, half up."""
    made = compiled(tmp_path, "float[3] x) => (float[3] y)", "m = Mul(x, x) a = Add(m, c) y = Sqrt(a)", C)
    assert operators(made.graph)[-1] == "Sqrt"
    (function,) = made.builder.functions
    scales = [made.graph.tensors[name].scale for name in ("x", "y")]
    assert scales[0] is not None and scales[1] is not None
    x = np.arange(-900, 901)
    real: Any = np.sqrt(np.ldexp(x.astype(float), -scales[0]) ** 2 + np.float32(0.4))
    np.testing.assert_array_equal(function(x), np.floor(np.ldexp(real, scales[1]) + 0.5))
