"""Comparisons, Where and Booleans against onnxruntime, on numbers that the circuit holds exactly: ties are common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.gadgets.comparison import Comparison
from plonnx.gadgets.select import Select
from plonnx.layout.architecture import Architecture
from tests.compiler.small import assert_as_onnxruntime, onnx_model, saved

TWO = "float[2,3] x, float[3] z) => (bool[2,3] y)"
ONE = "float[2,3] x) => (bool[2,3] y)"
FLAGS = "bool[2,3] p, bool[3] q) => (bool[2,3] y)"
C3 = np.array([0.25, -1.0, 0.0])
COMPARED = ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"]
CASES: list[tuple[str, str, dict[str, Any]]] = [
    *((TWO, f"y = {op}(x, z)", {}) for op in COMPARED),
    *((TWO, f"w = Mul(z, c) y = {op}(x, w)", {"c": np.array(64.0)}) for op in COMPARED),  # another scale
    *((ONE, f"y = {op}(x, c)", {"c": C3}) for op in COMPARED),
    *((ONE, f"y = {op}(c, x)", {"c": np.array(0.25)}) for op in COMPARED),
    *((ONE, f"y = {op}(x, c)", {"c": np.array([0.1, -0.3, 1e9])}) for op in COMPARED),  # between integers; out of reach
    *((FLAGS, f"y = {op}(p, q)", {}) for op in ("And", "Or", "Xor", "Equal")),
    *(
        (FLAGS.replace("q", "r"), f"n = Not(p) y = {op}(n, c)", {"c": np.array([True, False, True])})
        for op in ("And", "Or", "Xor")
    ),
    (FLAGS, "y = Not(p)", {}),
    ("bool[2,3] p, float[2,3] x, float[3] z) => (float[2,3] y)", "y = Where(p, x, z)", {}),
    ("bool[2,3] p, float[2,3] x) => (float[2,3] y)", "y = Where(p, x, c)", {"c": C3}),
    ("bool[2,3] p, float[3] z) => (float[2,3] y)", "y = Where(p, c, z)", {"c": C3}),
    ("float[2,3] x, float[3] z) => (float[2,3] y)", "y = Where(c, x, z)", {"c": np.array([True, False, True])}),
    ("float[2,3] x, float a, float b) => (float[2,3] y)", "y = Clip(x, a, b)", {}),
    ("float[2,3] x, float[1] b) => (float[2,3] y)", "s = Squeeze(b) y = Clip(x, , s)", {}),
    ("float[2,3] x, float[3] z) => (float[2,3] y)", "g = Greater(x, z) y = Where(g, x, z)", {}),
    ("float[2,3] x, float[3] z) => (float[2,3] y)", "g = Less(x, z) f = Cast<to=1>(g) y = Mul(f, z)", {}),
]


def samples(signature: str, count: int = 40) -> dict[str, np.ndarray[Any, Any]]:
    """Multiples of 1/16, or Booleans; z often equals x."""
    random = np.random.default_rng(3)
    made: dict[str, np.ndarray[Any, Any]] = {}
    for port in signature.split(")", maxsplit=1)[0].split(", "):
        kind, name = port.split()
        shape = tuple(int(d) for d in kind.partition("[")[2].rstrip("]").split(",") if d)
        if kind.startswith("bool"):
            made[name] = random.random((count, *shape)) < 0.5
        else:
            made[name] = random.integers(-16, 17, (count, *shape)).astype(np.float32) / 16
    if "x" in made and "z" in made:
        made["z"] = np.where(random.random(made["z"].shape) < 0.4, made["x"][:, 0], made["z"])
    return made


@pytest.mark.parametrize(("signature", "body", "constants"), CASES, ids=[f"{body} {s[:9]}" for s, body, _ in CASES])
@pytest.mark.parametrize("hidden", [False, True])
def test_as_onnxruntime(tmp_path: Path, signature: str, body: str, constants: dict[str, Any], hidden: bool) -> None:
    path = saved(tmp_path, onnx_model(signature, body, constants))
    data = samples(signature)
    private = {"model": "private", "weight_bits": 24, "bias_bits": 40} if hidden else {}
    made = quantized(path, data, Options(table_bits=10, **private))
    session = onnxruntime.InferenceSession(str(path))
    got = made.evaluate({name: values.astype(np.float64) for name, values in data.items()})["y"]
    for number in range(len(got)):
        (expected,) = session.run(None, {name: np.asarray(values[number]) for name, values in data.items()})
        np.testing.assert_array_equal(got[number], expected.astype(np.float64))


def test_what_they_take(tmp_path: Path) -> None:
    """A comparison of values of one scale is three units, a selection two; Booleans cost their sums alone."""
    path = saved(tmp_path, onnx_model(TWO, "a = Abs(x) b = Abs(z) y = Greater(a, b)"))
    made = quantized(path, samples(TWO), Options(table_bits=10))
    (block,) = (b for b in made.builder.blocks if isinstance(b, Comparison))
    assert (block.count, block.stride) == (6, 3)
    path = saved(tmp_path, onnx_model(CASES[-2][0], CASES[-2][1]))
    made = quantized(path, samples(CASES[-2][0]), Options(table_bits=10))
    assert [b.stride for b in made.builder.blocks if isinstance(b, Select)] == [2]


def test_constants_alone_are_folded_and_need_no_gadget(tmp_path: Path) -> None:
    path = saved(
        tmp_path, onnx_model("float[3] x) => (float[3] y)", "g = Less(c, d) y = Where(g, x, c)", {"c": C3, "d": -C3})
    )
    made = quantized(path, {"x": np.ones((2, 3))}, Options(table_bits=10))
    assert not any(isinstance(b, Comparison | Select) for b in made.builder.blocks)


def test_ranges_that_no_table_compares_are_refused(tmp_path: Path) -> None:
    signature = "float[3] x, float[3] z) => (bool[3] y)"
    path = saved(tmp_path, onnx_model(signature, "y = Greater(x, z)"))
    data = {"x": np.full((2, 3), 1e-6), "z": np.full((2, 3), 1e6)}
    with pytest.raises(CompileError, match=r"\(Greater\): its operands' ranges lie too far apart"):
        quantized(path, data, Options(table_bits=10))


def test_a_private_models_decisions_are_recorded_again(tmp_path: Path) -> None:
    """What selects is 0 or 1 by public constants, so that others can see it in the architecture."""
    body = "t = MatMul(x, w) z = Neg(t) a = Greater(t, z) b = Less(t, z) c = Or(a, b) d = Not(c) e = Xor(c, a)"
    body += " f = And(e, d) g = Or(f, a) y = Where(g, t, z)"
    weights = np.random.RandomState(0).randn(6, 4)
    model = onnx_model("float[2,6] x) => (float[2,4] y)", body, {"w": weights})
    data = {"x": np.random.RandomState(1).uniform(-1, 1, (40, 2, 6))}
    architecture = compile_model(model, data, Options(table_bits=10, model="private", weight_bits=20)).architecture
    architecture.save(tmp_path / "m.architecture")
    assert Architecture.load(tmp_path / "m.architecture").encode() == architecture.encode()


@pytest.mark.parametrize(
    ("kind", "body", "constants"),
    [
        ("float[5,4]", "y = OneHot(i, d, v)", {"v": np.array([0.0, 1.0])}),
        ("float[4,5]", "y = OneHot<axis = 0>(i, d, v)", {"v": np.array([-0.5, 2.0])}),
        ("int64[5,4]", "y = OneHot(i, d, v)", {"v": np.array([7, 3])}),
        ("float[5,4]", "f = Cast<to = 1>(i) y = OneHot(f, d, v)", {"v": np.array([0.0, 1.0])}),
        ("float[5,4]", "j = Mul(i, t) y = OneHot(j, d, v)", {"v": np.array([0.0, 1.0]), "t": np.array(3)}),
    ],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_one_hot(kind: str, body: str, constants: dict[str, Any], hidden: bool) -> None:
    """From the front, from the back, and beyond both: all off."""
    indices = {"i": np.random.RandomState(2).randint(-5, 6, (40, 5))}
    private = {"model": "private", "weight_bits": 24, "bias_bits": 40} if hidden else {}
    model = onnx_model(f"int64[5] i) => ({kind} y)", body, {"d": np.array(4), **constants})
    assert_as_onnxruntime(model, indices, **private)


def test_a_choice_of_booleans() -> None:
    model = onnx_model("bool[2,3] p, bool[2,3] q, bool[3] r) => (bool[2,3] y)", "y = Where(r, p, q)")
    assert_as_onnxruntime(model, samples("bool[2,3] p, bool[2,3] q, bool[3] r) "))


CHOSEN = ["y = And(w, p)", "n = Not(w) y = Or(n, p)", "y = Where(w, p, q)"]


@pytest.mark.parametrize("then", CHOSEN)
def test_a_chosen_boolean_is_0_or_1(then: str) -> None:
    """Whoever reads it, whatever calibration saw: it had a scale of its own."""
    model = onnx_model("bool[2,3] p, bool[2,3] q, bool[3] r) => (bool[2,3] y)", f"w = Where(r, p, q) {then}")
    assert_as_onnxruntime(model, samples("bool[2,3] p, bool[2,3] q, bool[3] r) "))


def test_one_hot_of_an_arg_max() -> None:
    """Its indices are never counted from the back."""
    body = "a = ArgMax<keepdims = 0, axis = 1>(x) y = OneHot(a, d, v)"
    model = onnx_model("float[3,7] x) => (float[3,7] y)", body, {"d": np.array(7), "v": np.array([0.0, 1.0])})
    made = assert_as_onnxruntime(model, {"x": np.random.RandomState(2).randint(-5, 6, (40, 3, 7)).astype(np.float32)})
    assert sum(b.count for b in made.builder.blocks if isinstance(b, Comparison) and b.apart) == 21


@pytest.mark.parametrize("op", ["GreaterOrEqual", "LessOrEqual"])
def test_versions_that_onnx_infers_no_shapes_of(op: str) -> None:
    assert_as_onnxruntime(onnx_model(TWO, f"y = {op}(x, z)", None, 13), samples(TWO))
