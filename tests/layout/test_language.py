"""Language models: perplexity and next tokens, by hand and of a small model's report and evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plonnx
from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.options import Options
from plonnx.compiler.tensor_error import TensorError
from plonnx.inspection import accuracy_lines
from plonnx.layout.language import next_tokens, perplexity, token_ids
from tests.compiler.small import onnx_model

R = np.random.default_rng(4)
S, V, D = 6, 11, 4
MODEL = onnx_model(
    f"int64[1,{S}] ids) => (float[1,{S},{V}] logits)",
    "e = Gather(w, ids) h = Tanh(e) logits = MatMul(h, u)",
    {"w": R.normal(size=(V, D)), "u": 3.0 * R.normal(size=(D, V))},
)
IDS = R.integers(0, V, (20, 1, S))


def by_hand(scores: np.ndarray, ids: np.ndarray) -> float:
    """Position by position."""
    total, count = 0.0, 0
    for row, tokens in zip(scores.reshape(-1, S, V), ids.reshape(-1, S), strict=True):
        for p in range(S - 1):
            shares = np.exp(row[p] - row[p].max())
            total -= float(np.log(shares[tokens[p + 1]] / shares.sum()))
            count += 1
    return float(np.exp(total / count))


def expected() -> np.ndarray:
    oracle = FloatModel(MODEL)
    return np.stack([oracle.run({"ids": ids})["logits"] for ids in IDS])


def test_perplexity() -> None:
    scores = R.normal(size=(20, 1, S, V)) * 50
    assert perplexity(scores, IDS) == pytest.approx(by_hand(scores, IDS))
    assert perplexity(np.zeros((2, S, V)), IDS[:2]) == pytest.approx(V)  # nothing known: each token is as likely
    assert perplexity(scores, IDS + V) is None


def test_next_tokens() -> None:
    scores = R.normal(size=(5, S, V))
    other = scores.copy()
    other[0, 0] = -other[0, 0]
    assert next_tokens(scores, scores) == 1.0
    assert next_tokens(other, scores) == 1.0 - 1 / (5 * S)


@pytest.mark.parametrize(
    ("inputs", "output", "found"),
    [
        ({"ids": ((1, S), "int64")}, ((1, S, V), "float32"), "ids"),
        ({"ids": ((S,), "int32")}, ((1, S, V), "float32"), "ids"),
        ({"attention_mask": ((1, S), "int64"), "input_ids": ((1, S), "int64")}, ((1, S, V), "float32"), "input_ids"),
        ({"x": ((1, S), "float32")}, ((1, S, V), "float32"), None),
        ({"ids": ((1, S), "int64")}, ((1, V), "float32"), None),  # scores of the last position alone
        ({"ids": ((1, S), "int64")}, ((1, S, V), "int64"), None),
    ],
)
def test_where_there_are_tokens(inputs: dict[str, Any], output: tuple[tuple[int, ...], str], found: str | None) -> None:
    assert token_ids(inputs, output) == found


def test_the_report_has_both() -> None:
    report = quantized(MODEL, {"ids": IDS}, Options(table_bits=12)).report
    (logits,) = report.outputs
    assert logits.next_tokens == logits.top1 and logits.next_tokens is not None and logits.next_tokens >= 0.98
    assert logits.perplexity is not None
    assert logits.perplexity[0] == pytest.approx(by_hand(expected(), IDS))
    assert logits.perplexity[1] == pytest.approx(logits.perplexity[0], rel=0.02)
    (line,) = accuracy_lines(report.as_json())
    assert "next token" in line and "perplexity" in line


def test_other_tokens_take_a_larger_table() -> None:
    """An output within its error target whose next tokens are others is not reached."""
    close = TensorError("logits", 1e-3, 1e-4, 1e-3, 1e-4, 1e-3, 1.0, 0.97, next_tokens=0.97)
    assert close.excess(0.003) == pytest.approx(1.5)
    far = TensorError("logits", 1e-3, 1e-4, 1e-3, 1e-4, 1e-3, 1.0, 0.0, next_tokens=0.0)
    assert far.excess(0.003) == 2.5  # which refuses no model
    coarse = quantized(MODEL, {"ids": IDS}, Options(table_bits=4, error_target=1.0))
    said = coarse.report.outputs[0].next_tokens
    assert said is not None and said < 0.98 and not coarse.report.reached
    assert "next token" in str(coarse.report.missed)
    said = quantized(MODEL, {"ids": IDS}, Options(error_target=1.0)).report.outputs[0].next_tokens
    assert said is not None and said >= 0.98


def test_evaluation() -> None:
    circuit = plonnx.compile(MODEL, data={"ids": IDS}, table_bits=12)
    found = plonnx.evaluate(circuit, {"ids": IDS}, model=MODEL)
    assert found["float"]["perplexity"] == pytest.approx(by_hand(expected(), IDS))
    assert found["circuit"]["perplexity"] == pytest.approx(found["float"]["perplexity"], rel=0.02)
    assert found["agreement"]["next_tokens"] >= 0.98
