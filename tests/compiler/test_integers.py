"""Integers are exact or refused, and never outside their type."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.calibration import random_corners
from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets import Builder, OutOfRange
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model, run_float
from tests.gadgets.search import Search
from tests.properties.models import Model

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def made(
    signature: str, body: str, low: int, high: int, constants: dict[str, Any] | None = None, **options: Any
) -> Quantized:
    """Compiled on 40 random samples in [low, high], both ends among them."""
    model = onnx_model(signature, body, constants, 18)
    r = np.random.RandomState(0)
    data = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        data[value.name] = r.randint(low, high + 1, (40, *shape)).astype(np.float64)
        data[value.name][0], data[value.name][1] = low, high
    return quantized(model, data, Options(**options))


def assert_exact(circuit: Quantized, low: int, high: int) -> None:
    r = np.random.RandomState(1)
    samples = {p.name: r.randint(low, high + 1, (30, *p.shape)).astype(np.float64) for p in circuit.facts.inputs}
    got, expected = circuit.evaluate(samples), run_float(circuit.graph, samples)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


EXACT = [
    "y = Add(x, z)",
    "y = Sub(x, z)",
    "y = Mul(x, z)",
    "y = Mul(x, three)",
    "y = Neg(x)",
    "y = Abs(x)",
    "y = Max(x, z)",
    "y = Min(x, z, three)",
    "y = Clip(x, two, three)",
    "y = MatMul(x, w)",
    "m = MatMul(x, z) y = Add(m, z)",
    "s = ReduceSum<keepdims = 0>(x, axes) y = Add(s, z)",
    "m = ReduceMax<keepdims = 0>(x, axes) y = Add(m, z)",
    "y = Pow(x, two)",
    "c = Concat<axis = 0>(x, z) y = Slice(c, two, five)",
]


@pytest.mark.parametrize("body", EXACT)
@pytest.mark.parametrize("bits", [None, 12])
def test_integer_outputs_are_exact(body: str, bits: int | None) -> None:
    given: dict[str, Any] = {"two": np.array([2]), "three": np.array([3]), "axes": np.array([0]), "five": np.array([5])}
    if "Clip" in body:
        given = {"two": np.array(2), "three": np.array(3)}
    given["w"] = np.array([[1, -2, 0], [3, 1, -1], [0, 2, 5]])
    used = {name: value for name, value in given.items() if name in body.replace("(", " ").replace(")", " ")}
    for kind in ("int64", "int32"):
        typed = {n: v.astype(kind) if n in ("three", "w") or "Clip" in body else v for n, v in used.items()}
        assert_exact(made(f"{kind}[3] x, {kind}[3] z) => ({kind}[3] y)", body, -9, 9, typed, table_bits=bits), -9, 9)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(TYPES),
    op=st.sampled_from(("Add", "Sub", "Mul")),
    low=st.integers(-90, 90),
    width=st.integers(0, 120),
)
def test_nothing_leaves_its_type(kind: str, op: str, low: int, width: int) -> None:
    """Either the circuit agrees with onnxruntime on an input up to its limits, or that can't be proved."""
    info = np.iinfo(kind)
    low = max(low, int(info.min))
    high = min(low + width, int(info.max))
    try:
        circuit = made(f"{kind}[3] x, {kind}[3] z) => ({kind}[3] y)", f"y = {op}(x, z)", low, high)
    except CompileError as error:
        assert "no table size holds the calibration data" in str(error) or "must stay exact" in str(error)
        return
    limits = {port.name: port.largest for port in circuit.facts.inputs}
    corners = random_corners(circuit.graph, limits, 50)
    whole = {name: np.trunc(values) for name, values in corners.items()}
    expected = run_float(circuit.graph, whole)["y"]
    for index in range(50):
        try:
            got = circuit.evaluate({name: values[index : index + 1] for name, values in whole.items()})
        except OutOfRange:
            continue  # such an input can't be proved
        np.testing.assert_array_equal(got["y"][0], expected[index])


