"""A proof is of use in its context only: on one chain, in one contract, to one sender, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import plonnx
from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk import verifier as python_verifier
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import NO_CONTEXT, Proof, ProvingKey
from plonnx.plonk.prover import prove
from plonnx.solidity import evm, node
from plonnx.solidity.abi import selector
from tests import reference_verifier
from tests.evm.conftest import FORMS
from tests.evm.test_verifier import fast_accepts

CONTRACTS = Path(__file__).resolve().parents[2] / "solidity" / "contracts"
CHAIN = 31337


@pytest.fixture(scope="module")
def pk() -> ProvingKey:
    return keygen(squares.circuit(), SRS.development(12, tau=7))


def proof_for(pk: ProvingKey, context: bytes) -> Proof:
    return prove(pk, squares.witness(squares.circuit()), SRS.development(12, tau=7), context=context)


def consumer(rpc: node.Rpc, verifier: str) -> str:
    """The address of a new consumer."""
    library = (CONTRACTS / "PlonnxContext.sol").read_text()
    source = library + Path(__file__).with_name("Consumer.sol").read_text().partition("\n\n")[2]
    creation = node.compile_contracts(source)["Consumer"].creation + bytes(12) + bytes.fromhex(verifier[2:])
    return evm._receipt(rpc, evm._send(rpc, {"data": "0x" + creation.hex()}))["contractAddress"]


def use(rpc: node.Rpc, contract: str, sender: str, proof: Proof) -> bool:
    """Whether the consumer takes the proof from a sender, in a transaction."""
    head = (64).to_bytes(32, "big") + (96 + -(-len(proof.proof) // 32) * 32).to_bytes(32, "big")
    data = selector("use(bytes,bytes)") + head
    for part in (proof.proof, proof.public_values):
        data += len(part).to_bytes(32, "big") + part + bytes(-len(part) % 32)
    transaction = {"from": sender, "to": contract, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
    receipt = evm._receipt(rpc, rpc.call("eth_sendTransaction", transaction))
    return int(receipt["status"], 16) == 1


def test_three_verifiers_hold_a_proof_to_its_context(rpc: node.Rpc, pk: ProvingKey) -> None:
    contracts = [form.deploy(rpc, pk.vk) for form in FORMS]
    one, other = bytes(range(32)), bytes(31) + b"\1"
    for mine in (NO_CONTEXT, one):
        proof = proof_for(pk, mine)
        statements = [(proof.proof, proof.public_values, context) for context in (NO_CONTEXT, one, other)]
        verdicts = [context == mine for _, _, context in statements]
        assert [contract.accepts(statements) for contract in contracts] == [verdicts, verdicts]
        assert [fast_accepts(pk.vk, statement) for statement in statements] == verdicts
        assert [reference_verifier.verify(pk.vk, *statement) for statement in statements] == verdicts
    with pytest.raises(python_verifier.VerificationError, match="context has 31 bytes"):
        python_verifier.verify(pk.vk, replace(proof, context=bytes(31)))
    with pytest.raises(ValueError, match="context has 3 bytes"):
        proof_for(pk, b"abc")


def test_no_replay(rpc: node.Rpc, pk: ProvingKey) -> None:
    alice, bob = rpc.call("eth_accounts")[:2]
    verifier = evm.deploy(rpc, pk.vk)
    here, there = consumer(rpc, verifier), consumer(rpc, verifier)
    first = proof_for(pk, plonnx.context(CHAIN, here, alice, 0))
    assert not use(rpc, here, bob, first)  # copied out of the mempool
    assert not use(rpc, there, alice, first)  # another contract
    assert use(rpc, here, alice, first)
    assert not use(rpc, here, alice, first)  # her nonce is 1 by now
    assert use(rpc, here, alice, proof_for(pk, plonnx.context(CHAIN, here, alice, 1)))
    with node.anvil("--chain-id", "10") as fork:
        assert fork.call("eth_accounts")[0] == alice
        away = consumer(fork, evm.deploy(fork, pk.vk))
        # The same contract address on the other chain: what differs is the chain alone.
        fork.call("anvil_setCode", here, fork.call("eth_getCode", away, "latest"))
        assert not use(fork, here, alice, first)
        assert use(fork, here, alice, proof_for(pk, plonnx.context(10, here, alice, 0)))


def test_bad_contexts() -> None:
    address = "0x" + "11" * 20
    assert len(plonnx.context(1, address, address, 0)) == 32
    for wrong in ("0x11", address[2:], address + "00", "0x" + "zz" * 20):
        with pytest.raises(ValueError, match="not an address"):
            plonnx.context(1, address, wrong, 0)
    with pytest.raises(ValueError, match="nonce -1"):
        plonnx.context(1, address, address, -1)
