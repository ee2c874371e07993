"""The permutation argument: cycles against a plain union-find, copies kept and broken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.kzg.srs import SRS
from plonnx.plonk.arguments.permutation import cycles
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keygen import blinding_rows, keygen
from plonnx.plonk.mock import MockProver
from plonnx.plonk.prover import Witness, prove
from plonnx.plonk.verifier import verify


def classes(size: int, pairs: list[tuple[int, int]]) -> list[frozenset[int]]:
    """The class of every element, by a plain union-find."""
    parent = list(range(size))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in pairs:
        parent[root(a)] = root(b)
    members: dict[int, set[int]] = {}
    for i in range(size):
        members.setdefault(root(i), set()).add(i)
    return [frozenset(members[root(i)]) for i in range(size)]


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
    )
)
def test_the_cycles_are_the_classes(case: tuple[int, list[tuple[int, int]]]) -> None:
    size, pairs = case
    sources, targets = np.array(pairs, np.int64).reshape(-1, 2).T
    sigma = cycles(sources, targets, size)
    assert sorted(sigma.tolist()) == list(range(size))
    for start, expected in enumerate(classes(size, pairs)):
        orbit, at = {start}, int(sigma[start])
        while at != start:
            orbit.add(at)
            at = int(sigma[at])
        assert orbit == expected


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_chain_and_its_reverse_are_one_cycle(size: int) -> None:
    for order in (np.arange(size), np.arange(size)[::-1]):
        sigma = cycles(order[:-1], order[1:], size)
        at, steps = int(sigma[0]), 1
        while at:
            at, steps = int(sigma[at]), steps + 1
        assert steps == size


def copying(columns: int, pairs: list[tuple[int, int, int, int]], group: int) -> Circuit:
    """Advice columns with no other constraint than these copies (column, row, column, row)."""
    circuit = Circuit(4, group=group)
    advice = [circuit.advice(f"x{i}") for i in range(columns)]
    for a, i, b, j in pairs:
        circuit.copy(advice[a], np.array([i]), advice[b], np.array([j]))
    return circuit


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("group", [1, 2, 3])
def test_copies_hold_and_break(columns: int, group: int) -> None:
    random = np.random.default_rng(columns)
    rows = 16 - 5
    drawn = zip(random.integers(0, columns, 12).tolist(), random.integers(0, rows, 12).tolist(), strict=True)
    cells = list(drawn)
    cells = list(dict.fromkeys([*cells, *((i, 0) for i in range(columns))]))
    pairs = [(*a, *b) for a, b in itertools.pairwise(cells)]
    circuit = copying(columns, pairs, group)
    circuit.finish()
    assert circuit.n - blinding_rows(circuit) == rows
    values = random.integers(-99, 99, (columns, rows))
    for i, j in cells:
        values[i, j] = 7
    assert MockProver(circuit, Witness(tuple(values), b"")).failures() == []
    srs = SRS.development(4, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, Witness(tuple(values), b""), srs))
    for i, j in cells:
        broken = values.copy()
        broken[i, j] = 8
        found = {f.constraint for f in MockProver(circuit, Witness(tuple(broken), b"")).failures()}
        assert found == {"copy", "gate 'permutation product ends'"}


def test_a_copied_column_is_in_the_product_once() -> None:
    circuit = copying(2, [(0, 0, 1, 0), (0, 1, 1, 1), (1, 2, 1, 3)], 3)
    circuit.finish()
    assert [name for name in circuit.fixed_names if name.startswith("sigma")] == ["sigma of x0", "sigma of x1"]
