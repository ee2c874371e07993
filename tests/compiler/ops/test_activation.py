"""Functions of one value against the float model, alone and behind a matrix, where they cost no unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets import OutOfRange
from plonnx.gadgets.function import Lookup
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.sum import Sum
from tests.compiler.small import assert_accurate, assert_proves, compiled, onnx_model, random_samples, run_float, saved

X = "float[2,3] x) => (float[2,3] y)"
MATRIX = 0.3 * np.random.RandomState(5).randn(3, 3)

FUNCTIONS: list[tuple[str, int, dict[str, Any]]] = [
    ("Abs(x)", 17, {}),
    ("Asinh(x)", 17, {}),
    ("Atan(x)", 17, {}),
    ("Celu<alpha = 0.7>(x)", 17, {}),
    ("Clip(x, low, high)", 17, {"low": np.array(-0.3), "high": np.array(0.5)}),
    ("Clip(x, , high)", 17, {"high": np.array(0.5)}),
    ("Clip<min = -0.3, max = 0.4>(x)", 10, {}),
    ("Cos(x)", 17, {}),
    ("Cosh(x)", 17, {}),
    ("Elu<alpha = 1.5>(x)", 17, {}),
    ("Erf(x)", 17, {}),
    ("Exp(x)", 17, {}),
    ("Gelu(x)", 20, {}),
    ('Gelu<approximate = "tanh">(x)', 20, {}),
    ("HardSigmoid<alpha = 0.4>(x)", 17, {}),
    ("HardSwish(x)", 17, {}),
    ("LeakyRelu<alpha = 0.3>(x)", 17, {}),
    ("Mish(x)", 18, {}),
    ("PRelu(x, slope)", 17, {"slope": np.array(-0.3)}),
    ("PRelu(x, slope)", 17, {"slope": np.array([0.3, 0.1, 2.0])}),
    ("Relu(x)", 17, {}),
    ("Selu(x)", 17, {}),
    ("Sigmoid(x)", 17, {}),
    ("Sin(x)", 17, {}),
    ("Sinh(x)", 17, {}),
    ("Softplus(x)", 17, {}),
    ("Softsign(x)", 17, {}),
    ("Swish<alpha = 1.5>(x)", 24, {}),
    ("Tan(x)", 17, {}),
    ("Tanh(x)", 17, {}),
]


@pytest.mark.parametrize(("call", "opset", "constants"), FUNCTIONS, ids=[case[0] for case in FUNCTIONS])
@pytest.mark.parametrize("after_a_matrix", [False, True])
def test_functions(tmp_path: Path, call: str, opset: int, constants: dict[str, Any], after_a_matrix: bool) -> None:
    body = f"g = MatMul(x, w) y = {_of(call, 'g')}" if after_a_matrix else f"y = {call}"
    given = {"w": MATRIX, **constants} if after_a_matrix else constants
    assert_accurate(compiled(tmp_path, X, body, given, opset), 0.004)


def _of(call: str, operand: str) -> str:
    """The call with another first operand."""
    head, arguments = call.split("(", 1)
    return f"{head}({operand}{arguments[1:]}"


@pytest.mark.parametrize("call", ["Acos(x)", "Asin(x)", "Acosh(p)", "Atanh(h)", "Log(p)", "Sqrt(p)", "Reciprocal(p)"])
def test_functions_with_an_edge(tmp_path: Path, call: str) -> None:
    """p = x + 2 is in [1, 3], h = x / 2: the chain with the affine step is one table."""
    body = f"p = Add(x, two) h = Mul(x, half) y = {call}"
    made = compiled(tmp_path, X, body, {"two": np.array(2.0), "half": np.array(0.5)})
    assert_accurate(made, 0.02)
    assert made.builder.unit_count == 12


@pytest.mark.parametrize("name", ["Ceil", "Floor", "Round", "Sign"])
def test_steps(tmp_path: Path, name: str) -> None:
    """Exact on inputs that the input's own scale holds; halves are rounded to even."""
    made = compiled(tmp_path, X, f"m = Mul(x, c) y = {name}(m)", {"c": np.array(8.0)})
    samples = {"x": np.arange(-24, 24).reshape(8, 2, 3) / 32}
    np.testing.assert_array_equal(made.evaluate(samples)["y"], run_float(made.graph, samples)["y"])


