"""The permutation argument: cycles against a plain union-find, copies kept and broken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk import prover
from plonnx.plonk.arguments.permutation import cycles
from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.expression import X, degree
from plonnx.plonk.keygen import keygen
from plonnx.plonk.mock import Check, MockProver
from plonnx.plonk.program import DELTA, MODULUS
from plonnx.plonk.prover import UnsatisfiedError, Witness, prove
from plonnx.plonk.structure import blinding_rows
from plonnx.plonk.verifier import VerificationError, verify

Integers = NDArray[np.int64]


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


def named(columns: Iterable[Integers]) -> Witness:
    """x0, x1, .. of `copying`."""
    return Witness({f"x{i}": column for i, column in enumerate(columns)}, b"")


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
    mock = MockProver(circuit)
    assert mock.failures(named(values)) == []
    srs = SRS.development(4, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, named(values), srs))
    for i, j in cells:
        broken = values.copy()
        broken[i, j] = 8
        found = {f.constraint for f in mock.failures(named(broken))}
        assert found == {"copy", "gate 'permutation product ends'"}


@pytest.mark.parametrize(
    ("views", "group", "further"),
    [
        (2, 1, 0),
        (3, 1, 1),
        (4, 2, 1),
        (5, 2, 2),
        (5, 5, 0),
        (6, 5, 1),
        (10, 5, 1),
        (11, 5, 2),
        (9, 3, 2),
        (26, 3, 8),
    ],
)
def test_the_product_has_as_many_columns_as_the_degree_asks_for(views: int, group: int, further: int) -> None:
    """No gate of the argument has a higher degree than a helper column's; parts are as equal as may be."""
    circuit = copying(views, [(i, 0, i + 1, 0) for i in range(views - 1)], group)
    circuit.finish()
    assert sum(name.startswith("permutation product behind") for name in circuit.advice_names) == further
    degrees = [degree(gate.expression, circuit.n, 0) for gate in circuit.gates]
    assert max(degrees) == (-(-views // (1 + further)) + 1) * (circuit.n - 1) <= (max(2, group) + 1) * (circuit.n - 1)


@pytest.mark.parametrize(("views", "group"), [(3, 1), (4, 2), (7, 2), (7, 3), (8, 3)])
def test_the_product_and_its_parts_are_what_python_multiplies(views: int, group: int) -> None:
    """And no row of any of its columns may be another: gates say so wherever one cell is changed."""
    random = np.random.default_rng(views)
    circuit = copying(views, [(i, 1, i + 1, 3) for i in range(views - 1)] + [(0, 0, 0, 5)], group)
    values = random.integers(-99, 99, (views, 16 - 5))
    values[1:, 3] = values[:-1, 1] = 7
    values[-1, 3], values[0, 0], values[0, 5] = 7, 5, 5
    check = Check(MockProver(circuit), named(values))
    assert check.failures() == []
    last = circuit.n - blinding_rows(circuit)
    made = [(i, name) for i, name in enumerate(circuit.advice_names) if name.startswith("permutation product")]
    columns = {i: check.column("advice", i) for i, _ in made}
    held = {i: [values[row] for row in range(circuit.n)] for i, values in columns.items()}
    beta, gamma = (check.scalars[name] for name in ("beta", "gamma"))
    sigma = [check.column("fixed", i) for i in range(views)]
    ends = [views * part // len(made) for part in range(len(made) + 1)]
    z = 1
    for row in range(last):
        for part, (column, _) in enumerate(made):
            assert held[column][row] == z, (part, row)
            for view in range(ends[part], ends[part + 1]):
                value, own = int(values[view, row]), pow(DELTA, view, MODULUS) * pow(_native.omega(4), row, MODULUS)
                z = z * (value + beta * own + gamma) * pow(value + beta * sigma[view][row] + gamma, -1, MODULUS)
                z %= MODULUS
    assert held[made[0][0]][last] == z == 1
    for column, name in made:
        for row in range(last + (column == made[0][0])):
            changed = list(held[column])
            changed[row] = random.integers(1 << 62).item()
            check._values["advice", column] = _native.Vec.from_scalars(changed)
            assert check._gates(1), (name, row)
        check._values["advice", column] = _native.Vec.from_scalars(held[column])
    assert not check._gates(1)


def test_a_copied_column_is_in_the_product_once() -> None:
    circuit = copying(2, [(0, 0, 1, 0), (0, 1, 1, 1), (1, 2, 1, 3)], 3)
    circuit.finish()
    assert [name for name in circuit.fixed_names if name.startswith("sigma")] == ["sigma of x0", "sigma of x1"]


# Copies of expressions -----------------------------------------------------------------------------------------------


def expressed(group: int = 3) -> Circuit:
    """x - y on rows 0 and 1 equals z on rows 4 and 2, and x + 2 z on row 5."""
    circuit = Circuit(4, group=group)
    x, y, z = (circuit.advice(name) for name in "xyz")
    circuit.copy(x() - y(), np.array([0, 1]), z, np.array([4, 2]))
    circuit.copy(z, np.array([4]), x() + 2 * z(), np.array([5]))
    return circuit


def expressed_witness() -> dict[str, Integers]:
    x = np.array([9, 3, 0, 0, 0, 1])
    y = np.array([2, 8, 0, 0, 0, 0])
    z = np.array([0, 0, -5, 0, 7, 3])
    return {"x": x, "y": y, "z": z}


def copy(columns: Mapping[str, Integers]) -> dict[str, Integers]:
    return {name: column.copy() for name, column in columns.items()}


@pytest.mark.parametrize("group", [1, 2, 4])
def test_views_are_copied_as_their_values(group: int) -> None:
    columns = expressed_witness()
    mock = MockProver(expressed(group))
    assert mock.failures(Witness(columns, b"")) == []
    srs = SRS.development(4, tau=5)
    pk = keygen(expressed(group), srs)
    verify(pk.vk, prove(pk, Witness(columns, b""), srs))
    copied = {("x", 0), ("x", 1), ("y", 0), ("y", 1), ("z", 4), ("z", 2), ("x", 5), ("z", 5)}
    for name, column in columns.items():
        for row in range(len(column)):
            broken = copy(columns)
            broken[name][row] += 1
            found = mock.failures(Witness(broken, b""))
            wanted = {"copy", "gate 'permutation product ends'"} if (name, row) in copied else set()
            assert {failure.constraint for failure in found} == wanted, (name, row)
    kept = copy(columns)
    kept["x"][0] += 4
    kept["y"][0] += 4  # the difference is what is copied
    assert mock.failures(Witness(kept, b"")) == []
    verify(pk.vk, prove(pk, Witness(kept, b""), srs))


def test_a_broken_copy_of_an_expression_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    srs = SRS.development(4, tau=5)
    pk = keygen(expressed(), srs)
    columns = expressed_witness()
    columns["y"][1] += 1
    with pytest.raises(UnsatisfiedError):
        prove(pk, Witness(columns, b""), srs)
    monkeypatch.setattr(prover, "check_evaluations", lambda *arguments: None)
    with pytest.raises(VerificationError, match="pairing"):
        verify(pk.vk, prove(pk, Witness(columns, b""), srs))


def test_equal_expressions_are_one_view() -> None:
    circuit = Circuit(4)
    x, y = circuit.advice("x"), circuit.advice("y")
    circuit.copy(x() - y(), np.array([0]), x, np.array([1]))
    circuit.copy(-y() + x(), np.array([2]), x, np.array([3]))
    circuit.finish()
    assert [name for name in circuit.fixed_names if name.startswith("sigma")] == ["sigma of x", "sigma of x - y"]


def test_a_copied_expression_is_named_with_its_first_cell() -> None:
    columns = expressed_witness()
    columns["x"][0] += 1
    found = [str(f) for f in MockProver(expressed()).failures(Witness(columns, b"")) if f.constraint == "copy"]
    assert found == ["copy fails on row 0: x - y at x[0] = 8, z[4] = 7"]


@pytest.mark.parametrize("view", ["rotated", "fixed", "selector"])
def test_views_of_anything_but_a_rows_own_advice_are_refused(view: str) -> None:
    circuit = Circuit(4)
    x, f = circuit.advice("x"), circuit.fixed("f", np.arange(3))
    of = {"rotated": x() + x(1), "fixed": x() + f(), "selector": x() * X}[view]
    circuit.copy(of, np.array([0]), x, np.array([1]))
    with pytest.raises(CircuitError, match="only advice of phase 0 on its own row can be copied"):
        circuit.finish()
