"""Softmax of rows whose largest entries are positive takes fewer units, and gives what it gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets.linear.sum import Sum
from tests.compiler.small import onnx_model, operators

LOW = np.where(np.tri(4, dtype=bool), 0.0, -np.inf)
BODIES = ["y = Softmax(x)", "a = Add(x, m) y = Softmax(a)", "y = Softmax<axis = 1>(x)"]


def made_of(body: str, least: float, opset: int = 17, **options: Any) -> Quantized:
    """Rows whose largest entry, one that no mask hides, lies in [least, least + 3]."""
    random = np.random.default_rng(3)
    x = random.uniform(-6.0, least, (40, 2, 4, 4))
    x[:, :, :, 0] = random.uniform(least, least + 3.0, (40, 2, 4))
    model = onnx_model("float[2,4,4] x) => (float y)", body, {"m": LOW} if "m)" in body else {}, opset)
    return quantized(model, {"x": x}, Options(**{"table_bits": 12, **options}))


def halved(made: Quantized) -> int:
    """Units of what is brought to half its scale for a maximum."""
    return sum(b.count for b in made.builder.blocks if isinstance(b, Sum) and b.name.endswith("/2"))


@pytest.mark.parametrize("body", BODIES[:2])
def test_nothing_is_halved_where_they_are_positive(body: str) -> None:
    positive, negative = made_of(body, 0.5), made_of(body, -2.5)
    assert halved(positive) == 0
    assert halved(negative) > 0
    for made in (positive, negative):
        assert max(output.max_relative for output in made.report.outputs) < 0.004


def test_before_version_13() -> None:
    """All axes from `axis` on are one row."""
    made = made_of(BODIES[2], 0.5, 11)
    assert halved(made) == 0
    assert max(output.max_relative for output in made.report.outputs) < 0.004


def test_private_models_are_not_measured() -> None:
    made = made_of(BODIES[0], 0.5)
    assert "Relu" in operators(made.graph)
    model = onnx_model("float[2,4,4] x) => (float y)", "n = Mul(x, w) y = Softmax(n)", {"w": np.array(0.7)})
    x = np.abs(np.random.default_rng(3).normal(size=(20, 2, 4, 4)))
    private = quantized(model, {"x": x}, Options(table_bits=12, model="private", weight_bits=24, bias_bits=40))
    assert "Relu" not in operators(private.graph)
