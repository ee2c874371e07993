"""DeformConv, and GridSample at computed points, against onnxruntime (or onnx's reference where it has none)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model


@settings(max_examples=5, deadline=None)
@given(
    group=st.sampled_from((1, 2)),
    moved=st.sampled_from((1, 2)),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    head=st.integers(0, 1),
    masked=st.booleans(),
)
def test_deformed_convolutions(group: int, moved: int, stride: int, dilation: int, head: int, masked: bool) -> None:
    random = np.random.RandomState(7)
    height = (4 + 2 * head - dilation - 1) // stride + 1
    width = (5 + 2 * head - dilation * 2 - 1) // stride + 1
    place = f"{height},{width}"
    signature = (
        f"float[1,4,4,5] x, float[1,{moved * 12},{place}] o, float[1,{moved * 6},{place}] m) => (float[1,4,{place}] y)"
    )
    attributes = f"group = {group}, offset_group = {moved}, strides = [{stride}, {stride}]"
    attributes += (
        f", dilations = [{dilation}, {dilation}], pads = [{head}, {head}, {head}, {head}], kernel_shape = [2, 3]"
    )
    body = f"y = DeformConv<{attributes}>(x, w, o, b{', m' if masked else ''})"
    if not masked:
        signature = signature.replace(f", float[1,{moved * 6},{place}] m", "")
    constants = {"w": random.randn(4, 4 // group, 2, 3), "b": random.randn(4)}
    samples = {
        "x": random.uniform(-1, 1, (16, 1, 4, 4, 5)).astype(np.float32),
        "o": random.uniform(-1.5, 1.5, (16, 1, moved * 12, height, width)).astype(np.float32),
    }
    if masked:
        samples["m"] = random.uniform(0, 1, (16, 1, moved * 6, height, width)).astype(np.float32)
    assert_as_onnxruntime(onnx_model(signature, body, constants, 19), samples, 0.01, table_bits=14)


GRID = "float[2,2,4,5] x, float[2,3,2,2] g) => (float[2,2,3,2] y)"


@settings(max_examples=10, deadline=None)
@given(
    mode=st.sampled_from(("linear", "nearest", "cubic")),
    padding=st.sampled_from(("zeros", "border", "reflection")),
    corners=st.integers(0, 1),
)
def test_computed_grids(mode: str, padding: str, corners: int) -> None:
    """Nearest points lie between two halves, so that no rounding decides."""
    padding = "zeros" if mode == "cubic" else padding
    body = f'y = GridSample<mode = "{mode}", padding_mode = "{padding}", align_corners = {corners}>(x, g)'
    random = np.random.RandomState(3)
    points = random.uniform(-1.6, 1.6, (16, 2, 3, 2, 2))
    if mode == "nearest":
        whole = np.stack([random.randint(-2, size + 2, (16, 2, 3, 2)) for size in (5, 4)], -1) + 0.25
        sizes = np.array([5, 4])
        points = 2 * whole / (sizes - 1) - 1 if corners else (2 * whole + 1) / sizes - 1
    samples = {"x": random.uniform(-1, 1, (16, 2, 2, 4, 5)).astype(np.float32), "g": points.astype(np.float32)}
    assert_as_onnxruntime(onnx_model(GRID, body, None, 20), samples, 0.01, table_bits=14)


def test_volumes() -> None:
    random = np.random.RandomState(3)
    samples = {
        "x": random.uniform(-1, 1, (16, 1, 1, 3, 2, 4)).astype(np.float32),
        "g": random.uniform(-1, 1, (16, 1, 2, 1, 2, 3)).astype(np.float32),
    }
    signature = "float[1,1,3,2,4] x, float[1,2,1,2,3] g) => (float[1,1,2,1,2] y)"
    assert_as_onnxruntime(onnx_model(signature, "y = GridSample(x, g)", None, 20), samples, 0.01, table_bits=14)


def test_a_spatial_transformer() -> None:
    """A computed affine map of an image."""
    random = np.random.RandomState(3)
    theta = np.array([[1, 0, 0], [0, 1, 0]]) + random.uniform(-0.2, 0.2, (16, 1, 2, 3))
    samples = {"x": random.uniform(-1, 1, (16, 1, 1, 4, 4)).astype(np.float32), "t": theta.astype(np.float32)}
    model = onnx_model(
        "float[1,1,4,4] x, float[1,2,3] t) => (float[1,1,4,4] y)",
        "g = AffineGrid(t, s) y = GridSample(x, g)",
        {"s": np.array([1, 1, 4, 4])},
        20,
    )
    assert_as_onnxruntime(model, samples, 0.01, table_bits=14)


REGIONS = "float[{batch},2,4,5] x, float[3,4] r, int64[3] b) => (float[3,2,2,3] y)"


@pytest.mark.parametrize(
    ("opset", "batch", "attributes"),
    [
        (16, 1, "sampling_ratio = 2"),
        (16, 2, "sampling_ratio = 1, spatial_scale = 0.5"),
        (16, 1, 'sampling_ratio = 2, coordinate_transformation_mode = "output_half_pixel"'),
        (10, 1, "sampling_ratio = 3"),
    ],
)
def test_computed_regions(opset: int, batch: int, attributes: str) -> None:
    """Some lie outside by more than an entry, where points count for nothing (none so close to that that rounding
    decides)."""
    random = np.random.RandomState(2)
    start = random.uniform(-3, 4, (24, 3, 2))
    samples = {
        "x": random.uniform(-1, 1, (24, batch, 2, 4, 5)).astype(np.float32),
        "r": np.concatenate([start, start + random.uniform(0, 4, (24, 3, 2))], 2).astype(np.float32),
        "b": random.randint(0, batch, (24, 3)),
    }
    body = f"y = RoiAlign<output_height = 2, output_width = 3, {attributes}>(x, r, b)"
    model = onnx_model(REGIONS.replace("{batch}", str(batch)), body, None, opset)
    if batch == 1:
        del samples["b"], model.graph.input[2:]
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.int64), "b"))
    assert_as_onnxruntime(model, samples, 0.01, table_bits=14)


def test_computed_regions_hold_in_the_circuit() -> None:
    random = np.random.RandomState(3)
    start = random.uniform(0, 1, (16, 1, 2))
    samples = {
        "x": random.uniform(-1, 1, (16, 1, 1, 2, 2)).astype(np.float32),
        "r": np.concatenate([start, start + 1], 2).astype(np.float32),
    }
    signature = "float[1,1,2,2] x, float[1,4] r) => (float[1,1,1,1] y)"
    model = onnx_model(signature, "y = RoiAlign<sampling_ratio = 1>(x, r, b)", {"b": np.array([0])}, 16)
    assert_proves(model, samples, table_bits=9)


def test_computed_regions_of_any_number_of_points_are_refused() -> None:
    model = onnx_model(REGIONS.replace("{batch}", "1"), "y = RoiAlign<output_height = 2, output_width = 3>(x, r, b)")
    with pytest.raises(CompileError, match=r"\(RoiAlign\): how many points .* export with sampling_ratio=2"):
        quantized(model, None, Options(table_bits=10))


def test_cubic_points_with_padding_are_refused() -> None:
    body = 'y = GridSample<mode = "cubic", padding_mode = "border">(x, g)'
    with pytest.raises(
        CompileError, match=r"\(GridSample\): at computed points mode 'cubic' with padding_mode 'border'"
    ):
        quantized(onnx_model(GRID, body, None, 20), None, Options(table_bits=10))


def test_points_hold_in_the_circuit() -> None:
    random = np.random.RandomState(3)
    samples = {
        "x": random.uniform(-1, 1, (16, 1, 1, 2, 2)).astype(np.float32),
        "g": random.uniform(-1, 1, (16, 1, 1, 1, 2)).astype(np.float32),
    }
    model = onnx_model("float[1,1,2,2] x, float[1,1,1,2] g) => (float[1,1,1,1] y)", "y = GridSample(x, g)", None, 20)
    assert_proves(model, samples, table_bits=9)
