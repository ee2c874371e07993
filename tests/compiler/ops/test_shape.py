"""Pad, Split, Concat with constants and other re-indexing: exact against onnxruntime, and free where no constant is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import defs

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from tests.compiler.small import assert_accurate, compiled, onnx_model, random_samples

RANDOM = np.random.RandomState(4)


def assert_exact(made: Quantized, model: tuple[str, str, dict[str, Any], int], units: int = 0) -> None:
    """As onnxruntime on inputs that the scale holds, with so many units besides the inputs'."""
    assert made.builder.unit_count == sum(port.size for port in made.facts.inputs) + units
    x = {name: np.round(np.ldexp(v, 8)) / 2**8 for name, v in random_samples(made.graph, 3).items()}
    session = onnxruntime.InferenceSession(onnx_model(*model).SerializeToString(), providers=["CPUExecutionProvider"])
    got = made.evaluate(x)
    for index in range(3):
        feed = {name: values[index].astype(np.float32) for name, values in x.items()}
        for port, expected in zip(session.get_outputs(), session.run(None, feed), strict=True):
            np.testing.assert_array_equal(got[port.name][index], expected)


def zeros(made: Quantized) -> int:
    """The one cell that stands for every padded zero of the outputs, where there is one."""
    return sum(block.name == "zero" for block in made.builder.blocks)


X = "float[2,3,4] x) => (float[A,B,C] y)"
D = "float[1,8,2,4] x) => (float[A,B,C,D] y)"
HALF, ZERO = np.array(0.5, np.float32), np.array(0.0, np.float32)
CASES: list[tuple[str, str, dict[str, Any], int, int]] = [
    (X, "y = Pad<pads = [0, 1, 2, 1, 0, 0]>(x)", {}, 10, 0),
    (X, "y = Pad<pads = [0, 1, 2, 1, 0, 0], value = 0.5>(x)", {}, 10, 1),
    (X, 'y = Pad<mode = "reflect", pads = [0, 1, 2, 0, 2, 3]>(x)', {}, 10, 0),
    (X, "y = Pad(x, p)", {"p": np.array([0, 1, 2, 1, 0, 0])}, 13, 0),
    (X, "y = Pad(x, p, v)", {"p": np.array([0, 1, 2, 1, 0, 0]), "v": ZERO}, 11, 0),
    (X, "y = Pad(x, p, v)", {"p": np.array([0, 1, 2, 1, 0, 0]), "v": HALF}, 17, 1),
    (X, "y = Pad(x, p, v, a)", {"p": np.array([1, 2, 0, -1]), "v": HALF, "a": np.array([-1, 0])}, 18, 1),
    (X, "y = Pad(x, p)", {"p": np.array([-1, 0, -2, 0, -1, -1])}, 17, 0),
    (X, 'y = Pad<mode = "edge">(x, p)', {"p": np.array([1, 0, 5, 0, 2, 1])}, 17, 0),
    (X, 'y = Pad<mode = "reflect">(x, p)', {"p": np.array([1, 0, 3, 0, 2, 1])}, 17, 0),
    (X, 'y = Pad<mode = "wrap">(x, p)', {"p": np.array([1, 0, 3, 0, 2, 1])}, 19, 0),
    (X, "y = Pad(x, p)", {"p": np.array([0, 1, 2, 1, 0, 0])}, 21, 0),
    (X, "r = Relu(x) y = Pad(r, p)", {"p": np.array([0, 1, 2, 1, 0, 0])}, 17, 0),
    ("float[2,7] x) => (float[A,B] y, float[C,D] z)", "y, z = Split<axis = 1, split = [3, 4]>(x)", {}, 11, 0),
    ("float[2,6] x) => (float[A,B] y, float[C,D] z)", "y, z = Split<axis = -1>(x)", {}, 12, 0),
    ("float[2,7] x) => (float[A,B] y, float[C,D] z)", "y, z = Split<axis = 1>(x, s)", {"s": np.array([3, 4])}, 13, 0),
    ("float[2,6] x) => (float[A,B] y)", "a, y, c = Split<axis = 1>(x)", {}, 13, 0),
    ("float[2,7] x) => (float[A,B] z)", "a, y, c = Split<axis = 1, num_outputs = 3>(x) z = Relu(y)", {}, 18, 0),
    ("float[2,7] x) => (float[A,B] z)", "a, b, z = Split<axis = 1, num_outputs = 3>(x)", {}, 18, 0),
    (D, "y = DepthToSpace<blocksize = 2>(x)", {}, 17, 0),
    (D, 'y = DepthToSpace<blocksize = 2, mode = "CRD">(x)', {}, 11, 0),
    (D, "y = SpaceToDepth<blocksize = 2>(x)", {}, 17, 0),
    (X, "y = Concat<axis = 1>(x, c)", {"c": RANDOM.randint(-3, 4, (2, 2, 4)) / 4}, 17, 16),
    (X, "y = Concat<axis = 0>(c, x, x)", {"c": np.zeros((1, 3, 4))}, 17, 0),
    (X, "y = GatherElements<axis = 1>(x, i)", {"i": RANDOM.randint(-3, 3, (2, 5, 4))}, 17, 0),
    (X, "y = GatherElements<axis = -1>(x, i)", {"i": RANDOM.randint(-4, 4, (1, 2, 6))}, 17, 0),
    ("float[2,3,4] x) => (float[A,B] y)", "y = GatherND(x, i)", {"i": np.array([[0, 1], [1, -1]])}, 17, 0),
    ("float[2,3,4] x) => (float[A,B] y)", "y = GatherND<batch_dims = 1>(x, i)", {"i": np.array([[1], [-2]])}, 17, 0),
    ("float[2,3,4] x) => (float[A] y)", "y = GatherND(x, i)", {"i": np.array([[0, 1, -1], [1, 0, 3]])}, 17, 0),
    (X, "y = Gather<axis = -1>(x, i)", {"i": np.array([-1, 0, -4])}, 17, 0),
    (X, "y = Trilu(x)", {}, 17, 0),
    (X, "y = Trilu<upper = 0>(x, k)", {"k": np.array(-1)}, 17, 0),
    (X, "p = Pad(x, p1) y = Reshape(p, s)", {"p1": np.array([0, 0, 1, 0, 0, 1]), "s": np.array([3, 2, 6])}, 17, 0),
]


