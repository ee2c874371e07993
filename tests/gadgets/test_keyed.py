"""Values by key: against plain Python, and every value and key that a prover could choose at T = 8."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, OutOfRange
from plonnx.gadgets.keyed import Keyed, look_up
from plonnx.kzg.record import Malformed
from tests.gadgets.search import Search
from tests.properties.models import Model, lay_out


@settings(max_examples=12)
@given(st.integers(3, 8), st.integers(1, 9), st.integers(1, 4), st.integers(0, 1 << 30))
def test_values_by_key(bits: int, count: int, lanes: int, seed: int) -> None:
    """Of two tables, with gaps, whose keys are kept apart."""
    random, size = np.random.default_rng(seed), 1 << bits
    builder = Builder(bits)
    inputs, wanted = {}, {}
    for name in "xy":
        keys = np.sort(random.permutation(4 * size)[: size // 2])
        values = random.integers(1 - size, size, len(keys))
        chosen = random.integers(0, len(keys), count)
        x = random.integers(1 - size, size, count)
        cells = builder.input(name, (count,), public=False)
        table = np.stack([keys, values], axis=1)
        builder.output(f"of {name}", look_up(builder, cells, keys[chosen] - x, table, f"of {name}"))
        inputs[name], wanted[f"of {name}"] = x[None], values[chosen].tolist()
    assert {name: made[0].tolist() for name, made in builder.evaluate(inputs).items()} == wanted
    case = lay_out(Model(builder, inputs), lanes, 1)
    assert case.failures(case.witness()) == []


def test_a_key_without_a_value_is_refused() -> None:
    builder = Builder(4)
    look_up(builder, builder.input("x", (1,)), np.array([0]), np.array([[1, 5], [3, 6]]), "y")
    with pytest.raises(OutOfRange, match="tensor y: the value 2 is outside"):
        builder.run({"x": np.array([[2]])})


@pytest.mark.parametrize(
    ("keys", "reason"),
    [([5, 3], "ascending"), ([3, 3], "ascending"), ([3, 1 << 40], "too large"), ([5, -1 << 63, -3, 5], "too large")],
)
def test_a_file_with_a_key_twice_is_refused(keys: list[int], reason: str) -> None:
    """One key with two values would leave the prover a choice; 64-bit differences wrap, so that 5, -2^63 ascend."""
    builder = Builder(4)
    look_up(builder, builder.input("x", (1,)), np.array([0]), np.array([[1, 5], [3, 6]]), "y")
    block = builder.blocks[-1]
    assert isinstance(block, Keyed)
    table = np.stack([keys, np.arange(len(keys))], axis=1)
    with pytest.raises(Malformed, match=reason):
        replace(block, table=table).validate("block 1")


def test_a_file_whose_keys_another_reaches_is_refused() -> None:
    """An offset so far out that x comes to what the other gadget's keys hold; or keys right behind its own."""
    builder, table = Builder(4), np.array([[1, 5], [3, 6]])
    x = builder.input("x", (1,))
    for name in "yz":
        look_up(builder, x, np.array([0]), table, name)
    one, other = (block for block in builder.blocks if isinstance(block, Keyed))
    one.follows(None, 16, "")
    other.follows(one, 16, "")
    for wrong, before in ((replace(one, offsets=other.offsets), None), (replace(other, table=other.table - 1), one)):
        with pytest.raises(Malformed, match="in reach of another's"):
            wrong.follows(before, 16, "block 1")


@pytest.mark.parametrize("signed", [False, True])
def test_no_other_cells_pass(signed: bool) -> None:
    units = [(v, 0) for v in range(8)] + [(0, v) for v in range(1, 8)]
    table = np.array([[0, 5], [1, -3], [2, 0], [6, 7]])
    chosen = list(itertools.product(range(4), units, (0, 3)))
    x = np.array([row for row, _, _ in chosen])
    a, b = (np.array([unit[i] for _, unit, _ in chosen]) for i in range(2))
    c = np.array([c for _, _, c in chosen])
    builder = Builder(3)
    cells = builder.input("x", (len(chosen),), public=False)
    look_up(builder, cells, table[x, 0] - x, table, "y")
    search = Search(Model(builder, {"x": x[None]}), signed=signed)
    for move in (0, 1):  # e with the value, or not: then q is no longer x
        passed = search.accepted([{"a": a, "b": b, "c": c, "e": x - (a - b) + move}])
        np.testing.assert_array_equal(passed, (a - b == table[x, 1]) & (move == 0))


def test_no_value_reaches_the_keys_of_another_gadget() -> None:
    """Whatever |v| < T a prover puts in the place of x."""
    builder, size = Builder(4), 16
    x = builder.input("x", (2,), public=False)
    for number in range(3):
        look_up(builder, x, np.array([0, 2]), np.stack([np.arange(4), np.arange(4) + number], axis=1), f"y{number}")
    blocks = [block for block in builder.blocks if isinstance(block, Keyed)]
    for block in blocks:
        made = {int(offset) + v for offset in block.offsets for v in range(1 - size, size)}
        for other in blocks:
            assert bool(made & set(other.table[:, 0].tolist())) == (other is block)
