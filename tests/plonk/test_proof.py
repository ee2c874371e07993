"""Prover and verifier: what is proved is accepted, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from circuits import squares
from plonnx import _native
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.plonk import prover
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES, Proof, ProvingKey, VerifyingKey
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness, prove, seeded_rng
from plonnx.plonk.public_values import unpack
from plonnx.plonk.verifier import VerificationError, verify
from tests import reference_verifier
from tests.plonk import forge

INFINITY = bytes(G1_BYTES)


def rejected(vk: VerifyingKey, proof: Proof) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(vk, proof)
    return str(caught.value)


# Accepted ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 2, 3, 4, 5])
def test_round_trip(srs: SRS, group: int) -> None:
    circuit = squares.circuit(group=group)
    witness = squares.witness(circuit)
    assert MockProver(circuit).failures(witness) == []
    pk = keygen(circuit, srs)
    proof = prove(pk, witness, srs)
    verify(pk.vk, proof)
    assert len(proof.proof) == pk.vk.proof_bytes
    expected = [3]
    for _ in range(11):
        expected.append(expected[-1] ** 2 % 256)
    x, y = (unpack(tensor, proof.public_values).tolist() for tensor in pk.vk.tensors)
    assert x == expected
    assert y == expected[::-1]


def test_the_share_that_is_done(srs: SRS) -> None:
    """It grows; keys end with all of it, a proof before the openings."""
    circuit, shares = squares.circuit(), list[float]()
    pk = keygen(circuit, srs, share=shares.append)
    assert shares[-1] == 1.0
    shares.clear()
    Prover(pk, srs).prove(squares.witness(circuit), share=shares.append)
    assert shares == sorted(set(shares)) and len(shares) > 3
    assert shares[-1] == prover.UP_TO_OPENING


def test_the_pieces_follow_the_degree(srs: SRS) -> None:
    pieces = [keygen(squares.circuit(group=group), srs).vk.pieces for group in (1, 2, 3, 4, 5, 8)]
    assert pieces == sorted(pieces)
    assert pieces[0] < pieces[-1]


def test_the_reference_verifier_agrees(pk: ProvingKey, proof: Proof) -> None:
    reference_verifier.check(pk.vk, proof.proof, proof.public_values)
    forged = forge.parts(pk.vk, proof)
    forged.evaluations[0] = (forged.evaluations[0] + 1) % MODULUS
    forged = forge.refit(pk.vk, forged)
    assert not reference_verifier.verify(pk.vk, forged.proof(pk.vk).proof, proof.public_values)


def test_a_circuit_of_phase_zero_alone(srs: SRS) -> None:
    """No argument, no challenge but y."""
    circuit = Circuit(4)
    a, b = circuit.advice("a"), circuit.advice("b")
    circuit.gate("square", a() ** 2 - b())
    pk = keygen(circuit, srs)
    values = np.arange(13)
    assert pk.vk.last_row == 13
    verify(pk.vk, prove(pk, Witness({"a": values, "b": values**2}, b""), srs))
    with pytest.raises(UnsatisfiedError):
        prove(pk, Witness({"a": values, "b": values**2 + (values == 12)}, b""), srs)


# Randomness ----------------------------------------------------------------------------------------------------------


def test_a_seeded_proof_is_deterministic(pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof) -> None:
    assert prove(pk, witness, srs, seeded_rng(b"proof")) == proof
    assert prove(pk, witness, srs, seeded_rng(b"other")).proof != proof.proof


def test_two_proofs_of_one_witness_share_no_commitment_and_no_evaluation(
    pk: ProvingKey, srs: SRS, witness: Witness
) -> None:
    one, other = (forge.parts(pk.vk, prove(pk, witness, srs)) for _ in range(2))
    assert not set(one.points) & set(other.points)
    assert not set(one.evaluations) & set(other.evaluations)
    assert len(set(one.points)) == len(one.points)


def test_a_column_of_zeros_is_hidden_too(srs: SRS) -> None:
    circuit = Circuit(4)
    a, b = circuit.advice("a"), circuit.advice("b")
    circuit.gate("product", a() * b())
    pk = keygen(circuit, srs)
    made = forge.parts(pk.vk, prove(pk, Witness(dict.fromkeys("ab", np.zeros(13, np.int64)), b""), srs))
    assert INFINITY not in made.points[:2]
    assert made.points[0] != made.points[1]


def test_the_rows_beyond_the_active_ones_are_random(pk: ProvingKey, srs: SRS, witness: Witness) -> None:
    """As many as each advice column's openings ask for, drawn anew for every column."""
    vk, made = pk.vk, prover.Columns(Prover(pk, srs), witness, seeded_rng(b"rows"))
    made.scalars.update({name: 3 + i for i, name in enumerate(c for p in vk.phases for c in p.challenges)})
    for phase in range(len(vk.phases)):
        made.fill(phase)
    seen: set[int] = set()
    for opened in vk.opened:
        if opened.kind == "advice":
            (index,) = opened.members
            values = made.values("advice", index)
            start = made.random_start(index)
            assert start == vk.last_row + (1 in opened.rotations)
            random = {values[row] for row in range(start, vk.n)}
            assert len(random) == vk.n - start >= len(opened.rotations) + 2
            assert not random & seen
            assert all(value > 1 << 200 for value in random)
            seen |= random
    assert len(seen) > 20


