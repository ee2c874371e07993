"""Whole numbers between quantized layers: held as they are, and rounded on the side where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from plonnx.compiler.whole_numbers import of_whole_numbers, whole_numbers
from plonnx.gadgets import Builder
from tests.compiler.small import assert_proves, onnx_model, run_float

R = np.random.RandomState(7)
LAYERS = """
    q = QuantizeLinear(x, sa, z) a = DequantizeLinear(q, sa, z)
    m = Gemm(a, w, b) n = QuantizeLinear(m, sb, z) d = DequantizeLinear(n, sb, z) y = Gemm(d, v)
"""
CONSTANTS = {
    "sa": np.float32(1 / 255),
    "sb": np.float32(0.0173),
    "z": np.uint8(0),
    "w": R.uniform(-1, 1, (16, 24)).astype(np.float32),
    "b": R.uniform(-1, 1, 24).astype(np.float32),
    "v": R.uniform(-1, 1, (24, 3)).astype(np.float32),
}
PIXELS = (R.randint(0, 256, (60, 1, 16)) / 255).astype(np.float32)


def test_levels_between_layers_are_those_of_the_float_model() -> None:
    """With 2^12 entries: of 1440 levels one or two may be others; 3 % were."""
    body = LAYERS.replace("y = Gemm(d, v)", "y = Identity(n)")
    constants = {name: value for name, value in CONSTANTS.items() if name != "v"}
    made = quantized(onnx_model("float[1,16] x) => (uint8[1,24] y)", body, constants), PIXELS, Options(table_bits=12))
    samples = {"x": PIXELS.astype(np.float64)}
    off = made.evaluate(samples)["y"] != run_float(made.graph, samples)["y"]
    assert off.sum() <= 2


def test_halves_go_to_the_even_number_where_nothing_saturates() -> None:
    """Of whole numbers a tenth each."""
    body, tenths = "m = MatMul(x, tenths) y = Round(m)", np.eye(8, dtype=np.float32) / np.float32(10)
    model = onnx_model("float[1,8] x) => (float[1,8] y)", body, {"tenths": tenths})
    x = R.randint(-300, 300, (40, 1, 8)).astype(np.float32)
    made = quantized(model, x, Options(table_bits=14))
    samples = {"x": x.astype(np.float64)}
    assert np.sum(x % 10 == 5) > 20
    np.testing.assert_allclose(made.evaluate(samples)["y"], run_float(made.graph, samples)["y"], atol=0.01)


@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_layer_reads_has_no_scale(hidden: bool) -> None:
    """Not so of a hidden model, whose weights would need more bits."""
    private = {"model": "private", "weight_bits": 34, "bias_bits": 48} if hidden else {}
    model = onnx_model("float[1,16] x) => (float[1,3] y)", LAYERS, CONSTANTS)
    made = quantized(model, PIXELS, Options(table_bits=12, **private))
    names = whole_numbers(made.graph)
    assert names and all((made.graph.tensors[name].scale == 0) != hidden for name in names)
    samples = {"x": PIXELS.astype(np.float64)}
    assert np.abs(made.evaluate(samples)["y"] - run_float(made.graph, samples)["y"]).max() < (1.0 if hidden else 0.1)


RESIDUAL = """
    q = QuantizeLinear(x, sa, z) a = DequantizeLinear(q, sa, z) m = Gemm(a, w, b) n = QuantizeLinear(m, sb, z)
    d = DequantizeLinear(n, sb, z) u = DequantizeLinear(uq, sa, zi) k = MatMul(d, u) l = QuantizeLinear(k, sc, z)
    e = DequantizeLinear(l, sc, z) s = Add(d, e)
