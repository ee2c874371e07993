"""Masks of scores leave the arithmetic: whatever writes them, the circuit gives what onnxruntime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import quantized
from plonnx.compiler.computed_masks import with_raised_constants
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import CompileError
from plonnx.compiler.masks import FLOOR
from plonnx.compiler.options import Options
from plonnx.compiler.quantized import Quantized
from plonnx.gadgets.gadget import OutOfRange
from tests.compiler.small import graph_of, in_some_layout, onnx_model, run_float

CAUSAL = np.tril(np.ones((4, 4), bool))
VALUES = (-np.inf, float(np.finfo(np.float32).min), -1e9, -1e4, -100.0)
SIGNATURE = "float[1,2,4,4] x) => (float[1,2,4,4] y)"


def additive(value: float, keep: np.ndarray = CAUSAL) -> np.ndarray:
    return np.where(keep, 0.0, value).astype(np.float32)


def expected_of(signature: str, body: str, constants: dict[str, Any], opset: int, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    model = onnx_model(signature, body, constants, opset)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"x": one.astype(np.float32)})[0] for one in x])


def check(
    body: str, constants: dict[str, Any], opset: int = 17, signature: str = SIGNATURE, within: float = 0.005
) -> Quantized:
    """Compile on some samples, compare with onnxruntime on others; masked outputs in log space are at FLOOR."""
    r = np.random.RandomState(0)
    model = onnx_model(signature, body, constants, opset)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    made = quantized(model, {"x": r.uniform(-3, 3, (32, *shape))}, Options(table_bits=13))
    x = r.uniform(-3, 3, (40, *shape))
    got, expected = made.evaluate({"x": x})["y"], expected_of(signature, body, constants, opset, x)
    got, shown = np.maximum(got, FLOOR), np.maximum(expected, FLOOR)
    spread = float(np.ptp(shown)) or 1.0
    assert np.abs(got - shown).max() <= within * spread
    return made


FORMS = {
    "added": ("a = Add(x, m) y = Softmax(a)", {}),
    "added, first": ("a = Add(m, x) y = Softmax(a)", {}),
    "subtracted": ("n = Neg(m) a = Sub(x, n) y = Softmax(a)", {}),
    "chosen": ("a = Where(keep, x, v) y = Softmax(a)", {}),
    "filled": ("a = Where(drop, v, x) y = Softmax(a)", {}),
    "scaled before": ("s = Mul(x, half) a = Add(s, m) y = Softmax(a)", {}),
    "scaled after": ("a = Add(x, m) s = Mul(a, half) y = Softmax(s)", {}),
    "twice": ("a = Add(x, m) b = Add(a, pad) y = Softmax(b)", {}),
    "moved": (
        "a = Add(x, m) t = Transpose<perm = [0, 2, 1, 3]>(a) p = Softmax(t) y = Transpose<perm = [0, 2, 1, 3]>(p)",
        {},
    ),
    "sliced": ("a = Add(x, m) b, c = Split<axis = 1>(a) d = Concat<axis = 1>(c, b) y = Softmax(d)", {}),
    "by hand": (
        "a = Add(x, m) h = ReduceMax<axes = [3]>(a) d = Sub(a, h) e = Exp(d) s = ReduceSum(e, axes) y = Div(e, s)",
        {"axes": np.array([3])},
    ),
    "an exponential": ("a = Add(x, m) y = Exp(a)", {}),
    "of one half": ("b, c = Split<axis = 1>(x) a = Add(b, m) d = Concat<axis = 1>(a, c) y = Softmax(d)", {}),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_masks_before_the_exponential(form: str, value: float) -> None:
    body, more = FORMS[form]
    given: dict[str, Any] = {
        "m": additive(value),
        "keep": CAUSAL,
        "drop": ~CAUSAL,
        "v": np.float32(value),
        "half": np.float32(0.5),
        "pad": additive(value, np.array([True, True, True, False]) | np.eye(4, dtype=bool)),
        **more,
    }
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    made = check(body, {name: constant for name, constant in given.items() if name in words})
    inner = [tensor.interval for tensor in made.graph.tensors.values() if tensor.interval is not None]
    assert (inner and made.report.worst is None) or made.report.worst.max_relative < 0.02


@pytest.mark.parametrize("opset", [9, 12, 13, 17])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_every_version(op: str, opset: int) -> None:
    """Before version 13 all axes from `axis` on are one row."""
    for axis in (1, 3):
        check(f"a = Add(x, m) y = {op}<axis = {axis}>(a)", {"m": additive(-1e9)}, opset)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "body", ["l = LogSoftmax(x) y = Add(l, m)", "s = Softmax(x) l = Log(s) t = Flatten<axis = 2>(l) y = Add(t, n)"]
)
def test_masks_in_log_space(body: str, value: float) -> None:
    """After the logarithm, up to an output."""
    flat = "t = " in body
    constants = {"n": additive(value).reshape(1, 16)[:, :16].repeat(2, 0)} if flat else {"m": additive(value)}
    check(body, constants, signature="float[1,2,4,4] x) => (float[2,16] y)" if flat else SIGNATURE)


def test_masked_log_probabilities_into_another_softmax() -> None:
    check("l = LogSoftmax(x) a = Add(l, m) y = Softmax(a)", {"m": additive(-1e9)})


def test_masked_entries_cost_nothing() -> None:
    """Of 32 entries 20 are left: their exponentials and their shares are all there are."""
    with_mask = check("a = Add(x, m) y = Softmax(a)", {"m": additive(-np.inf)})
    without = check("y = Softmax(x)", {})
    assert with_mask.builder.unit_count < without.builder.unit_count
    np.testing.assert_array_equal(with_mask.evaluate({"x": np.zeros((1, 1, 2, 4, 4))})["y"][0, 0, 0] > 0, CAUSAL)


@pytest.mark.parametrize("value", [-1e9, -1e4, -100.0, float(np.finfo(np.float32).min)])
def test_rows_that_are_masked_altogether(value: float) -> None:
    """A shift where float32 keeps the scores, a uniform row where it loses them."""
    keep = CAUSAL.copy()
    keep[2] = False
    check("a = Add(x, m) y = Softmax(a)", {"m": additive(value, keep)})


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("a = Where(keep, x, c) y = Softmax(a)", {"keep": np.diag([True] * 3 + [False]), "c": np.float32(-100)}),
        (
            "a = Where(keep, x, c) y = Softmax<axis = 0>(a)",
            {"keep": np.diag([True] * 3 + [False]), "c": np.float32(-90)},
        ),
        ("a = Add(x, m) y = Softmax(a)", {"m": np.where(np.eye(4), [0, 0, 0, -200.0], -100.0)}),
        ("a = Add(x, m) b = Add(a, k) y = Softmax(b)", {"m": additive(-100.0), "k": -200.0 * np.eye(4)}),
    ],
)
def test_masks_that_are_no_shift_of_a_row(body: str, constants: dict[str, Any]) -> None:
    """The last row is masked altogether, by what stands in its place or by constants that differ: these stay."""
    check(body, constants, within=0.02)


def test_a_row_of_minus_infinity_is_refused() -> None:
    with pytest.raises(CompileError, match=r"\(Softmax\): a row of it is masked altogether by -inf"):
        check("a = Add(x, m) y = Softmax(a)", {"m": additive(-np.inf, np.zeros((4, 4), bool))})


def test_a_bias_is_no_mask() -> None:
    """-100 beside scores around 100 is a bias; -100 behind a Relu is a number."""
    r = np.random.RandomState(0)
    bias = np.array([-100.0, 0.0, -100.0, 1.0], np.float32)
    data = {"x": r.uniform(-1, 1, (32, 2, 4)) + np.array([100.0, 0.0, 99.0, 0.0])}
    made = quantized(onnx_model("float[2,4] x) => (float[2,4] y)", "a = Add(x, b) y = Softmax(a)", {"b": bias}), data)
    got = made.evaluate(data)["y"]
    np.testing.assert_allclose(got, run_float(made.graph, data)["y"], atol=0.01)
    assert got[..., 0].max() > 0.2
    data = {"x": r.uniform(-1, 1, (32, 2, 4))}
    made = quantized(onnx_model("float[2,4] x) => (float[2,4] y)", "y = Add(x, b)", {"b": bias}), data)
    assert made.evaluate(data)["y"].min() < -98.0


@settings(max_examples=40, deadline=None)
@given(
    keep=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=4),
    value=st.sampled_from(VALUES),
    op=st.sampled_from(("Softmax", "LogSoftmax")),
    axis=st.sampled_from((-1, -2, 1)),
    chosen=st.booleans(),
)
def test_random_masks(keep: list[list[bool]], value: float, op: str, axis: int, chosen: bool) -> None:
    kept = np.array(keep)
    whole = np.any(~np.any(kept, axis=axis)) if axis < 0 else not kept.all()
    if whole and np.isinf(value):
        return
    body = (
        f"a = Where(keep, x, v) y = {op}<axis = {axis}>(a)" if chosen else f"a = Add(x, m) y = {op}<axis = {axis}>(a)"
    )
    given: dict[str, Any] = {"keep": kept, "v": np.float32(value)} if chosen else {"m": additive(value, kept)}
    if chosen and whole and value > -1e7:
        return  # Where leaves nothing of the scores in a row that it masks altogether
    check(body, given)


# Where with a constant condition --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("z = Neg(x) y = Where(c, x, z)", {"c": CAUSAL[:2, :3]}),
        ("y = Where(c, x, k)", {"c": np.array([True, False, True]), "k": np.float32(0.5)}),
        ("y = Where(c, k, x)", {"c": np.array([[True], [False]]), "k": np.array([0.5, 0.5, -0.25])}),
        ("r = Relu(x) y = Where(c, r, x)", {"c": np.ones((2, 3), bool)}),
    ],
)
def test_where_by_a_constant(body: str, constants: dict[str, Any]) -> None:
    signature = "float[2,3] x) => (float[2,3] y)"
    check(body, constants, signature=signature)
    assert check(body, constants, 9, signature).builder.unit_count <= 12


def test_masks_in_a_private_model() -> None:
    """Which entries are masked is public; what the layout shows depends on no other constant."""
    x = np.random.RandomState(0).uniform(-1, 1, (32, 1, 2, 4, 4))
    blocks = []
    for seed in (1, 2):
        weights = np.random.RandomState(seed).randn(4, 4).astype(np.float32)
        body = "w = MatMul(x, k) a = Add(w, m) y = Softmax(a)"
        model = onnx_model(SIGNATURE, body, {"k": weights, "m": additive(-np.inf)})
        made = quantized(model, {"x": x}, Options(table_bits=12, model="private", weight_bits=20))
        np.testing.assert_allclose(made.evaluate({"x": x})["y"], run_float(made.graph, {"x": x})["y"], atol=0.02)
        blocks.append([(type(block).__name__, block.name, block.count) for block in made.builder.blocks])
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("flag", ["bool", "float"])
def test_of_a_private_model_no_computed_mask_shows_its_constant(flag: str) -> None:
    """Nor how large its scores are but as scales do: other weights of the same scales, and what is below all scores."""
    random = np.random.default_rng(3)
    w, v, values = (random.uniform(-1, 1, shape).astype(np.float32) for shape in ((4, 4), (4, 2), (20, 3, 4)))
    mask = random.integers(0, 2, (20, 3, 4)).astype(bool)
    mask[..., 0] = False
    body = "s = MatMul(x, w) f = Cast<to = 1>(m) g = Mul(f, c) a = Add(s, g) p = Softmax(a) y = MatMul(p, v)"
    signature = f"float[3,4] x, {flag}[3,4] m) => (float y)"

    def shown(scale: float, factor: float, constant: float) -> bytes:
        given = {"w": w * np.float32(factor), "v": v, "c": np.float32(constant)}
        samples = {"x": np.float32(scale) * values, "m": mask if flag == "bool" else mask.astype(np.float32)}
        made = onnx_model(signature, body, given)
        options = {"model": "private", "table_bits": 10, "weight_bits": 20, "bias_bits": 26}
        return in_some_layout(made, samples, **options).architecture.encode()

    ordinary = shown(1.0, 1.0, -1e9)
    assert ordinary == shown(1.0, 0.99, -1e9) == shown(1.0, 1.0, -3e38) == shown(1.0, 1.0, -90.0)
    assert shown(60.0, 1.0, -100.0) == shown(60.0, 1.0, -120.0), "neither is below all scores"


@pytest.mark.parametrize("value", [-1e9, -np.inf])
@pytest.mark.parametrize("model", ["public", "private"])
def test_the_largest_of_what_a_computed_mask_leaves(value: float, model: str) -> None:
    """Masked pools and masked actions: the constant does not set the scale of what it hides."""
    x, keep = _masked_rows()
    body = "a = Where(m, x, c) y = ReduceMax<axes = [1]>(a) k = ArgMax<axis = 1>(a)"
    proto = onnx_model("float[3,4] x, bool[3,4] m) => (float[3,1] y, int64[3,1] k)", body, {"c": np.float32(value)})
    made = quantized(proto, [{"x": x, "m": keep}], Options(table_bits=12, model=model))
    got, largest = made.evaluate({"x": x.astype(np.float64), "m": keep}), np.where(keep, x, -np.inf)
    np.testing.assert_allclose(got["y"], largest.max(axis=2, keepdims=True), atol=0.05)
    assert np.mean(got["k"] == largest.argmax(axis=2, keepdims=True)) > 0.98


@pytest.mark.parametrize("model", ["public", "private"])
def test_the_largest_of_a_row_that_only_an_input_masks_altogether_has_no_proof(model: str) -> None:
    """It would be the mask's constant, of which nothing is left; but its positive part is 0 all the same."""
    x, keep = _masked_rows()
    nothing, given = np.zeros((1, 3, 4), bool), {"c": np.float32(-1e9)}
    signature, body = "float[3,4] x, bool[3,4] m) => (float[3,1] y)", "a = Where(m, x, c) p = ReduceMax<axes = [1]>(a)"
    of = {"x": x[:1].astype(np.float64), "m": nothing}
    shown = quantized(
        onnx_model(signature, f"{body} y = Identity(p)", given),
        [{"x": x, "m": keep}],
        Options(table_bits=12, model=model),
    )
    with pytest.raises(OutOfRange, match="outside the calibrated range"):
        shown.evaluate(of)
    positive = quantized(
        onnx_model(signature, f"{body} y = Relu(p)", given), [{"x": x, "m": keep}], Options(table_bits=12, model=model)
    )
    assert not positive.evaluate(of)["y"].any()


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (1e9, "a = Where(m, x, c) y = ReduceMin<axes = [2]>(a)"),
        (-1e9, "a = Where(m, x, c) y = MaxPool<kernel_shape = [4]>(a)"),
        (-1e9, "a = Where(m, x, c) y, k = TopK<axis = 2>(a, one)"),
    ],
)
def test_other_extremes_of_a_row_that_is_masked_altogether_have_no_proof(value: float, body: str) -> None:
    """The smallest, a pool, the best of a row: each would be the level of the mask."""
    x, keep = _masked_rows()
    constants = {"c": np.float32(value), **({"one": np.array([1])} if "one" in body else {})}
    proto = onnx_model("float[1,3,4] x, bool[1,3,4] m) => (float[1,3,1] y)", body, constants)
    made = quantized(proto, [{"x": x[:, None], "m": keep[:, None]}], Options(table_bits=12))
    of = {"x": x[:1, None].astype(np.float64), "m": np.ones((1, 1, 3, 4), bool)}
    least = "ReduceMin" in body
    np.testing.assert_allclose(made.evaluate(of)["y"][0, 0, :, 0], (x[0].min if least else x[0].max)(axis=1), atol=0.05)
    with pytest.raises(OutOfRange, match="outside the calibrated range"):
        made.evaluate({**of, "m": np.zeros((1, 1, 3, 4), bool)})


