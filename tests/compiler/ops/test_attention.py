"""Attention and rotary embeddings against onnxruntime (or the reference evaluator); masks, constant and computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets.linear.combination import Combination
from plonnx.gadgets.linear.matmul import MatMul
from plonnx.layout import search
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_setup
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, compiled, onnx_model
from tests.compiler.test_secrets import first

INF = np.inf
Q, K, V = "float[1,2,3,4] q", "float[1,2,5,4] k", "float[1,2,5,3] v"
FOUR = f"{Q}, {K}, {V}) => (float y)"
GROUPED = f"float[1,4,3,4] q, {K}, {V}) => (float y)"
THREE = "float[1,3,8] q, float[1,5,8] k, float[1,5,6] v) => (float y)"
PAST = f"{Q}, {K}, {V}, float[1,2,2,4] pk, float[1,2,2,3] pv) => (float y, float nk, float nv)"
HEADS = "q_num_heads = 2, kv_num_heads = 2"
BANNED = np.array([[0.0, -INF, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, -INF, -INF], [0.0, 0.0, 0.0, 0.0, -1.0]])
CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    (FOUR, "y = Attention(q, k, v)", 23, {}),
    (FOUR, "y = Attention<scale = 0.3, softcap = 2.0>(q, k, v)", 23, {}),
    (FOUR, "y = Attention<is_causal = 1>(q, k, v)", 23, {}),
    (FOUR, "y = Attention(q, k, v, m)", 23, {"m": BANNED}),
    (FOUR, "y = Attention(q, k, v, m)", 23, {"m": BANNED > -1.0}),
    (FOUR, "y = Attention<is_causal = 1>(q, k, v, m)", 23, {"m": np.stack([BANNED > -1.0, BANNED >= -1.0])}),
    (GROUPED, "y = Attention(q, k, v)", 23, {}),
    (THREE, f"y = Attention<{HEADS}>(q, k, v)", 23, {}),
    (PAST, "y, nk, nv = Attention<is_causal = 1>(q, k, v, , pk, pv)", 24, {}),
    (FOUR, "y = Attention<is_causal = 1>(q, k, v, , , , n)", 24, {"n": np.array([4])}),
    (FOUR, "h, i, j, y = Attention<qk_matmul_output_mode = 3>(q, k, v)", 23, {}),
    (f"{Q}, {K}, {V}, float[3,5] m) => (float y)", "y = Attention(q, k, v, m)", 23, {}),
    (f"{Q}) => (float y)", "y = RotaryEmbedding(q, c, s, p)", 23, {"p": np.array([[2, 0, 1]])}),
    (f"{Q}) => (float y)", "y = RotaryEmbedding<interleaved = 1>(q, c, s, p)", 23, {"p": np.array([[2, 0, 1]])}),
    (
        "float[1,3,12] q) => (float y)",
        "y = RotaryEmbedding<num_heads = 2, rotary_embedding_dim = 4>(q, c, s, p)",
        23,
        {"p": np.array([[2, 0, 1]])},
    ),
    ("float[1,3,8] q) => (float y)", "y = RotaryEmbedding<num_heads = 2>(q, d, e)", 23, {}),
]
ANGLES = np.random.default_rng(3).uniform(-3, 3, (4, 2))
KNOWN = {"c": np.cos(ANGLES), "s": np.sin(ANGLES), "d": np.cos(ANGLES[None, :3]), "e": np.sin(ANGLES[None, :3])}


@pytest.mark.parametrize(("signature", "body", "opset", "constants"), CASES, ids=[f"{c[1]} {c[0][:16]}" for c in CASES])
def test_as_onnxruntime(tmp_path: Path, signature: str, body: str, opset: int, constants: dict[str, Any]) -> None:
    given = {**KNOWN, **constants}
    used = {n: v for n, v in given.items() if n in body.replace("(", " ").replace(")", " ").replace(",", " ").split()}
    assert_accurate(compiled(tmp_path, signature, body, used, opset))


def test_keys_that_heads_share_stand_once(tmp_path: Path) -> None:
    made = compiled(tmp_path, GROUPED, "y = Attention(q, k, v)", {}, 23)
    found = [block for block in made.builder.blocks if isinstance(block, MatMul)]
    ones = 1  # a cell beside all values, so that the product gives each head's sums, too
    assert [np.unique(block.operands).size for block in found] == [4 * 3 * 4 + 2 * 5 * 4, 4 * 3 * 5 + 2 * 5 * 3 + ones]


def test_scores_are_shifted_in_place(tmp_path: Path) -> None:
    """Scores minus their row's maximum: a unit each, and nothing is copied for it but what the exponentials read."""
    body = "t = Transpose<perm = [0, 1, 3, 2]>(k) s = MatMul(q, t) y = Softmax(s)"
    made = compiled(tmp_path, "float[1,2,8,4] q, float[1,2,8,4] k) => (float y)", body)
    (shifted,) = (block for block in made.builder.blocks if isinstance(block, Combination))
    assert (shifted.alike, shifted.channels, shifted.applies is None) == ((1, 8), (16, 8), False)
    assert_accurate(made)
    hidden = compiled(
        tmp_path, "float[1,2,8,4] q, float[1,2,8,4] k) => (float y)", f"{body} ", {"w": np.ones(1)}, model="private"
    )
    assert not any(isinstance(block, Combination) for block in hidden.builder.blocks)


# Masks that depend on inputs ------------------------------------------------------------------------------------------


