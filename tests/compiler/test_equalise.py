"""Channels of very different ranges: the graph stays the same function, ports get scales by channel, targets hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler import compile as compiling
from plonnx.compiler import table_search
from plonnx.compiler.calibration import Calibration, calibrate
from plonnx.compiler.channels import wide_inputs
from plonnx.compiler.compile import quantized
from plonnx.compiler.equalise import FREEDOMS, equalised
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError, Graph
from plonnx.compiler.options import Options
from plonnx.compiler.passes import optimize
from plonnx.compiler.quantize import quantize
from plonnx.compiler.quantized import Quantized
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.search import weight_choices
from plonnx.layout.shape import Shape
from tests.compiler.small import graph_of, onnx_model, operators, run_float

Reals = NDArray[np.float64]
APART = np.array([1.0, 1e-2, 1e2, 1e-3])
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(40, 1, 4, 3, 3))
ROWS = RANDOM.normal(size=(40, 1, 4))
WEIGHTS: dict[str, Any] = {
    "square": RANDOM.normal(size=(4, 4)),
    "apart": RANDOM.normal(size=(4, 4)) * APART,
    "back": RANDOM.normal(size=(4, 2)) / APART[:, None],
    "kernel": RANDOM.normal(size=(4, 4, 2, 2)) * APART[:, None, None, None],
    "point": RANDOM.normal(size=(4, 4, 1, 1)) * APART[:, None, None, None],
    "soft": RANDOM.normal(size=(4, 4, 1, 1)) * np.logspace(0, -3, 4).reshape(4, 1, 1, 1) / APART[:, None, None],
    "turned": RANDOM.normal(size=(4, 2, 2, 2)) / APART[:, None, None, None],
    "row": RANDOM.normal(size=4) * APART,
    "other": RANDOM.normal(size=4) * APART,
    "slope": RANDOM.uniform(0.1, 0.5, 4),
    "bias": np.zeros(4),
    "ones": np.ones(4),
    "zero": np.array(0.0),
    "lift": APART,
    "half": np.array(0.5),
    "two": np.array(2.0),
    "which": np.array([3, 1, 0]),
    "flat": np.array([1, -1]),
    "axes": np.array([1]),
    "borders": np.array([0, 0, 1, 1, 0, 0, 0, 0]),
}
ROW, IMAGE = "float[1,4] x) => (float y)", "float[1,4,3,3] x) => (float y)"
BODIES = [
    (ROW, "y = MatMul(x, square)"),
    (ROW, "a = Add(x, row) b = Mul(a, other) y = Relu(b)"),
    (ROW, "a = Gemm(x, apart, bias) b = PRelu(a, slope) c = LeakyRelu(b) y = Gemm(c, back)"),
    (ROW, "a = Gemm(x, square) b = Relu(a) c = Mul(b, row) y = Add(c, x)"),
    (ROW, "a = Mul(x, x) b = Pow(x, two) y = Sub(a, b) "),
    (ROW, "a = Abs(x) m = Max(a, row) y = MatMul(m, back)"),
    (ROW, "t = Transpose(x) a = MatMul(square, t) y = Transpose(a)"),
    (ROW, "a = Gather<axis = 1>(x, which) b = Concat<axis = 1>(a, x) y = Reshape(b, flat)"),
    (ROW, "p, q = Split<axis = 1>(x) a = Mul(p, half) y = Concat<axis = 1>(q, a)"),
    (ROW, "g = Greater(x, row) y = Where(g, x, zero)"),
    (ROW, "a = Gemm(x, apart, bias) b = Tanh(a) y = Gemm(b, square)"),
    (ROW, "a = Abs(x) b = Add(a, lift) c = Sqrt(b) y = Reciprocal(c)"),
    (IMAGE, "a = Conv(x, kernel) b = Relu(a) y = ConvTranspose(b, turned)"),
    (IMAGE, "a = MaxPool<kernel_shape = [2, 2]>(x) b = AveragePool<kernel_shape = [2, 2]>(x) y = Sub(a, b)"),
    (IMAGE, "a = GlobalAveragePool(x) b = Flatten(a) y = Gemm(b, back)"),
    (IMAGE, "a = InstanceNormalization(x, ones, bias) y = Conv(a, point)"),
    (IMAGE, "a = Pad(x, borders) b = DepthToSpace<blocksize = 2>(a) y = Identity(b)"),
    (IMAGE, "a = Conv(x, soft) y = Sigmoid(a)"),
]


def samples_of(signature: str) -> dict[str, Reals]:
    """Samples whose channels are as far apart as APART says."""
    return {"x": ROWS * APART if signature == ROW else IMAGES * APART[:, None, None]}


def compiled(
    signature: str, body: str, constants: dict[str, Any], samples: dict[str, Reals], **options: Any
) -> Quantized:
    return quantized(onnx_model(signature, body, constants), samples, Options(**options))


def used(body: str) -> dict[str, Any]:
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {name: value for name, value in WEIGHTS.items() if name in words}


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize(("signature", "body"), BODIES)
def test_the_graph_computes_the_same(tmp_path: Path, signature: str, body: str, freedom: Any) -> None:
    """In floating point, channel by channel; and what it would be calibrated to holds what it computes."""
    graph = optimize(graph_of(tmp_path, signature, body, used(body)))
    samples = samples_of(signature)
    calibration = calibrate(graph, samples, 1.0)
    after, measured = equalised(graph, calibration, 12, freedom, wide_inputs(graph, samples))
    expected, got = run_float(graph, samples)["y"], run_float(after, samples)["y"]
    largest = np.abs(expected).max(axis=0)
    assert np.all(np.abs(got - expected) <= 1e-5 * largest + 1e-30)
    names = {name for node in after.nodes for name in node.outputs}
    for name, (low, high) in calibrate(after, samples, 1.0).ranges.items():
        assert name not in names or max(-low, high) <= measured.limits[name] * (1 + 1e-6)
    quantize(after, measured.limits, 12)


@pytest.mark.parametrize(("signature", "body"), BODIES)
def test_both_targets_are_met(signature: str, body: str) -> None:
    made = compiled(signature, body, used(body), samples_of(signature))
    assert made.report.reached
    for output in made.report.outputs:
        assert output.max_relative <= 0.003 and output.max_channel_relative <= 0.03


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(2, 5), min_size=2, max_size=4),
    activation=st.sampled_from(["Relu", "LeakyRelu", "Tanh", "Abs", "Identity"]),
    wide=st.sampled_from(["inputs", "inner", "outputs"]),
)
def test_random_networks(seed: int, widths: list[int], activation: str, wide: str) -> None:
    """Dense layers over an input, inner tensors or an output whose channels differ by up to 10^5."""
    random = np.random.default_rng(seed)
    scales = [10.0 ** random.uniform(-2.5, 2.5, width) for width in widths]
    ones = [np.ones(width) for width in widths]
    at = {"inputs": 0, "inner": len(widths) // 2, "outputs": len(widths) - 1}[wide]
    by = [scales[k] if k == at else ones[k] for k in range(len(widths))]
    if wide == "inner" and activation == "Tanh":
        activation = "Relu"  # of 1e-2 beside 1e2, Tanh makes steps
    body, x = "", "x"
    constants: dict[str, Any] = {}
    for layer in range(len(widths) - 1):
        last = layer == len(widths) - 2
        weights = random.normal(size=(widths[layer], widths[layer + 1])) / np.sqrt(widths[layer])
        constants[f"w{layer}"] = weights / by[layer][:, None] * by[layer + 1]
        constants[f"b{layer}"] = 0.1 * random.normal(size=widths[layer + 1]) * by[layer + 1]
        result = "y" if last else f"a{layer}"
        body += f"{result} = Gemm({x}, w{layer}, b{layer}) "
        if not last:
            body += f"h{layer} = {activation}({result}) "
            x = f"h{layer}"
    samples = {"x": random.normal(size=(48, 1, widths[0])) * by[0]}
    signature = f"float[1,{widths[0]}] x) => (float y)"
    made = compiled(signature, body, constants, samples)
    assert made.report.reached
    oracle = FloatModel(onnx_model(signature, body, constants))
    seen = oracle.run_all([{"x": x} for x in samples["x"].astype(np.float32)])["y"]
    fresh = {"x": random.normal(size=(16, 1, widths[0])).clip(-1, 1) * by[0]}
    expected = oracle.run_all([{"x": x} for x in fresh["x"].astype(np.float32)])["y"]
    error = np.abs(made.evaluate(fresh)["y"] - expected).max(axis=0)
    spread, own = np.ptp(seen), np.ptp(seen, axis=0)
    assert error.max() <= 0.005 * spread and np.all(error <= 0.03 * np.maximum(own, 1e-3 * spread))


# Ports ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tabular() -> ModelCircuit:
    model = onnx_model(ROW, "a = Gemm(x, back, b) h = Relu(a) y = Gemm(h, wide)", BOTH)
    made = quantized(model, samples_of(ROW))
    shape = Shape(9, 1, next(iter(weight_choices(made.builder))), 1)
    facts: dict[str, Any] = {"opset": 17, "parameters": 1, "operators": {}, "larger_setups": [], "notes": []}
    ports = made.facts.inputs, made.facts.outputs
    return ModelCircuit("small", made.builder, shape, *ports, made.report.as_json(), facts)


BOTH = {"back": WEIGHTS["back"], "b": np.zeros(2), "wide": np.array([[300.0, 0.02], [-200.0, 0.01]])}


def test_ports_have_a_scale_for_each_channel(tmp_path: Path, tabular: ModelCircuit) -> None:
    circuit = tabular
    (x,), (y,) = circuit.inputs, circuit.outputs
    assert circuit.builder.unit_count == 4 + 2 + 2, "they cost no unit"
    assert np.shape(x.scale) == (4,) and np.shape(y.scale) == (2,)
    circuit.save(tmp_path / "made.circuit")
    again = ModelCircuit.load(tmp_path / "made.circuit")
    assert again.inputs == circuit.inputs and again.outputs == circuit.outputs
    assert [tensor.scale for tensor in again.tensors] == [x.scale, y.scale]
    row = samples_of(ROW)["x"][:1]
    assert not circuit.mock(circuit.read_inputs({"x": row[0]}))
    expected = np.maximum(row[0] @ BOTH["back"], 0.0) @ BOTH["wide"]
    assert np.all(np.abs(circuit.predict({"x": row})["y"] - expected) <= [3.0, 3e-4])


def test_an_input_out_of_range_is_told_by_its_channel(tabular: ModelCircuit) -> None:
    row = samples_of(ROW)["x"][0].copy()
    row[0, 3] = 1.0
    with pytest.raises(ValueError, match=r"input 'x' is 1 at \[0, 3\], outside the calibrated range \[-0\.0"):
        tabular.read_inputs({"x": row})


def test_circuits_that_need_no_scales_by_channel_have_none(tmp_path: Path) -> None:
    """Channels that differ, but not so much that a scale for all is too coarse."""
    samples = {"x": RANDOM.normal(size=(40, 1, 4)) * [1.0, 0.05, 1.0, 1.0]}
    made = compiled(ROW, "y = Gemm(x, square)", {"square": np.eye(4) + 0.5}, samples)
    assert isinstance(made.facts.inputs[0].scale, int) and isinstance(made.facts.outputs[0].scale, int)
    assert operators(made.graph) == ["Gemm"]


@pytest.mark.parametrize(
    "body",
    [
        "c = Concat<axis = 1>(u, v, w) s = Sub(c, m) d = Div(s, sd) y = Gemm(d, g)",
        "a = Sub(u, m0) b = Div(a, sd0) c = Sub(v, m1) d = Mul(c, k1) j = Concat<axis = 1>(b, d, w) y = MatMul(j, g)",
    ],
)
def test_inputs_in_parts_of_different_ranges(body: str) -> None:
    """Columns as inputs of their own, standardised inside the model after or before they are joined."""
    signature = "float[1,1] u, float[1,1] v, float[1,1] w) => (float y)"
    constants = {
        "m": np.array([5e4, 0.5, 40.0]),
        "sd": np.array([2e4, 1e-2, 10.0]),
        "g": np.diag([1.0, 2.0, 0.1])[:, :2] + 0.01,
    }
    constants |= {"m0": np.array([5e4]), "sd0": np.array([2e4]), "m1": np.array([0.5]), "k1": np.array([100.0])}
    drawn = RANDOM.normal(size=(40, 3)) * constants["sd"] + constants["m"]
    made = compiled(signature, body, constants, {name: drawn[:, k, None, None] for k, name in enumerate("uvw")})
    assert made.report.reached and made.builder.unit_count == 3 + 2


def test_trees_of_inputs_in_parts() -> None:
    """Columns as inputs of their own, joined for a forest: small features keep their steps beside large ones."""
    forest = (
        "nodes_treeids = [0, 0, 0, 0, 0], nodes_nodeids = [0, 1, 2, 3, 4], nodes_featureids = [0, 1, 0, 0, 0],"
        " nodes_truenodeids = [1, 3, 0, 0, 0], nodes_falsenodeids = [2, 4, 0, 0, 0], target_nodeids = [2, 3, 4],"
        " nodes_values = [60000.0, 0.5, 0.0, 0.0, 0.0], target_treeids = [0, 0, 0], target_ids = [0, 0, 0],"
        ' nodes_modes = ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"], target_weights = [1.0, -1.0, 0.5]'
    )
    body = f"c = Concat<axis = 1>(u, v) y = ai.onnx.ml.TreeEnsembleRegressor<{forest}, n_targets = 1>(c)"
    drawn = np.stack([RANDOM.uniform(2e4, 1e5, 60), np.round(RANDOM.uniform(0.4, 0.6, 60), 3)], axis=1)
    given = {name: drawn[:, k, None, None] for k, name in enumerate("uv")}
    made = compiled("float[1,1] u, float[1,1] v) => (float y)", body, {}, given)
    assert made.report.reached and made.report.table_bits <= 13


@pytest.mark.parametrize("count", [1, 5])
def test_few_samples_of_very_different_features(count: int) -> None:
    """Random inputs are drawn from each feature's own range: a box for all would know nothing but the largest."""
    made = compiled(ROW, "y = MatMul(x, back)", used("back"), {"x": samples_of(ROW)["x"][:count]})
    assert np.shape(made.facts.inputs[0].scale) == (4,) and made.report.reached
    row = {"x": samples_of(ROW)["x"][:1] / 2}
    assert np.all(np.abs(made.evaluate(row)["y"] - row["x"] @ WEIGHTS["back"]) < 0.05)


