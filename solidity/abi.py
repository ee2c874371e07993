"""Calls of the verifier contract, encoded by hand: two byte strings and a word after a selector, or lists of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from plonnx._native import keccak256
from plonnx.plonk.keys import NO_CONTEXT, Proof

VERIFY = "verify(bytes,bytes,bytes32)"
REQUIRE_VALID = "requireValid(bytes,bytes,bytes32)"
VERIFY_BATCH = "verifyBatch(bytes[],bytes[],bytes32[])"
REQUIRE_VALID_BATCH = "requireValidBatch(bytes[],bytes[],bytes32[])"
ERRORS = (
    "WrongProofLength",
    "WrongPublicValuesLength",
    "ScalarNotCanonical",
    "InverseMismatch",
    "CheckAtZetaFailed",
    "InvalidPoint",
    "PairingFailed",
    "InsufficientGas",
    "PrecompileMissing",
    "WrongBatch",
    "UnsafeSetup",
)


def selector(signature: str) -> bytes:
    """The first four bytes of the signature's hash."""
    return keccak256(signature.encode())[:4]


def encode_call(signature: str, proof: bytes, public_values: bytes, context: bytes = NO_CONTEXT) -> bytes:
    """The call of a function of (bytes proof, bytes publicValues, bytes32 context)."""
    head, tail = b"", b""
    for argument in (proof, public_values):
        head += (3 * 32 + len(tail)).to_bytes(32, "big")
        tail += len(argument).to_bytes(32, "big") + argument + bytes(-len(argument) % 32)
    return selector(signature) + head + context + tail


def calldata(proof: Proof) -> bytes:
    """The call of verify(bytes proof, bytes publicValues, bytes32 context)."""
    return encode_call(VERIFY, proof.proof, proof.public_values, proof.context)


def batch_calldata(proofs: Sequence[Proof], signature: str = VERIFY_BATCH) -> bytes:
    """The call of verifyBatch(bytes[] proofs, bytes[] publicValues, bytes32[] contexts)."""
    proof_list = _list_of_bytes([proof.proof for proof in proofs])
    public_list = _list_of_bytes([proof.public_values for proof in proofs])
    head = [3 * 32, 3 * 32 + len(proof_list), 3 * 32 + len(proof_list) + len(public_list)]
    contexts = _number(len(proofs)) + b"".join(proof.context for proof in proofs)
    return selector(signature) + b"".join(map(_number, head)) + proof_list + public_list + contexts


def _list_of_bytes(items: Sequence[bytes]) -> bytes:
    tails = [_number(len(item)) + item + bytes(-len(item) % 32) for item in items]
    heads = [32 * len(items) + sum(map(len, tails[:at])) for at in range(len(items))]
    return _number(len(items)) + b"".join(map(_number, heads)) + b"".join(tails)


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def context(chain_id: int, contract: str, sender: str, nonce: int) -> bytes:
    """What PlonnxContext.once(sender, nonce) is in a contract on a chain; addresses are 0x and 40 hex digits."""
    for address in (contract, sender):
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", address):
            raise ValueError(f"{address}: not an address (0x and 40 hexadecimal digits)")
    for name, number in (("chain id", chain_id), ("nonce", nonce)):
        if not 0 <= number < 1 << 256:
            raise ValueError(f"{name} {number}: not a number of 256 bits")
    return keccak256(b"".join(x.to_bytes(32, "big") for x in (chain_id, int(contract, 16), int(sender, 16), nonce)))


def decode_bool(returned: bytes) -> bool:
    """What `verify` returned."""
    if len(returned) != 32 or int.from_bytes(returned, "big") > 1:
        raise ValueError(
            f"the contract returned {returned.hex() or 'nothing'} instead of a bool: not a plonnx verifier?"
        )
    return returned[-1] == 1


def decode_error(reverted: bytes) -> str:
    """The name of the custom error that `requireValid` reverted with."""
    names = {selector(f"{name}()"): name for name in ERRORS}
    return names.get(reverted[:4], f"0x{reverted.hex()}")
