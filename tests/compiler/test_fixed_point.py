"""Real weights as integers: halves up, exactly, however many there are."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.compiler.fixed_point import Call
from plonnx.compiler.graph import CompileError, Node, Tensor
from plonnx.gadgets import Builder

OUT = Tensor("y", (1,), np.dtype(np.float32), scale=0)
CALL = Call(Builder(8), Node("Gemm", (), ("y",), {}, 1), (), (OUT,), 8)
reals = st.floats(-1e3, 1e3) | st.floats(-1e3, 1e3, width=32) | st.integers(-8, 8).map(lambda n: n / 2)


@given(st.lists(reals, min_size=1, max_size=20), st.integers(-40, 45))
def test_integers_are_the_nearest_and_halves_round_up(values: list[float], exponent: int) -> None:
    expected = [floor(Fraction(value) * Fraction(2) ** exponent + Fraction(1, 2)) for value in values]
    held = [abs(value) * 2.0**exponent < 2**51 for value in values]  # float64 holds halves
    made = CALL.integers(np.array(values), exponent)
    assert [m for m, h in zip(made.tolist(), held, strict=True) if h] == [
        e for e, h in zip(expected, held, strict=True) if h
    ]


@pytest.mark.parametrize("exponent", [-5000, -1100, 1100, 5000])
def test_exponents_beyond_a_floats_are_zero_or_refused(exponent: int) -> None:
    assert CALL.integers(np.zeros((2, 3), np.float32), exponent).tolist() == [[0] * 3] * 2
    if exponent < 0:
        assert CALL.integers(np.array([1e300, -1e-300]), exponent).tolist() == [0, 0]
    else:
        with pytest.raises(CompileError, match="more than 62 bits"), np.errstate(over="ignore"):
            CALL.integers(np.array([0.0, 1e-20]), exponent)


def test_many_weights_are_rounded_as_few_are() -> None:
    weights = np.random.default_rng(1).normal(size=(7, 3, 5000)).astype(np.float32)
    made = CALL.integers(weights.transpose(2, 0, 1), 12)
    assert made.shape == (5000, 7, 3)
    np.testing.assert_array_equal(made, np.floor(weights.transpose(2, 0, 1).astype(np.float64) * 4096 + 0.5))
    weights[6, 2, 4999] = np.nan
    with pytest.raises(CompileError, match="more than 62 bits"):
        CALL.integers(weights, 12)


@pytest.mark.parametrize(("exponent", "kind"), [(12, np.int32), (40, np.int64)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_weights_are_the_integers_in_the_order_of_memory(
    exponent: int, kind: type[np.integer[Any]], axes: tuple[int, ...]
) -> None:
    values = np.random.default_rng(2).normal(size=(5, 40, 300)).astype(np.float32).transpose(axes)
    for given_values, strides in ((values, values.strides), (values[:, ::2], None), (values[:1, :1, :1], None)):
        made = CALL.weights(given_values, exponent)
        assert made.dtype == kind
        np.testing.assert_array_equal(made, CALL.integers(given_values, exponent))
        if strides is not None:
            assert [s // made.itemsize for s in made.strides] == [s // 4 for s in strides]
    assert CALL.weights(values[:0], exponent).shape == values[:0].shape