@pytest.mark.parametrize("value", [1e9, np.inf])
@pytest.mark.parametrize("model", ["public", "private"])
def test_the_smallest_of_what_a_computed_mask_leaves(value: float, model: str) -> None:
    """The nearest of those that are there: padding far above all others does not set their scale."""
    x, keep = _masked_rows()
    body = "a = Where(m, x, c) y = ReduceMin<axes = [1]>(a) k = ArgMin<axis = 1>(a)"
    proto = onnx_model("float[3,4] x, bool[3,4] m) => (float[3,1] y, int64[3,1] k)", body, {"c": np.float32(value)})
    made = quantized(proto, [{"x": x, "m": keep}], Options(table_bits=12, model=model))
    got, smallest = made.evaluate({"x": x.astype(np.float64), "m": keep}), np.where(keep, x, np.inf)
    np.testing.assert_allclose(got["y"], smallest.min(axis=2, keepdims=True), atol=0.05)
    assert np.mean(got["k"] == smallest.argmin(axis=2, keepdims=True)) > 0.98


_FLAG = "f = Cast<to = 1>(m) g = Sub(one, f) h = Mul(g, big) "
_FILLED = "a = Where(m, x, low) "
_LED = {
    "a flag before the smallest": (_FLAG + "a = Add(x, h) y = ReduceMin<axes = [2]>(a)", "float[1,3,1]"),
    "subtracted before the largest": (_FLAG + "a = Sub(x, h) y = ReduceMax<axes = [2]>(a)", "float[1,3,1]"),
    "a softmax by hand": (
        _FILLED + "b = ReduceMax<axes = [2]>(a) d = Sub(a, b) e = Exp(d) s = ReduceSum(e, two) y = Div(e, s)",
        "float[1,3,4]",
    ),
    "the best two": (_FILLED + "y, k = TopK<axis = 2>(a, count)", "float[1,3,2]"),
    "places of the best two": (_FILLED + "v, y = TopK<axis = 2>(a, count)", "int64[1,3,2]"),
    "the least two": ("a = Where(m, x, big) y, k = TopK<axis = 2, largest = 0>(a, count)", "float[1,3,2]"),
    "one of all": (_FILLED + "y = Hardmax<axis = 2>(a)", "float[1,3,4]"),
    "the smallest by a pool": (
        "a = Where(m, x, big) n = Neg(a) p = MaxPool<kernel_shape = [4]>(n) y = Neg(p)",
        "float[1,3,1]",
    ),
    "with a temperature": (_FILLED + "t = Mul(a, half) y = Softmax<axis = 2>(t)", "float[1,3,4]"),
    "filled twice": (_FILLED + "b = Where(keep, a, low) y = ReduceMax<axes = [2]>(b)", "float[1,3,1]"),
    "shifted by something large": (
        "z = Sub(x, far) b = Where(m, z, low) a = Add(b, far) y = Softmax<axis = 2>(a)",
        "float[1,3,4]",
    ),
    "scores far below zero": ("z = Sub(x, far) a = Where(m, z, low) y = Softmax<axis = 2>(a)", "float[1,3,4]"),
    "a gate": (_FILLED + "y = Sigmoid(a)", "float[1,3,4]"),
    "chosen by a constant": ("a = Where(keep, x, low) y = ArgMax<axis = 2>(a)", "int64[1,3,1]"),
}


