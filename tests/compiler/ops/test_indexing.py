"""Computed indices, and scattering by constant ones, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from plonnx.layout.inputs import InputError
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model

WORDS = np.random.RandomState(0).uniform(-1, 1, (9, 4))
PRIVATE = {"model": "private"}


def reals(*shape: int) -> np.ndarray[Any, Any]:
    """Sixteenths."""
    return np.random.RandomState(1).randint(-16, 17, (30, *shape)).astype(np.float32) / 16


def indices(low: int, high: int, *shape: int) -> np.ndarray[Any, Any]:
    """Integers, both ends included."""
    return np.random.RandomState(2).randint(low, high + 1, (30, *shape))


@pytest.mark.parametrize("options", [{}, PRIVATE], ids=["public", "private"])
@pytest.mark.parametrize(("shape", "call"), [("9,2,3", "Gather<axis = 1>"), ("2,3,4", "Gather")])
def test_rows_of_a_constant(options: dict[str, Any], shape: str, call: str) -> None:
    """An embedding, counted from the front or the back."""
    count = 4 if "axis" in call else 9
    model = onnx_model(f"int64[2,3] i) => (float[{shape}] y)", f"y = {call}(w, i)", {"w": WORDS})
    assert_as_onnxruntime(model, {"i": indices(-count, count - 1, 2, 3)}, 0.001, **options)


def test_a_row_by_a_scalar() -> None:
    model = onnx_model("int32 i) => (float[4] y)", "y = Gather(w, i)", {"w": WORDS})
    assert_as_onnxruntime(model, {"i": indices(0, 8).astype(np.int32)}, 0.001)


def test_entries_of_a_computed_tensor() -> None:
    """Exactly: no entry is rounded."""
    model = onnx_model("float[3,5] x, int64[2,3] i) => (float[3,2,3] y)", "y = Gather<axis = 1>(x, i)")
    assert_as_onnxruntime(model, {"x": reals(3, 5), "i": indices(-5, 4, 2, 3)})


@pytest.mark.parametrize(("axis", "shape", "count"), [(0, (2, 4), 3), (1, (3, 2), 5), (-1, (2, 7), 5)])
def test_elements_of_a_computed_tensor(axis: int, shape: tuple[int, int], count: int) -> None:
    made = ",".join(map(str, shape))
    signature = f"float[3,5] x, int64[{made}] i) => (float[{made}] y)"
    model = onnx_model(signature, f"y = GatherElements<axis = {axis}>(x, i)")
    assert_as_onnxruntime(model, {"x": reals(3, 5), "i": indices(-count, count - 1, *shape)})


@pytest.mark.parametrize(("axis", "alike"), [(0, False), (1, False), (1, True)])
def test_elements_of_a_constant(axis: int, alike: bool) -> None:
    random = np.random.default_rng(9)
    held = random.uniform(-1, 1, (3, 5)).astype(np.float32)
    constant = {"c": np.broadcast_to(held[:1], held.shape).copy() if alike else held}
    model = onnx_model("int64[2,4] i) => (float y)", f"y = GatherElements<axis = {axis}>(c, i)", constant)
    extent = held.shape[axis]
    samples = {"i": random.integers(-extent, extent, (20, 2, 4))}
    assert_as_onnxruntime(model, samples, 1e-3)
    assert_proves(model, samples)


def test_what_an_arg_max_points_to() -> None:
    body = "a = ArgMax<axis = 1>(x) g = GatherElements<axis = 1>(x, a) y = Concat<axis = 1>(g, x)"
    assert_as_onnxruntime(onnx_model("float[3,5] x) => (float[3,6] y)", body), {"x": reals(3, 5)})


def test_an_index_outside_is_refused_and_has_no_proof() -> None:
    """No witness is made; nor is there a row of the table for it."""
    model = onnx_model("int64[2] i) => (float[2,4] y)", "y = Gather(w, i)", {"w": WORDS})
    circuit = compile_model(model, {"i": indices(0, 8, 2)}, Options(table_bits=8))
    scale = circuit.inputs[0].scale
    assert isinstance(scale, int)
    with pytest.raises(InputError, match="the value 9 is outside"):
        circuit.witness({"i": np.array([[0, 9 << scale]])})
    function = circuit.builder.functions[0]
    assert (function.low, function.low + len(function.values)) == (-9, 9)


def test_few_samples_of_words() -> None:
    """Random inputs and corners are words, too; every word is an input that is accepted."""
    body = "j = Unsqueeze(i, z) k = Squeeze(j, z) y = Gather(w, k)"
    model = onnx_model("int64[2] i) => (float[2,4] y)", body, {"w": WORDS, "z": np.array([0])})
    made = quantized(model, {"i": np.array([[1, 2]])}, Options(table_bits=10))
    got = made.evaluate({"i": np.array([[8, -9]])})["y"]
    np.testing.assert_allclose(got[0], WORDS[[8, 0]], atol=0.01)


def test_a_large_entry_that_calibration_never_read() -> None:
    """The scale is that of the largest of all."""
    words = np.array([0.5, -0.25, 300.0])
    made = quantized(
        onnx_model("int64[2] i) => (float[2] y)", "y = Gather(w, i)", {"w": words}),
        {"i": indices(0, 1, 2)},
        Options(table_bits=12),
    )
    np.testing.assert_allclose(made.evaluate({"i": np.array([[2, 0]])})["y"][0], words[[2, 0]], atol=0.1)


def test_words_hold_in_the_circuit() -> None:
    model = onnx_model(
        "int64[2] i, float[5] x) => (float[2,4] y, float[2] z)", "y = Gather(w, i) z = Gather(x, i)", {"w": WORDS}
    )
    assert_proves(model, {"i": indices(0, 4, 2), "x": reals(5)})


DISTINCT = {0: [[0, 1, 2, 0], [1, 2, 0, -2]], 1: [[0, 1, 2, 4], [1, 2, 0, -2]]}
REPEATED = {0: [[0, 1, 2, 0], [0, 2, 2, -3]], 1: [[0, 0, 0, 4], [1, 1, 0, -4]]}


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("axis", [0, 1])
def test_scattered_elements(reduction: str, axis: int) -> None:
    body = f'y = ScatterElements<axis = {axis}, reduction = "{reduction}">(x, i, u)'
    where = np.array((DISTINCT if reduction == "none" else REPEATED)[axis])
    model = onnx_model("float[3,5] x, float[2,4] u) => (float[3,5] y)", body, {"i": where}, 18)
    assert_as_onnxruntime(model, {"x": reals(3, 5), "u": reals(2, 4)}, 0.001 if reduction == "mul" else 0.0)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scattered_slices(reduction: str) -> None:
    body = f'y = ScatterND<reduction = "{reduction}">(x, i, u)'
    where = np.array([[1], [0 if reduction == "none" else 1]])
    model = onnx_model("float[3,5] x, float[2,5] u) => (float[3,5] y)", body, {"i": where}, 18)
    assert_as_onnxruntime(model, {"x": reals(3, 5), "u": reals(2, 5)}, 0.001 if reduction == "mul" else 0.0)


@pytest.mark.parametrize(
    ("signature", "body", "constants", "opset"),
    [
        (
            "float[3,4] x) => (float[3,4] y)",
            "y = Scatter<axis = 1>(x, i, u)",
            {"i": [[1], [0]], "u": [[2.0], [0.5]]},
            9,
        ),
        ("float[3,4] x) => (float[3,4] y)", "y = ScatterND(x, i, u)", {"i": [[1, 2], [0, 3]], "u": [2.0, 0.5]}, 17),
        ("float[3,4] x) => (float[3,4] y)", "y = ReverseSequence(x, l)", {"l": [1, 3, 2, 3]}, 17),
        (
            "float[3,4] x) => (float[3,4] y)",
            "y = ReverseSequence<time_axis = 1, batch_axis = 0>(x, l)",
            {"l": [1, 4, 2]},
            17,
        ),
        ("float[3,4] x) => (float[2,4] y)", "y = Compress<axis = 0>(x, b)", {"b": [True, False, True]}, 17),
        ("float[3,4] x) => (float[2] y)", "y = Compress(x, b)", {"b": [True, False, True]}, 17),
        ("float[3,4] x) => (float[2,7] y)", "y = CenterCropPad(x, s)", {"s": [2, 7]}, 18),
        ("float[4,3] x) => (float[4,2] y)", "y = CenterCropPad<axes = [-1]>(x, s)", {"s": [2]}, 18),
        ("float[3,4] x) => (float[3,4] y)", "e = EyeLike<k = 1>(x) y = Add(x, e)", {}, 17),
        (
            "float[1,1,2,2] x) => (float[1,1,4,4] y)",
            "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(x, i)",
            {"i": [[[[5, 7], [13, 15]]]]},
            17,
        ),
        ("float[1,4,6] x) => (float[1,1,3,4] y)", "y = Col2Im(x, s, k)", {"s": [3, 4], "k": [2, 2]}, 18),
        (
            "float[2,8,4] x) => (float[2,2,3,4] y)",
            "y = Col2Im<strides = [2, 2], pads = [0, 0, 1, 0]>(x, s, k)",
            {"s": [3, 4], "k": [2, 2]},
            18,
        ),
    ],
)
def test_moved_by_constants(signature: str, body: str, constants: dict[str, Any], opset: int) -> None:
    """Sums apart, no value is changed."""
    given = {name: np.asarray(value) for name, value in constants.items()}
    shape = [int(d) for d in signature.split("]", maxsplit=1)[0].split("[")[1].split(",")]
    assert_as_onnxruntime(onnx_model(signature, body, given, opset), {"x": reals(*shape)}, 0.0005)


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize(
    ("call", "data", "places", "updates", "count"),
    [
        ("ScatterElements<", (3, 4), (2, 3), (2, 3), 3),
        ("ScatterElements<axis = 1, ", (3, 4), (2, 2), (2, 2), 4),
        ("ScatterND<", (3, 4), (2, 1), (2, 4), 3),
        ("ScatterND<", (3, 3), (4, 2), (4,), 3),
    ],
)
def test_scattered_to_computed_places(
    reduction: str, call: str, data: tuple[int, ...], places: tuple[int, ...], updates: tuple[int, ...], count: int
) -> None:
    """Of several updates of one place the last stays, or all are added."""
    x, i, u = ("[" + ",".join(map(str, shape)) + "]" for shape in (data, places, updates))
    body = f'y = {call}reduction = "{reduction}">(x, i, u)'
    model = onnx_model(f"float{x} x, int64{i} i, float{u} u) => (float{x} y)", body, None, 18)
    samples = {"x": reals(*data), "i": indices(-count, count - 1, *places), "u": reals(*updates)}
    assert_as_onnxruntime(model, samples)


def test_scattered_into_a_constant() -> None:
    model = onnx_model(
        "int64[4,1] i, float[4] u) => (float[8] y)", "y = ScatterND(z, i, u)", {"z": np.arange(8) / 16.0}, 18
    )
    assert_as_onnxruntime(model, {"i": indices(0, 7, 4, 1), "u": reals(4)}, 0.001)


def test_slices_at_computed_tuples() -> None:
    model = onnx_model("float[3,4,2] x, int64[5,2] i) => (float[5,2] y)", "y = GatherND(x, i)")
    assert_as_onnxruntime(model, {"x": reals(3, 4, 2), "i": indices(-3, 2, 5, 2)})


def test_entries_of_a_constant_at_tuples() -> None:
    model = onnx_model("int64[5,2] i) => (float[5] y)", "y = GatherND(w, i)", {"w": WORDS})
    assert_as_onnxruntime(model, {"i": indices(-4, 3, 5, 2)}, 0.001)


@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("where", [None, [0, 2], "computed"])
def test_caches(mode: str, where: Any) -> None:
    """Updates of two entries from a place of each batch on."""
    random = np.random.RandomState(0)
    last = 4 if mode == "circular" else 3
    places = random.randint(0, last + 1, (30, 2)) if where == "computed" else np.tile(where or [0, 0], (30, 1))
    computed = where == "computed"
    signature = f"float[2,3,5,2] x, float[2,3,2,2] u{', int64[2] i' if computed else ''}) => (float[2,3,5,2] y)"
    body = f'y = TensorScatter<mode = "{mode}">(x, u{"" if where is None else ", i"})'
    model = onnx_model(signature, body, {"i": np.array(where)} if isinstance(where, list) else {}, 24)
    samples = {"x": reals(2, 3, 5, 2), "u": reals(2, 3, 2, 2)} | ({"i": places} if computed else {})
    made = quantized(model, samples, Options(table_bits=12))
    expected = samples["x"].astype(np.float64)
    for sample, starts in enumerate(places.tolist()):
        for batch, start in enumerate(starts):
            at = (start + np.arange(2)) % 5
            expected[sample, batch][:, at] = samples["u"][sample, batch]
    np.testing.assert_array_equal(made.evaluate({n: v.astype(float) for n, v in samples.items()})["y"], expected)


def test_a_cache_has_an_end() -> None:
    model = onnx_model(
        "float[1,3,2] x, float[1,2,2] u) => (float[1,3,2] y)", "y = TensorScatter(x, u, i)", {"i": np.array([2])}, 24
    )
    with pytest.raises(CompileError, match=r"\(TensorScatter\): it writes beyond the end of its cache"):
        quantized(model, None)


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("body", ["ScatterElements<axis = 1, {}>", "ScatterND<{}>"])
def test_reductions_at_computed_places(reduction: str, body: str) -> None:
    """Several updates of one place, too."""
    call = body.replace("{}", f'reduction = "{reduction}"')
    shapes, count = (("3,4", "3,2", "3,2"), 4) if "Elements" in body else (("3,4", "2,1", "2,4"), 3)
    model = onnx_model(
        f"float[{shapes[0]}] x, int64[{shapes[1]}] i, float[{shapes[2]}] u) => (float[3,4] y)",
        f"y = {call}(x, i, u)",
        {},
        18,
    )
    i, u = (tuple(map(int, shape.split(","))) for shape in shapes[1:])
    samples = {"x": reals(3, 4), "i": indices(0, count - 1, *i), "u": reals(*u)}
    assert_as_onnxruntime(model, samples, 0.001 if reduction == "mul" else 0.0)


def test_small_products_at_computed_places() -> None:
    """Where a 1 of their scale has no place in the table."""
    model = onnx_model(
        "float[2,3] x, int64[2,1] i, float[2,1] u) => (float[2,3] y)",
        'y = ScatterElements<axis = 1, reduction = "mul">(x, i, u)',
        {},
        18,
    )
    samples = {"x": reals(2, 3) / 8, "i": indices(0, 2, 2, 1), "u": reals(2, 1) / 8}
    assert_as_onnxruntime(model, samples, 0.001)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("constant", [False, True])
def test_slices_of_batches(depth: int, constant: bool) -> None:
    made = "2,3,4" if depth == 1 else "2,3"
    x = {"x": reals(2, 3, 4)[0]} if constant else {}
    signature = f"{'' if constant else 'float[2,3,4] x, '}int64[2,3,{depth}] i) => (float[{made}] y)"
    model = onnx_model(signature, "y = GatherND<batch_dims = 1>(x, i)", x)
    samples = {"i": indices(-3, 2, 2, 3, depth)} | ({} if constant else {"x": reals(2, 3, 4)})
    assert_as_onnxruntime(model, samples)
