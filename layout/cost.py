"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds on two cores, from the kernels' times (bench/kernels.py measures them). Gas: EIP-2537's
G1MSM and pairing, calldata, and the contract's arithmetic (solidity/ measures it). Columns, commitments, evaluations
and bytes are those of a dry run of the constraints (plonk/tally.py), exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.layout.arithmetize import declare
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import BLINDING_ROWS, Layout, Shape
from plonnx.plonk.expression import slots
from plonnx.plonk.structure import of as structure_of
from plonnx.plonk.tally import Tally

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
WEIGHT_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MOST_ROWS = 16  # times the rows of a layout with more weight columns: what is longer is not looked at
MOST_PARTS = 128  # of all tables side by side, about: shorter columns are not looked at where longer ones may be had
GROUPS = range(1, 8)
PACKINGS = (1, 2, 4, 8, 16, 32, 64)


class Facts:
    """What of a placed model the cost depends on, besides k, group and packing: its circuit is declared on a Tally."""

    def __init__(self, layout: Layout) -> None:
        self.fixed, self.rows = Fixed(layout), layout.rows
        self.table_size = layout.builder.table_size
        self.public_words = sum(-(-run.count // run.per_word) for _, run, _, _ in layout.runs)
        self.public_runs = len(layout.runs)
        self.parameters = sum(
            isinstance(one.factor, Weights) and one.factor.values.size for one in layout.contributions
        )
        self._declared: dict[int, Tally] = {}
        self._finished: dict[tuple[int, int], Tally] = {}

    def tally(self, shape: Shape) -> Tally:
        """The finished circuit of a shape, counted."""
        if shape.k not in self._declared:
            self._declared[shape.k] = Tally(shape.k)
            declare(self._declared[shape.k], self.fixed, shape.active_rows)
        key = shape.k, shape.group
        if key not in self._finished:
            self._finished[key] = self._declared[shape.k].shaped(shape.group)
            self._finished[key].finish()
        return self._finished[key]


@dataclass(frozen=True)
class Cost:
    """The predicted cost of a layout: of a proof in a fresh process, and of its check on-chain. Counts are exact."""

    seconds: float
    memory: int  # peak, bytes
    gas: int
    proof_bytes: int
    full_columns: int  # of field elements: defined columns, pieces, W and W'
    narrow_columns: int
    fixed_columns: int
    fixed_commitments: int
    commitments: int  # in a proof, without W and W'
    evaluations: int
    pieces: int
    lookups: int  # for each row


def predict(shape: Shape, facts: Facts) -> Cost:
    """The cost of a shape, which has the lanes and weight columns of the layout."""
    n, t = 1 << shape.k, shape.packing
    tally = facts.tally(shape)
    structure = structure_of(tally, t)
    narrow, free, pieces = tally.advice_phases.count(0), len(tally.free_columns), structure.pieces
    helpers = sum(d.column.name.startswith("lookup helper") for d in tally.definitions)
    ratios = sum(d.kind == "ratio" for d in tally.definitions) - helpers
    recurrences = len(tally.definitions) - helpers - ratios
    full = len(tally.definitions) + free + pieces
    gates_read = sum(slot.kind == "fixed" for slot in slots(gate.expression for gate in tally.gates))
    summed = sum(len(c.terms) for i, c in enumerate(tally.combinations) if i not in structure.masked)

    added = 1 if t == 1 or not structure.masked else 0  # with G1ADD
    gas = 21_000 + 102_900 + g1msm_gas(structure.commitments + len(structure.fixed_members) + 3 - added)
    gas += 16 * structure.proof_bytes + 310 * structure.evaluations
    gas += 100 * facts.public_words + 250 * facts.public_runs + (500 * summed if t > 1 else 0)

    columns = narrow + helpers + ratios + recurrences + 8
    cells = n * (
        columns * (pieces + 1) * shape.k * 7.9e-10  # transforms
        + columns * pieces * 1.4e-8  # gates on the cosets, evaluations
    )
    changing = min(n, max(facts.rows, min(n, facts.table_size)))  # rows on which helpers and sums change
    msms = (helpers + 1) * msm_seconds(changing) + pieces * msm_seconds(n)
    msms += (ratios + free + max(0, recurrences - 3)) * msm_seconds(min(n, facts.rows))
    seconds = msms + 2 * msm_seconds(t * n) + cells + 1.2e-4 * (columns + full)
    memory = 57_000_000 + 10 * facts.parameters + n * (110 * (columns + t * full) + 96 * gates_read + 1400 * t)
    return Cost(
        seconds=seconds,
        memory=memory,
        gas=int(gas),
        proof_bytes=structure.proof_bytes,
        full_columns=full + 2,
        narrow_columns=narrow,
        fixed_columns=len(tally.fixed_columns),
        fixed_commitments=len(structure.fixed_members),
        commitments=structure.commitments,
        evaluations=structure.evaluations,
        pieces=pieces,
        lookups=len(tally.lookups),
    )


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 0.6 microseconds each, more where the buckets are few."""
    return 6e-7 * n * (1 + 30 / math.sqrt(n))


def g1msm_gas(points: int) -> float:
    """EIP-2537's price of a G1MSM; the discount table is close to points^-0.135, and 0.519 from 128 points on."""
    return 12_000.0 * points * max(0.519, float(points**-0.135))


@dataclass(frozen=True)
class Choice:
    """The shape of least cost for an aim among those that an SRS of 2^srs_k powers serves, and no smaller one."""

    srs_k: int
    shape: Shape
    cost: Cost
    weight: float


def choose(builder: Builder, optimize: str, srs_k: int | None = None) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced"; the setup will have 2^srs_k powers."""
    return Layout(builder, pick(search(builder, optimize, srs_k), optimize, srs_k).shape)


def pick(choices: Mapping[int, Choice], optimize: str, srs_k: int | None = None) -> Choice:
    """The best that the setup serves which there will be."""
    most = srs_k
    if optimize == "gas" and srs_k is None:
        most = max(SHIPPED_K, min(choices))
    fitting = [choice for choice in choices.values() if most is None or choice.srs_k <= most]
    return min(fitting, key=lambda choice: choice.weight)


def larger_setups(choices: Mapping[int, Choice], taken: Choice) -> list[Choice]:
    """What larger setups would bring than the one of a choice, smallest first: each is 1 % better than the last."""
    better: list[Choice] = []
    for choice in (choices[k] for k in sorted(choices) if k > taken.srs_k):
        if choice.weight < 0.99 * (better[-1] if better else taken).weight:
            better.append(choice)
    return better


def search(builder: Builder, optimize: str, srs_k: int | None = None) -> dict[int, Choice]:
    """The best shape by the setup that it needs. Without `srs_k` those are looked at that the aim would take."""
    best: dict[int, Choice] = {}
    for lanes in lane_choices(builder):
        fewest: int | None = None  # rows, of more weight columns
        for columns in reversed(list(weight_choices(builder))):
            layout = Layout(builder, Shape(0, lanes, columns, 1))
            fewest = layout.rows if fewest is None else min(fewest, layout.rows)
            if layout.rows > MOST_ROWS * fewest:
                break
            facts = Facts(layout)
            for shape in shapes(layout, optimize, srs_k):
                cost, needed = predict(shape, facts), shape.k + (shape.packing - 1).bit_length()
                weight = weigh(shape, cost, optimize, srs_k)
                if needed not in best or weight < best[needed].weight:
                    best[needed] = Choice(needed, shape, cost, weight)
    if not best:
        fewer = MAX_K if srs_k is None or srs_k > MAX_K else srs_k
        why = "the most this version lays out" if fewer == MAX_K else f"and the setup has 2^{srs_k} powers"
        raise ValueError(f"the model needs more than 2^{fewer} rows, {why}")
    return best


def weigh(shape: Shape, cost: Cost, optimize: str, srs_k: int | None = None) -> float:
    """What a shape costs for an aim, in seconds.

    Long proofs cost more; under `gas` also those that take the prover long; and, where no setup is promised, those that
    are not in the package.
    """
    weight = cost.seconds + cost.gas * SECONDS_PER_GAS[optimize]
    weight *= max(1.0, cost.proof_bytes / MAX_PROOF_BYTES)
    if optimize == "gas":
        weight *= max(1.0, cost.seconds / GAS_SECONDS)
    return weight * (LARGER_SETUP[optimize] if srs_k is None and shape.packing << shape.k > PREFERRED_POWERS else 1)


def shapes(layout: Layout, optimize: str, srs_k: int | None = None) -> Iterator[Shape]:
    """The shapes for given lanes and weight columns, inside a setup of 2^srs_k powers.

    Where none is promised, packing under `balanced` stays inside the embedded SRS if the rows do; `gas` looks further.
    """
    least = smallest_k(layout.rows)
    entries = layout.builder.table_size + sum(len(f.values) for f in layout.builder.functions)
    if srs_k is not None:
        largest = srs_k
    elif optimize == "gas":
        largest = max(least, LARGEST_K)
    else:
        largest = max(least, 12 if least <= 12 else PACKED_POWERS.bit_length() - 1)
    least = max(least, min(largest, 12, entries.bit_length() - MOST_PARTS.bit_length()))
    for k in range(least, max(least, min(largest if optimize == "gas" else 12, smallest_k(entries))) + 1):
        if k > min(MAX_K, largest):
            return
        for group in GROUPS:
            for packing in PACKINGS:
                if packing <= (1 if optimize == "prover" else 1 << (largest - k)):
                    yield Shape(k, layout.shape.lanes, layout.shape.weight_columns, group, packing)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying, up to 16: powers of two, the row counts of matrices and the widths of images."""
    widths = {one.shape[-1] for one in _contributions(builder)}
    widths |= {half for width in widths for half in (-(-width // 2), -(-width // 3)) if half >= 4}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *widths}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def weight_choices(builder: Builder) -> Iterator[int]:
    """Counts of weight columns worth trying."""
    yield from WEIGHT_COLUMNS if _contributions(builder) else (1,)


def _contributions(builder: Builder) -> list[Contribution]:
    return [block.contribution for block in builder.blocks if block.contribution is not None]


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
