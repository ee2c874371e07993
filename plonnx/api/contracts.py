"""The contract that accepts proofs on-chain: its source, calls of it, and its way onto a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plonnx.api.given import the_proof, the_vk
from plonnx.kzg.prices import MAX_FEE
from plonnx.kzg.wording import option
from plonnx.srs_choice import warn

if TYPE_CHECKING:
    from plonnx.plonk.keys import Proof, VerifyingKey
    from plonnx.solidity import EvmResult
    from plonnx.solidity.evm import Deployment
    from plonnx.solidity.shared import KeyContract


def emit_solidity(vk: VerifyingKey | str | Path, *, via_ir: bool = False) -> str:
    """The source of contract `Verifier`, which accepts the proofs that `verify` accepts.

    For a key over an unsafe setup its constructor reverts, but on development chains (1337, 31337). `via_ir` writes it
    for projects that are compiled with viaIR; calls then cost 1 to 2 % more, and solc may run out of memory where a
    model is not small: the shared verifier compiles either way.

    >>> Path("Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    """
    from plonnx.solidity import emit_solidity as emit

    key = the_vk(vk)
    warn(key)
    return emit(key, via_ir)


def emit_shared_verifier() -> str:
    """The source of contract `PlonnxSharedVerifier`: one for all models, whose keys are in contracts of their own.

    >>> Path("PlonnxSharedVerifier.sol").write_text(plonnx.emit_shared_verifier())
    """
    from plonnx.solidity.shared import emit_shared_verifier as emit

    return emit()


def key_contract(vk: VerifyingKey | str | Path) -> KeyContract:
    """The contract that holds a key for the shared verifier: its `code`, what creates it, its `hash`.

    The hash stands for the key: whoever relies on the shared verifier states it, and must know it from here.

    >>> plonnx.key_contract(pk.vk).hash.hex()
    '2f1c...'
    """
    from plonnx.solidity.shared import KeyContract

    key = the_vk(vk)
    warn(key)
    return KeyContract(key)


def calldata(
    proof: Proof | str | Path | Sequence[Proof | str | Path],
    *,
    vk: VerifyingKey | str | Path | None = None,
    key_address: str | None = None,
) -> bytes:
    """The call of `verify(bytes proof, bytes publicValues, bytes32 context)`, or of `verifyBatch` with several.

    With `vk` and the address of its contract, that of the shared verifier: `verify(address key, bytes32 keyHash, ..)`.

    >>> plonnx.calldata(proof).hex()
    'c4d06258...'
    """
    from plonnx.plonk.keys import Proof
    from plonnx.solidity.abi import batch_calldata
    from plonnx.solidity.abi import calldata as encode
    from plonnx.solidity.shared import reference

    if (vk is None) != (key_address is None):
        raise ValueError(
            f"{option('vk')} and {option('key_address')}: the shared verifier is told both, others neither"
        )
    proofs = [the_proof(proof)] if isinstance(proof, (Proof, str, Path)) else [the_proof(one) for one in proof]
    key = None
    if vk is not None and key_address is not None:
        key = reference(the_vk(vk), key_address, proofs)
    return encode(proofs[0], key) if isinstance(proof, (Proof, str, Path)) else batch_calldata(proofs, key=key)


def deploy(
    vk: VerifyingKey | str | Path, rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE
) -> Deployment:
    """Create the verifier contract on a network, signed with the key in PLONNX_PRIVATE_KEY; `dry_run` only estimates.

    max_fee: the most that a unit of gas may cost, in gwei. Where the node asks for more nothing is signed (ValueError).

    >>> plonnx.deploy(pk.vk, "https://..", dry_run=True).gas
    1723456
    """
    from plonnx.solidity.evm import deploy_verifier

    return deploy_verifier(the_vk(vk), rpc_url, dry_run, max_fee)


def deploy_shared_verifier(rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE) -> Deployment:
    """Create the shared verifier on a network likewise: once, for all models.

    >>> plonnx.deploy_shared_verifier("https://..", dry_run=True).gas
    1515322
    """
    from plonnx.solidity.shared_evm import deploy_shared_verifier as create

    return create(rpc_url, dry_run, max_fee)


def deploy_key(
    vk: VerifyingKey | str | Path, rpc_url: str, *, dry_run: bool = False, max_fee: float = MAX_FEE
) -> Deployment:
    """Create the contract that holds a key for the shared verifier likewise.

    >>> plonnx.deploy_key(pk.vk, "https://..", dry_run=True).gas
    276498
    """
    from plonnx.solidity.shared_evm import deploy_key as create

    return create(the_vk(vk), rpc_url, dry_run, max_fee)


def verify_evm(
    vk: VerifyingKey | str | Path,
    proof: Proof | str | Path,
    rpc_url: str | None = None,
    address: str | None = None,
    any_code: bool = False,
    *,
    shared: bool = False,
    key_address: str | None = None,
    max_fee: float = MAX_FEE,
) -> EvmResult:
    """Call the contract on an Ethereum node: one started for this, or the one at `rpc_url`.

    The contract is deployed there, or found at `address`, where its code must be what solc makes of it here; with
    `any_code` it is known by the verifying key that it reports. `shared` calls the shared verifier instead, with the
    key's contract at `key_address`; what is not given is deployed, on a node started here with a registry, on another
    for at most `max_fee` gwei a unit of gas.

    >>> plonnx.verify_evm(pk.vk, proof).accepted
    True
    """
    from plonnx.solidity import verify_evm as call
    from plonnx.solidity.shared_evm import verify_shared

    if key_address is not None and not shared:
        raise ValueError(f"{option('key_address')} is for the shared verifier: {option('shared')}")
    key = the_vk(vk)
    warn(key)
    if shared:
        return verify_shared(key, the_proof(proof), rpc_url, address, key_address, any_code, max_fee)
    return call(key, the_proof(proof), rpc_url=rpc_url, address=address, any_code=any_code, max_fee=max_fee)
