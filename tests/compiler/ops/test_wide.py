"""Integers of two units: exact up to T^2, or refused; and what they cost nobody who has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.fixed_point import Call, Scaled, Wide
from plonnx.compiler.graph import CompileError, Node, Tensor
from plonnx.compiler.ops.wide import total
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets import Builder, OutOfRange
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import InputError
from plonnx.plonk.keys import PublicTensor, Scale
from plonnx.plonk.public_values import are_parts
from tests.compiler.small import assert_proves, in_some_layout, onnx_model, run_float
from tests.properties.models import Model, lay_out

BILLION = 10**9


def samples(signature: str, low: int, high: int) -> dict[str, Any]:
    """40 of each input, both ends among them."""
    r, data = np.random.RandomState(0), {}
    for part in signature.split(")", maxsplit=1)[0].split(", "):
        kind, shape, name = part.partition("[")[0], part.partition("[")[2].partition("]")[0], part.split()[-1]
        data[name] = r.randint(low, high + 1, (40, *map(int, shape.split(",")))).astype(kind)
        data[name][0], data[name][1] = low, high
    return data


def assert_exact(
    signature: str, body: str, constants: dict[str, Any], low: int, high: int, **options: Any
) -> Quantized:
    data = samples(signature, low, high)
    made = quantized(onnx_model(signature, body, constants, 18), data, Options(**options))
    held = {name: values.astype(np.float64) for name, values in data.items()}
    expected = run_float(made.graph, held)
    for name, values in made.evaluate(held).items():
        np.testing.assert_array_equal(values, expected[name])
    return made


BYTES = np.random.RandomState(5).randint(0, 256, (40, 5)).astype(np.uint8)
QUANTIZED = {"w": BYTES, "za": np.uint8(3), "zb": np.uint8(120)}
EXACT = [
    ("uint8[2,40] x) => (int32[2,5] y)", "y = MatMulInteger(x, w, za, zb)", QUANTIZED, 0, 255, 10),
    ("int64[3] x, int64[3] z) => (int64[3] y)", "y = Add(x, z)", {}, -BILLION, BILLION, 16),
    ("int64[3] x, int64[1] z) => (int64[3] y)", "s = Sub(x, z) y = Neg(s)", {}, -BILLION, BILLION, 16),
    ("int32[3] x, int32[3] z) => (int32[3] y)", "y = Sub(x, z)", {}, -BILLION // 3, BILLION // 3, 16),
    ("int64[3] x) => (int64[3] y)", "y = Add(x, c)", {"c": np.array([1, -77 * BILLION, 9])}, -9, 9, 19),
    ("int64[3] x) => (int64[3] y)", "y = Mul(x, c)", {"c": np.array([-12345])}, -(10**5), 10**5, 16),
    ("int64[3] x, int64[3] z) => (int64[3] y)", "y = Mul(x, z)", {}, -9000, 9000, 16),
    ("int64[3] x) => (int64[3] y)", "y = Mul(x, x)", {}, -200, 150, 10),
    ("int64[8] x) => (int64[1] y)", "y = ReduceSum<keepdims = 1>(x, a)", {"a": np.array([0])}, 0, 6_000_000, 14),
    ("int64[8] x) => (int64[1] y)", "y = ReduceSum<keepdims = 1>(x, a)", {"a": np.array([0])}, 0, 60_000, 10),
    ("int64[2,3] x) => (int64[2,2] y)", "y = MatMul(x, w)", {"w": [[1, -2], [3, 4000], [-5, 7]]}, -(10**5), 10**5, 15),
    ("int64[3,2] x) => (int64[2,2] y)", "y = MatMul(w, x)", {"w": [[1, -2, 3], [4000, -5, 7]]}, -(10**5), 10**5, 15),
    (
        "int64[3] x) => (int64[3] y)",
        "y = Clip(x, least, c)",
        {"least": np.iinfo(np.int64).min, "c": 5},
        -BILLION,
        BILLION,
        17,
    ),
    ("int64[3] x) => (int64[3] y)", "y = Min(most, x)", {"most": np.iinfo(np.int64).max}, -BILLION, BILLION, 16),
    ("int64[3] x, int64[3] z) => (bool[3] y)", "y = Greater(x, z)", {}, 0, BILLION // 4, 16),
    ("int64[3] x) => (bool[3] y)", "y = LessOrEqual(x, c)", {"c": np.array([123456789])}, -BILLION, BILLION, 17),
    (
        "int64[3] x) => (bool[3] y)",
        "z = Sub(x, c) y = Cast<to = 9>(z)",
        {"c": np.array([BILLION])},
        -BILLION,
        BILLION,
        17,
    ),
    ("int64[3] x, int64[3] z) => (int64[3] y)", "g = Less(x, z) y = Where(g, x, z)", {}, 0, BILLION // 4, 16),
    ("int64[3] x) => (int64[3] y)", "y = Gather(c, x)", {"c": np.array([BILLION, -7, 12, -BILLION])}, 0, 3, 15),
    ("int64[3] x) => (int64[5] y)", "y = Concat<axis = 0>(x, c)", {"c": np.array([BILLION, -7])}, -9, 9, 16),
    (
        "int64[4] x) => (int64[2,1] y)",
        "r = Reshape(x, s) y = Slice(r, o, e, o)",
        {"s": [2, 2], "o": [1], "e": [2]},
        0,
        BILLION,
        16,
    ),
    ("uint32[3] x, uint32[3] z) => (uint32[3] y)", "y = BitwiseAnd(x, z)", {}, 0, 2**32 - 1, 16),
    ("int32[2] x, int32[2] z) => (int32[2] y)", "y = BitwiseXor(x, z)", {}, -(2**31), 2**31 - 1, 16),
    (
        "int32[3] x) => (int32[3] y)",
        "y = BitwiseOr(x, c)",
        {"c": np.int32([0x5A5A5A5A, -3, 7])},
        -(2**31),
        2**31 - 1,
        16,
    ),
    ("int64[8] x) => (int64[1] y)", "y = ReduceSum<keepdims = 1>(x, a)", {"a": np.array([0])}, 0, 5 * 10**10, 20),
    ("uint32[3] x) => (uint32[3] y)", "y = BitwiseNot(x)", {}, 0, 2**32 - 1, 16),
    (
        "uint32[3] x) => (uint32[3] y)",
        'y = BitShift<direction = "RIGHT">(x, c)',
        {"c": np.uint32([3])},
        0,
        2**32 - 1,
        16,
    ),
    (
        "uint32[3] x) => (uint32[3] y)",
        'y = BitShift<direction = "RIGHT">(x, c)',
        {"c": np.uint32([15])},
        0,
        2**32 - 1,
        16,
    ),
    ("int64[3] x, int64[3] z) => (int64[3] y)", "y = Add(x, z)", {}, -200 * BILLION, 200 * BILLION, 20),
    (
        "int64[3] x, int64[1] z) => (int64[3] y)",
        "y = Max(x, z, c)",
        {"c": np.array([-7, 3, BILLION])},
        -99,
        BILLION,
        17,
    ),
    ("uint32[3] x, uint32[3] z) => (uint32[3] y)", "y = Min(x, z)", {}, 0, 2**32 - 1, 17),
    ("int64[3] x) => (int64[3] y)", "y = Min(x, c)", {"c": np.array([99])}, -BILLION, BILLION, 17),
    ("int64[3] x) => (int64[3] y)", "y = Clip(x, l, h)", {"l": np.array(-(10**8)), "h": np.array(5)}, -BILLION, 9, 17),
    ("int64[9] x) => (int64[9] y)", "y = Div(x, c)", {"c": np.array([3600])}, 0, 2 * BILLION, 16),
    ("int64[9] x) => (int64[9] y)", "y = Div(x, c)", {"c": np.array([7])}, -BILLION, BILLION, 16),
    ("int64[9] x) => (int64[9] y)", "y = Mod(x, c)", {"c": np.array([7])}, -BILLION, BILLION, 16),
    ("int64[9] x) => (int64[9] y)", "y = Mod<fmod = 1>(x, c)", {"c": np.array([7])}, -BILLION, BILLION, 16),
    ("int64[2,2] x) => (int64[2,2] y)", "y = Mul(x, c)", {"c": np.array([[3, -1], [0, 3]])}, -BILLION, BILLION, 17),
    (
        "int64[2,3] x) => (int64[2,3] y)",
        "y = CumSum<reverse = 1, exclusive = 1>(x, a)",
        {"a": np.array(1)},
        -BILLION,
        BILLION,
        16,
    ),
    ("int64[30] x) => (int64[30] y)", "y = CumSum(x, a)", {"a": np.array(0)}, 0, 60_000, 11),
    ("int64[3] x, int64[3] z) => (int64[3] y)", "s = Sub(x, z) y = Abs(s)", {}, 0, BILLION, 18),
    ("int32[3] x) => (int32[3] y)", "y = Sign(x)", {}, -BILLION, BILLION, 17),
    ("int64[2,3,2] x) => (int64[2,1,2] y)", "y = ReduceMax(x, a)", {"a": [1]}, -BILLION, BILLION, 17),
    ("int64[2,3] x) => (int64[2] y)", "y = ReduceMin<keepdims = 0>(x, a)", {"a": [1]}, -BILLION, BILLION, 17),
    ("int64[2,5] x) => (int64[2,1] y)", "y = ArgMax<axis = 1>(x)", {}, -BILLION, BILLION, 17),
    ("int64[5] x) => (int64[2] y, int64[2] i)", "y, i = TopK<largest = 0>(x, k)", {"k": [2]}, -BILLION, BILLION, 18),
    (
        "uint32[3] x) => (uint32[3] y)",
        'y = BitShift<direction = "RIGHT">(x, c)',
        {"c": np.uint32([3, 20, 0])},
        0,
        2**32 - 1,
        16,
    ),
    (
        "uint32[3] x) => (uint32[3] y)",
        'y = BitShift<direction = "LEFT">(x, c)',
        {"c": np.uint32([3, 14, 0])},
        0,
        2**16,
        16,
    ),
    (
        "uint32[3] x, uint32[3] z) => (uint32[3] y)",
        'c = Mod(z, m) y = BitShift<direction = "RIGHT">(x, c)',
        {"m": np.uint32([37])},
        0,
        2**30,
        16,
    ),
]


@pytest.mark.parametrize(("signature", "body", "constants", "low", "high", "bits"), EXACT)
def test_they_are_exact(signature: str, body: str, constants: dict[str, Any], low: int, high: int, bits: int) -> None:
    given = {name: np.asarray(value) for name, value in constants.items()}
    made = assert_exact(signature, body, given, low, high)
    assert made.report.table_bits == bits
    assert any(port.wide for port in (*made.facts.inputs, *made.facts.outputs))


@pytest.mark.parametrize(("source", "target", "to"), [("uint32", "int32", 6), ("int32", "uint32", 12)])
def test_the_bits_as_another_type(source: str, target: str, to: int) -> None:
    info = np.iinfo(source)
    made = quantized(
        onnx_model(f"{source}[3] x) => ({target}[3] y)", f"y = BitCast<to = {to}>(x)", None, 26),
        data := samples(f"{source}[3] x)", info.min, info.max),
    )
    got = made.evaluate({"x": data["x"].astype(np.float64)})["y"]
    np.testing.assert_array_equal(got, data["x"].view(target))


@pytest.mark.parametrize("places", [(-3, 40), (-3, 0), (0, 7)])
def test_shifts_by_any_number_of_places(places: tuple[int, int]) -> None:
    """As many as the type has, or less than none: all bits are lost but the sign."""
    r = np.random.RandomState(0)
    x, by = r.randint(-(2**30), 2**30, (40, 4)), r.randint(*places, (40, 4))
    body = 'y = BitShift<direction = "RIGHT">(x, by)'
    model = onnx_model("int32[4] x, int32[4] by) => (int32[4] y)", body, None, 28)
    made = quantized(model, {"x": x.astype(np.int32), "by": by.astype(np.int32)})
    expected = np.where((by < 0) | (by > 31), np.where(x < 0, -1, 0), x >> by.clip(0, 31))
    got = made.evaluate({"x": x.astype(np.float64), "by": by.astype(np.float64)})["y"]
    np.testing.assert_array_equal(got, expected)


def test_neighbours_are_told_apart() -> None:
    """Equal and Greater of numbers that differ by one, where a single unit would hold them in steps of 2^15."""
    signature, body = "int64[3] x, int64[3] z) => (bool[3] g, bool[3] e)", "g = Greater(x, z) e = Equal(x, z)"
    made = assert_exact(signature, body, {}, 0, BILLION // 4)
    x = np.random.RandomState(3).randint(0, BILLION // 4, (30, 3)).astype(np.float64)
    for step in (-1, 0, 1):
        got = made.evaluate({"x": x, "z": x + step})
        assert np.all(got["g"] == (step < 0)) and np.all(got["e"] == (step == 0))


def test_their_real_values_are_close() -> None:
    data = samples("int64[3] x", -BILLION, BILLION)
    body = "s = Add(x, x) f = Cast<to = 1>(s) y = Mul(f, h)"
    made = quantized(onnx_model("int64[3] x) => (float[3] y)", body, {"h": np.float32([1e-9])}), data)
    assert made.report.outputs[0].max_relative < 0.003 and made.facts.inputs[0].wide


def test_what_one_unit_holds_stays_one() -> None:
    """Where a usual table is large enough, and where only real values are read."""
    made = assert_exact("int64[3] x, int64[3] z) => (int64[3] y)", "y = Add(x, z)", {}, -9000, 9000)
    assert not any(port.wide for port in (*made.facts.inputs, *made.facts.outputs))
    data = samples("int64[3] x", -BILLION, BILLION)
    made = quantized(onnx_model("int64[3] x) => (float[3] y)", "y = Cast<to = 1>(x)"), data)
    assert made.facts.inputs[0].wide == 0 and made.facts.inputs[0].scales < 0


@pytest.mark.parametrize(
    ("signature", "body", "high", "said"),
    [
        ("int64[3] x) => (int64[3] y)", "y = Mul(x, x)", 10**6, "must stay exact"),
        (
            "uint32[3] x, uint32[3] z) => (uint32[3] y)",
            'y = BitShift<direction = "LEFT">(x, z)',
            BILLION,
            "shifted to the left by constant numbers of places only",
        ),
        ("int64[3] x) => (int64[3] y)", "y = Add(x, x)", 1 << 40, "must stay exact"),
    ],
)
def test_what_is_refused(signature: str, body: str, high: int, said: str) -> None:
    with pytest.raises(CompileError, match=said):
        quantized(onnx_model(signature, body), samples(signature, 0, high))


IN_CIRCUITS = ["y = Div(x, c)", "y = Mod<fmod = 1>(x, c)", "y = Max(x, z, c)", "y = Min(z, x)", "y = Abs(x)"]


@pytest.mark.parametrize("body", [*IN_CIRCUITS, "y, i = TopK(x, k)", "y = CumSum(x, a)"])
def test_they_hold_in_the_circuit(tmp_path: Path, body: str) -> None:
    given = {"c": np.array([60]), "k": np.array([3]), "a": np.array(0)}
    constants = {name: value for name, value in given.items() if f"{name})" in body}
    operands = "int64[3] x, int64[3] z" if "z" in body else "int64[3] x"
    model, reach = onnx_model(f"{operands}) => (int64[3] y)", body, constants, 18), 1 << 15
    data = samples(operands + ")", -reach, reach)
    circuit = in_some_layout(model, data, table_bits=10)
    circuit.save(tmp_path / "made.circuit")
    again = ModelCircuit.load(tmp_path / "made.circuit")
    assert not again.mock(again.read_inputs({name: values[2] for name, values in data.items()}))


def test_a_type_ends_where_it_ends() -> None:
    """2^31 has no proof as an int32, nor has an input that is none."""
    made = assert_exact("int32[1] x, int32[1] z) => (int32[1] y)", "y = Add(x, z)", {}, 0, 2**30 - 1)
    exact = made.evaluate({"x": np.array([[2.0**30]]), "z": np.array([[2.0**30 - 1]])})
    assert exact["y"] == 2**31 - 1
    with pytest.raises(OutOfRange):
        made.evaluate({"x": np.array([[2.0**30]]), "z": np.array([[2.0**30]])})
    with pytest.raises((InputError, OutOfRange)):
        made.evaluate({"x": np.array([[2.0**31]]), "z": np.array([[0.0]])})


def test_inputs_of_no_sign() -> None:
    made = assert_exact("uint32[1] x) => (uint32[1] y)", "y = BitwiseNot(x)", {}, 0, 2**32 - 1)
    with pytest.raises(OutOfRange):
        made.evaluate({"x": np.array([[-1.0]])})


@pytest.mark.parametrize("visible", ["public", "private"])
def test_they_are_proved(visible: str) -> None:
    """A table of 2^8: hundreds of thousands, in two units each."""
    signature, r = "int32[2] x, int32[2] z) => (int32[2] y, bool[2] g)", np.random.RandomState(2)
    data = {name: r.randint(-4000, 4000, (30, 2)).astype(np.int32) for name in "xz"}
    model = onnx_model(signature, "y = Add(x, z) g = Greater(x, z)")
    assert_proves(model, data, table_bits=8, input=visible)
    circuit = compile_model(model, data, Options(table_bits=8, input=visible))
    assert [port.wide for port in circuit.inputs] == [8, 8]
    sample = {name: values[0] for name, values in data.items()}
    np.testing.assert_array_equal(circuit.predict(sample)["y"][0], sample["x"] + sample["z"])
    names = [tensor.name for tensor in circuit.tensors]
    assert ("x.high" in names) == (visible == "public") and names[-3:] == ["y.high", "y.low", "g"]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.data())
def test_sums_have_one_form(count: int, lanes: int, data: st.DataObject) -> None:
    """T high + low with 0 <= low < T, against Python's integers, and the circuit's constraints."""
    size = 32
    numbers = st.lists(st.integers(-(size**2) // 4, size**2 // 4), min_size=count, max_size=count)
    x, z = data.draw(numbers), data.draw(numbers)
    factors, constant = (data.draw(st.integers(-1, 1)), data.draw(st.integers(-2, 2))), data.draw(st.integers(-99, 99))
    builder, inputs, operands = Builder(5), dict[str, Any](), []
    for name, values in (("x", x), ("z", z)):
        high, low = (
            builder.input(f"{name}.high", (count,)),
            builder.input(f"{name}.low", (count,), narrow=1, natural=True),
        )
        operands.append(Wide(high, low, size))
        inputs |= {f"{name}.high": np.array([values]) // size, f"{name}.low": np.array([values]) % size}
    tensor = Tensor("y", (count,), np.dtype(np.int64), scale=0, wide=5)
    call = Call(builder, Node("Add", ("x", "z"), ("y",), {}, 14), (tensor, tensor), (tensor,), 5)
    made = total(call, list(zip(operands, factors, strict=True)), np.full(count, constant), "y")
    builder.output("y.high", made.high)
    builder.output("y.low", made.low)
    expected = factors[0] * np.array(x) + factors[1] * np.array(z) + constant
    got = builder.evaluate(inputs)
    np.testing.assert_array_equal(got["y.high"][0], expected // size)
    np.testing.assert_array_equal(got["y.low"][0], expected % size)
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


def test_a_scale_is_taken_off_first() -> None:
    """An integer that is held in steps of 1/8 beside one of two units."""
    builder = Builder(8)
    x = Scaled(builder.input("x", (2,)), 3)
    tensor = Tensor("y", (2,), np.dtype(np.int64), scale=0, wide=8)
    call = Call(builder, Node("Add", ("x", "x"), ("y",), {}, 14), (tensor, tensor), (tensor,), 8)
    made = total(call, [(x, 1000)], None, "y")
    builder.output("y.high", made.high)
    builder.output("y.low", made.low)
    got = builder.evaluate({"x": np.array([[24, -80]])})
    np.testing.assert_array_equal(256 * got["y.high"] + got["y.low"], [[3000, -10000]])


@pytest.mark.parametrize(
    ("high", "low", "parts"),
    [
        ((-8, (2,), "output"), (0, (2,)), True),
        ((8, (2,), "output"), (8, (2,)), False),  # the ends of an interval of reals
        ((0, (2,), "output"), (0, (2,)), False),
        ((-8, (2,), "output"), (1, (2,)), False),
        ((-8, (1,), "output"), (0, (2,)), False),
        ((-8, (2,), "input"), (0, (2,)), False),
        ((-16, (2,), "output"), (0, (2,)), False),
        (((-8, 0), (2,), "output"), (0, (2,)), False),
    ],
)
def test_parts_are_known_by_more_than_their_names(
    high: tuple[Scale, tuple[int, ...], str], low: tuple[Scale, tuple[int, ...]], parts: bool
) -> None:
    """What a proof says of other outputs of such names is each for itself, not their sum."""
    scale, shape, role = high
    one = PublicTensor("y.high", role, shape, scale, 0, 2, -255, 255)
    assert are_parts(one, PublicTensor("y.low", "output", low[1], low[0], 4, 2, 0, 255)) == parts
    assert not are_parts(one, PublicTensor("z.low", "output", low[1], low[0], 4, 2, 0, 255))
