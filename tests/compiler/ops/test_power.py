"""Powers of computed bases by computed exponents, and of constant bases, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets import OutOfRange
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model

TYPES: dict[str, Any] = {"float": np.float32, "int64": np.int64, "int32": np.int32}
RANDOM = np.random.RandomState(0)


def of_two(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], base: str, exponent: str, bits: int) -> Quantized:
    """y of 5, x of 2 x 5, made on the samples."""
    model = onnx_model(f"{base}[2,5] x, {exponent}[5] y) => ({base}[2,5] z)", "z = Pow(x, y)")
    return quantized(model, {"x": x, "y": y}, Options(table_bits=bits, error_target=1.0, margin=1.0))


@settings(max_examples=8, deadline=None)
@given(base=st.sampled_from(["int64", "int32"]), exponent=st.sampled_from(sorted(TYPES)), seed=st.integers(0, 99))
def test_whole_powers_of_integers(base: str, exponent: str, seed: int) -> None:
    """Exactly, of negative bases too, and of zero."""
    random = np.random.RandomState(seed)
    x = random.randint(-5, 6, (20, 2, 5)).astype(TYPES[base])
    y = random.randint(0, 5, (20, 5)).astype(TYPES[exponent])
    got = of_two(x, y, base, exponent, 14).evaluate({"x": x.astype(float), "y": y.astype(float)})["z"]
    np.testing.assert_array_equal(got, np.power(x.astype(float), y[:, None]))


def test_whole_powers_of_reals() -> None:
    x, y = RANDOM.uniform(-2, 2, (20, 2, 5)), RANDOM.randint(0, 6, (20, 5))
    got = of_two(x, y, "float", "int64", 14).evaluate({"x": x, "y": y.astype(float)})["z"]
    np.testing.assert_allclose(got, np.power(x, y[:, None]), atol=0.003 * 64)


def test_powers_of_small_reals() -> None:
    """Below 1, where a 1 of their scale has no place in the table."""
    x, y = RANDOM.uniform(-0.4, 0.4, (20, 2, 5)), RANDOM.randint(0, 4, (20, 5))
    got = of_two(x, y, "float", "int32", 14).evaluate({"x": x, "y": y.astype(float)})["z"]
    np.testing.assert_allclose(got, np.power(x, y[:, None]), atol=0.001)


def test_real_powers() -> None:
    """exp(y log x), and of zero what it is."""
    x, y = RANDOM.uniform(0.2, 3, (20, 2, 5)), RANDOM.uniform(-1, 2, (20, 5))
    x[:5, 0], y[:5, 0], y[:5, 1:] = 0.0, 0.0, np.abs(y[:5, 1:])
    made = of_two(x, y, "float", "float", 14)
    np.testing.assert_allclose(made.evaluate({"x": x, "y": y})["z"], np.power(x, y[:, None]), atol=0.003 * 9)
    x[0, 0, 0], y[0, 0] = 0.0, -1.0
    with pytest.raises(OutOfRange):
        made.evaluate({"x": x, "y": y})


@pytest.mark.parametrize("base", [1.5, [0.5, 2.0, 1.0, 2.0, 0.5]])
def test_powers_of_a_constant(base: Any) -> None:
    model = onnx_model("float[5] y) => (float[5] z)", "z = Pow(c, y)", {"c": np.array(base)})
    assert_as_onnxruntime(model, {"y": RANDOM.uniform(-2, 2, (30, 5)).astype(np.float32)}, 0.003)


def test_exponents_that_differ() -> None:
    model = onnx_model("float[5] x) => (float[5] z)", "z = Pow(x, c)", {"c": np.array([1.0, 2.0, 3.0, 0.5, 2.0])})
    assert_as_onnxruntime(model, {"x": RANDOM.uniform(0.1, 2, (30, 5)).astype(np.float32)}, 0.003)


def test_a_part_of_an_exponent_has_no_proof() -> None:
    """Of an integer base: the truncated power is another one."""
    x, y = RANDOM.randint(1, 4, (20, 2, 5)), RANDOM.randint(0, 4, (20, 5)).astype(np.float32)
    made = of_two(x, y, "int64", "float", 10)
    with pytest.raises(OutOfRange, match="part"):
        made.evaluate({"x": x.astype(float), "y": np.maximum(y, 1) - 0.5})
    with pytest.raises(OutOfRange):
        made.evaluate({"x": x.astype(float), "y": -np.ones_like(y)})


def test_powers_hold_in_the_circuit() -> None:
    model = onnx_model("int64[2] x, float[2] y) => (int64[2] z)", "z = Pow(x, y)")
    samples = {"x": RANDOM.randint(-3, 4, (20, 2)), "y": RANDOM.randint(0, 4, (20, 2)).astype(np.float32)}
    assert_proves(model, samples, table_bits=9)
