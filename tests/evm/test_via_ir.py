"""Both forms compiled by solc's IR, as projects are that ask for viaIR: they decide the same."""

from __future__ import annotations

from plonnx.solidity import emit_solidity, evm, node, shared_evm
from plonnx.solidity.layout import START_VIA_IR
from plonnx.solidity.shared import SHARED_VERIFIER, KeyContract, emit_shared_verifier
from tests.evm import trapdoor
from tests.evm.conftest import Deployed

VK, LOGARITHMS = trapdoor.random_key(6, advice=4, fixed=4, ops=20, combined=2, packing=2, masked=1)


def decides(contract: Deployed) -> None:
    """One good proof and bad ones of different kinds, alone and in batches."""
    good, wrong = trapdoor.forge(VK, LOGARITHMS, 1), trapdoor.forge(VK, LOGARITHMS, 9, error=1)
    bad = trapdoor.forge(VK, LOGARITHMS, 9, bad={0: trapdoor.point(77)})
    statements = [(proof.proof, proof.public_values) for proof in (good, wrong, bad)]
    assert contract.reasons(statements) == ["", "PairingFailed", "PairingFailed"]
    assert contract.accepts(statements) == [True, False, False]
    assert contract.batches([[good, good], [good, bad]]) == ["", "PairingFailed"]


def test_a_verifier_with_its_key_inside(rpc: node.Rpc) -> None:
    compiled = node.compile_contracts(emit_solidity(VK, via_ir=True), via_ir=True)["Verifier"]
    decides(Deployed(rpc, VK, evm.create(rpc, compiled.creation)))
    # PUSH n, PUSH1 0x40, MSTORE: the compiler's variables end at n; the contract asserts that its memory lies behind.
    assert compiled.runtime.index(bytes.fromhex("604052")) < 8
    used = int.from_bytes(compiled.runtime[1 : 1 + compiled.runtime[0] - 0x5F], "big")
    assert 0x80 < used < START_VIA_IR


def test_the_shared_verifier(rpc: node.Rpc) -> None:
    name = SHARED_VERIFIER
    compiled = node.compile_contracts(emit_shared_verifier(), name=f"{name}.sol", via_ir=True)[name]
    key = shared_evm.create_key(rpc, KeyContract(VK))
    decides(Deployed(rpc, VK, evm.create(rpc, compiled.creation), key))