def test_dark_pixels_of_one_sample_keep_the_scale_of_all() -> None:
    pixels = RANDOM.integers(0, 256, (1, 1, 4)) / 255
    pixels[0, 0, 1:3] = 0.0, 1 / 255
    made = compiled(ROW, "y = MatMul(x, square)", used("square"), {"x": pixels})
    assert isinstance(made.facts.inputs[0].scale, int)
    assert np.isfinite(made.evaluate({"x": np.full((1, 1, 4), 0.5)})["y"]).all()


# Targets --------------------------------------------------------------------------------------------------------------


DETECTOR = "float[1,2,4] x) => (float[1,4,4] y)"


def detector(**options: Any) -> Quantized:
    body = "b = Sigmoid(x) c = Mul(b, pixels) s = Sigmoid(x) y = Concat<axis = 1>(c, s)"
    samples = {"x": RANDOM.normal(size=(40, 1, 2, 4))}
    return compiled(DETECTOR, body, {"pixels": np.array(640.0)}, samples, **options)


def test_scores_beside_boxes() -> None:
    made = detector()
    assert np.shape(made.facts.outputs[0].scale) == (4, 1)
    assert made.report.outputs[0].max_channel_relative <= 0.03


def test_a_channel_that_is_lost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_search, "FREEDOMS", ())
    monkeypatch.setattr(table_search, "LARGER_TABLES", ())
    monkeypatch.setattr(table_search, "TABLE_BITS", range(8, 11))
    with pytest.raises(
        CompileError, match=r"output 'y', channel \[:, [23]\], is off by .* lost in '.*error_target=0\.\d+$"
    ):
        detector()
    accepted = detector(error_target=0.2).report
    assert accepted.reached and accepted.outputs[0].channel in ((1, 2), (1, 3))
    warned = detector(table_bits=10).report
    assert not warned.reached and warned.missed is not None and ", channel [:, " in warned.missed


