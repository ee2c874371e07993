"""Real models the whole way: compiled for each aim, mocked, proved, verified; one more on any output is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.transformers import Blocks, Network
from plonnx.compiler import room
from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.layout import cost, counts
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.plonk.public_values import unpack
from plonnx.plonk.verifier import VerificationError, verify
from plonnx.srs_choice import for_setup

DENSE = ("1l_relu", "1l_linear", "1l_mlp", "2l_relu_fc", "accuracy", "large_mlp", "linear_regression")
IMAGES = (
    "1l_average",
    "1l_batch_norm",
    "1l_conv",
    "1l_conv_transpose",
    "1l_instance_norm",
    "1l_lppool",
    "1l_max_pool",
    "2l_relu_sigmoid_conv",
    "4l_relu_conv_fc",
    "idolmodel",
    "lenet_5",
    "mnist_gan",
)
PACKED = ("1l_conv_transpose", "1l_max_pool", "2l_relu_sigmoid_conv", "4l_relu_conv_fc", "lenet_5")
CASES = [(name, aim) for name in DENSE for aim in ("prover", "balanced", "gas")]
CASES += [(name, "prover") for name in IMAGES] + [(name, "gas") for name in PACKED]
TRIED_OUTPUTS = 40


@pytest.mark.parametrize(("name", "optimize"), CASES)
def test_proved(models: Path, name: str, optimize: str) -> None:
    folder = models / name
    circuit = compile_model(folder / "network.onnx", [folder / "input.json"], Options(optimize=optimize))
    inputs = circuit.read_inputs(folder / "input.json")
    assert circuit.mock(inputs) == []
    vk, proof = _proved(circuit, inputs)
    predicted = cost.predict(circuit.shape, counts.Facts(circuit.layout))
    assert len(proof.proof) == predicted.proof_bytes
    assert len(proof.proof) <= 8192 or name in IMAGES
    _one_more_is_rejected(vk, proof, TRIED_OUTPUTS)


def test_heads_and_a_normalization_that_stand_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts of two heads divided by their sums, a stream that is squared and scaled: a run for each token."""
    monkeypatch.setattr(room, "_WORTH_A_BIT", 1)
    net, blocks = Network(), Blocks(24, heads=2, layers=1, tokens=16)
    mixed = net.node("Add", "x", blocks.attention(net, "x"))
    samples = net.rng.standard_normal((16, 1, 16, 24)).astype(np.float32)
    net.write(tmp_path, net.normalized(mixed, 24), samples, (1, 16, 24), whole=False)
    circuit = compile_model(tmp_path / "network.onnx", tmp_path / "calibration.npz", Options(table_bits=12))
    places = circuit.layout.places
    assert {place.turned for place in places} == {0, 1, 2} and any(place.squared for place in places)
    _one_more_is_rejected(*_proved(circuit, circuit.read_inputs(tmp_path / "input.json")), 3)


def _proved(circuit: ModelCircuit, inputs: Mapping[str, NDArray[np.int64]]) -> tuple[VerifyingKey, Proof]:
    """A key and a proof that it accepts."""
    srs = for_setup(circuit.srs_k, unsafe=True)
    pk = circuit.keygen(srs)
    proof = prove(pk, circuit.witness(inputs), srs)
    verify(pk.vk, proof)
    return pk.vk, proof


def _one_more_is_rejected(vk: VerifyingKey, proof: Proof, tried: int) -> None:
    for output in (tensor for tensor in vk.tensors if tensor.role == "output"):
        held = unpack(output, proof.public_values).reshape(-1)
        for element in range(0, output.count, -(-output.count // tried)):
            at = output.offset + element * output.width
            more = (int(held[element]) + 1).to_bytes(output.width, "big", signed=True)
            values = proof.public_values[:at] + more + proof.public_values[at + output.width :]
            with pytest.raises(VerificationError):
                verify(vk, replace(proof, public_values=values))
