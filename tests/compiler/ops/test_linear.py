"""Products of two computed matrices against numpy; what they cost; MockProver and one proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops.linear import _alike
from plonnx.compiler.options import Options
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.linear.matmul import MatMul
from plonnx.layout import search
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_setup
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, compiled, onnx_model, saved
from tests.compiler.test_secrets import first

Shape = tuple[int, ...]


def signature(*shapes: Shape) -> str:
    """Inputs x, z, b of these shapes and a y of any."""
    ports = ", ".join(f"float[{','.join(map(str, s))}] {n}" for s, n in zip(shapes, "xzb", strict=False))
    return f"{ports}) => (float y)"


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Operands of MatMul: of one dimension, or with stacks that broadcast against each other."""
    rows, inner, columns = (draw(st.integers(1, 4)) for _ in range(3))
    stack = draw(st.lists(st.integers(1, 3), max_size=3))
    left, right = ([size if draw(st.booleans()) else 1 for size in stack] for _ in range(2))
    a = (*left[draw(st.integers(0, len(left))) :], rows, inner)
    b = (*right[draw(st.integers(0, len(right))) :], inner, columns)
    return (inner,) if draw(st.integers(0, 5)) == 0 else a, (inner,) if draw(st.integers(0, 5)) == 0 else b


@settings(max_examples=40, deadline=None)
@given(shapes=stacks(), seed=st.integers(0, 99), hidden=st.booleans())
def test_as_numpy(shapes: tuple[Shape, Shape], seed: int, hidden: bool) -> None:
    """On operands that the circuit holds exactly, every element is within half a unit in its last place."""
    random = np.random.default_rng(seed)
    x, z = (random.integers(-64, 65, (20, *shape)) / 64 for shape in shapes)
    private = {"model": "private", "weight_bits": 20, "bias_bits": 40} if hidden else {}
    made = quantized(
        onnx_model(signature(*shapes), "y = MatMul(x, z)"), {"x": x, "z": z}, Options(table_bits=12, **private)
    )
    got, (port,) = made.evaluate({"x": x, "z": z})["y"], made.facts.outputs
    for number in range(len(x)):
        expected = np.matmul(x[number], z[number])
        assert got[number].shape == port.shape == expected.shape
        assert np.abs(got[number] - expected).max() <= np.ldexp(0.5, -np.asarray(port.scale))


GEMM: list[tuple[str, tuple[Shape, ...]]] = [
    ("y = Gemm(x, z)", ((2, 3), (3, 4))),
    ("y = Gemm<transA = 1>(x, z)", ((3, 2), (3, 4))),
    ("y = Gemm<transB = 1, alpha = 0.3>(x, z, b)", ((2, 3), (4, 3), (4,))),
    ("y = Gemm<transA = 1, transB = 1, beta = 2.0>(x, z, b)", ((3, 2), (4, 3), (2, 1))),
    ("y = Gemm(x, z, c)", ((2, 3), (3, 4))),
]


@pytest.mark.parametrize(("body", "shapes"), GEMM, ids=[case[0] for case in GEMM])
def test_gemm(tmp_path: Path, body: str, shapes: tuple[Shape, ...]) -> None:
    assert_accurate(compiled(tmp_path, signature(*shapes), body, {"c": np.array([1.0, -0.5, 0.25, 2.0])}))


def products(made: Any) -> list[tuple[int, ...]]:
    """[G, K, I] of each product."""
    return [block.a.shape for block in made.builder.blocks if isinstance(block, MatMul)]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((5, 4, 3), (3, 2)), (1, 3, 20)),  # rows of one product
        (((4, 3), (5, 3, 2)), (1, 3, 10)),  # columns of one product, on its left
        (((5, 4, 3), (5, 3, 2)), (5, 3, 4)),
        (((2, 5, 4, 3), (5, 3, 2)), (5, 3, 8)),
        (((2, 1, 4, 3), (5, 3, 4)), (1, 3, 20)),  # an outer product of stacks: 8 rows and 20 columns
        (((3, 1, 4), (3, 4, 9)), (3, 4, 9)),  # rows of one element would leave lanes empty
    ],
)
def test_a_repeated_factor_stands_once(tmp_path: Path, shapes: tuple[Shape, Shape], expected: tuple[int, ...]) -> None:
    made = compiled(tmp_path, signature(*shapes), "y = MatMul(x, z)")
    assert products(made) == [expected]


