"""The verifier (docs/protocol.md): the contract's steps on the same bytes. Imports neither sympy nor onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from plonnx import _native
from plonnx._native import keccak256
from plonnx.kzg import opening
from plonnx.kzg.opening import Claim
from plonnx.plonk import domain
from plonnx.plonk.keys import CONTEXT_BYTES, G1_BYTES, SCALAR_BYTES, Proof, VerifyingKey
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI, Slot, monomial
from plonnx.plonk.public_values import instance_sums
from plonnx.plonk.transcript import Transcript

BATCH_DOMAIN = b"plonnx batch v1"


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


@dataclass(frozen=True)
class _Folded:
    """What a proof comes to: F is the sum of scalar * point, and e(F, [1]_2) = e(W', [tau]_2) is left to check."""

    sent: bytes  # the commitments of the proof, then W and W'
    scalars: tuple[int, ...]  # theirs
    fixed: tuple[int, ...]  # the scalars of the key's commitments, then that of [1]_1
    final: bytes  # W'


def verify(vk: VerifyingKey, proof: Proof) -> None:
    """Accept (return) or raise VerificationError."""
    verify_batch(vk, [proof])


def verify_batch(vk: VerifyingKey, proofs: Sequence[Proof]) -> None:
    """Accept all (return) or raise VerificationError: one pairing for all of them (docs/protocol.md section 11)."""
    if not proofs:
        raise VerificationError("no proof is given")
    folded = [_fold(vk, proof) for proof in proofs]
    rho = _batch_challenge(vk, proofs)
    weights = [pow(rho, i, MODULUS) for i in range(len(proofs))]
    fixed = [sum(w * f.fixed[i] for w, f in zip(weights, folded, strict=True)) for i in range(len(folded[0].fixed))]
    points = b"".join(f.sent for f in folded) + b"".join(vk.fixed_commitments) + _native.g1_generator()
    scalars = [w * x % MODULUS for w, f in zip(weights, folded, strict=True) for x in f.scalars]
    try:
        total = _native.g1_sum_of_products(points, [*scalars, *(x % MODULUS for x in fixed)])
        final = _native.g1_sum_of_products(b"".join(f.final for f in folded), weights)
        accepted = opening.check(vk.tau_g2, total, final)
    except ValueError as error:
        raise VerificationError(f"the proof holds a point that is not in G1 ({error})") from error
    if not accepted:
        said = "the proof does" if len(proofs) == 1 else "one of the proofs does"
        raise VerificationError(f"the pairing check failed: {said} not hold for these public values")


def _batch_challenge(vk: VerifyingKey, proofs: Sequence[Proof]) -> int:
    """rho, drawn after all bytes of all proofs."""
    seed = keccak256(BATCH_DOMAIN + vk.digest)
    for proof in proofs:
        seed = keccak256(seed + proof.context + keccak256(proof.public_values) + keccak256(proof.proof))
    return int.from_bytes(seed, "big") % MODULUS


def _fold(vk: VerifyingKey, proof: Proof) -> _Folded:
    """Sections 4 to 7 up to the pairing; VerificationError for all that is refused before it."""
    if proof.vk_digest != vk.digest:
        raise VerificationError("the proof was made for another verifying key")
    if len(proof.proof) != vk.proof_bytes:
        raise VerificationError(f"the proof has {len(proof.proof)} bytes; this circuit's proofs have {vk.proof_bytes}")
    if len(proof.public_values) != vk.public_bytes:
        raise VerificationError(
            f"{len(proof.public_values)} bytes of public values; this circuit has {vk.public_bytes}"
        )
    if len(proof.context) != CONTEXT_BYTES:
        raise VerificationError(f"the proof's context has {len(proof.context)} bytes; it takes {CONTEXT_BYTES}")
    transcript = Transcript(vk.digest, proof.public_values, proof.context)
    reader = _Reader(proof.proof)
    scalars: dict[str, int] = {}

    sent = b""
    for phase in vk.phases:
        commitments = reader.points(len(vk.opened_in_phase(phase)))
        transcript.absorb(commitments)
        sent += commitments
        scalars.update((name, transcript.challenge()) for name in phase.challenges)
    scalars.update(instance_sums(vk, proof.public_values, scalars))

    commitments = reader.points(vk.pieces + len(vk.masked))
    transcript.absorb(commitments)
    sent += commitments
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

    base, divisor = domain.inverse_base(vk, zeta), opening.divisor(claims, u)
    psi = scalars[PSI] if vk.inverts_psi else 1
    if base * psi * divisor * inverse % MODULUS != 1:
        raise VerificationError("the proof's inverse does not fit")
    if vk.inverts_psi:
        scalars[INVERSE_PSI] = pow(psi, -1, MODULUS)
    claims[-1] = replace(claims[-1], values=((quotient_at(vk, scalars, claims, zeta),),))
    factors, constant, w_factor = opening.verification_terms(claims, v, u)
    factors = _commitment_factors(vk, scalars, zeta, factors)
    of_key = (*factors[vk.commitment_count :], constant)
    return _Folded(sent + w + w_final, (*factors[: vk.commitment_count], w_factor, u), of_key, w_final)


def _read_claims(vk: VerifyingKey, reader: _Reader, zeta: int) -> list[Claim]:
    """What the proof says; the quotient's value, which comes last, is not in it."""
    omega = _native.omega(vk.k)
    claims = []
    for o in vk.opened:
        points = tuple(zeta * pow(omega, r, MODULUS) % MODULUS for r in o.rotations)
        members = o.members if o.evaluations else ()
        values = tuple(tuple(reader.scalar() for _ in points) for _ in members)
        claims.append(Claim(points, values, o.packing))
    return claims


def quotient_at(vk: VerifyingKey, scalars: dict[str, int], claims: Sequence[Claim], zeta: int) -> int:
    """The quotient's value at zeta where the gates hold there: their y-weighted sum over zeta^n - 1."""
    values: dict[Slot, int] = {}
    for o, claim in zip(vk.opened[:-1], claims[:-1], strict=True):  # the quotient is the last
        values.update(zip(o.slots, chain.from_iterable(claim.values), strict=True))
    selectors = domain.selectors_at(vk, zeta)
    (gates,) = vk.program.run_point(lambda s: selectors[s.index] if s.kind == "selector" else values[s], scalars)
    return gates * pow(pow(zeta, vk.n, MODULUS) - 1, -1, MODULUS) % MODULUS


def _commitment_factors(vk: VerifyingKey, scalars: dict[str, int], zeta: int, factors: list[int]) -> list[int]:
    """The MSM's scalars: for the points sent (advice, quotient, masks), then the fixed ones with combinations."""
    place = {members[0]: i for i, members in enumerate(vk.fixed_members)}
    sent: list[int] = []
    masks = [0] * len(vk.masked)
    fixed = [0] * len(vk.fixed_members)
    for o, factor in zip(vk.opened, factors, strict=True):
        if o.kind == "advice":
            sent.append(factor)
        elif o.kind == "quotient":
            sent += [factor * pow(zeta, i * vk.piece_stride, MODULUS) % MODULUS for i in o.members]
        elif o.kind == "fixed":
            fixed[place[o.members[0]]] += factor
        else:
            for column, exponents in vk.combinations[o.members[0]].terms:
                fixed[place[column]] += factor * monomial(exponents, scalars)
            if o.members[0] in vk.masked:
                masks[vk.masked.index(o.members[0])] = factor * (pow(zeta, vk.n, MODULUS) - 1) % MODULUS
    return [*sent, *masks, *(f % MODULUS for f in fixed)]
