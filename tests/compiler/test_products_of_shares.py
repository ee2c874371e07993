"""Attention divides after its product: fewer units, and what onnxruntime gives, whatever the mask and the scores."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from plonnx.compiler.compile import quantized
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.compiler.products_of_shares import cheaper
from plonnx.compiler.quantized import Quantized
from tests.compiler.small import in_some_layout, onnx_model, operators

S, D = 12, 4
CAUSAL = np.tri(S, dtype=bool)
SIGNATURE = f"float[2,{S},{D}] q, float[2,{D},{S}] k, float[2,{S},{D}] v) => (float y)"
BODIES = {
    "no mask": ("s = MatMul(q, k) p = Softmax(s) y = MatMul(p, v)", {}),
    "added": ("s = MatMul(q, k) a = Add(s, m) p = Softmax(a) y = MatMul(p, v)", {"m": np.where(CAUSAL, 0, -np.inf)}),
    "chosen": (
        "s = MatMul(q, k) a = Where(keep, s, low) p = Softmax(a) y = MatMul(p, v)",
        {"keep": CAUSAL, "low": np.array(-1e9)},
    ),
    "chosen and scaled": (
        "s = MatMul(q, k) t = Mul(s, half) a = Where(keep, t, low) p = Softmax<axis = 2>(a) y = MatMul(p, v)",
        {"keep": CAUSAL, "low": np.array(float(np.finfo(np.float32).min)), "half": np.array(0.5)},
    ),
}


def attention(name: str, opset: int = 17) -> ModelProto:
    body, constants = BODIES[name]
    return onnx_model(SIGNATURE, body, constants, opset)


def drawn(width: float, values: float = 1.0, count: int = 24) -> dict[str, np.ndarray]:
    """Scores up to `width` and values up to `values`."""
    random, reach = np.random.default_rng(5), (width / D) ** 0.5
    shapes = {"q": ((2, S, D), reach), "k": ((2, D, S), reach), "v": ((2, S, D), values)}
    return {name: random.uniform(-most, most, (count, *shape)) for name, (shape, most) in shapes.items()}


def made_of(name: str, width: float, values: float = 1.0, **options: Any) -> Quantized:
    return quantized(attention(name), drawn(width, values), Options(**{"table_bits": 12, **options}))


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("width", [0.5, 30.0])
def test_it_gives_what_the_model_gives(name: str, width: float) -> None:
    made = made_of(name, width)
    assert "Softmax" not in operators(made.graph)
    assert operators(made.graph).count("ReduceMax") == (width > 1.0)
    assert made.report.outputs[0].max_relative < (0.004 if width < 1.0 else 0.02)


@pytest.mark.parametrize("values", [1e-3, 50.0])
def test_values_of_any_size(values: float) -> None:
    """The sum stands beside the products at their scale."""
    assert made_of("added", 0.5, values).report.outputs[0].max_relative < 0.005


def test_a_score_takes_one_unit_where_rows_are_alike() -> None:
    """Scores, their exponentials and what the product reads are the same cells."""
    scores = 2 * S * S
    narrow, wide = (made_of("added", width).builder for width in (0.5, 30.0))
    assert sum(b.count for b in narrow.blocks if b.count >= scores) == scores
    wider = sum(b.count for b in wide.blocks if b.count >= scores)
    assert wider == 3 * scores  # halves for the maximum, and the differences to the largest


def test_rows_take_a_constant_shift_where_that_is_precise_enough() -> None:
    """Their largest entries differ: by that much precision is lost, which the target may leave or not."""
    rough, fine = (made_of("added", 3.0, error_target=target) for target in (0.01, 0.003))
    assert [operators(made.graph).count("ReduceMax") for made in (rough, fine)] == [0, 1]
    assert [made.report.reached for made in (rough, fine)] == [True, True]
    assert rough.builder.unit_count < 0.7 * fine.builder.unit_count


def test_a_masked_score_may_be_as_large_as_it_likes() -> None:
    """What a mask hides neither sets the shift nor overflows a table."""
    data = drawn(2.0)
    data["q"][:, 0] = 9.0  # of the first row all but one are hidden
    made = quantized(attention("added"), data, Options(table_bits=13))
    assert made.report.outputs[0].max_relative < 0.01


@pytest.mark.parametrize("width", [0.5, 30.0])
@pytest.mark.parametrize("model", ["public", "private"])
def test_its_circuit_holds(width: float, model: str) -> None:
    circuit = in_some_layout(attention("chosen"), drawn(width), table_bits=10, model=model, error_target=1.0)
    assert circuit.mock(circuit.read_inputs({name: x[0] for name, x in drawn(width).items()})) == []


def test_what_else_is_read_stays() -> None:
    """Shares that somebody sees, and rows no longer than the values are wide, are divided as before."""
    shown = onnx_model(SIGNATURE.replace("y)", "y, float p)"), BODIES["no mask"][0])
    wide = onnx_model("float[2,4,4] s, float[2,4,8] v) => (float y)", "p = Softmax(s) y = MatMul(p, v)")
    data = {
        "s": np.random.default_rng(0).uniform(-1, 1, (20, 2, 4, 4)),
        "v": np.random.default_rng(1).uniform(-1, 1, (20, 2, 4, 8)),
    }
    for model, samples in ((shown, drawn(0.5)), (wide, data)):
        made = quantized(model, samples, Options(table_bits=12))
        assert operators(made.graph).count("Concat") == 0
        assert max(output.max_relative for output in made.report.outputs) < 0.01


def test_a_shallow_mask_goes_where_it_hides_enough() -> None:
    """exp(-10) is nothing beside a row's largest; exp(-1) is a share like others."""
    body = "s = MatMul(q, k) a = Where(keep, s, low) p = Softmax(a) y = MatMul(p, v)"
    for low, gone in ((-10.0, True), (-1.0, False)):
        model = onnx_model(SIGNATURE, body, {"keep": CAUSAL, "low": np.array(low)})
        made = quantized(model, drawn(0.5), Options(table_bits=13))
        assert ("Where" not in operators(made.graph) and _reads_hidden(made)) == gone
        assert made.report.outputs[0].max_relative < 0.004
        x = drawn(0.5, count=3)
        expected = [FloatModel(model).run({n: v[i].astype(np.float32) for n, v in x.items()})["y"] for i in range(3)]
        assert np.abs(made.evaluate(x)["y"] - np.stack(expected)).max() < 0.01


