"""Border terms are the prover's choice once chi is drawn: they make up for no wrong output.

For a wrong output (one more, times T, on output o at position p) the linear check is off by chi^o psi^(R - lin(p)) T,
up to the block's own factor. A forger who knows chi can put exactly -chi^o T into a border term; what is left to choose
is which one. psi follows the border terms, and none stands at a power of psi that an equation has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from plonnx import _native
from plonnx.gadgets import Builder
from plonnx.gadgets.linear import border
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.kzg.srs import SRS
from plonnx.layout.place import Placed
from plonnx.plonk import prover
from plonnx.plonk.keygen import keygen
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness
from plonnx.plonk.verifier import VerificationError, verify
from tests.adversarial.subject import Integers, Subject
from tests.properties.equations import Audited
from tests.properties.models import Model


def convolutions(subject: Subject) -> Iterator[tuple[Convolution, Placed]]:
    """The convolutions with border terms, and the places of their borders."""
    for place, output in zip(subject.layout.places, subject.layout.places[1:], strict=False):
        if place.has_terms:
            assert isinstance(output.block, Convolution)
            yield output.block, place


def compensated(subject: Subject, block: Convolution, element: int, row: int, lane: int) -> Witness:
    """One more on an output, public values to match, and what that is for this chi taken off a border term."""

    def change(sums: Integers) -> Integers:
        sums[:, element] += subject.size
        return sums

    forged, at = subject.forged(block.name, change=change), border.name(lane)

    def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        columns = dict(forged.later(phase, scalars))
        if at in columns:
            missing = -subject.size * pow(scalars["chi"], element // block.positions, MODULUS) % MODULUS
            step = _native.Vec.zeros(len(columns[at]))
            step.write_(row, _native.Vec.from_scalars([missing]))
            columns[at].add_scaled_(1, step)
        return columns

    return replace(forged, later=later)


@pytest.mark.parametrize("name", ["drawing", "wide_drawing"])
def test_the_compensation_is_right_but_for_the_power_of_psi(name: str, request: pytest.FixtureRequest) -> None:
    """A border term has the power of chi of its block's first output, so that the forger's factor is chi^o."""
    each: Subject = request.getfixturevalue(name)
    terms, _ = Audited(each.layout).sum("linear check")
    owners = list(convolutions(each))
    assert len(owners) == 2
    for block, place in owners:
        factors: set[tuple[int, int, int]] = set()
        borders: set[tuple[int, int]] = set()
        for ((part, of), chi, _), coefficient in terms.items():
            if part == "c" and isinstance(of, int) and of in block.units:
                factors.add(((of - block.first) // block.positions, chi, coefficient))
            elif part == "border" and of[1] in place.term_rows:
                borders.add((chi, coefficient))
        first = min(chi for _, chi, _ in factors)
        assert factors == {(output, first + output, -1) for output in range(block.outputs)}
        assert borders == {(first, -1)}


@pytest.mark.parametrize("name", ["drawing", "wide_drawing"])
def test_no_border_term_makes_up_for_a_wrong_output(name: str, request: pytest.FixtureRequest) -> None:
    """Every border cell of both convolutions, for an output of each channel."""
    each: Subject = request.getfixturevalue(name)
    for block, place in convolutions(each):
        for element in range(block.positions // 2, block.count, block.positions):
            for row in range(place.row, place.row + place.rows):
                for lane in range(each.layout.border_lanes):
                    found = each.constraints(compensated(each, block, element, row, lane))
                    assert found == {"gate 'running sum ends'"}, (block.name, element, row, lane)


def test_a_proof_with_border_terms_that_compensate_is_rejected(
    drawing: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    srs = SRS.development(drawing.layout.shape.k, tau=5)
    made = Prover(keygen(drawing.case.circuit(), srs), srs)
    verify(made.vk, made.prove(drawing.honest))
    forged: list[Witness] = []
    for block, place in convolutions(drawing):
        forged += [compensated(drawing, block, block.positions // 2, row, 0) for row in place.term_rows[[0, -1]]]
    for witness in forged:
        with pytest.raises(UnsatisfiedError, match="plonnx mock"):
            made.prove(witness)
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    for witness in forged:
        with pytest.raises(VerificationError, match="pairing"):
            verify(made.vk, made.prove(witness))


def test_no_term_between_strided_outputs_makes_up_for_one() -> None:
    """Borders of two strided layers, one behind the other: what the product has between their outputs."""
    random, builder = np.random.default_rng(2), Builder(8)
    x, square = builder.input("x", (1, 5, 5), public=False), np.indices((3, 3)).reshape(2, -1).T - 1
    y = builder.convolution(x, random.integers(-9, 10, (1, 9, 2)), square, None, (3, 3), "y", strides=(2, 2))
    z = builder.convolution(y, random.integers(-99, 99, (2, 9, 1)), square, None, (2, 2), "z", strides=(2, 2))
    builder.output("z", z)
    each = Subject(Model(builder, {"x": random.integers(-30, 31, (1, 1, 5, 5))}), 2, 2)
    owners = list(convolutions(each))
    assert [place.lane_spacing for place in each.layout.places if place.has_terms] == [2, 4]
    for block, place in owners:
        for row in place.term_rows[::2]:
            for lane in range(each.layout.border_lanes):
                found = each.constraints(compensated(each, block, block.positions // 2, row, lane))
                assert found == {"gate 'running sum ends'"}, (block.name, row, lane)
