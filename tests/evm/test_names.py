"""A circuit may name its instance columns as it likes: the contract's own words never share memory with them.

They once did: an instance column named `u` overwrote the challenge u by a number known before W, and a proof made of
points at infinity was accepted for any public values. `forged` is that proof.
"""

from __future__ import annotations

import pytest

from circuits import squares
from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.srs import SRS
from plonnx.plonk import verifier
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import prove
from plonnx.solidity import evm, node
from plonnx.solidity.layout import Layout, of_circuit
from plonnx.solidity.opening import Monomials
from tests.evm.conftest import Deployed
from tests.plonk import forge


def forged(vk: VerifyingKey, name: str) -> Proof:
    """A proof of false public values for a verifier whose u is the instance sum `name`."""
    public = bytes(range(vk.public_bytes))
    start = forge.at_infinity(vk, public)
    scalars, zeta = start.scalars, start.zeta
    factors, constant, w_factor = opening.verification_terms(start.claims, start.transcript.challenge(), scalars[name])
    fixed = verifier._commitment_factors(vk, scalars, zeta, factors)[-len(vk.fixed_commitments) :]
    rest = _native.g1_sum_of_products(b"".join(vk.fixed_commitments) + _native.g1_generator(), [*fixed, constant])
    w = _native.g1_mul(rest, -pow(w_factor, -1, MODULUS) % MODULUS)
    return Proof(vk.digest, start.proof + w + bytes(96) + start.inverse(vk, scalars[name]), public)


@pytest.mark.parametrize("name", ["u", "zeta", "chi^2"])
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


@pytest.mark.parametrize(
    ("monomial", "names"),
    [
        ([("chi", 2)], ["chi^2", "product chi^2", "product (('circuit chi', 2),)"]),
        ([("chi", 1), ("psi", 2)], ["chi^1 * psi^2", "chi^1 * circuit psi^2"]),
    ],
)
def test_products_of_challenges_have_words_of_their_own(monomial: list[tuple[str, int]], names: list[str]) -> None:
    """The contract reads chi^2 from where it has computed it, whatever the circuit calls chi^2."""
    srs = SRS.development(9, tau=5)
    for name in names:
        layout = Layout(keygen(squares.circuit(instance=name), srs).vk)
        powers = Monomials(layout, [])
        assert powers.read((of_circuit(challenge), e) for challenge, e in monomial) != layout.read(of_circuit(name))
    one, other = ((of_circuit("a^1 * circuit b"), 2),), ((of_circuit("a"), 1), (of_circuit("b"), 2))
    assert powers.read(one) != powers.read(other)
