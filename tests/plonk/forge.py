"""Proofs taken apart and put together again, with everything a forger can recompute recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plonnx import _native
from plonnx.kzg.opening import Claim
from plonnx.plonk import domain
from plonnx.plonk.keys import G1_BYTES, NO_CONTEXT, SCALAR_BYTES, Proof, VerifyingKey
from plonnx.plonk.program import MODULUS, Slot
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript

FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


@dataclass
class Parts:
    """A proof's points (advice, quotient, masks, W, W'), its evaluations (the quotient's last) and its inverse."""

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
    """The same with the last piece's value and an inverse that pass the check at zeta: the openings alone are left."""
    transcript, scalars = _challenges(vk, made.points, made.public_values, made.context)
    zeta = transcript.challenge()
    inverse = pow(domain.inverse_base(vk, zeta), -1, MODULUS)
    quotient = _quotient(vk, scalars, zeta, inverse, dict(zip(slots(vk), made.evaluations, strict=True)))
    powers = [pow(zeta, i * domain.piece_stride(vk.n), MODULUS) for i in range(vk.pieces)]
    pieces = made.evaluations[-vk.pieces :]
    rest = sum(power * piece for power, piece in zip(powers[:-1], pieces[:-1], strict=True))
    last = (quotient - rest) * pow(powers[-1], -1, MODULUS) % MODULUS
    return replace(made, evaluations=[*made.evaluations[:-1], last], inverse=inverse)


@dataclass(frozen=True)
class Start:
    """A proof up to its evaluations, of false public values: points at infinity, and the quotient's value alone."""

    transcript: Transcript
    """It has absorbed the evaluations."""
    scalars: dict[str, int]
    zeta: int
    inverse: int
    claims: list[Claim]
    proof: bytes


def at_infinity(vk: VerifyingKey, public: bytes) -> Start:
    """The value of the quotient is what satisfies the gates where everything else is zero."""
    points = [bytes(G1_BYTES)] * vk.commitment_count
    transcript, scalars = _challenges(vk, points, public, NO_CONTEXT)
    zeta = transcript.challenge()
    inverse = pow(domain.inverse_base(vk, zeta), -1, MODULUS)
    quotient = _quotient(vk, scalars, zeta, inverse, None) % MODULUS
    claims = []
    for o in vk.opened:
        at = tuple(zeta * pow(_native.omega(vk.k), r, MODULUS) % MODULUS for r in o.rotations)
        values = [(quotient if (o.kind, member) == ("quotient", 0) else 0,) * len(at) for member in o.members]
        claims.append(Claim(at, tuple(values), o.packing))
    evaluations = b"".join(x.to_bytes(SCALAR_BYTES, "big") for claim in claims for row in claim.values for x in row)
    transcript.absorb(evaluations)
    return Start(transcript, scalars, zeta, inverse, claims, b"".join(points) + evaluations)


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


def _quotient(
    vk: VerifyingKey, scalars: dict[str, int], zeta: int, inverse: int, values: Mapping[Slot, int] | None
) -> int:
    """What the quotient must be at zeta; `values` are the columns', None where all are zero."""
    selectors = domain.selectors_at(vk, zeta, inverse)
    (gates,) = vk.program.run_point(
        lambda s: selectors[s.index] if s.kind == "selector" else 0 if values is None else values[s], scalars
    )
    return gates * pow(pow(zeta, vk.n, MODULUS) - 1, -1, MODULUS)


def slots(vk: VerifyingKey) -> list[Slot]:
    """What the evaluations are of, in their order; the quotient's pieces come last."""
    assert [i for o in vk.opened_quotient for i in o.members] == list(range(vk.pieces))
    assert vk.opened[-len(vk.opened_quotient) :] == vk.opened_quotient
    return [Slot(o.kind, i, rotation) for o in vk.opened for i in o.members for rotation in o.rotations]


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