@pytest.mark.parametrize("call", ["ThresholdedRelu<alpha = 0.25>(x)", "Shrink<lambd = 0.25, bias = 0.1>(x)"])
def test_jumps(tmp_path: Path, call: str) -> None:
    made = compiled(tmp_path, X, f"y = {call}")
    samples = {"x": np.arange(-24, 24).reshape(8, 2, 3) / 32 + 1 / 64}
    np.testing.assert_allclose(made.evaluate(samples)["y"], run_float(made.graph, samples)["y"], atol=1e-3)


def _kinds(made: Quantized) -> list[str]:
    return [type(block).__name__ for block in made.builder.blocks]


def test_a_function_of_a_layer_costs_no_unit(tmp_path: Path) -> None:
    made = compiled(tmp_path, X, "g = MatMul(x, w) y = Sigmoid(g)", {"w": MATRIX})
    assert _kinds(made) == ["Input", "Convolution"]
    assert "g" not in made.builder.named


@pytest.mark.parametrize(
    "body",
    [
        "g = MatMul(x, w) s = Sigmoid(g) t = Tanh(g) f = Concat<axis = 0>(s, t) y = Slice(f, b, e)",
        "g = MatMul(x, w) f = Transpose(g) s = Sigmoid(f) h = Transpose(s) y = Add(g, h)",
        "g = MatMul(x, w) f = Transpose(g) s = Sigmoid(f) p = Transpose(g)"
        " d = Concat<axis = 0>(p, s) h = Slice(d, b, f3) y = Transpose(h)",
        "g = MatMul(x, w) a = Add(g, x) f = Transpose(g) s = Sigmoid(f) h = Transpose(s) y = Add(a, h)",
    ],
)
def test_a_layer_with_other_readers_keeps_its_values(tmp_path: Path, body: str) -> None:
    """Also where they read other views of the same cells, before or after."""
    made = compiled(
        tmp_path, X, body, {"w": MATRIX, "b": np.array([0, 0]), "e": np.array([2, 3]), "f3": np.array([3, 2])}
    )
    assert all(
        getattr(block, "function", None) is None for block in made.builder.blocks if not isinstance(block, Lookup)
    )
    assert_accurate(made)


def test_equal_tables_are_one(tmp_path: Path) -> None:
    """Two Clips at equal scales over different intervals read one table, as wide as the wider."""
    body = "g = MatMul(x, w) a = Clip(g, low, high) h = MatMul(a, v) y = Clip(h, low, high)"
    given = {
        "w": np.diag([0.9, 0.9, 0.9]),
        "v": np.diag([0.8, 0.8, 0.8]),
        "low": np.array(-0.75),
        "high": np.array(0.75),
    }
    made = compiled(tmp_path, X, body, given)
    (function,) = made.builder.functions
    assert function.name == "Clip(x, -0.75, 0.75), scale 11 to 12"
    assert function.high >= max(interval[1] for interval in (made.graph.tensors[n].interval for n in "gh") if interval)
    assert_accurate(made)


def test_other_attributes_are_another_table(tmp_path: Path) -> None:
    body = "a = Elu<alpha = 0.5>(x) b = Elu<alpha = 1.5>(z) y = Mul(a, b)"
    made = compiled(tmp_path, "float[3] x, float[3] z) => (float[3] y)", body)
    assert len(made.builder.functions) == 2
    assert_accurate(made)