@pytest.mark.parametrize("form", _LED)
@pytest.mark.parametrize("value", [1e9, np.inf])
def test_wherever_a_mask_leads_to_what_hides_it(form: str, value: float) -> None:
    """Its constant sets no scale: 12 bits are enough for what it leaves, or 16 for scores of 200."""
    body, output = _LED[form]
    x, m = _masked_rows()
    m[..., 1] = True
    keep = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
    low, big = np.float32(-value), np.float32(min(value, 1e9) if "Mul(g" in body else value)
    constants = {"one": np.float32(1), "half": np.float32(0.5), "far": np.float32(200), "keep": keep}
    constants |= {"low": low, "big": big, "count": np.array([2]), "two": np.array([2])}
    used = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    constants = {name: each for name, each in constants.items() if name in used}
    signature = "float[1,3,4] x, bool[1,3,4] m) => " if "(m" in body else "float[1,3,4] x) => "
    proto = onnx_model(f"{signature}({output} y)", body, constants)
    samples = {"x": x[:, None], "m": m[:, None]} if "(m" in body else {"x": x[:, None]}
    made = quantized(proto, samples, Options(table_bits=16 if "far" in body else 12))
    wanted = FloatModel(proto).run_all([{name: each[i] for name, each in samples.items()} for i in range(len(x))])["y"]
    got = made.evaluate({name: each.astype(np.float64) for name, each in samples.items()})["y"]
    if output.startswith("int64"):
        assert np.mean(got == wanted) > 0.98
    else:
        assert np.abs(got - wanted).max() <= 0.03 * float(np.ptp(wanted))


