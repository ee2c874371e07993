"""Products, quotients, powers and extremes of tensors against the float model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.sum import Sum
from plonnx.gadgets.product import Product
from tests.compiler.small import assert_accurate, compiled, onnx_model, saved

RANDOM = np.random.RandomState(4)
X = "float[2,3] x) => (float[2,3] y)"
XZ = "float[2,3] x, float[3] z) => (float[2,3] y)"
IMAGE = "float[2,3,4,4] x) => (float[2,3,4,4] y)"
C3 = RANDOM.randn(3)

CASES: list[tuple[str, str, dict[str, Any]]] = [
    (XZ, "y = Mul(x, z)", {}),
    (XZ, "y = Mul(z, x)", {}),
    (X, "y = Mul(x, x)", {}),
    (XZ, "r = Relu(x) y = Mul(r, z)", {}),
    (XZ, "d = Add(z, c) y = Div(x, d)", {"c": np.array(1.5)}),
    (XZ, "d = Sub(z, c) y = Div(x, d)", {"c": np.array(1.5)}),
    (X, "d = Add(x, c) y = Div(c, d)", {"c": np.array(3.0)}),
    (X, "d = Add(x, c) y = Div(x, d)", {"c": np.array(3.0)}),
    (X, "y = Pow(x, c)", {"c": np.array(2.0)}),
    (X, "y = Pow(x, c)", {"c": np.array(3.0)}),
    (X, "y = Pow(x, c)", {"c": np.array([3])}),
    (X, "y = Pow(x, c)", {"c": np.array(1.0)}),
    (X, "a = Add(x, d) y = Pow(a, c)", {"c": np.array(-1.5), "d": np.array(2.0)}),
    (XZ, "y = Max(x, z)", {}),
    (XZ, "y = Min(x, z)", {}),
    (XZ, "m = Neg(x) y = Max(x, z, m)", {}),
    (XZ, "m = Neg(x) y = Min(x, z, m)", {}),
    (XZ, "p = Relu(x) q = Relu(z) m = Neg(x) o = Relu(m) y = Max(p, q, o)", {}),
    (XZ, "p = Relu(x) q = Relu(z) m = Neg(x) o = Relu(m) y = Min(p, q, o)", {}),
    (XZ, "y = Min(x, z, c)", {"c": C3}),
    (X, "y = Max(x, c)", {"c": C3}),
    (X, "y = Max(c, x)", {"c": np.array([0.5, -1e9, 0.0])}),
    (X, "y = Max(x, c)", {"c": np.array(-0.3)}),
    (X, "y = Min(x, c)", {"c": np.array(-0.3)}),
    (X, "y = Max(x, c)", {"c": np.array(0.0)}),
    ("float[3] x) => (float[2,3] y)", "y = Max(x, c)", {"c": RANDOM.randn(2, 1)}),
    ("float[3] x) => (float[2,3] y)", "y = Max(x, c)", {"c": np.zeros((2, 1))}),
    ("float[3] x) => (float[2,3] y)", "y = Max(x, c)", {"c": np.full((2, 1), 0.1)}),
    (XZ, "y = Mean(x, z, c)", {"c": C3}),
    (IMAGE, "y = Mul(x, c)", {"c": RANDOM.randn(3, 1, 1)}),
    (IMAGE, "y = Mul(x, c)", {"c": RANDOM.randn(4)}),
    (IMAGE, "y = Mul(x, c)", {"c": RANDOM.randn(3, 1, 4)}),
    (IMAGE, "y = Mul(x, c)", {"c": RANDOM.randn(2, 3, 4, 4)}),
    ("float[1,3] x) => (float[1,3] y)", "y = Mul(x, c)", {"c": C3}),
]
IDS = [f"{case[1]} {case[0]}" for case in CASES]


@pytest.mark.parametrize(("signature", "body", "constants"), CASES, ids=IDS)
def test_elementwise(tmp_path: Path, signature: str, body: str, constants: dict[str, Any]) -> None:
    assert_accurate(compiled(tmp_path, signature, body, constants, 13))


@pytest.mark.parametrize(("signature", "body", "constants"), CASES, ids=IDS)
def test_private_models(tmp_path: Path, signature: str, body: str, constants: dict[str, Any]) -> None:
    assert_accurate(compiled(tmp_path, signature, body, constants, 13, model="private", weight_bits=24))


def _blocks(tmp_path: Path, signature: str, body: str, constants: dict[str, Any] | None = None) -> list[type]:
    return [type(block) for block in compiled(tmp_path, signature, body, constants).builder.blocks if block.name != "x"]


def test_what_they_are_made_of(tmp_path: Path) -> None:
    assert _blocks(tmp_path, "float[3] x, float[3] x2) => (float[3] y)", "y = Mul(x, x2)")[1:] == [Product]
    assert _blocks(tmp_path, X, "y = Mul(x, x)") == [Lookup]
    assert _blocks(tmp_path, X, "y = Max(x, c)", {"c": np.array(0.0)}) == []
    assert _blocks(tmp_path, X, "y = Max(x, c)", {"c": C3}) == [Sum, Sum]
    assert _blocks(tmp_path, IMAGE, "y = Mul(x, c)", {"c": RANDOM.randn(3, 1, 1)}) == [Convolution]
    assert _blocks(tmp_path, IMAGE, "y = Mul(x, c)", {"c": np.full((3, 1, 1), 0.3)}) == [Sum]


def test_products_without_a_margin(tmp_path: Path) -> None:
    """The output's own scale can be coarser than a product over T: an operand is rescaled first."""
    path = saved(tmp_path, onnx_model("float[1] x, float[1] z) => (float[1] y)", "y = Mul(x, z)"))
    for reach in (0.71, 0.72, 1.0, 1.2, 1.41, 1.42):
        data = {"x": np.linspace(-reach, reach, 32)[:, None], "z": np.linspace(reach, -reach, 32)[:, None]}
        made = quantized(path, data, Options(margin=1.0, table_bits=10))
        assert made.report.outputs[0].max_relative < 0.005


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    (X, "y = Div(x, c)", {"c": np.array([1.0, 0.0, 3.0])}, "zero|infinite"),
]


@pytest.mark.parametrize(("signature", "body", "constants", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_refused(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, signature, body, constants)
