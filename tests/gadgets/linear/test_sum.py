"""Sums of tensors with coefficients and a constant, against plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plonnx.gadgets import Builder
from tests.adversarial.subject import Subject
from tests.gadgets.drawn import matrices, rounded
from tests.properties.models import Model


@given(st.integers(1, 10), st.integers(1, 5), st.integers(1, 3), st.data())
def test_sum(bits: int, count: int, terms: int, data: st.DataObject) -> None:
    size = 1 << bits
    values = data.draw(matrices(terms, count, size - 1))
    coefficients = data.draw(st.lists(st.integers(-size, size), min_size=terms, max_size=terms))
    constant = data.draw(st.none() | st.lists(st.integers(-(size**2), size**2), min_size=count, max_size=count))
    builder = Builder(bits)
    x = builder.input("x", (terms, count))
    last = builder.relu(x[terms - 1], "last")  # the last term is a positive part
    cells = [*(x[i] for i in range(terms - 1)), last]
    y = builder.sum(list(zip(cells, coefficients, strict=True)), None if constant is None else np.array(constant), "y")
    values[-1], original = [max(v, 0) for v in values[-1]], [list(row) for row in values]
    expected = [
        rounded(
            sum(c * row[i] for c, row in zip(coefficients, values, strict=True)) + (constant[i] if constant else 0),
            size,
        )
        for i in range(count)
    ]
    assume(max(abs(v) for v in expected) < size)
    done = builder.run({"x": np.array([original])})
    assert builder.read(done, y)[0].tolist() == expected


@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_many_constants_stand_side_by_side(lanes: int) -> None:
    """Each lane has its own; no other sum passes, in the first rows or in the last."""
    random, count = np.random.default_rng(0), 257
    builder = Builder(8)
    constant = random.integers(-5000, 5000, count)
    x = builder.input("x", (count,), public=False)
    builder.output("y", builder.sum([(x, 256)], constant, "y"))
    subject = Subject(Model(builder, {"x": random.integers(-99, 100, (1, count))}), lanes, 1)
    (place,) = (place for place in subject.layout.places if place.name == "y")
    assert place.height == -(-count // lanes)
    assert subject.failures(subject.honest) == []
    for element in (0, 1, lanes, count - 1):
        for by in (1, 256, int(constant[element]) or 1):
            sums = np.zeros((1, count), np.int64)
            sums[0, element] = by
            assert subject.failures(subject.forged("y", change=lambda made, more=sums: made + more)) != []
