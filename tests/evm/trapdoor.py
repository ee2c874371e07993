"""Random verifying keys of any shape with proofs that hold, forged with the SRS's secret tau.

Who knows tau can open anything, so a proof exists for every key and all public values: the generator, the contract and
both verifiers are tried on shapes that no circuit here has, at sizes that take long to prove, and on proofs whose only
fault is one bad point. Uses the reference verifier's equations; commitments are known by their discrete logarithms.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from plonnx import _native
from plonnx.plonk.keys import Combination, InstanceColumn, Opened, Phase, Proof, PublicTensor, Run, VerifyingKey
from plonnx.plonk.program import Program, Slot
from tests.reference_verifier import R, Transcript, combine, gates, objects

TAU = 0x1234567890ABCDEF


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


def random_key(
    seed: int, *, advice: int, fixed: int, ops: int, combined: int = 0, values: int = 7, k: int = 6
) -> tuple[VerifyingKey, list[int]]:
    """A key and the logarithms of its fixed commitments. `combined` fixed columns are opened in one combination."""
    rng = random.Random(seed)
    logarithms = [rng.randrange(R) for _ in range(fixed)]
    cut = max(1, advice // 2)
    phases = (Phase(0, cut, ("chi", "psi")), Phase(cut, cut + 1, ("beta",)), Phase(cut + 1, advice, ("y",)))
    rotation_sets = [(0,), (0,), (0, 1), (0, 1, 2), (1,)]
    opened = [Opened("advice", i, rng.choice(rotation_sets)) for i in range(advice)]
    opened += [Opened("fixed", i, rng.choice(rotation_sets[:3])) for i in range(fixed - combined)]
    terms = tuple((fixed - 1 - e, (("chi", e),) if e else ()) for e in range(combined))
    mixed = ((0, (("beta", 2), ("chi", 5))), (fixed - 1, ()))
    opened += [Opened("combination", i, (0,)) for i in range(2)]
    slots = [Slot(o.kind, o.index, rotation) for o in opened for rotation in o.rotations]
    slots += [Slot("selector", i, 0) for i in range(4)]
    runs = (Run(0, values, 2, 3, 4, 0), Run(2 * values, values, 1, 31, 0, 2, 3), Run(3 * values, 1, 4, 1, 70, 1))
    tensors = (
        PublicTensor('in"put', "input", (values,), 3, 0, 2, -100, 100),
        PublicTensor("*/ evil", "output", (values,), 0, 2 * values, 1, 0, 9),
        PublicTensor("last", "output", (1,), 0, 3 * values, 4, 0, 9),
    )
    vk = VerifyingKey(
        k=k,
        last_row=(1 << k) - 5,
        phases=phases,
        pieces=3,
        combinations=(Combination(terms), Combination(mixed)),
        opened=tuple(opened),
        program=random_program(rng, slots, ["chi", "beta", "y", "instance a"], ops),
        instances=(InstanceColumn("instance a", runs),),
        tensors=tensors,
        public_bytes=3 * values + 4,
        fixed_commitments=tuple(point(x) for x in logarithms),
        g2=_native.g2_generator(),
        tau_g2=_native.g2_mul(_native.g2_generator(), TAU),
        srs="test, tau known",
        unsafe_srs=True,
        model="random",
    )
    return vk, logarithms


def forge(
    vk: VerifyingKey, fixed: list[int], seed: int, *, bad: Mapping[int, bytes] | None = None, error: int = 0
) -> Proof:
    """A proof of random public values that holds.

    `bad` replaces sent points (advice, pieces, then W) by other bytes; all else fits those that should be there.
    `error` is added to the quotient's value. The last advice commitment is the point at infinity.
    """
    bad = bad or {}
    rng = random.Random(seed)
    public_values = rng.randbytes(vk.public_bytes)
    transcript = Transcript(vk, public_values)
    m = SimpleNamespace(advice=[rng.randrange(R) for _ in range(vk.advice_count)], challenges={})
    m.advice[-1] = 0
    m.pieces = [rng.randrange(R) for _ in range(vk.pieces)]
    proof = b""

    def send(message: bytes) -> None:
        nonlocal proof
        proof += transcript.absorb(message)

    def send_points(first: int, logarithms: list[int]) -> None:
        send(b"".join(bad.get(first + i, point(x)) for i, x in enumerate(logarithms)))

    for phase in vk.phases:
        send_points(phase.first, m.advice[phase.first : phase.stop])
        m.challenges.update({name: transcript.challenge(j) for j, name in enumerate(phase.challenges)})
    send_points(vk.advice_count, m.pieces)
    m.zeta = transcript.challenge()
    values = [rng.randrange(R) for _ in range(vk.evaluation_count - 1)]
    output, vanishing = gates(vk, m.zeta, m.challenges, values, public_values)
    m.evaluations = [*values, (output * pow(vanishing, -1, R) + error) % R]
    send(b"".join(x.to_bytes(32, "big") for x in m.evaluations))
    v = transcript.challenge()
    w = rng.randrange(R)
    send_points(vk.advice_count + vk.pieces, [w])
    u = transcript.challenge()
    terms, constant, w_factor = combine(objects(vk, m, list(fixed)), v, u)
    # F = tau W': what is left of F without W' is (tau - u) W'.
    rest = sum(factor * x for factor, x in terms) + constant + w_factor * w
    last = pow(pow(7, (R - 1) // vk.n, R), vk.last_row, R)
    inverse = pow(m.zeta * (m.zeta - 1) * (m.zeta - last), -1, R)
    proof += point(rest * pow(TAU - u, -1, R)) + inverse.to_bytes(32, "big")
    return Proof(vk.digest, proof, public_values)
