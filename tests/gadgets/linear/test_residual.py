"""A layer and what is added to it in one equation: against Python integers, in place, and as forgeries."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Overflow
from plonnx.gadgets.linear.residual import Residual
from plonnx.layout.explain import copies
from tests.adversarial.subject import Subject
from tests.compiler.small import assert_accurate, compiled
from tests.properties.models import Model, lay_out, residual

SUM = {"gate 'running sum ends'"}


def stream(inner: int, outputs: int, rows: int, seed: int, bias: bool = True) -> Model:
    """Two layers, each added to what came before: the first reads an input, the second the first's positive part."""
    random, builder = np.random.default_rng(seed), Builder(8)
    x, y = builder.input("x", (inner, rows), public=False), builder.input("y", (outputs, rows), public=False)
    wide, square = (random.integers(-90, 91, (n, outputs)) for n in (inner, outputs))
    added = random.integers(-900, 901, outputs) if bias else None
    first = residual(builder, x, wide, added, [(y, 200)], "first")
    builder.output("z", residual(builder, builder.relu(first, "r"), square, None, [(first, 256)], "second"))
    inputs = {"x": random.integers(-30, 31, (1, inner, rows)), "y": random.integers(-60, 61, (1, outputs, rows))}
    return Model(builder, inputs)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99)
)
def test_a_residual(inner: int, outputs: int, rows: int, lanes: int, columns: int, seed: int) -> None:
    model = stream(inner, outputs, rows, seed, bool(seed % 2))
    (block,) = (b for b in model.builder.blocks if b.name == "first" and isinstance(b, Residual))
    x, y = model.inputs["x"][0].tolist(), model.inputs["y"][0].tolist()
    bias, weights = [0] * outputs if block.bias is None else block.bias.tolist(), block.weights[:, 0]
    expected = [
        [
            floor(
                Fraction(sum(int(weights[c, o]) * x[c][p] for c in range(inner)) + bias[o] + 200 * y[o][p], 256)
                + Fraction(1, 2)
            )
            for p in range(rows)
        ]
        for o in range(outputs)
    ]
    made = model.builder.read(model.builder.run(model.inputs), model.builder.named["first"])
    assert made[0].tolist() == expected
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []


def two_layers(rows: int, seed: int, terms: bool = True) -> Model:
    """Layers of three and of two channels, of which the second reads what the first reads too; and a tensor or none."""
    random, builder = np.random.default_rng(seed), Builder(8)
    x, y = builder.input("x", (3, rows), public=False), builder.input("y", (4, rows), public=False)
    weights, added = random.integers(-90, 91, (5, 4)), random.integers(-900, 901, 4)
    read, beside = Cells.concatenate([x, x[1:]], 0), [(y, 200)] if terms else []
    builder.output("z", residual(builder, read, weights, added, beside, "z", (3, 2)))
    inputs = {"x": random.integers(-30, 31, (1, 3, rows)), "y": random.integers(-60, 61, (1, 4, rows))}
    return Model(builder, inputs)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_several_layers(rows: int, lanes: int, columns: int, seed: int, terms: bool) -> None:
    model = two_layers(rows, seed, terms)
    (block,) = (b for b in model.builder.blocks if isinstance(b, Residual))
    assert block.bias is not None
    x, y = model.inputs["x"][0].tolist(), model.inputs["y"][0].tolist()
    read = [*x, *x[1:]]
    exact = [
        sum(int(block.weights[c, 0, o]) * read[c][p] for c in range(5)) + int(block.bias[o]) + 200 * terms * y[o][p]
        for o in range(4)
        for p in range(rows)
    ]
    made = model.builder.read(model.builder.run(model.inputs), model.builder.named["z"])
    assert made[0].reshape(-1).tolist() == [floor(Fraction(y, 256) + Fraction(1, 2)) for y in exact]
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []


def test_no_layer_makes_up_for_another() -> None:
    """Each element by one and by T, pairs that compensate; other weights, and none for one layer."""
    subject = Subject(two_layers(3, 3), 2, 2)
    (block,) = (b for b in subject.builder.blocks if b.name == "z")
    assert isinstance(block, Residual)
    assert [place.name for place in subject.layout.places] == ["x", "y", "copy for z", "z", "public z"]
    for changes, witness in subject.with_other_sums("z", 4):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    for weights in (-block.weights, block.weights * np.array([1, 1, 1, 0, 0])[:, None, None]):
        assert {f.constraint for f in subject.failures(subject.forged("z", weights=weights))} == SUM