"""
MORE = {
    **{name: value for name, value in CONSTANTS.items() if name != "v"},
    **{"uq": R.randint(-40, 56, (24, 24)).astype(np.int8), "zi": np.int8(0), "sc": np.float32(0.031)},
    "sd": np.float32(0.0271),
}


def test_levels_that_a_sum_of_reals_reads_too() -> None:
    """The layer reads them as they are, though they are also multiplied by their step."""
    proto = onnx_model("float[1,16] x) => (float[1,24] y)", RESIDUAL + "y = Tanh(s)", MORE)
    made = quantized(proto, PIXELS, Options(table_bits=13))
    held = next(node.outputs[0] for node in made.graph.nodes if node.op == "Cast" and node.inputs[0] == "n")
    readers = made.graph.readers()[held]
    assert {"Gemm", "Mul"} == {node.op for node in readers} and made.graph.tensors[held].scale == 0


@pytest.mark.parametrize("relu", [False, True])
def test_the_levels_of_a_residual_block(relu: bool) -> None:
    """None is another with 2^13 entries: the sum is one of integers."""
    body = RESIDUAL + ("r = Relu(s) y = QuantizeLinear(r, sd, z)" if relu else "y = QuantizeLinear(s, sd, z)")
    proto = onnx_model("float[1,16] x) => (uint8[1,24] y)", body, MORE)
    made, samples = quantized(proto, PIXELS, Options(table_bits=13)), {"x": PIXELS.astype(np.float64)}
    np.testing.assert_array_equal(made.evaluate(samples)["y"], run_float(made.graph, samples)["y"])


def test_a_residual_block_is_proved() -> None:
    proto = onnx_model("float[1,16] x) => (uint8[1,24] y)", RESIDUAL + "y = QuantizeLinear(s, sd, z)", MORE)
    assert_proves(proto, {"x": PIXELS}, table_bits=13)


def test_it_is_proved() -> None:
    assert_proves(onnx_model("float[1,16] x) => (float[1,3] y)", LAYERS, CONSTANTS), {"x": PIXELS}, table_bits=12)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("r = Round(x) y = Gemm(r, w)", {"r"}),
        ("r = Round(x) t = Reshape(r, s) y = Gemm(t, w)", {"r", "t"}),
        ("r = Round(x) a = Add(r, one) y = Gemm(a, w)", {"r", "a"}),
        ("r = Round(x) a = Add(r, half) y = Gemm(a, w)", {"r"}),
        ("r = Round(x) m = Max(r, half) y = Gemm(m, w)", set()),
        ("r = Round(x) j = Concat<axis = 0>(r, x) y = Gemm(j, w)", set()),
        ("r = Round(x) y = Identity(r)", set()),
    ],
)
def test_which_are_whole(body: str, found: set[str]) -> None:
    constants = {"w": np.eye(4, dtype=np.float32), "s": np.array([1, 4]), "one": np.float32(1), "half": np.float32(0.5)}
    used = {
        name: value for name, value in constants.items() if name in body.replace(")", ",").replace(",", " ").split()
    }
    model = onnx_model(f"float[1,4] x) => (float[{1 + ('Concat' in body)},4] y)", body, used)
    read = read_model(model)
    graph = import_graph(read, fix_shapes(read, {}, {}))
    assert whole_numbers(graph) == found


def test_a_layer_that_rounds_down() -> None:
    """By its bias or a sum's constant; not where all sums are multiples of T, nor where a secret would show."""
    builder = Builder(6)
    x = builder.input("x", (4, 1))
    made = builder.linear(x, np.array([[37, 64]]), None, "w")
    down = builder.rounded_down(made)
    assert down is not None and (made.low, down.low) == (-63, -63)
    builder.output("y", down)
    v = np.array([[[9], [-9], [63], [1]]])
    expected = np.concatenate([np.floor(37 * v / 64), v], axis=2)
    np.testing.assert_array_equal(builder.evaluate({"x": v})["y"], expected)
    summed = builder.sum([(x, 37)], None, "s")
    assert builder.rounded_down(summed) is not None
    assert builder.rounded_down(builder.sum([(x, 64)], None, "t")) is None
    assert builder.rounded_down(x) is None
    hidden = Builder(6, hidden=True)
    x = hidden.input("x", (4, 1))
    assert hidden.rounded_down(hidden.linear(x, np.array([[37]]), None, "w")) is None
    assert hidden.rounded_down(hidden.linear(x, np.array([[64]]), np.array([0]), "v")) is not None


def test_what_is_made_of_integers_and_booleans() -> None:
    """Extremes, products, choices and paddings of them are whole; a mean is not, nor what a real input makes."""
    body = (
        "f = Cast<to = 1>(m) a = ReduceMax<axes = [1]>(f) b = Mul(f, f) c = Where(m, f, one) d = Pad(f, p)"
        " e = ReduceMean<axes = [1]>(f) g = Mul(f, x) h = Sub(one, x) i = Mul(f, half) y = Sum(a, e, g, h, i)"
    )
    constants = {"one": np.float32(1), "half": np.float32(0.5), "p": np.array([0, 0, 0, 1])}
    signature = "bool[2,3] m, float[2,3] x) => (float[2,3] y, float b, float c, float d)"
    model = onnx_model(signature, body, constants)
    graph = import_graph(read_model(model), {"m": (2, 3), "x": (2, 3)})
    assert {"m", "f", "a", "b", "c", "d"} == of_whole_numbers(graph) & set("mabcdefghixy")
