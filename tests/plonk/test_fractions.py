"""Columns that are sums of fractions: the same values, commitments and proofs as the ratios that they come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx import _native
from plonnx._native import Vec
from plonnx.kzg.curve import MODULUS
from plonnx.kzg.srs import SRS, Rows
from plonnx.plonk.circuit import Circuit, CircuitError, Definition
from plonnx.plonk.filling import FRACTIONS
from plonnx.plonk.keygen import compile_levels, keygen
from plonnx.plonk.keys import ProvingKey
from plonnx.plonk.mock import MockProver
from plonnx.plonk.prover import Columns, Prover, Witness, prove, seeded_rng
from plonnx.plonk.structure import blinding_rows
from plonnx.plonk.verifier import verify

K = 6
SRS_OF_TESTS = SRS.development(K + 1, tau=5)


def looking_up(
    tables: list[list[int]], lookups: list[tuple[int, list[int], list[int]]], group: int, packing: int
) -> Any:
    """A circuit and its witness: lookups of (table, rows that are switched on, inputs), and some copies."""
    circuit = Circuit(K, group=group, packing=packing)
    made = [circuit.table(f"t{i}", [circuit.fixed(f"entries {i}", np.array(t))()]) for i, t in enumerate(tables)]
    counts = [Counter[int]() for _ in tables]
    advice: dict[str, Any] = {}
    for j, (number, on, values) in enumerate(lookups):
        inputs = circuit.advice(f"x{j}")
        switch = circuit.fixed(f"on {j}", np.array(on))
        circuit.lookup(f"lookup {j}", made[number], [inputs()], switch() if 0 in on else 1)
        circuit.copy(inputs, np.array([0]), inputs, np.array([0]))
        advice[f"x{j}"] = np.array(values)
        counts[number].update(value for switched, value in zip(on, values, strict=True) if switched)
    for table, entries, counted in zip(made, tables, counts, strict=True):
        counted_once = [counted.pop(entry, 0) for entry in entries]  # the first of equal entries has them all
        advice[circuit.advice_names[table.multiplicities[0].index]] = np.array(counted_once)
    return circuit, Witness(advice, b"")


@st.composite
def circuits(draw: st.DrawFn) -> Any:
    rows = 50
    tables = []
    for _ in range(draw(st.integers(1, 2))):
        entries = draw(st.lists(st.integers(-3, 40), min_size=1, max_size=rows))
        tables.append(entries + entries[-1:] * (rows - len(entries)))
    lookups = []
    for _ in range(draw(st.integers(1, 5))):
        number = draw(st.integers(0, len(tables) - 1))
        random = draw(st.randoms(use_true_random=False))
        few = random.sample(tables[number], random.choice([1, 2, 20]))
        on = [1] * rows if random.random() < 0.5 else [random.randint(0, 1) for _ in range(rows)]
        lookups.append((number, on, [random.choice(few) for _ in range(rows)]))
    return tables, lookups, draw(st.integers(1, 4)), draw(st.sampled_from([1, 2]))


def by_ratios(circuit: Circuit, pk: ProvingKey) -> ProvingKey:
    """The key as plonnx made it before there were fractions: with the ratio that they come to."""
    definitions = []
    for one in circuit.definitions:
        made = one
        if one.kind == FRACTIONS:
            numerator, denominator = one.parts[:2]
            for n, d in zip(one.parts[2::2], one.parts[3::2], strict=True):
                numerator, denominator = numerator * d + n * denominator, denominator * d
            made = Definition(one.column, one.phase, "ratio", (numerator, denominator))
        definitions.append(made)
    old = SimpleNamespace(advice_phases=circuit.advice_phases, definitions=definitions, n=circuit.n)
    return replace(pk, levels=compile_levels(cast(Circuit, old)))


def whole_rows(circuit: Circuit, given: Any) -> Any:
    """The same tables and lookups on all active rows, which are a few more than were drawn."""
    tables, lookups, *shape = given
    more = circuit.n - blinding_rows(circuit) - len(tables[0])
    longer = [(number, on + [1] * more, values + values[-1:] * more) for number, on, values in lookups]
    return [entries + entries[-1:] * more for entries in tables], longer, *shape


@settings(max_examples=25, deadline=None)
@given(circuits())
def test_proofs_are_those_of_ratios(given: Any) -> None:
    first, _ = looking_up(*given)
    first.finish()
    circuit, witness = looking_up(*whole_rows(first, given))
    assert MockProver(circuit).failures(witness) == []
    pk = keygen(circuit, SRS_OF_TESTS)
    old = by_ratios(circuit, pk)
    kinds = {kind for levels in pk.levels for level in levels for _, kind, _ in level.columns}
    assert FRACTIONS in kinds
    assert {kind for levels in old.levels for level in levels for _, kind, _ in level.columns} <= kinds - {
        FRACTIONS
    } | {"ratio"}
    proof = prove(pk, witness, SRS_OF_TESTS, seeded_rng(b"seed"))
    assert proof == prove(old, witness, SRS_OF_TESTS, seeded_rng(b"seed"))
    verify(pk.vk, proof)


def test_commitments_are_of_the_column() -> None:
    """What is committed by fractions is what stands in the column; and nothing is kept of them behind it."""
    entries = [5, 6, 7] + [7] * 47
    lookup = (0, [1, 0] * 25, [5, 6, 6, 7, 5] * 10)
    circuit, _ = looking_up([entries], [lookup] * 3, 3, 1)
    circuit.finish()
    circuit, witness = looking_up(*whole_rows(circuit, ([entries], [lookup] * 3, 3, 1)))
    pk = keygen(circuit, SRS_OF_TESTS)
    columns = Columns(Prover(pk, SRS_OF_TESTS), witness, seeded_rng(b"columns"))
    for number, phase in enumerate(pk.vk.phases):
        columns.fill(number)
        columns.scalars.update((name, 11 + i) for i, name in enumerate(phase.challenges))
    helpers = [d.column.index for d in circuit.definitions if d.kind == FRACTIONS]
    opened = [o for o in pk.vk.opened if o.kind == "advice" and o.members[0] in helpers]
    assert len(opened) == len(helpers) == 2
    for one in opened:
        (part,) = columns.rows(one)
        assert part.fractions is not None
        values = columns.values("advice", one.members[0])
        commitments = SRS_OF_TESTS.commit_rows(K, [[part], [Rows(values)]])
        assert commitments[0] == commitments[1]
        assert columns.rows(one)[0].fractions is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(-2, 3)), max_size=30), st.integers(0, 30))
def test_fractions_are_summed(cells: list[tuple[bool, int, int]], rows: int) -> None:
    rows = min(rows, len(cells))
    numerators = [[int(on) for on, _, _ in cells], [n for _, n, _ in cells]]
    denominators = [[d % MODULUS for _, _, d in cells], [(d * d + 1) % MODULUS for _, _, d in cells]]
    made = _native.Fractions(
        [Vec.from_scalars(n) for n in numerators], [Vec.from_scalars(d) for d in denominators], rows
    )
    sums = [
        sum(n[i] * pow(d[i], -1, MODULUS) for n, d in zip(numerators, denominators, strict=True) if d[i]) % MODULUS
        for i in range(rows)
    ]
    held = made.sum()
    assert [held[i] for i in range(len(held))] == sums


def test_what_fractions_refuse() -> None:
    short, long = Vec.zeros(3), Vec.zeros(5)
    with pytest.raises(ValueError, match=r"^2 numerators for 1 denominators$"):
        _native.Fractions([short, short], [short], 3)
    with pytest.raises(ValueError, match=r"^4 rows of a vector of length 3$"):
        _native.Fractions([long], [short], 4)
    fractions = _native.Fractions([long], [long], 5)
    with pytest.raises(ValueError, match=r"^3 scalars for 5 rows of fractions$"):
        _native.msm_many([SRS_OF_TESTS.powers], [(short, fractions)])


def test_a_denominator_without_a_challenge_is_refused() -> None:
    circuit = Circuit(4)
    a = circuit.advice("a")
    circuit.gate("a is a bit", a() * (a() - 1))
    beta = circuit.challenge("beta")
    circuit.fractions("h", 1, [(1, beta - a()), (1, a() + 2)])
    with pytest.raises(CircuitError, match=r"^fractions h: its denominator holds no challenge"):
        keygen(circuit, SRS_OF_TESTS)
