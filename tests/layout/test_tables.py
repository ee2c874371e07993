"""Inputs as data scientists have them: bare arrays, DataFrames, CSV, single samples for a model with a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plonnx
from plonnx.layout.inputs import InputError, is_array, read_arrays, to_samples
from tests.compiler.small import onnx_model


class Frame:
    """What pandas, polars and others have in common."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._values = np.stack([np.asarray(values) for values in columns.values()], axis=1)

    def to_numpy(self) -> Any:
        return self._values


def test_bare_arrays() -> None:
    np.testing.assert_array_equal(read_arrays(np.ones((2, 3)), ["x"])["x"], np.ones((2, 3)))
    np.testing.assert_array_equal(read_arrays([[1, 2], [3, 4]], ["x"])["x"], [[1, 2], [3, 4]])
    with pytest.raises(InputError, match="one array for 2 inputs; give a mapping with a, b"):
        read_arrays(np.ones(3), ["a", "b"])
    in_order = read_arrays([np.ones(3), [2.0]], ["a", "b"])
    assert in_order["a"].shape == (3,) and in_order["b"].tolist() == [2.0]
    with pytest.raises(InputError, match=r"a set is no input; give a path, an array, a mapping .* or a DataFrame"):
        read_arrays({1, 2}, ["x"])
    assert is_array([[1.0]]) and is_array(np.ones(2)) and not is_array(["a.npz"]) and not is_array([{"x": 1}])


def test_tables() -> None:
    frame = Frame({"age": [30.0, 40.0], "income": [1.5, 2.5]})
    np.testing.assert_array_equal(read_arrays(frame, ["x"])["x"], [[30, 1.5], [40, 2.5]])
    named = read_arrays(frame, ["income", "age"])
    np.testing.assert_array_equal(named["age"], [[30], [40]])
    with pytest.raises(InputError, match="no column for input 'rate'; the model's inputs are age, rate"):
        read_arrays(frame, ["age", "rate"])
    with pytest.raises(InputError, match="column 'income' is no input"):
        read_arrays(frame, ["age"])
    with pytest.raises(InputError, match="input 'x' is not made of numbers"):
        read_arrays(Frame({"city": ["Bonn", "Rome"], "age": ["a", "b"]}), ["x"])


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", ["", "age, income\n", "a,b\n"])
def test_csv(tmp_path: Path, header: str, mark: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{mark}{header}30,1.5\n40, 2.5\n\n", encoding="utf-8")
    np.testing.assert_array_equal(read_arrays(path, ["x"])["x"], [[30, 1.5], [40, 2.5]])
    if "age" in header:
        np.testing.assert_array_equal(read_arrays(path, ["income", "age"])["income"], [[1.5], [2.5]])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_of_pandas_and_of_spreadsheets(tmp_path: Path, separator: str) -> None:
    """An index without a name is no feature; other separators are seen in the first line."""
    path = tmp_path / "data.csv"
    path.write_text(",age,income\n0,30,1.5\n1,40,2.5\n".replace(",", separator))
    np.testing.assert_array_equal(read_arrays(path, ["x"])["x"], [[30, 1.5], [40, 2.5]])
    np.testing.assert_array_equal(read_arrays(path, ["income", "age"])["age"], [[30], [40]])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0,1\n5.5,3\n4.5,2\n", 2),  # as pandas names columns without names
        (",0,1\n0,5.5,3\n1,4.5,2\n", 2),
        ("0,1\n5.5,3\n4,2.5\n", 3),  # whole numbers in each column: a sample
        ("0,1\n5,3\n", 2),
        ("0,1\n", 1),
        ("1,0\n5.5,3.5\n", 2),
        ("0\n5.5\n", 2),  # one column: the first value may be 0
    ],
)
def test_numbers_that_name_columns(tmp_path: Path, text: str, rows: int) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    assert len(read_arrays(path, ["x"])["x"]) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",1.5\n2,3\n", r"data\.csv: line 1: '' is not a number"),
        ("1,2\n3\n", r"data\.csv: line 2 has 1 values where the first has 2"),
        ("a,b\n1,x\n", r"data\.csv: line 2, column 'b': 'x' is not a number"),
        ("", r"data\.csv: this file is empty"),
        ("a,b\n", r"data\.csv: input 'x' is empty"),
        ("1,nan\n", r"data\.csv: input 'x' is nan at \[0, 1\]"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_arrays(path, ["x"])


def test_json_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('\ufeff{"x": [1, 2]}', encoding="utf-8")
    np.testing.assert_array_equal(read_arrays(path, ["x"])["x"], [1, 2])


def test_single_samples_are_grouped() -> None:
    values = np.arange(24.0).reshape(8, 3)
    np.testing.assert_array_equal(to_samples(values, "x", (4, 3)), values.reshape(2, 4, 3))
    assert to_samples(values[:4], "x", (4, 3)).shape == (1, 4, 3)
    with pytest.raises(InputError, match="holds 7 samples, which are no batches of 4"):
        to_samples(values[:7], "x", (4, 3))
    filled = to_samples(values[:7], "x", (4, 3), fill=True)
    np.testing.assert_array_equal(filled[1], [*values[4:7], values[0]])


def test_a_batch_from_single_samples() -> None:
    """--dim batch=4 with a data set of single samples, also where it is no multiple of four."""
    data = np.random.RandomState(0).uniform(-1, 1, (50, 3))
    model = onnx_model("float[batch,3] x) => (float[batch,2] y)", "y = MatMul(x, w)", {"w": np.ones((3, 2))})
    circuit = plonnx.compile(model, data=data, dims={"batch": 4})
    assert circuit.inputs[0].shape == (4, 3)
    got = circuit.predict(data[:8])["y"]
    assert got.shape == (2, 4, 2)
    np.testing.assert_allclose(got.reshape(8, 2)[:, 0], data[:8].sum(axis=1), atol=0.01)
    assert plonnx.mock(circuit, data[:4]) == []


def test_compile_takes_tables_and_arrays() -> None:
    data = np.random.RandomState(0).uniform(-1, 1, (40, 2))
    model = onnx_model("float[N,2] x) => (float[N,2] y)", "y = Relu(x)")
    frame = Frame({"a": data[:, 0], "b": data[:, 1]})
    made = [
        plonnx.compile(m, data=d) for m in (model, model.SerializeToString()) for d in (data, frame, [data[:20], frame])
    ]
    assert len({circuit.inputs for circuit in made}) == 1
    pair = onnx_model("float[N,1] a, float[N,1] b) => (float[N,1] y)", "y = Add(a, b)")
    circuit = plonnx.compile(pair, data=frame)
    np.testing.assert_allclose(circuit.predict(frame)["y"][:, 0], data.sum(axis=1), atol=0.01)
