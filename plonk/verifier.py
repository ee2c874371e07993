"""The verifier (docs/protocol.md): the contract's steps on the same bytes. Imports neither sympy nor onnx."""

from __future__ import annotations

from plonnx import _native
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.plonk import domain
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Proof, VerifyingKey
from plonnx.plonk.program import MODULUS, Slot, monomial
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript


class VerificationError(ValueError):
    """A proof that is not accepted; one line says which check failed."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def points(self, count: int) -> bytes:
        return self.take(count * G1_BYTES)

    def scalar(self) -> int:
        value = int.from_bytes(self.take(SCALAR_BYTES), "big")
        if value >= MODULUS:
            raise VerificationError("the proof holds a scalar that is not below r")
        return value


def verify(vk: VerifyingKey, proof: Proof) -> None:
    """Accept (return) or raise VerificationError."""
    if proof.vk_digest != vk.digest:
        raise VerificationError("the proof was made for another verifying key")
    if len(proof.proof) != vk.proof_bytes:
        raise VerificationError(f"the proof has {len(proof.proof)} bytes; this circuit's proofs have {vk.proof_bytes}")
    if len(proof.public_values) != vk.public_bytes:
        raise VerificationError(
            f"{len(proof.public_values)} bytes of public values; this circuit has {vk.public_bytes}"
        )
    transcript = Transcript(vk.digest, proof.public_values)
    reader = _Reader(proof.proof)
    scalars: dict[str, int] = {}

    advice = b""
    for phase in vk.phases:
        commitments = reader.points(phase.stop - phase.first)
        transcript.absorb(commitments)
        advice += commitments
        scalars.update((name, transcript.challenge()) for name in phase.challenges)
    scalars.update(instance_sums(vk, proof.public_values, scalars))

    pieces = reader.points(vk.pieces)
    transcript.absorb(pieces)
    zeta = transcript.challenge()
    start = reader.at
    claims = _read_claims(vk, reader, zeta)
    transcript.absorb(proof.proof[start : reader.at])
    v = transcript.challenge()
    w = reader.points(1)
    transcript.absorb(w)
    u = transcript.challenge()
    w_final = reader.points(1)
    inverse = reader.scalar()

    if domain.inverse_base(vk, zeta) * inverse % MODULUS != 1:
        raise VerificationError("the proof's inverse does not fit")
    if not gates_hold(vk, scalars, claims, zeta, inverse):
        raise VerificationError("the check at zeta failed: the evaluations do not satisfy the gates")
    factors, constant, w_factor = opening.verification_terms(claims, v, u)
    points, factors = _commitments(vk, scalars, advice, pieces, zeta, factors)
    try:
        folded = _native.g1_sum_of_products(
            points + w + w_final + _native.g1_generator(), [*factors, w_factor, u, constant]
        )
        accepted = opening.check(vk.g2, vk.tau_g2, folded, w_final)
    except ValueError as error:
        raise VerificationError(f"the proof holds a point that is not in G1 ({error})") from error
    if not accepted:
        raise VerificationError("the pairing check failed: the proof does not hold for these public values")


def _read_claims(vk: VerifyingKey, reader: _Reader, zeta: int) -> list[Claim]:
    omega = _native.omega(vk.k)
    claims = []
    for o in vk.opened:
        points = tuple(zeta * pow(omega, r, MODULUS) % MODULUS for r in o.rotations)
        claims.append(Claim(points, tuple(reader.scalar() for _ in points)))
    claims.append(Claim((zeta,), (reader.scalar(),)))
    return claims


def gates_hold(vk: VerifyingKey, scalars: dict[str, int], claims: list[Claim], zeta: int, inverse: int) -> bool:
    """sum of y-weighted gates at zeta = t(zeta) * (zeta^n - 1), where `inverse` is 1 / domain.inverse_base."""
    by_slot = {
        Slot(o.kind, o.index, rotation): value
        for o, claim in zip(vk.opened, claims, strict=False)
        for rotation, value in zip(o.rotations, claim.values, strict=True)
    }
    selectors = domain.selectors_at(vk, zeta, inverse)
    (gates,) = vk.program.run_point(lambda s: selectors[s.index] if s.kind == "selector" else by_slot[s], scalars)
    return gates == claims[-1].values[0] * (pow(zeta, vk.n, MODULUS) - 1) % MODULUS


def _commitments(
    vk: VerifyingKey, scalars: dict[str, int], advice: bytes, pieces: bytes, zeta: int, factors: list[int]
) -> tuple[bytes, list[int]]:
    """The points and scalars of the MSM: advice, pieces, fixed columns (each once, combinations merged in)."""
    advice_factors = [0] * vk.advice_count
    fixed_factors = [0] * len(vk.fixed_commitments)
    for o, factor in zip(vk.opened, factors, strict=False):
        if o.kind == "advice":
            advice_factors[o.index] = factor
        elif o.kind == "fixed":
            fixed_factors[o.index] += factor
        else:
            for column, exponents in vk.combinations[o.index].terms:
                fixed_factors[column] += factor * monomial(exponents, scalars)
    piece_factors = [factors[-1] * pow(zeta, i * (vk.n - 1), MODULUS) % MODULUS for i in range(vk.pieces)]
    points = advice + pieces + b"".join(vk.fixed_commitments)
    return points, [*advice_factors, *piece_factors, *(f % MODULUS for f in fixed_factors)]