@settings(max_examples=200, deadline=None)
@given(
    slices=st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=3),
    places=st.lists(st.integers(0, 2), min_size=1, max_size=8),
)
def test_equal_slices_as_sorted_by_numpy(slices: list[list[int]], places: list[int]) -> None:
    """In the order of their elements: circuits depend on it."""
    refs = np.array([slices[place % len(slices)] for place in places])
    _, which, counts = np.unique(refs, axis=0, return_inverse=True, return_counts=True)
    times = int(counts[0]) if np.all(counts == counts[0]) else 1
    expected = np.argsort(which.reshape(-1), kind="stable") if times > 1 else np.arange(len(refs))
    assert np.array_equal(_alike(Cells(refs[:, None], 0, 1)), expected.reshape(-1, times))


def test_grouped_queries(tmp_path: Path) -> None:
    """Keys that exporters repeat for the queries of a group (Unsqueeze, Expand, Reshape) stand once, too."""
    body = "u = Unsqueeze(z, two) e = Expand(u, wide) k = Reshape(e, flat) y = MatMul(x, k)"
    constants = {"two": np.array([1]), "wide": np.array([2, 3, 4, 5]), "flat": np.array([6, 4, 5])}
    made = compiled(tmp_path, signature((6, 7, 4), (2, 4, 5)), body, constants)
    assert products(made) == [(2, 4, 21)]
    assert_accurate(made)


def test_what_a_layer_makes_is_read_in_place(tmp_path: Path) -> None:
    """The factor that is all of what a layer makes stays where it is; the other one, a part of a tensor, is copied."""
    constants = {"w": np.random.default_rng(0).normal(size=(5, 4))}
    body = "q = MatMul(x, w) t = Transpose(q) k, v = Split<axis = 1>(z) y = MatMul(k, t)"
    made = compiled(tmp_path, signature((6, 5), (6, 8)), body, constants, 13)
    (block,) = (block for block in made.builder.blocks if isinstance(block, MatMul))
    maker = next(b for b in made.builder.blocks if b.first <= block.a.min() >> 1 < b.first + b.count)
    assert type(maker).__name__ == "Convolution"
    assert_accurate(made)


def test_a_result_larger_than_its_factors(tmp_path: Path) -> None:
    """64 terms of one sign: the factors are made coarser by the layers before them, without a cell more."""
    body = "a = Exp(x) b = Exp(z) y = MatMul(a, b)"
    made = compiled(tmp_path, signature((3, 64), (64, 3)), body, table_bits=12)
    assert made.builder.unit_count == 4 * 3 * 64 + 9
    assert_accurate(made, 0.003)


@pytest.mark.parametrize("model", ["public", "private"])
def test_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setattr(search, "choices", first)
    body = "q = MatMul(x, w) k = MatMul(x, v) t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) y = MatMul(s, x)"
    random = np.random.default_rng(5)
    constants = {name: random.normal(size=(3, 2)) for name in "wv"}
    path = saved(tmp_path, onnx_model(signature((2, 5, 3)), body, constants))
    data = {"x": random.uniform(-1, 1, (20, 2, 5, 3))}
    circuit = compile_model(path, data, Options(table_bits=9, model=model))
    inputs = circuit.read_inputs({"x": data["x"][0]})
    assert circuit.mock(inputs) == []
    if model == "public":
        srs = for_setup(circuit.srs_k, unsafe=True)
        pk = circuit.keygen(srs)
        verify(pk.vk, prove(pk, circuit.witness(inputs), srs))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_determinants(size: int) -> None:
    model = onnx_model(f"float[2,{size},{size}] x) => (float[2] y)", "y = Det(x)")
    x = np.random.RandomState(0).uniform(-1, 1, (30, 2, size, size)).astype(np.float32)
    assert_as_onnxruntime(model, {"x": x}, 0.005)


def test_a_large_determinant_is_refused() -> None:
    with pytest.raises(CompileError, match=r"\(Det\): a determinant of more than 8 rows"):
        quantized(onnx_model("float[9,9] x) => (float y)", "y = Det(x)"), None)
