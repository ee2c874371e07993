"""Expressions as tapes: whatever is written is computed, by a machine of ten lines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from plonnx.solidity.tape import MINUS_ONE, ONE, ZERO, Arithmetic, Instruction, Place, Tape, Value, assemble
from tests.reference_verifier import R


def outputs(tape: Tape, inputs: Mapping[Place, int]) -> list[int]:
    """What a tape computes."""
    words = {ZERO: 0, ONE: 1, MINUS_ONE: R - 1, **inputs}
    words.update({Place("small", i): value for i, value in enumerate(tape.small)})
    words.update({Place("wide", i): value for i, value in enumerate(tape.wide)})
    assert all(value < 1 << 32 for value in tape.small)

    def write(space: str, instructions: list[Instruction]) -> None:
        for number, (a, b, c) in enumerate(instructions):
            words[Place(space, number)] = (words[a] * words[b] + words[c]) % R

    write("first", tape.first)
    for number, run in enumerate(tape.runs):
        terms = (words[Place(run.first.space, run.first.index + i * run.stride)] for i in range(run.terms))
        words[Place("runs", number)] = sum(pow(words[run.x], i, R) * term for i, term in enumerate(terms)) % R
    write("second", tape.second)
    return [words[place] for place in tape.outputs]


@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_any_expressions(seed: int, length: int) -> None:
    rng = random.Random(seed)
    field = Arithmetic()
    known = {Place("evaluations", i): rng.randrange(R) for i in range(9)}
    values = [Known(field.input(*place), value) for place, value in known.items()]
    delta = rng.randrange(R)
    constants = [0, 1, 2, R - 1, R - 2, 1 << 32, R - (1 << 32), delta, delta**2 % R, delta**3 % R, R - delta]
    values += [Known(field.value(value), value) for value in constants]
    for _ in range(length):
        values.append(combined(rng, rng.choice(values), rng.choice(values[-12:]), field, known))
    chosen = [values[-1], *rng.sample(values, min(len(values), 3))]
    assert outputs(assemble(field, [each.value for each in chosen]), known) == [each.number % R for each in chosen]


class Known(NamedTuple):
    """An expression, what it is, and whether a Horner run is in it."""

    value: Value
    number: int
    late: bool = False


def combined(rng: random.Random, a: Known, b: Known, field: Arithmetic, known: Mapping[Place, int]) -> Known:
    """One more expression."""
    (x, m, _), (y, n, _) = a, b
    late = a.late or b.late
    exponent, terms, stride = rng.randrange(20), rng.randrange(1, 5), rng.randrange(1, 3)
    made = [
        Known(x + y, m + n, late),
        Known(x - y, m - n, late),
        Known(x * y, m * n % R, late),
        Known(x + y * x, (m + n * m) % R, late),
        Known(x**exponent, pow(m, exponent, R), a.late),
    ]
    if not a.late:  # the x of a run is none of a run
        total = sum(pow(m, i, R) * known[Place("evaluations", i * stride)] for i in range(terms))
        made.append(Known(field.horner(field.input("evaluations", 0), terms, stride, x), total % R, terms > 1))
    return rng.choice(made)


def test_a_sum_of_products_takes_an_instruction_each() -> None:
    field = Arithmetic()
    x = [field.input("evaluations", i) for i in range(8)]
    total = x[0] * x[1] + x[2] * x[3] - x[4] * x[5] - x[6] + 7
    tape = assemble(field, [total, total * total])
    assert len(tape.first) == 5  # three products, of which two come with 7 and with x6; the difference; the square
    assert tape.small == [7] and not tape.wide and not tape.runs and not tape.second
