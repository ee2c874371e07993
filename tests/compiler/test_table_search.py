"""Sizes that the search for a table passes over: it finds what it would find by trying all of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from plonnx.compiler import table_search
from plonnx.compiler.compile import quantized
from plonnx.compiler.judging import Judge
from plonnx.compiler.options import Options
from plonnx.compiler.table_search import TableSearch
from tests.compiler.small import onnx_model

SIZES = range(8, 17)


def turns(errors: dict[int, float], worse: float = np.inf, target: float = 1.0) -> list[int]:
    """The sizes that are tried where none is within the targets."""
    kept, tried = SimpleNamespace(errors=dict[int, float]()), []
    for bits in TableSearch._in_turn(cast(Any, SimpleNamespace(target=target)), SIZES, cast(Any, kept), worse):
        tried.append(bits)
        kept.errors[bits] = errors.get(bits, 0.0)
    return tried


def test_what_one_bit_more_cannot_mend_is_passed_over() -> None:
    assert turns({}) == list(SIZES)
    assert turns({8: 8.0}) == list(SIZES)
    assert turns({8: 8.1}, worse=0.0) == [8, *range(10, 17)]
    assert turns({8: 65.0, 11: 65.0}, worse=0.0) == [8, 11, 14, 15, 16]
    assert turns({8: np.inf}, target=np.inf) == list(SIZES)


def test_the_largest_is_tried_and_then_what_was_passed_over() -> None:
    errors = dict.fromkeys(SIZES, 1e9)
    assert turns(errors) == [8, 16, *range(9, 16)]
    assert turns(errors, worse=1e9) == [8, 16]


@pytest.mark.parametrize("target", [0.01, 0.0005, 1e-6])
def test_as_if_all_were_tried(monkeypatch: pytest.MonkeyPatch, target: float) -> None:
    random = np.random.default_rng(5)
    x = random.uniform(-1, 1, (20, 6))
    model = onnx_model("float[6] x) => (float[6] y)", "s = Sigmoid(x)\n y = Mul(s, x)")

    def found() -> tuple[Any, int]:
        said: list[str] = []
        made = quantized(model, {"x": x}, Options(error_target=target), said.append)
        return made.report.as_json(), sum("a table of" in line for line in said)

    few, tried = found()
    monkeypatch.setattr(table_search, "FALL", 1e30)
    every, all_tried = found()
    assert few == every
    assert tried == all_tried - (target == 0.0005)  # one that no size reaches tries all in the end


def test_one_that_was_passed_over_may_be_the_only_one_within_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a circuit of 2^9 were within them, after all: it is taken, and said to be."""
    monkeypatch.setattr(table_search, "LARGER_TABLES", range(0))
    monkeypatch.setattr(table_search, "FREEDOMS", ())
    held = Judge.within
    monkeypatch.setattr(Judge, "reaches", lambda self, built: built.bits == 9)
    monkeypatch.setattr(Judge, "known", lambda self, built: 1.0)
    monkeypatch.setattr(Judge, "within", lambda self, built: held(self, built) or built.bits == 9)
    x = np.random.default_rng(5).uniform(-1, 1, (20, 6))
    said: list[str] = []
    made = quantized(
        onnx_model("float[6] x) => (float[6] y)", "s = Sigmoid(x)\n y = Mul(s, x)"),
        {"x": x},
        Options(error_target=0.0005),
        said.append,
    )
    sizes = [int(line.partition("2^")[2]) for line in said if "a table of" in line]
    assert sizes == [8, 12, 16, 9]
    assert made.report.table_bits == 9


@pytest.mark.parametrize(("spread", "least"), [(100.0, 12), (1.0, 8)])
def test_a_choice_among_what_is_clipped_narrowly_takes_no_coarse_table(spread: float, least: int) -> None:
    """All samples lie far outside the bounds: whatever the table, they are decided as by the float model."""
    x = np.random.default_rng(6).choice([-spread, spread], (40, 1, 3))
    x[:, 0, 0] = spread
    made = quantized(
        onnx_model(
            "float[1,3] x) => (int64[1] y)",
            "w = Sub(x, m) c = Clip(w, l, h) y = ArgMax<axis = 1, keepdims = 0>(c)",
            {"m": np.zeros(3), "l": np.float32(-1), "h": np.float32(1)},
        ),
        {"x": x},
        Options(),
    )
    assert made.report.table_bits == least