def test_the_pieces_are_blinded_and_still_add_up() -> None:
    """t = sum X^(i stride) t_i with other randomness in each piece, so that only the sum is told."""
    count, stride = 4, 15
    quotient = _native.Vec.from_scalars(list(range(1, count * stride + 1)))
    one, other = (prover.blind_pieces(quotient, count, stride, seeded_rng(seed)) for seed in (b"1", b"2"))
    for left, right in zip(one, other, strict=True):
        assert left.to_bytes() != right.to_bytes()
        assert len(left) == stride + 2
    for pieces in (one, other):
        x = 12345678901234567890
        total = sum(piece.evaluate(x) * pow(x, i * stride, MODULUS) for i, piece in enumerate(pieces)) % MODULUS
        assert total == quotient.evaluate(x)


# Refused by the prover -----------------------------------------------------------------------------------------------


def wrong(witness: Witness, column: str, row: int, step: int) -> Witness:
    advice = {name: values.copy() for name, values in witness.advice.items()}
    advice[column][row] += step
    return Witness(advice, witness.public_values)


COUNTS = column_name("bytes", 0)
WRONG = [
    ("x", 0, 1),
    ("x", 3, -1),
    ("x", 2, 256),
    ("h", 0, 1),
    ("h", 2, -1),
    ("y", 1, 1),
    (COUNTS, 0, 1),
    (COUNTS, 255, -1),
]


@pytest.mark.parametrize(("column", "row", "step"), WRONG)
def test_a_wrong_witness(
    pk: ProvingKey, srs: SRS, witness: Witness, monkeypatch: pytest.MonkeyPatch, column: str, row: int, step: int
) -> None:
    """Refused by the prover; and where the prover does not look, by the verifier."""
    bad = wrong(witness, column, row, step)
    assert MockProver(squares.circuit(count=6)).failures(bad)
    with pytest.raises(UnsatisfiedError):
        prove(pk, bad, srs)
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    assert "pairing" in rejected(pk.vk, prove(pk, bad, srs))


@pytest.mark.parametrize("name", ["x", "h", "y", COUNTS])
def test_a_witness_without_a_column_or_with_another_is_refused(
    pk: ProvingKey, srs: SRS, witness: Witness, name: str
) -> None:
    """By the prover and by the MockProver: no other column takes its place."""
    lacking = {other: column for other, column in witness.advice.items() if other != name}
    with pytest.raises(ValueError, match=re.escape(f"the witness of phase 0 lacks the columns {[name]}")):
        prove(pk, replace(witness, advice=lacking), srs)
    with pytest.raises(ValueError, match=re.escape(f"the witness lacks the column {name}")):
        MockProver(squares.circuit(count=6)).failures(replace(witness, advice=lacking))
    surplus = {**witness.advice, "z": witness.advice[name]}
    with pytest.raises(ValueError, match=r"has others: \['z'\]"):
        prove(pk, replace(witness, advice=surplus), srs)
    with pytest.raises(ValueError, match="'z'"):
        MockProver(squares.circuit(count=6)).failures(replace(witness, advice=surplus))


