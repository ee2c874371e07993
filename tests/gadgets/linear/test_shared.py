"""Weights that several layers share: a recurrent network step by step, against Python integers and in a circuit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Function, Overflow
from plonnx.gadgets.linear.shared import SharedWeights
from plonnx.kzg import container
from plonnx.kzg.record import Record
from plonnx.layout.file import decode_builder, encode_builder
from plonnx.layout.planner import Layout
from plonnx.layout.shape import LayoutError, Shape
from tests.adversarial.subject import Subject
from tests.properties.equations import check
from tests.properties.models import Model, lay_out

BITS, SIZE = 6, 64


def recurrent(
    steps: int, inner: int, seed: int, fused: bool
) -> tuple[Model, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """h' = f(W x_t + U h): both matrices shared by all steps; and what Python makes of it."""
    random = np.random.default_rng(seed)
    builder = Builder(BITS)
    x = builder.input("x", (steps, 2), public=False)
    values = random.integers(1 - SIZE, SIZE, (1, steps, 2))
    w, u = random.integers(-20, 21, (2, inner)), random.integers(-20, 21, (inner, inner))
    bias = random.integers(-99, 99, inner)
    table = random.integers(1 - SIZE, SIZE, 2 * SIZE - 1)
    f = Function("f", 1 - SIZE, table)
    ahead = builder.linear(x, w, bias, "ahead")
    back = SharedWeights(builder, u, None, steps - 1, 1, "back", (-30, 30))
    if fused:
        back.apply(f)
    h, held = ahead[0:1], (values[0, 0] @ w + bias + SIZE // 2) // SIZE
    for t in range(1, steps):
        small = builder.sum([(h, SIZE // 4)], None, f"small {t}")
        part, first = (held * (SIZE // 4) + SIZE // 2) // SIZE, (values[0, t] @ w + bias + SIZE // 2) // SIZE
        y = back(Cells(small.refs, max(small.low, -30), min(small.high, 30)))
        shown = (part @ u + SIZE // 2) // SIZE
        shown = table[shown + SIZE - 1] if fused else shown
        h = builder.sum([(y, SIZE // 2), (ahead[t : t + 1], SIZE // 2)], None, f"h {t}")
        held = ((shown + first) * (SIZE // 2) + SIZE // 2) // SIZE
    builder.output("h", h)
    return Model(builder, {"x": values}), held


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 999), st.booleans())
def test_a_recurrent_network(steps: int, inner: int, lanes: int, columns: int, seed: int, fused: bool) -> None:
    model, expected = recurrent(steps, inner, seed, fused)
    assert model.builder.evaluate(model.inputs)["h"].reshape(-1).tolist() == expected.tolist()
    case = lay_out(model, lanes, columns)
    assert case.failures(case.witness()) == []
    check(case.layout)


def test_no_cell_of_steps_with_a_function_can_be_changed() -> None:
    """A sum, what the function makes of it, and copies for later steps, each by one."""
    subject = Subject(recurrent(3, 2, 4, True)[0], 2, 2)
    assert len(subject.units[0]) > 10
    assert subject.wrong_verdicts() == []


def test_weights_stand_once_whatever_the_steps() -> None:
    rows = []
    for steps in (3, 9):
        layout = lay_out(recurrent(steps, 4, 1, False)[0], 2, 4).layout
        (reading,) = (
            p for p in layout.places if p.reader is not None and p.reader.contribution.x.shape == (4, steps - 1)
        )
        rows.append((reading.runs, reading.reader.contribution.factor.rows(4) if reading.reader else 0))
    assert rows == [(4, 1), (4, 1)]


def test_a_circuit_file_keeps_the_steps() -> None:
    model, expected = recurrent(4, 3, 5, True)
    arrays: container.Arrays = {}
    meta = {"builder": encode_builder(model.builder, arrays)}
    with Record(container.encode("circuit", meta, arrays), "circuit", "steps") as held:
        again = decode_builder(held["builder"], held)
    assert again.evaluate(model.inputs)["h"].reshape(-1).tolist() == expected.tolist()


def test_what_is_refused() -> None:
    builder = Builder(BITS)
    x = builder.input("x", (2, 1))
    shared = SharedWeights(builder, np.ones((1, 1), np.int64), None, 2, 1, "shared", (-8, 8))
    with pytest.raises(Overflow, match=r"a step's values lie in \[-63, 63\], beyond the \(-8, 8\) of its layer"):
        shared(x[0:1])
    small = Cells(x.refs, -8, 8)
    shared(small[0:1])
    with pytest.raises(LayoutError, match="shared: 1 of its 2 steps are taken"):
        Layout(builder, Shape(8, 1, 1, 3))
    shared(small[1:2])
    with pytest.raises(ValueError, match="all 2 steps are taken"):
        shared(small[0:1])
    with pytest.raises(ValueError, match="before the second"):
        shared.apply(Function("f", -63, np.zeros(127, np.int64)))
    Layout(builder, Shape(8, 1, 1, 3))
