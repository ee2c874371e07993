"""Products of computed matrices: against Python integers, and as forgeries."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, OutOfRange, Overflow
from plonnx.gadgets.linear.matmul import matmul
from tests.adversarial.subject import Subject
from tests.properties.models import Model, lay_out

SUM = {"gate 'running sum ends'"}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 5))


def product(sizes: tuple[int, int, int, int], multiplier: int, seed: int, positive: bool = False) -> Model:
    groups, rows, inner, columns = sizes
    random = np.random.default_rng(seed)
    reach = 63 if multiplier == 1 else 20
    builder = Builder(8)
    a = builder.input("a", (groups, rows, inner), public=False)
    b = builder.input("b", (groups, inner, columns), public=False)
    a, b = (builder.relu(a, "ra"), builder.relu(b, "rb")) if positive else (a, b)
    builder.output("y", matmul(builder, a, b, multiplier, "y"))
    shapes = (1, groups, rows, inner), (1, groups, inner, columns)
    return Model(builder, {n: random.integers(-reach, reach + 1, s) for n, s in zip("ab", shapes, strict=True)})


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(1, 4), st.sampled_from([1, 3]), st.integers(0, 999), st.booleans())
def test_a_product(sizes: tuple[int, int, int, int], lanes: int, multiplier: int, seed: int, positive: bool) -> None:
    model = product(sizes, multiplier, seed, positive)
    a, b = (np.maximum(model.inputs[n][0], 0) if positive else model.inputs[n][0] for n in "ab")
    groups, rows, inner, columns = sizes
    expected = [
        floor(Fraction(multiplier * sum(int(a[g, i, k]) * int(b[g, k, j]) for k in range(inner)), 256) + Fraction(1, 2))
        for g in range(groups)
        for i in range(rows)
        for j in range(columns)
    ]
    try:
        got = model.builder.evaluate(model.inputs)["y"].reshape(-1).tolist()
    except OutOfRange:
        assert max(map(abs, expected)) >= 256
        return
    assert got == expected
    case = lay_out(model, lanes, 1)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize(("sizes", "lanes"), [((1, 3, 2, 3), 1), ((2, 3, 2, 4), 2), ((1, 5, 3, 5), 3)])
def test_only_the_linear_check_stops_another_output(sizes: tuple[int, int, int, int], lanes: int) -> None:
    """Each element by one and by T; pairs that compensate; another multiplier, swapped columns, a transposed factor."""
    subject = Subject(product(sizes, 1, 5), lanes, 1)
    (block,) = (b for b in subject.builder.blocks if b.name == "y")
    for changes, witness in subject.with_other_sums("y", block.count):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    b = block.b  # type: ignore[attr-defined]
    for other in ({"multiplier": 2}, {"b": b[:, :, ::-1]}, {"a": block.a[:, :, ::-1]}):  # type: ignore[attr-defined]
        assert {f.constraint for f in subject.failures(subject.forged("y", **other))} == SUM


def test_no_cell_of_either_factor_can_be_changed() -> None:
    """a, b, c of every element and copy: free is c where there is no sum."""
    subject = Subject(product((1, 3, 2, 3), 1, 5), 2, 1)
    assert subject.wrong_verdicts() == []


def test_it_costs_its_operands_and_not_its_products() -> None:
    rows = [lay_out(product((1, size, size, size), 1, 1), 4, 1).layout.rows for size in (8, 16, 32)]
    assert rows[1] <= 4.2 * rows[0]
    assert rows[2] <= 4.2 * rows[1]


def test_sums_beyond_62_bits_are_refused() -> None:
    builder = Builder(20)
    a, b = builder.input("a", (1, 1, 8)), builder.input("b", (1, 8, 1))
    with pytest.raises(Overflow, match="y: its exact sum can reach"):
        matmul(builder, a, b, 1 << 20, "y")


def masked(lanes: int) -> Subject:
    """A product that reads a product's outputs where they stand, a part of them: what a mask hides is zero."""
    builder = Builder(8)
    shapes = {"a": (1, 4, 2), "b": (1, 2, 4), "c": (1, 4, 3)}
    a, b, c = (builder.input(name, shape, public=False) for name, shape in shapes.items())
    scores = matmul(builder, a, b, 8, "scores")
    hidden = Cells(np.where(np.tri(4, dtype=bool), scores.refs, -1), scores.low, scores.high)
    builder.output("y", matmul(builder, hidden, c, 1, "y"))
    random = np.random.default_rng(3)
    inputs = {name: random.integers(-9, 10, (1, *shape)) for name, shape in shapes.items()}
    return Subject(Model(builder, inputs), lanes, 1)


@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_a_masked_factor_is_read_in_place(lanes: int) -> None:
    """Hidden elements stand between the others and count as zero; no other output passes."""
    subject = masked(lanes)
    layout = subject.case.layout
    assert not any(place.name == "copy for y" for place in layout.places)
    inputs = subject.case.model.inputs
    run = subject.builder.run(inputs)
    scores, y = (subject.builder.read(run, subject.builder.named[name])[0, 0] for name in ("scores", "y"))
    np.testing.assert_array_equal(y, (np.tril(scores) @ inputs["c"][0, 0] + 128) >> 8)
    assert subject.failures(subject.honest) == []
    for changes, witness in subject.with_other_sums("y", 12):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes


@pytest.mark.parametrize(("lanes", "order"), [(2, "qkv"), (2, "vqk"), (4, "vqk")])
def test_a_part_of_a_layer_is_read_in_place(lanes: int, order: str) -> None:
    """Of the layer that gives queries, keys and values, the queries stand by themselves; no other output passes."""
    builder, random = Builder(8), np.random.default_rng(4)
    x = builder.input("x", (3, 2), public=False)
    layer = builder.linear(x, random.integers(-9, 10, (2, 12)), None, "layer")
    q, k, _ = (layer[:, 4 * order.index(part) : 4 * order.index(part) + 4].reshape(3, 2, 2) for part in "qkv")
    builder.output("y", matmul(builder, q.transpose((1, 0, 2)), k.transpose((1, 2, 0)), 64, "y"))
    builder.output("z", layer)
    subject = Subject(Model(builder, {"x": random.integers(-9, 10, (1, 3, 2))}), lanes, 4)
    layout = subject.case.layout
    assert not any(place.name == "copy for y" for place in layout.places)
    parts = [(place.runs, place.paired) for place in layout.places if place.name == "layer"]
    assert parts == [(8, True), (4, False)]
    assert subject.failures(subject.honest) == []
    for changes, witness in subject.with_other_sums("y", 4):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes


def test_parts_that_overlap_are_copied() -> None:
    """Also where another reader takes the whole layer."""
    builder = Builder(8)
    x = builder.input("x", (5, 3), public=False)
    layer = builder.linear(x, np.ones((3, 4), np.int64), None, "layer")
    for part, name in ((layer[:, :3], "y"), (layer, "z")):
        builder.output(name, builder.linear(part, np.ones((part.shape[1], 2), np.int64), None, name))
    made = lay_out(Model(builder, {"x": np.ones((1, 5, 3), np.int64)}), 2, 4).layout
    assert [place.name for place in made.places if place.block is None] == ["copy for y", "public y", "public z"]
