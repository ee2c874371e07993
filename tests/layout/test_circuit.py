"""Compiled circuits and their files: the same bytes on any machine, and one line for a file that is not one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx.compiler.compile import compile_model
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import InputError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "circuits" / "digits_mlp"

SCRIPT = """
import json, sys
from plonnx._native import keccak256, thread_count
from plonnx.compiler.compile import compile_model
from plonnx.kzg.srs import SRS
circuit = compile_model("model.onnx", ["calibration.npz"])
pk = circuit.keygen(SRS.development(circuit.k, tau=5))
pk.save(sys.argv[1])
print(json.dumps({
    "circuit": circuit.encode().hex(),
    "vk": pk.vk.encode().hex(),
    "pk": keccak256(open(sys.argv[1], "rb").read()).hex(),
    "hash": hash("plonnx"), "threads": thread_count(),
}))
"""


@pytest.fixture(scope="module")
def circuit() -> ModelCircuit:
    return compile_model(FOLDER / "model.onnx", [FOLDER / "calibration.npz"])


def test_circuit_and_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    def made(seed: str, threads: str) -> dict[str, Any]:
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / f"pk{seed}")],
            cwd=FOLDER,
            env={**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        result: dict[str, Any] = json.loads(ended.stdout)
        return result

    one, other = made("1", "1"), made("2", "2")
    assert one["hash"] != other["hash"]
    assert (one["threads"], other["threads"]) == (1, 2)
    for part in ("circuit", "vk", "pk"):
        assert one[part] == other[part], part


def test_a_circuit_survives_its_file(tmp_path: Path, circuit: ModelCircuit) -> None:
    path = tmp_path / "digits.circuit"
    circuit.save(path)
    loaded = ModelCircuit.load(path)
    assert loaded.encode() == circuit.encode() == path.read_bytes()
    assert loaded.digest == circuit.digest
    assert loaded.describe() == circuit.describe()
    assert loaded.tensors == circuit.tensors
    inputs = circuit.read_inputs(FOLDER / "input.json")
    one, other = circuit.witness(inputs), loaded.witness(inputs)
    assert one.public_values == other.public_values
    assert list(one.advice) == list(other.advice)
    for name, column in one.advice.items():
        np.testing.assert_array_equal(column, other.advice[name])
    srs = SRS.development(circuit.k, tau=5)
    assert loaded.keygen(srs).vk.encode() == circuit.keygen(srs).vk.encode()


def test_the_keys_name_the_circuit_they_were_made_for(circuit: ModelCircuit) -> None:
    assert circuit.keygen(SRS.development(circuit.k, tau=5)).circuit_digest == circuit.digest


@pytest.mark.parametrize("kept", [0, 5, 60, 1000, -1])
def test_a_truncated_circuit(tmp_path: Path, circuit: ModelCircuit, kept: int) -> None:
    path = tmp_path / "cut.circuit"
    path.write_bytes(circuit.encode()[:kept])
    with pytest.raises(FileError, match=r"cut\.circuit: (not a plonnx circuit file|the circuit file is truncated)"):
        ModelCircuit.load(path)


def test_a_damaged_circuit(tmp_path: Path, circuit: ModelCircuit) -> None:
    path, content = tmp_path / "bad.circuit", circuit.encode()
    for at in np.linspace(0, len(content) - 1, 40).astype(int).tolist():
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=r"^[^\n]*bad\.circuit: [^\n]*$"):
            ModelCircuit.load(path)


def test_a_foreign_file(tmp_path: Path) -> None:
    for content in (b"", b"plonnx", (FOLDER / "model.onnx").read_bytes(), b"\x80\x04K\x01."):
        path = tmp_path / "foreign"
        path.write_bytes(content)
        with pytest.raises(FileError, match="foreign: not a plonnx circuit file"):
            ModelCircuit.load(path)
    SRS.development(2, tau=5).save(tmp_path / "an.srs")
    with pytest.raises(FileError, match="this is a plonnx srs file, a circuit file is needed here"):
        ModelCircuit.load(tmp_path / "an.srs")


def test_the_mock_prover_has_nothing_to_say_of_an_honest_inference(circuit: ModelCircuit) -> None:
    assert circuit.mock(circuit.read_inputs(FOLDER / "input.json")) == []


def test_a_changed_cell_is_explained(circuit: ModelCircuit) -> None:
    """The equation first, with the sum that it should have been, then the gates."""
    witness = circuit.witness(circuit.read_inputs(FOLDER / "input.json"))
    place = next(p for p in circuit.layout.places if p.equations)
    c = witness.advice["c0"]
    row = int(place.value_rows[0, 0])
    c[row] += 1 if c[row] + 1 < circuit.builder.table_size else -1
    failures = [str(failure) for failure in circuit.check(witness)]
    assert failures[0].startswith("linear check: the exact sum is")
    assert f"{place.name}[0] = " in failures[0]
    assert any("running sum ends" in failure for failure in failures[1:])


def test_an_input_beyond_calibration_is_one_line(circuit: ModelCircuit) -> None:
    (name,) = (port.name for port in circuit.inputs)
    inputs = circuit.read_inputs(FOLDER / "input.json")
    far = {name: np.full_like(inputs[name], circuit.builder.table_size - 1)}
    with pytest.raises(InputError, match=r"^tensor .*outside the calibrated range.*larger margin$"):
        circuit.witness(far)
