"""What is compared with an extreme of itself: peaks of heat maps, the best of each row, one-hot by hand."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.options import Options
from tests.compiler.small import onnx_model

X = np.random.RandomState(4).normal(size=(48, 1, 1, 4, 4)).astype(np.float32)
PEAK = "p = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x)"
BODIES = [
    f"{PEAK} k = Equal(p, x)",
    f"{PEAK} k = Less(x, p)",
    f"{PEAK} d = Sub(x, p) k = GreaterOrEqual(d, z)",
    "p = ReduceMax<axes = [3]>(x) k = Equal(x, p)",
    "p = ReduceMin<axes = [2]>(x) q = ReduceMin<axes = [3]>(p) k = Greater(x, q)",
    "f = Flatten<axis = 3>(x) p = ReduceMax<axes = [1]>(f) r = Reshape(p, s) k = GreaterOrEqual(x, r)",
]


@pytest.mark.parametrize(
    ("body", "model"), [*((body, "public") for body in BODIES), *((body, "private") for body in BODIES[::3])]
)
def test_as_onnxruntime(body: str, model: str) -> None:
    """Wherever two values are not one of the circuit's integers."""
    constants = {"z": np.float32(0), "s": np.array([1, 1, 4, 1])}
    given = {name: value for name, value in constants.items() if f" {name})" in body}
    proto = onnx_model("float[1,1,4,4] x) => (float[1,1,4,4] y)", f"{body} y = Cast<to = 1>(k)", given)
    made = quantized(proto, [{"x": X}], Options(table_bits=13, model=model))
    expected = FloatModel(proto).run_all([{"x": x} for x in X])["y"]
    assert np.mean(made.evaluate({"x": X.astype(np.float64)})["y"] == expected) > 0.997
