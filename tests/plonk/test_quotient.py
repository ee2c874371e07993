"""The quotient from few points beside the cosets: coefficient by coefficient that of one coset more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import squares
from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk import prover, quotient
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import ACTIVE, FIRST, Expression
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import Gates, ProvingKey
from plonnx.plonk.program import FEW, MODULUS
from plonnx.plonk.prover import Prover, UnsatisfiedError, Witness, seeded_rng
from plonnx.plonk.quotient import FEW_SHIFT, coset_shifts, factors
from plonnx.plonk.structure import by_cosets
from plonnx.plonk.structure import of as structure_of
from plonnx.plonk.verifier import verify
from tests.plonk import test_hidden

SRS_OF_THE_TESTS = SRS.development(9, tau=5)
SELECTORS = {"active": ACTIVE, "first": FIRST}
BASE = 2  # columns that gates multiply


@dataclass(frozen=True)
class Product:
    """A gate: a column of its own is a product of factors, each a base column at a rotation, plus a constant."""

    factors: tuple[tuple[int, int, int], ...]
    selector: str


def products() -> st.SearchStrategy[Product]:
    def of(selector: str) -> st.SearchStrategy[Product]:
        rotation = st.integers(0, 1 if selector == "active" else 0)
        factor = st.tuples(st.integers(0, BASE - 1), rotation, st.integers(0, 2))
        return st.builds(Product, st.lists(factor, max_size=6).map(tuple), st.just(selector))

    return st.sampled_from([*SELECTORS]).flatmap(of)


def circuit_of(gates: list[Product], k: int) -> Circuit:
    c = Circuit(k)
    base = [c.advice(f"a{i}") for i in range(BASE)]
    for i, gate in enumerate(gates):
        terms: list[Expression] = [base[column](rotation) + constant for column, rotation, constant in gate.factors]
        c.gate(f"product {i}", c.advice(f"b{i}")() - prod(terms), SELECTORS[gate.selector])
    for i, column in enumerate(base):  # each is in some gate
        c.gate(f"small {i}", column() * (column() - 1) * (column() - 2))
    return c


def witness_of(gates: list[Product], circuit: Circuit, seed: int, wrong: int | None = None) -> Witness:
    """Numbers that satisfy the gates, but for gate number `wrong` in the first or last row of its selector."""
    active = circuit.n - structure_of(circuit).blinding
    base = np.random.default_rng(seed).integers(0, 3, (BASE, active + 1))
    rotated = {column for gate in gates for column, rotation, _ in gate.factors if rotation}
    advice = {f"a{i}": column[: active + (i in rotated)] for i, column in enumerate(base)}
    for i, gate in enumerate(gates):
        rows = np.arange(active)
        terms = [base[column, rows + rotation] + constant for column, rotation, constant in gate.factors]
        advice[f"b{i}"] = made = np.ones(active, np.int64) * prod(terms)
        if i == wrong:
            made[active - 1 if gate.selector == "active" else 0] += 1
    return Witness(advice, b"")


def quotient_of(pk: ProvingKey, witness: Witness) -> tuple[bytes, bytes]:
    """The quotient's coefficients, and the proof."""
    found: list[bytes] = []

    def record(*arguments: Any) -> _native.Vec:
        made: _native.Vec = quotient.quotient(*arguments)
        found.append(made.to_bytes())
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prover, "quotient", record)
        proof = Prover(pk, SRS_OF_THE_TESTS).prove(witness, seeded_rng(b"quotient"))
    verify(pk.vk, proof)
    return found[0], proof.proof


def on_whole_cosets(pk: ProvingKey) -> ProvingKey:
    """The key with a coset for coefficients that are few."""
    return replace(pk, programs=tuple(Gates(g.cosets + (g.rest > 0), 0, g.program) for g in pk.programs))


def check(pk: ProvingKey, witness: Witness) -> None:
    """The same coefficients; beyond those that the gates' degree allows, none, wherever they are looked for."""
    found, proof = quotient_of(pk, witness)
    assert len(found) == 32 * max(gates.cosets * pk.vk.n + gates.rest for gates in pk.programs)
    all_few = replace(pk, programs=tuple(g._replace(rest=FEW if g.rest else 0) for g in pk.programs))
    for other in (on_whole_cosets(pk), all_few):
        expected, same = quotient_of(other, witness)
        assert (expected.rstrip(b"\0"), same) == (found.rstrip(b"\0"), proof)
        assert len(expected) >= len(found)