@pytest.mark.parametrize(
    ("kind", "body", "x", "z"),
    [
        ("uint8", "y = Add(x, z)", 200, 100),
        ("uint8", "y = Sub(x, z)", 3, 9),
        ("int8", "y = Mul(x, z)", -30, 9),
        ("int8", "y = Neg(x)", -128, 0),
        ("int8", "y = Abs(x)", -128, 0),
        ("uint32", "y = Sub(x, z)", 3, 9),
        ("uint8", "d = Sub(x, z) y = Max(d, x)", 3, 9),
        ("uint8", "d = Sub(x, z) y = Div(d, two)", 3, 9),
    ],
)
def test_what_onnx_would_wrap_has_no_proof(kind: str, body: str, x: int, z: int) -> None:
    """Nor what is made from it; what stays in its type is exact."""
    random, dtype = np.random.RandomState(0), np.dtype(kind)
    samples = {"x": random.randint(8, 12, (40, 3)).astype(dtype), "z": random.randint(0, 8, (40, 3)).astype(dtype)}
    samples["x"][0], samples["z"][0] = (-127 if kind == "int8" and "Mul" not in body else 10), 1
    constants = {"two": np.array(2, dtype)} if "two" in body else {}
    used = ["x", "z"] if "z" in body else ["x"]
    signature = ", ".join(f"{kind}[3] {name}" for name in used)
    model = onnx_model(f"{signature}) => ({kind}[3] y)", body, constants, 18)
    circuit = quantized(model, {name: samples[name] for name in used}, Options(table_bits=14, margin=30.0))
    held = {name: samples[name].astype(np.float64) for name in used}
    np.testing.assert_array_equal(circuit.evaluate(held)["y"], run_float(circuit.graph, held)["y"])
    with pytest.raises(OutOfRange):
        circuit.evaluate({name: np.full((1, 3), float(value)) for name, value in (("x", x), ("z", z)) if name in used})


def test_a_type_holds_in_the_circuit() -> None:
    model = onnx_model("uint8[2] x, uint8[2] z) => (uint8[2] y)", "y = Sub(x, z)", None, 18)
    random = np.random.RandomState(0)
    samples = {
        "x": random.randint(8, 20, (20, 2)).astype(np.uint8),
        "z": random.randint(0, 8, (20, 2)).astype(np.uint8),
    }
    assert_proves(model, samples, table_bits=8)


def test_sums_that_stay_in_their_type() -> None:
    assert_exact(made("uint8[3] x, uint8[3] z) => (uint8[3] y)", "y = Add(x, z)", 0, 60), 0, 120)


def test_a_cast_to_a_smaller_type_keeps_the_values_or_has_no_proof() -> None:
    circuit = made("int32[3] x) => (int8[3] y)", "y = Cast<to = 3>(x)", -100, 100)
    assert_exact(circuit, -100, 100)
    with pytest.raises(OutOfRange):
        circuit.evaluate({"x": np.full((1, 3), 130.0)})


def test_an_input_is_limited_to_its_type() -> None:
    circuit = made("uint8[3] x) => (float[3] y)", "y = Cast<to = 1>(x)", 0, 200)
    assert circuit.facts.inputs[0].largest == pytest.approx(255, abs=0.01)


def test_large_integers_that_must_be_exact_are_refused() -> None:
    with pytest.raises(CompileError, match=r"tensor 'x' holds int64 values up to 2199023255552, which must stay exact"):
        made("int64[3] x) => (int64[3] y)", "y = Add(x, x)", 0, 1 << 40)
    circuit = made("int64[3] x) => (float[3] y)", "y = Cast<to = 1>(x)", 0, 100_000)
    assert circuit.facts.inputs[0].scales < 0