def test_decisions_close_to_a_threshold_are_no_reason_to_refuse() -> None:
    """A step that comes out on the other side of its threshold for one sample of many."""
    x = np.concatenate([RANDOM.normal(size=39), [1e-7]]).reshape(40, 1, 1)
    made = compiled(
        "float[1,1] x) => (float[1,1] y)", "g = Greater(x, z) y = Cast<to = 1>(g)", {"z": np.zeros(1)}, {"x": x}
    )
    assert made.report.outputs[0].stepped and not made.report.reached


# Private models -------------------------------------------------------------------------------------------------------


def test_exponents_follow_from_ranges_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two private models of the same ranges have the same scales and layers, whatever their weights."""

    def same(graph: Graph, *arguments: Any) -> Calibration:
        found = calibrate(graph, *arguments)
        reach = {name: np.full_like(value, 64.0) for name, value in found.reach.items()}
        reach["x"] = 64.0 * APART[None]
        limits = dict.fromkeys(found.limits, 64.0) | {"x": 6400.0}
        return Calibration(limits, reach, {}, found.samples, found.given, found.margin)

    monkeypatch.setattr(compiling, "calibrate", same)
    made = []
    for seed in (1, 2):
        random = np.random.default_rng(seed)
        drawn = {"w": random.normal(size=(4, 4)) / APART[:, None], "b": random.normal(size=4)}
        drawn["v"] = random.normal(size=(4, 4))
        body, given = "a = Gemm(x, w, b) h = Relu(a) y = Gemm(h, v)", {"weight_bits": 24, "bias_bits": 40}
        one = compiled(ROW, body, drawn, samples_of(ROW), model="private", table_bits=12, **given)
        tensors = [(t.name, t.scale, t.interval, t.shift) for t in one.graph.tensors.values()]
        made.append((one.facts, repr(tensors), operators(one.graph), one.builder.unit_count, one.builder.secrets))
    assert np.shape(made[0][0].inputs[0].scale) == (4,)
    assert made[0] == made[1]
