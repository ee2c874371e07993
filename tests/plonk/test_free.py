"""Free columns of later phases: filled from the challenges drawn before, committed before all others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk import prover
from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.keygen import keygen
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import UnsatisfiedError, Witness, prove
from plonnx.plonk.verifier import VerificationError, verify

K, ROWS = 4, 11
Later = Callable[[int, Mapping[str, int]], Mapping[str, _native.Vec]]


@pytest.fixture(scope="module")
def srs() -> SRS:
    return SRS.development(K + 2, tau=5)


def circuit(packing: int = 1, psi_after: int | None = None) -> Circuit:
    """x chi - b + psi d = 0, b and d free: as polynomials in psi, b = x chi and d = 0. And a lookup, a copy."""
    made = Circuit(K, packing=packing)
    x = made.advice("x")
    table = made.table("small", [made.fixed("row", np.arange(ROWS))()])
    made.lookup("x is small", table, [x()])
    made.copy(x, np.array([0]), x, np.array([3]))
    chi = made.challenge("chi")
    b, d = made.free("b", 1), made.free("d", 1)
    psi = made.challenge("psi", made.free_phase if psi_after is None else psi_after)
    made.gate("b and d", chi * x() - b() + psi * d())
    return made


VALUES = np.array([5, 1, 2, 5, 0, 0, 9])
COUNTS = column_name("small", 0)


def column(values: list[int]) -> _native.Vec:
    return _native.Vec.from_scalars([value % MODULUS for value in values])


def honest(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
    if phase != 1:
        return {}
    return {"b": column([scalars["chi"] * int(x) for x in VALUES]), "d": column([0])}


def witness(later: Later = honest) -> Witness:
    counts = np.bincount(VALUES, minlength=ROWS)
    counts[0] += ROWS - len(VALUES)
    return Witness({"x": VALUES, COUNTS: counts}, b"", later=later)


def test_the_arguments_draw_after_all_that_is_free() -> None:
    made = circuit()
    assert made.free_phase == 1
    made.finish()
    assert [scalar.name for scalar in made.challenges[0]] == ["chi"]
    assert {scalar.name for scalar in made.challenges[1]} >= {"psi", "beta", "gamma"}
    assert set(made.advice_phases) == {0, 1, 2}
    assert [made.advice_names[i] for i in sorted(made.free_columns)] == ["b", "d"]


@pytest.mark.parametrize("packing", [1, 2, 3])
def test_a_proof_with_free_columns(srs: SRS, packing: int) -> None:
    assert MockProver(circuit(packing)).failures(witness()) == []
    pk = keygen(circuit(packing), srs)
    proof = prove(pk, witness(), srs)
    verify(pk.vk, proof)
    phases = [phase.stop - phase.first for phase in pk.vk.phases]
    assert phases[:2] == [2, 2]
    assert prove(pk, witness(), srs).proof != proof.proof


def test_the_filler_knows_the_challenges_drawn_before_and_no_other(srs: SRS) -> None:
    """Of the prover and of the MockProver alike; it is asked once a phase."""
    asked: list[tuple[int, frozenset[str]]] = []

    def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        asked.append((phase, frozenset(scalars)))
        return honest(phase, scalars)

    MockProver(circuit()).failures(witness(later))
    mocked = list(asked)
    asked.clear()
    prove(keygen(circuit(), srs), witness(later), srs)
    assert asked == mocked
    assert asked[0] == (1, frozenset({"chi"}))
    assert [phase for phase, _ in asked] == [1, 2]


@pytest.mark.parametrize("name", ["b", "d"])
@pytest.mark.parametrize("row", [0, 5, ROWS - 1])
def test_another_value_is_rejected(srs: SRS, monkeypatch: pytest.MonkeyPatch, name: str, row: int) -> None:
    def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        columns = {each: values.padded(ROWS) for each, values in honest(phase, scalars).items()}
        if name in columns:
            columns[name].add_scaled_(1, column([1 if i == row else 0 for i in range(ROWS)]))
        return columns

    failures = MockProver(circuit()).failures(witness(later))
    assert [(failure.constraint, failure.row) for failure in failures] == [("gate 'b and d'", row)]
    pk = keygen(circuit(), srs)
    with pytest.raises(UnsatisfiedError):
        prove(pk, witness(later), srs)
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    with pytest.raises(VerificationError, match="pairing"):
        verify(pk.vk, prove(pk, witness(later), srs))


def test_rows_beyond_the_active_ones_are_the_provers_randomness(srs: SRS) -> None:
    """Whatever is given for them is dropped: they blind."""

    def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        return {name: values.padded(16) for name, values in honest(phase, scalars).items()}

    pk = keygen(circuit(), srs)
    verify(pk.vk, prove(pk, witness(later), srs))


def test_a_challenge_known_to_a_free_column_proves_nothing(srs: SRS, monkeypatch: pytest.MonkeyPatch) -> None:
    """With psi drawn before d is committed, d makes up for any b; drawn after, a guess does not."""

    def forged(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
        if phase != 1:
            return {}
        psi = scalars.get("psi", 123)
        wrong = [scalars["chi"] * int(x) + 1 for x in VALUES]
        return {"b": column(wrong), "d": column([pow(psi, -1, MODULUS)] * len(VALUES))}

    known = circuit(psi_after=0)
    assert MockProver(known).failures(witness(forged)) == []
    pk = keygen(circuit(psi_after=0), srs)
    verify(pk.vk, prove(pk, witness(forged), srs))
    assert MockProver(circuit()).failures(witness(forged))
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    pk = keygen(circuit(), srs)
    with pytest.raises(VerificationError, match="pairing"):
        verify(pk.vk, prove(pk, witness(forged), srs))


def test_other_values_of_phase_0_need_other_free_ones(srs: SRS) -> None:
    pk = keygen(circuit(), srs)
    changed = replace(witness(), advice={**witness().advice, "x": np.where(VALUES == 9, 8, VALUES)})
    with pytest.raises(UnsatisfiedError):
        prove(pk, changed, srs)


def test_a_witness_fills_the_free_columns_and_no_others(srs: SRS) -> None:
    pk = keygen(circuit(), srs)
    zeros = {name: column([0]) for name in ("b", "d", "f")}
    for filled, missing, others in (("", ["b", "d"], []), ("b", ["d"], []), ("bdf", [], ["f"]), ("bf", ["d"], ["f"])):
        wrong = {name: zeros[name] for name in filled}
        said = f"the witness of phase 1 lacks the columns {missing} and has others: {others}"
        with pytest.raises(ValueError, match=re.escape(said)):
            prove(pk, witness(lambda phase, scalars, filled=wrong: filled if phase == 1 else {}), srs)
    for name in ("b", "d"):
        only = witness(lambda phase, scalars, name=name: {name: zeros[name]} if phase == 1 else {})
        with pytest.raises(ValueError, match=f"the witness lacks the column {'d' if name == 'b' else 'b'}"):
            MockProver(circuit()).failures(only)


def test_a_free_column_is_declared_in_its_phase() -> None:
    made = circuit()
    with pytest.raises(CircuitError, match="declared phase by phase"):
        made.free("late", 0)


def test_a_free_column_cannot_be_looked_up_or_copied() -> None:
    for use, message in (
        (lambda c, f: c.lookup("late", c.tables[0], [f()]), "chosen after phase 0 is not looked up"),
        (lambda c, f: c.copy(f, np.array([0]), f, np.array([1])), "only advice of phase 0"),
    ):
        made = circuit()
        use(made, made.free("late", 1))
        with pytest.raises(CircuitError, match=message):
            keygen(made, SRS.development(K, tau=5))
