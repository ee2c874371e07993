"""Calls of the verifier contract, encoded by hand: two byte strings and a word after a selector, or lists of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    "InvalidPoint",
    "PairingFailed",
    "InsufficientGas",
    "PrecompileMissing",
    "WrongBatch",
    "WrongKey",
    "UnsafeSetup",
)


def selector(signature: str) -> bytes:
    """The first four bytes of the signature's hash."""
    return keccak256(signature.encode())[:4]


def encode(signature: str, *arguments: Any) -> bytes:
    """A call; arguments are integers, bytes, texts, addresses (0x..) and lists of them, by the signature's types."""
    kinds = signature[signature.index("(") + 1 : -1]
    return selector(signature) + encode_arguments(kinds.split(",") if kinds else [], arguments)


def encode_arguments(kinds: Sequence[str], arguments: Sequence[Any]) -> bytes:
    """Arguments, none of them a tuple: what stands behind a call's selector, and behind a constructor's code."""
    head, tail = b"", b""
    for kind, argument in zip(kinds, arguments, strict=True):
        if _is_dynamic(kind):
            head += _word("uint256", 32 * len(kinds) + len(tail))
            tail += _dynamic(kind, argument)
        else:
            head += _word(kind, argument)
    return head + tail


def decode(kinds: Sequence[str], returned: bytes) -> list[Any]:
    """What a function returned, by the types of its outputs: integers, Booleans, bytes, texts, addresses, lists."""
    values = []
    for i, kind in enumerate(kinds):
        word = returned[32 * i : 32 * i + 32]
        values.append(_read(kind, returned[int.from_bytes(word, "big") :] if _is_dynamic(kind) else word))
    return values


@dataclass(frozen=True)
class KeyReference:
    """What the shared verifier is told of a key: the address of its contract, and the hash that it must have."""

    address: str
    hash: bytes


def encode_call(
    signature: str,
    proof: bytes,
    public_values: bytes,
    context: bytes = NO_CONTEXT,
    key: KeyReference | None = None,
) -> bytes:
    """The call of a function of (bytes proof, bytes publicValues, bytes32 context); for a `key` the shared one's."""
    return _with_key(signature, key, proof, public_values, context)


def calldata(proof: Proof, key: KeyReference | None = None) -> bytes:
    """The call of verify(bytes proof, bytes publicValues, bytes32 context); for a `key` the shared verifier's."""
    return encode_call(VERIFY, proof.proof, proof.public_values, proof.context, key)


def batch_calldata(proofs: Sequence[Proof], signature: str = VERIFY_BATCH, key: KeyReference | None = None) -> bytes:
    """The call of verifyBatch(bytes[] proofs, bytes[] publicValues, bytes32[] contexts), likewise."""
    values, contexts = [proof.public_values for proof in proofs], [proof.context for proof in proofs]
    return _with_key(signature, key, [proof.proof for proof in proofs], values, contexts)


def _with_key(signature: str, key: KeyReference | None, *arguments: Any) -> bytes:
    """The shared verifier's functions take the key before all else."""
    if key is None:
        return encode(signature, *arguments)
    return encode(signature.replace("(", "(address,bytes32,"), key.address, key.hash, *arguments)


def _is_dynamic(kind: str) -> bool:
    return kind in ("bytes", "string") or kind.endswith("[]")


def _dynamic(kind: str, value: Any) -> bytes:
    if kind.endswith("[]"):
        return _word("uint256", len(value)) + encode_arguments([kind[:-2]] * len(value), value)
    content: bytes = value.encode() if kind == "string" else value
    return _word("uint256", len(content)) + content + bytes(-len(content) % 32)


def _word(kind: str, value: Any) -> bytes:
    if kind.startswith("bytes"):
        return bytes(value).ljust(32, b"\0")
    number = int(value, 16) if kind == "address" else int(value)
    return (number % (1 << 256)).to_bytes(32, "big")


def _read(kind: str, content: bytes) -> Any:
    """A value from the word that holds it, or from where its length stands."""
    number = int.from_bytes(content[:32], "big", signed=kind.startswith("int"))
    if kind.endswith("[]"):
        return decode([kind[:-2]] * number, content[32:])
    if kind in ("bytes", "string"):
        held = content[32 : 32 + number]
        return held.decode() if kind == "string" else held
    if kind == "address":
        return f"0x{number:040x}"
    return content[: int(kind[5:])] if kind.startswith("bytes") else bool(number) if kind == "bool" else number


def context(chain_id: int, contract: str, sender: str, nonce: int) -> bytes:
    """What PlonnxContext.once(sender, nonce) is in a contract on a chain; addresses are 0x and 40 hex digits."""
    for address in (contract, sender):
        checked_address(address)
    for name, number in (("chain id", chain_id), ("nonce", nonce)):
        if not 0 <= number < 1 << 256:
            raise ValueError(f"{name} {number}: not a number of 256 bits")
    return keccak256(b"".join(x.to_bytes(32, "big") for x in (chain_id, int(contract, 16), int(sender, 16), nonce)))


def checked_address(given: str) -> str:
    """The address, or a ValueError."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", given):
        raise ValueError(f"{given}: not an address (0x and 40 hexadecimal digits)")
    return given


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
