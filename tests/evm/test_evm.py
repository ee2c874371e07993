"""From a proof to an answer of a node: compiling, signing, deploying, calling."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity import ToolError, abi, calldata, emit_solidity, evm, node, shared_evm, signer, verify_evm
from plonnx.solidity.abi import decode_bool
from tests.evm import trapdoor
from tests.evm.conftest import Deployed

# The first account of every anvil and hardhat node: no secret.
ANVIL_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ANVIL_ACCOUNT = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_signature_of_a_known_vector() -> None:
    """RFC 6979 with secp256k1: key 1, SHA-256 of "Satoshi Nakamoto"."""
    _, r, s = signer.sign(1, hashlib.sha256(b"Satoshi Nakamoto").digest())
    assert f"{r:064x}" == "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
    assert f"{s:064x}" == "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    assert signer.address(int(ANVIL_KEY, 16)).hex() == ANVIL_ACCOUNT


def test_rlp() -> None:
    """The examples of Ethereum's documentation."""
    assert signer.rlp([b"cat", b"dog"]).hex() == "c88363617483646f67"
    assert signer.rlp([0, 15, 1024, b""]).hex() == "c6800f82040080"
    assert signer.rlp([[], [[]], [[], [[]]]]).hex() == "c7c0c1c0c3c0c1c0"
    lorem = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"
    assert signer.rlp(lorem) == b"\xb8\x38" + lorem
    assert signer.rlp([lorem]) == b"\xf8\x3a\xb8\x38" + lorem


def test_arguments() -> None:
    """The examples of Solidity's ABI specification."""
    words = abi.encode("baz(uint32,bool)", 69, True).hex()
    assert words == f"cdcd77c0{69:064x}{1:064x}"
    call = abi.encode("f(uint256,uint32[],bytes10,bytes)", 0x123, [0x456, 0x789], b"1234567890", b"Hello, world!").hex()
    head = f"{0x123:064x}{0x80:064x}" + b"1234567890".hex().ljust(64, "0") + f"{0xE0:064x}"
    tail = f"{2:064x}{0x456:064x}{0x789:064x}{13:064x}" + b"Hello, world!".hex().ljust(64, "0")
    assert call == "8be65246" + head + tail
    kinds = ["int256", "bytes[]", "string", "address", "bytes4", "bool", "uint64[]"]
    values = [-5, [b"", b"a" * 33], "two words", "0x" + "0a" * 20, b"1234", False, []]
    assert abi.decode(kinds, abi.encode_arguments(kinds, values)) == values


