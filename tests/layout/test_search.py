"""The choice of a shape: the least of all, and what is known before of what a shape costs."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise, product

import numpy as np
import pytest

from plonnx.gadgets import Builder
from plonnx.gadgets.linear.check import LOW
from plonnx.gadgets.linear.matmul import matmul
from plonnx.layout import cost, counts, search
from plonnx.layout.planner import Layout
from plonnx.layout.search import Aim
from plonnx.layout.shape import Shape, smallest_k
from tests.layout.test_cost import MODELS, dense


@pytest.mark.parametrize("name", ["dense", "fused", "nothing"])
@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_choose_takes_the_least_of_all_shapes(name: str, optimize: str, monkeypatch: pytest.MonkeyPatch) -> None:
    builder, aim = MODELS[name](), Aim(optimize)
    chosen = search.choose(builder, aim)
    least = min(
        search.weigh(shape, cost.predict(shape, counts.Facts(layout)), aim)
        for lanes in search.lane_choices(builder)
        for columns in search.weight_choices(builder)
        for layout in [Layout(builder, Shape(0, lanes, columns, 1))]
        for shape in search.shapes(counts.Size(layout), aim)
    )
    found = cost.predict(chosen.shape, counts.Facts(chosen))
    assert search.weigh(chosen.shape, found, aim) <= least * (1 + 1e-9)
    assert chosen.rows <= chosen.shape.active_rows
    with monkeypatch.context() as patched:
        patched.setattr(search, "COPYING", ())
        plain = search.pick(search.choices(builder, aim), aim)
    assert plain.weight == pytest.approx(least) and not plain.shape.copying


@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
@pytest.mark.parametrize("name", MODELS)
def test_no_shape_costs_less_than_is_known_before(name: str, optimize: str) -> None:
    """The search drops a shape by these bounds: of the lanes alone, and of what is declared."""
    builder = MODELS[name]()
    tried = 0
    for lanes, columns in product((1, 3, 8), search.weight_choices(builder)):
        layout = Layout(builder, Shape(0, lanes, columns, 1))
        facts = counts.Facts(layout)
        for shape in list(search.shapes(facts, Aim(optimize)))[::5]:
            made = cost.predict(shape, facts)
            for known in (counts.Size(layout), facts):
                least = cost.at_least(shape, known)
                assert least.seconds <= made.seconds and least.memory <= made.memory
                assert least.gas <= made.gas and least.proof_bytes <= made.proof_bytes
                assert search.weigh(shape, least, Aim(optimize)) <= search.weigh(shape, made, Aim(optimize))
            tried += 1
    assert tried > 5


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_declarations_of_one_check_bound_the_other(name: str, lanes: int) -> None:
    layout = Layout(MODELS[name](), Shape(0, lanes, 1, 1))
    k = smallest_k(layout.rows)
    for (declared, group), packing in product(((1, 3), (2, 4), (3, 1), (3, 2)), (1, 4)):
        shape, facts, own = Shape(k, lanes, 1, group, packing), counts.Facts(layout), counts.Facts(layout)
        facts.declared(k, declared)
        least, most = asdict(facts.least(shape)), asdict(own.least(shape))
        assert all(least[field] <= most[field] for field in most)
        assert group <= LOW or least == most
        assert len(facts._declared) == 1


def test_some_circuits_have_two_checks() -> None:
    found = {n: counts.Facts(Layout(make(), Shape(0, 3, 1, 1)))._apart for n, make in MODELS.items()}
    assert any(found.values()) and not all(found.values()), found


@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_a_shape_costs_its_seconds_and_gas(optimize: str) -> None:
    """More for a proof that is long or takes much memory, and for a setup that is not in the package."""
    aim, layout = Aim(optimize), Layout(dense(), Shape(6, 2, 2, 3))
    made = replace(cost.predict(layout.shape, counts.Facts(layout)), seconds=2.0, gas=10**6, proof_bytes=8192)
    plain = 2.0 + 10**6 * search.SECONDS_PER_GAS[optimize]
    assert search.weigh(layout.shape, made, aim) == plain
    short = replace(made, seconds=0.1, gas=0, proof_bytes=4 * 8192)
    assert search.weigh(layout.shape, short, aim) == pytest.approx(4 ** search.LENGTH[optimize] * 0.1)
    assert search.weigh(replace(layout.shape, k=10, packing=4), made, aim) == plain
    assert search.weigh(replace(layout.shape, k=10, packing=5), made, aim) == plain * search.LARGER_SETUP[optimize]
    large = replace(made, memory=2 * search.USUAL_MEMORY)
    assert search.weigh(layout.shape, large, aim) == 4 * plain
    assert search.weigh(layout.shape, large, replace(aim, memory=large.memory)) == plain


def test_bytes_of_a_long_proof_cost_no_more_than_they_are_worth() -> None:
    """To a prover, for whom ten seconds less are worth more than a proof of half the length; gas sees the length."""
    layout = Layout(dense(), Shape(6, 2, 2, 3))
    made = replace(cost.predict(layout.shape, counts.Facts(layout)), gas=0, memory=0)
    slow, long = replace(made, seconds=10.0, proof_bytes=8192), replace(made, seconds=8.0, proof_bytes=24576)
    weights = {
        optimize: [search.weigh(layout.shape, p, Aim(optimize)) for p in (slow, long)] for optimize in search.LENGTH
    }
    assert weights["prover"][1] == 8.0 + 16384 * search.SECONDS_PER_BYTE["prover"] < weights["prover"][0] == 10.0
    assert weights["balanced"][1] > weights["balanced"][0] and weights["gas"][1] > weights["gas"][0]


def test_more_lanes_than_sixteen_are_looked_at_where_a_proof_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """22 lanes hold 65 rows of a matrix in three; those of 200 would take too many rows of any."""
    builders = {}
    for rows in (65, 200):
        builder = builders[rows] = Builder(8)
        x = builder.input("x", (rows, 2))
        builder.output("y", matmul(builder, x.reshape((1, rows, 2)), builder.input("w", (1, 2, 3)), 1, "product"))
    assert max(search.lane_choices(builders[65])) == search.MOST_LANES
    monkeypatch.setattr(search, "MANY_UNITS", builders[65].unit_count)
    assert 22 in search.lane_choices(builders[65])
    assert max(search.lane_choices(builders[200])) == search.MOST_LANES
    layout = Layout(builders[65], Shape(0, 22, 1, 1))
    assert layout.rows < Layout(builders[65], Shape(0, 16, 1, 1)).rows


@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_few_lanes_are_taken_where_the_rows_hold_them(optimize: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 positions are 7 rows of 10 lanes, as of 12: no candidate; but 2^9 rows hold them, where 11 are found."""
    builder, aim = Builder(8), Aim(optimize)
    x = builder.input("x", (64, 30), public=False)
    builder.output("y", builder.linear(x, np.ones((30, 40), np.int64), None, "y"), public=False)
    assert 10 not in search.lane_choices(builder)
    found = search.choices(builder, aim)[9]
    assert (found.shape.k, found.shape.lanes) == (9, 10)
    assert Layout(builder, replace(found.shape, lanes=9)).rows > found.shape.active_rows
    with monkeypatch.context() as patched:
        patched.setattr(search, "_in_fewer_lanes", lambda builder, choice, aim: choice)
        before = search.choices(builder, aim)[9]
    assert before.shape.lanes == 11 and before.weight > found.weight


