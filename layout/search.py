"""The search for a shape: of lanes, weight columns, rows, groups and packing those that cost least for an aim.

It makes a dry run of those shapes only that could still be the best: what a shape costs at least is known before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.kzg.wording import option
from plonnx.layout.cost import Cost, Price, at_least, predict
from plonnx.layout.counts import Facts, Size
from plonnx.layout.parts import takes_and_frees
from plonnx.layout.planner import Layout
from plonnx.layout.shape import Shape, smallest_k

MAX_K = 22
MAX_PROOF_BYTES = 8192
USUAL_MEMORY = 8_000_000_000  # bytes that a proof may take where nobody says; a constant, so that circuits are anyone's
SHIPPED_K = 14  # the largest setup that comes with the package: what `gas` takes where no other is promised
LARGEST_K = 21  # the largest setup that `gas` looks at
LARGEST_SRS = 28  # no ceremony is larger
GAS_SECONDS = 6.0  # a proof under `gas` may take so long (LeNet-5 takes 4.4, predicted); beyond, gas counts for less
PREFERRED_POWERS = 1 << 12  # Ethereum's ceremony; up to 2^14 powers of Midnight's come with plonnx, too
PACKED_POWERS = 1 << 15  # what packing takes of an SRS where the rows are more than those: one that is fetched
LARGER_SETUP = {"prover": 3.0, "balanced": 2.0, "gas": 1.0}  # how much more a circuit may cost that needs no larger SRS
SECONDS_PER_GAS = {"prover": 5e-8, "balanced": 5e-7, "gas": 1e-2}  # what a unit of gas is worth to each aim
LENGTH = {"prover": 0.5, "balanced": 1.0, "gas": 1.0}  # the power by which a proof costs more that is too long
SECONDS_PER_BYTE = {"prover": 1.2e-4, "balanced": 1.0, "gas": 1.0}  # and a byte too many costs no more than so much
WEIGHT_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
USUAL_COLUMNS = 256  # with more columns a key fits no creation of a contract: only for more weights than these
USUAL_WEIGHTS = {"prover": 6 << 20, "balanced": 1 << 24, "gas": 1 << 24}
MOST_ROWS = 16  # times the rows of a layout with more weight columns: what is longer is not looked at
MOST_PARTS = 128  # of all tables side by side, about: shorter columns are not looked at where longer ones may be had
GROUPS = range(1, 8)
MOST_LANES = 16
MANY_LANES = 24  # at most, for matrices of FEW_ROWS of them, where a circuit has MANY_UNITS: its proofs take long
MANY_UNITS = 3 << 18
FEW_ROWS = 8
WASTED = 0.06  # the share of idle lanes that a number of lanes above 8, no power of two, may leave behind them
PACKINGS = (1, 2, 4, 8, 16, 32, 64)
COPYING = (1, 2, 4)  # lanes for gadgets that copy where they free e


@dataclass(frozen=True)
class Aim:
    """What a layout is for: what shall be cheap, "prover", "gas" or "balanced"; the setup's 2^srs_k powers, and the
    bytes of memory that a proof may take, where they are known.
    """

    optimize: str
    srs_k: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Choice:
    """The shape of least cost for an aim among those that an SRS of 2^srs_k powers serves, and no smaller one."""

    srs_k: int
    shape: Shape
    cost: Cost
    weight: float


def choose(builder: Builder, aim: Aim) -> Layout:
    """The layout of least cost."""
    return Layout(builder, pick(choices(builder, aim), aim).shape)


def pick(found: Mapping[int, Choice], aim: Aim) -> Choice:
    """The best that the setup serves which there will be."""
    most = aim.srs_k
    if aim.optimize == "gas" and most is None:
        most = max(SHIPPED_K, min(found))
    fitting = [choice for choice in found.values() if most is None or choice.srs_k <= most]
    return min(fitting, key=lambda choice: choice.weight)


def larger_setups(found: Mapping[int, Choice], taken: Choice) -> list[Choice]:
    """What larger setups would bring than the one of a choice, smallest first: each is 1 % better than the last."""
    better: list[Choice] = []
    for choice in (found[k] for k in sorted(found) if k > taken.srs_k):
        if choice.weight < 0.99 * (better[-1] if better else taken).weight:
            better.append(choice)
    return better


def choices(builder: Builder, aim: Aim) -> dict[int, Choice]:
    """The best shape by the setup that it needs, where no smaller setup has one as good.

    Without `srs_k` those setups are looked at that the aim would take. ValueError where nothing fits.
    """
    best: dict[int, Choice] = {}
    beyond: list[int] = []  # bytes that shapes take, or more, which take more than there are

    def beaten(shape: Shape, price: Price, weight: float) -> bool:
        if aim.memory is not None and price.memory > aim.memory:
            beyond.append(price.memory)
            return True
        return any(choice.weight <= weight for k, choice in best.items() if k <= _powers(shape))

    layout: Layout | None = None
    bounded = []  # every layout with its shapes, by what these weigh at least
    for size in _sizes(builder, USUAL_WEIGHTS[aim.optimize]):
        prices = [(shape, at_least(shape, size)) for shape in shapes(size, aim)]
        bounds = [(weigh(shape, price, aim), shape, price) for shape, price in prices]
        if bounds:
            bounded.append((size, sorted(bounds, key=lambda held: held[0])))
    for size, bounds in sorted(bounded, key=lambda held: held[1][0][0]):  # what promises most comes first
        facts: Facts | None = None
        for least, shape, price in bounds:
            if beaten(shape, price, least):
                continue
            if facts is None:
                layout = Layout(builder, size.shape, like=layout)
                facts = Facts(layout)
            declared = at_least(shape, facts)
            if beaten(shape, declared, weigh(shape, declared, aim)):
                continue
            cost = predict(shape, facts)
            weight = weigh(shape, cost, aim)
            if not beaten(shape, cost, weight):
                needed = _powers(shape)
                best[needed] = Choice(needed, shape, cost, weight)
    if not best:
        raise ValueError(_why_none(aim, beyond))
    kept = _better(best)
    fewer = {k: _in_fewer_lanes(builder, choice, aim) for k, choice in kept.items()}
    few = {k: _in_few_lanes(builder, choice, aim) for k, choice in fewer.items()}
    return _better({k: _with_values_apart(builder, choice, aim) for k, choice in few.items()})


def _better(best: Mapping[int, Choice]) -> dict[int, Choice]:
    """Those that are better than all that a smaller setup serves."""
    return {k: best[k] for k in sorted(best) if all(best[k].weight < best[j].weight for j in best if j < k)}


def _in_fewer_lanes(builder: Builder, choice: Choice, aim: Aim) -> Choice:
    """The same in as few lanes as its 2^k rows hold, whatever they leave idle, where that costs less.

    With twice the weight columns where they hold it with those alone.
    """
    found, layout = choice, None
    columns = choice.shape.weight_columns
    counts = [columns, *(count for count in weight_choices(builder) if count == 2 * columns)]
    for lanes in range(choice.shape.lanes - 1, 0, -1):
        for count in counts:
            layout = Layout(builder, replace(choice.shape, lanes=lanes, weight_columns=count), like=layout)
            if layout.rows <= choice.shape.active_rows:
                found = _cheapest(layout, choice.shape.group, found, aim)
                break
        else:
            break
    return found


def _cheapest(layout: Layout, group: int, found: Choice, aim: Aim) -> Choice:
    """Of what is found, and of a layout with a group or the ones beside it; only what could be better is declared."""
    size, facts, best = Size(layout), None, found
    for near in sorted(range(max(GROUPS[0], group - 1), min(GROUPS[-1], group + 1) + 1), key=lambda g: g != group):
        made = replace(layout.shape, group=near)
        if weigh(made, at_least(made, size), aim) > best.weight:
            continue
        facts = facts or Facts(layout)
        if weigh(made, at_least(made, facts), aim) > best.weight:
            continue
        cost = predict(made, facts)
        weight = weigh(made, cost, aim)
        better = weight < best.weight or (weight == best.weight < found.weight and near < best.shape.group)
        if better and (aim.memory is None or cost.memory <= aim.memory):
            best = Choice(found.srs_k, made, cost, weight)
    return best


def _in_few_lanes(builder: Builder, choice: Choice, aim: Aim) -> Choice:
    """The same with those gadgets in few lanes that copy where they free e, where that costs less.

    Looked at for the best shape alone, and in its rows: it takes more rows, of which some are idle, and saves columns.
    """
    found, shape = choice, choice.shape
    for copying in COPYING if any(map(takes_and_frees, builder.blocks)) else ():
        if copying >= shape.lanes:
            break
        layout = Layout(builder, replace(shape, copying=copying))
        if layout.rows > shape.active_rows:
            continue
        found = _cheapest(layout, choice.shape.group, found, aim)
    return found


def _with_values_apart(builder: Builder, choice: Choice, aim: Aim) -> Choice:
    """The same with copies of values above scores, where these rows hold them and cost less than columns."""
    layout = Layout(builder, choice.shape)
    if not any(place.turn for place in layout.places):
        return choice
    apart = Layout(builder, replace(choice.shape, apart=1))
    if apart.rows > choice.shape.active_rows:
        return choice
    return _cheapest(apart, choice.shape.group, choice, aim)


def _why_none(aim: Aim, beyond: Sequence[int]) -> str:
    """No shape fits. beyond: the bytes of those that are refused for their memory."""
    if beyond and aim.memory is not None:
        asked = option("max_memory", f"{aim.memory / 1e9:g}")
        return (
            f"a proof of the model takes {min(beyond) / 1e9:.2g} GB or more in every layout: more than {asked} allows"
        )
    fewer = MAX_K if aim.srs_k is None or aim.srs_k > MAX_K else aim.srs_k
    why = "the most this version lays out" if fewer == MAX_K else f"and the setup has 2^{fewer} powers"
    return f"the model needs more than 2^{fewer} rows, {why}"


def _sizes(builder: Builder, usual_weights: int) -> Iterator[Size]:
    """Every layout worth looking at; what has far more rows than with more weight columns is not."""
    layout: Layout | None = None
    for lanes in lane_choices(builder):
        fewest: int | None = None  # rows, of more weight columns
        for columns in reversed(list(weight_choices(builder, usual_weights))):
            layout = Layout(builder, Shape(0, lanes, columns, 1), like=layout)
            size = Size(layout)
            fewest = size.rows if fewest is None else min(fewest, size.rows)
            if size.rows > MOST_ROWS * fewest:
                break
            yield size


def _powers(shape: Shape) -> int:
    """log2 of the powers of tau that a shape needs."""
    return shape.k + (shape.packing - 1).bit_length()


def weigh(shape: Shape, price: Price, aim: Aim) -> float:
    """What a shape costs for an aim, in seconds.

    Long proofs cost more, under `prover` by no more than what their bytes beyond the usual are worth; so do those that
    take more memory than most machines have, where nobody says how much there is; under `gas` those that take the
    prover long; and, where no setup is promised, those that are not in the package.
    """
    weight = price.seconds + price.gas * SECONDS_PER_GAS[aim.optimize]
    beyond = max(0, price.proof_bytes - MAX_PROOF_BYTES)
    longer = weight * math.pow(1 + beyond / MAX_PROOF_BYTES, LENGTH[aim.optimize])
    weight = min(longer, weight + beyond * SECONDS_PER_BYTE[aim.optimize])
    if aim.memory is None:
        weight *= max(1.0, price.memory / USUAL_MEMORY) ** 2
    if aim.optimize == "gas":
        weight *= max(1.0, price.seconds / GAS_SECONDS)
    larger = aim.srs_k is None and shape.packing << shape.k > PREFERRED_POWERS
    return weight * (LARGER_SETUP[aim.optimize] if larger else 1)


def shapes(size: Size, aim: Aim) -> Iterator[Shape]:
    """The shapes for given lanes and weight columns, inside the setup of the aim.

    Where none is promised, packing under `balanced` stays inside the embedded SRS if the rows do; `gas` looks further.
    """
    smallest = smallest_k(size.rows)
    if aim.srs_k is not None:
        largest = aim.srs_k
    elif aim.optimize == "gas":
        largest = max(smallest, LARGEST_K)
    else:
        largest = max(smallest, 12 if smallest <= 12 else PACKED_POWERS.bit_length() - 1)
    entries = smallest_k(size.entries)
    smallest = max(smallest, min(largest, 12, size.entries.bit_length() - MOST_PARTS.bit_length()))
    for k in range(smallest, max(smallest, min(largest if aim.optimize == "gas" else 12, entries)) + 1):
        if k > min(MAX_K, largest):
            return
        for group in GROUPS:
            for packing in PACKINGS:
                if packing <= (1 if aim.optimize == "prover" else 1 << (largest - k)):
                    yield Shape(k, size.shape.lanes, size.shape.weight_columns, group, packing)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying: powers of two, the row counts of matrices, the widths of images, and parts of them."""
    widths = {one.shape[-1] for one in _contributions(builder)}
    parts = {half for width in widths for half in (-(-width // 2), -(-width // 3)) if half >= 4}
    parts |= {max(lanes for lanes in range(1, MOST_LANES + 1) if width % lanes == 0) for width in widths}
    matrices = {one.shape[0] for one in _contributions(builder) if len(one.shape) == 1}
    parts |= {lanes for lanes in range(9, MOST_LANES) for width in matrices if _fits(width, lanes)}
    candidates = {lanes for lanes in {1, 2, 4, 8, 16, *widths, *parts} if lanes <= MOST_LANES}
    if builder.unit_count >= MANY_UNITS:
        further = range(MOST_LANES + 1, MANY_LANES + 1)
        candidates |= {
            lanes for lanes in further for width in matrices if _fits(width, lanes) and width <= FEW_ROWS * lanes
        }
    most = max((block.count for block in builder.blocks), default=1)
    yield from sorted(lanes for lanes in candidates if lanes <= most)


def _fits(width: int, lanes: int) -> bool:
    """Whether rows of so many lanes hold a width with few of them idle, and fewer lanes would take more rows."""
    rows = -(-width // lanes)
    return rows * lanes <= (1 + WASTED) * width and rows * (lanes - 1) < width


def weight_choices(builder: Builder, usual_weights: int = USUAL_WEIGHTS["gas"]) -> Iterator[int]:
    """Counts of weight columns worth trying: more than a layer has outputs are none, nor many for a usual model."""
    factors = [one.factor for one in _contributions(builder) if isinstance(one.factor, Weights)]
    many = sum(factor.values.size for factor in factors) > usual_weights
    for columns in WEIGHT_COLUMNS:
        if columns > USUAL_COLUMNS and not many:
            return
        yield columns
        if columns >= max((factor.outputs for factor in factors), default=1):
            return


def _contributions(builder: Builder) -> list[Contribution]:
    return [one for block in builder.blocks for one in block.contributions]
