"""Border terms: what the full product of a convolution puts outside its output, and on which rows they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plonnx.gadgets.linear import border
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.layout.fixed import Fixed
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.program import MODULUS
from tests.properties.models import LaidOut, laid_out

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=40)


@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_the_terms_are_the_product_outside(groups: int, per_group: int, outputs: int, seed: int) -> None:
    """b_p = sum over c, t, j of chi^(group J + j) W[c, t, j] x[c, p + d_t], one number at a time."""
    random, channels, grid = np.random.default_rng(seed), groups * per_group, (3, 2)
    weights, offsets = random.integers(-9, 10, (channels, 4, outputs)), random.integers(-2, 3, (4, 2))
    x, positions = random.integers(-31, 32, (channels, *grid)), random.integers(-4, 5, (6, 2))
    one = Contribution(2 * np.arange(x.size).reshape(x.shape), Weights(weights, offsets, groups), (2, 2))
    chi = 1 << 99
    found = border.terms(one, positions, x.reshape(-1), chi)
    for number, position in enumerate(positions):
        expected = 0
        for c, t, j in np.ndindex(*weights.shape):
            at = position + offsets[t]
            if np.all((at >= 0) & (at < grid)):
                power = pow(chi, c // per_group * outputs + j, MODULUS)
                expected += power * int(weights[c, t, j]) * int(x[(c, *at)])
        assert found[number] == expected % MODULUS


@pytest.mark.parametrize("lanes", [0, 1, 4])
def test_the_columns_are_free_after_chi(lanes: int) -> None:
    circuit = Circuit(4)
    circuit.advice("a")
    columns = border.add_columns(circuit, lanes)
    assert [column.name for column in columns] == [border.name(lane) for lane in range(lanes)]
    assert circuit.free_columns == {column.index for column in columns}
    assert circuit.free_phase == (1 if lanes else 0)
    assert [scalar.name for scalar in circuit.challenges[0]] == ["chi"]


@slow
@given(laid_out)
def test_terms_stand_between_the_first_and_the_last_row_of_their_border(case: LaidOut) -> None:
    """The first is empty, on the last the sum of all is taken; the prover fills neither, nor steps between terms."""
    fixed, layout = Fixed(case.layout), case.layout
    within = [row for p in layout.places if p.has_terms for row in p.term_rows.tolist()]
    assert sorted(row for rows in fixed.borders.values() for row in np.flatnonzero(rows).tolist()) == within
    filled = case.witness().later(1, {"chi": 1 << 99})
    if not within:
        assert not filled
        return
    assert list(filled) == [border.name(lane) for lane in range(layout.border_lanes)]
    for place in (p for p in layout.places if p.has_terms):
        assert place.border is not None
        last = place.row + place.rows - 1
        assert place.row < place.term_rows[0] and place.term_rows[-1] < last
        assert fixed.totals[()][place.row : last + 1].tolist() == [0] * (place.rows - 1) + [1]
        held = {(int(row), int(lane)) for row, lane in zip(place.border.rows, place.border.lanes, strict=True)}
        assert len(held) == len(place.border.rows)
        for lane, column in enumerate(filled.values()):
            assert column[place.row] == column[last] == 0
            for row in range(len(place.border.starts)):
                assert (row, lane) in held or column[place.row + 1 + row] == 0
