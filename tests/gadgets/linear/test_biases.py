"""Layers with a bias for each position: against Python integers, as forgeries, and what a file may say of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.kzg.record import Malformed
from plonnx.layout.fixed import Fixed
from tests.adversarial.subject import Subject
from tests.properties.models import Model, lay_out, residual

SUM = {"gate 'running sum ends'"}


def tokens(rows: int, outputs: int, seed: int, reader: str, zeros: int = 1) -> Model:
    """A layer of two channels, of some rows of zeros first; another layer, a norm or nobody reads it."""
    random, builder = np.random.default_rng(seed), Builder(8)
    x = builder.input("x", (rows - zeros, 2), public=False)
    made = builder.linear(
        x.pad([(zeros, 0), (0, 0)]),
        random.integers(-90, 91, (2, outputs)),
        random.integers(-9000, 9001, (rows, outputs)),
        "y",
    ).transpose()
    if reader == "a layer":
        made = residual(builder, made, random.integers(-90, 91, (outputs, outputs)), None, [(made, 256)], "z")
    elif reader == "a norm":
        made = row_product(builder, made, square_sum(builder, made, 2, "v"), 1, "z")
    builder.output("o", builder.relu(made, "r"))
    return Model(builder, {"x": random.integers(-30, 31, (1, rows - zeros, 2))})


READERS = "a layer", "a norm", "nobody"


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99),
    st.sampled_from(READERS),
)  # fmt: skip
def test_biases_of_positions(rows: int, outputs: int, lanes: int, columns: int, seed: int, reader: str) -> None:
    model = tokens(rows, outputs, seed, reader)
    (block,) = (b for b in model.builder.blocks if b.name == "y")
    assert isinstance(block, Convolution) and block.bias is not None and block.by_position
    x, weights = [[0, 0], *model.inputs["x"][0].tolist()], block.weights[:, 0].tolist()
    made = model.builder.read(model.builder.run(model.inputs), model.builder.named["y"])[0]
    for p in range(rows):
        for o in range(outputs):
            # which of the two channels comes first is the builder's choice
            first, second = (x[p][(int(ref) >> 1) % 2] if ref >= 0 else 0 for ref in block.x[:, p])
            exact = first * weights[0][o] + second * weights[1][o] + int(block.bias[o, p])
            assert made[p, o] == floor(Fraction(exact, 256) + Fraction(1, 2))
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("lanes", [1, 3])
def test_only_the_linear_check_stops_another_output(reader: str, lanes: int) -> None:
    """Each element by one and by T, pairs that compensate; another bias of one position, those of others."""
    subject = Subject(tokens(4, 4, 5, reader), lanes, 2)
    assert subject.failures(subject.honest) == []
    (block,) = (b for b in subject.builder.blocks if b.name == "y")
    assert isinstance(block, Convolution) and block.bias is not None
    (place,) = (place for place in subject.layout.places if place.name == "y")
    assert (place.turned > 0) == (reader == "a norm")
    for changes, witness in subject.with_other_sums("y", 4):
        assert {f.constraint for f in subject.failures(witness)} == SUM, changes
    one = np.zeros_like(block.bias)
    one[2, 3] = 1
    for other in (block.bias + one, block.bias[:, ::-1], block.bias[::-1]):
        assert {f.constraint for f in subject.failures(subject.forged("y", bias=np.array(other)))} == SUM


def test_each_cell_that_the_prover_chooses() -> None:
    """Of what stands turned and in runs, with idle lanes: by one up and down, a, b and c."""
    for reader in ("a norm", "a layer"):
        assert Subject(tokens(3, 3, 1, reader), 2, 2).wrong_verdicts() == []


def test_lanes_have_columns_for_them_and_rows_none() -> None:
    fixed = Fixed(lay_out(tokens(4, 4, 5, "a norm"), 3, 2).layout)
    assert not np.any(fixed.column("bias"))
    assert all(np.any(fixed.column(f"biases of a turned place of lane {lane}")) for lane in range(3))


def test_what_is_no_bias_is_refused() -> None:
    (block,) = (b for b in tokens(4, 3, 1, "nobody").builder.blocks if b.name == "y")
    assert isinstance(block, Convolution) and block.bias is not None
    block.validate("y")
    for other in (block.bias.T, block.bias[:, :1], block.bias[None], block.bias[0], block.bias.reshape(-1)):
        with pytest.raises(Malformed, match="its bias does not fit"):
            replace(block, bias=other).validate("y")
    for other in (block.bias, np.array(5)):  # of a layer that is run in steps
        with pytest.raises(Malformed, match="its bias does not fit"):
            replace(block, bias=other, parts=2).validate("y")
    with pytest.raises(Malformed, match="biases are of channels"):
        block.widths(16, 32, "y")
