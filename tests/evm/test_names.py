"""A circuit may name its instance columns as it likes: the contract's own words never share memory with them.

They once did: an instance column named `u` overwrote the challenge u by a number known before W, and a proof made of
points at infinity was accepted for any public values. `forged` is that proof.
"""

from __future__ import annotations

import pytest

from circuits import squares
from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.kzg.srs import SRS
from plonnx.plonk import domain, verifier
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import prove
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript
from plonnx.solidity import evm, node
from tests.evm.conftest import Deployed


def forged(vk: VerifyingKey, name: str) -> Proof:
    """A proof of false public values for a verifier whose u is the instance sum `name`."""
    public = bytes(range(vk.public_bytes))
    transcript, proof = Transcript(vk.digest, public), b""
    scalars: dict[str, int] = {}
    for phase in vk.phases:
        commitments = bytes(96 * len(vk.opened_in_phase(phase)))
        transcript.absorb(commitments)
        proof += commitments
        scalars.update((challenge, transcript.challenge()) for challenge in phase.challenges)
    scalars.update(instance_sums(vk, public, scalars))
    commitments = bytes(96 * (len(vk.opened_quotient) + len(vk.masked)))
    transcript.absorb(commitments)
    proof += commitments
    zeta = transcript.challenge()
    inverse = pow(domain.inverse_base(vk, zeta), -1, MODULUS)
    selectors = domain.selectors_at(vk, zeta, inverse)
    (gates,) = vk.program.run_point(lambda s: selectors[s.index] if s.kind == "selector" else 0, scalars)
    quotient = gates * pow(pow(zeta, vk.n, MODULUS) - 1, -1, MODULUS) % MODULUS
    claims = []
    for o in vk.opened:
        points = tuple(zeta * pow(_native.omega(vk.k), r, MODULUS) % MODULUS for r in o.rotations)
        values = [(quotient if (o.kind, member) == ("quotient", 0) else 0,) * len(points) for member in o.members]
        claims.append(Claim(points, tuple(values), o.packing))
    evaluations = b"".join(x.to_bytes(32, "big") for claim in claims for values in claim.values for x in values)
    transcript.absorb(evaluations)
    factors, constant, w_factor = opening.verification_terms(claims, transcript.challenge(), scalars[name])
    fixed = verifier._commitment_factors(vk, scalars, zeta, factors)[-len(vk.fixed_commitments) :]
    rest = _native.g1_sum_of_products(b"".join(vk.fixed_commitments) + _native.g1_generator(), [*fixed, constant])
    w = _native.g1_mul(rest, -pow(w_factor, -1, MODULUS) % MODULUS)
    return Proof(vk.digest, proof + evaluations + w + bytes(96) + inverse.to_bytes(32, "big"), public)


@pytest.mark.parametrize("name", ["u", "zeta", "product chi^2"])
def test_an_instance_column_may_have_any_name(rpc: node.Rpc, name: str) -> None:
    circuit, srs = squares.circuit(instance=name), SRS.development(9, tau=5)
    pk = keygen(circuit, srs)
    honest = prove(pk, squares.witness(circuit), srs)
    contract = Deployed(rpc, pk.vk, evm.deploy(rpc, pk.vk))
    false = forged(pk.vk, name)
    assert contract.accepts([(p.proof, p.public_values) for p in (honest, false)]) == [True, False]
    verifier.verify(pk.vk, honest)
    with pytest.raises(verifier.VerificationError):
        verifier.verify(pk.vk, false)
