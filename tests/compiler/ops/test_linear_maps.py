"""Operators that are linear in one operand: DFT, STFT, AffineGrid, GridSample, RoiAlign, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.options import Options
from tests.compiler.small import assert_as_onnxruntime, onnx_model

RANDOM = np.random.RandomState(3)
GRID = RANDOM.uniform(-1.2, 1.2, (2, 3, 2, 2))
REGIONS = {"r": np.array([[0.0, 0, 3, 3], [1.0, 0.5, 3, 2]]), "b": np.array([1, 0])}


def reals(*shape: int) -> dict[str, np.ndarray[Any, Any]]:
    """Uniform in [-1, 1]."""
    return {"x": np.random.RandomState(0).uniform(-1, 1, (20, *shape)).astype(np.float32)}


LEARNED: list[tuple[tuple[int, ...], str, dict[str, Any], int]] = [
    ((2, 3, 4, 4), "y = GridSample(x, g)", {"g": GRID}, 20),
    ((2, 3, 4, 4), 'y = GridSample<mode = "cubic", padding_mode = "reflection">(x, g)', {"g": GRID}, 20),
    ((2, 3, 4, 4), 'y = GridSample<mode = "nearest", align_corners = 1>(x, g)', {"g": GRID}, 20),
    ((2, 3, 4, 4), "y = RoiAlign<output_height = 2, output_width = 2, sampling_ratio = 2>(x, r, b)", REGIONS, 16),
]
CASES: list[tuple[tuple[int, ...], str, dict[str, Any], int]] = [
    ((2, 4, 1), "y = DFT<axis = 1>(x)", {}, 17),
    ((2, 4, 2), "y = DFT<axis = 1, inverse = 1>(x)", {}, 17),
    ((2, 4, 1), "y = DFT<axis = 1, onesided = 1>(x)", {}, 17),
    ((3, 4, 2), "y = DFT(x, , a)", {"a": np.array(0)}, 20),
    ((2, 4, 1), "y = DFT(x, n)", {"n": np.array(6)}, 20),
    ((2, 16, 1), "y = STFT(x, h, , n)", {"h": np.array(4), "n": np.array(8)}, 17),
    ((1, 13, 1), "y = STFT<onesided = 0>(x, h, w)", {"h": np.array(3), "w": RANDOM.rand(6)}, 17),
    ((2, 9), "y = STFT(x, h, w, n)", {"h": np.array(2), "w": RANDOM.rand(5), "n": np.array(5)}, 17),
    ((1, 8, 2), "y = STFT<onesided = 0>(x, h, , n)", {"h": np.array(2), "n": np.array(4)}, 17),
    ((2, 2, 3), "y = AffineGrid(x, s)", {"s": np.array([2, 1, 2, 3])}, 20),
    *LEARNED,
]


def check(shape: tuple[int, ...], body: str, constants: dict[str, Any], opset: int, **options: Any) -> None:
    """Within 0.3 % of the range."""
    rank = "a,b,c,d" if len(shape) == 4 or "AffineGrid" in body or "STFT" in body else "a,b,c"
    model = onnx_model(f"float[{','.join(map(str, shape))}] x) => (float[{rank}] y)", body, constants, opset)
    assert_as_onnxruntime(model, reals(*shape), 0.003, **options)


@pytest.mark.parametrize(("shape", "body", "constants", "opset"), CASES)
def test_as_onnxruntime(shape: tuple[int, ...], body: str, constants: dict[str, Any], opset: int) -> None:
    check(shape, body, constants, opset)


@pytest.mark.parametrize(("shape", "body", "constants", "opset"), LEARNED)
def test_secret_grids(shape: tuple[int, ...], body: str, constants: dict[str, Any], opset: int) -> None:
    check(shape, body, constants, opset, model="private", weight_bits=24)


def test_the_largest_of_regions_is_refused() -> None:
    body = 'y = RoiAlign<mode = "max", output_height = 2, output_width = 2>(x, r, b)'
    model = onnx_model("float[2,3,4,4] x) => (float[a,b,c,d] y)", body, REGIONS, 16)
    with pytest.raises(CompileError, match=r"\(RoiAlign\): mode 'max' is not supported"):
        quantized(model, reals(2, 3, 4, 4), Options(table_bits=8))
