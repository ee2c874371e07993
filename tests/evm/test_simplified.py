"""Programs by fewer multiplications: the same value, whatever the program."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.plonk import expression as ex
from plonnx.plonk.expression import ACTIVE, Column, Gate, Scalar
from plonnx.plonk.keys import InstanceColumn, Run, VerifyingKey
from plonnx.plonk.program import INVERSE_PSI, MUL, Program
from plonnx.solidity import arithmetic
from plonnx.solidity.arithmetic import Chains
from plonnx.solidity.public_words import run_words
from plonnx.solidity.simplified import simplified
from tests.evm import trapdoor
from tests.reference_verifier import R

CHI, PSI, Y, PUBLIC = map(Scalar, ("chi", "psi", "y", "public"))
KEY, _ = trapdoor.random_key(3, advice=4, fixed=3, ops=20, values=90)


def key_of(gates: list[Gate], runs: tuple[Run, ...] = ()) -> VerifyingKey:
    """A key with the program of these gates."""
    phases = (*KEY.phases[:-1], replace(KEY.phases[-1], challenges=("chi", "psi", "y")))
    phases = (*(replace(phase, challenges=()) for phase in phases[:-1]), phases[-1])
    return replace(KEY, phases=phases, instances=(InstanceColumn("public", runs),), program=ex.compile_gates(gates, Y))


def same(vk: VerifyingKey, seed: int) -> Program:
    """The simplified program, which gives what the key's does."""
    rng, short, runs = random.Random(seed), simplified(vk), run_words(vk)
    at = {slot: rng.randrange(R) for slot in vk.program.slots}
    drawn = {name: rng.randrange(R) for phase in vk.phases for name in phase.challenges}
    words = {name: rng.randrange(R) for name, _ in runs}
    assert not words.keys() & drawn.keys()
    named, waiting = {INVERSE_PSI: 9, **drawn}, iter(words.values())
    for column in vk.instances:
        psi = named.get("psi", 1)
        factors = (pow(named["chi"], run.exponent, R) * pow(psi, run.power, R) for run in column.runs)
        named[column.name] = sum(factor * next(waiting) for factor in factors) % R
    expected = vk.program.run_point(at.__getitem__, named)
    assert short.run_point(at.__getitem__, {INVERSE_PSI: 9, **drawn, **words}) == expected
    return short


def multiplications(program: Program) -> int:
    return int((program.ops[:, 0] == MUL).sum())


@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_any_program(seed: int, ops: int) -> None:
    slots = [slot for o in KEY.opened for slot in o.slots]
    scalars = ["chi", "beta", "y", "instance a"]
    same(replace(KEY, program=trapdoor.random_program(random.Random(seed), slots, scalars, ops)), seed)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90)), min_size=1, max_size=12), st.integers(0, 1 << 32))
def test_combinations(exponents: list[tuple[int, int]], seed: int) -> None:
    """Sums of columns times monomials, as packed circuits spell them out, in gates that share them; sums of words."""
    terms = [CHI**a * PSI**b * Column("fixed", i, f"f{i}")() for i, (a, b) in enumerate(exponents)]
    total, made = sum(terms), [Column("advice", i, f"a{i}") for i in range(2)]
    gates = [
        Gate("one", ACTIVE, made[0]() * total - made[1]()),
        Gate("other", None, made[1](1) - total * (made[0]() + CHI) - PUBLIC),
    ]
    vk = key_of(gates, tuple(Run(0, 1, 1, 1, *exponent) for exponent in exponents))
    assert multiplications(same(vk, seed)) <= multiplications(vk.program) + 3 * len(exponents) + 30


def test_horner() -> None:
    """Sixteen columns in powers of one challenge take fifteen multiplications."""
    vk = key_of([Gate("sum", None, sum(CHI**i * Column("fixed", i, "f")() for i in range(16)))])
    assert multiplications(vk.program) > 25 and multiplications(same(vk, 1)) == 15


class Counted(int):
    """A number that counts what is added to it and taken from it."""

    work = 0

    def __add__(self, other: int) -> Counted:
        Counted.work += 1
        return Counted(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other: int) -> Counted:
        Counted.work += 1
        return Counted(int(self) - int(other))


def additions(powers: int) -> int:
    """That so many powers of one challenge take; every one is the product of its two factors."""
    rng, Counted.work = random.Random(5), 0
    chains = Chains({((0, Counted(rng.randrange(1 << 40))),) for _ in range(powers)})
    assert all(dict(a).get(0, 0) + dict(b).get(0, 0) == powers[0][1] for powers, (a, b) in chains.known.items())
    return Counted.work


def test_many_powers_of_one_challenge_take_no_cube_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of somebody else's: its contract is written in time that its size bounds."""
    monkeypatch.setattr(arithmetic, "MOST_SUMMED", 16)
    three, few, many = additions(3), additions(10), additions(40)
    assert many < 4**2 * few
    monkeypatch.setattr(arithmetic, "MOST_SUMMED", 1 << 30)
    assert additions(3) > 16 * three  # what the bound is for


def test_no_challenge_has_the_name_of_a_run() -> None:
    """Words of one name share memory."""
    vk = key_of([Gate("public", None, PUBLIC - CHI)], (Run(0, 1, 1, 1, 3, 0), Run(1, 1, 1, 1, 5, 2)))
    hostile = ("run 0", "run_ 1", "chi", "psi", "y")
    vk = replace(vk, phases=(*vk.phases[:-1], replace(vk.phases[-1], challenges=hostile)))
    assert [name for name, _ in run_words(vk)] == ["run__ 0", "run__ 1"]
    same(vk, 2)
