"""Proofs taken apart and put together again, with everything a forger can recompute recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.plonk import domain
from plonnx.plonk.keys import G1_BYTES, NO_CONTEXT, SCALAR_BYTES, Proof, VerifyingKey
from plonnx.plonk.program import MODULUS, PSI, Slot
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript
from plonnx.plonk.verifier import quotient_at

FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


@dataclass
class Parts:
    """A proof's points (advice, quotient, masks, W, W'), its evaluations and its inverse."""

    points: list[bytes]
    evaluations: list[int]
    inverse: int
    public_values: bytes
    context: bytes = NO_CONTEXT

    def proof(self, vk: VerifyingKey) -> Proof:
        """The bytes again."""
        first, last = b"".join(self.points[:-2]), b"".join(self.points[-2:])
        scalars = b"".join(x.to_bytes(SCALAR_BYTES, "big") for x in self.evaluations)
        inverse = self.inverse.to_bytes(SCALAR_BYTES, "big")
        return Proof(vk.digest, first + scalars + last + inverse, self.public_values, self.context)


def parts(vk: VerifyingKey, proof: Proof) -> Parts:
    """A proof taken apart."""
    data, start = proof.proof, vk.commitment_count * G1_BYTES
    end = start + vk.evaluation_count * SCALAR_BYTES
    points = [data[i : i + G1_BYTES] for i in range(0, start, G1_BYTES)]
    points += [data[i : i + G1_BYTES] for i in range(end, end + 2 * G1_BYTES, G1_BYTES)]
    scalars = [int.from_bytes(data[i : i + SCALAR_BYTES], "big") for i in range(start, end, SCALAR_BYTES)]
    return Parts(points, scalars, int.from_bytes(data[-SCALAR_BYTES:], "big"), proof.public_values, proof.context)


def refit(vk: VerifyingKey, made: Parts) -> Parts:
    """The same with an inverse that fits: the openings alone are left."""
    transcript, scalars = _challenges(vk, made.points, made.public_values, made.context)
    zeta = transcript.challenge()
    transcript.absorb(b"".join(x.to_bytes(SCALAR_BYTES, "big") for x in made.evaluations))
    transcript.absorb(made.points[-2])
    u = transcript.challenge()
    claims = [Claim(at, (), o.packing) for o, at in zip(vk.opened, _points(vk, zeta), strict=True)]
    return replace(made, inverse=inverse_of(vk, zeta, scalars, opening.divisor(claims, u)))


def inverse_of(vk: VerifyingKey, zeta: int, scalars: Mapping[str, int], divisor: int) -> int:
    """What the proof must hold as its inverse."""
    psi = scalars[PSI] if vk.inverts_psi else 1
    return pow(domain.inverse_base(vk, zeta) * psi * divisor, -1, MODULUS)


@dataclass(frozen=True)
class Start:
    """A proof up to its evaluations, of false public values: points at infinity, all evaluations zero."""

    transcript: Transcript
    """It has absorbed the evaluations."""
    scalars: dict[str, int]
    zeta: int
    claims: list[Claim]
    proof: bytes

    def inverse(self, vk: VerifyingKey, u: int) -> bytes:
        """What ends the proof."""
        return inverse_of(vk, self.zeta, self.scalars, opening.divisor(self.claims, u)).to_bytes(SCALAR_BYTES, "big")


def at_infinity(vk: VerifyingKey, public: bytes) -> Start:
    """The value of the quotient, the last claim, is what satisfies the gates where everything else is zero."""
    points = [bytes(G1_BYTES)] * vk.commitment_count
    transcript, scalars = _challenges(vk, points, public, NO_CONTEXT)
    zeta = transcript.challenge()
    claims = [
        Claim(at, tuple((0,) * len(at) for _ in o.members), o.packing)
        for o, at in zip(vk.opened, _points(vk, zeta), strict=True)
    ]
    claims[-1] = replace(claims[-1], values=((quotient_at(vk, scalars, claims, zeta),),))
    evaluations = bytes(SCALAR_BYTES * vk.evaluation_count)
    transcript.absorb(evaluations)
    return Start(transcript, scalars, zeta, claims, b"".join(points) + evaluations)


def _points(vk: VerifyingKey, zeta: int) -> list[tuple[int, ...]]:
    """Where each polynomial is opened."""
    return [tuple(zeta * pow(_native.omega(vk.k), r, MODULUS) % MODULUS for r in o.rotations) for o in vk.opened]


def _challenges(
    vk: VerifyingKey, points: Sequence[bytes], public: bytes, context: bytes
) -> tuple[Transcript, dict[str, int]]:
    """The transcript before zeta, and the scalars that the gates read."""
    transcript = Transcript(vk.digest, public, context)
    scalars: dict[str, int] = {}
    at = 0
    for phase in vk.phases:
        count = len(vk.opened_in_phase(phase))
        transcript.absorb(b"".join(points[at : at + count]))
        at += count
        scalars.update((name, transcript.challenge()) for name in phase.challenges)
    scalars.update(instance_sums(vk, public, scalars))
    transcript.absorb(b"".join(points[at : vk.commitment_count]))
    return transcript, scalars


def slots(vk: VerifyingKey) -> list[Slot]:
    """What the evaluations are of, in their order."""
    sent = [o for o in vk.opened if o.evaluations]
    return [Slot(o.kind, i, rotation) for o in sent for i in o.members for rotation in o.rotations]


def point(x: int, y: int) -> bytes:
    """96 bytes."""
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


def coordinates(encoded: bytes) -> tuple[int, int]:
    """x and y."""
    return int.from_bytes(encoded[:48], "big"), int.from_bytes(encoded[48:], "big")


def outside_the_subgroup() -> bytes:
    """A point of the curve y^2 = x^3 + 4 whose order is not r."""
    for x in range(1, 100):
        square = (x**3 + 4) % FIELD
        y = pow(square, (FIELD + 1) // 4, FIELD)
        if y * y % FIELD == square:
            return point(x, y)
    raise AssertionError


def negative(encoded: bytes) -> bytes:
    """The point's negative."""
    return _native.g1_mul(encoded, MODULUS - 1)
