"""The Fiat-Shamir transcript: keccak256, one state of 32 bytes (docs/protocol.md section 4)."""

from __future__ import annotations

from plonnx._native import keccak256
from plonnx.plonk.keys import NO_CONTEXT
from plonnx.plonk.program import MODULUS

DOMAIN = b"plonnx proof v1"


class Transcript:
    """Starts from the vk digest, context and public values; whatever a challenge depends on is absorbed before it."""

    def __init__(self, vk_digest: bytes, public_values: bytes, context: bytes = NO_CONTEXT) -> None:
        self._state = keccak256(DOMAIN + vk_digest + context + keccak256(public_values))
        self._drawn = 0

    def absorb(self, message: bytes) -> None:
        """Bind the challenges that follow to `message`."""
        self._state = keccak256(self._state + message)
        self._drawn = 0

    def challenge(self) -> int:
        """The next challenge after the last message."""
        value = int.from_bytes(keccak256(self._state + bytes([self._drawn])), "big") % MODULUS
        self._drawn += 1
        return value