def test_masks_that_meet_stay_as_they_are() -> None:
    """Where both operands are masked their difference is zero, whatever the constant."""
    x, m = _masked_rows()
    body = "a = Where(m, x, low) z = Neg(x) b = Where(m, z, low) d = Sub(a, b) y = ReduceMax<axes = [1]>(d)"
    proto = onnx_model("float[3,4] x, bool[3,4] m) => (float[3,1] y)", body, {"low": np.float32(-100)})
    made = quantized(proto, [{"x": x, "m": m}], Options(table_bits=13))
    got = made.evaluate({"x": x.astype(np.float64), "m": m})["y"]
    np.testing.assert_allclose(got, np.where(m, 2 * x, 0).max(axis=2, keepdims=True), atol=0.2)


@pytest.mark.parametrize("c", [[-1e9, 1e9], [1e9, -1e9]])
def test_what_masks_on_both_sides_is_no_mask(c: list[float]) -> None:
    """What is far above the others is the largest: it stays as it is."""
    x, keep = _masked_rows()
    body = "f = Cast<to = 1>(m) g = Mul(f, c) a = Add(x, g) y = ReduceMax<axes = [1]>(a)"
    proto = onnx_model("float[3,4] x, bool[3,4] m) => (float[3,1] y)", body, {"c": np.float32([*c, *c])})
    made = quantized(proto, [{"x": x, "m": keep}], Options(table_bits=12))
    got = made.evaluate({"x": x.astype(np.float64), "m": keep})["y"]
    largest = (x + np.where(keep, np.float32([*c, *c]), 0)).max(axis=2, keepdims=True)
    assert np.abs(got - largest).max() <= 1e6


