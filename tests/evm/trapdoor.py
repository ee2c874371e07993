"""Random verifying keys of any shape with proofs that hold, forged with the SRS's secret tau.

Who knows tau can open anything, so a proof exists for every key and all public values: the generator, the contract and
both verifiers are tried on shapes that no circuit here has, at sizes that take long to prove, and on proofs whose only
fault is one bad point. Uses the reference verifier's equations; commitments are known by their discrete logarithms.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from plonnx import _native
from plonnx.kzg.origin import DEVELOPMENT_TAU
from plonnx.plonk.keys import (
    NO_CONTEXT,
    Combination,
    InstanceColumn,
    Opened,
    OpenedKind,
    Phase,
    Proof,
    PublicTensor,
    Run,
    VerifyingKey,
)
from plonnx.plonk.program import Program, Slot
from tests.reference_verifier import R, Transcript, combine, divisor, inverse, opened_polynomials, quotient_at_zeta

TAU = DEVELOPMENT_TAU
Sets = list[tuple[int, ...]]


def point(logarithm: int) -> bytes:
    """[logarithm]_1 as 96 bytes."""
    return _native.g1_mul(_native.g1_generator(), logarithm % R)


def random_program(rng: random.Random, slots: list[Slot], scalars: list[str], length: int) -> Program:
    """Operations that mostly read recent values, as gates do."""
    constants = [0, 1, 5, R - 1, R - 7, rng.randrange(R), rng.randrange(R)]
    count = len(slots) + len(constants) + len(scalars)
    ops = []
    for number in range(count, count + length):
        left = number - 1 if number > count and rng.random() < 0.6 else rng.randrange(number)
        right = rng.randrange(number) if rng.random() < 0.5 else rng.randrange(count)
        pair = (left, right) if rng.random() < 0.5 else (right, left)
        ops.append((rng.choice((0, 1, 2)), *pair))
    array = np.array(ops, np.int32).reshape(-1, 3)
    return Program(tuple(slots), tuple(constants), tuple(scalars), array, (count + length - 1,))


def chunks(members: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Cut into tuples of at most `size`."""
    return [tuple(members[at : at + size]) for at in range(0, len(members), size)]


def packed(rng: random.Random, kind: OpenedKind, members: Sequence[int], packing: int, sets: Sets) -> list[Opened]:
    """Polynomials over the members, each with one of the rotation sets."""
    return [Opened(kind, chunk, rng.choice(sets), packing) for chunk in chunks(members, packing)]