def test_another_srs_is_refused(pk: ProvingKey) -> None:
    with pytest.raises(ValueError, match="the key was made with another SRS"):
        Prover(pk, SRS.development(9, tau=6))


# Rejected by the verifier --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", range(8))
def test_every_single_bit(pk: ProvingKey, proof: Proof, chunk: int) -> None:
    """Of the proof and of the public values: bit `chunk` of every byte."""
    reasons: Counter[str] = Counter()
    for field in ("proof", "public_values"):
        data = bytearray(getattr(proof, field))
        for at in range(len(data)):
            data[at] ^= 1 << chunk
            try:
                verify(pk.vk, replace(proof, **{field: bytes(data)}))
            except VerificationError as error:
                reasons[str(error)[:26]] += 1
            data[at] ^= 1 << chunk
    assert sum(reasons.values()) == len(proof.proof) + len(proof.public_values)
    assert len(reasons) >= 3


def test_lengths(pk: ProvingKey, proof: Proof) -> None:
    for wrong_proof in (b"", proof.proof[:-1], proof.proof + b"\0", proof.proof[1:], proof.proof[:-32]):
        message = rejected(pk.vk, replace(proof, proof=wrong_proof))
        assert message == f"the proof has {len(wrong_proof)} bytes; this circuit's proofs have {len(proof.proof)}"
    for public in (b"", proof.public_values[:-1], proof.public_values + b"\0"):
        message = rejected(pk.vk, replace(proof, public_values=public))
        assert message == f"{len(public)} bytes of public values; this circuit has {len(proof.public_values)}"


def test_every_scalar_that_is_not_below_r(pk: ProvingKey, proof: Proof) -> None:
    """The same element of the field in another encoding, and other numbers from r on."""
    made = forge.parts(pk.vk, proof)
    for index in range(len(made.evaluations) + 1):
        honest = made.evaluations[index] if index < len(made.evaluations) else made.inverse
        for value in (honest + MODULUS, MODULUS, (1 << 256) - 1):
            at = forge.parts(pk.vk, proof)
            if index < len(made.evaluations):
                at.evaluations[index] = value
            else:
                at.inverse = value
            assert rejected(pk.vk, at.proof(pk.vk)) == "the proof holds a scalar that is not below r"


def _bad_points() -> list[tuple[str, bytes]]:
    x, y = forge.coordinates(_native.g1_generator())
    return [
        ("outside the subgroup", forge.outside_the_subgroup()),
        ("off the curve", forge.point(x, y + 1)),
        ("x not canonical", forge.point(x + forge.FIELD, y)),
        ("y not canonical", forge.point(x, y + forge.FIELD)),
        ("nearly infinity", forge.point(0, 1)),
        ("compression bits", bytes([0x80]) + forge.point(x, y)[1:]),
        ("infinity's bit", bytes([0x40]) + bytes(95)),
    ]