def test_the_search_takes_a_table_that_holds_the_integers() -> None:
    circuit = made("int64[3] x) => (int64[3] y)", "y = Add(x, x)", -1000, 1000, margin=1.0)
    assert circuit.report.table_bits >= 11
    assert_exact(circuit, -1000, 1000)


@pytest.mark.parametrize("body", ["y = Pow(x, half)", "y = Pow(x, minus)"])
def test_what_truncates_is_refused(body: str) -> None:
    constants = {"half": np.array([0.5]), "minus": np.array([-1.0])}
    used = {name: value for name, value in constants.items() if name in body}
    with pytest.raises(CompileError, match="of integers it truncates, which is not supported; cast to float32"):
        made("int32[3] x) => (int32[3] y)", body, 1, 9, used)


def test_a_mean_is_truncated_towards_zero() -> None:
    circuit = made("int32[3] x) => (int32[1] y)", "y = ReduceMean<keepdims = 1>(x)", -100, 100)
    assert_exact(circuit, -100, 100)


def test_numbers_that_no_usual_table_holds() -> None:
    """Sums up to 2^20 are exact in two units, or, where an operator takes none, in a larger table."""
    counts = np.random.default_rng(4).integers(0, 60_000, (20, 8))
    model = onnx_model("int64[8] x) => (int64[1] y)", "y = ReduceSum<keepdims = 1>(x, a)", {"a": np.array([0])})
    made = quantized(model, {"x": counts})
    assert made.report.table_bits == 10 and made.report.outputs[0].agreement == 1.0
    np.testing.assert_array_equal(made.evaluate({"x": counts * 1.0})["y"][:, 0], counts.sum(axis=1))
    data = {"x": counts, "z": counts % 90 + 1}
    left = quantized(onnx_model("int64[8] x, int64[8] z) => (int64[8] y)", "y = Mod(x, z)", {}, 18), data)
    assert left.report.table_bits == 17 and left.facts.outputs[0].wide == 0
    got = left.evaluate({name: values * 1.0 for name, values in data.items()})["y"]
    np.testing.assert_array_equal(got, counts % data["z"])


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"])
@pytest.mark.parametrize(("high", "visibility"), [(3, "private"), (100, "private"), (100, "public")])
def test_an_integer_input_is_a_whole_number_of_its_type(kind: str, high: int, visibility: str) -> None:
    """Whatever the prover puts into the cell: what passes is an integer of the type, and every such below T does."""
    low = 0 if kind[0] == "u" else -high
    data = {"x": np.array([[low], [high]] * 10, kind)}
    model = onnx_model(f"{kind}[1] x) => (float[1] y)", "y = Cast<to = 1>(x)")
    circuit = quantized(model, data, Options(table_bits=8, input=visibility))
    scale, info, x = int(circuit.facts.inputs[0].scales), np.iinfo(kind), circuit.builder.inputs[0]
    tried = [
        v
        for v in {*range(-255, 256, 37), *(v + d for v in (-128, 0, 128, 255, -255) for d in (-1, 0, 1))}
        if abs(v) < 256
    ]
    v, c = np.repeat(tried, 256), np.tile(np.arange(256), len(tried))
    every = Builder(8)
    every.input("x", v.shape, False, x.boolean, x.narrow, x.step, x.natural)
    search = Search(Model(every, {"x": np.zeros((1, *v.shape), np.int64)}))
    passed = search.accepted([{"a": np.maximum(v, 0), "b": np.maximum(-v, 0), "c": c}])
    for cell in tried:
        value = Fraction(cell) / Fraction(2) ** scale
        whole = value.denominator == 1 and info.min <= value <= info.max
        assert passed[v == cell].any() == whole, (cell, value)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int64"])
