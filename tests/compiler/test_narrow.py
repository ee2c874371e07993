"""Public inputs in fewer bytes: under `gas` large ones are coarser, where the outputs stay within the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import Tensor
from plonnx.compiler.narrow import COARSE_LEAST, scaled_bits
from plonnx.compiler.options import Options
from plonnx.plonk.public_values import width_of
from tests.compiler.small import onnx_model, saved

SIZE = COARSE_LEAST
WEIGHTS = {"w": np.random.default_rng(4).normal(size=(SIZE, 3)) / 16}
DATA = {"x": np.random.default_rng(5).uniform(-1, 1, (40, SIZE))}
COARSE: dict[str, Any] = {"optimize": "gas", "error_target": 0.01}


def test_the_bits_of_an_input() -> None:
    def bits(size: int, table_bits: int, coarse: bool, kind: str = "f4") -> int:
        return scaled_bits(Tensor("x", (size,), np.dtype(kind)), table_bits, coarse)

    assert [bits(SIZE, of, False) for of in (7, 8, 15, 16, 17)] == [7, 8, 15, 15, 17]
    assert [bits(SIZE, of, True) for of in (7, 8, 15, 16, 17, 18)] == [7, 7, 7, 7, 15, 15]
    assert bits(SIZE - 1, 12, True) == bits(SIZE, 12, True, "i4") == 12


@pytest.mark.parametrize(
    ("body", "options", "width"),
    [
        ("y = MatMul(x, w)", COARSE, 1),
        ("y = MatMul(x, w)", {**COARSE, "error_target": 0.001}, 2),
        ("y = MatMul(x, w)", {**COARSE, "optimize": "balanced"}, 2),
        ("y = MatMul(x, w)", {**COARSE, "input": "private"}, 2),
        ("z = MatMul(x, w) o = Constant<value = float {0.0}>() b = Greater(z, o) y = Cast<to = 1>(b)", COARSE, 2),
    ],
)
def test_large_inputs_take_a_byte_where_gas_counts(
    tmp_path: Path, body: str, options: dict[str, Any], width: int
) -> None:
    """Within the target, and not of what a threshold decides."""
    model = saved(tmp_path, onnx_model(f"float[N,{SIZE}] x) => (float[N,3] y)", body, WEIGHTS))
    made = quantized(model, DATA, Options(**options))
    assert width_of(made.facts.inputs[0].limit - 1) == width
    assert made.report.reached