def test_own_node(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    result = verify_evm(*squares_proof)
    assert result.accepted and result.reason == ""
    assert result.runtime_bytes <= 24_576
    bad = Proof(squares_proof[1].vk_digest, squares_proof[1].proof, b"\1" + squares_proof[1].public_values[1:])
    result = verify_evm(squares_proof[0], bad)
    assert (result.accepted, result.reason) == (False, "InverseMismatch")


def test_given_node(
    verifier: Deployed, squares_proof: tuple[VerifyingKey, Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    vk, proof = squares_proof
    url = verifier.rpc.url
    monkeypatch.delenv("PLONNX_PRIVATE_KEY", raising=False)
    with pytest.raises(ValueError, match="PLONNX_PRIVATE_KEY"):
        verify_evm(vk, proof, rpc_url=url)
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", "0x" + ANVIL_KEY)
    deployed = verify_evm(vk, proof, rpc_url=url)
    assert deployed.accepted
    assert verify_evm(vk, proof, rpc_url=url, address=deployed.address).accepted
    with pytest.raises(ValueError, match="no contract"):
        verify_evm(vk, proof, rpc_url=url, address="0x" + ANVIL_ACCOUNT)
    with pytest.raises(ValueError, match="address needs rpc_url"):
        verify_evm(vk, proof, address=deployed.address)
    other, logarithms = trapdoor.random_key(1, advice=3, fixed=2, ops=4)
    with pytest.raises(ValueError, match="not the verifier for this verifying key"):
        verify_evm(other, trapdoor.forge(other, logarithms, 1), rpc_url=url, address=deployed.address)
    with pytest.raises(ValueError, match="another verifying key"):
        verify_evm(other, proof)
    with pytest.raises(ValueError, match="no answer"):
        verify_evm(vk, proof, rpc_url="http://127.0.0.1:1", address=deployed.address)
    with pytest.raises(ValueError, match="not a URL"):
        verify_evm(vk, proof, rpc_url="nowhere", address=deployed.address)


def test_a_contract_that_lies_about_its_key(verifier: Deployed, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    """It reports the key's digest and accepts everything: only its code tells."""
    vk, proof = squares_proof
    source = f"""// SPDX-License-Identifier: MIT
    pragma solidity ^0.8.0;
    contract Verifier {{
        bytes32 public constant VK_DIGEST = 0x{vk.digest.hex()};
        function verify(bytes calldata, bytes calldata, bytes32) external pure returns (bool) {{ return true; }}
    }}"""
    creation = {"data": "0x" + node.compile_contract(source).creation.hex()}
    liar = evm._receipt(verifier.rpc, evm._send(verifier.rpc, creation))["contractAddress"]
    false = Proof(vk.digest, bytes(len(proof.proof)), proof.public_values)
    with pytest.raises(ValueError, match=f"contract at {liar} .* code is not what solc makes .* pass any_code"):
        verify_evm(vk, false, rpc_url=verifier.rpc.url, address=liar)
    assert verify_evm(vk, false, rpc_url=verifier.rpc.url, address=liar, any_code=True).accepted


@pytest.mark.parametrize("contracts", [1, 2])
def test_the_data_contracts_of_a_verifier_are_checked(rpc: node.Rpc, contracts: int) -> None:
    """One that the constructor made, one with a byte of its points changed, and another key's."""
    shape = {"advice": 60, "fixed": 200, "ops": 600, "combined": 128, "values": 300}
    if contracts == 2:
        shape = {"advice": 9, "fixed": 340, "ops": 30, "combined": 300, "packing": 4, "masked": 1}
    vk, _ = trapdoor.random_key(contracts, **shape)
    address = evm.deploy(rpc, vk)
    evm.check_code(rpc, vk, address)
    code = bytes.fromhex(rpc.call("eth_getCode", address, "latest")[2:])
    immutables = node.compile_contract(emit_solidity(vk)).immutables
    assert len(immutables) == contracts
    place = immutables[-1][0]
    data = "0x" + code[place + 12 : place + 32].hex()
    points = bytes.fromhex(rpc.call("eth_getCode", data, "latest")[2:])
    for changed in (points[:-1] + bytes([points[-1] ^ 1]), points[:-1], b""):
        rpc.call("anvil_setCode", data, "0x" + changed.hex())
        with pytest.raises(ValueError, match="code is not what solc makes"):
            evm.check_code(rpc, vk, address)
    rpc.call("anvil_setCode", data, "0x" + points.hex())
    evm.check_code(rpc, vk, address)
    rpc.call("anvil_setCode", address, "0x" + (code[:-60] + bytes([code[-60] ^ 1]) + code[-59:]).hex())
    with pytest.raises(ValueError, match="code is not what solc makes"):
        evm.check_code(rpc, vk, address)
    other, _ = trapdoor.random_key(contracts + 5, **shape)
    with pytest.raises(ValueError, match="not the verifier for this verifying key"):
        evm.check_code(rpc, vk, evm.deploy(rpc, other))


def test_code_with_other_metadata_is_the_contracts(rpc: node.Rpc) -> None:
    """What forge or hardhat made of the same source, by another path; and what has but the metadata in common."""
    vk, _ = trapdoor.random_key(4, advice=3, fixed=2, ops=4)
    source = emit_solidity(vk)
    made = node.compile_contract(source + "// another file, the same code\n")
    assert made.runtime != node.compile_contract(source).runtime
    at = evm._receipt(rpc, evm._send(rpc, {"data": "0x" + made.creation.hex()}))["contractAddress"]
    evm.check_code(rpc, vk, at)
    code = bytes.fromhex(rpc.call("eth_getCode", at, "latest")[2:])
    executed = len(code) - made.metadata
    for without in (code[:executed], code[: executed - 1] + b"\0" + code[executed:]):
        rpc.call("anvil_setCode", at, "0x" + without.hex())
        if len(without) == executed:
            evm.check_code(rpc, vk, at)  # no metadata at all
        else:
            with pytest.raises(ValueError, match="code is not what solc makes"):
                evm.check_code(rpc, vk, at)


def test_calldata_is_what_the_contract_takes(verifier: Deployed, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    call = "0x" + calldata(squares_proof[1]).hex()
    answer = verifier.rpc.call("eth_call", {"to": verifier.address, "data": call}, "latest")
    assert decode_bool(bytes.fromhex(answer[2:]))


def test_source(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof]) -> None:
    honest = squares_proof[0]
    assert emit_solidity(honest) == emit_solidity(VerifyingKey.decode(honest.encode(), "copy"))
    vk, _ = trapdoor.random_key(1, advice=3, fixed=2, ops=12)
    source = emit_solidity(vk)
    assert "UNSAFE: the SRS" in source and "UNSAFE_SRS = true" in source
    assert vk.digest.hex() in source
    # Names come from a user's file: none may close the comment or a string.
    assert "*/ evil" not in source and 'in"put' not in source
    assert node.compile_contract(source).runtime


def test_a_solc_that_ends_says_why(rpc: node.Rpc, tmp_path: Path) -> None:
    """Its first question, and the next one."""
    interpreter = shutil.which("node")
    assert interpreter is not None
    ended = node._WarmSolc(interpreter, str(tmp_path / "nowhere" / "solc.js"))
    assert all("Cannot find module" in ended.ask("{}") for _ in range(2))


def test_contract_too_large() -> None:
    vk, _ = trapdoor.random_key(1, advice=60, fixed=400, ops=600)
    with pytest.raises(ValueError, match="would take 44,449 bytes of the contract, of at most 40,000: compile with"):
        emit_solidity(vk)


def test_a_chain_without_the_precompiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run says it, in one line."""
    vk, _ = trapdoor.random_key(4, advice=3, fixed=2, ops=4)
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", ANVIL_KEY)
    with node.anvil(hardfork="cancun") as old, pytest.raises(ValueError, match="not have the precompiles of EIP-2537"):
        evm.deploy_verifier(vk, old.url, dry_run=True)


def test_deploying(rpc: node.Rpc, squares_proof: tuple[VerifyingKey, Proof], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dry run says is what then happens; without the key, or where there is no node, one line says so."""
    vk, proof = squares_proof
    monkeypatch.delenv("PLONNX_PRIVATE_KEY", raising=False)
    with pytest.raises(ValueError, match="PLONNX_PRIVATE_KEY"):
        evm.deploy_verifier(vk, rpc.url)
    monkeypatch.setenv("PLONNX_PRIVATE_KEY", ANVIL_KEY)
    planned = evm.deploy_verifier(vk, rpc.url, dry_run=True)
    assert rpc.call("eth_getCode", planned.address, "latest") == "0x" and planned.transaction == ""
    assert planned.sender == "0x" + ANVIL_ACCOUNT and planned.chain == 31337
    made = evm.deploy_verifier(vk, rpc.url)
    assert made.address == planned.address and made.nonce == planned.nonce
    assert made.gas <= planned.gas <= 1.05 * made.gas
    assert verify_evm(vk, proof, rpc_url=rpc.url, address=made.address).accepted
    for call in (verify_evm, shared_evm.verify_shared):
        with pytest.raises(ValueError, match=r"0x12: not an address"):
            call(vk, proof, rpc_url=rpc.url, address="0x12")
    with pytest.raises(ValueError, match="no answer"):
        evm.deploy_verifier(vk, "http://127.0.0.1:1")


def test_missing_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_modules", list)
    monkeypatch.setenv("PATH", "")
    for find in (node.find_solc, node.find_anvil):
        with pytest.raises(ToolError, match="make setup"):
            find()