@pytest.mark.parametrize(("name", "bad"), _bad_points(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_place_of_a_bad_point(pk: ProvingKey, proof: Proof, name: str, bad: bytes) -> None:
    """With an inverse that fits, so that the point itself is what fails."""
    for index in range(len(forge.parts(pk.vk, proof).points)):
        made = forge.parts(pk.vk, proof)
        made.points[index] = bad
        assert "a point that is not in G1" in rejected(pk.vk, forge.refit(pk.vk, made).proof(pk.vk)), (name, index)


@pytest.mark.parametrize("name", ["negative", "infinity", "generator", "the next"])
def test_every_place_of_another_point(pk: ProvingKey, proof: Proof, name: str) -> None:
    """Points that are in order: only the pairing is left to tell."""
    honest = forge.parts(pk.vk, proof).points
    for index, old in enumerate(honest):
        new = {
            "negative": forge.negative(old),
            "infinity": INFINITY,
            "generator": _native.g1_generator(),
            "the next": honest[(index + 1) % len(honest)],
        }[name]
        made = forge.parts(pk.vk, proof)
        made.points[index] = new
        assert "pairing" in rejected(pk.vk, forge.refit(pk.vk, made).proof(pk.vk)), index


def test_every_evaluation(pk: ProvingKey, proof: Proof) -> None:
    """The quotient's value follows each."""
    for index in range(pk.vk.evaluation_count):
        made = forge.parts(pk.vk, proof)
        made.evaluations[index] = (made.evaluations[index] + 1) % MODULUS
        assert "pairing" in rejected(pk.vk, forge.refit(pk.vk, made).proof(pk.vk)), index


def test_public_values_with_an_inverse_to_match(pk: ProvingKey, proof: Proof) -> None:
    for index in range(len(proof.public_values)):
        made = forge.parts(pk.vk, proof)
        public = bytearray(made.public_values)
        public[index] ^= 1
        made.public_values = bytes(public)
        assert "inverse" in rejected(pk.vk, made.proof(pk.vk))
        assert "pairing" in rejected(pk.vk, forge.refit(pk.vk, made).proof(pk.vk))


def test_only_the_inverse_itself(pk: ProvingKey, proof: Proof) -> None:
    made = forge.parts(pk.vk, proof)
    for value in (0, 1, made.inverse + 1, MODULUS - made.inverse):
        forged = replace(made, inverse=value % MODULUS)
        assert rejected(pk.vk, forged.proof(pk.vk)) == "the proof's inverse does not fit"


def test_the_parts_of_two_proofs_do_not_mix(pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof) -> None:
    other = prove(pk, witness, srs, seeded_rng(b"other"))
    assert forge.parts(pk.vk, proof).proof(pk.vk) == proof
    for at in range(G1_BYTES, len(proof.proof), G1_BYTES if len(proof.proof) > 2000 else SCALAR_BYTES):
        rejected(pk.vk, replace(proof, proof=proof.proof[:at] + other.proof[at:]))


def test_another_circuits_key(srs: SRS, pk: ProvingKey, proof: Proof) -> None:
    """Of the same columns; the digest set to fit, since a forger writes it."""
    for other in (
        keygen(squares.circuit(count=6), SRS.development(9, tau=6)).vk,
        replace(pk.vk, model="another name"),
        replace(pk.vk, fixed_commitments=(pk.vk.fixed_commitments[1], *pk.vk.fixed_commitments[1:])),
        replace(pk.vk, last_row=pk.vk.last_row - 1),
        replace(pk.vk, tau_g2=SRS.development(2, tau=6).tau_g2),
    ):
        assert rejected(other, proof) == "the proof was made for another verifying key"
        rejected(other, replace(proof, vk_digest=other.digest))
    with pytest.raises(VerificationError, match="another verifying key"):
        verify(pk.vk, replace(proof, vk_digest=bytes(32)))


# Files ---------------------------------------------------------------------------------------------------------------


def test_keys_and_proofs_survive_their_files(
    tmp_path: Path, pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof
) -> None:
    pk.save(tmp_path / "pk")
    pk.vk.save(tmp_path / "vk")
    proof.save(tmp_path / "proof")
    loaded, vk = ProvingKey.load(tmp_path / "pk"), VerifyingKey.load(tmp_path / "vk")
    assert vk.digest == loaded.vk.digest == pk.vk.digest
    assert vk.encode() == pk.vk.encode() == (tmp_path / "vk").read_bytes()
    assert prove(loaded, witness, srs, seeded_rng(b"proof")) == proof
    verify(vk, Proof.load(tmp_path / "proof"))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "pk").read_bytes()


@pytest.mark.parametrize("kind", [ProvingKey, VerifyingKey, Proof])
def test_damaged_and_foreign_files(
    tmp_path: Path, pk: ProvingKey, proof: Proof, kind: type[ProvingKey | VerifyingKey | Proof]
) -> None:
    path = tmp_path / "file"
    things: tuple[ProvingKey | VerifyingKey | Proof, ...] = (pk, pk.vk, proof)
    (thing,) = (thing for thing in things if isinstance(thing, kind))
    thing.save(path)
    content = path.read_bytes()
    for at in {0, 3, 7, 10, 40, 70, len(content) // 2, len(content) - 1}:
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FileError, match="file"):
            kind.load(path)
        path.write_bytes(content[:at])
        with pytest.raises(FileError, match=r"not a plonnx|truncated"):
            kind.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(FileError, match="truncated or damaged"):
        kind.load(path)
    other = proof if kind is not Proof else pk.vk
    other.save(path)
    with pytest.raises(FileError, match="file is needed here"):
        kind.load(path)
    with pytest.raises(FileError, match="cannot be read"):
        kind.load(tmp_path / "nothing here")
