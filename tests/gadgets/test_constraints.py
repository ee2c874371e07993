"""Unit, linear check and public values, exhaustively at small T: exactly the honest cells pass."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets import Builder, unit
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout, Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import values_per_word

SIZE, ROWS = 4, 11


def passes(
    circuit: Circuit, columns: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]], public: bytes = b""
) -> bool:
    inside = [c[(c >= 0) & (c < SIZE)] for c in columns]
    counts = multiplicities(np.arange(SIZE), inside, SIZE)
    counts[0] += sum(ROWS - len(c) for c in columns)
    return MockProver(circuit, Witness((*columns, counts), public)).failures() == []


def test_a_unit_is_in_range_with_one_part_zero() -> None:
    circuit = Circuit(4)
    unit.add_lanes(circuit, 1, SIZE, ROWS)
    for cells in itertools.product(range(-1, SIZE + 1), repeat=3):
        a, b, _ = cells
        expected = all(0 <= cell < SIZE for cell in cells) and a * b == 0
        assert passes(circuit, [np.array([cell]) for cell in cells]) == expected, cells


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(), st.booleans()), min_size=1, max_size=20))
def test_fill_gives_the_one_solution(bits: int, drawn: list[tuple[int, bool]]) -> None:
    size = 1 << bits
    values = np.array([v % (2 * size - 1) - size + 1 for v, _ in drawn])
    rests = np.array([v % size for v, _ in drawn])
    summed = np.array([on for _, on in drawn])
    sums = values * size + rests - (size >> 1)  # every sum that is rounded to the value
    assert ((sums + (size >> 1)) >> bits == values).all()
    a, b, c, e = unit.fill(values, values, sums, summed, size)
    assert (e == 0).all()
    assert ((a >= 0) & (b >= 0) & (a * b == 0) & (a - b == values)).all()
    assert (c == np.where(summed, rests, 0)).all()
    assert (size * (a - b) + c - size // 2 == sums)[summed].all()


@pytest.mark.parametrize("size", [2, 8, 10, 11, 12, 22, 23, 64])
def test_the_range_table_in_parts_holds_0_to_t(size: int) -> None:
    circuit = Circuit(4)
    unit.add_lanes(circuit, 1, size, ROWS)
    x = np.array([0, size - 1, size // 2, 1])
    zeros = np.zeros(4, np.int64)
    for value in (-2, -1, 0, 1, ROWS - 1, ROWS, ROWS + 1, size - 1, size, size + 1, 2 * ROWS):
        a = np.r_[value, x[1:]]
        counts = np.bincount(a[(a >= 0) & (a < size)], minlength=size)
        counts[0] += 2 * 4 + 3 * (ROWS - 4)
        witness = Witness((a, zeros, zeros, *unit.count_parts(counts, ROWS)), b"")
        assert (MockProver(circuit, witness).failures() == []) == (0 <= value < size), value


def single(weight: int, bias: int, coefficient: int | None = None, public_output: bool = True) -> Layout:
    """y = weight x + bias with a hidden x: one unit each."""
    builder = Builder(2)
    x = builder.input("x", (1, 1), public=False)
    if coefficient is None:
        y = builder.linear(x, np.array([[weight]]), np.array([bias]), "y")
    else:
        y = builder.sum([(x, coefficient)], np.array([[bias]]), "y")
    builder.output("y", y, public=public_output)
    return Layout(builder, Shape(4, 1, 1, 3))


@pytest.mark.parametrize(("weight", "bias", "coefficient"), [(3, 1, None), (-2, -3, None), (0, 3, 2), (0, -1, -3)])
@pytest.mark.parametrize("x", [-3, 0, 2])
def test_given_x_one_unit_passes(weight: int, bias: int, coefficient: int | None, x: int) -> None:
    layout = single(weight, bias, coefficient, public_output=False)
    circuit = arithmetize(layout, "", layout.tensors)
    done = layout.builder.run({"x": np.array([[[x]]])})
    honest = Filler(layout).advice(done)
    row = layout.places[1].value_rows[0, 0]
    accepted = []
    for a, b in [*((v, 0) for v in range(SIZE)), *((0, v) for v in range(1, SIZE))]:
        for c in range(SIZE):
            columns = [column.copy() for column in honest[:3]]
            for column, cell in zip(columns, (a, b, c), strict=True):
                column[row] = cell
            if passes(circuit, columns):
                accepted.append((a - b, c))
    y = (coefficient if coefficient is not None else weight) * x + bias
    assert accepted == [divmod(y + SIZE // 2, SIZE)]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("value", [-3, -1, 0, 2])
def test_one_byte_states_a_value(value: int, positive: bool) -> None:
    builder = Builder(2)
    x = builder.input("x", (1,), public=False)
    builder.output("y", builder.relu(x, "y") if positive else x)
    layout = Layout(builder, Shape(4, 1, 1, 3))
    circuit = arithmetize(layout, "", layout.tensors)
    columns = Filler(layout).advice(builder.run({"x": np.array([[value]])}))[:3]
    accepted = [byte for byte in range(256) if passes(circuit, columns, bytes([byte]))]
    assert accepted == [(max(value, 0) if positive else value) % 256]


@pytest.mark.parametrize(("bits", "width"), [(1, 1), (7, 1), (8, 2), (15, 2), (16, 3), (20, 3)])
def test_the_width_holds_the_sign(bits: int, width: int) -> None:
    builder = Builder(bits)
    builder.input("x", (1,))
    layout = Layout(builder, Shape(12, 1, 1, 3))
    assert [tensor.width for tensor in layout.tensors] == [width]
    assert (1 << bits) - 1 < 1 << (8 * width - 1)


def test_a_word_has_at_most_31_bytes() -> None:
    for width in range(1, 9):
        assert values_per_word(width) * width <= 31 < (values_per_word(width) + 1) * width


@given(st.lists(st.integers(-127, 127), min_size=40, max_size=40), st.integers(1, 3))
def test_words_of_many_values(values: list[int], lanes: int) -> None:
    """More values than a word holds, over lanes of which the last is short; any one byte changed is rejected."""
    builder = Builder(7)
    builder.output("y", builder.input("x", (40,)))
    layout = Layout(builder, Shape(7, lanes, 1, 3))
    circuit = arithmetize(layout, "", layout.tensors)
    advice = tuple(Filler(layout).advice(builder.run({"x": np.array([values])})))
    stated = np.array(values, np.int8).tobytes() * 2
    assert MockProver(circuit, Witness(advice, stated)).failures() == []
    for at in (0, 30, 31, 39, 40, 79):
        changed = bytearray(stated)
        changed[at] ^= 0x81
        assert MockProver(circuit, Witness(advice, bytes(changed))).failures() != []
