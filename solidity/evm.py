"""Verify on an Ethereum node: one started for this, or a given one, with the contract deployed there or found there.

This is about a verifier with its key inside; shared_evm.py has the shared one.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

from plonnx._native import keccak256
from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT, MAX_FEE
from plonnx.kzg.wording import option
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity import node, signer
from plonnx.solidity.abi import (
    REQUIRE_VALID,
    KeyReference,
    calldata,
    checked_address,
    decode_bool,
    decode_error,
    encode_call,
    selector,
)
from plonnx.solidity.gas import GasReport, measured
from plonnx.solidity.generator import DEVELOPMENT_CHAINS
from plonnx.solidity.node import Rpc, RpcError, content, quantity, shown
from plonnx.solidity.shared import SHORTEST, KeyContract
from plonnx.solidity.source import emit_solidity, is_split

KEY_VARIABLE = "PLONNX_PRIVATE_KEY"
GWEI = 10**9


@dataclass(frozen=True)
class EvmResult:
    """What the contract says to a proof, and what asking costs in a transaction."""

    accepted: bool
    reason: str  # the custom error of a rejected proof, otherwise empty
    gas_used: int
    gas: GasReport
    address: str
    runtime_bytes: int
    key: KeyReference | None = None  # what the shared verifier was told


def verify_evm(
    vk: VerifyingKey,
    proof: Proof,
    rpc_url: str | None = None,
    address: str | None = None,
    any_code: bool = False,
    max_fee: float = MAX_FEE,
) -> EvmResult:
    """Call verify(proof, public values, context) at `address` on `rpc_url`, or on a node started here.

    Without an address the contract is compiled and deployed first; on a given node with the key in PLONNX_PRIVATE_KEY.
    A contract that is there must have the code that solc makes of it here. With `any_code` (another compiler's, say) it
    is known by the digest alone that it reports itself.
    """
    if proof.vk_digest != vk.digest:
        raise ValueError("the proof was made for another verifying key")
    if address is not None and rpc_url is None:
        raise ValueError(f"{option('address')} needs {option('rpc_url')}: the node that the contract is on")
    if address is not None:
        checked_address(address)
    with node.anvil() if rpc_url is None else nullcontext(Rpc(rpc_url)) as rpc:
        if address is None:
            address = deploy(rpc, vk) if rpc_url is None else deploy_verifier(vk, rpc_url, max_fee=max_fee).address
        elif not any_code:
            check_code(rpc, vk, address)
        return call_verifier(rpc, vk, proof, address, mine=rpc_url is None)


def call_verifier(
    rpc: Rpc, vk: VerifyingKey, proof: Proof, address: str, mine: bool = False, key: KeyReference | None = None
) -> EvmResult:
    """Call a deployed contract; ValueError where another contract, or none, stands at the address.

    With a `key` it is the shared verifier, otherwise the key's own. Gas is what a transaction uses, which is less than
    the limit that it needs: simulated, or mined with `mine` (on a node of our own).
    """
    code = _code(rpc, address)
    if key is None:
        _check_digest(rpc, vk, address)
    call = calldata(proof, key)
    accepted = decode_bool(_call(rpc, address, call))
    reason = "" if accepted else why(rpc, address, proof, key)
    transaction = {"to": address, "data": "0x" + call.hex()}
    gas_used = int(transact(rpc, transaction)["gasUsed"], 16) if mine else simulated_gas(rpc, transaction)
    return EvmResult(accepted, reason, gas_used, measured(vk, call, gas_used), address, len(code), key)


def simulated_gas(rpc: Rpc, transaction: dict[str, str]) -> int:
    """What a transaction would use; where the node can't simulate, the limit that it needs."""
    try:
        (block,) = rpc.call("eth_simulateV1", {"blockStateCalls": [{"calls": [transaction]}]}, "latest")
        return quantity(block["calls"][0]["gasUsed"])
    except (RpcError, LookupError, TypeError, ValueError):  # or an answer of another form
        return quantity(rpc.call("eth_estimateGas", transaction))


def check_code(rpc: Rpc, vk: VerifyingKey, address: str) -> None:
    """ValueError unless the code at `address` is what solc makes here of the key's contract.

    Immutables are addresses of data contracts, whose code is compared with what their creation returns. The metadata
    behind the code, which differ with the source's path and with forge's or hardhat's settings, are left aside: solc
    puts an invalid instruction before them, and every jump is the compared code's.
    """
    code = _code(rpc, address)
    _check_digest(rpc, vk, address)
    contracts = node.compile_contracts(emit_solidity(vk))
    verifier = contracts["Verifier"]
    executed = len(verifier.runtime) - verifier.metadata
    same = _without(code, verifier)[:executed] == _without(verifier.runtime, verifier)[:executed]
    if same and verifier.immutables:
        found = [{"0x" + code[place : place + 32][12:].hex() for place in places} for places in verifier.immutables]
        if is_split(vk):
            held, expected = [[key_at(rpc, data) for data in at] for at in found], [KeyContract(vk).code]
        else:
            held = [[content(rpc.call("eth_getCode", data, "latest")) for data in at] for at in found]
            creations = (contracts[f"VerifierData{i}"].creation for i in range(len(found)))
            expected = [content(rpc.call("eth_call", {"data": "0x" + made.hex()}, "latest")) for made in creations]
        same = held == [[data] for data in expected]
    if not same:
        raise ValueError(
            f"the contract at {address} reports this verifying key, but its code is not what solc makes of it here:"
            f" check its source, and where another compiler explains it pass {option('any_code')}"
        )


def _without(code: bytes, verifier: node.Compiled) -> bytes:
    """Code with zeros in place of the immutables."""
    blank = bytearray(code)
    for place in (place for places in verifier.immutables for place in places):
        blank[place : place + 32] = bytes(len(blank[place : place + 32]))
    return bytes(blank)


def _code(rpc: Rpc, address: str) -> bytes:
    code = content(rpc.call("eth_getCode", address, "latest"))
    if not code:
        chain = quantity(rpc.call("eth_chainId"))
        raise ValueError(
            f"there is no contract at {address} on chain {chain} ({rpc.url}): is it the chain that it was created on?"
        )
    return code


def key_at(rpc: Rpc, address: str) -> bytes:
    """The code of the key at an address, or of its parts, whose list is there."""
    code = _code(rpc, address)
    if len(code) >= SHORTEST or (len(code) - 1) % 20:
        return code
    parts = (_code(rpc, "0x" + code[at : at + 20].hex()) for at in range(1, len(code), 20))
    return b"\0" + b"".join(part[1:] for part in parts)


def _check_digest(rpc: Rpc, vk: VerifyingKey, address: str) -> None:
    try:
        digest = _call(rpc, address, selector("VK_DIGEST()"))
    except RpcError:
        digest = b""
    if digest != vk.digest:
        raise ValueError(f"the contract at {address} is not the verifier for this verifying key")


def why(rpc: Rpc, address: str, proof: Proof, key: KeyReference | None = None) -> str:
    """The custom error that requireValid reverts with; empty where it does not revert."""
    try:
        _call(rpc, address, encode_call(REQUIRE_VALID, proof.proof, proof.public_values, proof.context, key))
    except RpcError as error:
        if not error.data:
            raise
        return decode_error(error.data)
    return ""


@dataclass(frozen=True)
class Deployment:
    """A verifier's creation, done or (without a transaction) only planned. Fees are in wei for a unit of gas."""

    address: str
    transaction: str
    sender: str
    chain: int
    nonce: int
    tip: int
    fee: int  # the most that is paid, the tip included
    gas: int  # used, or estimated where it is planned
    runtime_bytes: int


def deploy_verifier(vk: VerifyingKey, rpc_url: str, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    """Create the contract on a node with the key in PLONNX_PRIVATE_KEY, or with `dry_run` say what that would take.

    max_fee: the most that a unit of gas may cost, in gwei; where the node asks more nothing is signed.
    """
    _key()  # what is missing is said before solc takes its time
    rpc = Rpc(rpc_url)
    check_chain(rpc, vk)
    compiled = _compiled(vk)
    return deploy_code(rpc, compiled.creation, len(compiled.runtime), dry_run, max_fee)


def deploy_code(
    rpc: Rpc, creation: bytes, runtime_bytes: int, dry_run: bool = False, max_fee: float = MAX_FEE, ahead: int = 0
) -> Deployment:
    """The same for any code. Planned, it comes behind as many transactions as `ahead` says."""
    key = _key()
    try:
        planned = _plan(rpc, creation, runtime_bytes, key, max_fee, ahead if dry_run else 0)
    except RpcError as error:
        if decode_error(error.data) == "PrecompileMissing":
            raise ValueError("the chain does not have the precompiles of EIP-2537: docs/chains.md") from error
        raise
    if dry_run:
        return planned
    signed = signer.sign_creation(
        key,
        chain=planned.chain,
        nonce=planned.nonce,
        tip=planned.tip,
        fee=planned.fee,
        gas=planned.gas,
        code=creation,
    )
    sent = "0x" + keccak256(signed).hex()
    try:
        rpc.call("eth_sendRawTransaction", "0x" + signed.hex())
    except RpcError as error:
        if "insufficient funds" not in str(error).lower():
            raise
        most = planned.gas * planned.fee / GWEI**2
        raise ValueError(
            f"{planned.sender}, the account of {KEY_VARIABLE}, has too little of chain {planned.chain}'s coin: creating"
            f" the contract may take {most:.6f} of it"
        ) from error
    receipt = _created(rpc, sent)
    if str(receipt.get("contractAddress")).lower() != planned.address:
        raise RpcError(
            f"the node says that {sent} created {shown(receipt.get('contractAddress'))}, where only"
            f" {planned.address} can come of it: ask another node"
        )
    return replace(planned, transaction=sent, gas=quantity(receipt.get("gasUsed")))


def deploy(rpc: Rpc, vk: VerifyingKey) -> str:
    """Create the contract from the first account of a node that holds keys. Returns the address."""
    check_chain(rpc, vk)
    return create(rpc, _compiled(vk).creation)


def create(rpc: Rpc, creation: bytes) -> str:
    """The same for any code."""
    return str(_created(rpc, _send(rpc, {"data": "0x" + creation.hex()}))["contractAddress"])


def check_chain(rpc: Rpc, vk: VerifyingKey) -> None:
    """ValueError for the contract of an unsafe setup anywhere but on a development chain."""
    if vk.unsafe and quantity(rpc.call("eth_chainId")) not in DEVELOPMENT_CHAINS:
        raise ValueError(
            f"the key's setup is an {vk.srs}: its contract goes on development chains alone"
            f" ({', '.join(map(str, DEVELOPMENT_CHAINS))}), elsewhere its constructor reverts UnsafeSetup()"
        )


def _compiled(vk: VerifyingKey) -> node.Compiled:
    compiled = node.compile_contract(emit_solidity(vk))
    runtime, creation = len(compiled.runtime), len(compiled.creation)
    if runtime > CODE_LIMIT or creation > CREATION_LIMIT:
        raise ValueError(
            f"the contract has {runtime} bytes ({creation} to create it);"
            f" Ethereum allows {CODE_LIMIT} ({CREATION_LIMIT})"
        )
    return compiled


def _plan(rpc: Rpc, creation: bytes, runtime_bytes: int, key: int, max_fee: float, ahead: int) -> Deployment:
    account = signer.address(key)
    sender = "0x" + account.hex()
    chain, nonce, price, tip, gas = (
        quantity(answer)
        for answer in rpc.batch(
            [
                ("eth_chainId", ()),
                ("eth_getTransactionCount", (sender, "pending")),
                ("eth_gasPrice", ()),
                ("eth_maxPriorityFeePerGas", ()),
                ("eth_estimateGas", ({"from": sender, "data": "0x" + creation.hex()},)),
            ],
            raising=True,
        )
    )
    most = max_fee * GWEI
    if not price + tip <= most:
        asked = (price + tip) / GWEI
        raise ValueError(
            f"the node asks {asked:,.10g} gwei for a unit of gas, of at most {max_fee:,.10g}: ask another node, or"
            f" allow it with {option('max_fee', f'{asked:.10g}')}"
        )
    nonce += ahead
    address = "0x" + keccak256(signer.rlp([account, nonce]))[12:].hex()
    return Deployment(address, "", sender, chain, nonce, tip, int(min(2 * price + tip, most)), gas, runtime_bytes)


def _created(rpc: Rpc, transaction: str) -> dict[str, str]:
    receipt = _receipt(rpc, transaction)
    if quantity(receipt.get("status")) != 1:
        raise RpcError(f"the deployment {transaction} failed")
    return receipt


def transact(rpc: Rpc, transaction: dict[str, str]) -> dict[str, str]:
    """Send from an account that the node holds, by default its first; the receipt once it is mined."""
    return _receipt(rpc, _send(rpc, transaction))


def _send(rpc: Rpc, transaction: dict[str, str]) -> str:
    """Send from the first account of a node that holds keys; the transaction's hash."""
    return str(rpc.call("eth_sendTransaction", {"from": rpc.call("eth_accounts")[0], **transaction}))


def _receipt(rpc: Rpc, transaction: str, seconds: float = 300.0) -> dict[str, str]:
    deadline = time.monotonic() + seconds
    while (receipt := rpc.call("eth_getTransactionReceipt", transaction)) is None:
        if time.monotonic() > deadline:
            raise RpcError(f"the deployment {transaction} was not mined within {seconds:.0f} seconds")
        time.sleep(0.1)
    if not isinstance(receipt, dict):
        raise RpcError(f"the node answers {shown(receipt)} where a receipt is due")
    return receipt


def _call(rpc: Rpc, address: str, call: bytes) -> bytes:
    return content(rpc.call("eth_call", {"to": address, "data": "0x" + call.hex()}, "latest"))


def _key() -> int:
    text = os.environ.get(KEY_VARIABLE, "").removeprefix("0x")
    try:
        key = int(text, 16)
    except ValueError:
        key = 0
    if len(text) != 64 or not 0 < key < signer.N:
        raise ValueError(f"deploying to a given node needs {KEY_VARIABLE}: a private key of 64 hex digits")
    return key
