"""Values that stand right above the scores they are weighed by: against Python integers, proved, and as forgeries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Function, OutOfRange
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.matmul import matmul
from plonnx.kzg.srs import SRS
from plonnx.layout import search
from plonnx.layout.cost import predict
from plonnx.layout.counts import Facts
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from tests.adversarial.subject import Subject
from tests.layout.test_pairs import SUM, WIDTH, product
from tests.layout.test_powers import equations
from tests.properties.equations import check
from tests.properties.models import Model, lay_out

SHARES = Function("shares", -255, np.arange(511) // 7 + 3)


def attention(tokens: int, heads: int, size: int, ones: int = 1, seed: int = 1, elsewhere: str = "") -> Model:
    """A table of the scores, what it mixes of the values, and sums of it. elsewhere: who else reads what."""
    random, b = np.random.default_rng(seed), Builder(8)
    x = b.input("x", (tokens, WIDTH), public=False)
    width = heads * size
    bias = random.integers(-999, 1000, 3 * width)
    layer = b.linear(x, random.integers(-9, 10, (WIDTH, 3 * width)) * 16, bias, "layer")
    q, k, v = (layer[:, width * part :][:, :width].reshape(tokens, heads, size) for part in range(3))
    scores = matmul(b, q.transpose((1, 0, 2)), k.transpose((1, 2, 0)), 16, "scores")
    shares = apply(b, SHARES, scores, "shares", fuse=True)
    values = v.transpose((1, 0, 2))
    if ones:
        beside = b.sum([], np.full((heads, tokens, ones), 3 << 8), "ones")
        values = Cells.concatenate([values, beside], 2)
    b.output("y", matmul(b, shares, values, 2, "mixed"))
    if elsewhere == "values":
        b.output("z", b.linear(v.reshape(tokens, width), np.ones((width, 2), np.int64), None, "z"))
    elif elsewhere == "scores":
        b.output("z", b.linear(shares[0], np.ones((tokens, 2), np.int64), None, "z"))
    elif elsewhere == "copies":
        b.output("z", b.sum([(shares.reshape(-1)[: v.refs.size], 2), (v.reshape(-1), 2)], None, "z"))
    return Model(b, {"x": random.integers(-20, 21, (1, tokens, WIDTH))})


def takes_turns(layout: Layout) -> bool:
    return [place.upper for place in layout.places if place.turn is not None] == [True, False]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 999),
)
def test_attention(tokens: int, heads: int, size: int, ones: int, lanes: int, columns: int, seed: int) -> None:
    model = attention(tokens, heads, size, ones, seed)
    try:
        made = model.builder.evaluate(model.inputs)
    except OutOfRange:
        return
    layer = model.builder.read(model.builder.run(model.inputs), model.builder.named["layer"])[0]
    for head in range(heads):
        q, k, v = (layer[:, size * (heads * part + head) :][:, :size] for part in range(3))
        shares = np.array(product(q, k.T, 16))
        shares = (shares + 255) // 7 + 3
        values = np.concatenate([v, np.full((tokens, ones), 3)], axis=1)
        assert made["y"][0, head].tolist() == product(shares, values, 2)
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []
    paired = -tokens % lanes <= 2 * size  # else more lanes are idle than pairs save (pairs.py)
    assert takes_turns(case.layout) == (paired and size + ones > 1)
    assert check(case.layout).equations == 3 * tokens * heads * size + heads * tokens * (tokens + size + 2 * ones)
    assert len(set(equations(case.layout).values())) == len(equations(case.layout))


@pytest.mark.parametrize(("lanes", "ones"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_no_other_value_passes(lanes: int, ones: int) -> None:
    """Of the layer, scores and what is mixed; each cell by one, the copies of ones among them."""
    subject = Subject(attention(3, 2, 2, ones), lanes, 2)
    assert takes_turns(subject.layout) and subject.failures(subject.honest) == []
    for name in ("layer", "mixed"):
        for changes, witness in subject.with_other_sums(name, 8):
            assert {failure.constraint for failure in subject.failures(witness)} == SUM, (name, changes)
    for at in subject.units[0]:
        for part in range(subject.parts):
            for step in (1, -1):
                assert not subject.misjudged(at, part, step), (at, part, step)


def test_other_factors_do_not_pass() -> None:
    """The values of another position or head, the keys of another order, queries in the place of keys."""
    subject = Subject(attention(3, 2, 2), 2, 2)
    blocks = {block.name: vars(block) for block in subject.builder.blocks}
    a, b = blocks["scores"]["a"], blocks["scores"]["b"]
    for changes in ({"b": b[:, :, ::-1]}, {"b": b[::-1]}, {"b": a}, {"a": b, "b": a}, {"a": a[::-1]}):
        assert subject.failures(subject.forged("scores", **changes)), changes
    values = blocks["mixed"]["b"]
    for changed in (values[:, ::-1], values[::-1], values[:, :, ::-1], np.roll(values, 1, 2)):
        assert {failure.constraint for failure in subject.failures(subject.forged("mixed", b=changed))} == SUM


def test_a_proof() -> None:
    case = lay_out(attention(3, 2, 2), 2, 3)
    assert takes_turns(case.layout)
    circuit = case.circuit()
    srs = SRS.development(circuit.k, tau=5)
    pk = keygen(circuit, srs)
    verify(pk.vk, prove(pk, case.witness(), srs))


@pytest.mark.parametrize("elsewhere", ["values", "scores", "copies"])
def test_what_others_read_in_place_stands_apart(elsewhere: str) -> None:
    """But what is copied from there may be."""
    case = lay_out(attention(4, 1, 4, elsewhere=elsewhere), 3, 4)
    assert takes_turns(case.layout) == (elsewhere == "copies") and case.failures(case.witness()) == []
    assert check(case.layout).equations


def test_values_that_heads_share_stand_apart() -> None:
    """They would have to stand above the scores of each: multi-query attention copies them."""
    random, b = np.random.default_rng(1), Builder(8)
    x = b.input("x", (4, WIDTH), public=False)
    layer = b.linear(x, random.integers(-9, 10, (WIDTH, 10)) * 16, None, "layer")
    q, k, v = layer[:, :4].reshape(4, 2, 2), layer[:, 4:8].reshape(4, 2, 2), layer[:, 8:]
    scores = matmul(b, q.transpose((1, 0, 2)), k.transpose((1, 2, 0)), 16, "scores")
    b.output("y", matmul(b, scores, v.reshape(1, 4, 2).broadcast_to((2, 4, 2)), 8, "mixed"))
    case = lay_out(Model(b, {"x": random.integers(-20, 21, (1, 4, WIDTH))}), 2, 4)
    assert any(place.paired for place in case.layout.places) and not takes_turns(case.layout)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("hidden", [True, False])
def test_keys_of_another_length_stand_apart(hidden: bool) -> None:
    """Cross attention: queries of one tensor, keys and values of another; and nothing stands so in a private model."""
    random, b = np.random.default_rng(1), Builder(8, hidden)
    x, z = b.input("x", (3, WIDTH), public=False), b.input("z", (5, WIDTH), public=False)
    q = b.linear(x, random.integers(-9, 10, (WIDTH, 2)) * 16, None, "queries")[None]
    layer = b.linear(z, random.integers(-9, 10, (WIDTH, 4)) * 16, None, "layer")
    scores = matmul(b, q, layer[None, :, :2].transpose((0, 2, 1)), 16, "scores")
    b.output("y", matmul(b, scores, layer[None, :, 2:], 8, "mixed"))
    case = lay_out(
        Model(b, {name: random.integers(-20, 21, (1, *cells.shape)) for name, cells in (("x", x), ("z", z))}), 2, 4
    )
    assert not takes_turns(case.layout) and case.failures(case.witness()) == []


def test_rows_and_views_that_are_saved() -> None:
    """The values' own rows: they stand where their copies would; with few copies, most lanes have no view."""
    model, lanes = attention(6, 2, 5), 3
    with_turns, apart = (lay_out(model, lanes, 8, apart=apart).layout for apart in (0, 1))
    assert apart.rows - with_turns.rows == 2 * 5 * 2
    copied = [len(layout.copied.rows) for layout in (with_turns, apart)]
    assert copied[1] - copied[0] == 6 * 2 * 5
    (upper, lower) = (place for place in with_turns.places if place.turn is not None)
    rows = np.concatenate([upper.value_rows.reshape(-1), lower.value_rows.reshape(-1)])
    assert sorted(rows.tolist()) == list(range(lower.row, lower.row + upper.rows + lower.rows))


def test_the_search_takes_what_costs_less() -> None:
    """And files say it where values stand apart."""
    model = attention(6, 2, 5)
    layout = search.choose(model.builder, search.Aim("gas"))
    other = replace(layout.shape, apart=1 - layout.shape.apart)
    made = Layout(model.builder, other)
    costs = [
        search.weigh(shape, predict(shape, Facts(each)), search.Aim("gas"))
        for shape, each in ((layout.shape, layout), (other, made))
        if each.rows <= shape.active_rows
    ]
    assert costs[0] == min(costs)
    assert [Shape(7, 3, 2, 2, apart=apart).record()["apart"] for apart in (0, 1)] == [0, 1]