def test_private_integers_keep_the_precision_of_reals(kind: str) -> None:
    """Also where their cells are the numbers themselves, and what is joined with them is none."""
    r = np.random.RandomState(3)
    data = {"x": r.randint(-128, 128, (40, 3)) if kind == "int8" else r.randint(0, 128, (40, 3))}
    data = {"x": data["x"].astype(kind), "z": r.rand(40, 3).astype(np.float32)}
    body = "c = Cast<to = 1>(x) s = Mul(c, h) j = Concat<axis = 0>(s, z) y = MatMul(j, w)"
    constants = {"h": np.float32([1 / 128]), "w": r.randn(6, 2).astype(np.float32)}
    model = onnx_model(f"{kind}[3] x, float[3] z) => (float[2] y)", body, constants)
    circuit = quantized(model, data, Options(table_bits=12, input="private"))
    assert circuit.report.outputs[0].max_relative < 0.002
    samples = {name: values.astype(np.float64) for name, values in data.items()}
    assert np.abs(circuit.evaluate(samples)["y"] - run_float(circuit.graph, samples)["y"]).max() < 0.01


@pytest.mark.parametrize(
    ("signature", "body", "high", "held", "beyond"),
    [
        ("uint32[1] x) => (uint32[1] y)", 'y = BitShift<direction = "LEFT">(one, x)', 5, 6.0, 7.0),
        ("float[1] x) => (int32[1] y)", "h = Mul(x, ten) y = Cast<to = 6>(h)", 6.39, 12.5, 12.8125),
        ("float[1] x) => (int64[1] y)", "h = Mul(x, ten) f = Floor(h) y = Cast<to = 7>(f)", 6.39, 12.5, 12.8125),
    ],
)
def test_no_integer_stops_at_the_end_of_the_table(
    signature: str, body: str, high: float, held: float, beyond: float
) -> None:
    """T = 512 and a scale of 2, at which 127 is exact and 128 would be T: that has no proof."""
    constants = {"one": np.uint32([1])} if "one" in body else {"ten": np.float32([10])}
    model = onnx_model(signature, body, constants, 18)
    circuit = quantized(model, {"x": np.linspace(0, high, 6)[:, None].repeat(4, 0)}, Options(table_bits=9, margin=2.01))
    assert circuit.facts.outputs[0].scale == 2
    sample = {"x": np.array([[held]])}
    np.testing.assert_array_equal(circuit.evaluate(sample)["y"], run_float(circuit.graph, sample)["y"])
    with pytest.raises(OutOfRange):
        circuit.evaluate({"x": np.array([[beyond]])})


def test_a_branch_that_no_table_holds_is_refused() -> None:
    data = {"c": np.ones((20, 1), bool), "x": np.arange(20)[:, None]}
    model = onnx_model("bool[1] c, int64[1] x) => (int64[1] y)", "y = Where(c, x, far)", {"far": np.array([1 << 40])})
    with pytest.raises(CompileError, match="a constant is 1099511627776, more than two units hold"):
        quantized(model, data)


@pytest.mark.parametrize("body", ["y = Max(x, z)", "y = Min(x, c)", "y = ReduceMin(x)", "m = Max(x, z) y = Min(m, c)"])
def test_integers_of_a_whole_type_are_compared(body: str) -> None:
    """-128 to 127, which have no scale: nothing is halved, where odd ones would be off by one."""
    names = "xz" if "z)" in body else "x"
    operands = ", ".join(f"int8[3] {name}" for name in names)
    constants = {"c": np.array([-128, 5, 127], np.int8)} if "c)" in body else {}
    random = np.random.RandomState(4)
    data = {name: random.randint(-128, 128, (60, 3)).astype(np.int8) for name in names}
    for values in data.values():
        values[0], values[1] = -128, 127
    assert_as_onnxruntime(onnx_model(f"{operands}) => (int8 y)", body, constants), data, table_bits=10)


def test_integers_that_must_be_halved_are_refused() -> None:
    data = {name: np.array([[-500], [501]] * 10) for name in "xz"}
    with pytest.raises(CompileError, match="have no exact difference in its table"):
        quantized(onnx_model("int64[1] x, int64[1] z) => (int64[1] y)", "y = Max(x, z)"), data, Options(table_bits=10))
