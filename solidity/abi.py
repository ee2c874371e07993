"""Calls of the verifier contract, encoded by hand: two dynamic byte strings after a selector."""

from __future__ import annotations

from plonnx._native import keccak256
from plonnx.plonk.keys import Proof

VERIFY = "verify(bytes,bytes)"
REQUIRE_VALID = "requireValid(bytes,bytes)"
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
)


def selector(signature: str) -> bytes:
    """The first four bytes of the signature's hash."""
    return keccak256(signature.encode())[:4]


def encode_call(signature: str, *arguments: bytes) -> bytes:
    """The call of a function whose parameters are all `bytes`."""
    head, tail = b"", b""
    for argument in arguments:
        head += (32 * len(arguments) + len(tail)).to_bytes(32, "big")
        tail += len(argument).to_bytes(32, "big") + argument + bytes(-len(argument) % 32)
    return selector(signature) + head + tail


def calldata(proof: Proof) -> bytes:
    """The call of verify(bytes proof, bytes publicValues)."""
    return encode_call(VERIFY, proof.proof, proof.public_values)


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
