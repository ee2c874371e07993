"""The contract of an unsafe setup goes on development chains alone; that of another goes anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import VerifyingKey
from plonnx.solidity import RpcError, emit_solidity, evm, node, shared_evm, verify_evm
from plonnx.solidity.abi import VERIFY, selector
from plonnx.solidity.generator import DEVELOPMENT_CHAINS
from plonnx.solidity.shared import KeyContract
from tests.evm import trapdoor
from tests.evm.conftest import Deployed, Proved

WITH_DATA = {"advice": 60, "fixed": 200, "ops": 600, "combined": 128, "values": 300}


def created(rpc: node.Rpc, vk: VerifyingKey) -> bytes:
    """What the constructor leaves, or reverts with; whatever Python would say."""
    code = node.compile_contract(emit_solidity(vk)).creation
    try:
        return bytes.fromhex(rpc.call("eth_call", {"data": "0x" + code.hex()}, "latest")[2:])
    except RpcError as error:
        return error.data


@pytest.mark.parametrize("chain", [1, 10, 1338, *DEVELOPMENT_CHAINS])
def test_the_constructor_looks_at_the_chain(rpc: node.Rpc, squares_proof: Proved, chain: int) -> None:
    vk, proof = squares_proof
    assert vk.unsafe
    keys = [vk, trapdoor.random_key(1, **WITH_DATA)[0]] if chain in (1, 1337) else [vk]
    with node.anvil("--chain-id", str(chain)) as own:
        for key in keys:
            if chain in DEVELOPMENT_CHAINS:
                assert len(created(own, key)) > 1000
                address = evm.deploy(own, key)
            else:
                assert created(own, key) == selector("UnsafeSetup()")
                with pytest.raises(ValueError, match=r"development chains alone \(1337, 31337\).*UnsafeSetup"):
                    evm.deploy(own, key)
        if chain in DEVELOPMENT_CHAINS and keys == [vk]:
            assert verify_evm(vk, proof, rpc_url=own.url, address=address).accepted


@pytest.mark.parametrize("chain", [1, 1338, *DEVELOPMENT_CHAINS])
def test_the_shared_verifier_looks_at_the_chain(rpc: node.Rpc, squares_proof: Proved, chain: int) -> None:
    """In every call, for it has no key when it is made."""
    vk, proof = squares_proof
    safe = replace(vk, tau_g2=SRS.ethereum().tau_g2)
    with node.anvil("--chain-id", str(chain)) as own:
        shared = shared_evm.create_shared_verifier(own)
        for key in (vk, safe):
            contract = Deployed(own, key, shared, shared_evm.create_key(own, KeyContract(key)))
            if key.unsafe and chain not in DEVELOPMENT_CHAINS:
                (answer,) = contract._call(VERIFY, [(proof.proof, proof.public_values)])
                assert isinstance(answer, RpcError) and answer.data == selector("UnsafeSetup()")
                assert contract.reasons([(proof.proof, proof.public_values)]) == ["UnsafeSetup"]
            else:
                assert contract.accepts([(proof.proof, proof.public_values)]) == [key == vk]


def test_a_safe_key_goes_anywhere(rpc: node.Rpc) -> None:
    vk = keygen(squares.circuit(), SRS.ethereum()).vk
    source = emit_solidity(vk)
    assert "revert UnsafeSetup" not in source and "chainid" not in source and "UNSAFE_SRS = false" in source
    assert source.count("Ethereum KZG ceremony (2023)") == 1
    with node.anvil("--chain-id", "1") as own:
        assert evm.deploy(own, vk)


def test_unknown_is_not_unsafe() -> None:
    vk = keygen(squares.circuit(), SRS.development(12, 99)).vk
    source = emit_solidity(vk)
    assert "revert UnsafeSetup" not in source and "unknown setup (tau " in source
