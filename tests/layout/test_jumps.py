"""layout/jumps.py: gaps of borders are crossed in few powers, on rows that are there anyway, where no term stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plonnx.gadgets.builder import Builder
from plonnx.layout import jumps
from plonnx.layout.fixed import Fixed
from plonnx.layout.geometry import Border
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k
from tests.properties.equations import check
from tests.properties.models import LaidOut, laid_out

gaps = st.dictionaries(st.integers(1, 400), st.integers(1, 9), min_size=1, max_size=12)


@given(st.sets(st.integers(1, 60), max_size=5), gaps, st.integers(0, 200))
def test_every_gap_is_crossed_within_the_free_rows(kept: set[int], wanted: dict[int, int], free: int) -> None:
    crossings = jumps.Crossings(kept, wanted)
    crossings.powers(free // 2)  # what was asked before changes nothing
    chosen = crossings.powers(free)
    assert chosen.tolist() == jumps.Crossings(kept, wanted).powers(free).tolist()
    assert kept <= set(chosen.tolist()) <= kept | set(wanted)
    assert sorted(chosen.tolist(), reverse=True) == chosen.tolist()
    widths, counts = np.array(list(wanted)), np.array(list(wanted.values()))
    crossed = jumps.steps(widths, chosen)
    assert crossed is not None
    assert (crossed @ chosen).tolist() == widths.tolist()
    assert counts @ (crossed.sum(axis=1) - 1) <= free


def test_with_one_and_rows_enough_no_power_is_added() -> None:
    assert jumps.Crossings({1, 9}, {29: 28, 2445: 1, 22: 10}).powers(10_000).tolist() == [9, 1]
    assert jumps.Crossings({1, 9}, {29: 28, 2445: 1, 22: 10}).powers(0).tolist() == [2445, 29, 22, 9, 1]
    assert jumps.Crossings({1, 9}, {29: 28, 2445: 1, 22: 10}).powers(10 * 5).tolist() == [
        2445,
        29,
        9,
        1,
    ]  # 22 = 9 + 9 + 4
    assert jumps.Crossings({7}, {29: 1}).powers(10_000).tolist() == [29, 7]  # what can't be crossed stays


def test_more_widths_than_a_model_has_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps 1, 2, 3, .. apart in a file of a few kilobytes: every gap differs."""
    widths = dict.fromkeys(range(2, jumps.MOST_WIDTHS + 3), 1)
    monkeypatch.setattr(jumps, "steps", lambda *given: pytest.fail("it tries them"))
    assert jumps.Crossings({1}, widths).powers(10_000).tolist() == [*sorted(widths, reverse=True), 1]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(-99, 99))
def test_terms_stay_where_they_were(widths: list[int], first: int) -> None:
    starts = first + np.r_[0, np.cumsum(widths)[:-1]]
    count = len(widths)
    border = Border(np.zeros((count, 1)), np.arange(count), np.zeros(count), starts, np.arange(count), 1, 0)
    made = jumps.bridged(border, np.array(widths), np.array([7, 1]))
    assert made.starts[made.stands].tolist() == starts.tolist()
    assert made.starts[made.rows].tolist() == starts.tolist()
    path = np.r_[made.starts, starts[-1] + widths[-1]]
    assert set(np.diff(path).tolist()) <= {7, 1}


@given(laid_out)
def test_a_layout_takes_no_larger_domain_for_it(case: LaidOut) -> None:
    layout = case.layout
    steps = sum(len(p.border.starts) - len(p.border.stands) for p in layout.places if p.border is not None)
    assert smallest_k(layout.rows) == smallest_k(layout.rows - steps)


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_border_of_a_padded_kernel(lanes: int) -> None:
    """It has steps between its terms, and fewer powers than gaps; every coefficient of the check is what it was."""
    random, builder = np.random.default_rng(lanes), Builder(8)
    image, square = builder.input("x", (1, 9, 10)), np.indices((3, 3)).reshape(2, -1).T - 1
    y = builder.convolution(image, random.integers(-9, 10, (1, 9, 1)), square, None, (9, 10), "y")
    builder.output("y", y)
    layout = Layout(builder, Shape(10, lanes, 1, 2))
    (place,) = (p for p in layout.places if p.has_terms)
    assert place.border is not None
    assert len(place.border.stands) < len(place.border.starts)
    gaps = set(np.diff(layout.border_linear(place)[[*place.border.stands, -1]]).tolist())
    runs = {power for p in layout.places if not p.has_terms for power in layout.positions.run_steps(p).tolist()}
    carried = {power for monomial in Fixed(layout).carries for _, power in monomial}
    assert len(carried - runs) < len(gaps - runs)
    check(layout)
