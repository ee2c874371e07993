"""Public values whose words take some lanes of a row: what the contracts read of them is what the circuit states."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.gadgets import Builder
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.prover import prove
from plonnx.solidity import node
from tests.evm.conftest import FORMS
from tests.evm.test_verifier import fast_accepts
from tests.properties.models import Model, lay_out

LANES, WIDTH = 16, 16  # 16 values of two bytes are 32, one more than a word has: rows take 8 lanes


@pytest.fixture(scope="module")
def proved() -> tuple[VerifyingKey, Proof]:
    """A convolution over two lines, its input and its outputs public."""
    builder, random = Builder(8), np.random.default_rng(1)
    x = builder.input("x", (1, 2, WIDTH))
    kernel = random.integers(-99, 100, (1, 3, 1))
    builder.output("y", builder.convolution(x, kernel, np.array([[0, -1], [0, 0], [0, 1]]), None, (2, WIDTH), "y"))
    case = lay_out(Model(builder, {"x": random.integers(-255, 256, (1, 1, 2, WIDTH))}), LANES, 1, packing=8)
    runs = [
        (run.width, run.per_word) for place, run, _, across in case.layout.runs if across and place.row_lanes < LANES
    ]
    assert runs == [(2, 8)], case.layout.runs
    circuit = case.circuit()
    srs = SRS.development(circuit.k + 3)
    pk = keygen(circuit, srs)
    return pk.vk, prove(pk, case.witness(), srs)


def test_every_byte_of_a_word_counts(rpc: node.Rpc, proved: tuple[VerifyingKey, Proof]) -> None:
    """Each byte changed; bytes, values, words and lines exchanged: verifiers and contracts refuse alike."""
    vk, good = proved
    public = good.public_values
    changed = [public[:at] + bytes([public[at] ^ 1 << at % 8]) + public[at + 1 :] for at in range(len(public))]
    for size in (1, 2, 16, 32):
        changed.append(public[size : 2 * size] + public[:size] + public[2 * size :])
    statements = [(good.proof, values) for values in changed if values != public]
    assert len(statements) >= len(public)
    for contract in (form.deploy(rpc, vk) for form in FORMS):
        assert contract.reasons([(good.proof, public)]) == [""]
        assert "" not in contract.reasons(statements)
    for values in (public, changed[-1]):
        assert fast_accepts(vk, (good.proof, values)) == (values == public)