@pytest.mark.parametrize(
    "taken",
    [
        "i = Sub(one, f) b = Mul(i, big) a = Sub(x, b)",
        "i = Sub(f, one) b = Mul(i, big) a = Add(x, b)",
        "i = Sub(f, one) n = Neg(big) b = Mul(i, n) t = Reshape(b, s) a = Sub(x, t)",
        "i = Sub(one, f) b = Mul(i, big) u = Sub(b, x) n = Sub(zero, u) a = Identity(n)",
    ],
)
def test_a_mask_that_is_taken_away(taken: str) -> None:
    """x - 1e9 (1 - m) before a largest of it and its place, and before shares."""
    x, keep = _masked_rows()
    body = f"f = Cast<to = 1>(m) {taken} y = ReduceMax<axes = [1]>(a) k = ArgMax<axis = 1>(a) p = Softmax(a)"
    signature = "float[3,4] x, bool[3,4] m) => (float[3,1] y, int64[3,1] k, float[3,4] p)"
    given = {"one": np.float32(1), "zero": np.float32(0), "big": np.float32(1e9), "s": np.array([3, 4])}
    made = quantized(onnx_model(signature, body, given), [{"x": x, "m": keep}], Options(table_bits=13))
    got, largest = made.evaluate({"x": x.astype(np.float64), "m": keep}), np.where(keep, x, -np.inf)
    np.testing.assert_allclose(got["y"], largest.max(axis=2, keepdims=True), atol=0.05)
    assert np.mean(got["k"] == largest.argmax(axis=2, keepdims=True)) > 0.97
    shares = np.exp(largest) / np.exp(largest).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(got["p"], shares, atol=0.03)


