"""Forged proofs: the prover's own last check taken away, the verifier rejects what the MockProver rejects."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from plonnx.kzg.srs import SRS
from plonnx.plonk import prover
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.subject import Subject, off_by_one


@pytest.fixture(scope="module")
def made(subject: Subject) -> Prover:
    srs = SRS.development(subject.layout.shape.k, tau=5)
    return Prover(keygen(subject.case.circuit(), srs), srs)


@pytest.fixture
def dishonest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A prover that does not look whether its proof would verify."""
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    yield


CHANGES = [
    ("x[1]", (1, 1, 0)),
    ("hidden[0]", (0, 1, 0)),
    ("dense[4]", (0, 0, 32)),
    ("dense[0]", (-(1 << 40), 0, 0)),
    ("wide[0]", (0, 0, 1)),
    ("again[1]", (0, 1, 0)),
    ("repeated[5]", (0, 0, -1)),
    ("mixed[8]", (1, 0, -32)),
    ("varied[3]", (1, 1, 0)),
]


def changed(subject: Subject, of: str, change: tuple[int, int, int]) -> Witness:
    return subject.changed(subject.unit(of), *change)


@pytest.mark.parametrize(("of", "change"), CHANGES)
def test_a_proof_of_a_changed_witness_is_rejected(
    subject: Subject, made: Prover, dishonest: None, of: str, change: tuple[int, int, int]
) -> None:
    proof = made.prove(changed(subject, of, change))
    with pytest.raises(VerificationError, match="pairing"):
        verify(made.vk, proof)


def test_the_dishonest_prover_is_otherwise_in_order(subject: Subject, made: Prover, dishonest: None) -> None:
    verify(made.vk, made.prove(subject.honest))


@pytest.mark.parametrize(("of", "change"), CHANGES[:3])
def test_the_prover_refuses_a_changed_witness(
    subject: Subject, made: Prover, of: str, change: tuple[int, int, int]
) -> None:
    with pytest.raises(UnsatisfiedError, match="plonnx mock"):
        made.prove(changed(subject, of, change))


def test_a_proof_for_other_public_values_is_rejected(subject: Subject, made: Prover, dishonest: None) -> None:
    """Public values known before the challenges: the forger proves the honest witness for them from the start."""
    wide = subject.builder.evaluate(subject.case.model.inputs)["wide"][0] + np.eye(3, 5, dtype=np.int64)
    proof = made.prove(Witness(subject.honest.advice, subject.public(wide=wide)))
    with pytest.raises(VerificationError, match="pairing"):
        verify(made.vk, proof)


def test_one_more_on_any_public_integer_of_a_proof_is_rejected(subject: Subject, made: Prover) -> None:
    proof = made.prove(subject.honest)
    verify(made.vk, proof)
    names = []
    for name, forged in off_by_one(proof, made.vk.tensors):
        with pytest.raises(VerificationError):
            verify(made.vk, forged)
        names.append(name)
    assert len(names) == sum(tensor.count for tensor in made.vk.tensors) == 6 + 15 + 2 + 9 + 6 + 6


def test_a_witness_of_another_shape_is_refused(subject: Subject, made: Prover) -> None:
    advice, public = subject.honest.advice, subject.honest.public_values
    for name in ("b0", subject.counts[0]):
        others = {other: column for other, column in advice.items() if other != name}
        said = f"the witness of phase 0 lacks the columns {[name]} and has others: []"
        with pytest.raises(ValueError, match=re.escape(said)):
            made.prove(Witness(others, public))
        with pytest.raises(ValueError, match=re.escape(f"{said[:-2]}['d0']")):
            made.prove(Witness({**others, "d0": advice[name]}, public))
    with pytest.raises(ValueError, match=r"the witness of phase 0 lacks the columns \[\] and has others: \['d0'\]"):
        made.prove(Witness({**advice, "d0": advice["a0"]}, public))
    with pytest.raises(ValueError, match=f"{len(public) + 1} bytes of public values; the circuit has {len(public)}"):
        made.prove(Witness(advice, public + b"\0"))


def test_idle_cells_change_no_public_value_of_a_proof(subject: Subject, made: Prover) -> None:
    """Other values in free cells: another proof of the same public statement."""
    cells = subject.cells(subject.honest)
    for at in subject.units[1]:
        if at.row >= subject.layout.rows:
            cells[at.row, at.lane] = 7, 0, 30
    proof = made.prove(subject.witness(cells))
    verify(made.vk, proof)
    assert proof.public_values == subject.honest.public_values
