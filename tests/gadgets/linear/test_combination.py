"""Sums that read their terms in place: against Python integers, and as forgeries."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.linear.combination import Combination, combination, combined
from plonnx.gadgets.linear.square_sum import square_sum
from tests.adversarial.subject import Subject
from tests.properties.equations import check
from tests.properties.models import Model, lay_out

SUM = {"gate 'running sum ends'"}
GRIDS = st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple)


def added(
    channels: int, grid: tuple[int, ...], coefficients: tuple[int, ...], seed: int, positive: bool = False
) -> Model:
    """Terms that layers make, and the last one an input; some of them the positive parts."""
    random = np.random.default_rng(seed)
    builder, shape = Builder(8), (channels, *grid)
    inputs = {f"x{k}": random.integers(-60, 61, (1, *shape)) for k in range(len(coefficients))}
    terms = []
    for k, name in enumerate(inputs):
        x = builder.input(name, shape, public=False)
        if k < len(coefficients) - 1:
            kernel, tap = np.full((channels, 1, 1), 256), np.zeros((1, len(grid)), np.int64)
            x = builder.convolution(x, kernel, tap, None, grid, f"y{k}", channels)
        terms.append((builder.relu(x, f"r{k}") if positive and k % 2 == 0 else x, coefficients[k]))
    builder.output("z", combination(builder, terms, "z"))
    return Model(builder, inputs)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 7),
    GRIDS,
    st.lists(st.integers(-300, 300), min_size=1, max_size=3).map(tuple),
    st.integers(1, 5),
    st.integers(0, 999),
    st.booleans(),
)
def test_a_sum(
    channels: int, grid: tuple[int, ...], coefficients: tuple[int, ...], lanes: int, seed: int, positive: bool
) -> None:
    model = added(channels, grid, coefficients, seed, positive)
    values = [x[0].reshape(-1) for x in model.inputs.values()]
    shown = [np.maximum(x, 0) if positive and k % 2 == 0 else x for k, x in enumerate(values)]
    sums = [sum(c * int(x[e]) for c, x in zip(coefficients, shown, strict=True)) for e in range(len(values[0]))]
    expected = [floor(Fraction(y, 256) + Fraction(1, 2)) for y in sums]
    try:
        got = model.builder.evaluate(model.inputs)["z"].reshape(-1).tolist()
    except OutOfRange:
        assert max(map(abs, expected)) >= 256
        return
    assert got == expected
    case = lay_out(model, lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize(("channels", "grid", "lanes"), [(2, (3,), 1), (6, (3,), 2), (5, (2, 2), 2)])
def test_only_the_linear_check_stops_another_output(channels: int, grid: tuple[int, ...], lanes: int) -> None:
    """Each element by one and by T; pairs that compensate; other coefficients, a term's channels in another order."""
    subject = Subject(added(channels, grid, (256, -130), 5), lanes, 1)
    (block,) = (b for b in subject.builder.blocks if isinstance(b, Combination))
    for changes, witness in subject.with_other_sums("z", block.count):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    for other in ({"coefficients": (256, -131)}, {"coefficients": (-130, 256)}, {"terms": block.terms[:, ::-1]}):
        assert {f.constraint for f in subject.failures(subject.forged("z", **other))} == SUM


def test_no_cell_of_a_term_can_be_changed() -> None:
    subject = Subject(added(5, (3,), (256, 256), 5), 2, 1)
    assert subject.wrong_verdicts() == []


def test_what_stands_in_channels_is_not_copied() -> None:
    """Of two layers' outputs a cell costs a unit, also where one is read before; where of another view, a copy more."""
    builder, random = Builder(8), np.random.default_rng(1)
    x = builder.input("x", (8, 4))
    made = [builder.linear(x, random.integers(-99, 99, (4, 6)), None, name) for name in ("a", "b", "c")]
    one = combined(builder, [(made[0], 256), (made[1], 256)], "one")
    assert one is not None and one.shape == (8, 6)
    builder.linear(made[2], random.integers(-99, 99, (6, 2)), None, "reader")
    two = combined(builder, [(made[2], 256), (one, 256)], "two")
    assert two is not None
    builder.linear(two, random.integers(-99, 99, (6, 2)), None, "another")
    three = combined(builder, [(builder.relu(two, "r"), 256), (one, 256)], "three")
    assert three is not None
    builder.output("y", three)
    rows = {place.name: place.rows for place in lay_out(Model(builder, {}), 4, 2).layout.places}
    assert rows["one"] == rows["two"] == rows["three"] == 12
    assert "copy for one" not in rows
    assert "copy for two" not in rows
    assert rows["copy for three"] == 12


