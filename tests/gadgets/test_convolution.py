"""Convolutions through the linear check: what they compute, which cells are the prover's, and what no prover can do."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.gadgets import Builder
from tests.properties.models import Model, lay_out


@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_the_whole_product_is_an_output_without_a_border(lanes: int, groups: int) -> None:
    """Where rows end early its positions would lie before the input's: it takes a window ahead of them."""
    builder, random = Builder(6), np.random.default_rng(lanes)
    x = builder.input("x", (5, 3), public=False)
    weights = random.integers(-9, 10, (5, 2, 1))
    y = builder.convolution(x, weights, np.array([[-1], [0]]), None, (4,), "y", groups)
    builder.output("y", y, public=False)
    inputs = random.integers(-60, 61, (1, 5, 3))
    case = lay_out(Model(builder, {"x": inputs}), lanes, 1)
    assert case.failures(case.witness()) == []
    assert not any(place.has_terms for place in case.layout.places)
    by_channel = np.array([np.convolve(x, w) for x, w in zip(inputs[0], weights[:, ::-1, 0], strict=True)])
    expected = by_channel if groups == 5 else by_channel.sum(axis=0, keepdims=True)
    done = builder.run({"x": inputs})
    assert done.sums[0, y.refs >> 1].tolist() == expected.tolist()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_a_window_alone_needs_no_accumulators(lanes: int) -> None:
    builder = Builder(4)
    x = builder.input("x", (2, 1), public=False)
    y = builder.convolution(x, np.array([[[-8]], [[9]]]), np.array([[-1]]), None, (2,), "y")
    builder.output("y", y)
    case = lay_out(Model(builder, {"x": np.array([[[5], [13]]])}), lanes, 1)
    assert case.failures(case.witness()) == []
    assert builder.evaluate(case.model.inputs)["y"].tolist() == [[[0, 5]]]
    names = case.circuit().advice_names
    assert "border terms 0" not in names
    assert "input sums" not in names  # lone values, read directly
    assert ("output sums" in names) == (lanes == 1)