def padded(body: str, kind: str, low: float = -3.4e38, opset: int = 17) -> tuple[Quantized, dict[str, Any]]:
    """A softmax over scores x [2, 6] of which mask [6] keeps the first few, at least one."""
    random = np.random.default_rng(4)
    data = {
        "x": random.uniform(-5, 5, (40, 2, 6)),
        "m": (np.arange(6) < random.integers(1, 7, (40, 1))).astype(np.float64),
    }
    constants = {"low": np.array(low), "one": np.array(1.0), "zero": np.array(0.0), "minus": np.array(-low)}
    model = onnx_model(
        f"float[2,6] x, {kind}[6] m) => (float y)", body, {n: v for n, v in constants.items() if n in body}, opset
    )
    return quantized(model, data, Options(table_bits=13)), data


FORMS = [
    ("f = Cast<to = 1>(m) n = Sub(one, f) b = Mul(n, low) a = Add(x, b) y = Softmax(a)", "int64"),
    ("f = Sub(m, one) b = Mul(f, minus) a = Add(x, b) y = Softmax(a)", "float"),
    ("a = Where(m, x, low) y = Softmax(a)", "bool"),
    ("b = Where(m, zero, low) a = Add(b, x) y = Softmax(a)", "bool"),
]


@pytest.mark.parametrize(("body", "kind"), FORMS)
@pytest.mark.parametrize("low", [-3.4e38, -1e9, -10000.0])
def test_masks_that_are_computed(body: str, kind: str, low: float) -> None:
    made, data = padded(body, kind, low)
    got = made.evaluate(data)["y"]
    powers = np.exp(data["x"]) * data["m"][:, None]
    assert np.abs(got - powers / powers.sum(axis=-1, keepdims=True)).max() < 0.005
    assert not got[np.broadcast_to(data["m"][:, None] == 0, got.shape)].any()


def test_a_boolean_mask_of_infinity() -> None:
    made, data = padded("a = Where(m, x, low) y = Softmax(a)", "bool", -INF)
    powers = np.exp(data["x"]) * data["m"][:, None]
    assert np.abs(made.evaluate(data)["y"] - powers / powers.sum(axis=-1, keepdims=True)).max() < 0.005


def test_a_computed_mask_that_leads_elsewhere_stays_as_it_is() -> None:
    made, data = padded("y = Where(m, x, low)", "bool", -10000.0)
    assert made.evaluate(data)["y"].min() < -9000


@pytest.mark.parametrize("attributes", ["", "<is_causal = 1>", "<left_window_size = 1, right_window_size = 1>"])
def test_lengths_that_are_computed(attributes: str) -> None:
    """Keys end where an input says; a query before the first of them has nothing to look at, and gives zeros."""
    random = np.random.default_rng(7)
    model = onnx_model(FOUR.replace(")", ", int64[1] n)", 1), f"y = Attention{attributes}(q, k, v, , , , n)", {}, 25)
    shapes = {"q": (1, 2, 3, 4), "k": (1, 2, 5, 4), "v": (1, 2, 5, 3)}
    data = {name: random.uniform(-1, 1, (40, *shape)) for name, shape in shapes.items()}
    data["n"] = np.resize(np.arange(1, 6), (40, 1))
    assert_as_onnxruntime(model, {n: v.astype(np.int64 if n == "n" else np.float32) for n, v in data.items()}, 0.005)


@pytest.mark.parametrize(("attributes", "shape"), [("", (3, 5)), ("<is_causal = 1>", (1, 2, 3, 5)), ("", (1, 1, 1, 5))])
def test_a_row_of_which_an_input_hides_everything_is_zero(attributes: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(8)
    kind = ",".join(map(str, shape))
    model = onnx_model(f"{Q}, {K}, {V}, bool[{kind}] m) => (float y)", f"y = Attention{attributes}(q, k, v, m)", {}, 24)
    shapes = {"q": (1, 2, 3, 4), "k": (1, 2, 5, 4), "v": (1, 2, 5, 3)}
    data: dict[str, Any] = {n: random.uniform(-1, 1, (40, *s)).astype(np.float32) for n, s in shapes.items()}
    data["m"] = random.uniform(size=(40, *shape)) < random.choice([0.0, 0.3, 1.0], (40, *(1,) * len(shape)))
    made = assert_as_onnxruntime(model, data, 0.005)
    empty = ~data["m"].any(axis=tuple(range(1, data["m"].ndim)))
    assert empty.any() and not made.evaluate(data)["y"][empty].any()


# Proofs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["public", "private"])
def test_proved(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """A head of self attention with its projections, causal."""
    monkeypatch.setattr(search, "choices", first)
    random = np.random.default_rng(5)
    body = "q = MatMul(x, a) k = MatMul(x, b) v = MatMul(x, c)"
    body += " h = Attention<is_causal = 1, q_num_heads = 2, kv_num_heads = 1>(q, k, v) y = MatMul(h, d)"
    constants = {
        "a": random.normal(size=(4, 4)),
        "b": random.normal(size=(4, 2)),
        "c": random.normal(size=(4, 2)),
        "d": random.normal(size=(4, 3)),
    }
    x = random.uniform(-1, 1, (20, 1, 4, 4))
    circuit = compile_model(
        onnx_model("float[1,4,4] x) => (float y)", body, constants, 23),
        {"x": x},
        Options(table_bits=9, model=model, weight_bits=20 if model == "private" else None),
    )
    inputs = circuit.read_inputs({"x": x[0]})
    assert circuit.mock(inputs) == []
    if model == "public":
        srs = for_setup(circuit.srs_k, unsafe=True)
        pk = circuit.keygen(srs)
        verify(pk.vk, prove(pk, circuit.witness(inputs), srs))
