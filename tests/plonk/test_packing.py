"""Packed commitments: the same statements with fewer points, every part of the proof still bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import squares
from plonnx import _native
from plonnx.compiler.compile import compile_model
from plonnx.gadgets import Builder, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply
from plonnx.kzg.srs import SRS
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk import prover
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, Proof, ProvingKey, VerifyingKey, joining
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness, prove, seeded_rng
from plonnx.plonk.verifier import VerificationError, verify
from tests import reference_verifier
from tests.plonk import forge
from tests.properties.models import LaidOut, Model, lay_out

PACKINGS = [1, 2, 3, 8]
FOLDER = Path(__file__).parents[2] / "circuits" / "digits_mlp"


def squared(packing: int) -> tuple[Circuit, Witness]:
    circuit = squares.circuit(count=6)
    circuit.packing = packing
    return circuit, squares.witness(circuit)


def model(hidden: bool = False) -> LaidOut:
    """Two dense layers, weights in several rows, a sum, a ReLU, copies; small enough for k = 6."""
    random = np.random.default_rng(3)
    b = Builder(5, hidden, 6, 12)
    x = b.input("x", (2, 3))
    one = b.relu(b.linear(x, random.integers(-6, 7, (3, 3)), np.array([40, -90, 3]), "one"), "active")
    two = b.linear(one, random.integers(-5, 6, (3, 2)), None, "two")
    b.output("two", two)
    b.output("sum", b.sum([(two, 9), (two, -4)], np.array([[5, -7]]), "sum"), public=False)
    return lay_out(Model(b, {"x": np.array([[[3, -20, 7], [31, 7, -9]]])}), 2, 2)


def images(hidden: bool = False) -> LaidOut:
    """Convolutions with borders, a maximum, a function, a product: a free column in phase 1, e on the next row."""
    random = np.random.default_rng(4)
    b = Builder(5, hidden, 6, 12)
    offsets = np.array([(i, j) for i in range(2) for j in range(2)])
    x = b.input("x", (1, 3, 4))
    one = b.convolution(x, random.integers(-6, 7, (1, 4, 2)), offsets - 1, np.array([20, -30]), (3, 4), "one")
    positive = b.relu(one, "positive")
    pooled = maximum(b, [positive[:, :2, j::2] for j in range(2)], "pooled")
    two = b.convolution(pooled, random.integers(-6, 7, (2, 4, 2)), offsets, None, (1, 1), "two")
    squares = Function("square", -31, np.arange(-31, 32) ** 2 // 32)
    applied = apply(b, squares, two, "applied", fuse=True)
    b.output("applied", applied)
    b.output("product", multiply(b, applied, applied, 1, "product"), public=False)
    return lay_out(Model(b, {"x": random.integers(-31, 32, (1, 1, 3, 4))}), 2, 2)


def compiled(packing: int, hidden: bool = False, of: Callable[[bool], LaidOut] = model) -> tuple[Circuit, Witness]:
    case = of(hidden)
    circuit = case.circuit()
    circuit.packing = packing
    return circuit, case.witness()


SUBJECTS = {
    "squares": squared,
    "model": compiled,
    "hidden model": lambda packing: compiled(packing, True),
    "images": lambda packing: compiled(packing, of=images),
    "hidden images": lambda packing: compiled(packing, True, images),
}


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(12, tau=5)


class Made:
    """A subject's key and a proof of it."""

    def __init__(self, name: str, packing: int, srs: SRS) -> None:
        self.circuit, self.witness = SUBJECTS[name](packing)
        self.pk = keygen(self.circuit, srs, rng=seeded_rng(b"hidden"))
        self.vk, self.srs = self.pk.vk, srs
        self.proof = prove(self.pk, self.witness, srs, seeded_rng(b"proof"))


@pytest.fixture(
    scope="module", params=[(name, t) for name in SUBJECTS for t in PACKINGS], ids=lambda p: f"{p[0]}-{p[1]}"
)
def made(request: pytest.FixtureRequest, srs: SRS) -> Made:
    name, packing = request.param
    return Made(name, packing, srs)


