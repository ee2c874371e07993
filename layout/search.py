"""The search for a shape: of lanes, weight columns, rows, groups and packing those that cost least for an aim.

It makes a dry run of those shapes only that could still be the best: what a shape costs at least is known before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.layout.cost import Cost, at_least, predict
from plonnx.layout.counts import Facts, Size
from plonnx.layout.planner import BLINDING_ROWS, Layout, Shape

MAX_K = 22
MAX_PROOF_BYTES = 8192
SHIPPED_K = 14  # the largest setup that comes with the package: what `gas` takes where no other is promised
LARGEST_K = 21  # the largest setup that `gas` looks at
LARGEST_SRS = 28  # no ceremony is larger
GAS_SECONDS = 5.0  # a proof under `gas` may take so long; beyond, gas counts for less
PREFERRED_POWERS = 1 << 12  # Ethereum's ceremony; up to 2^14 powers of Midnight's come with plonnx, too
PACKED_POWERS = 1 << 15  # what packing takes of an SRS where the rows are more than those: one that is fetched
LARGER_SETUP = {"prover": 3.0, "balanced": 2.0, "gas": 1.0}  # how much more a circuit may cost that needs no larger SRS
SECONDS_PER_GAS = {"prover": 5e-8, "balanced": 5e-7, "gas": 1e-2}  # what a unit of gas is worth to each aim
WEIGHT_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
USUAL_WEIGHTS, USUAL_COLUMNS = 1 << 24, 256  # with more columns a key fits no contract: only for more weights
MOST_ROWS = 16  # times the rows of a layout with more weight columns: what is longer is not looked at
MOST_PARTS = 128  # of all tables side by side, about: shorter columns are not looked at where longer ones may be had
GROUPS = range(1, 8)
PACKINGS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Choice:
    """The shape of least cost for an aim among those that an SRS of 2^srs_k powers serves, and no smaller one."""

    srs_k: int
    shape: Shape
    cost: Cost
    weight: float


def choose(builder: Builder, optimize: str, srs_k: int | None = None) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced"; the setup will have 2^srs_k powers."""
    return Layout(builder, pick(choices(builder, optimize, srs_k), optimize, srs_k).shape)


def pick(found: Mapping[int, Choice], optimize: str, srs_k: int | None = None) -> Choice:
    """The best that the setup serves which there will be."""
    most = srs_k
    if optimize == "gas" and srs_k is None:
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


def choices(builder: Builder, optimize: str, srs_k: int | None = None) -> dict[int, Choice]:
    """The best shape by the setup that it needs, where no smaller setup has one as good.

    Without `srs_k` those setups are looked at that the aim would take.
    """
    best: dict[int, Choice] = {}

    def beaten(shape: Shape, bound: float) -> bool:
        return any(choice.weight <= bound for k, choice in best.items() if k <= _powers(shape))

    layout: Layout | None = None
    bounded = []  # every layout with its shapes, by what these cost at least
    for size in _sizes(builder):
        bounds = [(shape, least(shape, size, optimize, srs_k)) for shape in shapes(size, optimize, srs_k)]
        if bounds:
            bounded.append((size, sorted(bounds, key=lambda held: held[1])))
    for size, bounds in sorted(bounded, key=lambda held: held[1][0][1]):  # what promises most comes first
        facts: Facts | None = None
        for shape, bound in bounds:
            if beaten(shape, bound):
                continue
            if facts is None:
                layout = Layout(builder, size.shape, like=layout)
                facts = Facts(layout)
            if beaten(shape, least(shape, facts, optimize, srs_k)):
                continue
            cost, needed = predict(shape, facts), _powers(shape)
            weight = weigh(shape, cost, optimize, srs_k)
            if all(weight < choice.weight for k, choice in best.items() if k <= needed):
                best[needed] = Choice(needed, shape, cost, weight)
    if not best:
        fewer = MAX_K if srs_k is None or srs_k > MAX_K else srs_k
        why = "the most this version lays out" if fewer == MAX_K else f"and the setup has 2^{srs_k} powers"
        raise ValueError(f"the model needs more than 2^{fewer} rows, {why}")
    return {k: best[k] for k in sorted(best) if all(best[k].weight < best[j].weight for j in best if j < k)}


