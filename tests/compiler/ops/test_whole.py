"""Integers with constants, and casts to integers and Booleans, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.gadgets import OutOfRange
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model

TYPES: dict[str, Any] = {"int64": np.int64, "int32": np.int32, "uint8": np.uint8, "int8": np.int8}


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


Binary = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
OF_TWO: dict[str, tuple[str, Binary]] = {
    "Div": ("Div(x, z)", lambda x, z: np.trunc(x / z)),
    "Mod": ("Mod(x, z)", np.mod),
    "fmod": ("Mod<fmod = 1>(x, z)", np.fmod),
    "And": ("BitwiseAnd(x, z)", np.bitwise_and),
    "Or": ("BitwiseOr(x, z)", np.bitwise_or),
    "Xor": ("BitwiseXor(x, z)", np.bitwise_xor),
}


@settings(max_examples=12, deadline=None)
@given(
    op=st.sampled_from(sorted(OF_TWO)),
    kind=st.sampled_from(sorted(TYPES)),
    reach=st.sampled_from([3, 120, 2000]),
    seed=st.integers(0, 99),
)
def test_two_computed_integers(op: str, kind: str, reach: int, seed: int) -> None:
    """Exactly what numpy makes of them, broadcast."""
    random, dtype = np.random.RandomState(seed), TYPES[kind]
    reach = min(reach, 120) if np.dtype(dtype).itemsize == 1 else reach
    low = 0 if kind.startswith("u") else -reach
    x, z = (random.randint(low, reach + 1, (30, *shape)).astype(dtype) for shape in ((2, 5), (5,)))
    if op in ("Div", "Mod", "fmod"):
        z = np.where(z == 0, 1, z).astype(dtype)
    call, expected = OF_TWO[op]
    model = onnx_model(f"{kind}[2,5] x, {kind}[5] z) => ({kind}[2,5] y)", f"y = {call}", None, 18)
    made = quantized(model, {"x": x, "z": z}, Options(table_bits=14))
    got = made.evaluate({"x": x.astype(float), "z": z.astype(float)})["y"]
    np.testing.assert_array_equal(got, expected(x, z[:, None]))


@pytest.mark.parametrize(
    ("kind", "direction"),
    [("uint8", "LEFT"), ("int8", "LEFT"), ("uint8", "RIGHT"), ("int8", "RIGHT"), ("int32", "RIGHT")],
)
def test_computed_shifts(kind: str, direction: str) -> None:
    """Modulo the type, and beyond its width."""
    random, dtype = np.random.RandomState(1), TYPES[kind]
    x = random.randint(*((0, 256) if kind == "uint8" else (-128, 128)), (30, 5)).astype(dtype)
    by = random.randint(0, 12, (30, 5)).astype(dtype)
    model = onnx_model(
        f"{kind}[5] x, {kind}[5] z) => ({kind}[5] y)", f'y = BitShift<direction = "{direction}">(x, z)', None, 28
    )
    made = quantized(model, {"x": x, "z": by}, Options(table_bits=16, margin=1.0))
    got = made.evaluate({"x": x.astype(float), "z": by.astype(float)})["y"]
    np.testing.assert_array_equal(got, (np.left_shift if direction == "LEFT" else np.right_shift)(x, by))


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_two_reals(fmod: int) -> None:
    """Exactly, where both are multiples of the circuit's unit."""
    random = np.random.RandomState(2)
    x, z = random.randint(-64, 65, (30, 5)) / 16, random.choice([-1, 1], (30, 5)) * random.randint(8, 40, (30, 5)) / 16
    model = onnx_model("float[5] x, float[5] z) => (float[5] y)", f"y = Mod<fmod = {fmod}>(x, z)", None, 28 - 15 * fmod)
    made = quantized(model, {"x": x, "z": z}, Options(table_bits=12, error_target=1.0))
    np.testing.assert_array_equal(made.evaluate({"x": x, "z": z})["y"], (np.fmod if fmod else np.mod)(x, z))


@pytest.mark.parametrize("call", ["Div(x, z)", "Mod(x, z)", "BitwiseXor(x, z)", 'BitShift<direction = "RIGHT">(x, z)'])
def test_two_integers_hold_in_the_circuit(call: str) -> None:
    random = np.random.RandomState(4)
    samples = {
        "x": random.randint(0, 16, (20, 2)).astype(np.uint8),
        "z": random.randint(1, 8, (20, 2)).astype(np.uint8),
    }
    model = onnx_model("uint8[2] x, uint8[2] z) => (uint8[2] y)", f"y = {call}", None, 18)
    assert_proves(model, samples, table_bits=9)


def test_nothing_is_divided_by_zero() -> None:
    """There is no row of the table, and no witness."""
    random = np.random.RandomState(5)
    samples = {"x": random.randint(-20, 20, (20, 2)), "z": random.randint(1, 8, (20, 2))}
    model = onnx_model("int64[2] x, int64[2] z) => (int64[2] y)", "y = Div(x, z)")
    made = quantized(model, samples, Options(table_bits=9))
    with pytest.raises(OutOfRange):
        made.evaluate({"x": np.array([[1.0, 2.0]]), "z": np.array([[3.0, 0.0]])})
    with pytest.raises(CompileError, match="holds a zero"):
        quantized(onnx_model("int64[2] x) => (int64[2] y)", "y = Div(x, c)", {"c": np.array([3, 0])}), None)


def test_nothing_is_infinite_or_not_a_number() -> None:
    x = {"x": np.random.RandomState(3).randint(-40, 41, (40, 5)).astype(np.float32) / 4}
    body = "a = IsNaN(x) b = IsInf(x) e = Or(a, b) y = Where(e, c, x)"
    assert_as_onnxruntime(onnx_model("float[5] x) => (float[5] y)", body, {"c": np.array(0.0)}), x)
