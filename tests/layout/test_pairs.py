"""Keys that stand right above their queries: against Python integers, proved, and as forgeries."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Cells, OutOfRange
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.standing_rows import standing_rows
from plonnx.kzg.srs import SRS
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from tests.adversarial.subject import Subject
from tests.properties.models import Model, lay_out

Integers = NDArray[np.int64]
SUM = {"gate 'running sum ends'"}
WIDTH = 2


def attention(tokens: int, heads: int, size: int, order: str, seed: int = 1, hidden: bool = False) -> Model:
    """Scores of queries and keys, which are a layer's, and what they mix of the values."""
    random, builder = np.random.default_rng(seed), Builder(8, hidden)
    x = builder.input("x", (tokens, WIDTH), public=False)
    width = heads * size
    bias = random.integers(-999, 1000, 3 * width)
    layer = builder.linear(x, random.integers(-9, 10, (WIDTH, 3 * width)) * 16, bias, "layer")
    q, k, v = (layer[:, width * order.index(part) :][:, :width].reshape(tokens, heads, size) for part in "qkv")
    scores = matmul(builder, q.transpose((1, 0, 2)), k.transpose((1, 2, 0)), 16, "scores")
    builder.output("scores", scores)
    builder.output("y", matmul(builder, scores, v.transpose((1, 0, 2)), 8, "mixed"))
    return Model(builder, {"x": random.integers(-20, 21, (1, tokens, WIDTH))})


def product(a: Integers, b: Integers, multiplier: int) -> list[list[int]]:
    """multiplier A B / 256, half up."""
    sums = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in b.T.tolist()] for row in a.tolist()]
    return [[floor(Fraction(multiplier * total, 256) + Fraction(1, 2)) for total in row] for row in sums]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(["qkv", "vqk", "kqv", "kvq"]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 999),
)
def test_attention(tokens: int, heads: int, size: int, order: str, lanes: int, columns: int, seed: int) -> None:
    model = attention(tokens, heads, size, order, seed)
    try:
        done = model.builder.run(model.inputs)
    except OutOfRange:
        return
    layer = model.builder.read(done, model.builder.named["layer"])[0]
    q, k, v = (layer[:, heads * size * order.index(part) :][:, : heads * size] for part in "qkv")
    made = model.builder.evaluate(model.inputs)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        scores = product(q[:, own], k[:, own].T, 16)
        assert made["scores"][0, head].tolist() == scores
        assert made["y"][0, head].tolist() == product(np.array(scores), v[:, own], 8)
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []
    paired = [place for place in case.layout.places if place.paired]
    if tokens == 1 or -tokens % lanes > 2 * heads * size:
        assert not paired
        return
    assert [place.runs for place in paired] == [2 * heads * size]
    assert paired[0].above is None and "copy for scores" not in [place.name for place in case.layout.places]


@pytest.mark.parametrize(("lanes", "columns"), [(2, 2), (3, 4), (4, 1)])
@pytest.mark.parametrize("order", ["qkv", "kqv"])
def test_no_other_value_passes(lanes: int, columns: int, order: str) -> None:
    """Of keys, queries and scores; each cell by one."""
    subject = Subject(attention(3, 2, 1, order), lanes, columns)
    assert any(place.paired for place in subject.layout.places) and subject.failures(subject.honest) == []
    for name in ("layer", "scores", "mixed"):
        for changes, witness in subject.with_other_sums(name, 6):
            assert {failure.constraint for failure in subject.failures(witness)} == SUM, (name, changes)
    for at in subject.units[0]:
        for step in (1, -1):
            witness = subject.changed(at, step)
            assert subject.failures(witness) or subject.is_true(witness), at


def test_other_factors_do_not_pass() -> None:
    """The keys of another order, of another head, or the queries in their place."""
    subject = Subject(attention(3, 2, 1, "qkv"), 2, 2)
    (scores,) = (block for block in subject.builder.blocks if block.name == "scores")
    a, b = vars(scores)["a"], vars(scores)["b"]
    for changes in ({"b": b[:, :, ::-1]}, {"b": b[::-1]}, {"b": a}, {"a": b, "b": a}, {"a": a[::-1]}):
        assert {failure.constraint for failure in subject.failures(subject.forged("scores", **changes))} == SUM


def test_a_proof() -> None:
    case = lay_out(attention(3, 2, 2, "qkv"), 2, 3)
    circuit = case.circuit()
    srs = SRS.development(circuit.k, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, case.witness(), srs))


def test_what_is_read_otherwise_does_not_stand_in_pairs() -> None:
    """Keys that a layer reads, too; a layer of more than one operand; a private model."""
    model = attention(4, 2, 2, "qkv")
    keys = model.builder.named["layer"][:, 4:8]
    model.builder.output("z", model.builder.linear(keys, np.ones((4, 2), np.int64), None, "z"))
    case = lay_out(model, 2, 4)
    assert not any(place.paired for place in case.layout.places) and case.failures(case.witness()) == []
    assert any(place.above is not None for place in case.layout.places if place.name == "layer")
    private = attention(4, 2, 2, "qkv", hidden=True)
    assert not any(place.paired for place in Layout(private.builder, Shape(9, 2, 2, 3)).places)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("lanes", [1, 3])