@pytest.mark.parametrize(("slope", "block"), [(np.array(0.25), Sum), (np.array([[[0.1]], [[0.5]]]), Convolution)])
def test_prelu_has_no_table(tmp_path: Path, slope: Any, block: type) -> None:
    shape = "float[1,2,3,3]"
    made = compiled(tmp_path, f"{shape} x) => ({shape} y)", "y = PRelu(x, slope)", {"slope": slope})
    assert_accurate(made)
    assert [type(b) for b in made.builder.blocks[1:]] == [block]
    assert made.builder.unit_count == 36


@pytest.mark.parametrize("slope", [np.zeros((1, 0)), np.zeros((2, 1))])
def test_slopes_that_make_another_shape_of_x(tmp_path: Path, slope: Any) -> None:
    with pytest.raises(CompileError, match=r"slopes of shape \[., .\] for a tensor of shape \[1, 1\]"):
        compiled(tmp_path, "float[1,1] x) => (float y)", "y = PRelu(x, slope)", {"slope": slope})


def test_prelu_of_a_private_model(tmp_path: Path) -> None:
    shape = "float[1,2,3,3]"
    for slope in (np.array(0.25), np.array([[[0.1]], [[0.5]]])):
        body = "y = PRelu(x, slope)"
        made = compiled(tmp_path, f"{shape} x) => ({shape} y)", body, {"slope": slope}, model="private")
        assert_accurate(made)


def test_a_table_of_a_private_model_shows_no_limit(tmp_path: Path) -> None:
    """It spans what T allows, not what calibration measured; a constant joins none."""
    body = "g = MatMul(x, w) b = Add(g, c) y = Sigmoid(b)"
    made = compiled(tmp_path, X, body, {"w": MATRIX, "c": np.array(0.3)}, model="private")
    (function,) = made.builder.functions
    assert (function.low, function.high) == (-4095, 4095)
    assert_accurate(made)


@pytest.mark.parametrize("large", [False, True])
def test_leaky_relu_takes_a_table_where_it_is_cheaper(tmp_path: Path, large: bool) -> None:
    rows = 100 if large else 2
    signature = f"float[{rows},3] x) => (float[{rows},3] y)"
    made = compiled(tmp_path, signature, "g = MatMul(x, w) y = LeakyRelu(g)", {"w": MATRIX}, table_bits=8)
    assert made.builder.unit_count == rows * 3 * (2 if large else 3)
    assert_accurate(made, 0.02)


def test_arguments_outside_the_domain_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, onnx_model("float[1] x) => (float[1] y)", "y = Sqrt(x)"))
    made = quantized(path, {"x": np.linspace(0.0, 1.0, 32).reshape(32, 1)}, Options(table_bits=10))
    assert made.evaluate({"x": np.array([[0.25]])})["y"] == pytest.approx(0.5, abs=0.01)
    with pytest.raises(OutOfRange, match="tensor y: the value -64 is outside the calibrated range"):
        made.evaluate({"x": np.array([[-0.25]])})


def test_what_rounds_to_the_edge_of_a_domain_needs_a_finer_table() -> None:
    """log(0) has no value, and 0.0001 rounds to zero in a small table."""
    model = onnx_model("float[1] x) => (float[1] y)", "y = Log(x)")
    samples = {"x": np.geomspace(1e-4, 1.0, 32).reshape(32, 1)}
    with pytest.raises(CompileError, match=r"tensor y: the value 0 is outside .* where a function has no value"):
        quantized(model, samples, Options(table_bits=10, margin=1.2))
    made = quantized(model, samples, Options(margin=1.2))
    assert made.builder.functions[0].low >= 1 and made.report.table_bits > 10


