"""Quotients that a choice guards against a divisor of zero: in numbers, and in a table where what is chosen is zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.graph import CompileError
from plonnx.compiler.passes.guarded_divisors import guarded_divisors
from plonnx.gadgets.comparison import Comparison
from plonnx.gadgets.product import Product
from tests.compiler.small import assert_as_onnxruntime, graph_of, onnx_model

SIGNATURE = "float[6] x, float[6] d) => (float[6] y)"
CONSTANTS: dict[str, Any] = {"o": np.array(0.0), "c": np.array(0.5), "e": np.array(0.1), "many": np.arange(6) / 6.0}


def samples(count: int = 40, negative: bool = True) -> dict[str, np.ndarray[Any, Any]]:
    """Divisors of which a third is zero, and none nearly."""
    r = np.random.RandomState(0)
    d = r.uniform(0.3, 2, (count, 6)) * r.choice([-1, 0, 1] if negative else [0, 1], (count, 6))
    return {"x": r.uniform(-1, 1, (count, 6)).astype(np.float32), "d": d.astype(np.float32)}


ZERO = {
    "equal": "z = Equal(d, o) q = Div(x, d) y = Where(z, o, q)",
    "the other way": "z = Equal(o, d) n = Not(z) q = Div(x, d) y = Where(n, q, o)",
    "small": "s = Abs(d) z = Greater(s, e) q = Div(x, d) y = Where(z, q, o)",
    "positive": "z = Greater(d, o) q = Div(x, d) y = Where(z, q, o)",
}


@pytest.mark.parametrize("body", ZERO.values(), ids=ZERO)
def test_a_quotient_or_zero_is_a_product_with_a_table(body: str) -> None:
    made = assert_as_onnxruntime(onnx_model(SIGNATURE, body, CONSTANTS), samples(), 0.004, table_bits=13)
    kinds = [type(block) for block in made.builder.blocks]
    assert kinds.count(Product) == 1 and Comparison not in kinds
    assert sum(block.count for block in made.builder.blocks) == 4 * 6


@pytest.mark.parametrize("other", ["c", "many", "x"])
def test_a_quotient_or_another_number(other: str) -> None:
    body = f"z = Equal(d, o) q = Div(x, d) y = Where(z, {other}, q)"
    assert_as_onnxruntime(onnx_model(SIGNATURE, body, CONSTANTS), samples(), 0.004, table_bits=13)


def test_a_divisor_for_a_row() -> None:
    body = "s = ReduceSum<keepdims = 1>(d) z = Equal(s, o) q = Div(x, s) y = Where(z, o, q)"
    given = samples(negative=False)
    given["d"] = np.where(np.arange(40)[:, None] % 3 == 0, 0, given["d"] + 1).astype(np.float32)
    assert_as_onnxruntime(onnx_model(SIGNATURE, body, CONSTANTS), given, 0.004, table_bits=14)


@pytest.mark.parametrize(
    "body",
    [
        "z = Equal(d, o) q = Div(x, d) y = Where(z, q, o)",  # what is divided by zero is what is chosen
        "z = Equal(x, o) q = Div(x, d) y = Where(z, o, q)",  # another tensor decides
        "z = Equal(d, many) q = Div(x, d) y = Where(z, o, q)",  # not alike everywhere
        "z = Equal(d, o) q = Div(x, c) y = Where(z, o, q)",
        "z = Less(d, o) q = Div(x, d) y = Where(z, o, q)",  # zero is not less
    ],
)
def test_others_stay(tmp_path: Path, body: str) -> None:
    graph = graph_of(tmp_path, SIGNATURE, body, CONSTANTS)
    assert guarded_divisors(graph) is graph


def test_a_quotient_that_others_read_and_private_models_stay(tmp_path: Path) -> None:
    shown = f"{SIGNATURE[:-1]}, float[6] n)"
    graph = graph_of(tmp_path, shown, f"{ZERO['equal']} n = Neg(q)", CONSTANTS)
    assert guarded_divisors(graph) is graph
    alone = graph_of(tmp_path, SIGNATURE, ZERO["equal"], CONSTANTS)
    assert guarded_divisors(alone) is not alone and guarded_divisors(alone, hidden=True) is alone
    with pytest.raises(CompileError, match="infinite or not a number"):
        assert_as_onnxruntime(onnx_model(SIGNATURE, ZERO["equal"], CONSTANTS), samples(), model="private")
