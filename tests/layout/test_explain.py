"""What is copied, for people: from where, how many cells, and why."""

from __future__ import annotations

import numpy as np

from plonnx.gadgets import Builder
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.maximum import maximum
from plonnx.layout.explain import copies
from tests.properties.models import Model, lay_out


def test_every_copied_cell_has_a_reason() -> None:
    builder, random = Builder(10), np.random.default_rng(0)
    x = builder.input("x", (6, 4))
    y = builder.convolution(x, random.integers(-9, 9, (6, 1, 3)), np.zeros((1, 1), np.int64), None, (4,), "y")
    builder.convolution(y, random.integers(-9, 9, (3, 1, 2)), np.zeros((1, 1), np.int64), None, (4,), "z")
    builder.convolution(y, random.integers(-9, 9, (3, 1, 2)), np.zeros((1, 1), np.int64), None, (4,), "again")
    half = builder.sum([(y.reshape(-1).take(range(6), 0), 512)], None, "half")
    product = matmul(builder, half.reshape(1, 2, 3), half.reshape(1, 3, 2), 1, "product")
    builder.output("m", maximum(builder, [product, half.take(range(4), 0).reshape(1, 2, 2)], "m"))
    layout = lay_out(Model(builder, {}), 2, 2).layout
    found = copies(layout)
    assert sum(row["cells"] for row in found) == len(layout.copied.rows)
    reasons = {(row["for"], row["because"]) for row in found}
    assert {
        ("again", "z reads it where it stands"),
        ("half", "a sum reads its own rows"),
        ("m", "a maximum reads its own rows"),
    } <= reasons
    assert any(because == "a product's second factor stands above the first" for _, because in reasons)
    assert {row["of"] for row in found if row["for"] == "m"} == {"half, product"}
