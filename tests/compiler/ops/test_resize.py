"""Resize and Upsample against onnxruntime: the nearest mode is exact and free, the linear one close."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plonnx.compiler.quantized import Quantized
from tests.compiler.small import assert_accurate, assert_as_onnxruntime, compiled, onnx_model, random_samples

WAYS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SIGNATURE = "float[1,2,5,4] x) => (float[A,B,C,D] y)"


def assert_exact_and_free(made: Quantized, body: str, constants: dict[str, Any], opset: int) -> None:
    """Against onnxruntime on the model as it stands, on inputs that the input's scale holds exactly."""
    port = made.facts.inputs[0]
    assert made.builder.unit_count == port.size
    x = np.round(np.ldexp(random_samples(made.graph, 3)["x"], 8)) / 2**8
    model = onnx_model(SIGNATURE, body, constants, opset).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = [session.run(None, {"x": sample.astype(np.float32)})[0] for sample in x]
    np.testing.assert_array_equal(made.evaluate({"x": x})["y"], np.stack(expected))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(WAYS[:4]),
    rounding=st.sampled_from(ROUNDINGS),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
)
def test_nearest_sizes(tmp_path: Path, way: str, rounding: str, height: int, width: int) -> None:
    body = f'y = Resize<coordinate_transformation_mode = "{way}", nearest_mode = "{rounding}">(x, , , s)'
    constants = {"s": np.array([1, 2, height, width])}
    assert_exact_and_free(compiled(tmp_path, SIGNATURE, body, constants), body, constants, 17)


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.9, 2.3, 0.35])
def test_sizes_are_rounded_as_onnxruntime_does(tmp_path: Path, factor: float) -> None:
    """0.7 in float32 is below 0.7, and its product with 10 is 7."""
    body, constants = "y = Resize(x, , s)", {"s": np.array([1.0, 1.0, factor, 1.0])}
    made = compiled(tmp_path, "float[1,2,10,3] x) => (float[A,B,C,D] y)", body, constants)
    assert made.facts.outputs[0].shape == (1, 2, int(10 * factor + 1e-6), 3)
    assert_accurate(made)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(WAYS[:4]), rounding=st.sampled_from(ROUNDINGS), factor=st.floats(0.3, 3.2))
def test_nearest_scales(tmp_path: Path, way: str, rounding: str, factor: float) -> None:
    body = f'y = Resize<coordinate_transformation_mode = "{way}", nearest_mode = "{rounding}">(x, , s)'
    constants = {"s": np.array([1, 1, factor, 2.0], np.float32)}
    assert_exact_and_free(compiled(tmp_path, SIGNATURE, body, constants, opset=19), body, constants, 19)


FREE: list[tuple[str, dict[str, Any], int]] = [
    ("y = Upsample<scales = [1.0, 1.0, 2.0, 3.0]>(x)", {}, 7),
    ("y = Upsample(x, s)", {"s": np.array([1.0, 1.0, 2.0, 2.0])}, 9),
    ("y = Resize(x, s)", {"s": np.array([1.0, 1.0, 2.0, 1.5])}, 10),
    ("y = Resize(x, r, s)", {"r": np.zeros(0, np.float32), "s": np.array([1.0, 1.0, 2.0, 1.5])}, 11),
    (
        'y = Resize<coordinate_transformation_mode = "tf_half_pixel_for_nn", nearest_mode = "floor">(x, r, s)',
        {"r": np.zeros(0, np.float32), "s": np.array([1.0, 1.0, 2.0, 0.5])},
        11,
    ),
    (
        'y = Resize<coordinate_transformation_mode = "half_pixel_symmetric">(x, , s)',
        {"s": np.array([1.0, 1.0, 1.9, 1.3])},
        19,
    ),
    ("y = Resize<axes = [3, 2]>(x, , , s)", {"s": np.array([7, 3])}, 18),
    (
        'y = Resize<axes = [2, 3], keep_aspect_ratio_policy = "not_larger">(x, , , s)',
        {"s": np.array([8, 12])},
        18,
    ),
    (
        'y = Resize<axes = [2, 3], keep_aspect_ratio_policy = "not_smaller">(x, , , s)',
        {"s": np.array([8, 12])},
        19,
    ),
]


@pytest.mark.parametrize(("body", "constants", "opset"), FREE, ids=[f"{case[0]} {case[2]}" for case in FREE])
def test_other_nearest_ones(tmp_path: Path, body: str, constants: dict[str, Any], opset: int) -> None:
    assert_exact_and_free(compiled(tmp_path, SIGNATURE, body, constants, opset=opset), body, constants, opset)


