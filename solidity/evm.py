"""Verify on an Ethereum node: one started for this, or a given one, with the contract deployed there or found there."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass

from plonnx.kzg.wording import option
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity import node, signer
from plonnx.solidity.abi import REQUIRE_VALID, VERIFY, decode_bool, decode_error, encode_call, selector
from plonnx.solidity.gas import GasReport, measured
from plonnx.solidity.generator import CODE_LIMIT, CREATION_LIMIT, emit_solidity
from plonnx.solidity.node import Rpc, RpcError

KEY_VARIABLE = "PLONNX_PRIVATE_KEY"


@dataclass(frozen=True)
class EvmResult:
    """What the contract says to a proof, and what asking costs in a transaction."""

    accepted: bool
    reason: str  # the custom error of a rejected proof, otherwise empty
    gas_used: int
    gas: GasReport
    address: str
    runtime_bytes: int


def verify_evm(
    vk: VerifyingKey, proof: Proof, rpc_url: str | None = None, address: str | None = None, any_code: bool = False
) -> EvmResult:
    """Call verify(proof, public values) at `address` on `rpc_url`, or on a node started here.

    Without an address the contract is compiled and deployed first; on a given node with the key in PLONNX_PRIVATE_KEY.
    A contract that is there must have the code that solc makes of it here. With `any_code` (another compiler's, say) it
    is known by the digest alone that it reports itself.
    """
    if proof.vk_digest != vk.digest:
        raise ValueError("the proof was made for another verifying key")
    if address is not None and rpc_url is None:
        raise ValueError(f"{option('address')} needs {option('rpc_url')}: the node that the contract is on")
    with node.anvil() if rpc_url is None else nullcontext(Rpc(rpc_url)) as rpc:
        if address is None:
            address = deploy(rpc, vk, _key() if rpc_url is not None else None)
        elif not any_code:
            check_code(rpc, vk, address)
        return call_verifier(rpc, vk, proof, address, mine=rpc_url is None)


def call_verifier(rpc: Rpc, vk: VerifyingKey, proof: Proof, address: str, mine: bool = False) -> EvmResult:
    """Call a deployed contract; ValueError where another contract, or none, stands at the address.

    Gas: the node's estimate, or with `mine` (on a node of our own) what a mined transaction used, a little less.
    """
    code = _code(rpc, address)
    _check_digest(rpc, vk, address)
    call = encode_call(VERIFY, proof.proof, proof.public_values)
    accepted = decode_bool(_call(rpc, address, call))
    reason = "" if accepted else why(rpc, address, proof.proof, proof.public_values)
    transaction = {"to": address, "data": "0x" + call.hex()}
    if mine:
        gas_used = int(_receipt(rpc, _send(rpc, transaction))["gasUsed"], 16)
    else:
        gas_used = int(rpc.call("eth_estimateGas", transaction), 16)
    return EvmResult(accepted, reason, gas_used, measured(vk, call, gas_used), address, len(code))


def check_code(rpc: Rpc, vk: VerifyingKey, address: str) -> None:
    """ValueError unless the code at `address` is what solc makes here of the key's contract.

    Immutables are addresses of data contracts, whose code is compared with what their creation returns.
    """
    code = _code(rpc, address)
    _check_digest(rpc, vk, address)
    contracts = node.compile_contracts(emit_solidity(vk))
    verifier = contracts["Verifier"]
    same = len(code) == len(verifier.runtime) and _without(code, verifier) == _without(verifier.runtime, verifier)
    for i, places in enumerate(verifier.immutables if same else ()):
        at = {code[place : place + 32][12:].hex() for place in places}
        made = rpc.call("eth_call", {"data": "0x" + contracts[f"VerifierData{i}"].creation.hex()}, "latest")
        same &= [rpc.call("eth_getCode", "0x" + data, "latest") for data in at] == [made]
    if not same:
        raise ValueError(
            f"the contract at {address} reports this verifying key, but its code is not what solc makes of it here:"
            f" check its source, and where another compiler explains it pass {option('any_code')}"
        )


def _without(code: bytes, verifier: node.Compiled) -> bytes:
    """Code with zeros in place of the immutables."""
    blank = bytearray(code)
    for place in (place for places in verifier.immutables for place in places):
        blank[place : place + 32] = bytes(32)
    return bytes(blank)


def _code(rpc: Rpc, address: str) -> bytes:
    code = bytes.fromhex(rpc.call("eth_getCode", address, "latest")[2:])
    if not code:
        raise ValueError(f"there is no contract at {address} on {rpc.url}")
    return code


def _check_digest(rpc: Rpc, vk: VerifyingKey, address: str) -> None:
    try:
        digest = _call(rpc, address, selector("VK_DIGEST()"))
    except RpcError:
        digest = b""
    if digest != vk.digest:
        raise ValueError(f"the contract at {address} is not the verifier for this verifying key")


def why(rpc: Rpc, address: str, proof: bytes, public_values: bytes) -> str:
    """The custom error that requireValid reverts with; empty where it does not revert."""
    try:
        _call(rpc, address, encode_call(REQUIRE_VALID, proof, public_values))
    except RpcError as error:
        if not error.data:
            raise
        return decode_error(error.data)
    return ""


def deploy(rpc: Rpc, vk: VerifyingKey, key: int | None = None) -> str:
    """Compile the contract and create it; without a key from the node's first own account. Returns the address."""
    compiled = node.compile_contract(emit_solidity(vk))
    code = compiled.creation
    if len(compiled.runtime) > CODE_LIMIT or len(code) > CREATION_LIMIT:
        raise ValueError(
            f"the contract has {len(compiled.runtime)} bytes ({len(code)} to create it); Ethereum allows {CODE_LIMIT} "
            f"({CREATION_LIMIT})"
        )
    if key is None:
        receipt = _receipt(rpc, _send(rpc, {"data": "0x" + code.hex()}))
    else:
        receipt = _receipt(rpc, rpc.call("eth_sendRawTransaction", "0x" + _signed(rpc, code, key).hex()))
    if int(receipt["status"], 16) != 1:
        raise RpcError(f"the deployment {receipt['transactionHash']} failed")
    return str(receipt["contractAddress"])


def _send(rpc: Rpc, transaction: dict[str, str]) -> str:
    """Send from the first account of a node that holds keys; the transaction's hash."""
    return str(rpc.call("eth_sendTransaction", {"from": rpc.call("eth_accounts")[0], **transaction}))


def _signed(rpc: Rpc, code: bytes, key: int) -> bytes:
    sender = "0x" + signer.address(key).hex()
    chain, nonce, price, tip, gas = (
        int(answer, 16)
        for answer in rpc.batch(
            [
                ("eth_chainId", ()),
                ("eth_getTransactionCount", (sender, "pending")),
                ("eth_gasPrice", ()),
                ("eth_maxPriorityFeePerGas", ()),
                ("eth_estimateGas", ({"from": sender, "data": "0x" + code.hex()},)),
            ],
            raising=True,
        )
    )
    return signer.sign_creation(key, chain=chain, nonce=nonce, tip=tip, fee=2 * price + tip, gas=gas, code=code)


def _receipt(rpc: Rpc, transaction: str, seconds: float = 300.0) -> dict[str, str]:
    deadline = time.monotonic() + seconds
    while (receipt := rpc.call("eth_getTransactionReceipt", transaction)) is None:
        if time.monotonic() > deadline:
            raise RpcError(f"the deployment {transaction} was not mined within {seconds:.0f} seconds")
        time.sleep(0.1)
    return dict(receipt)


def _call(rpc: Rpc, address: str, call: bytes) -> bytes:
    return bytes.fromhex(rpc.call("eth_call", {"to": address, "data": "0x" + call.hex()}, "latest")[2:])


def _key() -> int:
    text = os.environ.get(KEY_VARIABLE, "").removeprefix("0x")
    try:
        key = int(text, 16)
    except ValueError:
        key = 0
    if len(text) != 64 or not 0 < key < signer.N:
        raise ValueError(f"deploying to a given node needs {KEY_VARIABLE}: a private key of 64 hex digits")
    return key
