"""The linear check of one equation, exhaustively at small T: given the inputs, one unit passes."""

from __future__ import annotations

import numpy as np
import pytest

from plonnx.gadgets import Builder, unit
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.mock import MockProver
from plonnx.plonk.multiplicities import column_name
from plonnx.plonk.prover import Witness

SIZE = 4


def single(weight: int, bias: int, coefficient: int | None, hidden: bool) -> Layout:
    """y = weight x + bias, or coefficient x + bias, with a hidden x: one unit each."""
    builder = Builder(2, hidden, 4, 4)
    x = builder.input("x", (1, 1), public=False)
    if coefficient is None:
        y = builder.linear(x, np.array([[weight]]), np.array([bias]), "y")
    else:
        y = builder.sum([(x, coefficient)], np.array([[bias]]), "y")
    builder.output("y", y, public=False)
    return Layout(builder, Shape(4, 1, 1, 3))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("weight", "bias", "coefficient"), [(3, 1, None), (-2, -3, None), (0, 3, 2), (0, -1, -3)])
@pytest.mark.parametrize("x", [-3, 0, 2])
def test_given_x_one_unit_passes(weight: int, bias: int, coefficient: int | None, x: int, hidden: bool) -> None:
    layout = single(weight, bias, coefficient, hidden)
    mock = MockProver(arithmetize(layout, "", layout.tensors))
    active_rows = layout.shape.active_rows
    honest = Filler(layout).advice(layout.builder.run({"x": np.array([[[x]]])}))
    row = layout.places[1].value_rows[0, 0]
    accepted = []
    for a, b in [*((v, 0) for v in range(SIZE)), *((0, v) for v in range(1, SIZE))]:
        for c in range(SIZE):
            columns = {f"{part}0": honest[f"{part}0"].copy() for part in "abc"}
            for part, cell in zip("abc", (a, b, c), strict=True):
                columns[f"{part}0"][row] = cell
            looked_up = np.r_[columns["a0"] + columns["b0"], columns["c0"]]
            counts = np.bincount(looked_up, minlength=SIZE)
            counts[0] += 2 * active_rows - len(looked_up)
            counted = {column_name(unit.range_name(SIZE), 0): counts}
            if mock.failures(Witness({**columns, **counted}, b"")) == []:
                accepted.append((a - b, c))
    y = (coefficient if coefficient is not None else weight) * x + bias
    assert accepted == [divmod(y + SIZE // 2, SIZE)]
