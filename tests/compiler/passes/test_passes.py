"""Each rewrite: the nodes it leaves, and that the graph still computes the same function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.graph import Graph, Tensor
from plonnx.compiler.passes import optimize
from plonnx.compiler.passes.canonical_arithmetic import canonical_arithmetic
from plonnx.compiler.passes.common_subexpressions import common_subexpressions
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.fold_constants import fold_constants
from plonnx.compiler.passes.fold_into_gemm import fold_into_gemm
from plonnx.compiler.passes.matmul_to_gemm import matmul_to_gemm
from plonnx.compiler.passes.merge_constants import merge_constants
from plonnx.compiler.passes.named_functions import named_functions
from plonnx.compiler.passes.normalise_gemm import normalise_gemm
from plonnx.compiler.passes.remove_identities import remove_identities
from plonnx.compiler.passes.scale_factors import scale_factors
from plonnx.compiler.passes.signed_shifts import signed_shifts
from plonnx.compiler.passes.sink_scalars import sink_scalars
from tests.compiler.small import assert_same_function, compiled, graph_of, operators, run_float

RANDOM = np.random.RandomState(0)
W23, W32 = RANDOM.randn(2, 3), RANDOM.randn(3, 2)
B2, B3 = RANDOM.randn(2), RANDOM.randn(3)
X23 = "float[2,3] x) => "


def named(graph: Graph) -> Graph:
    return dead_code(named_functions(graph))


CASES: list[tuple[str, Callable[[Graph], Graph], str, str, dict[str, Any], list[str]]] = [
    ("identity", remove_identities, X23 + "(float[2,3] y)", "a = Identity(x) y = Relu(a)", {}, ["Relu"]),
    (
        "no number",
        remove_identities,
        X23 + "(float[2,3] y)",
        "a = Relu(x) n = IsNaN(a) y = Where(n, c, a)",
        {"c": np.zeros(1)},
        ["Relu", "IsNaN"],
    ),
    (
        "no number of those chosen",
        remove_identities,
        X23 + "(float[2,2] y)",
        "a = Relu(x) n = IsNaN(a) m = Gather<axis = 1>(n, i) b = Gather<axis = 1>(a, i) y = Where(m, c, b)",
        {"c": np.zeros(1), "i": np.array([2, 0])},
        ["Relu", "IsNaN", "Gather", "Gather"],
    ),
    (
        "no number of others",
        remove_identities,
        X23 + "(float[2,2] y)",
        "a = Relu(x) n = IsNaN(a) m = Gather<axis = 1>(n, i) b = Gather<axis = 1>(a, j) y = Where(m, c, b)",
        {"c": np.zeros(1), "i": np.array([2, 0]), "j": np.array([1, 0])},
        ["Relu", "IsNaN", "Gather", "Gather", "Where"],
    ),
    ("dropout", remove_identities, X23 + "(float[2,3] y)", "a = Dropout(x) y = Relu(a)", {}, ["Relu"]),
    ("last node", remove_identities, X23 + "(float[2,3] y)", "a = Relu(x) y = Identity(a)", {}, ["Relu"]),
    ("cast", remove_identities, X23 + "(float[2,3] y)", "a = Cast<to = 1>(x) y = Relu(a)", {}, ["Relu"]),
    ("flatten", remove_identities, X23 + "(float[2,3] y)", "a = Flatten(x) y = Relu(a)", {}, ["Relu"]),
    ("reshape", remove_identities, X23 + "(float[3,2] y)", "y = Reshape(x, s)", {"s": np.array([3, 2])}, ["Reshape"]),
    ("transpose", remove_identities, X23 + "(float[2,3] y)", "y = Transpose<perm = [0, 1]>(x)", {}, []),
    (
        "transpose of ones",
        remove_identities,
        "float[1,3,1,2] x) => (float[3,1,2,1] y)",
        "a = Transpose<perm = [2, 1, 0, 3]>(x) y = Transpose<perm = [1, 0, 3, 2]>(a)",
        {},
        ["Transpose"],
    ),
    *(
        ("sigmoid", named, X23 + "(float[2,3] y)", body, {"one": np.array(1.0), "m": np.array(-1.0)}, left)
        for body, left in (
            ("n = Neg(x) e = Exp(n) s = Add(e, one) y = Reciprocal(s)", ["Sigmoid"]),
            ("n = Mul(m, x) e = Exp(n) s = Add(one, e) y = Div(one, s)", ["Sigmoid"]),
            ("e = Exp(x) s = Add(e, one) y = Reciprocal(s)", ["Neg", "Sigmoid"]),
            ("e = Exp(x) s = Add(e, one) y = Div(m, s)", ["Exp", "Add", "Div"]),
        )
    ),
    *(
        ("softmax", named, X23 + "(float[2,3] y)", body, {"s": np.array([2, 1])}, left)
        for body, left in (
            ("t = ReduceLogSumExp<axes = [1]>(x) y = Sub(x, t)", ["LogSoftmax"]),
            (
                "t = ReduceLogSumExp<axes = [1], keepdims = 0>(x) u = Reshape(t, s) l = Sub(x, u) y = Exp(l)",
                ["Softmax"],
            ),
            ("n = Neg(x) t = ReduceLogSumExp<axes = [1]>(n) y = Sub(x, t)", ["Neg", "ReduceLogSumExp", "Sub"]),
        )
    ),
    ("sub", canonical_arithmetic, X23 + "(float[2,3] y)", "y = Sub(x, c)", {"c": B3}, ["Add"]),
    ("sub from", canonical_arithmetic, X23 + "(float[2,3] y)", "y = Sub(c, x)", {"c": B3}, ["Sub"]),
    ("div", canonical_arithmetic, X23 + "(float[2,3] y)", "y = Div(x, c)", {"c": B3}, ["Mul"]),
    ("neg", canonical_arithmetic, X23 + "(float[2,3] y)", "y = Neg(x)", {}, ["Mul"]),
    ("const first", canonical_arithmetic, X23 + "(float[2,3] y)", "y = Mul(c, x)", {"c": B3}, ["Mul"]),
    (
        "adds",
        merge_constants,
        X23 + "(float[2,3] y)",
        "a = Add(x, b) y = Add(a, c)",
        {"b": B3, "c": W23},
        ["Add", "Add"],
    ),
    (
        "muls",
        merge_constants,
        X23 + "(float[2,3] y)",
        "a = Mul(x, b) y = Mul(a, c)",
        {"b": B3, "c": W23},
        ["Mul", "Mul"],
    ),
    (
        "scalar past flatten",
        sink_scalars,
        "float[1,2,3] x) => (float[1,6] y)",
        "a = Mul(x, c) y = Flatten(a)",
        {"c": np.array(0.25)},
        ["Mul", "Flatten", "Mul"],
    ),
    (
        "scalar of a product",
        scale_factors,
        "float[2,5,3] x, float[2,3,4] z) => (float[2,5,4] y)",
        "a = MatMul(x, z) y = Mul(c, a)",
        {"c": np.array([0.3])},
        ["MatMul", "Mul", "MatMul"],
    ),
    (
        "scalar of a smaller product",
        scale_factors,
        "float[2,3] x, float[3,2] z) => (float[2,2] y)",
        "a = MatMul(x, z) y = Mul(a, c)",
        {"c": np.array(0.3)},
        ["MatMul", "Mul"],
    ),
    (
        "scalars of both factors",
        scale_factors,
        "float[2,3] x, float[3,2] z) => (float[2,2] y)",
        "a = Mul(x, c) b = Mul(c, z) y = MatMul(a, b)",
        {"c": np.array(64**-0.25)},
        ["Mul", "Mul", "Mul", "MatMul"],
    ),
    (
        "scalars of both factors, of which one is read elsewhere",
        scale_factors,
        "float[2,3] x, float[3,2] z) => (float[2,2] y, float[3,2] b)",
        "a = Mul(x, c) b = Mul(c, z) y = MatMul(a, b)",
        {"c": np.array([0.3])},
        ["Mul", "Mul", "MatMul"],
    ),
    (
        "a scalar and a row",
        scale_factors,
        "float[2,3] x, float[3,2] z) => (float[2,2] y)",
        "a = Mul(x, c) b = Mul(d, z) y = MatMul(a, b)",
        {"c": np.array([0.3]), "d": np.array([0.3, 2.0])},
        ["Mul", "Mul", "MatMul"],
    ),
    ("matmul", matmul_to_gemm, X23 + "(float[2,2] y)", "y = MatMul(x, w)", {"w": W32}, ["Gemm"]),
    (
        "matmul of rank 3",
        matmul_to_gemm,
        "float[4,2,3] x) => (float[4,2,2] y)",
        "y = MatMul(x, w)",
        {"w": W32},
        ["Reshape", "Gemm", "Reshape"],
    ),
    (
        "matmul of rank 1",
        matmul_to_gemm,
        "float[3] x) => (float[2] y)",
        "y = MatMul(x, w)",
        {"w": W32},
        ["Reshape", "Gemm", "Reshape"],
    ),
    (
        "gemm transB alpha beta",
        normalise_gemm,
        X23 + "(float[2,2] y)",
        "y = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(x, w, b)",
        {"w": W23, "b": B2},
        ["Gemm"],
    ),
    (
        "gemm transA",
        normalise_gemm,
        "float[3,2] x) => (float[2,2] y)",
        "y = Gemm<transA = 1>(x, w)",
        {"w": W32},
        ["Transpose", "Gemm"],
    ),
    ("gemm scalar bias", normalise_gemm, X23 + "(float[2,2] y)", "y = Gemm(x, w, b)", {"w": W32, "b": 0.5}, ["Gemm"]),
    (
        "gemm bias by row",
        normalise_gemm,
        X23 + "(float[2,2] y)",
        "y = Gemm(x, w, b)",
        {"w": W32, "b": B2[:, None]},
        ["Gemm", "Add"],
    ),
    (
        "gemm computed bias",
        normalise_gemm,
        X23 + "(float[2,3] y)",
        "y = Gemm<beta = 3.0>(x, w, x)",
        {"w": RANDOM.randn(3, 3)},
        ["Gemm", "Mul", "Add"],
    ),
    (
        "gemm const left",
        normalise_gemm,
        X23 + "(float[3,3] y)",
        "y = Gemm(w, x, b)",
        {"w": W32, "b": B3},
        ["Transpose", "Gemm", "Transpose", "Add"],
    ),
    ("bias", fold_into_gemm, X23 + "(float[2,2] y)", "a = Gemm(x, w) y = Add(a, b)", {"w": W32, "b": B2}, ["Gemm"] * 2),
    (
        "scale after",
        fold_into_gemm,
        X23 + "(float[2,2] y)",
        "a = Gemm(x, w, b) y = Mul(a, b)",
        {"w": W32, "b": B2},
        ["Gemm"] * 2,
    ),
    (
        "scale before",
        fold_into_gemm,
        X23 + "(float[2,2] y)",
        "a = Mul(x, c) y = Gemm(a, w)",
        {"w": W32, "c": B3},
        ["Mul", "Gemm"],
    ),
    (
        "shift before",
        fold_into_gemm,
        X23 + "(float[2,2] y)",
        "a = Add(x, c) y = Gemm(a, w)",
        {"w": W32, "c": B3},
        ["Add", "Gemm"],
    ),
    (
        "scale before rows",
        fold_into_gemm,
        "float[2,4,3] x) => (float[8,2] y)",
        "a = Mul(x, c) r = Reshape(a, s) y = Gemm(r, w)",
        {"w": W32, "c": B3, "s": np.array([8, 3])},
        ["Mul", "Reshape", "Reshape", "Gemm"],
    ),
    (
        "shift before two layers",
        fold_into_gemm,
        X23 + "(float[2,2] y)",
        "a = Add(x, c) b = Gemm(a, w) d = Gemm(a, v) y = Add(b, d)",
        {"w": W32, "v": RANDOM.randn(3, 2), "c": B3},
        ["Add", "Gemm", "Gemm", "Add"],
    ),
    (
        "shift before a layer and another reader stays",
        fold_into_gemm,
        X23 + "(float[2,3] y)",
        "a = Add(x, c) b = Gemm(a, w) y = Add(a, b)",
        {"w": RANDOM.randn(3, 3), "c": B3},
        ["Add", "Gemm", "Add"],
    ),
    (
        "scale before other rows stays",
        fold_into_gemm,
        X23 + "(float[3,4] y)",
        "a = Mul(x, c) r = Reshape(a, s) y = Gemm(r, w)",
        {"w": W32[:2].repeat(2, axis=1), "c": B3, "s": np.array([3, 2])},
        ["Mul", "Reshape", "Gemm"],
    ),
    (
        "by row stays",
        fold_into_gemm,
        X23 + "(float[2,2] y)",
        "a = Gemm(x, w) y = Add(a, b)",
        {"w": W32, "b": B2[:, None]},
        ["Gemm", "Add"],
    ),
    (
        "twice the same",
        common_subexpressions,
        X23 + "(float[2,3] y)",
        "a = Add(x, b) c = Add(x, d) y = Sub(a, c)",
        {"b": B3, "d": B3},
        ["Add", "Sub"],
    ),
    (
        "other attributes",
        common_subexpressions,
        "float[2,2] x) => (float[4,2] y)",
        "a = Transpose<perm = [1, 0]>(x) b = Transpose<perm = [0, 1]>(x) y = Concat<axis = 0>(a, b)",
        {},
        ["Transpose", "Transpose", "Concat"],
    ),
    ("dead", dead_code, X23 + "(float[2,3] y)", "a = Neg(x) b = Relu(a) y = Relu(x)", {}, ["Relu"]),
]


@pytest.mark.parametrize(
    ("rewrite", "signature", "body", "constants", "left"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rewrite(
    tmp_path: Path,
    rewrite: Callable[[Graph], Graph],
    signature: str,
    body: str,
    constants: dict[str, Any],
    left: list[str],
) -> None:
    before = graph_of(tmp_path, signature, body, constants)
    after = rewrite(before)
    assert operators(after) == left
    assert_same_function(before, after)
    assert_same_function(before, optimize(before))


def test_other_readers_stop_folding(tmp_path: Path) -> None:
    """A sum that somebody reads beside a layer stays, and the layer reads it."""
    shared = "a = Add(x, c) b = Gemm(a, w) y = Add(a, b)"
    graph = graph_of(tmp_path, X23 + "(float[2,3] y)", shared, {"w": RANDOM.randn(3, 3), "c": B3})
    assert [node.inputs[0] for node in fold_into_gemm(graph).nodes if node.op == "Gemm"] == ["a"]


TOGETHER = [
    (
        "float[1,2,3] x) => (float[1,2] y)",
        "a = Div(x, c) f = Flatten(a) m = MatMul(f, w) y = Add(m, b)",
        {"c": np.array(255.0), "w": RANDOM.randn(6, 2), "b": B2},
    ),
    ("float[2,5,3] x) => (float[2,5,2] y)", "m = MatMul(x, w) a = Add(m, b) y = Mul(a, b)", {"w": W32, "b": B2}),
    (
        "float[1,3] x) => (float[1,2] y)",
        "n = Neg(x) g = Gemm(n, w, b) d = Dropout(g) s = Sub(d, b) y = Div(s, c)",
        {"w": W32, "b": B2, "c": np.array(3.0)},
    ),
]


@pytest.mark.parametrize(("signature", "body", "constants"), TOGETHER)
def test_everything_linear_ends_in_one_gemm(
    tmp_path: Path, signature: str, body: str, constants: dict[str, Any]
) -> None:
    before = graph_of(tmp_path, signature, body, constants)
    after = optimize(before)
    assert [op for op in operators(after) if op not in ("Reshape", "Flatten")] == ["Gemm"]
    assert_same_function(before, after)


def test_a_tensor_that_others_read_is_not_folded_away(tmp_path: Path) -> None:
    before = graph_of(
        tmp_path, X23 + "(float[2,2] y, float[2,2] a)", "a = Gemm(x, w) y = Add(a, b)", {"w": W32, "b": B2}
    )
    after = optimize(before)
    assert operators(after) == ["Gemm", "Add"]
    assert_same_function(before, after)


def test_constants_made_by_another_pass_fold(tmp_path: Path) -> None:
    """As after a pass that finds out that the tensor a is constant."""
    before = graph_of(tmp_path, X23 + "(float[2,3] y)", "a = Relu(x) b = Neg(a) y = Add(x, b)")
    ones = Tensor.constant("a", np.ones((2, 3), np.float32))
    after = fold_constants(before.with_nodes(before.nodes[1:], {**before.tensors, "a": ones}))
    assert operators(after) == ["Add"]
    np.testing.assert_array_equal(after.value("b"), -np.ones((2, 3)))


def test_folding_saves_units(tmp_path: Path) -> None:
    """The scaling, the bias and the shift cost nothing once they are in the matrix."""
    body = "a = Div(x, c) m = MatMul(a, w) y = Add(m, b)"
    made = compiled(tmp_path, X23 + "(float[2,2] y)", body, {"c": np.array(3.0), "w": W32, "b": B2})
    assert made.builder.unit_count == 6 + 4


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    before = graph_of(tmp_path, X23 + "(float[2,3] y, float[2,3] z)", "y = Relu(x) z = Identity(y)")
    after = optimize(before)
    assert operators(after) == ["Relu"]
    assert after.outputs == (("y", "y"), ("z", "y"))
    assert_same_function(before, after)


SHIFTED = "u = Cast<to = 12>(x) s = BitShift<direction = {}>(u, k)"
RIGHT = SHIFTED.format('"RIGHT"') + " o = BitwiseOr(s, m) a = Cast<to = 6>(o) b = Cast<to = 6>(s) n = Less(x, z)"


@pytest.mark.parametrize(
    ("body", "mask", "left"),
    [
        (SHIFTED.format('"LEFT"') + " y = Cast<to = 6>(s)", 0, ["Mul"]),
        (f"{RIGHT} y = Where(n, a, b)", 0xE0000000, ["Mod", "Sub", "Div"]),
        (f"{RIGHT} y = Where(n, a, b)", 0xC0000000, None),
    ],
)
def test_signed_integers_shifted_as_unsigned_ones(tmp_path: Path, body: str, mask: int, left: list[str] | None) -> None:
    """As PyTorch's newer exporter writes x << 3 and x >> 3 of int32; with another mask it is another function."""
    constants = {"k": np.uint32(3), "m": np.uint32(mask), "z": np.int32(0)}
    used = {name: value for name, value in constants.items() if f"{name})" in body}
    graph = graph_of(tmp_path, "int32[1,6] x) => (int32[1,6] y)", body, used, 18)
    after = dead_code(signed_shifts(graph))
    assert operators(after) == (operators(graph) if left is None else left)
    x = {"x": RANDOM.randint(-(1 << 20), 1 << 20, (20, 1, 6)).astype(np.int32)}
    for name, value in run_float(graph, x).items():
        assert np.array_equal(value, run_float(after, x)[name])


ROOTS = "float[2,3] x, float[3,2] z) => (float[2,2] y)", "a = Mul(x, c) b = Mul(c, z) y = MatMul(a, b)"


@pytest.mark.parametrize(("size", "exact"), [(64, 2.0**-3), (16, 2.0**-2), (4, 0.5), (8, None), (48, None)])
def test_scalars_of_both_factors_make_a_power_of_two(size: int, exact: float | None, tmp_path: Path) -> None:
    """The root of a root, rounded to float32 as exporters write it; what is no power of two stays."""
    root = np.float32(size) ** np.float32(-0.25)
    made = dead_code(scale_factors(graph_of(tmp_path, *ROOTS, {"c": np.array(root)})))
    assert operators(made) == ["Mul", "MatMul"]
    (value,) = (held for held in map(made.value, made.nodes[0].inputs) if held is not None)
    assert value == (pytest.approx(size**-0.5, rel=1e-6) if exact is None else exact)
