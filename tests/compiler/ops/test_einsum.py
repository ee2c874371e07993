"""Einsum against numpy, over random equations; what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import quantized
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from tests.compiler.small import assert_accurate, compiled, onnx_model, operators, run_float

LABELS = "abij"


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]], list[bool]]:
    """An equation of one to three operands, their shapes, and which of them are computed (at least one)."""
    sizes = {label: draw(st.integers(1, 3)) for label in LABELS}
    terms, shapes = [], []
    dots = draw(st.lists(st.integers(1, 3), max_size=2)) if draw(st.booleans()) else None
    for _ in range(draw(st.integers(1, 3))):
        labels = draw(st.text(LABELS, min_size=1, max_size=3))
        shape = [sizes[label] for label in labels]
        if dots is not None:
            place = draw(st.integers(0, len(labels)))
            stack = [size if draw(st.booleans()) else 1 for size in dots]
            labels, shape = f"{labels[:place]}...{labels[place:]}", [*shape[:place], *stack, *shape[place:]]
        terms.append(labels)
        shapes.append(tuple(shape))
    used = sorted({label for term in terms for label in term} - {"."})
    made = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    right = f"->{''.join(made)}{'...' if dots is not None else ''}" if draw(st.booleans()) else ""
    computed = [draw(st.booleans()) for _ in terms]
    computed[draw(st.integers(0, len(terms) - 1))] = True
    return ",".join(terms) + right, shapes, computed


@settings(max_examples=60, deadline=None)
@given(equations(), st.integers(0, 99))
def test_as_numpy(equation: tuple[str, list[tuple[int, ...]], list[bool]], seed: int) -> None:
    """The expansion in floating point."""
    text, shapes, computed = equation
    random = np.random.default_rng(seed)
    values = {name: random.normal(size=shape).astype(np.float32) for name, shape in zip("xzw", shapes, strict=False)}
    ports = ", ".join(
        f"float[{','.join(map(str, values[n].shape))}] {n}" for n, c in zip(values, computed, strict=True) if c
    )
    constants = {name: values[name] for name, c in zip(values, computed, strict=True) if not c}
    body = f'y = Einsum<equation = "{text}">({", ".join(values)})'
    model = read_model(onnx_model(f"{ports}) => (float y)", body, constants))
    graph = optimize(
        import_graph(model, fix_shapes(model, shapes={value.name: values[value.name].shape for value in model.inputs}))
    )
    assert "Einsum" not in operators(graph)
    given_values = {name: values[name][None].astype(np.float64) for name in graph.inputs}
    expected = np.einsum(text, *values.values())
    np.testing.assert_allclose(run_float(graph, given_values)["y"][0], expected, rtol=1e-4, atol=1e-4)


CASES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("float[2,3] x", "bi,ij->bj", {"w": (3, 4)}, ["Gemm"]),
    ("float[2,5,3] x", "bti,hij->bhtj", {"w": (2, 3, 4)}, ["Gemm"]),
    ("float[2,5,3] x", "bti,bij->btj", {"w": (2, 3, 4)}, ["MatMul"]),
    ("float[2,5,3] x, float[2,4,3] z", "bqd,bkd->bqk", {}, ["MatMul"]),
    ("float[3] x, float[4] z", "i,j->ij", {}, ["MatMul"]),
    ("float[3,4] x, float[3,4] z", "ij,ij->ij", {}, ["Mul"]),
    ("float[3,3] x", "ii", {}, ["ReduceSum"]),
    ("float[2,3] x, float[3,4] z, float[4,2] u", "ij,jk,kl->li", {}, ["MatMul", "MatMul"]),
]
MOVES = ("Transpose", "Reshape", "Gather", "Identity")


@pytest.mark.parametrize(("inputs", "equation", "shapes", "expected"), CASES, ids=[case[1] for case in CASES])
def test_what_it_becomes(
    tmp_path: Path, inputs: str, equation: str, shapes: dict[str, Any], expected: list[str]
) -> None:
    random = np.random.default_rng(2)
    constants = {name: random.normal(size=shape) for name, shape in shapes.items()}
    names = [*(port.split()[1] for port in inputs.split(", ")), *constants]
    body = f'y = Einsum<equation = "{equation}">({", ".join(names)})'
    made = compiled(tmp_path, f"{inputs}) => (float y)", body, constants, 13)
    assert [op for op in operators(made.graph) if op not in MOVES] == expected
    assert_accurate(made)


def test_a_private_matrix() -> None:
    random = np.random.default_rng(2)
    model = onnx_model(
        "float[2,3] x) => (float y)", 'y = Einsum<equation = "bi,ji->bj">(x, w)', {"w": random.normal(size=(4, 3))}
    )
    made = quantized(model, {"x": random.uniform(-1, 1, (20, 2, 3))}, Options(table_bits=12, model="private"))
    assert_accurate(made)
