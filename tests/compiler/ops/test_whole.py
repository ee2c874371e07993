"""Integers with constants, and casts to integers and Booleans, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from tests.compiler.small import assert_as_onnxruntime, onnx_model

TYPES = {"int64": np.int64, "int32": np.int32, "uint8": np.uint8, "int8": np.int8}


def drawn(kind: str, low: int, high: int) -> dict[str, np.ndarray[Any, Any]]:
    """Integers of a type."""
    return {"x": np.random.RandomState(3).randint(low, high + 1, (40, 5)).astype(TYPES[kind])}


@pytest.mark.parametrize(
    ("kind", "call", "constant", "low", "high"),
    [
        ("int64", "Mod(x, c)", 7, -40, 40),
        ("int64", "Mod(x, c)", -7, -40, 40),
        ("int64", "Mod<fmod = 1>(x, c)", 7, -40, 40),
        ("int64", "Div(x, c)", 7, -40, 40),
        ("int64", "Div(x, c)", -4, -40, 40),
        ("uint8", 'BitShift<direction = "LEFT">(x, c)', 3, 0, 100),
        ("uint8", 'BitShift<direction = "RIGHT">(x, c)', 3, 0, 100),
        ("int32", "BitwiseAnd(x, c)", 11, -40, 40),
        ("int32", "BitwiseOr(c, x)", 11, -40, 40),
        ("int8", "BitwiseXor(x, c)", -11, -40, 40),
        ("int32", "BitwiseNot(x)", None, -40, 40),
        ("uint8", "BitwiseNot(x)", None, 0, 100),
    ],
)
def test_tables_of_integers(kind: str, call: str, constant: int | None, low: int, high: int) -> None:
    constants = {} if constant is None else {"c": np.array(constant, TYPES[kind])}
    assert_as_onnxruntime(
        onnx_model(f"{kind}[5] x) => ({kind}[5] y)", f"y = {call}", constants, 18), drawn(kind, low, high)
    )


@pytest.mark.parametrize("call", ["Mod(x, c)", "BitwiseXor(x, c)"])
def test_a_table_for_each_constant(call: str) -> None:
    model = onnx_model("int64[5] x) => (int64[5] y)", f"y = {call}", {"c": np.array([3, 5, 3, 7, 5])}, 18)
    made = assert_as_onnxruntime(model, drawn("int64", -40, 40))
    assert len(made.builder.functions) == 3


@pytest.mark.parametrize(("kind", "to", "number"), [("int8", "uint8", 2), ("uint8", "int8", 3)])
def test_bits_of_another_type(kind: str, to: str, number: int) -> None:
    model = onnx_model(f"{kind}[5] x) => ({to}[5] y)", f"y = BitCast<to = {number}>(x)", None, 26)
    assert_as_onnxruntime(model, drawn(kind, *((-100, 100) if kind == "int8" else (0, 250))))


def test_a_cast_like_another_tensor() -> None:
    x = {"x": np.random.RandomState(3).randint(-40, 41, (40, 5)).astype(np.float32) / 4}
    assert_as_onnxruntime(onnx_model("float[5] x) => (int32[5] y)", "y = CastLike(x, c)", {"c": np.int32([0])}), x)


def test_remainders_of_reals() -> None:
    x = {"x": np.random.RandomState(3).randint(-32, 33, (40, 5)).astype(np.float32) / 16}
    model = onnx_model("float[5] x) => (float[5] y)", "y = Mod<fmod = 1>(x, c)", {"c": np.array(0.75)})
    assert_as_onnxruntime(model, x)


@pytest.mark.parametrize(("to", "kind"), [(6, "int32"), (7, "int64"), (3, "int8"), (9, "bool")])
def test_casts_of_reals(to: int, kind: str) -> None:
    """Towards zero, from quarters; a Boolean is true unless it is zero."""
    x = {"x": np.random.RandomState(3).randint(-40, 41, (40, 5)).astype(np.float32) / 4}
    assert_as_onnxruntime(onnx_model(f"float[5] x) => ({kind}[5] y)", f"y = Cast<to = {to}>(x)"), x)


def test_a_scaled_cast_is_one_table() -> None:
    """Mul and Cast are rounded once: no product that is rounded up to an integer first."""
    x = {"x": np.random.RandomState(3).randint(-64, 65, (40, 5)).astype(np.float32) / 64}
    body = "m = Mul(x, c) y = Cast<to = 7>(m)"
    made = assert_as_onnxruntime(onnx_model("float[5] x) => (int64[5] y)", body, {"c": np.array(64.0)}), x)
    assert len(made.builder.functions) == 1


def test_a_computed_divisor_of_integers_is_refused() -> None:
    with pytest.raises(CompileError, match=r"\(Div\): the divisor of integers must be a constant"):
        quantized(onnx_model("int64[5] x, int64[5] z) => (int64[5] y)", "y = Div(x, z)"), None)


def test_nothing_is_infinite_or_not_a_number() -> None:
    x = {"x": np.random.RandomState(3).randint(-40, 41, (40, 5)).astype(np.float32) / 4}
    body = "a = IsNaN(x) b = IsInf(x) e = Or(a, b) y = Where(e, c, x)"
    assert_as_onnxruntime(onnx_model("float[5] x) => (float[5] y)", body, {"c": np.array(0.0)}), x)
