"""The circuit of squares with its keys, a witness and a proof, for the files that attack or compare them."""

from __future__ import annotations

import pytest

from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, ProvingKey
from plonnx.plonk.prover import Witness, prove, seeded_rng


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(9, tau=5)


@pytest.fixture(scope="module")
def pk(srs: SRS) -> ProvingKey:
    return keygen(squares.circuit(count=6), srs)


@pytest.fixture(scope="module")
def witness() -> Witness:
    return squares.witness(squares.circuit(count=6))


@pytest.fixture(scope="module")
def proof(pk: ProvingKey, srs: SRS, witness: Witness) -> Proof:
    return prove(pk, witness, srs, seeded_rng(b"proof"))
