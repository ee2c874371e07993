"""Rows of a constant matrix at computed indices: exact, whatever the axis; others can't be proved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.calibration import calibrate, index_counts, random_corners
from plonnx.compiler.compile import compile_model, quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.importer import import_graph
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.ops import embedding
from plonnx.compiler.options import Options
from plonnx.gadgets import OutOfRange
from plonnx.gadgets.linear.standing_rows import StandingRows
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_setup
from tests.compiler.small import onnx_model

BITS = Options(table_bits=9)
MATRIX = np.random.default_rng(0).integers(-100, 101, (5, 4)) / 64
IDS = {"i": np.random.default_rng(1).integers(0, 4, (20, 2, 3))}
SOME = {"i": IDS["i"][:, 0]}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("model", ["public", "private"])
def test_rows_are_exact(axis: int, model: str) -> None:
    body, ids = f"y = Gather<axis = {axis}>(m, i)", IDS["i"]
    made = quantized(
        onnx_model("int64[2,3] i) => (float y)", body, {"m": MATRIX}), IDS, Options(table_bits=10, model=model)
    )
    got = made.evaluate({"i": ids.astype(np.float64)})["y"]
    for number in range(len(ids)):
        np.testing.assert_array_equal(got[number], np.take(MATRIX, ids[number], axis))


@pytest.mark.parametrize(("kind", "jumps"), [("int64", False), ("float", True)])
def test_what_follows_from_ids_is_judged_by_its_largest_error(kind: str, jumps: bool) -> None:
    """Ids are exact however they are moved; a real number that becomes one may come out on either side."""
    body = "k = Flatten<axis = 0>(i) j = Cast<to = 6>(k) y = Gather(m, j)"
    made = quantized(onnx_model(f"{kind}[2,3] i) => (float y)", body, {"m": MATRIX}), IDS, Options(table_bits=10))
    assert made.report.outputs[0].stepped is jumps


@pytest.mark.parametrize("body", ["y = Gather(m, i)", "f = Flatten<axis = 0>(i) j = Cast<to = 6>(f) y = Gather(m, j)"])
def test_all_rows_that_there_are(body: str) -> None:
    """Whatever rows calibration saw, every index of the matrix is taken; its integer is the index itself."""
    made = quantized(onnx_model("int64[2,3] i) => (float y)", body, {"m": MATRIX}), {"i": IDS["i"][:1] % 2}, Options())
    (port,) = made.facts.inputs
    assert (port.scale, port.limit) == (0, 6)
    np.testing.assert_array_equal(
        made.evaluate({"i": np.full((1, 2, 3), 4.0)})["y"].reshape(6, 4).round(6), np.tile(MATRIX[4], (6, 1))
    )


@pytest.mark.parametrize("model", ["public", "private"])
def test_a_row_that_there_is_not_is_refused(model: str) -> None:
    made = quantized(
        onnx_model("int64[2] i) => (float y)", "y = Gather(m, i)", {"m": MATRIX}),
        {"i": IDS["i"][:, 0, :2]},
        Options(model=model),
    )
    for row in (5, -6):
        with pytest.raises(OutOfRange, match=rf"the value {row} is outside the calibrated range"):
            made.builder.evaluate({"i": np.array([[1, row]])})


def test_two_matrices_share_the_indices_of_the_smaller() -> None:
    body = "a = Gather(m, i) b = Gather(n, i) y = Add(a, b)"
    model = read_model(onnx_model("int64[2] i) => (float y)", body, {"m": MATRIX, "n": MATRIX[:3]}))
    graph = import_graph(model, {"i": (2,)})
    assert {name: counts.tolist() for name, counts in index_counts(graph).items()} == {"i": [3.0, 3.0]}
    limits = calibrate(graph, {"i": np.array([[0.0, 1.0]])}).limits
    assert limits["i"] == 3.0
    assert set(random_corners(graph, limits, 40)["i"].reshape(-1)) == {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0}


def test_as_many_rows_as_the_smallest_table_does_not_hold() -> None:
    made = quantized(
        onnx_model("int64[2] i) => (float y)", "y = Gather(m, i)", {"m": np.arange(300.0)}), {"i": [[299, 0]]}
    )
    assert made.report.table_bits == 9 and made.facts.inputs[0].limit == 301


@pytest.mark.parametrize(
    "columns",
    [
        "p = Gather<axis = 1>(x, n0) q = Gather<axis = 1>(x, n2)",
        "s = Slice(x, v0, v1, v1) t = Slice(x, v2, v3, v1) p = Squeeze(s, v1) q = Squeeze(t, v1)",
        "s, t, u = Split<axis = 1>(x) p = Squeeze(s, v1) q = Squeeze(u, v1)",
    ],
)
def test_columns_count_the_entries_of_different_matrices(columns: str) -> None:
    """Few samples: random ones must not leave the smaller matrix. The middle column is a number."""
    numbers = {f"n{k}": np.array(k) for k in range(3)} | {f"v{k}": np.array([k]) for k in range(4)}
    body = f"{columns} a = Gather(big, p) b = Gather(small, q) y = Add(a, b)"
    constants = {name: value for name, value in numbers.items() if f" {name}" in body}
    model = onnx_model("int64[1,3] x) => (float y)", body, {**constants, "big": MATRIX, "small": MATRIX[:3]})
    x = np.array([[[len(MATRIX) - 1, 70, 2]], [[0, -70, 0]]])
    made = quantized(model, {"x": x}, Options(table_bits=10))
    assert index_counts(made.graph)["x"].tolist() == [[float(len(MATRIX)), np.inf, 3.0]]
    assert made.report.random_samples > 0 and made.report.reached


def test_an_index_that_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As integers of another scale, they are brought to the table's."""
    body = "j = Max(i, k) y = Gather(m, j)"
    given = onnx_model("int64[2] i, int64[2] k) => (float y)", body, {"m": MATRIX})
    ids = {name: IDS["i"][:, row, :2] for row, name in enumerate("ik")}
    made = quantized(given, ids, Options(table_bits=10))
    got = made.evaluate({name: values.astype(np.float64) for name, values in ids.items()})["y"]
    np.testing.assert_array_equal(got, MATRIX[np.maximum(ids["i"], ids["k"])])
    monkeypatch.setattr(embedding, "MOST_ENTRIES", 9)
    with pytest.raises(CompileError, match=r"\(Gather\): a matrix of 5 rows at computed indices is too large"):
        quantized(given, ids, Options(table_bits=10, model="private"))


