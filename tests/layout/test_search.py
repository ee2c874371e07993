"""The choice of a shape: the least of all, and what is known before of what a shape costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest

from plonnx.layout import cost, counts, search
from plonnx.layout.planner import Layout, Shape
from tests.layout.test_cost import MODELS, dense


@pytest.mark.parametrize("name", ["dense", "fused", "nothing"])
@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_choose_takes_the_least_of_all_shapes(name: str, optimize: str) -> None:
    builder = MODELS[name]()
    chosen = search.choose(builder, optimize)
    least = min(
        search.weigh(shape, cost.predict(shape, counts.Facts(layout)), optimize)
        for lanes in search.lane_choices(builder)
        for columns in search.weight_choices(builder)
        for layout in [Layout(builder, Shape(0, lanes, columns, 1))]
        for shape in search.shapes(counts.Size(layout), optimize)
    )
    found = cost.predict(chosen.shape, counts.Facts(chosen))
    assert search.weigh(chosen.shape, found, optimize) == pytest.approx(least)
    assert chosen.rows <= chosen.shape.active_rows


@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
@pytest.mark.parametrize("name", MODELS)
def test_no_shape_costs_less_than_is_known_before(name: str, optimize: str) -> None:
    """The search drops a shape by these bounds: of the lanes alone, and of what is declared."""
    builder = MODELS[name]()
    tried = 0
    for lanes, columns in product((1, 3, 8), search.weight_choices(builder)):
        layout = Layout(builder, Shape(0, lanes, columns, 1))
        facts = counts.Facts(layout)
        for shape in list(search.shapes(facts, optimize))[::5]:
            weight = search.weigh(shape, cost.predict(shape, facts), optimize)
            assert search.least(shape, counts.Size(layout), optimize) <= weight
            assert search.least(shape, facts, optimize) <= weight
            tried += 1
    assert tried > 5


@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_a_shape_costs_its_seconds_and_gas(optimize: str) -> None:
    """More for a proof that is long, and for a setup that is not in the package."""
    layout = Layout(dense(), Shape(6, 2, 2, 3))
    made = replace(cost.predict(layout.shape, counts.Facts(layout)), seconds=2.0, gas=10**6, proof_bytes=8192)
    plain = 2.0 + 10**6 * search.SECONDS_PER_GAS[optimize]
    assert search.weigh(layout.shape, made, optimize) == plain
    assert search.weigh(layout.shape, replace(made, proof_bytes=4 * 8192), optimize) == 4 * plain
    assert search.weigh(replace(layout.shape, k=10, packing=4), made, optimize) == plain
    assert search.weigh(replace(layout.shape, k=10, packing=5), made, optimize) == plain * search.LARGER_SETUP[optimize]


@pytest.mark.parametrize("name", MODELS)
def test_every_choice_can_be_laid_out(name: str) -> None:
    """With any number of weight columns: fewer of them take more rows."""
    builder = MODELS[name]()
    for lanes in search.lane_choices(builder):
        rows = [Layout(builder, Shape(0, lanes, columns, 1)).rows for columns in sorted(search.weight_choices(builder))]
        assert min(rows) > 0
        assert rows == sorted(rows, reverse=True)


def test_choose_refuses_what_no_shape_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_K", 3)
    with pytest.raises(ValueError, match=r"the model needs more than 2\^3 rows"):
        search.choose(dense(), "prover")


def test_the_prover_does_not_pack_and_gas_does() -> None:
    builder = dense()
    assert search.choose(builder, "prover").shape.packing == 1
    layout = search.choose(builder, "gas")
    assert layout.shape.packing > 1
    assert layout.shape.packing << layout.shape.k <= 1 << search.SHIPPED_K


@pytest.mark.parametrize("name", ["dense", "fused"])
@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_a_layout_stays_inside_the_setup_that_there_will_be(name: str, optimize: str) -> None:
    """And takes the best of those inside; one that no layout fits is refused."""
    builder = MODELS[name]()
    everything = search.choices(builder, optimize, 17)
    before = float("inf")
    for k in (min(everything), min(everything) + 2, 12, 17):
        found = search.pick(search.choices(builder, optimize, k), optimize, k)
        assert found.shape.k + (found.shape.packing - 1).bit_length() <= k
        assert found.weight <= before
        before = found.weight
    with pytest.raises(ValueError, match=r"more than 2\^3 rows, and the setup has 2\^3 powers"):
        search.choices(builder, optimize, 3)


def test_what_larger_setups_save() -> None:
    """Each needs more than the one before and is better; the last is the best there is."""
    choices = search.choices(MODELS["fused"](), "gas")
    taken = min(choices.values(), key=lambda choice: choice.srs_k)
    larger = search.larger_setups(choices, taken)
    assert larger
    for one, other in pairwise([taken, *larger]):
        assert one.srs_k < other.srs_k and other.weight < one.weight and other.cost.gas < one.cost.gas
    assert larger[-1].weight <= 1.01 * min(choice.weight for choice in choices.values())


def test_gas_does_not_cost_more_than_some_seconds() -> None:
    layout = Layout(dense(), Shape(6, 2, 2, 3))
    made = replace(
        cost.predict(layout.shape, counts.Facts(layout)), seconds=search.GAS_SECONDS, gas=10**6, proof_bytes=1
    )
    slow = replace(made, seconds=2 * search.GAS_SECONDS)
    assert search.weigh(layout.shape, slow, "gas") > 1.9 * search.weigh(layout.shape, made, "gas")
    assert (
        search.weigh(layout.shape, slow, "balanced")
        == search.weigh(layout.shape, made, "balanced") + search.GAS_SECONDS
    )
