"""Outlier channels 1,000 times the rest in a residual stream, as trained GPT-2 has them, and scores of a wide range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets.function import Lookup
from tests.compiler.small import in_some_layout, onnx_model

TOKENS, WIDTH, WORDS = 10, 8, 20
NORMS = {"gpt": "LayerNormalization<axis = -1>({x}, g{n}, b{n})", "llama": "RMSNormalization<axis = -1>({x}, g{n})"}
BODY = """e = Gather(words, ids) s0 = Add(e, places) n0 = {0} q = MatMul(n0, wq) k = MatMul(n0, wk) v = MatMul(n0, wv)
    t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) a = Add(s, mask) p = Softmax<axis = -1>(a) c = MatMul(p, v)
    o = MatMul(c, wo) s1 = Add(s0, o) n1 = {1} h = MatMul(n1, w1) r = Relu(h) d = MatMul(r, w2) s2 = Add(s1, d)
    n2 = {2} logits = MatMul(n2, head)"""


def block(style: str, outlier: float, width: float, seed: int = 0) -> tuple[Any, np.ndarray]:
    """A block whose stream has two channels of `outlier`, and whose scores are some `width` wide; calibration ids."""
    random = np.random.default_rng(seed)
    words = random.normal(size=(WORDS, WIDTH))
    if outlier > 1.0:
        words[:, [3, 6]] = outlier * np.exp(0.1 * random.normal(size=(WORDS, 1))) * [1.0, -1.0]
    rms = float(np.sqrt(np.mean(words**2)))
    gain = np.where(np.abs(words).max(axis=0) > 30.0, rms / outlier, rms)
    square = {name: random.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5 for name in ("wk", "wv", "wo")}
    constants = {
        **square,
        "words": words,
        "places": 0.5 * random.normal(size=(1, TOKENS, WIDTH)),
        "wq": (width / 4.0) * random.normal(size=(WIDTH, WIDTH)) / WIDTH,
        "w1": random.normal(size=(WIDTH, 2 * WIDTH)) / WIDTH**0.5,
        "w2": random.normal(size=(2 * WIDTH, WIDTH)) / WIDTH**0.5,
        "head": random.normal(size=(WIDTH, WORDS)) / WIDTH**0.5,
        "mask": np.where(np.tri(TOKENS, dtype=bool), 0.0, -np.inf),
        **{f"g{n}": gain * random.uniform(0.8, 1.2, WIDTH) for n in range(3)},
        **{f"b{n}": 0.1 * random.normal(size=WIDTH) for n in range(3)},
    }
    if style == "llama":
        constants = {name: value for name, value in constants.items() if not name.startswith("b")}
    norms = (NORMS[style].format(x=f"s{n}", n=n) for n in range(3))
    model = onnx_model(
        f"int64[1,{TOKENS}] ids) => (float[1,{TOKENS},{WORDS}] logits)", BODY.format(*norms), constants, 23
    )
    return model, random.integers(0, WORDS, (16, 1, TOKENS))


def made_of(style: str, outlier: float, width: float, **options: Any) -> Quantized:
    model, ids = block(style, outlier, width)
    return quantized(model, {"ids": ids}, Options(**options))


@pytest.mark.parametrize(("style", "outlier", "width"), [("gpt", 1e3, 4.0), ("llama", 1e3, 4.0), ("gpt", 1.0, 100.0)])
def test_both_targets_are_reached(style: str, outlier: float, width: float) -> None:
    report = made_of(style, outlier, width).report
    assert report.reached, report.missed
    (logits,) = report.outputs
    assert logits.next_tokens is not None and logits.next_tokens >= 0.98
    assert report.table_bits <= (15 if width < 10.0 else 18)


def test_outliers_cost_nothing() -> None:
    """Powers of two go into the weights: hardly a unit more than without outliers, but for squares.

    Those of channels that have powers of their own are weighed: they are no sum of squares in place.
    """
    plain, wide = (made_of("gpt", outlier, 4.0, table_bits=14) for outlier in (1.0, 1000.0))
    squares = sum(isinstance(block, Lookup) * block.count for block in wide.builder.blocks)
    assert wide.builder.unit_count - squares <= 1.1 * plain.builder.unit_count


def test_its_circuit() -> None:
    model, ids = block("gpt", 1000.0, 4.0)
    circuit = in_some_layout(model, {"ids": ids}, table_bits=12, error_target=0.01)
    assert circuit.mock(circuit.read_inputs({"ids": ids[0]})) == []
