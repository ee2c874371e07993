"""Calls of the verifier contract, encoded by hand: two byte strings and a word after a selector, or lists of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plonnx._native import keccak256
from plonnx.plonk.keys import NO_CONTEXT, Proof

VERIFY = "verify(bytes,bytes,bytes32)"
REQUIRE_VALID = "requireValid(bytes,bytes,bytes32)"
SHARED = "address,bytes32,"  # what functions of the shared verifier take first: where the key is, and its hash
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
    "WrongKey",
    "UnsafeSetup",
)


def selector(signature: str) -> bytes:
    """The first four bytes of the signature's hash."""
    return keccak256(signature.encode())[:4]


@dataclass(frozen=True)
class KeyReference:
    """What the shared verifier is told of a key: the address of its contract, and the hash that it must have."""

    address: str
    hash: bytes

    @property
    def words(self) -> bytes:
        """The first two arguments."""
        return _number(int(self.address, 16)) + self.hash


def encode_call(
    signature: str,
    proof: bytes,
    public_values: bytes,
    context: bytes = NO_CONTEXT,
    key: KeyReference | None = None,
) -> bytes:
    """The call of a function of (bytes proof, bytes publicValues, bytes32 context); for a `key` the shared one's."""
    first = _number(len(proof)) + proof + bytes(-len(proof) % 32)
    second = _number(len(public_values)) + public_values + bytes(-len(public_values) % 32)
    return _call(signature, [first, second], context, key)


def calldata(proof: Proof, key: KeyReference | None = None) -> bytes:
    """The call of verify(bytes proof, bytes publicValues, bytes32 context), or of the shared verifier's for a `key`."""
    return encode_call(VERIFY, proof.proof, proof.public_values, proof.context, key)


def batch_calldata(proofs: Sequence[Proof], signature: str = VERIFY_BATCH, key: KeyReference | None = None) -> bytes:
    """The call of verifyBatch(bytes[] proofs, bytes[] publicValues, bytes32[] contexts), likewise."""
    contexts = _number(len(proofs)) + b"".join(proof.context for proof in proofs)
    lists = [_list_of_bytes([getattr(proof, name) for proof in proofs]) for name in ("proof", "public_values")]
    return _call(signature, [*lists, contexts], b"", key)


def _call(signature: str, tails: Sequence[bytes], last: bytes, key: KeyReference | None) -> bytes:
    """A call whose arguments are a key where there is one, those in `tails`, then the word `last`."""
    first = b"" if key is None else key.words
    offset = len(first) + 32 * len(tails) + len(last)
    heads = [_number(offset + sum(map(len, tails[:at]))) for at in range(len(tails))]
    name = signature if key is None else signature.replace("(", f"({SHARED}")
    return selector(name) + first + b"".join(heads) + last + b"".join(tails)


def _list_of_bytes(items: Sequence[bytes]) -> bytes:
    tails = [_number(len(item)) + item + bytes(-len(item) % 32) for item in items]
    heads = [32 * len(items) + sum(map(len, tails[:at])) for at in range(len(items))]
    return _number(len(items)) + b"".join(map(_number, heads)) + b"".join(tails)


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


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


def decode_address(returned: bytes) -> str:
    """An address that a function returned, 0x and 40 hex digits."""
    if len(returned) != 32 or any(returned[:12]):
        raise ValueError(f"the contract returned {returned.hex() or 'nothing'} instead of an address")
    return "0x" + returned[12:].hex()


def decode_error(reverted: bytes) -> str:
    """The name of the custom error that `requireValid` reverted with."""
    names = {selector(f"{name}()"): name for name in ERRORS}
    return names.get(reverted[:4], f"0x{reverted.hex()}")