EDGES: list[tuple[str, float, float]] = [
    ("y = Log(x)", 0.05, 2.0),
    ("y = Sqrt(x)", 0.0, 2.0),
    ("y = Reciprocal(x)", 0.2, 2.0),
    ("y = Reciprocal(x)", -2.0, -0.2),
    ("y = Acosh(x)", 1.0, 3.0),
    ("y = Atanh(x)", -0.8, 0.8),
    ("y = Asin(x)", -1.0, 1.0),
    ("y = Pow(x, minus)", 0.2, 2.0),
    ("y = Pow(x, half)", 0.0, 2.0),
    ("y = Div(half, x)", 0.2, 2.0),
    ("y = Div(half, x)", -2.0, -0.2),
    ("l = Log(x) y = Exp(l)", 0.05, 2.0),
    ("r = Reciprocal(x) y = Tanh(r)", 0.2, 2.0),
    ("r = Reciprocal(x) s = Reciprocal(r) y = Tanh(s)", -2.0, -0.2),
    ("s = Sqrt(x) y = Max(s, half)", 0.0, 2.0),
    ("l = Log(x) y = Relu(l)", 0.05, 2.0),
    ("a = Add(x, third) r = Reciprocal(a) y = Tanh(r)", -0.1, 2.0),
    ("a = Add(x, third) r = Reciprocal(a) y = Tanh(r)", -2.0, -0.7),
    ("a = Add(x, third) p = Pow(a, minus) y = Tanh(p)", -0.1, 2.0),
    ("a = Sub(third, x) d = Div(x, a) y = Sigmoid(d)", -2.0, 0.1),
]
"""Bodies of which x -> y is undefined at -1/3, 0 or 1/3, or beyond an end, and where the samples lie."""


@pytest.mark.parametrize(("body", "low", "high"), EDGES, ids=[f"{case[0]} {case[1]}" for case in EDGES])
@pytest.mark.parametrize("bits", [9, 12])
def test_a_table_ends_where_its_function_does(body: str, low: float, high: float, bits: int) -> None:
    """Each entry is the function's value at its argument, and no entry lies across a pole from the samples."""
    given = {"minus": np.array(-1.0), "half": np.array(0.5), "third": np.array(0.3337)}
    model = onnx_model("float[1] x) => (float[1] y)", body, given)
    made = quantized(model, {"x": np.linspace(low, high, 64).reshape(64, 1)}, Options(table_bits=bits, margin=1.5))
    scale = made.facts.inputs[0].scales
    chain = [f for f in made.builder.functions if "x" in f.name]
    assert chain
    function = chain[0]
    arguments = np.ldexp(np.arange(function.low, function.high + 1, dtype=np.float64), -scale)
    constants = [given["third"] if "Sub" in body else -given["third"]] if "third" in body else [np.array(0.0)]
    if any(op in body for op in ("Log", "Reciprocal", "Div", "minus")):
        for pole in constants:
            assert np.all(arguments > pole) if low > pole else np.all(arguments < pole)
    if "Sqrt" in body or ("half)" in body and "Pow" in body):
        assert arguments[0] == 0.0
    samples = {"x": arguments[:, None]}
    limit = np.ldexp((1 << bits) - 1.0, -made.facts.outputs[0].scales)
    expected = run_float(made.graph, samples)["y"]
    tolerance = float(0.51 * np.ldexp(1.0, -made.facts.outputs[0].scales)) + 1e-6
    if len(made.builder.functions) == 1:
        np.testing.assert_allclose(made.evaluate(samples)["y"], np.clip(expected, -limit, limit), atol=tolerance)


@pytest.mark.parametrize(
    ("body", "value"),
    [("y = Reciprocal(x)", 0.0), ("y = Log(x)", 0.0), ("y = Sqrt(x)", -0.01), ("l = Log(x) y = Exp(l)", 0.0)],
)
def test_no_value_where_there_is_none(body: str, value: float) -> None:
    """Not even close to the edge."""
    model = onnx_model("float[1] x) => (float[1] y)", body)
    made = quantized(model, {"x": np.linspace(0.1, 1.0, 32).reshape(32, 1)}, Options(table_bits=12))
    with pytest.raises(OutOfRange):
        made.evaluate({"x": np.array([[value]])})


