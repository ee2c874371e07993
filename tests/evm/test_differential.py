"""Changed proofs, public values and contexts: verifier and contract say the same, the reference verifier to a sample.

PLONNX_MUTATIONS says how many of each of three contracts: `make differential` tries 10,200 in all.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

from plonnx import _native
from plonnx.plonk.keys import Proof, VerifyingKey
from tests import reference_verifier
from tests.evm import trapdoor
from tests.evm.conftest import Deployed
from tests.evm.test_verifier import bad_points, fast_accepts, replaced
from tests.plonk import forge
from tests.reference_verifier import R

COUNT = int(os.environ.get("PLONNX_MUTATIONS", "300"))
SAMPLE = 12


class Mutations:
    """Changes of a proof that holds, each by a seed: what it is called and the changed proof."""

    def __init__(self, vk: VerifyingKey, good: Proof) -> None:
        self.vk, self.good = vk, good
        start = 96 * vk.commitment_count
        self.points = [*range(0, start, 96), *(start + 32 * vk.evaluation_count + at for at in (0, 96))]
        self.scalars = [*range(start, start + 32 * vk.evaluation_count, 32), vk.proof_bytes - 32]
        self.bad = list(bad_points().values())

    def make(self, seed: int) -> tuple[str, Proof]:
        rng = random.Random(seed)
        kind = rng.choice(
            ["nothing", "bit", "byte", "point", "scalar", "swap", "public", "context", "length", "refitted", "two"]
        )
        if kind == "two":
            first = Mutations(self.vk, self.make(2 * seed + 1_000_003)[1])
            same_length = len(first.good.proof) == self.vk.proof_bytes
            return kind, first.make(2 * seed + 1_000_004)[1] if same_length else first.good
        return kind, getattr(self, f"_{kind}")(rng)

    def _nothing(self, rng: random.Random) -> Proof:
        return self.good

    def _put(self, at: int, new: bytes) -> Proof:
        return replace(self.good, proof=replaced(self.good.proof, at, new))

    def _bit(self, rng: random.Random) -> Proof:
        at = rng.randrange(self.vk.proof_bytes)
        return self._put(at, bytes([self.good.proof[at] ^ 1 << rng.randrange(8)]))

    def _byte(self, rng: random.Random) -> Proof:
        return self._put(rng.randrange(self.vk.proof_bytes), rng.choice([b"\0", b"\xff", rng.randbytes(1), b"\x80"]))

    def _point(self, rng: random.Random) -> Proof:
        at = rng.choice(self.points)
        held = self.good.proof[at : at + 96]
        ways = [bytes(96), trapdoor.point(rng.randrange(R)), rng.choice(self.bad)]
        if held != bytes(96):
            ways += [
                held[:48] + (forge.FIELD - int.from_bytes(held[48:], "big")).to_bytes(48, "big"),
                held[48:] + held[:48],
            ]
        return self._put(at, rng.choice(ways))

    def _scalar(self, rng: random.Random) -> Proof:
        at = rng.choice(self.scalars)
        held = int.from_bytes(self.good.proof[at : at + 32], "big")
        values = [0, 1, R - 1, R, held + 1, held + R, R - held, rng.randrange(R), 2**256 - 1]
        return self._put(at, (rng.choice(values) % 2**256).to_bytes(32, "big"))

    def _swap(self, rng: random.Random) -> Proof:
        places, size = rng.choice([(self.points, 96), (self.scalars, 32)])
        a, b = rng.choice(places), rng.choice(places)
        one, other = self.good.proof[a : a + size], self.good.proof[b : b + size]
        return replace(self.good, proof=replaced(replaced(self.good.proof, a, other), b, one))

    def _public(self, rng: random.Random) -> Proof:
        public = self.good.public_values
        at = rng.randrange(len(public))
        ways = [
            replaced(public, at, rng.randbytes(1)),
            public[:at],
            public + rng.randbytes(1),
            public[::-1],
            bytes(len(public)),
        ]
        return replace(self.good, public_values=rng.choice(ways))

    def _context(self, rng: random.Random) -> Proof:
        return replace(self.good, context=rng.choice([bytes(32), bytes(31) + b"\1", rng.randbytes(32), b"\xff" * 32]))

    def _length(self, rng: random.Random) -> Proof:
        proof, cut = self.good.proof, rng.choice([1, 32, 96, rng.randrange(1, self.vk.proof_bytes + 1)])
        return replace(self.good, proof=rng.choice([proof[:-cut], proof[cut:], proof + rng.randbytes(cut), b""]))

    def _refitted(self, rng: random.Random) -> Proof:
        """One evaluation or commitment other, and all that anyone can make fit made fit: the pairing alone is left."""
        made = forge.parts(self.vk, self.good)
        if rng.random() < 0.5:
            evaluations = list(made.evaluations)
            evaluations[rng.randrange(len(evaluations))] = rng.randrange(R)
            made = replace(made, evaluations=evaluations)
        else:
            points = list(made.points)
            points[rng.randrange(len(points) - 2)] = _native.g1_mul(_native.g1_generator(), rng.randrange(R))
            made = replace(made, points=points)
        return forge.refit(self.vk, made).proof(self.vk)


def test_verifier_and_contract_say_the_same(either: tuple[Deployed, Proof]) -> None:
    contract, good = either
    mutations = Mutations(contract.vk, good)
    made = [mutations.make(seed) for seed in range(COUNT)]
    statements = [(proof.proof, proof.public_values, proof.context) for _, proof in made]
    said = contract.reasons(statements)
    verdicts = [reason == "" for reason in said]
    assert contract.accepts(statements) == verdicts
    assert [fast_accepts(contract.vk, statement) for statement in statements] == verdicts
    # Only what is the proof itself holds, and every reason to refuse one has occurred.
    assert verdicts == [proof == good for _, proof in made]
    reasons = Counter(said)
    assert {"", "InvalidPoint", "PairingFailed", "InverseMismatch", "ScalarNotCanonical"} <= set(reasons), reasons
    assert {"WrongProofLength", "WrongPublicValuesLength"} <= set(reasons), reasons
    by_reason = {reason: i for i, reason in enumerate(said)}
    sample = sorted({*by_reason.values(), *random.Random(0).sample(range(COUNT), SAMPLE)})
    assert [reference_verifier.verify(contract.vk, *statements[i]) for i in sample] == [verdicts[i] for i in sample]