@given(st.integers(0, 150), st.integers(0, 150), st.sampled_from((2, 4, 16, 64)))
def test_joining_saves_one_commitment_for_few_evaluations(single: int, both: int, packing: int) -> None:
    moved = joining(single, both, packing)
    before = -(-single // packing) + -(-both // packing)
    after = -(-(single - moved) // packing) + -(-(both + moved) // packing)
    assert 0 <= moved <= single and (moved == 0 or both > 0)
    assert after == before - (moved > 0)
    assert moved <= 14


def test_columns_join_those_that_are_opened_at_two_points(made: Made) -> None:
    """With one gate's rotations in mind: a packed phase of few columns has one commitment."""
    for phase in made.vk.phases:
        opened = made.vk.opened_in_phase(phase)
        columns = sum(len(o.members) for o in opened)
        if 1 < columns <= made.vk.packing and any(o.rotations == (0, 1) for o in opened):
            assert len(opened) == 1
    queried = {(s.kind, s.index) for s in made.vk.program.slots if s.rotation == 1}
    for o in made.vk.opened:
        assert made.vk.packing > 1 or o.rotations == (0,) or all((o.kind, i) in queried for i in o.members)


def rejected(vk: VerifyingKey, proof: Proof) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(vk, proof)
    return str(caught.value)


def test_it_proves_verifies_and_is_deterministic(made: Made) -> None:
    verify(made.vk, made.proof)
    assert len(made.proof.proof) == made.vk.proof_bytes
    assert prove(made.pk, made.witness, made.srs, seeded_rng(b"proof")) == made.proof
    assert prove(made.pk, made.witness, made.srs).proof != made.proof.proof
    again = keygen(made.circuit, made.srs, rng=seeded_rng(b"hidden"))
    assert again.vk.encode() == made.vk.encode()


def test_the_reference_verifier_agrees(made: Made) -> None:
    reference_verifier.check(made.vk, made.proof.proof, made.proof.public_values)


def test_every_column_has_one_place(made: Made) -> None:
    """Each advice column in one opened polynomial; with packing each fixed column too, hidden ones alone.

    The quotient is one polynomial over all its pieces.
    """
    vk, t = made.vk, made.vk.packing
    members: dict[str, list[int]] = {"advice": [], "fixed": [], "combination": [], "quotient": []}
    for o in vk.opened:
        members[o.kind] += o.members
        alone = o.kind in ("combination", "quotient") or (o.kind == "fixed" and t == 1)
        assert o.packing == (1 if alone else t)
        assert 1 <= len(o.members) <= (vk.pieces if o.kind == "quotient" else t)
        assert (o.kind == "advice") or o.rotations == (0,)
    assert sorted(members["advice"]) == list(range(vk.advice_count))
    assert members["quotient"] == list(range(vk.pieces))
    hidden = set(made.circuit.hidden)
    assert sorted(i for chunk in vk.fixed_members for i in chunk) == list(range(len(made.circuit.fixed_columns)))
    assert all(len(chunk) == 1 for chunk in vk.fixed_members if hidden & set(chunk))
    assert not hidden & set(members["fixed"])
    if t > 1:
        assert sorted(members["fixed"] + list(hidden)) == list(range(len(made.circuit.fixed_columns)))
        assert members["combination"] == list(vk.masked)
    # A rotation set's columns fill their commitments: all but the last of a phase and set are full.
    for phase in vk.phases:
        for at in {o.rotations for o in vk.opened_in_phase(phase)}:
            sizes = [len(o.members) for o in vk.opened_in_phase(phase) if o.rotations == at]
            assert all(size == t for size in sizes[:-1])


def test_every_commitment_is_bound(made: Made) -> None:
    """Masks and pieces among them: a point that is in order, an inverse to match, and only the pairing tells."""
    honest = forge.parts(made.vk, made.proof)
    assert len(honest.points) == made.vk.commitment_count + 2
    for index, old in enumerate(honest.points):
        for new in (forge.negative(old), bytes(G1_BYTES), honest.points[(index + 1) % len(honest.points)]):
            points = list(honest.points)
            points[index] = new
            forged = forge.refit(made.vk, replace(honest, points=points))
            assert "pairing" in rejected(made.vk, forged.proof(made.vk)), index


def test_every_evaluation_is_bound(made: Made) -> None:
    honest = forge.parts(made.vk, made.proof)
    assert len(honest.evaluations) == made.vk.evaluation_count
    for index in range(made.vk.evaluation_count):
        evaluations = list(honest.evaluations)
        evaluations[index] = (evaluations[index] + 1) % MODULUS
        forged = replace(honest, evaluations=evaluations)
        rejected(made.vk, forged.proof(made.vk))
        assert "pairing" in rejected(made.vk, forge.refit(made.vk, forged).proof(made.vk)), index


def test_members_do_not_trade_their_values(made: Made) -> None:
    """Of a packed polynomial at one point: the same values in another order."""
    honest, at = forge.parts(made.vk, made.proof), 0
    for o in (o for o in made.vk.opened if o.evaluations):
        width = len(o.rotations)
        for i in range(len(o.members) - 1):
            one, other = at + i * width, at + (i + 1) * width
            evaluations = list(honest.evaluations)
            if evaluations[one] == evaluations[other]:  # two fixed columns of the same content
                assert o.kind == "fixed"
                continue
            evaluations[one], evaluations[other] = evaluations[other], evaluations[one]
            forged = replace(honest, evaluations=evaluations)
            rejected(made.vk, forged.proof(made.vk))
            assert "pairing" in rejected(made.vk, forge.refit(made.vk, forged).proof(made.vk))
        at += o.evaluations
    assert at == len(honest.evaluations)


def test_lengths(made: Made) -> None:
    for wrong in (made.proof.proof[:-1], made.proof.proof + bytes(32), made.proof.proof[96:]):
        assert "bytes; this circuit's proofs have" in rejected(made.vk, replace(made.proof, proof=wrong))


@pytest.mark.parametrize("step", [1, -1, 7])
def test_a_forged_witness_is_rejected(made: Made, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    names = [name for name in made.circuit.advice_names if name in made.witness.advice]
    for column in (names[0], names[-1]):
        advice = {name: values.copy() for name, values in made.witness.advice.items()}
        advice[column][1] += step
        bad = replace(made.witness, advice=advice)
        with pytest.raises(UnsatisfiedError):
            prove(made.pk, bad, made.srs)
        with monkeypatch.context() as patch:
            patch.setattr(prover, "check_evaluations", lambda *arguments: None)
            assert "pairing" in rejected(made.vk, prove(made.pk, bad, made.srs))


def test_keys_survive_their_files(made: Made, tmp_path: Path) -> None:
    made.vk.save(tmp_path / "vk")
    made.pk.save(tmp_path / "pk")
    vk, pk = VerifyingKey.load(tmp_path / "vk"), ProvingKey.load(tmp_path / "pk")
    assert vk == replace(made.vk, program=vk.program)  # programs hold arrays: compared as bytes
    assert vk.encode() == pk.vk.encode() == made.vk.encode()
    verify(vk, made.proof)
    assert prove(pk, made.witness, made.srs, seeded_rng(b"proof")) == made.proof


# Across packings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUBJECTS)
def test_packing_changes_the_key_and_not_the_statement(srs: SRS, name: str) -> None:
    keys = [Made(name, t, srs) for t in PACKINGS]
    assert len({m.vk.digest for m in keys}) == len(keys)
    assert len({m.proof.public_values for m in keys}) == 1
    counts = [m.vk.commitment_count for m in keys]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    for one, other in pairwise(keys):
        rejected(other.vk, replace(one.proof, vk_digest=other.vk.digest))


@pytest.mark.parametrize(("packing", "needed"), [(1, 512), (2, 1024), (3, 1536), (8, 4096)])
def test_a_packing_beyond_the_srs_is_refused(packing: int, needed: int) -> None:
    circuit, _ = squared(packing)
    size = (needed - 1).bit_length() - 1
    with pytest.raises(
        ValueError, match=f"holds {1 << size} powers; this circuit needs {needed}: give a larger one as srs"
    ):
        keygen(circuit, SRS.development(size, tau=5))


def test_packed_commitments_are_of_the_packed_polynomials(srs: SRS) -> None:
    """F(tau) = sum_i tau^i f_i(tau^t), for the fixed columns of the key."""
    for t in (2, 3, 8):
        pk = Made("model", t, srs).pk
        for members, commitment in zip(pk.vk.fixed_members, pk.vk.fixed_commitments, strict=True):
            parts = [_native.intt(pk.fixed[i].field(pk.vk.n)).evaluate(pow(5, t, MODULUS)) for i in members]
            value = sum(pow(5, i, MODULUS) * part for i, part in enumerate(parts)) % MODULUS
            assert _native.g1_mul(_native.g1_generator(), value) == commitment


def test_a_model_packed_by_8_says_the_same() -> None:
    """circuits/digits_mlp in the same layout, unpacked and packed."""
    made = compile_model(FOLDER / "model.onnx", [FOLDER / "calibration.npz"])
    stated = []
    for packing in (1, 8):
        circuit: ModelCircuit = replace(made, shape=replace(made.shape, packing=packing))
        srs = SRS.development(circuit.srs_k, tau=5)
        pk = circuit.keygen(srs)
        proof = Prover(pk, srs).prove(circuit.witness(circuit.read_inputs(FOLDER / "input.json")))
        verify(pk.vk, proof)
        stated.append((proof.public_values, pk.vk.commitment_count))
    (one, many), (other, few) = stated
    assert one == other
    assert few < many / 2