def test_a_divisor_keeps_its_sign(tmp_path: Path) -> None:
    """A quotient by positive divisors takes no negative one, however small."""
    signature = "float[3] x, float[3] z) => (float[3] y)"
    model = onnx_model(signature, "y = Div(x, z)")
    r = np.random.RandomState(0)
    samples = {"x": r.uniform(-1, 1, (40, 3)), "z": r.uniform(0.25, 1, (40, 3))}
    made = quantized(model, samples, Options(table_bits=12))
    for divisor in (0.0, -0.001, -0.5):
        with pytest.raises(OutOfRange):
            made.evaluate({"x": np.ones((1, 3)) / 2, "z": np.full((1, 3), divisor)})


def test_a_divisor_that_just_crosses_zero_is_refused() -> None:
    """Also where the crossing is smaller than a step of the table."""
    model = onnx_model("float[1] x) => (float[1] y)", "y = Reciprocal(x)")
    data = {"x": np.concatenate([[-1e-6], np.linspace(0.5, 1.0, 31)]).reshape(32, 1)}
    with pytest.raises(CompileError, match=r"keep arguments away from where a function has no value"):
        quantized(model, data, Options(table_bits=9))


@pytest.mark.parametrize(
    ("body", "pole"), [("y = Reciprocal(x)", 0.0), ("y = Tan(x)", np.pi / 2), ("y = Div(one, x)", 0.0)]
)
def test_both_sides_of_a_pole(body: str, pole: float) -> None:
    """Where calibration was on both; at the pole there is no value, and no proof."""
    x = pole + np.concatenate([np.linspace(-1, -0.1, 32), np.linspace(0.1, 1, 32)])
    given = {"one": np.array(1.0)} if "one" in body else {}
    model = onnx_model("float[1] x) => (float[1] y)", body, given)
    made = quantized(model, {"x": x[:, None]}, Options(table_bits=13))
    expected = np.tan(x) if "Tan" in body else 1 / x
    np.testing.assert_allclose(made.evaluate({"x": x[:, None]})["y"][:, 0], expected, atol=0.003 * 20)
    with pytest.raises(OutOfRange):
        made.evaluate({"x": np.array([[pole]])})


def test_both_sides_of_a_pole_hold_in_the_circuit() -> None:
    x = np.concatenate([np.linspace(-1, -0.25, 16), np.linspace(0.25, 1, 16)])[:, None]
    assert_proves(onnx_model("float[1] x) => (float[1] y)", "y = Reciprocal(x)"), {"x": x}, table_bits=8)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_private_reciprocal_has_both_signs(tmp_path: Path, sign: float) -> None:
    """Its table must not show on which side of the pole a hidden model's tensor lies; at the pole it has no value."""
    body, constants = "t = MatMul(x, w) u = Add(t, c) y = Reciprocal(u)", {"w": 0.1 * MATRIX, "c": np.array(sign)}
    made = compiled(tmp_path, X, body, constants, model="private", weight_bits=24, bias_bits=40)
    assert_accurate(made, 0.01)
    (function,) = made.builder.functions
    assert function.low < 0 < function.high
    middle = function.values[-function.low]
    assert middle == made.builder.table_size
    assert np.sign(function(np.array([-500, 500]))).tolist() == [-1, 1]


def test_a_private_tangent_has_all_its_branches(tmp_path: Path) -> None:
    made = compiled(tmp_path, X, "t = MatMul(x, w) y = Tan(t)", {"w": MATRIX}, model="private")
    assert_accurate(made, 0.01)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_gated_units(tmp_path: Path, alpha: float) -> None:
    """The gate is one table."""
    signature = "float[3] x, float[3] z) => (float[3] y)"
    made = compiled(tmp_path, signature, f"y = SwiGLU<alpha = {alpha}>(x, z)", opset=28)
    assert len(made.builder.functions) == 1
    samples = random_samples(made.graph)
    x, z = samples["x"], samples["z"]
    np.testing.assert_allclose(made.evaluate(samples)["y"], x / (1 + np.exp(-alpha * x)) * z, atol=0.002)


def test_computed_slopes(tmp_path: Path) -> None:
    assert_accurate(compiled(tmp_path, "float[2,3] x, float[3] s) => (float[2,3] y)", "y = PRelu(x, s)"))