def centred(lanes: int, others: int = 1) -> Subject:
    """An input less its mean, as a first normalization has it: the input states nothing, and stands as its mean reads
    it. others: how many more read it so."""
    b, random = Builder(8), np.random.default_rng(lanes)
    x = b.input("x", (5, 4))
    mean = b.linear(x, np.full((4, 1), 64), None, "mean").broadcast_to((5, 4))
    made = combined(b, [(x, 256), (mean, -256)], "d")
    assert made is not None
    b.output("d", made)
    for number in range(others):
        once_more = combined(b, [(x, 256), (made, 200 + number)], f"e{number}")
        assert once_more is not None
        b.output(f"e{number}", once_more)
    return Subject(Model(b, {"x": random.integers(-60, 61, (1, 5, 4))}), lanes, 2)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_an_input_that_a_layer_reads_is_added_where_it_stands(lanes: int) -> None:
    """P takes a power of chi for each of its runs; no copy but that of public values, which no words tell there."""
    subject = centred(lanes)
    layout = subject.case.layout
    assert {p.name for p in layout.places if p.because} <= {f"public {name}" for name in ("x", "d", "e0")}
    place = subject.place("x")
    assert len(place.others) == 2 and len(place.chi_steps) == place.runs == 4
    check(layout)
    assert subject.failures(subject.honest) == []
    for name in ("d", "e0"):
        for changes, witness in subject.with_other_sums(name, 6):
            assert {f.constraint for f in subject.failures(witness)} >= SUM, changes
    assert subject.wrong_verdicts() == []


def test_an_input_that_several_channels_share_a_power_of_is_copied() -> None:
    """Its first reader wants one power of chi for two runs: whose multiples are wanted by run stands elsewhere."""
    b, random = Builder(8), np.random.default_rng(3)
    x = b.input("x", (10, 4), public=False)
    b.output("y", b.convolution(x, random.integers(-9, 10, (10, 1, 1)), np.array([[0]]), None, (4,), "y", 5))
    b.output("z", combination(b, [(x, 256)], "z"))
    case = lay_out(Model(b, {"x": random.integers(-30, 31, (1, 10, 4))}), 2, 2)
    assert "copy for z" in [place.name for place in case.layout.places]
    check(case.layout)
    assert case.failures(case.witness()) == []


def test_where_nothing_stands_in_channels_a_sum_costs_less() -> None:
    builder = Builder(8)
    x, y = builder.input("x", (8, 6)), builder.input("y", (8, 6))
    assert combined(builder, [(x, 256), (y, 256)], "s") is None
    column = builder.linear(builder.input("z", (1, 4)), np.ones((4, 48), np.int64), None, "column")
    assert combined(builder, [(column.reshape(8, 6), 256), (y, 256)], "s") is None  # a lane of eight would be filled


def test_sums_beyond_62_bits_are_refused() -> None:
    builder = Builder(20)
    x = builder.input("x", (1, 3))
    with pytest.raises(Overflow, match="y: its exact sum can reach"):
        combination(builder, [(x, 1 << 43), (x, 1)], "y")


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("other", ["positive parts", "all but some"])
def test_two_views_of_what_stands_turned(other: str, first: bool, lanes: int) -> None:
    """Of one sum: the other is copied. A run there has one mask, for whoever reads it."""
    b = Builder(8)
    x = b.input("x", (2, 3), public=False)
    kernel = np.arange(-3, 3).reshape(2, 1, 3) * 8
    y = b.convolution(x, kernel, np.zeros((1, 1), np.int64), None, (3,), "y")
    b.output("squares", square_sum(b, y, 3, "squares"))
    kept = Cells(np.where(np.arange(9).reshape(3, 3) % 4, y.refs, -1), y.low, y.high)
    terms = [(y, 50), (b.relu(y, "r") if other == "positive parts" else kept, 60)]
    b.output("sum", combination(b, terms if first else terms[::-1], "sum"))
    case = lay_out(Model(b, {"x": np.arange(6).reshape(1, 2, 3) * 3 - 5}), lanes, 2)
    assert any(place.turned for place in case.layout.places)
    assert check(case.layout).equations == 21
    assert case.failures(case.witness()) == []
