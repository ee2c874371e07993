"""The transcript against the protocol page, over an independent keccak."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plonnx.plonk.program import MODULUS
from plonnx.plonk.transcript import Transcript
from tests.reference_verifier import keccak256

DIGEST = b"\x11" * 32
CONTEXT = b"\x33" * 32


@given(st.binary(max_size=40), st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 4)), max_size=4))
def test_challenges_follow_the_protocol_page(public: bytes, messages: list[tuple[bytes, int]]) -> None:
    transcript = Transcript(DIGEST, public, CONTEXT)
    state = keccak256(b"plonnx proof v1" + DIGEST + CONTEXT + keccak256(public))
    for message, count in messages:
        transcript.absorb(message)
        state = keccak256(state + message)
        for j in range(count):
            assert transcript.challenge() == int.from_bytes(keccak256(state + bytes([j])), "big") % MODULUS


def test_a_challenge_depends_on_everything_before_it() -> None:
    def challenge(
        digest: bytes = DIGEST,
        public: bytes = b"p",
        context: bytes = CONTEXT,
        first: bytes = b"a",
        second: bytes = b"b",
    ) -> int:
        transcript = Transcript(digest, public, context)
        transcript.absorb(first)
        transcript.absorb(second)
        return transcript.challenge()

    others = {
        challenge(),
        challenge(digest=b"\x12" * 32),
        challenge(public=b"q"),
        challenge(context=bytes(32)),
        challenge(first=b"c"),
        challenge(second=b"c"),
        challenge(first=b"ab", second=b""),
        challenge(first=b"", second=b"ab"),
    }
    assert len(others) == 8


def test_challenges_after_one_message_differ() -> None:
    transcript = Transcript(DIGEST, b"")
    transcript.absorb(b"m")
    assert len({transcript.challenge() for _ in range(20)}) == 20
