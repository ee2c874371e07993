"""The networks that papers compare on: of their published size; small ones of the same make are proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.vision import NETWORKS
from plonnx.compiler.compile import compile_model
from plonnx.kzg.srs import SRS
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify
from plonnx.statement import read_statement

PARAMETERS = {
    "vgg16": 14_732_490,
    "resnet18": 11_183_562,
    "mobilenet_v2": 2_270_794,
}  # with the normalizations' statistics
SMALL = [name for name in NETWORKS if name.startswith("small")]


def expected(folder: Path) -> np.ndarray:
    """The network's outputs on its calibration data."""
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    return np.array([session.run(None, {"x": x})[0] for x in np.load(folder / "calibration.npz")["x"]])


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes(name: str, tmp_path: Path) -> None:
    NETWORKS[name](tmp_path)
    model = onnx.load(tmp_path / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    weights = [c for c in model.graph.initializer if c.dims]  # Clip's ends are scalars
    assert sum(int(np.prod(c.dims)) for c in weights) == PARAMETERS[name]
    assert 0.1 < expected(tmp_path).std() < 10


@pytest.mark.parametrize("name", SMALL)
def test_small_ones_are_proved(name: str, tmp_path: Path) -> None:
    """A chain, residual sums, depthwise layers: compiled, checked, proved; the outputs are the network's."""
    NETWORKS[name](tmp_path)
    circuit = compile_model(tmp_path / "network.onnx", [tmp_path / "calibration.npz"])
    inputs = circuit.read_inputs(tmp_path / "input.json")
    assert circuit.mock(inputs) == []
    pk = circuit.keygen(SRS.development(circuit.srs_k, tau=5))
    proof = Prover(pk, SRS.development(circuit.srs_k, tau=5)).prove(circuit.witness(inputs))
    verify(pk.vk, proof)
    (output,) = read_statement(pk.vk, proof).outputs.values()
    wanted = expected(tmp_path)
    np.testing.assert_allclose(output, wanted[0], atol=0.02 * np.ptp(wanted))
