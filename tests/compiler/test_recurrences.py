"""Steps of one recurrence, and the function that all of them go through (compiler/recurrences.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.gadgets.function import Function, Lookup
from plonnx.gadgets.linear.convolution import Convolution
from tests.compiler.small import assert_as_onnxruntime, onnx_model

STEPS = 4
CONSTANTS = {"w": np.random.RandomState(1).uniform(-0.7, 0.7, (5, 3)), "b": np.full(3, 0.1)}
CHAINS = {
    "a table": "s{t} = Tanh(a{t}) g{t} = Add(s{t}, h{t})",
    "a chain": "s{t} = Softplus(a{t}) u{t} = Tanh(s{t}) m{t} = Mul(a{t}, u{t}) g{t} = Add(m{t}, h{t})",
}


def recurrent(function: str, more: str = "", outputs: str = "") -> tuple[Any, dict[str, Any]]:
    """h_t = f([x_t, h_{t-1}] w + b), of rows of two numbers."""
    body = [f"{', '.join(f'x{t}' for t in range(STEPS))} = Split<axis = 0>(x) h0 = Identity(h)"]
    for t in range(STEPS):
        body += [f"c{t} = Concat<axis = 1>(x{t}, h{t}) a{t} = Gemm(c{t}, w, b)", function.format(t=t)]
        body.append(f"h{t + 1} = Identity(g{t})")
    body.append(f"y = Identity(h{STEPS}) {more}")
    model = onnx_model(f"float[{STEPS},2] x, float[1,3] h) => (float[1,3] y{outputs})", " ".join(body), CONSTANTS)
    draw = np.random.RandomState(0).uniform
    return model, {"x": draw(-1, 1, (20, STEPS, 2)), "h": draw(-1, 1, (20, 1, 3))}


def blocks(model: Any, samples: dict[str, Any]) -> tuple[list[Convolution], list[Lookup]]:
    made = quantized(model, samples, Options(table_bits=12)).builder.blocks
    return [b for b in made if isinstance(b, Convolution)], [b for b in made if isinstance(b, Lookup)]


@pytest.mark.parametrize("function", CHAINS.values(), ids=CHAINS)
def test_a_function_of_all_steps_is_in_their_units(function: str) -> None:
    model, samples = recurrent(function)
    layers, lookups = blocks(model, samples)
    assert max(layer.steps or 0 for layer in layers) >= STEPS - 1  # the first state may have another scale
    assert all(isinstance(layer.function, Function) for layer in layers) and not lookups
    assert_as_onnxruntime(model, samples, 0.005)


@pytest.mark.parametrize(
    ("more", "outputs"),
    [
        ("z = Identity(a2)", ", float[1,3] z"),  # a sum is shown
        ("z = Neg(a3)", ", float[1,3] z"),  # and read
        ("d = Concat<axis = 1>(x1, h1) e = Gemm(d, w, b) z = Sigmoid(e)", ", float[1,3] z"),  # one goes through another
    ],
)
def test_steps_of_which_another_is_asked_keep_their_sums(more: str, outputs: str) -> None:
    model, samples = recurrent(CHAINS["a table"], more, outputs)
    layers, lookups = blocks(model, samples)
    assert [layer.function for layer in layers if layer.steps] == [None] and len(lookups) >= STEPS - 1
    assert_as_onnxruntime(model, samples, 0.005)


def test_steps_side_by_side() -> None:
    """Both are made before either function: they are read where they stand, or have the function; the same numbers."""
    body = "a = Gemm(p, w, b) e = Gemm(q, w, b) g = Sigmoid(a) k = Sigmoid(e) y = Add(g, k)"
    model = onnx_model("float[1,5] p, float[1,5] q) => (float[1,3] y)", body, CONSTANTS)
    draw = np.random.RandomState(0).uniform
    assert_as_onnxruntime(model, {"p": draw(-1, 1, (20, 1, 5)), "q": draw(-2, 2, (20, 1, 5))}, 0.005)