def _reads_hidden(made: Quantized) -> bool:
    """Whether a product reads absent cells, which are what a mask hides."""
    products = [b for b in made.builder.blocks if b.kind == "matmul"]
    return any(np.any(b.operands < 0) for b in products)


def test_a_constant_shift_may_take_a_larger_table() -> None:
    """The first that holds it within the targets, where that costs less; none that nobody offers."""

    def one(bits: int, units: int, reached: bool = True) -> Any:
        builder = SimpleNamespace(table_size=1 << bits, functions=[], unit_count=units)
        return SimpleNamespace(builder=builder, report=SimpleNamespace(table_bits=bits, reached=reached))

    made, small, rough, larger = one(10, 3000), one(10, 1000), one(10, 1000, False), one(11, 1000)

    def by(same: Any) -> Callable[[int], Any]:
        return {10: same, 11: larger}.__getitem__

    assert cheaper(made, by(small), [10, 11]) is small
    assert cheaper(made, by(rough), [10, 11]) is larger
    assert cheaper(made, by(rough), [10]) is made
    assert cheaper(one(10, 1100), by(rough), [10, 11]).builder.unit_count == 1100  # the table costs more than it saves

    def overflows(bits: int) -> Any:
        if bits == 10:
            raise CompileError("no table holds it")
        return larger

    assert cheaper(made, overflows, [10, 11]) is larger


@pytest.mark.parametrize("model", ["public", "private"])
def test_rows_that_are_masked_altogether(model: str) -> None:
    """They are uniform in float32, which keeps the Softmax; what the mask hides in other rows stays hidden."""
    keep = CAUSAL.copy()
    keep[2] = False
    body, mask = BODIES["added"][0], np.where(keep, 0.0, -1e9).astype(np.float32)
    proto, samples = onnx_model(SIGNATURE, body, {"m": mask}), drawn(3.0)
    made = quantized(proto, samples, Options(table_bits=12, model=model))
    got, oracle = made.evaluate(samples)["y"], FloatModel(proto)
    for k in range(4):
        expected = oracle.run({name: values[k].astype(np.float32) for name, values in samples.items()})["y"]
        np.testing.assert_allclose(got[k], expected, atol=0.02)