def _sizes(builder: Builder) -> Iterator[Size]:
    """Every layout worth looking at; what has far more rows than with more weight columns is not."""
    layout: Layout | None = None
    for lanes in lane_choices(builder):
        fewest: int | None = None  # rows, of more weight columns
        for columns in reversed(list(weight_choices(builder))):
            layout = Layout(builder, Shape(0, lanes, columns, 1), like=layout)
            size = Size(layout)
            fewest = size.rows if fewest is None else min(fewest, size.rows)
            if size.rows > MOST_ROWS * fewest:
                break
            yield size


def _powers(shape: Shape) -> int:
    """log2 of the powers of tau that a shape needs."""
    return shape.k + (shape.packing - 1).bit_length()


def least(shape: Shape, size: Size, optimize: str, srs_k: int | None = None) -> float:
    """No circuit of the shape weighs less."""
    return _weight(shape, *at_least(shape, size), optimize, srs_k)


def weigh(shape: Shape, cost: Cost, optimize: str, srs_k: int | None = None) -> float:
    """What a shape costs for an aim, in seconds.

    Long proofs cost more; under `gas` also those that take the prover long; and, where no setup is promised, those that
    are not in the package.
    """
    return _weight(shape, cost.seconds, cost.gas, cost.proof_bytes, optimize, srs_k)


def _weight(shape: Shape, seconds: float, gas: int, proof_bytes: int, optimize: str, srs_k: int | None) -> float:
    weight = seconds + gas * SECONDS_PER_GAS[optimize]
    weight *= max(1.0, proof_bytes / MAX_PROOF_BYTES)
    if optimize == "gas":
        weight *= max(1.0, seconds / GAS_SECONDS)
    return weight * (LARGER_SETUP[optimize] if srs_k is None and shape.packing << shape.k > PREFERRED_POWERS else 1)


def shapes(size: Size, optimize: str, srs_k: int | None = None) -> Iterator[Shape]:
    """The shapes for given lanes and weight columns, inside a setup of 2^srs_k powers.

    Where none is promised, packing under `balanced` stays inside the embedded SRS if the rows do; `gas` looks further.
    """
    smallest = smallest_k(size.rows)
    if srs_k is not None:
        largest = srs_k
    elif optimize == "gas":
        largest = max(smallest, LARGEST_K)
    else:
        largest = max(smallest, 12 if smallest <= 12 else PACKED_POWERS.bit_length() - 1)
    entries = smallest_k(size.entries)
    smallest = max(smallest, min(largest, 12, size.entries.bit_length() - MOST_PARTS.bit_length()))
    for k in range(smallest, max(smallest, min(largest if optimize == "gas" else 12, entries)) + 1):
        if k > min(MAX_K, largest):
            return
        for group in GROUPS:
            for packing in PACKINGS:
                if packing <= (1 if optimize == "prover" else 1 << (largest - k)):
                    yield Shape(k, size.shape.lanes, size.shape.weight_columns, group, packing)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying, up to 16: powers of two, the row counts of matrices and the widths of images."""
    widths = {one.shape[-1] for one in _contributions(builder)}
    widths |= {half for width in widths for half in (-(-width // 2), -(-width // 3)) if half >= 4}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *widths}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def weight_choices(builder: Builder) -> Iterator[int]:
    """Counts of weight columns worth trying: more than a layer has outputs are none."""
    factors = [one.factor for one in _contributions(builder) if isinstance(one.factor, Weights)]
    many = sum(factor.values.size for factor in factors) > USUAL_WEIGHTS
    for columns in WEIGHT_COLUMNS:
        if columns > USUAL_COLUMNS and not many:
            return
        yield columns
        if columns >= max((factor.outputs for factor in factors), default=1):
            return


def _contributions(builder: Builder) -> list[Contribution]:
    return [one for block in builder.blocks for one in block.contributions]


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
