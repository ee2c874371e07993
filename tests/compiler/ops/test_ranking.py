"""ArgMax, ArgMin, TopK and Hardmax against onnxruntime, on few distinct numbers: most rows have ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops.ranking import network
from plonnx.compiler.options import Options
from tests.compiler.small import assert_as_onnxruntime, assert_proves, onnx_model

X = "float[3,6] x) => "


def samples(*shape: int, levels: int = 3, count: int = 40) -> dict[str, np.ndarray[Any, Any]]:
    """Reals that the circuit holds, of a few levels."""
    drawn = np.random.RandomState(7).randint(-levels, levels + 1, (count, *shape))
    return {"x": drawn.astype(np.float32) / 4}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 13), st.data())
def test_the_network_sorts_what_is_wanted(width: int, data: st.DataObject) -> None:
    """The first places of any order, from the comparators that are kept; the best takes one less than there are."""
    wanted = data.draw(st.integers(1, width))
    values = data.draw(st.permutations(range(width)))
    wires = list(values)
    for stage in network(width, wanted):
        for i, j, down in stage:
            best, rest = min(wires[i], wires[j]), max(wires[i], wires[j])
            wires[i], wires[j] = best, rest if down else -1
    assert wires[:wanted] == list(range(wanted))
    assert sum(map(len, network(width, 1))) == width - 1


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("attributes", ["axis = 1", "axis = -2, keepdims = 0", "axis = 1, select_last_index = 1"])
@pytest.mark.parametrize("signs", ["", "Relu"])
def test_the_best(op: str, attributes: str, signs: str) -> None:
    """Of signed values, which can lie far apart, and of positive ones."""
    body = f"r = {signs or 'Identity'}(x) y = {op}<{attributes}>(r)"
    assert_as_onnxruntime(onnx_model(f"{X}(int64[{'A' if '0' in attributes else 'A,B'}] y)", body), samples(3, 6))


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("attributes", ["axis = 0", "axis = -1, largest = 0", "axis = -1"])
def test_several_places(k: int, attributes: str) -> None:
    body = f"y, z = TopK<{attributes}>(x, k)"
    model = onnx_model("float[5,7] x) => (float[A,B] y, int64[A,B] z)", body, {"k": np.array([k])})
    assert_as_onnxruntime(model, samples(5, 7))


@pytest.mark.parametrize("shown", ["float[3,2] y", "int64[3,2] z"])
def test_only_values_or_only_indices(shown: str) -> None:
    made = assert_as_onnxruntime(onnx_model(f"{X}({shown})", "y, z = TopK(x, k)", {"k": np.array([2])}), samples(3, 6))
    assert [port.name for port in made.facts.outputs] == [shown[-1]]


def test_an_older_form() -> None:
    model = onnx_model(f"{X}(float[3,2] y, int64[3,2] z)", "y, z = TopK(x, k)", {"k": np.array([2])}, 10)
    assert_as_onnxruntime(model, samples(3, 6))


@pytest.mark.parametrize(("axis", "opset"), [(0, 13), (-1, 17), (1, 11), (0, 11)])
def test_hardmax(axis: int, opset: int) -> None:
    body = f"y = Hardmax<axis = {axis}>(x)"
    assert_as_onnxruntime(onnx_model("float[3,2,4] x) => (float[3,2,4] y)", body, None, opset), samples(3, 2, 4))


def test_of_integers() -> None:
    data = {"x": np.random.RandomState(0).randint(-90, 90, (30, 9))}
    body = "y, z = TopK(x, k) a = ArgMin(x)"
    model = onnx_model("int64[9] x) => (int64[3] y, int64[3] z, int64[1] a)", body, {"k": np.array([3])})
    assert_as_onnxruntime(model, data)


def test_classes_that_calibration_never_saw() -> None:
    """The index of any place is a result, whatever the samples' labels are."""
    x = np.zeros((20, 6), np.float32)
    x[:, 0] = 1.0
    made = quantized(onnx_model("float[6] x) => (int64[1] y)", "y = ArgMax(x)"), {"x": x}, Options(table_bits=8))
    (port,) = made.facts.outputs
    assert port.limit > 5 and made.evaluate({"x": np.eye(6)})["y"].tolist() == [[k] for k in range(6)]


def test_more_places_than_the_table_has() -> None:
    """The search takes the smallest table that holds every index."""
    made = quantized(onnx_model("float[300] x) => (int64[1] y)", "y = ArgMax(x)"), samples(300, levels=99, count=20))
    assert made.report.table_bits == 9


def test_a_computed_k_is_refused() -> None:
    with pytest.raises(CompileError, match=r"\(TopK\): the shape of 'y' depends on values"):
        quantized(onnx_model("float[6] x, int64[1] k) => (float[K] y)", "y, z = TopK(x, k)"), None)


def test_it_holds_in_the_circuit() -> None:
    body = "y, z = TopK(x, k) a = ArgMax<axis = 1>(x)"
    model = onnx_model(f"{X}(float[3,3] y, int64[3,3] z, int64[3,1] a)", body, {"k": np.array([3])})
    assert_proves(model, samples(3, 6))
