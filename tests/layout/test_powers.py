"""The monomials of the linear check: one for every equation, and none that a border term could reach.

Border terms are chosen once chi is known, so at their powers of psi nothing is proved. This is what keeps a convolution
from stating any other output: here over random models, from the fixed columns alone.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from plonnx.gadgets import Builder
from plonnx.gadgets.lanes import BY_CHI
from plonnx.gadgets.linear import border as borders
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.gadgets.linear.equation import Equation
from plonnx.layout import geometry
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape
from plonnx.layout.witness import Filler
from plonnx.plonk.program import MODULUS, PSI
from tests.properties.models import LaidOut, laid_out, random_case

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60)
Monomial = tuple[int, int]  # the exponents of chi and psi
DEAD = (-1, -1)


def landing(fixed: Fixed) -> list[Monomial]:
    """For every row: the factor of what it adds to the output sums, where that is stated; DEAD if it never is.

    The sum behind a row has that row's: Y' = carry Y + y, and `total` states Y'.
    """
    carry = np.full(fixed.rows + 1, -1)
    by_chi = np.zeros(fixed.rows + 1, bool)
    for monomial, rows in fixed.stated_carries.items():
        ((name, power),) = monomial or ((PSI, 0),)
        assert not np.any(carry[:-1][rows == 1] >= 0)  # one power a row
        carry[:-1][rows == 1], by_chi[:-1][rows == 1] = power, name == "chi"
    own = powers(fixed)
    found = [DEAD] * (fixed.rows + 1)
    for row in range(fixed.rows - 1, -1, -1):
        if carry[row + 1] >= 0 and found[row + 1] != DEAD:
            chi, psi = found[row + 1]
            step = int(carry[row + 1])
            found[row] = (chi + step, psi) if by_chi[row + 1] else (chi, psi + step)
        for monomial, rows in fixed.totals.items():
            if rows[row]:
                assert found[row] == DEAD  # behind a sum that is stated the next starts anew: nothing is stated twice
                chi, psi = own[row]
                found[row] = chi + dict(monomial).get("chi", 0), psi + dict(monomial).get(PSI, 0)
    return found


def powers(fixed: Fixed) -> list[Monomial]:
    """P on every row."""
    rows = zip(*(column.tolist() for column in fixed.power), strict=True)
    return [(chi, windows * fixed.layout.omega + turns) for chi, windows, turns in rows]


def equations(layout: Layout) -> dict[int, Monomial]:
    """By unit: the monomial of its equation."""
    fixed, lands = Fixed(layout), landing(Fixed(layout))
    at_row, found = powers(fixed), {}
    rows, lanes = layout.unit_cells
    for block in layout.builder.blocks:
        for unit in block.units.tolist() if isinstance(block, Equation) else []:
            row, lane = int(rows[unit]), int(lanes[unit])
            lands_at = lands[row]
            ways = [(at_row[row], apart) for apart, m in fixed.final.items() if m[lane][row] == 1]
            ways += [(lands_at, apart) for apart, m in fixed.gathered.items() if m[lane][row] == 1 and lands_at != DEAD]
            ((at, apart),) = ways  # stated once
            after = layout.shape.lanes - 1 - lane
            found[unit] = (at[0] + after, at[1]) if apart == BY_CHI else (at[0], at[1] + apart * after)
    return found


def border_powers(layout: Layout) -> list[int]:
    """The powers of psi of everything that the prover may add to the output sums in phase 1."""
    fixed, lands = Fixed(layout), landing(Fixed(layout))
    rows = [(row, apart) for apart, marks in fixed.borders.items() for row in np.flatnonzero(marks).tolist()]
    reached = [(lands[row][1], apart) for row, apart in rows if lands[row] != DEAD]
    return [psi + apart * lane for psi, apart in reached for lane in range(layout.border_lanes)]


@slow
@given(laid_out)
def test_every_equation_has_a_monomial_of_its_own(case: LaidOut) -> None:
    found = equations(case.layout)
    counts = Counter(found.values())
    assert all(count == 1 for count in counts.values()), counts.most_common(3)
    fixed = Fixed(case.layout)
    stated = (
        [
            np.any([m[lane] for m in (*fixed.final.values(), *fixed.gathered.values())], axis=0)
            for lane in range(fixed.lanes)
        ]
        if found
        else []
    )
    assert len(found) == sum(int(np.sum(rows)) for rows in stated)  # and no idle lane has one


@slow
@given(laid_out)
def test_no_border_term_reaches_an_equation(case: LaidOut) -> None:
    """Nor another power of psi that an equation has under another power of chi: chi is known by then."""
    assert not set(border_powers(case.layout)) & {psi for _, psi in equations(case.layout).values()}


@slow
@given(laid_out)
def test_no_border_term_reaches_a_public_word(case: LaidOut) -> None:
    """Words are in sums of their own; and of one kind, each has a monomial of its own."""
    words: Counter[tuple[bool, bool, int, int]] = Counter()
    for _, run, positive, across in case.layout.runs:
        for j in range(-(-run.count // run.per_word)):
            words[positive, across, run.exponent + j, run.power] += 1
    assert all(count == 1 for count in words.values())
    circuit = case.circuit()
    free = {circuit.advice_names[i] for i in circuit.free_columns}
    for name, term, total in circuit.sums:
        if total is not None:
            assert name.startswith("public")
            assert not free & {getattr(atom, "name", "") for atom in term.atoms()}


def test_random_models_have_borders_that_could_meet() -> None:
    """Several in one model, of one axis and of more; lanes of a row of terms that no position stands for."""
    seen: Counter[str] = Counter()
    wanted = {"several", "several axes", "idle terms", "none, but a window"}
    for seed in range(3000):
        case = random_case(seed)
        borders = [p.border for p in case.layout.places if p.border is not None]
        seen["several"] += len(borders) > 1
        seen["several axes"] += len({b.reached[0][0].shape[1] for b in borders}) > 1
        seen["idle terms"] += any(len(b.rows) < len(b.starts) * case.layout.border_lanes for b in borders)
        seen["none, but a window"] += any(len(b.rows) == 0 for b in borders)
        if all(seen[name] for name in wanted):
            return
    pytest.fail(f"not all in 3,000 models: {seen}")


@slow
@given(laid_out)
def test_the_degrees_are_far_below_the_field(case: LaidOut) -> None:
    found = [*equations(case.layout).values(), (0, 0)]
    assert max(chi for chi, _ in found) + max(psi for _, psi in found) < 1 << 40 < MODULUS >> 200


# The numbers behind it -----------------------------------------------------------------------------------------------


def full_product(one: Contribution, x: NDArray[np.int64], chi: int) -> dict[tuple[int, ...], int]:
    """sum_o chi^o y[o, p] at every position that the full product reaches, inside the output and outside."""
    found: dict[tuple[int, ...], int] = {}
    weights = one.factor
    assert isinstance(weights, Weights)
    channels, _, outputs = weights.values.shape
    for c in range(channels):
        group = c // (channels // weights.groups)
        for t, offset in enumerate(weights.offsets.tolist()):
            factor = sum(chi ** (group * outputs + o) * int(weights.values[c, t, o]) for o in range(outputs))
            for position in np.ndindex(*x.shape[1:]):
                at = tuple(i - d for i, d in zip(position, offset, strict=True))
                found[at] = found.get(at, 0) + factor * int(x[c][position])
    return found


@slow
@given(laid_out)
def test_border_terms_are_the_full_products_outside_the_output(case: LaidOut) -> None:
    """Of all that a block reads together, each where its linear position is."""
    layout, builder, chi = case.layout, case.model.builder, 0x1234567890ABCDEF << 100
    done, filler = builder.run(case.model.inputs), Filler(layout)
    terms = filler.later(done, 1, {"chi": chi})
    rows_checked = 0
    for place, output in zip(layout.places, layout.places[1:], strict=False):
        if place.border is None:
            continue
        block, border = output.block, place.border
        assert block is not None
        outside: dict[int, int] = {}
        for one in block.contributions:
            values = np.where(one.x < 0, 0, done.values[0, np.maximum(one.x, 0) >> 1])
            values = np.where(one.x & 1 == 1, np.maximum(values, 0), values) * (one.x >= 0)
            made = {tuple(i * s for i, s in zip(p, one.steps.tolist(), strict=True)) for p in np.ndindex(*one.shape)}
            apart = np.array(layout.positions.spacings[one])
            for position, product in full_product(one, values, chi).items():
                if position not in made:
                    at = int(geometry.linear(np.array(position) * apart, layout.positions.pitch))
                    outside[at] = outside.get(at, 0) + product
        stands = border.starts[border.rows] + border.lanes * border.spacing
        assert len(set(stands.tolist())) == len(stands) and set(stands.tolist()) == set(outside)
        for position, row, lane in zip(stands.tolist(), border.rows, border.lanes, strict=True):
            held = terms[borders.name(int(lane))][place.row + 1 + int(row)]
            assert held == outside[position] % MODULUS
            rows_checked += 1
    assert bool(rows_checked) <= bool(terms)
    assert filler.later(done, 2, {"chi": chi}) == {}


def test_a_model_without_convolutions_has_one_window_and_no_border() -> None:
    builder = Builder(5)
    x = builder.input("x", (2, 3))
    builder.output("y", builder.linear(x, np.ones((3, 2), np.int64), None, "y"))
    layout = Layout(builder, Shape(6, 2, 2, 3))
    assert not len(Fixed(layout).borders) and not np.any(Fixed(layout).windows)
    assert border_powers(layout) == []
    assert len(equations(layout)) == 4
