"""Several proofs with one pairing: all good or refused, and no two bad ones cancel out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plonnx import _native
from plonnx.kzg import opening
from plonnx.plonk import verifier as python_verifier
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.plonk.verifier import VerificationError, verify_batch
from plonnx.solidity import node
from plonnx.solidity.abi import REQUIRE_VALID_BATCH, batch_calldata, selector
from tests.evm import trapdoor
from tests.evm.conftest import FORMS
from tests.evm.test_verifier import SHAPES, bad_points, replaced
from tests.reference_verifier import R

W_PRIME = -128


def accepted(vk: VerifyingKey, proofs: list[Proof]) -> bool:
    try:
        verify_batch(vk, proofs)
    except VerificationError:
        return False
    return True


def moved(proof: Proof, by: bytes) -> Proof:
    """The proof with a point added to W'."""
    held = proof.proof[W_PRIME : W_PRIME + 96]
    return replace(proof, proof=replaced(proof.proof, W_PRIME, _native.g1_sum_of_products(held + by, [1, 1])))


@pytest.mark.parametrize("name", ["small", "middle", "packed", "data contract"])
def test_a_batch_is_good_where_all_of_it_is(rpc: node.Rpc, name: str) -> None:
    vk, logarithms = trapdoor.random_key(len(name), **SHAPES[name])
    contracts = [form.deploy(rpc, vk) for form in FORMS]
    good = [trapdoor.forge(vk, logarithms, i, context=bytes([i]) * 32) for i in range(4)]
    first = 96 * vk.commitment_count
    broken = {
        "WrongProofLength": replace(good[0], proof=good[0].proof + b"\0"),
        "WrongPublicValuesLength": replace(good[0], public_values=b""),
        "ScalarNotCanonical": replace(good[0], proof=replaced(good[0].proof, first, b"\xff" * 32)),
        "InverseMismatch": replace(good[0], context=bytes(32 - 1) + b"\7"),
        "PairingFailed": moved(good[0], trapdoor.point(1)),
    }
    bad = [*broken.values(), trapdoor.forge(vk, logarithms, 9, error=1)]
    reasons = [*broken, "PairingFailed"]
    for i, point in enumerate(bad_points().values()):
        bad.append(trapdoor.forge(vk, logarithms, 9, bad={i % vk.commitment_count: point}))
        bad.append(replace(good[1], proof=replaced(good[1].proof, W_PRIME, point)))
        reasons += ["InvalidPoint"] * 2
    batches = [good[:1], good[:2], good, [good[2]] * 3, good[::-1]]
    valid = len(batches)
    for i, proof in enumerate(bad):
        batches.append([*good[: i % 4], proof, *good[i % 4 :]])
    for contract in contracts:
        assert contract.batches(batches) == [""] * valid + reasons
    assert [accepted(vk, batch) for batch in batches] == [True] * valid + [False] * len(bad)


def test_bad_proofs_do_not_cancel_out(rpc: node.Rpc) -> None:
    """W'_A + (u_B - tau) Q and W'_B - (u_A - tau) Q, of powers that everyone has: they pass with equal weights."""
    vk, logarithms = trapdoor.random_key(3, **SHAPES["small"])
    contracts = [form.deploy(rpc, vk) for form in FORMS]
    good = [trapdoor.forge(vk, logarithms, i) for i in range(3)]
    folded = [python_verifier._fold(vk, proof) for proof in good]
    u = [f.scalars[-1] for f in folded]
    powers = trapdoor.point(1) + trapdoor.point(trapdoor.TAU)
    a = moved(good[0], _native.g1_sum_of_products(powers, [u[1], R - 1]))
    b = moved(good[1], _native.g1_sum_of_products(powers, [R - u[0], 1]))
    assert _passes_unweighted(vk, [a, b])
    for batch in ([a, b], [b, a], [a, b, good[2]], [a, good[2], b], [a, a, b, b]):
        assert [contract.batches([batch]) for contract in contracts] == [["PairingFailed"]] * 2
        assert not accepted(vk, batch)
    # Nor do they where somebody hopes for weights 1 and rho that he knows: rho is drawn after W'.
    rho = python_verifier._batch_challenge(vk, [a, b])
    again = moved(good[1], _native.g1_sum_of_products(powers, [-u[0] * pow(rho, -1, R) % R, pow(rho, -1, R)]))
    assert [contract.batches([[a, again]]) for contract in contracts] == [["PairingFailed"]] * 2
    assert not accepted(vk, [a, again])


def _passes_unweighted(vk: VerifyingKey, proofs: list[Proof]) -> bool:
    """The check with all weights 1."""
    total, final = bytes(96), bytes(96)
    for proof in proofs:
        f = python_verifier._fold(vk, proof)
        points = f.sent + b"".join(vk.fixed_commitments) + _native.g1_generator()
        sum_ = _native.g1_sum_of_products(points, [*f.scalars, *(x % R for x in f.fixed)])
        total = _native.g1_sum_of_products(total + sum_, [1, 1])
        final = _native.g1_sum_of_products(final + f.final, [1, 1])
    return opening.check(vk.tau_g2, total, final)


def test_no_batch(rpc: node.Rpc) -> None:
    """None, or lists of different lengths."""
    vk, logarithms = trapdoor.random_key(3, **SHAPES["small"])
    contracts = [form.deploy(rpc, vk) for form in FORMS]
    good = trapdoor.forge(vk, logarithms, 1)
    assert not accepted(vk, [])
    for contract in contracts:
        assert contract.batches([[]]) == ["WrongBatch"]
        call = batch_calldata([good, good], REQUIRE_VALID_BATCH, contract.key)
        head = 4 + 64 + (0 if contract.key is None else 64)
        contexts = int.from_bytes(call[head : head + 32], "big") + 4
        for count in (0, 1):
            shorter = call[:contexts] + count.to_bytes(32, "big") + call[contexts + 32 :]
            (answer,) = contract._ask([shorter])
            assert isinstance(answer, node.RpcError) and answer.data == selector("WrongBatch()")
