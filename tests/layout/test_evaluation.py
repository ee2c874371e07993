"""A circuit in use without proofs: its outputs for a batch, and its accuracy beside the float model's."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

import plonnx
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.onnx_file import read_model
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.evaluation import agreement, measured
from plonnx.layout.inputs import InputError
from tests.compiler.small import onnx_model

R = np.random.RandomState(0)
MODEL = onnx_model("float[N,4] x) => (float[N,3] y)", "g = MatMul(x, w) y = Softmax(g)", {"w": R.randn(4, 3)})
DATA = R.uniform(-1, 1, (300, 4))
CLASSES = (DATA @ R.randn(4, 3)).argmax(axis=1)


@pytest.fixture(scope="module")
def circuit() -> ModelCircuit:
    return plonnx.compile(MODEL, data=DATA[:100])


def floats(data: np.ndarray) -> np.ndarray:
    oracle = FloatModel(read_model(MODEL).fixed({"x": (1, 4)}))
    return np.concatenate([oracle.run({"x": row[None].astype(np.float32)})["y"] for row in data])


def test_predictions_are_what_proofs_would_show(circuit: ModelCircuit) -> None:
    got = circuit.predict(DATA)["y"]
    assert got.shape == (300, 3) and got.dtype == np.float64
    np.testing.assert_allclose(got, floats(DATA), atol=0.003)
    pk = plonnx.setup(circuit)
    statement = plonnx.verify(pk.vk, plonnx.prove(circuit, DATA[7], pk))
    np.testing.assert_array_equal(statement.outputs["y"], got[7:8])
    np.testing.assert_array_equal(circuit.predict(DATA[7])["y"], got[7:8])


def test_accuracy_beside_the_float_models(circuit: ModelCircuit) -> None:
    found = plonnx.evaluate(circuit, DATA, CLASSES, model=MODEL)
    assert found["samples"] == 300 and found["refused"] == 0 and found["output"] == "y"
    expected = floats(DATA).argmax(axis=1)
    assert found["float"]["accuracy"] == pytest.approx(np.mean(expected == CLASSES))
    got = circuit.predict(DATA)["y"]
    assert found["circuit"]["accuracy"] == pytest.approx(np.mean(got.argmax(axis=1) == CLASSES))
    assert found["agreement"]["decisions"] == pytest.approx(np.mean(got.argmax(axis=1) == expected))
    assert 0 < found["agreement"]["max_relative_error"] < 0.005


def test_agreement_alone(circuit: ModelCircuit) -> None:
    found = circuit.evaluate(DATA, reference={"y": floats(DATA)})
    assert set(found) == {"output", "samples", "refused", "agreement"}


def test_a_number_decides_where_it_is_a_probability_or_on_both_sides_of_the_threshold() -> None:
    """A regression of prices is not alike to 100 % because all of them are above 0.5."""
    real = np.array([[0.2], [0.9], [0.4]])
    assert agreement(real, real + 0.2, 0.5) == {"decisions": pytest.approx(2 / 3), "max_relative_error": ANY}
    assert agreement(real + 50, real + 50, 0.5) == {"max_relative_error": 0.0}
    assert agreement(real - 5, real - 5, 0.5) == {"max_relative_error": 0.0}
    assert agreement(3 * real - 1, 3 * real - 1, 0.5)["decisions"] == 1.0
    assert agreement(real + 50, real + 50, 50.5)["decisions"] == 1.0
    assert agreement(real / 2 + 0.5, real / 2 + 0.5, 0.5)["decisions"] == 1.0
    assert agreement(np.array([[3], [4]]), np.array([[3], [5]]), 0.5)["decisions"] == 0.5


def test_samples_that_can_not_be_proved_are_counted(circuit: ModelCircuit) -> None:
    data = DATA.copy()
    data[[3, 200]] = 50.0
    found = circuit.evaluate(data, CLASSES, reference={"y": floats(data)})
    kept = np.setdiff1d(np.arange(300), [3, 200])
    assert found["refused"] == 2
    assert found["float"]["accuracy"] == pytest.approx(np.mean(floats(DATA)[kept].argmax(axis=1) == CLASSES[kept]))
    with pytest.raises(InputError, match=r"^the given arrays: sample 4: input 'x' is 50 .*outside the calibrated"):
        circuit.predict(data)
    with pytest.raises(InputError, match=r"^the given arrays: sample 4: input 'x' is 50 "):
        circuit.read_batch(data)
    with pytest.raises(InputError, match="every sample leaves the calibrated range"):
        circuit.evaluate(np.full((2, 4), 50.0), [0, 1])


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        (np.array([[0.2], [0.7], [0.6]]), np.array([0, 1, 0]), {"accuracy": 2 / 3}),
        (np.array([[0.2, 0.8], [0.7, 0.3]]), np.array([1.0, 1.0]), {"accuracy": 0.5}),
        (np.array([4, 2]), np.array([4, 3]), {"accuracy": 0.5}),
        (
            np.array([[1.0], [2.0]]),
            np.array([1.5, 4.0]),
            {"mean_absolute_error": 1.25, "root_mean_square": 4.25**0.5 / 2**0.5},
        ),
        (np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]), {"mean_absolute_error": 1.0, "root_mean_square": 2**0.5}),
    ],
)
def test_measures(values: np.ndarray, labels: np.ndarray, expected: dict[str, float]) -> None:
    assert measured(values, labels, 0.5) == pytest.approx(expected)


def test_what_does_not_fit_is_said(circuit: ModelCircuit, tmp_path: Path) -> None:
    for labels, message in (
        (CLASSES[:5], "5 labels for 300 samples"),
        (["a"] * 300, "labels are numbers"),
        (np.zeros((300, 2)), "the labels have 2 values a sample, the output 3"),
    ):
        with pytest.raises(InputError, match=message):
            circuit.evaluate(DATA, labels)
    with pytest.raises(InputError, match="output 'z': the circuit's outputs are y"):
        circuit.evaluate(DATA, CLASSES, output="z")
    with pytest.raises(InputError, match="the reference has 2 samples of 'y', the data 300"):
        circuit.evaluate(DATA, CLASSES, reference={"y": np.zeros((2, 3))})
    other = onnx_model("float[N,4] z) => (float[N,3] y)", "g = MatMul(z, w) y = Softmax(g)", {"w": np.ones((4, 3))})
    with pytest.raises(ValueError, match="its inputs z are not those of the circuit, x"):
        plonnx.evaluate(circuit, DATA, CLASSES, model=other)


def test_integers_and_constants_keep_their_type() -> None:
    body = "y = Add(x, x) k = Identity(c) z = Cast<to = 1>(x)"
    model = onnx_model("int64[2] x) => (int64[2] y, int64[1] k, float[2] z)", body, {"c": np.array([7])})
    data = np.arange(40).reshape(20, 2)
    got = plonnx.compile(model, data=data).predict(data)
    assert {name: values.dtype for name, values in got.items()} == {"y": np.int64, "k": np.int64, "z": np.float64}
    np.testing.assert_array_equal(got["y"], 2 * data)
    assert got["k"].shape == (20, 1)


def test_paths_serve_everywhere(circuit: ModelCircuit, tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"m.{name}") for name in ("circuit", "pk", "vk", "proof")}
    circuit.save(names["circuit"])
    pk = plonnx.setup(names["circuit"])
    pk.save(names["pk"])
    pk.vk.save(names["vk"])
    proof = plonnx.prove(names["circuit"], DATA[0], names["pk"])
    proof.save(names["proof"])
    assert plonnx.verify(names["vk"], names["proof"]).outputs.keys() == {"y"}
    assert plonnx.calldata(names["proof"]) == plonnx.calldata(proof)
    assert plonnx.emit_solidity(names["vk"]) == plonnx.emit_solidity(pk.vk)
    assert plonnx.mock(names["circuit"], DATA[0]) == []
    assert plonnx.run(names["circuit"], DATA[:2])["y"].shape == (2, 3)
    np.save(tmp_path / "labels.npy", CLASSES)
    assert "circuit" in plonnx.evaluate(names["circuit"], DATA, tmp_path / "labels.npy")
    assert len(list(plonnx.Prover(names["circuit"], names["pk"]).prove_all(DATA[:2]))) == 2


def test_reprs_are_one_line(circuit: ModelCircuit) -> None:
    pk = plonnx.setup(circuit)
    proof = plonnx.prove(circuit, DATA[0], pk)
    for thing in (circuit, pk, pk.vk, proof, plonnx.SRS.ethereum()):
        assert "\n" not in repr(thing) and len(repr(thing)) < 200
    assert repr(circuit) == f"<ModelCircuit small: x[1, 4] -> y[1, 3], {1 << circuit.k} rows>"
