"""Real models the whole way: compiled for each aim, mocked, proved, verified; one more on any output is rejected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plonnx.compiler.circuit import compile_model
from plonnx.kzg.srs import SRS
from plonnx.plonk.prover import prove
from plonnx.plonk.public_values import unpack
from plonnx.plonk.verifier import VerificationError, verify

NAMES = ("1l_relu", "1l_linear", "1l_mlp", "2l_relu_fc", "accuracy", "large_mlp", "linear_regression")
TRIED_OUTPUTS = 40


@pytest.mark.parametrize("optimize", ["prover", "balanced", "gas"])
@pytest.mark.parametrize("name", NAMES)
def test_proved(models: Path, name: str, optimize: str) -> None:
    folder = models / name
    circuit = compile_model(folder / "network.onnx", [folder / "input.json"], optimize=optimize)
    inputs = circuit.read_inputs(folder / "input.json")
    assert circuit.mock(inputs) == []
    srs = SRS.development(circuit.srs_k, tau=5)
    pk = circuit.keygen(srs)
    proof = prove(pk, circuit.witness(inputs), srs)
    verify(pk.vk, proof)
    assert len(proof.proof) <= 8192

    (output,) = [tensor for tensor in pk.vk.tensors if tensor.role == "output"]
    held = unpack(output, proof.public_values).reshape(-1)
    for element in range(0, output.count, -(-output.count // TRIED_OUTPUTS)):
        at = output.offset + element * output.width
        more = (int(held[element]) + 1).to_bytes(output.width, "big", signed=True)
        values = proof.public_values[:at] + more + proof.public_values[at + output.width :]
        with pytest.raises(VerificationError):
            verify(pk.vk, replace(proof, public_values=values))