@pytest.mark.parametrize(
    ("signature", "body", "constants", "opset", "units"), CASES, ids=[f"{c[1]} {c[3]}" for c in CASES]
)
def test_exact(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], opset: int, units: int) -> None:
    made = compiled(tmp_path, signature, body, constants, opset=opset)
    assert_exact(made, (signature, body, constants, opset), units + zeros(made))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=st.lists(st.integers(-1, 3), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "edge", "reflect", "wrap"]),
)
def test_pads(tmp_path: Path, widths: list[int], mode: str) -> None:
    """Negative ones crop; other modes repeat what there is, and are given none of them."""
    pads: NDArray[np.int64] = np.array(widths if mode == "constant" else np.abs(widths))
    signature, body = "float[4,5] x) => (float[A,B] y)", f'y = Pad<mode = "{mode}">(x, p)'
    made = compiled(tmp_path, signature, body, {"p": pads}, opset=19)
    assert_exact(made, (signature, body, {"p": pads}, 19), zeros(made))


def test_a_constant_larger_than_the_rest_sets_the_scale(tmp_path: Path) -> None:
    for body, constants in (
        ("y = Concat<axis = 2>(x, c)", {"c": 50 * RANDOM.randn(2, 3, 1)}),
        ("y = Pad(x, p, v)", {"p": np.array([0, 1, 2, 1, 0, 0]), "v": np.array(70.0)}),
    ):
        assert_accurate(compiled(tmp_path, X, body, constants))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("y = Pad(x, p)", r"\(Pad\): pads must be a constant|depends on values"),
    ],
)
def test_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, "float[3] x, int64[2] p) => (float[A] y)", body)


def test_channels_first_of_blocks() -> None:
    """Mode CRD of version 28 or newer: a channel's pixels stay together; the inverse of DepthToSpace in that mode."""
    body = 's = SpaceToDepth<blocksize = 2, mode = "CRD">(x) y = DepthToSpace<blocksize = 2, mode = "CRD">(s)'
    made = quantized(
        onnx_model("float[1,3,4,4] x) => (float[1,12,2,2] s, float[1,3,4,4] y)", body, None, defs.onnx_opset_version()),
        {"x": RANDOM.randint(-8, 9, (20, 1, 3, 4, 4)) / 8.0},
        Options(table_bits=10),
    )
    x = np.arange(48.0).reshape(1, 1, 3, 4, 4) / 64
    got = made.evaluate({"x": x})
    np.testing.assert_allclose(got["y"], x, atol=0.01)
    np.testing.assert_allclose(got["s"][0, 0, :4, 0, 0], x[0, 0, 0, :2, :2].reshape(-1), atol=0.01)
