"""Input files: every form that is read, and one line naming file and tensor for every one that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.layout.inputs import InputError, Port, dequantize, quantize, read_arrays, read_input, read_samples

IMAGE = Port("image", (1, 2, 3), "float32", scale=4, limit=1 << 8, public=True)
WORD = Port("word", (2,), "float32", scale=0, limit=1 << 8, public=True)
VALUES = np.arange(6.0)


def written(folder: Path, content: Any, name: str = "input.json") -> Path:
    """A file of that content."""
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, content)
    elif name.endswith(".npz"):
        np.savez(path, **content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("input.json", {"input_data": [VALUES.tolist()], "output_data": [[1]], "input_shapes": [[9]]}),
        ("input.json", {"input_data": [VALUES.reshape(2, 3).tolist()]}),
        ("input.json", {"image": VALUES.reshape(1, 2, 3).tolist()}),
        ("input.npy", VALUES.reshape(2, 3)),
        ("input.npy", VALUES.reshape(1, 1, 2, 3)),
        ("input.npy", VALUES.astype(np.int16)),
        ("input.npz", {"image": VALUES}),
    ],
)
def test_forms(tmp_path: Path, name: str, content: Any) -> None:
    integers = read_input(written(tmp_path, content, name), [IMAGE])["image"]
    np.testing.assert_array_equal(integers, 16 * VALUES.reshape(1, 2, 3))
    assert integers.dtype == np.int64


def test_several_inputs_in_graph_order(tmp_path: Path) -> None:
    path = written(tmp_path, {"input_data": [VALUES.tolist(), [7, 8]]})
    assert read_input(path, [IMAGE, WORD])["word"].tolist() == [7, 8]


@pytest.mark.parametrize("shape", [(5, 1, 2, 3), (5, 2, 3), (5, 6)])
def test_sample_axis(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = written(tmp_path, np.arange(30.0).reshape(shape), "data.npy")
    samples = read_samples(path, {"image": (1, 2, 3)})["image"]
    np.testing.assert_array_equal(samples, np.arange(30.0).reshape(5, 1, 2, 3))


BAD = [
    ({"input_data": [[0, 1, float("nan"), 3, 4, 5]]}, r"input 'image' is nan at \[2\]; .*; put a number"),
    ({"input_data": [[0, 1, float("inf"), 3, 4, 5]]}, r"input 'image' is inf at \[2\]"),
    ({"input_data": [[0, 1, 2]]}, r"input 'image' has shape \[3\]; expected \[1, 2, 3\]"),
    ({"input_data": [[[0, 1], [2]]]}, "differ in length"),
    ({"input_data": [["a"] * 6]}, "not made of numbers"),
    ({"input_data": [[None] * 6]}, "not made of numbers"),
    ({"input_data": [[]]}, "is empty"),
    ({"input_data": [[0] * 6, [1]]}, "2 arrays for 1 inputs"),
    ({"input_data": []}, "0 arrays for 1 inputs"),
    ({"input_data": 3}, "must be a list"),
    ({"image": [0] * 6, "mask": [1]}, "unknown input 'mask'; the model's inputs are image"),
    ({"picture": [0] * 6}, "no array for input 'image'; the model's inputs are image, those given picture"),
    (dict.fromkeys("abcdefg", [0] * 6), "those given a, b, c, d, .."),
    ([0] * 6, "expected an object"),
    ("{", "not valid JSON"),
    ({"input_data": [[0, 1, 2, 3, 4, 16.0]]}, r"input 'image' is 16 at \[0, 1, 2\], outside the calibrated range"),
    ({"input_data": [[-1e300, 1, 2, 3, 4, 5]]}, r"input 'image' is -1e\+300 at \[0, 0, 0\], outside"),
    ({"input_data": [[0] * 12]}, "has shape"),
    ({"input_data": [[[0] * 6] * 2]}, "holds 2 samples; one inference takes one"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_input(tmp_path: Path, content: Any, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_input(path, [IMAGE])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.json", "none.npy", "input.txt"])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    if name == "input.txt":
        (tmp_path / name).write_text("1 2 3")
    with pytest.raises(InputError, match=name):
        read_arrays(tmp_path / name, ["image"])


@pytest.mark.parametrize("name", ["input.npy", "input.npz"])
@pytest.mark.parametrize("content", [b"", b"not numpy", b"\x93NUMPY\x01\x00", b"PK\x03\x04broken"])
def test_foreign_numpy_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_arrays(tmp_path / name, ["image"])


def test_a_pickle_is_refused_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "input.npy", np.array([print, None], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="plain numbers"):
        read_arrays(tmp_path / "input.npy", ["image"])


def test_inputs_of_different_lengths(tmp_path: Path) -> None:
    path = written(tmp_path, {"image": np.zeros((5, 6)), "word": np.zeros((4, 2))}, "data.npz")
    with pytest.raises(InputError, match="different numbers of samples: 'image' 5, 'word' 4"):
        read_samples(path, {"image": (1, 2, 3), "word": (2,)})


@given(st.integers(-12, 20), st.integers(-255, 255))
def test_quantize_is_exact_on_the_grid(scale: int, integer: int) -> None:
    port = Port("x", (1,), "float32", scale, 1 << 8, True)
    real = dequantize(np.array([integer]), port)
    assert quantize(real, port).tolist() == [integer]
    assert quantize(real + np.ldexp(0.5, -scale) * 0.99, port).tolist() == [integer]


def test_integer_inputs_take_no_fractions(tmp_path: Path) -> None:
    token = Port("token", (2,), "int64", scale=3, limit=1 << 8, public=True)
    path = written(tmp_path, {"token": [1, 2.5]})
    with pytest.raises(InputError, match=r"input\.json: input 'token' holds fractions; the model takes int64"):
        read_input(path, [token])


def test_halves_round_up() -> None:
    assert quantize(np.array([0.5, -0.5, 1.5, -1.5]), Port("x", (4,), "float32", 0, 8, True)).tolist() == [1, 0, 2, -1]


def test_the_prover_needs_neither_onnx_nor_sympy() -> None:
    code = "import sys, plonnx.layout.inputs; print([m for m in ('onnx', 'sympy', 'onnxruntime') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
