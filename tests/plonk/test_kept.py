"""What the prover keeps between proofs, and how few columns it holds at once, changes no byte of a proof."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from circuits import squares
from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk import columns as columns_module
from plonnx.plonk import keygen as keygen_module
from plonnx.plonk import prover
from plonnx.plonk.expression import slots
from plonnx.plonk.keygen import few_columns, keygen
from plonnx.plonk.keys import Proof, ProvingKey
from plonnx.plonk.prover import Prover, Witness, prove, seeded_rng

COLUMN = 32  # bytes of a row


@pytest.mark.parametrize("columns", [0, 1, 5, None])
def test_proofs_are_the_same_whatever_is_kept(
    pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof, columns: int | None
) -> None:
    made = Prover(pk, srs, None if columns is None else columns * COLUMN * pk.vk.n)
    for _ in range(3):
        assert made.prove(witness, seeded_rng(b"proof")).proof == proof.proof
    assert len(made._on_cosets) == columns if columns is not None else len(made._on_cosets) > 5


@pytest.mark.parametrize("group", [1, 2, 1000])
def test_columns_are_transformed_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof, group: int
) -> None:
    monkeypatch.setattr(columns_module, "AT_ONCE_BYTES", group * COLUMN * pk.vk.n)
    sizes = _recorded(monkeypatch, "ntt_many")
    assert Prover(pk, srs, keep=0).prove(witness, seeded_rng(b"proof")).proof == proof.proof
    assert max(sizes) <= group
    assert (max(sizes) > 2) == (group == 1000)


def test_what_depends_on_the_key_is_transformed_once(
    monkeypatch: pytest.MonkeyPatch, pk: ProvingKey, srs: SRS, witness: Witness
) -> None:
    made = Prover(pk, srs)
    transforms = {name: _recorded(monkeypatch, name) for name in ("ntt_many", "intt_many")}
    counts = []
    for _ in range(3):
        made.prove(witness)
        counts.append({name: sum(sizes) for name, sizes in transforms.items()})
        for sizes in transforms.values():
            sizes.clear()
    own = {name for gates in pk.programs for name in gates.program.columns if name[0] not in columns_module.OF_THE_KEY}
    times = {name: max(gates.cosets for gates in pk.programs if name in gates.program.columns) for name in own}
    assert counts[1] == counts[2]
    assert counts[1]["ntt_many"] == sum(times.values()) < counts[0]["ntt_many"]
    assert counts[1]["intt_many"] < counts[0]["intt_many"]


def _recorded(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """How many vectors each call of a kernel gets."""
    kernel = getattr(_native, name)
    sizes: list[int] = []

    def record(vectors: Sequence[_native.Vec], *shift: int) -> list[_native.Vec]:
        sizes.append(len(vectors))
        made: list[_native.Vec] = kernel(vectors, *shift)
        return made

    monkeypatch.setattr(_native, name, record)
    return sizes


@pytest.mark.parametrize("most", [1, 4, 9])
def test_programs_of_few_columns_give_the_same_proof(
    monkeypatch: pytest.MonkeyPatch, pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof, most: int
) -> None:
    """Only the proving key knows how its gates are grouped; one gate may read more columns than a group should."""
    monkeypatch.setattr(keygen_module, "HELD_BYTES", most * COLUMN * pk.vk.n)
    apart = keygen(squares.circuit(count=6), srs)
    assert apart.vk.digest == pk.vk.digest
    assert len(apart.programs) > len(pk.programs)
    assert prove(apart, witness, srs, seeded_rng(b"proof")).proof == proof.proof


@pytest.mark.parametrize("most", [1, 4, 9, 1000])
def test_groups_of_gates_hold_every_gate_once(most: int) -> None:
    circuit = squares.circuit(count=6)
    circuit.finish()
    gates = list(enumerate(circuit.gates))
    groups = list(few_columns(gates, most))
    assert sorted(pair[0] for group in groups for pair in group) == list(range(len(gates)))
    for group in groups:
        parts = [e for _, gate in group for e in (gate.expression, gate.selector) if e is not None]
        assert len(group) == 1 or len({slot[:2] for slot in slots(parts)}) <= most
    assert (len(groups) == 1) == (most == 1000)


@pytest.mark.parametrize("keep", [0, None])
def test_what_is_prepared_beside_a_witness_changes_no_byte(
    pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof, keep: int | None
) -> None:
    made = Prover(pk, srs, keep)
    made.prepare()
    made.wait_for(1)
    kept = len(made._on_cosets)
    assert made.prove(witness, seeded_rng(b"proof")).proof == proof.proof
    assert len(made._on_cosets) == kept and (kept > 5) == (keep is None)


def test_a_process_forked_while_another_prepares_makes_all_itself(
    pk: ProvingKey, srs: SRS, witness: Witness, proof: Proof
) -> None:
    made = Prover(pk, srs)
    never: Future[None] = Future()
    made._ready = os.getpid() + 1, [never, never]  # begun by a thread that this process does not have
    assert made.prove(witness, seeded_rng(b"proof")).proof == proof.proof


def test_what_fails_beside_is_said_by_the_proof(
    monkeypatch: pytest.MonkeyPatch, pk: ProvingKey, srs: SRS, witness: Witness
) -> None:
    def failing(shift: int) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(prover, "coset_shifts", lambda key: failing(0))
    with pytest.raises(MemoryError, match="no room"):
        Prover(pk, srs).prove(witness)