def test_a_layout_stays_inside_the_memory_that_there_is() -> None:
    """It is the best of those inside; what no layout proves in is refused, and the least that one takes is said."""
    builder, aim = MODELS["fused"](), Aim("prover")
    usual = search.pick(search.choices(builder, aim), aim)
    layouts = [
        Layout(builder, Shape(0, lanes, columns, 1))
        for lanes in search.lane_choices(builder)
        for columns in search.weight_choices(builder)
    ]
    taken = min(
        cost.predict(shape, facts).memory for facts in map(counts.Facts, layouts) for shape in search.shapes(facts, aim)
    )
    same, least = (replace(aim, memory=memory) for memory in (usual.cost.memory, taken))
    assert search.pick(search.choices(builder, same), same).shape == usual.shape
    assert search.pick(search.choices(builder, least), least).cost.memory == taken
    with pytest.raises(ValueError, match=r"takes 0\.0\d* GB or more in every layout: more than max_memory=0.01 allows"):
        search.choices(builder, replace(aim, memory=10_000_000))


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
        search.choose(dense(), Aim("prover"))


def test_the_prover_does_not_pack_and_gas_does() -> None:
    builder = dense()
    assert search.choose(builder, Aim("prover")).shape.packing == 1
    layout = search.choose(builder, Aim("gas"))
    assert layout.shape.packing > 1
    assert layout.shape.packing << layout.shape.k <= 1 << search.SHIPPED_K


@pytest.mark.parametrize("name", ["dense", "fused"])
@pytest.mark.parametrize("optimize", list(search.SECONDS_PER_GAS))
def test_a_layout_stays_inside_the_setup_that_there_will_be(name: str, optimize: str) -> None:
    """And takes the best of those inside; one that no layout fits is refused."""
    builder = MODELS[name]()
    everything = search.choices(builder, Aim(optimize, 17))
    before = float("inf")
    for k in (min(everything), min(everything) + 2, 12, 17):
        found = search.pick(search.choices(builder, Aim(optimize, k)), Aim(optimize, k))
        assert found.shape.k + (found.shape.packing - 1).bit_length() <= k
        assert found.weight <= before
        before = found.weight
    with pytest.raises(ValueError, match=r"more than 2\^3 rows, and the setup has 2\^3 powers"):
        search.choices(builder, Aim(optimize, 3))


def test_what_larger_setups_save() -> None:
    """Each needs more than the one before and is better; the last is the best there is."""
    choices = search.choices(MODELS["fused"](), Aim("gas"))
    taken = min(choices.values(), key=lambda choice: choice.srs_k)
    larger = search.larger_setups(choices, taken)
    assert larger
    for one, other in pairwise([taken, *larger]):
        assert one.srs_k < other.srs_k and other.weight < one.weight and other.cost.gas < one.cost.gas
    assert larger[-1].weight <= 1.01 * min(choice.weight for choice in choices.values())


def test_gas_does_not_cost_more_than_some_seconds() -> None:
    layout, most = Layout(dense(), Shape(6, 2, 2, 3)), search.GAS_SECONDS
    made = replace(cost.predict(layout.shape, counts.Facts(layout)), seconds=most, gas=10**6, proof_bytes=1)
    slow = replace(made, seconds=2 * most)
    weights = {aim: [search.weigh(layout.shape, one, Aim(aim)) for one in (made, slow)] for aim in ("gas", "balanced")}
    assert weights["gas"][1] > 1.9 * weights["gas"][0]
    assert weights["balanced"][1] == weights["balanced"][0] + most