LINEAR: list[tuple[str, dict[str, Any], int]] = [
    *[
        (
            f'y = Resize<mode = "linear", coordinate_transformation_mode = "{way}">(x, , , s)',
            {"s": np.array([1, 2, *size])},
            19,
        )
        for way in WAYS
        for size in ((10, 8), (3, 7), (1, 4))
    ],
    ('y = Resize<mode = "linear">(x, , s)', {"s": np.array([1.0, 1.0, 1.3, 0.7])}, 13),
    ('y = Resize<mode = "linear">(x, s)', {"s": np.array([1.0, 1.0, 2.0, 1.5])}, 10),
    ('y = Upsample<mode = "linear">(x, s)', {"s": np.array([1.0, 1.0, 2.0, 2.0])}, 9),
    ('y = Resize<mode = "linear", axes = [2, 3], antialias = 1>(x, , , s)', {"s": np.array([8, 9])}, 18),
]


@pytest.mark.parametrize(("body", "constants", "opset"), LINEAR, ids=[f"{c[0]} {c[1]} {c[2]}" for c in LINEAR])
def test_linear(tmp_path: Path, body: str, constants: dict[str, Any], opset: int) -> None:
    assert_accurate(compiled(tmp_path, SIGNATURE, body, constants, opset=opset))


def test_one_resized_axis_is_one_matrix(tmp_path: Path) -> None:
    made = compiled(tmp_path, SIGNATURE, 'y = Resize<mode = "linear">(x, , , s)', {"s": np.array([1, 2, 5, 9])})
    assert made.builder.unit_count == 40 + 90


def assert_resized(body: str, constants: dict[str, Any], opset: int = 19) -> None:
    """As onnxruntime does."""
    model = onnx_model("float[1,1,5,6] x) => (float[A,B,C,D] y)", body, constants, opset)
    x = np.random.RandomState(0).uniform(-1, 1, (16, 1, 1, 5, 6)).astype(np.float32)
    assert_as_onnxruntime(model, {"x": x}, 0.002)


@settings(max_examples=12, deadline=None)
@given(
    mode=st.sampled_from(("linear", "cubic")),
    way=st.sampled_from(("half_pixel", "pytorch_half_pixel", "asymmetric")),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_antialiased(mode: str, way: str, size: tuple[int, int]) -> None:
    """An axis that shrinks is averaged, one that grows is not; ends are left out, or repeated."""
    body = f'y = Resize<mode = "{mode}", antialias = 1, coordinate_transformation_mode = "{way}", axes = [2, 3]>'
    assert_resized(f"{body}(x, , , s)", {"s": np.array(size)})


REGIONS = st.tuples(*[st.floats(-0.3, 0.6)] * 2, *[st.floats(0.7, 1.3)] * 2)


@settings(max_examples=12, deadline=None)
@example(mode="nearest", region=(0.11531801867837155, 0.0, 1.0, 1.0), size=7, value=0.0)  # its last entry is inside
@given(
    mode=st.sampled_from(("nearest", "linear", "cubic")),
    region=REGIONS,
    size=st.integers(1, 7),
    value=st.sampled_from((0.0, 0.5)),
)
def test_crops(mode: str, region: tuple[float, ...], size: int, value: float) -> None:
    """A part of the image, and a constant where it reaches beyond. onnxruntime crops no axis that keeps its extent."""
    body = f'y = Resize<mode = "{mode}", coordinate_transformation_mode = "tf_crop_and_resize", '
    body += f"extrapolation_value = {value}>"
    constants = {"r": np.array([0, 0, *region[:2], 1, 1, *region[2:]], np.float32), "s": np.array([1, 1, size, 3])}
    assert_resized(f"{body}(x, r, , s)", constants)


@pytest.mark.parametrize("way", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("attributes", ["exclude_outside = 0", "exclude_outside = 1", "cubic_coeff_a = -0.5"])
@pytest.mark.parametrize("scales", [(2.0, 1.5), (0.6, 0.8)])
def test_cubic(way: str, attributes: str, scales: tuple[float, float]) -> None:
    body = f'y = Resize<mode = "cubic", coordinate_transformation_mode = "{way}", {attributes}>(x, , s)'
    assert_resized(f"{body}", {"s": np.array([1.0, 1.0, *scales], np.float32)}, 17)