def test_behind_a_stride(stride: int, lanes: int) -> None:
    """What lies further apart than the product wants it stands in no pairs: it would be read at other positions."""
    random, builder = np.random.default_rng(1), Builder(8)
    x = builder.input("x", (2, 5 * stride), public=False)
    taps, kernel = np.arange(stride)[:, None], random.integers(-9, 10, (2, stride, 2)) * 8
    made = builder.convolution(x, kernel, taps, None, (5,), "conv", strides=(stride,))
    weights = random.integers(-9, 10, (2, 1, 8)) * 16
    layer = builder.convolution(made, weights, np.zeros((1, 1), np.int64), None, (5,), "layer")
    q, k = (layer[4 * part : 4 * part + 4].reshape(2, 2, 5) for part in range(2))
    builder.output("scores", matmul(builder, q.transpose((0, 2, 1)), k, 16, "scores"))
    subject = Subject(Model(builder, {"x": random.integers(-20, 21, (1, 2, 5 * stride))}), lanes, 2)
    assert any(place.paired for place in subject.layout.places) == (stride == 1)
    assert subject.failures(subject.honest) == []
    for changes, witness in subject.with_other_sums("scores", 6):
        assert {failure.constraint for failure in subject.failures(witness)} == SUM, changes


@pytest.mark.parametrize("heads", [1, 4, 5, 9])
def test_one_token(heads: int) -> None:
    """No pairs: in reverse it is the same as circuits of before have it, and many heads take P as a factor."""
    subject = Subject(attention(1, heads, 2, "qkv"), 2, 2)
    assert not any(place.paired for place in subject.layout.places) and subject.failures(subject.honest) == []


@pytest.mark.parametrize(("tokens", "size"), [(4, 1), (4, 2), (4, 3)])
def test_rows_of_a_matrix_do_not_stand_in_pairs(tokens: int, size: int) -> None:
    """They stand turned, a run for each number: as many runs as pairs would have, fewer, or more."""
    random, builder = np.random.default_rng(1), Builder(8)
    x = builder.input("x", (tokens,), public=False)
    rows = standing_rows(builder, x, random.integers(-9, 10, (5, 2 * size)), None, "words")[None]
    scores = matmul(builder, rows[:, :, :size], rows[:, :, size:].transpose((0, 2, 1)), 16, "scores")
    builder.output("scores", scores)
    case = lay_out(Model(builder, {"x": random.integers(0, 5, (1, tokens))}), 2, 2)
    assert not any(place.paired for place in case.layout.places) and case.failures(case.witness()) == []


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("masked", [True, False])
def test_who_reads_scores_takes_them_as_they_stand(lanes: int, masked: bool) -> None:
    """In reverse: a product of what a mask leaves, of which the first unit is hidden; or a layer."""
    random, builder = np.random.default_rng(2), Builder(8)
    x = builder.input("x", (4, WIDTH), public=False)
    layer = builder.linear(x, random.integers(-9, 10, (WIDTH, 6)) * 16, None, "layer")
    q, k, v = (layer[None, :, 2 * part : 2 * part + 2] for part in range(3))
    scores = matmul(builder, q, k.transpose((0, 2, 1)), 16, "scores")
    weights = random.integers(-9, 10, (4, 2))
    if masked:
        hidden = Cells(np.where(np.tri(4, dtype=bool), scores.refs, -1), scores.low, scores.high)
        made = matmul(builder, hidden, v, 1, "y")[0]
    else:
        made = builder.linear(scores[0], weights, None, "y")
    builder.output("y", made)
    subject = Subject(Model(builder, {"x": random.integers(-20, 21, (1, 4, WIDTH))}), lanes, 2)
    assert "copy for y" not in [place.name for place in subject.layout.places]
    done = builder.run(subject.case.model.inputs)
    shown, values = (builder.read(done, cells)[0] for cells in (scores, v))
    wanted = np.tril(shown[0]) @ values[0] if masked else shown[0] @ weights
    np.testing.assert_array_equal(builder.read(done, made)[0], (wanted + 128) >> 8)
    for changes, witness in subject.with_other_sums("y", 6):
        assert {failure.constraint for failure in subject.failures(witness)} == SUM, changes


def test_rows_that_are_saved() -> None:
    """Those of the copies of keys: a row for each of a head's numbers and each row of positions."""
    layout = lay_out(attention(5, 2, 3, "qkv"), 2, 8, apart=1).layout
    assert [place.rows for place in layout.places if place.name == "layer"] == [2 * 6 * 3, 6 * 3]
