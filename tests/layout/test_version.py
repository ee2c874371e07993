"""A key of before does not fit what its circuit is laid out to now: then the files' version is another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.function import Function, apply
from plonnx.gadgets.linear.embedding import embedded
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.window import largest
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select
from plonnx.kzg import container
from plonnx.kzg.srs import SRS
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k
from plonnx.plonk.keygen import keygen

PINNED = {4: "057a1f7e6de636cf80f8aab32102775c894a854f4675d6b8e863853724cdb8b2"}


def _values(*shape: int) -> NDArray[np.int64]:
    """Integers in [-9, 9], the same whatever version of numpy."""
    return (np.arange(np.prod(shape)) * 7 % 19 - 9).reshape(shape)


def test_layouts_that_change_take_another_version() -> None:
    """Where this fails and keys were meant to change, raise VERSION in kzg/container.py, and pin the new digest."""
    builder = Builder(8)
    image, token = builder.input("image", (2, 6, 6)), builder.input("token", (1,), public=False)
    square = np.indices((3, 3)).reshape(2, -1).T - 1
    layer = builder.convolution(image, _values(2, 9, 2), square, np.array([3, -5]), (6, 6), "layer")
    pool = largest(builder, builder.relu(layer, "relu"), [np.arange(2)] * 2, (2, 2), (3, 3), "pool")
    row = apply(builder, Function("f", -255, _values(511)), pool.reshape((18,)), "function")
    a, b = row.take(np.arange(9), 0), row.take(np.arange(9, 18), 0)
    chosen = select(builder, compare(builder, a, b, "above"), a, maximum(builder, [a, b], "larger"), "chosen")
    scores = matmul(builder, chosen.reshape((1, 3, 3)), a.reshape((1, 3, 3)), 1, "scores")
    product = multiply(builder, scores.reshape((9,)), b, 1, "product")
    builder.output("y", builder.sum([(product, 128), (chosen, 128)], None, "sum"))
    builder.output("z", embedded(builder, token, _values(4, 3), "rows"))
    rows = Layout(builder, Shape(0, 2, 4, 3)).rows
    layout = Layout(builder, Shape(smallest_k(rows), 2, 4, 3))
    circuit = arithmetize(layout, "pinned", layout.tensors)
    digest = keygen(circuit, SRS.development(layout.shape.k, tau=5)).vk.digest.hex()
    assert digest == PINNED.get(container.VERSION)