def random_key(
    seed: int,
    *,
    advice: int,
    fixed: int,
    ops: int,
    combined: int = 0,
    values: int = 7,
    k: int = 6,
    packing: int = 1,
    masked: int = 0,
    pieces: int = 3,
) -> tuple[VerifyingKey, list[int]]:
    """A key and the logarithms of its fixed commitments.

    `combined` fixed columns, at least two, have their own commitments and are opened in two combinations, of which
    `masked` (0 or 1) of them, the second, is masked. All others are packed.
    """
    rng = random.Random(seed)
    cut = max(1, advice // 2)
    phases = (Phase(0, cut, ("chi", "psi")), Phase(cut, cut + 1, ("beta",)), Phase(cut + 1, advice, ("y",)))
    rotation_sets: Sets = [(0,), (0,), (0, 1), (0, 1, 2), (1,)]
    opened: list[Opened] = []
    for phase in phases:
        opened += packed(rng, "advice", range(phase.first, phase.stop), packing, rotation_sets)
    single = max(combined, 2)  # the last columns: opened in combinations, some also themselves
    fixed_members = [*chunks(range(fixed - single), packing), *((i,) for i in range(fixed - single, fixed))]
    for members in fixed_members:
        if members[0] < fixed - combined:
            own = 1 if members[0] >= fixed - single else packing
            opened.append(Opened("fixed", members, rng.choice(rotation_sets[:3]), own))
    terms = tuple((fixed - 1 - e, (("chi", e),) if e else ()) for e in range(combined))
    mixed = ((fixed - 2, (("beta", 2), ("chi", 5))), (fixed - 1, ()), (fixed - 1, (("beta", 1),)))
    opened += [Opened("combination", (i,), (0,)) for i in range(2)]
    opened.append(Opened("quotient", tuple(range(pieces)), (0,)))
    slots = [
        Slot(o.kind, i, rotation) for o in opened if o.kind != "quotient" for i in o.members for rotation in o.rotations
    ]
    slots += [Slot("selector", i, 0) for i in range(4)]
    runs = (Run(0, values, 2, 3, 4, 0), Run(2 * values, values, 1, 31, 0, 2), Run(3 * values, 1, 4, 1, 70, 1))
    tensors = (
        PublicTensor('in"put', "input", (values,), 3, 0, 2, -100, 100),
        PublicTensor("*/ evil", "output", (values,), 0, 2 * values, 1, 0, 9),
        PublicTensor("last", "output", (1,), 0, 3 * values, 4, 0, 9),
    )
    logarithms = [rng.randrange(R) for _ in fixed_members]
    vk = VerifyingKey(
        k=k,
        last_row=(1 << k) - 5,
        phases=phases,
        pieces=pieces,
        combinations=(Combination(terms), Combination(mixed)),
        masked=(1,) * masked,
        packing=packing,
        opened=tuple(opened),
        fixed_members=tuple(fixed_members),
        program=random_program(rng, slots, ["chi", "beta", "y", "instance a"], ops),
        instances=(InstanceColumn("instance a", runs),),
        tensors=tensors,
        public_bytes=3 * values + 4,
        fixed_commitments=tuple(point(x) for x in logarithms),
        hidden_bits=(16, 18) * masked,
        tau_g2=_native.g2_mul(_native.g2_generator(), TAU),
        model="random",
    )
    return vk, logarithms


def forge(
    vk: VerifyingKey,
    fixed: list[int],
    seed: int,
    *,
    bad: Mapping[int, bytes] | None = None,
    error: int = 0,
    context: bytes = NO_CONTEXT,
) -> Proof:
    """A proof of random public values that holds.

    `bad` replaces sent points (advice, quotient, masks, then W) by other bytes; all else fits those that should be
    there. `error` is added to what the quotient's value is taken for. The last advice commitment is the point at
    infinity.
    """
    bad = bad or {}
    rng = random.Random(seed)
    public_values = rng.randbytes(vk.public_bytes)
    transcript = Transcript(vk, public_values, context)
    m = SimpleNamespace(advice=[], challenges={})
    proof = b""
    sent = 0

    def send(message: bytes) -> None:
        nonlocal proof
        proof += transcript.absorb(message)

    def send_points(logarithms: list[int]) -> None:
        nonlocal sent
        send(b"".join(bad.get(sent + i, point(x)) for i, x in enumerate(logarithms)))
        sent += len(logarithms)

    for phase in vk.phases:
        logarithms = [rng.randrange(R) for _ in vk.opened_in_phase(phase)]
        if phase is vk.phases[-1]:
            logarithms[-1] = 0
        send_points(logarithms)
        m.advice += logarithms
        m.challenges.update({name: transcript.challenge(j) for j, name in enumerate(phase.challenges)})
    m.quotient = [rng.randrange(R) for _ in range(vk.pieces)]
    m.masks = [rng.randrange(R) for _ in vk.masked]
    send_points([*m.quotient, *m.masks])
    m.zeta = transcript.challenge()
    m.evaluations = [rng.randrange(R) for _ in range(vk.evaluation_count)]
    send(b"".join(x.to_bytes(32, "big") for x in m.evaluations))
    v = transcript.challenge()
    w = rng.randrange(R)
    send_points([w])
    u = transcript.challenge()
    m.value = 0
    at_u = divisor(opened_polynomials(vk, m, list(fixed)), u)
    last_scalar = inverse(vk, m.zeta, m.challenges, at_u)
    m.value = (quotient_at_zeta(vk, m.zeta, m.challenges, m.evaluations, public_values) + error) % R
    terms, constant, w_factor = combine(opened_polynomials(vk, m, list(fixed)), v, u)
    # F = tau W': what is left of F without W' is (tau - u) W'.
    rest = sum(factor * x for factor, x in terms) + constant + w_factor * w
    proof += point(rest * pow(TAU - u, -1, R)) + last_scalar.to_bytes(32, "big")
    return Proof(vk.digest, proof, public_values, context)
