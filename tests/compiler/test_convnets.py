"""A network of every kind of image layer, public and private: the nodes and blocks that it takes, its accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.maximum import Maximum
from tests.compiler.small import assert_accurate, compiled, operators

RANDOM = np.random.RandomState(0)
BODY = """
    c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w1) n = BatchNormalization(c, s, b, m, v) a = Clip(n, lo, hi)
    d = Conv<group = 4, pads = [1, 1, 1, 1]>(a, w2, b) p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(d)
    r = Relu(p) q = Pad(r, pads) e = Conv(q, w3) t = Relu(e) u = Resize<mode = "linear">(t, , scales)
    k = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(u) g = GlobalAveragePool(k) f = Flatten(g)
    y = Gemm(f, w4, b4)
"""
CONSTANTS = {
    "w1": RANDOM.randn(4, 3, 3, 3) / 5,
    "s": RANDOM.rand(4) + 0.5,
    "b": RANDOM.randn(4) / 5,
    "m": RANDOM.randn(4) / 5,
    "v": RANDOM.rand(4) + 0.5,
    "lo": np.array(0.0),
    "hi": np.array(6.0),
    "w2": RANDOM.randn(4, 1, 3, 3) / 3,
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "w3": RANDOM.randn(4, 4, 3, 3) / 6,
    "scales": np.array([1.0, 1.0, 2.0, 2.0]),
    "w4": RANDOM.randn(4, 3),
    "b4": RANDOM.randn(3),
}


@pytest.mark.parametrize("model", ["public", "private"])
def test_every_kind_of_layer(tmp_path: Path, model: str) -> None:
    signature = "float[1,3,8,8] x) => (float[1,3] y)"
    widths = {"weight_bits": 24} if model == "private" else {}
    made = compiled(tmp_path, signature, BODY, CONSTANTS, table_bits=13, model=model, **widths)
    layers = ["Conv", "Clip", "Conv", "Relu", "MaxPool", "Conv", "Relu", "Resize"]
    assert operators(made.graph) == [*layers, "AveragePool", "ReduceMean", "Flatten", "Gemm"]
    kinds = [type(block) for block in made.builder.blocks[1:]]
    assert kinds == [Convolution, Convolution, Maximum, *[Convolution] * 6]
    assert_accurate(made, 0.01)
