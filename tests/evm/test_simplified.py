"""Programs by fewer multiplications: the same value, whatever the program."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from plonnx.plonk import expression as ex
from plonnx.plonk.expression import ACTIVE, Column, Gate, Scalar
from plonnx.plonk.program import MUL, Program, Slot
from plonnx.solidity.simplified import simplified
from tests.evm.trapdoor import random_program
from tests.reference_verifier import R

DRAWN = ["chi", "psi", "y"]


def same(program: Program, seed: int) -> Program:
    """The simplified program, which gives what the program gives."""
    rng, short = random.Random(seed), simplified(program, DRAWN)
    at = {slot: rng.randrange(R) for slot in program.slots}
    scalars = {name: rng.randrange(R) for name in program.scalars}
    assert short.slots == program.slots and short.scalars == program.scalars
    assert short.run_point(at.__getitem__, scalars) == program.run_point(at.__getitem__, scalars)
    return short


def multiplications(program: Program) -> int:
    return int((program.ops[:, 0] == MUL).sum())


@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_any_program(seed: int, ops: int) -> None:
    slots = [Slot("advice", index, rotation) for index in range(4) for rotation in range(2)]
    same(random_program(random.Random(seed), slots, [*DRAWN, "sum of public values"], ops), seed)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90)), min_size=1, max_size=12), st.integers(0, 1 << 32))
def test_combinations(exponents: list[tuple[int, int]], seed: int) -> None:
    """Sums of columns times monomials, as packed circuits spell them out, in gates that share them."""
    chi, psi, y = map(Scalar, DRAWN)
    terms = [chi**a * psi**b * Column("fixed", i, f"f{i}")() for i, (a, b) in enumerate(exponents)]
    total, made = sum(terms), [Column("advice", i, f"a{i}") for i in range(2)]
    gates = [
        Gate("one", ACTIVE, made[0]() * total - made[1]()),
        Gate("other", None, made[1](1) - total * (made[0]() + chi)),
    ]
    program = ex.compile_gates(gates, y)
    assert multiplications(same(program, seed)) <= multiplications(program) + 2


def test_horner() -> None:
    """Sixteen columns in powers of one challenge take fifteen multiplications."""
    chi, y = Scalar("chi"), Scalar("y")
    program = ex.compile_gates([Gate("sum", None, sum(chi**i * Column("fixed", i, "f")() for i in range(16)))], y)
    assert multiplications(program) > 25 and multiplications(same(program, 1)) == 15
