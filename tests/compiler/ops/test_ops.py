"""Every operator against the float model, through the circuit's own evaluation; re-indexing is exact and free."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops import supported
from plonnx.compiler.options import Options
from plonnx.compiler.report import evaluate
from tests.compiler.small import (
    assert_accurate,
    assert_as_onnxruntime,
    compiled,
    onnx_model,
    random_samples,
    run_float,
)

RANDOM = np.random.RandomState(3)
C3 = RANDOM.randn(3)

ARITHMETIC: list[tuple[str, str, dict[str, Any]]] = [
    ("float[2,3] x) => (float[2,4] y)", "y = Gemm(x, w, b)", {"w": RANDOM.randn(3, 4), "b": RANDOM.randn(4)}),
    ("float[2,3] x) => (float[2,4] y)", "y = Gemm<transB = 1>(x, w)", {"w": RANDOM.randn(4, 3)}),
    ("float[2,3] x) => (float[4,3] y)", "y = Gemm(w, x)", {"w": RANDOM.randn(4, 2)}),
    ("float[2,3] x) => (float[2,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(3, 4)}),
    ("float[3] x) => (float[4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(3, 4)}),
    ("float[3] x) => (float y)", "y = MatMul(x, w)", {"w": RANDOM.randn(3)}),
    ("float[2,3] x) => (float[2] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(3)}),
    ("float[2,5,3] x) => (float[2,5,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(3, 4)}),
    ("float[2,5,3] x) => (float[2,5,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(2, 3, 4)}),
    ("float[5,3] x) => (float[2,5,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(2, 3, 4)}),
    ("float[3] x) => (float[2,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(2, 3, 4)}),
    ("float[2,5,3] x) => (float[1,2,5,4] y)", "y = MatMul(x, w)", {"w": RANDOM.randn(1, 1, 3, 4)}),
    ("float[3,2] x) => (float[4,2] y)", "y = MatMul(w, x)", {"w": RANDOM.randn(4, 3)}),
    ("float[3] x) => (float[4] y)", "y = MatMul(w, x)", {"w": RANDOM.randn(4, 3)}),
    ("float[2,3,5] x) => (float[2,4,5] y)", "y = MatMul(w, x)", {"w": RANDOM.randn(4, 3)}),
    ("float[2,3,5] x) => (float[2,4,5] y)", "y = MatMul(w, x)", {"w": RANDOM.randn(2, 4, 3)}),
    ("float[3,5] x) => (float[5] y)", "y = MatMul(w, x)", {"w": RANDOM.randn(3)}),
    ("float[2,3] x) => (float[2,3] y)", "y = Add(x, c)", {"c": C3}),
    ("float[3] x) => (float[2,3] y)", "y = Add(c, x)", {"c": RANDOM.randn(2, 1)}),
    ("float[2,3] x, float[3] z) => (float[2,3] y)", "y = Add(x, z)", {}),
    ("float[2,1] x, float[1,3] z) => (float[2,3] y)", "y = Sub(x, z)", {}),
    ("float[2,3] x) => (float[2,3] y)", "r = Relu(x) y = Sub(r, x)", {}),
    ("float[2,3] x) => (float[2,3] y)", "y = Sub(c, x)", {"c": C3}),
    ("float[3] x, float[3] z) => (float[3] y)", "y = Sum(x, z, c)", {"c": C3}),
    ("float[2,3] x) => (float[2,3] y)", "y = Neg(x)", {}),
    ("float[2,3] x) => (float[2,3] y)", "y = Mul(x, c)", {"c": np.array(0.3)}),
    ("float[2,3] x) => (float[2,3] y)", "y = Mul(c, x)", {"c": C3}),
    ("float[2,3] x) => (float[2,3] y)", "y = Mul(x, c)", {"c": RANDOM.choice([0.5, -3.0], (2, 3))}),
    ("float[3] x) => (float[2,3] y)", "y = Mul(x, c)", {"c": RANDOM.randn(2, 3)}),
    ("float[2,3] x) => (float[2,3] y)", "y = Div(x, c)", {"c": C3}),
    ("float[2,3] x) => (float[2,3] y)", "y = Relu(x)", {}),
    ("float[2,3] x) => (float[4,3] y)", "s = Mul(x, c) y = Concat<axis = 0>(x, s)", {"c": np.array(300.0)}),
]


@pytest.mark.parametrize(("signature", "body", "constants"), ARITHMETIC, ids=[f"{c[1]} {c[0]}" for c in ARITHMETIC])
def test_arithmetic(tmp_path: Path, signature: str, body: str, constants: dict[str, Any]) -> None:
    assert_accurate(compiled(tmp_path, signature, body, constants))


X = "float[2,3,4] x) => "
RE_INDEXING: list[tuple[str, str, dict[str, Any]]] = [
    (X + "(float[4,6] y)", "y = Reshape(x, s)", {"s": np.array([4, -1])}),
    (X + "(float[2,12] y)", "y = Flatten(x)", {}),
    (X + "(float[6,4] y)", "y = Flatten<axis = -1>(x)", {}),
    ("float[1,3,1] x) => (float[3] y)", "y = Squeeze(x)", {}),
    ("float[1,3,1] x) => (float[1,3] y)", "y = Squeeze(x, a)", {"a": np.array([2])}),
    (X + "(float[2,1,3,4] y)", "y = Unsqueeze(x, a)", {"a": np.array([1])}),
    (X + "(float[4,3,2] y)", "y = Transpose(x)", {}),
    (X + "(float[3,2,4] y)", "y = Transpose<perm = [1, 0, 2]>(x)", {}),
    ("float[3,1] x) => (float[2,3,4] y)", "y = Expand(x, s)", {"s": np.array([2, 1, 4])}),
    ("float[2,3] x) => (float[4,9] y)", "y = Tile(x, r)", {"r": np.array([2, 3])}),
    ("float[2,3] x) => (float[2,6] y)", "y = Concat<axis = -1>(x, x)", {}),
    (X + "(float[A,B,C] y)", "y = Slice(x, s, e)", {"s": np.array([0, 1]), "e": np.array([1, 2**60])}),
    (
        X + "(float[A,B,C] y)",
        "y = Slice(x, s, e, a, t)",
        {"s": np.array([-1, 3]), "e": np.array([-99, 0]), "a": np.array([1, -1]), "t": np.array([-1, -2])},
    ),
    (X + "(float[2,2,4] y)", "y = Gather<axis = 1>(x, i)", {"i": np.array([-1, 0])}),
    (X + "(float[2,4] y)", "y = Gather<axis = 1>(x, i)", {"i": np.array(2)}),
    (X + "(float[2,2,3,4] y)", "y = Gather(x, i)", {"i": np.array([[0, 1], [1, 1]])}),
    ("float[2,3] x) => (double[2,3] y)", "y = Cast<to = 11>(x)", {}),
    ("float[2,3] x) => (float[2,3] y)", "y = OptionalGetElement(x)", {}),
    ("float[2,3] x) => (float[2,3] y)", "y = Mul(x, c)", {"c": np.array(0.25)}),
    ("float[2,3] x) => (float[2,3] y)", "y = Div(x, c)", {"c": np.array(0.25)}),
]


@pytest.mark.parametrize(("signature", "body", "constants"), RE_INDEXING, ids=[f"{c[1]} {c[2]}" for c in RE_INDEXING])
def test_re_indexing_is_exact_and_free(tmp_path: Path, signature: str, body: str, constants: dict[str, Any]) -> None:
    made = compiled(tmp_path, signature, body, constants, 18 if "Optional" in body else 17)
    assert made.builder.unit_count == made.facts.inputs[0].size
    port = made.facts.inputs[0]
    samples = {name: np.round(np.ldexp(v, 8)) / 2**8 for name, v in random_samples(made.graph, 3).items()}
    assert port.scales >= 8
    np.testing.assert_array_equal(made.evaluate(samples)["y"], run_float(made.graph, samples)["y"])
    assert list(evaluate(made.builder, made.facts.inputs, samples)) == ["y"]


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = Slice<starts = [0, 1], ends = [2, 3], axes = [0, 2]>(x)", 9),
        ("a = Unsqueeze<axes = [0]>(x) y = Squeeze<axes = [0]>(a)", 11),
        ("y = Dropout<ratio = 0.3>(x)", 10),
    ],
)
def test_old_versions(tmp_path: Path, body: str, opset: int) -> None:
    made = compiled(tmp_path, X + "(float[A,B,C] y)", body, opset=opset)
    assert made.builder.unit_count == 24
    assert_accurate(made)


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "float[3,2] x, int64[2] i) => (float[3,2] y)",
        "y = ReverseSequence(x, i)",
        {},
        r"\(ReverseSequence\): the indices must be a cons",
    ),
    ("float[3] x) => (float[3] y)", "y = Dropout(x, r, t)", {"r": 0.5, "t": np.array(True)}, "training mode"),
]


@pytest.mark.parametrize(("signature", "body", "constants", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_refused(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, signature, body, constants)


def test_every_supported_operator_is_tested() -> None:
    """In one of the files of this folder or of that of the passes, one of which removes Identity."""
    text = " ".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    names = [name.rpartition(".")[2] for name in supported() if name != "Identity"]
    missing = [name for name in names if not re.search(rf"\b{name}\b[(<\"]", text)]
    assert missing == []


def test_a_model_of_nothing() -> None:
    """Without a node that is left after the passes."""
    samples = {"x": RANDOM.randint(-9, 9, (20, 3)).astype(np.float32)}
    assert_as_onnxruntime(onnx_model("float[3] x) => (float[3] y)", "y = Identity(x)"), samples)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(-9, 9), end=st.integers(-9, 9), step=st.sampled_from([-3, -1, 1, 2]))
def test_slices_as_onnxruntime(start: int, end: int, step: int) -> None:
    """From beyond either end, in either direction; an empty result is said to be one."""
    constants = {name: np.array([value]) for name, value in (("s", start), ("e", end), ("a", 0), ("t", step))}
    model = onnx_model("float[5,2] x) => (float[A,2] y)", "y = Slice(x, s, e, a, t)", constants)
    samples = {"x": RANDOM.randint(-9, 9, (20, 5, 2)).astype(np.float32)}
    if FloatModel(model).run({"x": samples["x"][0]})["y"].size:
        assert_as_onnxruntime(model, samples)
    else:
        with pytest.raises(CompileError, match="is empty"):
            quantized(model, samples, Options(table_bits=8))
