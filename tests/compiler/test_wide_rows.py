"""Rows of very different sizes are normalized as precisely as equal ones, and only these cost more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import _with_scaled_rows, compile_model, quantized
from plonnx.compiler.graph import CompileError, Graph
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantized import Quantized
from tests.compiler.small import graph_of, onnx_model, operators

SIZES = np.array([1.0, 3.0, 30.0])[:, None]
ONES = {"s": np.ones(16), "b": np.zeros(16)}
BY_HAND = (
    "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Pow(d, two) v = ReduceMean<axes = [-1]>(q) w = Add(v, e)"
    " r = Sqrt(w) y = Div(d, r)"
)
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("y = LayerNormalization(x, s, b)", 17, ONES),
    ("y = RMSNormalization<epsilon = 0.001>(x, s)", 23, ONES),
    (BY_HAND, 13, {"two": np.array(2.0), "e": np.array(1e-5)}),
    (
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes = [-1], keepdims = 0>(q)"
        " c = Mul(v, b) s = Sqrt(c) t = Unsqueeze(s, l) w = Add(t, e) y = Div(d, w)",
        13,
        {"b": np.array(16 / 15), "l": np.array([-1]), "e": np.array(1e-4)},
    ),
    (
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes = [-1]>(q) s = Sqrt(v)"
        " w = Max(s, e) y = Div(d, w)",
        13,
        {"e": np.array(0.25)},
    ),
    (
        "n = ReduceL2<axes = [-1]>(x) w = Clip(n, e) t = Expand(w, z) y = Div(x, t)",
        13,
        {"e": np.array(1e-6), "z": np.array([3, 16])},
    ),
    (
        "t = Reshape(x, p) n = InstanceNormalization(t, g, c) y = Reshape(n, o)",
        17,
        {"p": np.array([1, 3, 16]), "g": np.array([1.0, 2.0, 0.5]), "c": np.ones(3), "o": np.array([3, 16])},
    ),
]


def made_of(body: str, opset: int, constants: dict[str, Any], sizes: Any, **options: Any) -> Quantized:
    """Each sample's rows have these sizes, in an order of its own."""
    r = np.random.default_rng(8)
    x = r.normal(size=(40, 3, 16)) * r.permuted(np.broadcast_to(sizes, (40, 3, 1)), axis=1)
    used = {name: value for name, value in constants.items() if f"{name})" in body or f"{name}," in body}
    model = onnx_model("float[3,16] x) => (float y)", body, used, opset)
    return quantized(model, {"x": x}, Options(**{"table_bits": 14, **options}))


def worst(made: Quantized) -> float:
    return max(output.max_relative for output in made.report.outputs)


@pytest.mark.parametrize(("body", "opset", "constants"), CASES, ids=[case[0][:22] for case in CASES])
def test_precision_holds(body: str, opset: int, constants: dict[str, Any]) -> None:
    assert worst(made_of(body, opset, constants, SIZES)) < 0.006


@pytest.mark.parametrize(("body", "opset", "constants"), CASES, ids=[case[0][:22] for case in CASES])
def test_equal_rows_stay_as_they_are(body: str, opset: int, constants: dict[str, Any]) -> None:
    plain, scaled = (made_of(body, opset, constants, sizes) for sizes in (1.0, SIZES))
    assert "Abs" not in operators(plain.graph)
    assert "Abs" in operators(scaled.graph)
    units = [sum(block.count * block.stride for block in made.builder.blocks) for made in (plain, scaled)]
    assert units[1] - units[0] <= 3 * 48 + 12 * 3  # per element, and per row
    assert worst(plain) < 0.002


def test_private_models_are_not_measured() -> None:
    made = made_of(*CASES[0], SIZES**0.8, model="private", table_bits=16, weight_bits=30, bias_bits=40)
    assert "Abs" not in operators(made.graph)


@pytest.mark.parametrize(
    "body",
    [
        "q = Mul(x, x) v = ReduceMean<axes = [-1]>(q) w = Add(v, e) r = Sqrt(w) y = Mul(x, r)",
        "q = Mul(x, x) v = ReduceMean<axes = [-1]>(q) w = Add(v, e) r = Sqrt(w) i = Reciprocal(r) z = Mul(x, i)"
        " y = Add(z, i)",
    ],
)
def test_only_whole_normalizations_are_rewritten(body: str) -> None:
    assert "Abs" not in operators(made_of(body, 13, {"e": np.array(0.1)}, SIZES, table_bits=16).graph)


def test_the_circuit_agrees() -> None:
    x = np.random.default_rng(8).normal(size=(20, 2, 4)) * SIZES[1:]
    model = onnx_model("float[2,4] x) => (float y)", CASES[0][0], {"s": np.ones(4), "b": np.zeros(4)})
    circuit = compile_model(model, {"x": x}, Options(table_bits=10))
    assert circuit.mock(circuit.read_inputs({"x": x[0]})) == []


@dataclass(frozen=True)
class Tried:
    """What a search found: `rows` says whether the graph has scaled rows."""

    rows: bool
    reached: bool
    excess: float

    @property
    def report(self) -> Tried:
        return self


@pytest.mark.parametrize(
    ("plain", "scaled", "tried", "taken"),
    [
        (0.9, 0.1, 1, False),  # scales by channel suffice
        (2.0, 0.5, 2, True),
        (2.0, 4.0, 2, False),
        (None, 0.5, 2, True),  # refused as it is
        (2.0, None, 2, False),
    ],
)
def test_channels_are_scaled_as_rows_where_nothing_else_suffices(
    plain: float | None, scaled: float | None, tried: int, taken: bool, tmp_path: Path
) -> None:
    body, opset, constants = CASES[-1]
    graph = graph_of(tmp_path, "float[3,16] x) => (float y)", body, constants, opset)
    graph = optimize(graph)
    x = np.random.default_rng(8).normal(size=(40, 3, 16)) * SIZES
    seen: list[bool] = []

    def search(graph: Graph) -> Any:
        seen.append(any(node.op == "Abs" for node in graph.nodes))
        excess = scaled if seen[-1] else plain
        if excess is None:
            raise CompileError("not to be had")
        return Tried(seen[-1], excess <= 1.0, excess)

    found: Any = _with_scaled_rows(graph, {"x": x}, Options(), search)
    assert seen == [False, True][:tried] and found.rows == taken


@pytest.mark.parametrize(("epsilon", "largest", "bits"), [(1e-5, 1.0, 12), (1e-12, 1.0, 12), (1e-12, 30.0, 14)])
def test_rows_of_zeros(epsilon: float, largest: float, bits: int) -> None:
    """A row without any spread stays zeros, however small epsilon is: beside it, others keep their precision."""
    sizes = np.array([largest, 1.0, 0.0])[:, None]
    made = made_of(f"y = LayerNormalization<epsilon = {epsilon}>(x, s, b)", 17, ONES, sizes, table_bits=bits)
    assert "Abs" in operators(made.graph)
    assert made.report.outputs[0].max_relative < 0.004