@pytest.mark.parametrize("lanes", [1, 2])
def test_only_the_linear_check_stops_another_output(lanes: int) -> None:
    """Each element by one and by T, pairs that compensate; other weights, another coefficient, another bias."""
    subject = Subject(stream(2, 5, 3, 3), lanes, 2)
    (block,) = (b for b in subject.builder.blocks if b.name == "first")
    assert isinstance(block, Residual) and block.bias is not None
    for changes, witness in subject.with_other_sums("first", 6):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    for other in ({"weights": -block.weights}, {"coefficients": (201,)}, {"bias": block.bias + 1}):
        assert {f.constraint for f in subject.failures(subject.forged("first", **other))} == SUM


def test_a_stream_is_read_where_it_stands() -> None:
    """The second layer's term is the first layer's output, in place; only what the layer reads as well is a copy."""
    layout = lay_out(stream(2, 6, 4, 1), 2, 2).layout
    assert [place.name for place in layout.places if place.name.startswith("copy")] == ["copy for second"]


def added_in_place() -> Model:
    """A convolution of which a second one reads, and to whose outputs the first's are added; both views of none."""
    random, builder = np.random.default_rng(7), Builder(8)
    x, taps = builder.input("x", (2, 2, 3), public=False), np.array([[0, -1], [0, 0], [1, 0]])
    y = builder.convolution(x, random.integers(-40, 41, (2, 3, 5)), taps, None, (2, 3), "y")
    kernel, bias = random.integers(-30, 31, (5, 3, 5)), random.integers(-900, 901, 5)
    s = builder.convolution(y, kernel[:, :1], taps[1:2], None, (2, 3), "s")
    z = builder.convolution(s, kernel, taps, bias, (2, 3), "z", terms=[(y, 200)])
    builder.output("z", z)
    return Model(builder, {"x": random.integers(-30, 31, (1, 2, 2, 3))})


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_what_a_layer_reads_is_added_elsewhere_without_a_copy(lanes: int) -> None:
    """And nothing but the linear check stops other outputs, of what is read twice as of what is made of it."""
    subject = Subject(added_in_place(), lanes, 2)
    assert [row["for"] for row in copies(subject.layout)] == ["public z"]
    assert [len(place.others) for place in subject.layout.places if place.name == "y"] == [1]
    assert subject.failures(subject.honest) == []
    for name, count in (("z", 8), ("y", 4)) if lanes == 2 else (("z", 2),):
        for changes, witness in subject.with_other_sums(name, count):
            assert {f.constraint for f in subject.failures(witness)} == SUM, (name, changes)
    (block,) = (b for b in subject.builder.blocks if isinstance(b, Residual))
    for other in ({"coefficients": (-200,)}, {"terms": block.terms[:, ::-1]}, {"weights": -block.weights}):
        assert {f.constraint for f in subject.failures(subject.forged("z", **other))} == SUM


def test_bounds() -> None:
    builder = Builder(8)
    x = builder.input("x", (2, 2))
    with pytest.raises(Overflow, match="62"):
        residual(builder, x, np.full((2, 2), 1 << 55), None, [(x, 1)], "y")
    with pytest.raises(ValueError, match="private model"):
        residual(Builder(8, hidden=True), x, np.ones((2, 2), np.int64), None, [(x, 1)], "y")


def test_what_the_compiler_joins(tmp_path: Path) -> None:
    """A sum of a layer and a tensor, with a bias, in either order; not where somebody else reads the layer."""
    random = np.random.default_rng(0)
    constants = {"w": random.normal(size=(6, 6)), "u": random.normal(size=(6, 6)), "b": random.normal(size=6)}
    signature = "float[1,5,6] x) => (float y)"
    stream = "h = MatMul(x, w) i = Add(h, b) s = Add(x, i) r = Relu(s) j = MatMul(r, u) y = Add(j, s)"
    made = compiled(tmp_path, signature, stream, constants)
    assert [b.kind for b in made.builder.blocks] == ["input", "residual", "residual"]
    assert_accurate(made)
    both = compiled(tmp_path, signature, "h = MatMul(x, w) s = Add(x, h) y = Mul(s, h)", constants)
    assert "residual" not in {b.kind for b in both.builder.blocks}
    assert_accurate(both)
    curved = compiled(tmp_path, signature, "h = MatMul(x, w) s = Add(x, h) y = Tanh(s)", constants)
    assert [b.kind for b in curved.builder.blocks] == ["input", "residual"]
    assert_accurate(curved)