@given(st.lists(products(), min_size=1, max_size=5), st.integers(3, 6), st.integers(0, 1000))
def test_random_gates(gates: list[Product], k: int, seed: int) -> None:
    circuit = circuit_of(gates, k)
    pk = keygen(circuit, SRS_OF_THE_TESTS)
    assert any(g.rest for g in pk.programs)
    check(pk, witness_of(gates, circuit, seed))


@given(st.lists(products(), min_size=1, max_size=4), st.integers(3, 6), st.data())
def test_a_wrong_value_is_refused(gates: list[Product], k: int, data: st.DataObject) -> None:
    circuit = circuit_of(gates, k)
    made = Prover(keygen(circuit, SRS_OF_THE_TESTS), SRS_OF_THE_TESTS, keep=0)
    with pytest.raises(UnsatisfiedError):
        made.prove(witness_of(gates, circuit, 1, data.draw(st.integers(0, len(gates) - 1))))


@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 6, 8])
def test_arguments(group: int) -> None:
    circuit = squares.circuit(group=group)
    check(keygen(circuit, SRS_OF_THE_TESTS), squares.witness(circuit))


@pytest.mark.parametrize("packing", [1, 2, 4])
def test_masked_combinations(packing: int) -> None:
    """Of degree n + 1: each has two coefficients more."""
    check(keygen(test_hidden.circuit(packing=packing), SRS_OF_THE_TESTS), test_hidden.witness())


def test_gates_of_one_column_take_no_coset() -> None:
    """A proof of these alone transforms to no coset."""
    circuit = Circuit(4)
    a, b = circuit.advice("a"), circuit.advice("b")
    circuit.gate("sum", a(1) - a() - b())
    circuit.gate("start", a() - 5, FIRST)
    pk = keygen(circuit, SRS_OF_THE_TESTS)
    few, whole = pk.programs
    assert (few.cosets, few.rest, whole.cosets, whole.rest) == (0, 16 - pk.vk.last_row, 1, 0)
    steps = np.arange(pk.vk.last_row)
    check(pk, Witness({"a": 5 + np.r_[0, np.cumsum(steps)], "b": steps}, b""))
    circuit = Circuit(4)
    circuit.gate("five", circuit.advice("a")() - 5)
    pk = keygen(circuit, SRS_OF_THE_TESTS)
    assert coset_shifts(pk) == []
    check(pk, Witness({"a": np.full(pk.vk.last_row, 5)}, b""))
    with pytest.raises(UnsatisfiedError):
        prover.prove(pk, Witness({"a": 5 + (np.arange(pk.vk.last_row) == 3)}, b""), SRS_OF_THE_TESTS)


def test_keys_with_whole_cosets_read_and_prove_alike(tmp_path: Path) -> None:
    """Without further coefficients; verifying key and proof are the same ones."""
    circuit = squares.circuit()
    pk, whole = keygen(circuit, SRS_OF_THE_TESTS), tmp_path / "whole.pk"
    on_whole_cosets(pk).save(whole)
    made = ProvingKey.load(whole)
    assert [gates.rest for gates in made.programs] == [0] * len(pk.programs)
    assert quotient_of(made, squares.witness(circuit))[1] == quotient_of(pk, squares.witness(circuit))[1]


def test_a_part_takes_cosets_by_its_coefficients() -> None:
    n = 64
    cases = {-60: (0, 1), 1: (0, 1), 8: (0, 8), 9: (1, 0), 64: (1, 0), 65: (1, 1), 72: (1, 8), 73: (2, 0), 200: (3, 8)}
    assert {coefficients: by_cosets(coefficients, n) for coefficients in cases} == cases
    assert by_cosets(6, 4) == (2, 0)  # of fewer rows than FEW X^n takes two values there


@pytest.mark.parametrize("k", [3, 5, 20, 26])
def test_the_few_points_are_on_no_coset(k: int) -> None:
    """Where X^n is 1 or a coset's constant, R would be divided by zero."""
    n = 1 << k
    points = [FEW_SHIFT * pow(_native.omega(3), i, MODULUS) % MODULUS for i in range(FEW)]
    constants = [pow(pow(7, j + 1, MODULUS), n, MODULUS) for j in range(300)]
    assert not {pow(x, n, MODULUS) for x in points} & {1, *constants}
    assert len({pow(x, n, MODULUS) for x in points}) == 1
    assert factors(k, 3).vanishing[-1] == 1