@pytest.mark.parametrize(
    "body",
    [
        "b = Mul(f, big) t = Sub(x, b) u = Add(t, b) y = ReduceMax<axes = [1]>(u)",
        "b = Mul(f, big) t = Sub(x, b) y = ReduceMax<axes = [1]>(t) u = Add(x, b) z = Softmax(u)",
        "b = Mul(f, big) t = Sub(b, x) y = ReduceMax<axes = [1]>(t)",
        "b = Mul(f, big) c = Sub(b, b) t = Add(c, x) y = ReduceMax<axes = [1]>(t)",
    ],
)
def test_what_is_taken_away_and_added_or_is_above_all_others_stays(tmp_path: Path, body: str) -> None:
    x, keep = _masked_rows()
    more = ", float[3,4] z" if "z =" in body else ""
    cast = f"f = Cast<to = 1>(m) {body}"
    graph = graph_of(
        tmp_path, f"float[3,4] x, bool[3,4] m) => (float[3,1] y{more})", cast, {"big": np.float32(1e3)}, 17
    )
    raised = with_raised_constants(graph, {"x": x, "m": keep}, 2.0)
    held = [raised.value(name) for node in raised.nodes for name in node.inputs]
    assert {float(value) for value in held if value is not None} == {1e3}


def test_a_row_that_samples_have_masked_altogether_keeps_its_largest() -> None:
    """It is the mask's constant, which an output shows."""
    x, keep = _masked_rows()
    keep[0, 0] = False
    proto = onnx_model(
        "float[3,4] x, bool[3,4] m) => (float[3,1] y)",
        "a = Where(m, x, c) y = ReduceMax<axes = [1]>(a)",
        {"c": np.float32(-100)},
    )
    made = quantized(proto, [{"x": x, "m": keep}], Options(table_bits=12))
    assert made.evaluate({"x": x.astype(np.float64), "m": keep})["y"].min() == pytest.approx(-100, abs=0.1)


