"""Operators of com.microsoft against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from tests.compiler.small import onnx_model, operators

R = np.random.default_rng(6)
X = "float[2,3,8] x"
THREE = "float[2,3,8] q, float[2,5,8] k, float[2,5,6] v"
GAMMA, BETA, BIAS = R.uniform(0.5, 2.0, 8), R.normal(size=8), R.normal(size=8)
LAST = {"g": GAMMA, "b": BETA, "c": BIAS}
KEPT = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
PROJECTION = {"w": R.normal(size=(8, 24)) / 3, "b": R.normal(size=24)}
ANGLES = R.uniform(-3, 3, (6, 2))
CACHES = {"cos": np.cos(ANGLES), "sin": np.sin(ANGLES)}
GROUPED = "float[2,3,32] q, float[2,3,16] k, float[2,3,16] v"
FEW = "num_heads = 2, kv_num_heads = 1"
SIZES = {
    "ends": np.array([2, 2], np.int32),
    "total": np.array(3, np.int32),
    "after": np.array([4], np.int32),
    "whole": np.array(5, np.int32),
    "sink": R.normal(size=2),
    "wide_cos": np.cos(np.tile(ANGLES, 4)),
    "wide_sin": np.sin(np.tile(ANGLES, 4)),
}
EMBEDDINGS = {"w": R.normal(size=(9, 8)), "p": R.normal(size=(5, 8)), "t": R.normal(size=(2, 8)), **LAST}

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("float[3,4] x, float[4,5] z", "y = FusedMatMul<alpha = 0.3>(x, z)", {}),
    ("float[2,4,3] x, float[2,5,4] z", "y = FusedMatMul<transA = 1, transB = 1>(x, z)", {}),
    ("float[3,2,4] x, float[2,4,5] z", "y = FusedMatMul<transBatchA = 1>(x, z)", {}),
    ("float[3,4] x", "y = FusedMatMul<transB = 1>(x, w)", {"w": R.normal(size=(5, 4))}),
    (
        "float[3,4] x",
        'y = FusedGemm<transB = 1, activation = "LeakyRelu", activation_alpha = 0.2>(x, w, c)',
        {"w": R.normal(size=(5, 4)), "c": R.normal(size=5)},
    ),
    ("float[3,4] x, float[5,4] z", 'y = CDist<metric = "euclidean">(x, z)', {}),
    ("float[3,4] x", 'y = CDist<metric = "sqeuclidean">(x, w)', {"w": R.normal(size=(5, 4))}),
    (X, "y = Gelu(x)", {}),
    (X, "y = BiasGelu(x, c)", LAST),
    (X, "y = FastGelu(x)", {}),
    (X, "y = FastGelu(x, c)", LAST),
    (X, "y = QuickGelu<alpha = 1.5>(x)", {}),
    (f"{X}, float[2,3,8] z", "y = SkipLayerNormalization<epsilon = 0.01>(x, z, g, b)", LAST),
    (f"{X}, float[2,3,8] z", "y, m, i, s = SkipLayerNormalization<epsilon = 0.01>(x, z, g, b, c)", LAST),
    (f"{X}, float[2,3,8] z", "y, m, i, s = SkipSimplifiedLayerNormalization<epsilon = 0.01>(x, z, g)", LAST),
    (THREE, "y = MultiHeadAttention<num_heads = 2>(q, k, v)", {}),
    (THREE, "y = MultiHeadAttention<num_heads = 2, scale = 0.2>(q, k, v, b)", {"b": R.normal(size=22)}),
    (THREE, "y = MultiHeadAttention<num_heads = 2>(q, k, v, , m)", {"m": KEPT}),
    (f"{THREE}, float[2,2,3,5] a", "y = MultiHeadAttention<num_heads = 2>(q, k, v, , , a)", {}),
    (
        "float[2,3,8] q, float[2,2,3,4] k, float[2,2,3,4] v",
        "y = MultiHeadAttention<num_heads = 2, unidirectional = 1>(q, k, v)",
        {},
    ),
    (
        "float[2,3,8] q, float[2,3,8] k, float[2,3,8] v, float[2,2,2,4] pk, float[2,2,2,4] pv",
        "y, nk, nv = MultiHeadAttention<num_heads = 2>(q, k, v, , , , pk, pv)",
        {},
    ),
    (
        f"{X}, float[2,2,2,2,4] o",
        "y, n = Attention<num_heads = 2, unidirectional = 1>(x, w, b, , o)",
        PROJECTION,
    ),
    (X, "y = Attention<num_heads = 2>(x, w, b)", PROJECTION),
    (X, "y = Attention<num_heads = 2, unidirectional = 1>(x, w, b)", PROJECTION),
    (X, "y = Attention<num_heads = 2>(x, w, b, m)", {**PROJECTION, "m": KEPT[:, :3] * 1}),
    ("float[2,2,3,4] x", "y = RotaryEmbedding(x, p, cos, sin)", {**CACHES, "p": np.array([[0, 1, 2], [3, 2, 5]])}),
    ("float[2,3,8] x", "y = RotaryEmbedding<interleaved = 1>(x, p, cos, sin)", {**CACHES, "p": np.array([2])}),
    (X, "y = Attention<num_heads = 2>(x, w, b, n)", {**PROJECTION, "n": np.array([3, 2], np.int32)}),
    (X, "y = Attention<num_heads = 2>(x, w, b, n)", {**PROJECTION, "n": np.array([3, 2, 1, 0], np.int32)}),
    (f"{X}, int32[2] n", "y = Attention<num_heads = 2>(x, w, b, n)", PROJECTION),
    *(
        (f"{GROUPED}{more}", f"y = GroupQueryAttention<{FEW}{attributes}>(q, {operands})", SIZES)
        for more, attributes, operands in (
            ("", "", "k, v, , , ends, total"),
            ("", ", softcap = 0.5, scale = 0.7", "k, v, , , ends, total"),
            ("", ", local_window_size = 2", "k, v, , , ends, total"),
            ("", ", smooth_softmax = 1", "k, v, , , ends, total"),
            ("", "", "k, v, , , ends, total, , , , , sink"),
            ("", ", do_rotary = 1", "k, v, , , ends, total, wide_cos, wide_sin"),
            (", float[2,1,3,3] a", "", "k, v, , , ends, total, , , , a"),
        )
    ),
    (
        "float[1,3,32] q, float[1,3,16] k, float[1,3,16] v, float[1,1,2,16] pk, float[1,1,2,16] pv",
        f"y, nk, nv = GroupQueryAttention<{FEW}, do_rotary = 1>(q, k, v, pk, pv, after, whole, wide_cos, wide_sin)",
        SIZES,
    ),
    ("float[2,3,64] q", f"y, nk, nv = GroupQueryAttention<{FEW}>(q, , , , , ends, total)", SIZES),
    ("int32[2,3] i", "y, m = EmbedLayerNormalization<epsilon = 0.01>(i, , w, p, , g, b)", EMBEDDINGS),
    ("int32[2,3] i, int32[2,3] s", "y, m = EmbedLayerNormalization<epsilon = 0.01>(i, s, w, p, t, g, b)", EMBEDDINGS),
]


def made_of(inputs: str, body: str, constants: dict[str, Any]) -> Quantized:
    """The model on 40 uniform samples (indices of 0 and 1), with what its operands name of the constants."""
    node = body.replace("= ", "= com.microsoft.", 1)
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    outputs = [name.strip() for name in body.split(" = ", maxsplit=1)[0].split(",") if name.strip() not in ("m", "i")]
    used = {name: value for name, value in constants.items() if name in words}
    model = onnx_model(f"{inputs}) => ({', '.join(f'float {name}' for name in outputs)})", node, used)
    data = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        whole = value.type.tensor_type.elem_type != 1
        data[value.name] = R.integers(0, 2, (40, *shape)) if whole else R.uniform(-1, 1, (40, *shape))
    return quantized(model, data, Options(table_bits=14))


@pytest.mark.parametrize(("inputs", "body", "constants"), CASES, ids=[f"{case[1]} {case[0][:14]}" for case in CASES])
def test_as_onnxruntime(inputs: str, body: str, constants: dict[str, Any]) -> None:
    made = made_of(inputs, body, constants)
    assert max(output.max_relative for output in made.report.outputs) <= 0.005


def chained(body: str, inputs: str, outputs: str, constants: dict[str, Any], opset: int = 17) -> Quantized:
    """Nodes with their domains written out, on 40 samples of 0, 1 or uniform reals."""
    model = onnx_model(f"{inputs}) => ({outputs})", body, constants, opset)
    data = {}
    for value in model.graph.input:
        shape, whole = [d.dim_value for d in value.type.tensor_type.shape.dim], value.type.tensor_type.elem_type != 1
        data[value.name] = R.integers(0, 2, (40, *shape)) if whole else R.uniform(-1, 1, (40, *shape))
        if value.name == "kept":
            data[value.name] = np.sort(data[value.name], axis=-1)[..., ::-1].copy()
            data[value.name][..., 0] = 1
    return quantized(model, data, Options(table_bits=14))


def test_an_optimized_bert_counts_its_words() -> None:
    """EmbedLayerNormalization gives how many words the mask leaves, and Attention takes that for its mask."""
    body = "e, l = com.microsoft.EmbedLayerNormalization(i, , w, p, , g, b, kept)"
    body += " y = com.microsoft.Attention<num_heads = 2>(e, pw, pb, l)"
    constants = {**{name: EMBEDDINGS[name] for name in "wpgb"}, "pw": PROJECTION["w"], "pb": PROJECTION["b"]}
    made = chained(body, "int32[2,3] i, int32[2,3] kept", "float[2,3,8] y", constants)
    assert max(output.max_relative for output in made.report.outputs) <= 0.005


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("y = SimplifiedLayerNormalization<epsilon = 0.01>(x, g)", {"g": GAMMA}),
        ("y = LayerNormalization<epsilon = 0.01>(x, g, b)", {"g": GAMMA, "b": BETA}),
    ],
)
def test_what_onnxruntime_writes_into_the_default_domain(body: str, constants: dict[str, Any]) -> None:
    made = chained(body, X, "float[2,3,8] y", constants, opset=13)
    assert max(output.max_relative for output in made.report.outputs) <= 0.005


@pytest.mark.parametrize("attributes", ["", ", do_rotary = 1"])
@pytest.mark.parametrize("room", [5, 6])
def test_a_cache_that_is_filled_in_part(attributes: str, room: int) -> None:
    """One new token behind as many as an input says, in a cache with room for it, or one that grows."""
    caches = ", wide_cos, wide_sin" if attributes else ""
    body = f"y, nk, nv = com.microsoft.GroupQueryAttention<{FEW}{attributes}>(q, k, v, pk, pv, n, total{caches})"
    given = "float[2,1,32] q, float[2,1,16] k, float[2,1,16] v, float[2,1,5,16] pk, float[2,1,5,16] pv, int32[2] n"
    constants = {"total": np.array(room, np.int32)}
    if attributes:
        constants |= {name: SIZES[name] for name in ("wide_cos", "wide_sin")}
    shown = f"float[2,1,32] y, float[2,1,{room},16] nk, float[2,1,{room},16] nv"
    model = onnx_model(f"{given}) => ({shown})", body, constants)
    sizes = {"q": (2, 1, 32), "k": (2, 1, 16), "v": (2, 1, 16), "pk": (2, 1, 5, 16), "pv": (2, 1, 5, 16)}
    data = {name: R.uniform(-1, 1, (24, *shape)) for name, shape in sizes.items()}
    data["n"] = R.integers(0, room, (24, 2))
    for row, ends in enumerate(data["n"]):  # what is not filled is zero, as nobody says what becomes of it
        for batch, end in enumerate(ends):
            data["pk"][row, batch, :, end:] = data["pv"][row, batch, :, end:] = 0.0
    report = quantized(model, data, Options(table_bits=13)).report
    assert max(output.max_relative for output in report.outputs) <= 0.005


def test_functions_become_one_table() -> None:
    made = made_of("float[2,3] x", "y = FastGelu(x)", {})
    assert made.builder.unit_count == 12
    assert "Tanh" in operators(made.graph)


@pytest.mark.parametrize(
    ("inputs", "body", "constants", "message"),
    [
        (f"{X}, float[2,3,8] z", "y, m = SkipLayerNormalization(x, z, g)", LAST, "its outputs mean and inv_std_var"),
        (
            X,
            "y = Attention<num_heads = 2>(x, w, b, m)",
            {**PROJECTION, "m": np.array([3, 2, 1], np.int32)},
            "its mask must be 0 or 1 for each key",
        ),
        (
            f"{GROUPED}, float[2,1,2,16] pk, float[2,1,2,16] pv, int32[2] n",
            f"y = GroupQueryAttention<{FEW}>(q, k, v, pk, pv, n, whole)",
            SIZES,
            "its cache of 2 positions must be full: make seqlens_k a constant of 4",  # not of several tokens
        ),
        (
            X,
            "y = Attention<num_heads = 2, do_rotary = 1>(x, w, b)",
            PROJECTION,
            "its rotary embedding is not supported",
        ),
    ],
)
def test_refused(inputs: str, body: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        made_of(inputs, body.replace("y, m", "y, mean"), constants)