@pytest.mark.parametrize("axis", [0, 1])
def test_large_matrices_are_looked_up_by_rows(axis: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two matrices, read by a sum and a layer; a negative number counts from the end; files keep it."""
    monkeypatch.setattr(embedding, "TABLED", 10)
    body = f"a = Gather<axis = {axis}>(m, i) b = Gather<axis = {axis}>(n, i) s = Add(a, b) y = MatMul(s, w)"
    constants = {"m": MATRIX, "n": MATRIX[::-1], "w": np.ones((4 if axis == 0 else 3, 2))}
    circuit = compile_model(onnx_model("int64[3] i) => (float y)", body, constants), {"i": IDS["i"][:, 0]}, BITS)
    assert [block.kind for block in circuit.builder.blocks].count("standing rows") == 2
    ids = np.array([3, 0, -1])
    circuit.save(tmp_path / "model.circuit")
    again = ModelCircuit.load(tmp_path / "model.circuit")
    inputs = again.read_inputs({"i": ids})
    assert again.mock(inputs) == []
    wanted = (np.take(MATRIX, ids, axis) + np.take(MATRIX[::-1], ids, axis)) @ constants["w"]
    np.testing.assert_allclose(again.predict({"i": ids})["y"][0], wanted, atol=0.1)
    srs = for_setup(again.srs_k, unsafe=True)
    pk = again.keygen(srs)
    verify(pk.vk, prove(pk, again.witness(inputs), srs))


def test_many_rows_of_a_matrix_that_is_no_small_one_are_looked_up_whole() -> None:
    """Of few entries, or asked for few, a table a column."""
    for matrix, asked, whole in [((64, 64), 4096, True), ((64, 64), 4095, False), ((2, 768), 1 << 17, False)]:
        assert embedding.by_rows(np.zeros(matrix), asked) == whole
    assert embedding.by_rows(np.zeros((1 << 10, 65)), 1)


@pytest.mark.parametrize("model", ["public", "private"])
def test_proved(model: str) -> None:
    constants: dict[str, Any] = {"m": MATRIX, "w": np.ones((4, 2))}
    given = onnx_model("int64[3] i) => (float y)", "e = Gather(m, i) y = MatMul(e, w)", constants)
    circuit = compile_model(given, {"i": IDS["i"][:, 0]}, Options(table_bits=9, model=model, input="private"))
    inputs = circuit.read_inputs({"i": np.array([4, 0, 2])})
    assert circuit.mock(inputs) == []
    srs = for_setup(circuit.srs_k, unsafe=True)
    pk = circuit.keygen(srs)
    verify(pk.vk, prove(pk, circuit.witness(inputs), srs))


@pytest.mark.parametrize(
    ("body", "wanted", "joined"),
    [
        ("e = Gather(m, i) y = Add(e, p)", lambda e, p, q: e + p, True),
        ("e = Gather(m, i) y = Add(q, e)", lambda e, p, q: e + q, True),
        ("e = Gather(m, i) y = Add(e, e)", lambda e, p, q: e + e, False),
        ("e = Gather(m, i) s = Add(e, p) y = Mul(s, e)", lambda e, p, q: (e + p) * e, False),
        ("e = Gather<axis = 1>(m, i) t = Transpose(e) y = Add(t, p)", lambda e, p, q: e + p, False),
    ],
)
def test_what_is_added_to_rows_is_theirs(
    body: str, wanted: Callable[..., Any], joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a unit an element, where nobody else reads the rows."""
    monkeypatch.setattr(embedding, "TABLED", 10)
    held = {"p": np.arange(12.0).reshape(3, 4) / 8, "q": np.arange(4.0)}
    constants = {name: value for name, value in held.items() if f"{name})" in body or f"({name}" in body}
    matrix = MATRIX.T if "axis" in body else MATRIX
    circuit = compile_model(onnx_model("int64[3] i) => (float y)", body, {**constants, "m": matrix}), SOME, BITS)
    made = [block for block in circuit.builder.blocks if isinstance(block, StandingRows)]
    assert [block.added is not None for block in made] == [joined]
    ids = np.array([1, 3, 0])
    assert circuit.mock(circuit.read_inputs({"i": ids})) == []
    expected = wanted(MATRIX[ids], held["p"], held["q"])
    np.testing.assert_allclose(circuit.predict({"i": ids})["y"][0], expected, atol=0.1)
