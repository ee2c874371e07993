"""Public words: down the lanes of a place and across them, of values and of positive parts, in several windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, unit
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.mock import MockProver
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import unpack, values_per_word
from tests.properties.models import LaidOut, Model, lay_out


def passed(bits: int, shape: tuple[int, ...]) -> Model:
    """An input and its copy in another order."""
    builder, random = Builder(bits), np.random.default_rng(bits)
    x = builder.input("x", shape)
    builder.output("turned", x.transpose())
    return Model(builder, {"x": random.integers(1 - (1 << bits), 1 << bits, (1, *shape))})


def both_views(bits: int = 7) -> Model:
    """Values and positive parts of a sum, and a tensor that mixes them."""
    builder, random = Builder(bits), np.random.default_rng(1)
    x = builder.input("x", (9,))
    y = builder.sum([(x, 1 << bits)], None, "y")
    r = builder.relu(y, "r")
    builder.output("y", y)
    builder.output("r", r)
    builder.output("mixed", Cells.concatenate([y[:3], r[2:7], y[4:]], 0))
    return Model(builder, {"x": random.integers(-99, 100, (1, 9))})


def windowed() -> Model:
    """Two convolutions with borders, each stated, and tensors before, between and after them: windows of P."""
    builder, random = Builder(6), np.random.default_rng(2)
    x = builder.input("x", (2, 3, 4))
    taps = np.array([[0, 0], [1, 1], [-1, 0]])
    y = builder.convolution(x, random.integers(-4, 5, (2, 3, 2)), taps, np.array([70, -9]), (3, 3), "y")
    s = builder.sum([(y, 64)], None, "s")
    s = builder.sum([(y, 64)], None, "s")
    z = builder.convolution(builder.relu(y, "r"), random.integers(-9, 10, (2, 3, 1)), taps, None, (2, 2), "z")
    builder.output("z", z)
    builder.output("s", s)
    builder.output("y", y)
    builder.output("x's", builder.relu(x, "positive"))
    return Model(builder, {"x": random.integers(-60, 61, (1, 2, 3, 4))})


def narrow() -> Model:
    """Inputs of one byte and two where the table takes two, their positive parts, and a tensor of both."""
    builder, random = Builder(9), np.random.default_rng(3)
    x, z = builder.input("x", (3, 7), narrow=2), builder.input("z", (5,))
    builder.output("turned", x.transpose())
    builder.output("r", builder.relu(x, "r"))
    builder.output("both", Cells.concatenate([z, x.reshape(-1)], 0))
    return Model(builder, {"x": random.integers(-128, 128, (1, 3, 7)), "z": random.integers(-511, 512, (1, 5))})


MODELS: dict[str, Callable[[], Model]] = {
    "one byte": lambda: passed(7, (5, 7)),
    "two bytes": lambda: passed(9, (11, 3)),
    "many words": lambda: passed(5, (2, 40)),
    "both views": both_views,
    "narrow": narrow,
    "windows": windowed,
}


def ways(case: LaidOut) -> set[str]:
    runs = case.layout.runs
    found = {"across" if across else "down" for _, _, _, across in runs}
    found |= {"positive" for _, _, positive, _ in runs if positive}
    found |= {"several words" for _, run, _, across in runs if not across and run.count > run.per_word}
    return found | {f"window {place.window}" for place, *_ in runs}


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
@pytest.mark.parametrize("name", MODELS)
def test_exactly_the_true_bytes_pass(name: str, lanes: int) -> None:
    case = lay_out(MODELS[name](), lanes, 2)
    honest = case.witness()
    assert case.failures(honest) == []
    outputs = case.model.builder.evaluate(case.model.inputs)
    for tensor in case.layout.tensors:
        stated = case.model.inputs[tensor.name] if tensor.role == "input" else outputs[tensor.name]
        np.testing.assert_array_equal(unpack(tensor, honest.public_values), stated[0])
    random = np.random.default_rng(lanes)
    for at in random.permutation(len(honest.public_values))[:25].tolist():
        changed = bytearray(honest.public_values)
        changed[at] ^= 1 << int(random.integers(8))
        found = {failure.constraint for failure in case.failures(replace(honest, public_values=bytes(changed)))}
        assert found == {"gate 'running sum ends'"}


@settings(max_examples=60)
@given(st.sampled_from(sorted(MODELS)), st.integers(1, 6), st.data())
def test_bytes_that_make_up_for_each_other_fail(name: str, lanes: int, data: st.DataObject) -> None:
    """One more here and one less there: in one word, in one lane, on one row, in two tensors."""
    case = lay_out(MODELS[name](), lanes, 2)
    honest = case.witness()
    one, other = data.draw(st.lists(st.integers(0, len(honest.public_values) - 1), min_size=2, max_size=2, unique=True))
    changed = bytearray(honest.public_values)
    changed[one] = (changed[one] + 1) % 256
    changed[other] = (changed[other] - 1) % 256
    assert case.failures(replace(honest, public_values=bytes(changed)))
    swapped = bytearray(honest.public_values)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    if swapped != honest.public_values:
        assert case.failures(replace(honest, public_values=bytes(swapped)))


def test_the_cases_state_words_in_every_way() -> None:
    seen = {way for make in MODELS.values() for lanes in (1, 2, 3, 5) for way in ways(lay_out(make(), lanes, 2))}
    assert {"across", "down", "positive", "several words"} <= seen
    assert len({way for way in seen if way.startswith("window")}) >= 3


# Exhaustively at small T --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("value", [-3, -1, 0, 2])
def test_one_byte_states_a_value(value: int, positive: bool) -> None:
    builder = Builder(2)
    x = builder.input("x", (1,), public=False)
    builder.output("y", builder.relu(x, "y") if positive else x)
    layout = Layout(builder, Shape(4, 1, 1, 3))
    mock = MockProver(arithmetize(layout, "", layout.tensors))
    advice = Filler(layout).advice(builder.run({"x": np.array([[value]])}))
    accepted = [byte for byte in range(256) if not mock.failures(Witness(advice, bytes([byte])))]
    assert accepted == [(max(value, 0) if positive else value) % 256]


def test_a_narrow_value_cannot_be_carried_to_the_next() -> None:
    """4 and 130 are the same word as 5 and -126: the range of c alone forbids it, whatever c is."""
    builder = Builder(9)
    builder.input("x", (2,), narrow=2)
    layout = Layout(builder, Shape(10, 1, 1, 3))
    mock = MockProver(arithmetize(layout, "", layout.tensors))
    assert [tensor.width for tensor in layout.tensors] == [1]
    done = builder.run({"x": np.array([[0, 0]])})
    taken, values, rest = Filler(layout).cells(done)
    rows = np.flatnonzero(rest[:, 0])[:2]
    values[rows, 0] = taken[rows, 0] = [4, 130]
    stated = bytes([5, 256 - 126])
    for c in (0, 4, 255, 256, 260, 511):
        rest[rows, 0] = 256 + 2 * 4, c
        columns = unit.columns(taken, values, rest, layout.extended)
        columns |= unit.range_multiplicities(values, rest, 512, layout.shape.active_rows)
        found = {failure.constraint for failure in mock.failures(Witness(columns, stated))}
        assert found == {"gate 'lane 0: a narrow input is one of its values'"}


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
    mock = MockProver(arithmetize(layout, "", layout.tensors))
    advice = Filler(layout).advice(builder.run({"x": np.array([values])}))
    stated = np.array(values, np.int8).tobytes() * 2
    assert mock.failures(Witness(advice, stated)) == []
    for at in (0, 30, 31, 39, 40, 79):
        changed = bytearray(stated)
        changed[at] ^= 0x81
        assert mock.failures(Witness(advice, bytes(changed))) != []
