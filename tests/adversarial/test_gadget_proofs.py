"""Real proofs of the gadgets: honest ones verify, and no forgery that the MockProver names does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from plonnx.kzg.srs import SRS
from plonnx.plonk import prover
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.subject import Integers, Subject, off_by_one


@pytest.fixture(scope="module")
def drawn(drawing: Subject) -> Prover:
    srs = SRS.development(drawing.layout.shape.k, tau=5)
    return Prover(keygen(drawing.case.circuit(), srs), srs)


@pytest.fixture
def dishonest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A prover that does not look whether its proof would verify."""
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    yield


def raised(element: int) -> Callable[[Integers], Integers]:
    def change(sums: Integers) -> Integers:
        sums[:, element] += 1
        return sums

    return change


def other_border(subject: Subject) -> Witness:
    place = next(p for p in subject.layout.places if p.has_terms)
    return subject.bordered(int(place.term_rows[1]), 0, 1)


def other_maximum(subject: Subject) -> Witness:
    at = subject.unit("m[3]")
    return subject.changed(at, 1, 0, 0, 0)


def other_value(subject: Subject) -> Witness:
    at = subject.unit("g[0]")
    return subject.changed(at, -1, 0, 0, 1)


FORGERIES: dict[str, Callable[[Subject], Witness]] = {
    "an output of the convolution": lambda subject: subject.forged("y", change=raised(4)),
    "an output of a group": lambda subject: subject.forged("d", change=raised(5)),
    "a border term": other_border,
    "a maximum": other_maximum,
    "a function's value": other_value,
    "a product": lambda subject: subject.forged("p", multiplier=0),
    "an input": lambda subject: subject.changed(subject.unit("x[3]"), 1, 1),
    "the values of another inference": lambda subject: replace(
        subject.stating(subject.builder.run(subject.case.model.inputs | {"h": np.zeros((1, 2, 2, 2), np.int64)})),
        public_values=subject.honest.public_values,
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_proof_is_rejected(drawing: Subject, drawn: Prover, dishonest: None, what: str) -> None:
    proof = drawn.prove(FORGERIES[what](drawing))
    with pytest.raises(VerificationError, match="pairing"):
        verify(drawn.vk, proof)


@pytest.mark.parametrize("what", ["an output of a group", "a border term", "a maximum"])
def test_the_prover_refuses_a_forged_witness(drawing: Subject, drawn: Prover, what: str) -> None:
    with pytest.raises(UnsatisfiedError, match="plonnx mock"):
        drawn.prove(FORGERIES[what](drawing))


def test_one_more_on_any_public_integer_is_rejected(drawing: Subject, drawn: Prover) -> None:
    proof = drawn.prove(drawing.honest)
    verify(drawn.vk, proof)
    names = []
    for name, forged in off_by_one(proof, drawn.vk.tensors):
        with pytest.raises(VerificationError):
            verify(drawn.vk, forged)
        names.append(name)
    assert len(names) == 18 + 18 + 8 + 8 + 3 + 8


def test_border_terms_of_another_chi_are_rejected(drawing: Subject, drawn: Prover, dishonest: None) -> None:
    """Those that another proof's challenge would ask for: they must follow this proof's own."""
    honest = drawing.honest
    stale = replace(honest, later=lambda phase, scalars: honest.later(phase, dict(scalars, chi=12345)))
    with pytest.raises(VerificationError, match="pairing"):
        verify(drawn.vk, drawn.prove(stale))
    verify(drawn.vk, drawn.prove(honest))


def test_every_byte_of_a_proof_counts(drawing: Subject, drawn: Prover) -> None:
    """The border columns' commitments are in it, after phase 0's and before all others."""
    proof = drawn.prove(drawing.honest)
    first, second = drawn.vk.phases[:2]
    assert (first.challenges, second.challenges[0]) == (("chi",), "psi")
    assert second.stop - second.first == drawing.layout.border_lanes
    for at in range(0, len(proof.proof), 41):
        changed = bytearray(proof.proof)
        changed[at] ^= 1 << at % 8
        with pytest.raises(VerificationError):
            verify(drawn.vk, replace(proof, proof=bytes(changed)))


@pytest.mark.parametrize(("name", "packing"), [("wide_drawing", 4), ("grouped", 1), ("grouped", 3), ("viewing", 2)])
def test_honest_proofs_of_the_other_subjects(name: str, packing: int, request: pytest.FixtureRequest) -> None:
    each: Subject = request.getfixturevalue(name)
    circuit = each.case.circuit()
    circuit.packing = packing
    srs = SRS.development(circuit.k + 2, tau=5)
    made = Prover(keygen(circuit, srs), srs)
    proof = made.prove(each.honest)
    verify(made.vk, proof)
    changed = bytearray(proof.public_values)
    changed[-1] ^= 1
    with pytest.raises(VerificationError):
        verify(made.vk, replace(proof, public_values=bytes(changed)))
