"""Expressions as tapes: whatever is written is computed, by a machine of ten lines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from plonnx.solidity.arithmetic import Arithmetic, Place, Value
from plonnx.solidity.schedule import DIFFERENCE, GENERAL, MINUS_ONE, ONE, PRODUCT, RUNS, SUM, TAKES, ZERO
from plonnx.solidity.tape import Tape, assemble
from tests.reference_verifier import R


def outputs(tape: Tape, inputs: Mapping[Place, int]) -> list[int]:
    """What a tape computes."""
    words = {ZERO: 0, ONE: 1, MINUS_ONE: R - 1, **inputs}
    words.update({Place("small", i): value for i, value in enumerate(tape.small)})
    words.update({Place("wide", i): value for i, value in enumerate(tape.wide)})
    assert all(value < 1 << 32 for value in tape.small)
    done = 0
    for kind, numbers in tape.blocks:
        assert len(numbers) == 18
        for start in range(0, 18, TAKES[kind]):
            for value in computed(kind, numbers[start : start + TAKES[kind]], words):
                words[Place("results", done)] = value % R
                done += 1
    assert done == tape.words
    return [words[place] for place in tape.outputs]


def computed(kind: int, numbers: tuple[Place | int, ...], words: Mapping[Place, int]) -> list[int]:
    """What the next words become."""
    if kind == RUNS:
        first, *_, x, _, _ = numbers
        terms, stride, count, apart = (n for n in (*numbers[1:3], *numbers[4:]) if not isinstance(n, Place))
        if not isinstance(first, Place) or not isinstance(x, Place):
            assert not count
            return []
        at = [[Place(first.space, first.index + j * apart + i * stride) for i in range(terms)] for j in range(count)]
        return [sum(pow(words[x], i, R) * words[place] for i, place in enumerate(places)) for places in at]
    a, b, *c = (words[place] for place in numbers if isinstance(place, Place))
    return [{GENERAL: a * b + sum(c), PRODUCT: a * b, SUM: a + b, DIFFERENCE: b - a}[kind]]


@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_any_expressions(seed: int, length: int) -> None:
    rng = random.Random(seed)
    field = Arithmetic()
    known = {Place(space, i): rng.randrange(R) for space in ("evaluations", "drawn") for i in range(9)}
    values = [Known(field.input(*place), value) for place, value in known.items()]
    delta = rng.randrange(R)
    constants = [0, 1, 2, R - 1, R - 2, 1 << 32, R - (1 << 32), delta, delta**2 % R, delta**3 % R, R - delta]
    values += [Known(field.value(value), value) for value in constants]
    for _ in range(length):
        values.append(combined(rng, rng.choice(values), rng.choice(values[-12:]), values, field))
    chosen = [values[-1], *rng.sample(values, min(len(values), 3))]
    assert outputs(assemble(field, [each.value for each in chosen]), known) == [each.number % R for each in chosen]


class Known(NamedTuple):
    """An expression, and what it is."""

    value: Value
    number: int


def combined(rng: random.Random, a: Known, b: Known, values: list[Known], field: Arithmetic) -> Known:
    """One more expression, at times a long one of the kinds that are brought to another form."""
    (x, m), (y, n) = a, b
    exponent, count, stride = rng.randrange(20), rng.randrange(1, 9), rng.randrange(1, 3)
    words = [values[i * stride] for i in range(min(count, 8 // stride + 1))]
    drawn, others = values[9 + rng.randrange(2)], rng.choices(values, k=count)
    made = [
        (x + y, m + n),
        (x - y, m - n),
        (x * y, m * n),
        (x + y * x, m + n * m),
        (x**exponent, pow(m, exponent, R)),
        (field.polynomial(x, [w.value for w in words]), sum(pow(m, i, R) * w.number for i, w in enumerate(words))),
    ]
    total = horner = Known(field.value(0), 0)
    for at, other in enumerate(others):
        power = at * stride + exponent
        sign = rng.choice((1, 1, 1, -1))
        term = Known(drawn.value**power * other.value, pow(drawn.number, power, R) * other.number)
        value = total.value + term.value if sign > 0 else total.value - term.value
        total = Known(value, (total.number + sign * term.number) % R)
        coefficient = Known(other.value * y + at, (other.number * n + at) % R)
        horner = Known(
            horner.value * drawn.value + coefficient.value, (horner.number * drawn.number + coefficient.number) % R
        )
    value, number = rng.choice([*made, total, horner])
    return Known(value, number % R)


def test_a_sum_of_products_takes_an_instruction_each() -> None:
    field = Arithmetic()
    x = [field.input("evaluations", i) for i in range(8)]
    total = x[0] * x[1] + x[2] * x[3] - x[4] * x[5] - x[6] + 7
    tape = assemble(field, [total, total * total])
    assert len(tape.steps) == 5  # three products, of which two come with 7 and with x6; the difference; the square
    assert tape.small == [7] and not tape.wide


def test_sums_in_powers_are_runs() -> None:
    """Whatever order they are written in: over words side by side, over results that are put there, over runs."""
    field = Arithmetic()
    x = [field.input("evaluations", i) for i in range(24)]
    u, v = field.input("drawn", 1), field.input("drawn", 2)
    shuffled = random.Random(1).sample(range(8), 8)
    total = field.value(0)
    for i in shuffled:
        total += u ** (3 * i + 2) * x[i]
    assert [block.kind for block in assemble(field, [total]).blocks] == [PRODUCT, RUNS, PRODUCT]
    chain = field.value(0)
    for i in range(9):
        chain = chain * v + (x[i] * x[i + 1] - x[i + 2])
    kinds = [block.kind for block in assemble(field, [chain]).blocks]
    assert kinds == [PRODUCT, DIFFERENCE, RUNS]
    both = field.value(0)
    for i in reversed(range(6)):
        both = both * v + field.polynomial(u, x[4 * i : 4 * i + 4])
    (block,) = assemble(field, [both]).blocks
    x_at = Place("drawn", 1), Place("drawn", 2)
    assert block.numbers[:6] == (Place("evaluations", 0), 4, 1, x_at[0], 6, 4)
    assert block.numbers[6:12] == (Place("results", 0), 6, 1, x_at[1], 1, 0)


def test_constants_follow_from_the_last_sum() -> None:
    field = Arithmetic()
    x, y = field.input("evaluations", 0), field.input("evaluations", 1)
    tape = assemble(field, [x - y - 100 * i for i in range(9)])
    assert tape.small == [100] and len(tape.steps) == 9
