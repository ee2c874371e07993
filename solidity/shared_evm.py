"""The shared verifier on an Ethereum node: created there, with a key's contract and a registry, or found there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from importlib import resources

from plonnx.kzg.prices import MAX_FEE
from plonnx.kzg.wording import option
from plonnx.plonk.keys import Proof, VerifyingKey
from plonnx.solidity import node
from plonnx.solidity.abi import KeyReference, checked_address, decode, encode
from plonnx.solidity.evm import (
    Deployment,
    EvmResult,
    _call,
    _code,
    call_verifier,
    check_chain,
    create,
    deploy_code,
    key_at,
    transact,
)
from plonnx.solidity.node import Rpc
from plonnx.solidity.shared import SHARED_VERIFIER, KeyContract, emit_shared_verifier, listing


def verify_shared(
    vk: VerifyingKey,
    proof: Proof,
    rpc_url: str | None = None,
    address: str | None = None,
    key_address: str | None = None,
    any_code: bool = False,
    max_fee: float = MAX_FEE,
) -> EvmResult:
    """Call the shared verifier at `address` on `rpc_url` with the key's contract at `key_address`.

    What is not given is created. Without a node one is started, with a registry, through which the key's address goes.
    A shared verifier that is there must have the code that solc makes of it here, but with `any_code`.
    """
    if proof.vk_digest != vk.digest:
        raise ValueError("the proof was made for another verifying key")
    for name, given in (("address", address), ("key_address", key_address)):
        if given is not None and rpc_url is None:
            raise ValueError(f"{option(name)} needs {option('rpc_url')}: the node that the contract is on")
        if given is not None:
            checked_address(given)
    contract = KeyContract(vk)
    with node.anvil() if rpc_url is None else nullcontext(Rpc(rpc_url)) as rpc:
        if rpc_url is None:
            address, key = create_shared_verifier(rpc), create_key(rpc, contract)
            key = KeyReference(_registered(rpc, key), key.hash)
        else:
            if address is None:
                address = deploy_shared_verifier(rpc_url, max_fee=max_fee).address
            elif not any_code:
                check_shared_code(rpc, address)
            key = KeyReference(key_address or _deploy(contract, rpc_url, max_fee=max_fee).address, contract.hash)
            _check_key(rpc, key, contract)
        return call_verifier(rpc, vk, proof, address, mine=rpc_url is None, key=key)


def _registered(rpc: Rpc, key: KeyReference) -> str:
    """The key's address as a new registry tells it."""
    registry = create(rpc, registry_creation())
    transact(rpc, {"to": registry, "data": "0x" + encode("register(address)", key.address).hex()})
    (address,) = decode(["address"], _call(rpc, registry, encode("keyOf(bytes32)", key.hash)))
    return str(address)


def registry_creation() -> bytes:
    """What creates the example registry."""
    source = (resources.files("plonnx.solidity") / "contracts" / "PlonnxRegistry.sol").read_text()
    return node.compile_contracts(source, name="PlonnxRegistry.sol")["PlonnxRegistry"].creation


def _check_key(rpc: Rpc, key: KeyReference, contract: KeyContract) -> None:
    """ValueError unless the key's contract stands there: the shared verifier would say WrongKey."""
    if key_at(rpc, key.address) != contract.code:
        raise ValueError(
            f"the contract at {key.address} does not hold this verifying key: its hash would be 0x{key.hash.hex()}"
        )


def check_shared_code(rpc: Rpc, address: str) -> None:
    """ValueError unless the code at `address` is what solc makes here of the shared verifier, its metadata aside."""
    code, made = _code(rpc, address), _shared_verifier()
    executed = len(made.runtime) - made.metadata
    if code[:executed] != made.runtime[:executed]:
        raise ValueError(
            f"the code at {address} is not what solc makes here of the shared verifier: check its source, and where"
            f" another compiler explains it pass {option('any_code')}"
        )


def create_shared_verifier(rpc: Rpc) -> str:
    """Create the shared verifier from the first account of a node that holds keys. Returns the address."""
    return create(rpc, _shared_verifier().creation)


def create_key(rpc: Rpc, contract: KeyContract) -> KeyReference:
    """Create a key's contract likewise."""
    made = [create(rpc, creation) for creation in contract.creations]
    return KeyReference(made[0] if len(made) == 1 else create(rpc, listing(made)), contract.hash)


def deploy_shared_verifier(rpc_url: str, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    """Create the shared verifier on a node with the key in PLONNX_PRIVATE_KEY, or say what that would take."""
    compiled = _shared_verifier()
    return deploy_code(Rpc(rpc_url), compiled.creation, len(compiled.runtime), dry_run, max_fee)


def deploy_key(vk: VerifyingKey, rpc_url: str, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    """Create the contract that holds a key likewise."""
    return _deploy(KeyContract(vk), rpc_url, dry_run, max_fee)


def _deploy(contract: KeyContract, rpc_url: str, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    rpc = Rpc(rpc_url)
    check_chain(rpc, contract.vk)
    size = len(contract.code)
    made = [deploy_code(rpc, creation, size, dry_run, max_fee, at) for at, creation in enumerate(contract.creations)]
    if len(made) > 1:
        made.append(deploy_code(rpc, listing([part.address for part in made]), size, dry_run, max_fee, len(made)))
    return replace(made[-1], gas=sum(part.gas for part in made))


def _shared_verifier() -> node.Compiled:
    return node.compile_contracts(emit_shared_verifier(), name=f"{SHARED_VERIFIER}.sol")[SHARED_VERIFIER]