def _masked_rows() -> tuple[np.ndarray, np.ndarray]:
    """Values, and which of them are kept: the first of each row is."""
    random = np.random.default_rng(5)
    keep = random.integers(0, 2, (24, 3, 4)).astype(bool)
    keep[..., 0] = True
    return random.uniform(-3, 3, keep.shape).astype(np.float32), keep


@pytest.mark.parametrize("model", ["public", "private"])
@pytest.mark.parametrize(
    ("body", "value"), [("n = Sub(o, m) b = Mul(n, c)", -1e9), ("n = Sub(m, o) b = Mul(c, n)", 3e38)]
)
def test_a_flag_that_is_a_fraction_masks_too(body: str, value: float, model: str) -> None:
    """Samples have 0 and 1 alone, but the input is a real number: 1 - 0.99 times -1e9 hides all the same."""
    x, keep = _masked_rows()
    constants = {"o": np.float32(1), "c": np.float32(value)}
    proto = onnx_model(
        "float[3,4] x, float[3,4] m) => (float[3,4] y)", f"{body} a = Add(x, b) y = Softmax(a)", constants
    )
    made = quantized(proto, [{"x": x, "m": keep}], Options(table_bits=12, model=model))
    flags = np.where(keep, 1.0, 0.99).astype(np.float32)
    flags[..., 1] = np.where(keep[..., 1], 1.0, 0.5)
    expected = FloatModel(proto).run_all([{"x": one, "m": flag} for one, flag in zip(x, flags, strict=True)])["y"]
    assert expected[~keep].max() == 0.0
    np.testing.assert_allclose(made.evaluate({"x": x.astype(np.float64), "m": flags})["y"], expected, atol=0.015)
