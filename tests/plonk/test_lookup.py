"""The lookup argument: multiplicities against counting, tables in parts and of tuples, tags, numerators."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.kzg.srs import SRS
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import keygen
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.prover import UnsatisfiedError, Witness, prove
from plonnx.plonk.structure import blinding_rows
from plonnx.plonk.verifier import verify

K, ROWS = 4, 11


@given(st.sets(st.integers(-50, 50), min_size=1, max_size=20), st.data())
def test_multiplicities_count(entries: set[int], data: st.DataObject) -> None:
    table = np.array(data.draw(st.permutations(sorted(entries))))
    inputs = data.draw(st.lists(st.lists(st.sampled_from(sorted(entries)), max_size=20), max_size=3))
    counts = multiplicities(table, [np.array(values, np.int64) for values in inputs], len(table) + 3)
    counted = Counter(value for values in inputs for value in values)
    assert counts.tolist() == [*(counted[int(entry)] for entry in table), 0, 0, 0]


@pytest.mark.parametrize("value", [-1, 3, 7, 1 << 40])
def test_multiplicities_refuse_what_is_no_entry(value: int) -> None:
    with pytest.raises(ValueError, match=f"the value {value} is not in the table"):
        multiplicities(np.array([0, 1, 2, 4]), [np.array([1, value])], 4)


def passes(circuit: Circuit, *advice: object) -> bool:
    """Whether mock and the real prover accept; they must agree. The columns are given in the order of declaration."""
    columns = (np.asarray(column, np.int64) for column in advice)
    witness = Witness(dict(zip(circuit.advice_names, columns, strict=True)), b"")
    mocked = MockProver(circuit).failures(witness) == []
    assert circuit.n - blinding_rows(circuit) == ROWS
    if mocked:
        srs = SRS.development(K, tau=5)
        pk = keygen(circuit, srs)
        verify(pk.vk, prove(pk, witness, srs))
    return mocked


def pair_circuit(group: int) -> Circuit:
    """(x, y) is (i, i^2) for an i in 0..10, on rows 0..5."""
    circuit = Circuit(K, group=group)
    i = circuit.fixed("i", np.arange(ROWS))
    square = circuit.fixed("square", np.arange(ROWS) ** 2)
    on = circuit.fixed("on", np.r_[np.ones(6, np.int64)])
    x, y = circuit.advice("x"), circuit.advice("y")
    circuit.lookup("y is x squared", circuit.table("squares", [i(), square()]), [x(), y()], on())
    return circuit


@pytest.mark.parametrize("group", [1, 2, 4])
def test_tuples_and_numerators(group: int) -> None:
    x = np.array([3, 10, 0, 3, 1, 2, 77, -5])
    y = np.array([9, 100, 0, 9, 1, 4, 12, 12])  # beyond row 5 nothing is looked up
    counts = np.bincount(x[:6], minlength=ROWS)
    assert passes(pair_circuit(group), x, y, counts)
    for row in range(6):
        wrong = y.copy()
        wrong[row] += 1
        assert not passes(pair_circuit(group), x, wrong, counts)
    swapped = y.copy()
    swapped[[0, 1]] = y[[1, 0]]  # entries of their columns, but not pairs
    assert not passes(pair_circuit(group), x, swapped, counts)


def test_a_table_in_parts_holds_the_entries_of_each() -> None:
    def circuit() -> Circuit:
        made = Circuit(K, group=2)
        row = made.fixed("row", np.arange(ROWS))
        x = made.advice("x")
        table = made.table("two parts", [row()], [row() + 100])
        made.lookup("x", table, [x()])
        return made

    x = np.array([0, 10, 100, 110, 105, 5, 5, 5, 1, 1, 1])
    low = np.bincount(x[x < 50], minlength=ROWS)
    high = np.bincount(x[x > 50] - 100, minlength=ROWS)
    assert passes(circuit(), x, low, high)
    assert not passes(circuit(), x, high, low)
    for value in (11, 99, 111, -1):
        assert not passes(circuit(), np.r_[value, x[1:]], low, high)


def test_one_tables_entries_never_serve_another() -> None:
    def circuit() -> Circuit:
        made = Circuit(K, group=3)
        small, large = made.fixed("small", np.arange(4)), made.fixed("large", np.arange(ROWS))
        x, z = made.advice("x"), made.advice("z")
        one, other = made.table("small", [small()]), made.table("large", [large()])
        made.lookup("x is small", one, [x()])
        made.lookup("z is large", other, [z()])
        return made

    x, z = np.arange(ROWS) % 4, np.arange(ROWS)
    assert passes(circuit(), x, z, np.bincount(x, minlength=ROWS), np.ones(ROWS))
    # x = 9 counted in the other table: without tags the sums would agree.
    x[0], z[9] = 9, 0
    counts = np.bincount(x[1:], minlength=ROWS)
    counts[0] += 1
    assert not passes(circuit(), x, z, counts, np.ones(ROWS))


@pytest.mark.parametrize("pairs_first", [True, False])
def test_no_entry_of_a_table_passes_for_one_of_a_table_of_another_width(pairs_first: bool) -> None:
    """(e, number of the shorter table) for a pair: as polynomials in theta they were equal while numbers began at 0."""
    circuit = Circuit(K, group=2)
    i, fives = circuit.fixed("i", np.arange(ROWS)), circuit.fixed("fives", np.full(ROWS, 5))
    on = circuit.fixed("on", np.array([1]))
    x, y, z = (circuit.advice(name) for name in "xyz")
    declared = [lambda: circuit.table("pairs", [i(), fives()]), lambda: circuit.table("singles", [i() + 100])]
    made = [declare() for declare in (declared if pairs_first else declared[::-1])]
    pairs, singles = made if pairs_first else made[::-1]
    circuit.lookup("a pair", pairs, [x(), y()], on())
    circuit.lookup("a single", singles, [z()], on())
    srs = SRS.development(K, tau=5)
    pk = keygen(circuit, srs)

    def proved(pair: tuple[int, int], single: int, in_pairs: int, in_singles: list[int]) -> None:
        counts = [np.bincount([in_pairs], minlength=ROWS) if in_pairs >= 0 else np.zeros(ROWS, np.int64)]
        counts.append(np.bincount(in_singles, minlength=ROWS))
        columns = [np.array([value]) for value in (*pair, single)] + (counts if pairs_first else counts[::-1])
        verify(pk.vk, prove(pk, Witness(dict(zip(circuit.advice_names, columns, strict=False)), b""), srs))

    proved((3, 5), 104, 3, [4])
    for number in (0, 1, 2):  # counted among the singles, it is no pair whatever number stands in its second place
        with pytest.raises(UnsatisfiedError):
            proved((103, number), 104, -1, [3, 4])
