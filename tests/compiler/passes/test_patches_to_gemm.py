"""Convolutions of patches that become tokens: a Gemm over them, of the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.graph import Graph
from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.patches_to_gemm import patches_to_gemm
from tests.compiler.small import assert_same_function, compiled, graph_of, operators

RANDOM = np.random.RandomState(0)
X = "float[1,3,4,6] x) => (float y)"
CONSTANTS: dict[str, Any] = {
    "w": RANDOM.randn(5, 3, 2, 3),
    "b": RANDOM.randn(5),
    "s": np.array([1, 5, -1]),
    "flat": np.array([1, 5, 4]),
    "split": np.array([1, 5, 2, 2, 1]),
    "c": RANDOM.randn(1, 3, 1, 1),
    "each": RANDOM.randn(1, 3, 4, 6),
    "v": RANDOM.randn(5, 1, 2, 3),
    "one": RANDOM.randn(5, 3, 1, 1),
    "line": RANDOM.randn(5, 4, 2),
    "long": np.array([1, 4, 18]),
    "grid": np.array([2, 3, 2, 3]),
    "half": np.array([1, 10, 2]),
}
CONV = "p = Conv<strides = [2, 3]>(x, w, b)"
TOKENS = "t = Reshape(p, s) y = Transpose<perm = [0, 2, 1]>(t)"
GEMM = ["Reshape", "Transpose", "Reshape", "Gemm", "Reshape"]
MADE = {
    "tokens": f"{CONV} {TOKENS}",
    "without a bias": f"p = Conv<strides = [2, 3]>(x, w) {TOKENS}",
    "two reshapes": f"{CONV} f = Reshape(p, flat) t = Reshape(f, s) y = Transpose<perm = [0, 2, 1]>(t)",
    "channels last": f"{CONV} y = Transpose<perm = [0, 2, 3, 1]>(p)",
    "another grid": f"{CONV} t = Reshape(p, split) y = Transpose<perm = [0, 2, 3, 4, 1]>(t)",
    "of several samples": (
        "q = Reshape(x, grid) p = Conv<strides = [2, 3]>(q, u, b) y = Transpose<perm = [0, 2, 3, 1]>(p)"
    ),
    "one axis": "q = Reshape(x, long) p = Conv<strides = [2]>(q, line, b) y = Transpose<perm = [0, 2, 1]>(p)",
    "valid by name": f'p = Conv<strides = [2, 3], auto_pad = "VALID">(x, w, b) {TOKENS}',
}
LEFT = {
    "a stride that is shorter": f"p = Conv<strides = [2, 1]>(x, w, b) {TOKENS}",
    "padding": f"p = Conv<strides = [2, 3], pads = [2, 0, 0, 0]>(x, w, b) {TOKENS}",
    "what is cut off": f"p = Conv<strides = [3, 3]>(x, w, b) {TOKENS}",
    "dilation": f"p = Conv<strides = [2, 3], dilations = [2, 1]>(x, w, b) {TOKENS}",
    "a single cell": f"p = Conv(x, one, b) {TOKENS}",
    "another reader": f"{CONV} t = Reshape(p, s) z = Transpose<perm = [0, 2, 1]>(t) r = ReduceSum(p) y = Add(z, r)",
    "another order": f"{CONV} y = Transpose<perm = [0, 3, 2, 1]>(p)",
    "channels that are joined": f"{CONV} t = Reshape(p, half) y = Transpose<perm = [0, 2, 1]>(t)",
    "channels that stay": f"{CONV} y = Transpose<perm = [0, 1, 3, 2]>(p)",
    "what will be folded": f"m = Mul(x, c) p = Conv<strides = [2, 3]>(m, w, b) {TOKENS}",
}
CONSTANTS["u"] = RANDOM.randn(5, 3, 2, 3)


def graph(folder: Path, body: str) -> Graph:
    """What a body needs of the constants."""
    shape = X if "grid" not in body else X.replace("4,6", "4,3")
    return graph_of(folder, shape, body, {n: v for n, v in CONSTANTS.items() if f" {n}" in body or f"({n}" in body})


@pytest.mark.parametrize("name", MADE)
def test_patches_are_rows(tmp_path: Path, name: str) -> None:
    before = graph(tmp_path, MADE[name])
    after = patches_to_gemm(before)
    assert "Gemm" in operators(after)
    assert_same_function(before, after)
    left = [op for op in operators(optimize(before)) if op != "Reshape"]
    assert left == ["Transpose", "Gemm"]
    assert_same_function(before, optimize(before))


@pytest.mark.parametrize("name", LEFT)
def test_others_stay(tmp_path: Path, name: str) -> None:
    before = graph(tmp_path, LEFT[name])
    assert operators(patches_to_gemm(before)) == operators(before)


def test_what_is_before_is_folded_first(tmp_path: Path) -> None:
    body = f"m = Mul(x, c) a = Add(m, c) p = Conv<strides = [2, 3]>(a, w, b) {TOKENS}"
    before = graph(tmp_path, body)
    after = optimize(before)
    assert operators(after) == GEMM
    assert_same_function(before, after)
    each = graph(tmp_path, f"m = Mul(x, each) p = Conv<strides = [2, 3]>(m, w, b) {TOKENS}")
    assert operators(optimize(each)) == ["Mul", *GEMM]


def test_weights_of_a_private_model_stay_secrets(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "private", "weight_bits": 20, "bias_bits": 40}
    used = {name: CONSTANTS[name] for name in ("w", "b", "s")}
    made = compiled(tmp_path, X, f"{CONV} {TOKENS}", used, **options)
    (layer,) = made.builder.blocks[1:]
    assert layer.kind == "convolution" and layer.secrets == CONSTANTS["w"].size + 5
