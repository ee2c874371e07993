"""The rewrites around convolutions and pools: the nodes and units that they leave, and the same function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.graph import Graph
from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.affine_to_convolution import affine_to_convolution
from plonnx.compiler.passes.consecutive_layers import consecutive_layers
from plonnx.compiler.passes.expand import expand
from plonnx.compiler.passes.fold_into_convolution import fold_into_convolution
from plonnx.compiler.passes.fold_padding import fold_padding
from plonnx.compiler.passes.fold_through_concat import fold_through_concat
from plonnx.compiler.passes.fold_through_flatten import fold_through_flatten
from plonnx.compiler.passes.relu_before_max_pool import relu_before_max_pool
from tests.compiler.small import assert_accurate, assert_same_function, compiled, graph_of, operators

RANDOM = np.random.RandomState(0)
W = RANDOM.randn(4, 3, 3, 3)
C4, C3 = RANDOM.randn(4, 1, 1), RANDOM.randn(1, 3, 1, 1)
NORM = {"s": RANDOM.randn(4), "b": RANDOM.randn(4), "m": RANDOM.randn(4), "v": RANDOM.rand(4) + 0.5}
X = "float[1,3,5,4] x) => (float[A,B,C,D] y)"
G = "float[1,4,5,4] x) => (float[A,B,C,D] y)"

CASES: list[tuple[str, Callable[[Graph], Graph], str, str, dict[str, Any], list[str]]] = [
    ("scale after", fold_into_convolution, X, "a = Conv(x, w) y = Mul(a, c)", {"w": W, "c": C4}, ["Conv"] * 2),
    ("shift after", fold_into_convolution, X, "a = Conv(x, w) y = Add(a, c)", {"w": W, "c": C4}, ["Conv"] * 2),
    ("one scalar", fold_into_convolution, X, "a = Conv(x, w) y = Add(a, c)", {"w": W, "c": 0.5}, ["Conv"] * 2),
    (
        "scale before",
        fold_into_convolution,
        X,
        "a = Mul(x, c) y = Conv<pads = [1, 1, 1, 1]>(a, w)",
        {"w": W, "c": C3},
        ["Mul", "Conv"],
    ),
    ("shift before", fold_into_convolution, X, "a = Add(x, c) y = Conv(a, w)", {"w": W, "c": C3}, ["Add", "Conv"]),
    (
        "shift before padding stays",
        fold_into_convolution,
        X,
        'a = Add(x, c) y = Conv<auto_pad = "SAME_UPPER">(a, w)',
        {"w": W, "c": C3},
        ["Add", "Conv"],
    ),
    (
        "groups",
        fold_into_convolution,
        G,
        "a = Mul(x, c) b = Conv<group = 2>(a, w) y = Mul(b, c)",
        {"w": RANDOM.randn(4, 2, 3, 3), "c": C4},
        ["Mul", "Conv", "Conv"],
    ),
    (
        "transposed groups",
        fold_into_convolution,
        G,
        "a = Mul(x, c) t = ConvTranspose<group = 2, strides = [2, 1]>(a, w) m = Mul(t, d) y = Add(m, e)",
        {"w": RANDOM.randn(4, 3, 3, 3), "c": C4, "d": RANDOM.randn(6, 1, 1), "e": RANDOM.randn(6, 1, 1)},
        ["Mul", "ConvTranspose", "ConvTranspose", "ConvTranspose"],
    ),
    (
        "by position stays",
        fold_into_convolution,
        X,
        "a = Conv(x, w) y = Add(a, c)",
        {"w": W, "c": RANDOM.randn(3, 2)},
        ["Conv", "Add"],
    ),
    (
        "batch normalization",
        expand,
        "float[1,4,5,4] x) => (float[1,4,5,4] y)",
        "y = BatchNormalization<epsilon = 0.01>(x, s, b, m, v)",
        NORM,
        ["Mul", "Add"],
    ),
    (
        "padding",
        fold_padding,
        X,
        "a = Pad(x, p, z) y = Conv<pads = [0, 1, 0, 0], strides = [2, 1]>(a, w)",
        {"w": W, "p": np.array([0, 0, 1, 2, 0, 0, 3, 0]), "z": 0.0},
        ["Pad", "Conv"],
    ),
    (
        "padding of a valid one",
        fold_padding,
        X,
        'a = Pad(x, p) y = Conv<auto_pad = "VALID">(a, w)',
        {"w": W, "p": np.array([0, 0, 0, 1, 0, 0, 0, 2])},
        ["Pad", "Conv"],
    ),
    (
        "padding with ones stays",
        fold_padding,
        X,
        "a = Pad(x, p, z) y = Conv(a, w)",
        {"w": W, "p": np.array([0, 0, 1, 2, 0, 0, 3, 0]), "z": 1.0},
        ["Pad", "Conv"],
    ),
    (
        "columns before a Concat",
        fold_through_concat,
        "float[2,3] x, float[2,2] u) => (float[2,2] y)",
        "a = Mul(x, c) r = Relu(u) d = Add(u, e) j = Concat<axis = 1>(a, r, d) y = Gemm(j, w, b)",
        {"c": np.array([2.0, -1.0, 0.5]), "e": np.array([[0.3, 0.1]]), "w": np.ones((7, 2)), "b": np.ones(2)},
        ["Mul", "Relu", "Add", "Concat", "Concat", "Gemm"],
    ),
    (
        "scale before flatten",
        fold_through_flatten,
        "float[2,4,3] x) => (float[2,2] y)",
        "a = Mul(x, c) f = Flatten(a) y = Gemm(f, w, b)",
        {"w": RANDOM.randn(12, 2), "b": RANDOM.randn(2), "c": RANDOM.randn(4, 1)},
        ["Mul", "Flatten", "Flatten", "Gemm"],
    ),
    (
        "shift before flatten",
        fold_through_flatten,
        "float[2,4,3] x) => (float[2,2] y)",
        "a = Add(x, c) f = Reshape(a, s) y = Gemm(f, w)",
        {"w": RANDOM.randn(12, 2), "c": RANDOM.randn(1, 4, 1), "s": np.array([2, 12])},
        ["Add", "Reshape", "Reshape", "Gemm"],
    ),
    (
        "another row each stays",
        fold_through_flatten,
        "float[2,4,3] x) => (float[2,2] y)",
        "a = Add(x, c) f = Flatten(a) y = Gemm(f, w)",
        {"w": RANDOM.randn(12, 2), "c": RANDOM.randn(2, 1, 1)},
        ["Add", "Flatten", "Gemm"],
    ),
    (
        "scale and shift",
        affine_to_convolution,
        "float[2,4,3] x) => (float[2,4,3] y)",
        "a = Mul(x, c) y = Add(a, d)",
        {"c": RANDOM.randn(4, 1), "d": RANDOM.randn(1, 4, 1)},
        ["Mul", "Conv"],
    ),
    (
        "relu and max pool",
        relu_before_max_pool,
        X,
        "a = MaxPool<kernel_shape = [2, 2], pads = [1, 0, 0, 1]>(x) y = Relu(a)",
        {},
        ["MaxPool", "Relu", "MaxPool"],
    ),
    (
        "gemms",
        consecutive_layers,
        "float[2,4] x) => (float[2,3] y)",
        "a = Gemm(x, w, b) y = Gemm(a, v)",
        {"w": RANDOM.randn(4, 5), "b": RANDOM.randn(5), "v": RANDOM.randn(5, 3)},
        ["Gemm", "Gemm"],
    ),
    (
        "a bottleneck stays",
        consecutive_layers,
        "float[2,8] x) => (float[2,8] y)",
        "a = Gemm(x, w) y = Gemm(a, v)",
        {"w": RANDOM.randn(8, 2), "v": RANDOM.randn(2, 8)},
        ["Gemm", "Gemm"],
    ),
    (
        "pointwise after",
        consecutive_layers,
        X,
        "a = Conv<strides = [2, 1], pads = [1, 1, 1, 1]>(x, w, b) y = Conv(a, v, c)",
        {"w": W, "b": RANDOM.randn(4), "v": RANDOM.randn(2, 4, 1, 1), "c": RANDOM.randn(2)},
        ["Conv", "Conv"],
    ),
]


@pytest.mark.parametrize(
    ("change", "signature", "body", "constants", "left"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rewrite(
    tmp_path: Path,
    change: Callable[[Graph], Graph],
    signature: str,
    body: str,
    constants: dict[str, Any],
    left: list[str],
) -> None:
    before = graph_of(tmp_path, signature, body, constants)
    after = change(before)
    assert operators(after) == left
    assert_same_function(before, after)
    assert_same_function(before, optimize(before))
    assert_same_function(before, optimize(before, hidden=True))


TOGETHER: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        X,
        "a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) p = MaxPool<kernel_shape = [2, 2]>(n) y = Relu(p)",
        {"w": W, **NORM},
        ["Conv", "Relu", "MaxPool"],
    ),
    (
        "float[2,3] x) => (float[2,4] y)",
        "a = Gemm(x, w) y = BatchNormalization(a, s, b, m, v)",
        {"w": RANDOM.randn(3, 4), **NORM},
        ["Gemm"],
    ),
    (
        "float[2,4] x) => (float[2,3] y)",
        "a = BatchNormalization(x, s, b, m, v) y = Gemm(a, w)",
        {"w": RANDOM.randn(4, 3), **NORM},
        ["Gemm"],
    ),
    (
        G,
        "n = BatchNormalization(x, s, b, m, v) a = Conv(n, w) c = ConvTranspose(a, u) y = Div(c, k)",
        {"w": RANDOM.randn(3, 4, 2, 2), "u": RANDOM.randn(3, 2, 2, 2), "k": np.array(255.0), **NORM},
        ["Conv", "ConvTranspose"],
    ),
    (
        "float[1,4,3,3] x) => (float[A,B] y)",
        "r = Relu(x) n = BatchNormalization(r, s, b, m, v) f = Flatten(n) y = Gemm(f, w)",
        {"w": RANDOM.randn(36, 2), **NORM},
        ["Relu", "Flatten", "Gemm"],
    ),
    (
        G,
        "r = Relu(x) n = BatchNormalization(r, s, b, m, v) y = Conv<pads = [1, 1, 1, 1]>(n, w)",
        {"w": RANDOM.randn(2, 4, 3, 3), **NORM},
        ["Relu", "Conv", "Conv"],
    ),
    (
        "float[1,4,5] x) => (float[A,B,C] y)",
        "a = Conv(x, w, c) p = Conv(a, u) d = Conv(p, t) n = BatchNormalization(d, s, b, m, v) y = Relu(n)",
        {"w": RANDOM.randn(4, 4, 2), "c": NORM["b"], "u": RANDOM.randn(4, 4, 1), "t": RANDOM.randn(4, 4, 1), **NORM},
        ["Conv", "Relu"],
    ),
]


@pytest.mark.parametrize(("signature", "body", "constants", "left"), TOGETHER, ids=[case[1] for case in TOGETHER])
def test_together(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], left: list[str]) -> None:
    before = graph_of(tmp_path, signature, body, constants)
    after = optimize(before)
    assert operators(after) == left
    assert operators(optimize(before, hidden=True)) == left
    assert_same_function(before, after)


def test_folding_saves_units(tmp_path: Path) -> None:
    """The normalization and the rescaling for the maximum cost nothing: units of the input, the Conv and the pool."""
    body = "a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) p = MaxPool<kernel_shape = [2, 2]>(n) y = Relu(p)"
    made = compiled(tmp_path, X, body, {"w": W, **NORM})
    assert made.builder.unit_count == 60 + 4 * 3 * 2 + 4 * 2 * 1
    assert_accurate(made)


def test_a_normalization_by_computed_statistics(tmp_path: Path) -> None:
    """As tf2onnx writes Keras's LayerNormalization: the rows are the channels."""
    body = "m = ReduceMean<axes = [0, 2]>(x) d = Sub(x, m) q = Mul(d, d) w = ReduceMean<axes = [0, 2], keepdims = 0>(q)"
    body += " n = Reshape(m, flat) y = BatchNormalization(x, s, b, n, w)"
    constants = {"s": np.array([1.5, -0.5]), "b": np.array([0.25, 1.0]), "flat": np.array([2])}
    made = compiled(tmp_path, "float[1,2,5] x) => (float[1,2,5] y)", body, constants, table_bits=13)
    assert_accurate(made)


def test_an_unfolded_normalization_is_one_tensor(tmp_path: Path) -> None:
    body = "r = Relu(x) y = BatchNormalization(r, s, b, m, v)"
    made = compiled(tmp_path, "float[2,4,3] x) => (float[2,4,3] y)", body, NORM)
    assert made.builder.unit_count == 24 + 24
    assert_accurate(made)
    assert_accurate(compiled(tmp_path, "float[2,4,3] x) => (float[2,4,3] y)", body, NORM, opset=9))


@pytest.mark.parametrize(
    ("outputs", "body", "message"),
    [
        (
            "float[1,4] y, float[4] n, float[4] o",
            "y, n, o = BatchNormalization<training_mode = 1>(x, s, b, m, v)",
            "in training mode",
        ),
    ],
)
def test_refused(tmp_path: Path, outputs: str, body: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compiled(tmp_path, f"float[1,4] x, float[4] z) => ({outputs})", body, NORM)
