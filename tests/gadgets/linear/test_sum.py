"""Sums of tensors with coefficients and a constant, against plain Python integers."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import assume, given, settings
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


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 999))
def test_a_constant_for_each_lane(count: int, lanes: int, seed: int) -> None:
    """Many constants that differ stand side by side; every one counts, and none other does."""
    random = np.random.default_rng(seed)
    constant = random.integers(-(256**2) // 4, 256**2 // 4, count)
    with patch("plonnx.gadgets.linear.sum._BY_LANE", 1):
        builder = Builder(8)
        x = builder.input("x", (count,), public=False)
        builder.output("y", builder.sum([(x, 256)], constant, "y"))
        subject = Subject(Model(builder, {"x": random.integers(-90, 91, (1, count))}), lanes, 1)
        assert subject.failures(subject.honest) == []
        place = subject.place("y")
        assert place.rows == 2 * -(-count // lanes)
        other = constant.copy()
        other[seed % count] += 256
        failed = subject.failures(subject.forged("y", constant=other))
        assert {failure.constraint for failure in failed} == {"gate 'running sum ends'"}
