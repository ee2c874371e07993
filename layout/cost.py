"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds on two cores, from the kernels' times (bench/kernels.py measures them). Memory: of a proof in a process
of its own, by the columns that gates read, whose polynomials are held together (measured from n = 2^8 to 2^18). Gas:
EIP-2537's G1MSM and pairing, calldata, and the contract's arithmetic (solidity/gas.py knows it from a key). Columns,
commitments, evaluations and bytes are those of a dry run of the constraints (plonk/tally.py), exactly. The search makes
a dry run of those shapes only that could still be the best: what a shape costs at least is known before (`Counts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.linear.contribution import Accumulator, Contribution, Weights
from plonnx.kzg.prices import ADDITION, INTRINSIC, PAIRING, g1_msm
from plonnx.layout.arithmetize import declare
from plonnx.layout.fixed import Fixed
from plonnx.layout.planner import BLINDING_ROWS, Layout, Shape
from plonnx.plonk.expression import slots
from plonnx.plonk.keys import G1_BYTES, SCALAR_BYTES
from plonnx.plonk.structure import of as structure_of
from plonnx.plonk.tally import Tally

MAX_K = 22
MAX_PROOF_BYTES = 8192
SHIPPED_K = 14  # the largest setup that comes with the package: what `gas` takes where no other is promised
LARGEST_K = 21  # the largest setup that `gas` looks at
LARGEST_SRS = 28  # no ceremony is larger
CALL = 820  # gas of a call's selector, offsets and lengths
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


class Size:
    """What of a placed model is known before its circuit is declared."""

    def __init__(self, layout: Layout) -> None:
        self.shape, self.rows, self.extended = layout.shape, layout.rows, layout.extended
        self.table_size, self.hidden = layout.builder.table_size, layout.builder.hidden
        self.applied = sum(len(f.values) for f in layout.builder.functions)
        self.entries = self.table_size + self.applied
        self.entries += sum(block.entries for block in layout.builder.blocks)
        self.copied = len(set(_copied(layout)))
        self.terms = layout.border_lanes if any(place.has_terms for place in layout.places) else 0
        self.sums = len(set(_sums(layout)))
        weighted = any(isinstance(one.factor, Weights) for one in layout.contributions)
        self.weights = layout.shape.weight_columns if weighted else 0
        self.public_words = sum(-(-run.count // run.per_word) for _, run, _, _ in layout.runs)
        self.public_runs = len(layout.runs)
        self.public_bytes = layout.public_bytes

    def least(self, shape: Shape) -> Counts:
        """What every circuit of the shape has: units, the range and the functions with their lookups, copies, sums."""
        parts, applied = (-(-entries // shape.active_rows) for entries in (self.table_size, self.applied))
        asked = (3 if applied else 2) * shape.lanes
        lookups = asked + parts + applied
        narrow = (4 if self.extended else 3) * shape.lanes + parts + applied
        helpers, ratios = -(-lookups // shape.group), _least_ratios(self.copied, shape.group)
        filled = narrow + self.terms + self.sums + helpers + ratios
        shown = 0 if self.hidden else self.weights
        return Counts(
            packing=shape.packing,
            narrow=narrow,
            helpers=helpers,
            ratios=ratios,
            recurrences=self.sums + 1 + (self.copied > 0),
            free=self.terms,
            cosets=min(shape.group, asked),
            fixed_members=-(-(self.weights + self.copied) // shape.packing),
            evaluations=filled + self.copied + (self.sums + 2 if shape.packing == 1 else 1 + shown),
            hidden=0,
        )


def _least_ratios(views: int, group: int) -> int:
    """The ratio columns of a permutation over so many views, at least (plonk/arguments/permutation.py)."""
    size = max(2, group)
    return max(0, -(-(views - size) // (size - 1)))


def _copied(layout: Layout) -> Iterator[tuple[str, int]]:
    """Of every lane that takes copies, the cells that do: each has a column of the permutation, at least."""
    for place in layout.places:
        taken = [(operand.take.into, operand.refs) for operand in place.operands]
        for into, refs in taken if place.above is None else [*taken, ("taken", place.above)]:
            yield from ((into, lane) for lane in np.flatnonzero(np.any(refs >= 0, axis=(0, 1))).tolist())


def _sums(layout: Layout) -> Iterator[str]:
    """The columns that the linear check sums up in (gadgets/linear/check.py)."""
    for place in layout.places:
        if place.equations:
            yield "powers of chi"
        if place.has_terms or (place.equations and place.gathered):
            yield "output sums"
        if place.reader is not None:
            factor = layout.factor(place.reader.contribution)
            if isinstance(factor, Accumulator):
                yield "second sums"
            elif factor.rows(layout.shape.weight_columns) > 1:
                yield "weight sums"
            if place.height * place.stride > place.value_row + 1:
                yield "input sums"


class Facts(Size):
    """What of a placed model the cost depends on, besides k, group and packing: its circuit is declared on a Tally."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.fixed = Fixed(layout, counted=True)
        self.parameters = sum(
            isinstance(one.factor, Weights) and one.factor.values.size for one in layout.contributions
        )
        self._declared: dict[int, Declared] = {}
        self._finished: dict[tuple[int, int], Tally] = {}

    def declared(self, k: int) -> Declared:
        """The circuit of 2^k rows, not finished."""
        if k not in self._declared:
            tally = Tally(k)
            declare(tally, self.fixed, Shape(k, 1, 1, 1).active_rows)
            self._declared[k] = Declared(tally)
        return self._declared[k]

    def tally(self, shape: Shape) -> Tally:
        """The finished circuit of a shape, counted."""
        key = shape.k, shape.group
        if key not in self._finished:
            self._finished[key] = self.declared(shape.k).tally.shaped(shape.group)
            self._finished[key].finish()
        return self._finished[key]

    def least(self, shape: Shape) -> Counts:
        """What the declarations ask for, all arguments' columns among them; the degree is at least a helper's."""
        declared, group = self.declared(shape.k), shape.group
        tally, views = declared.tally, declared.views
        helpers, ratios = -(-declared.looked_up // group), _least_ratios(views, group)
        hidden, free = len(tally.hidden), len(tally.free_columns)
        recurrences = len(tally.definitions) + 1 + (views > 0)
        fixed = len(tally.fixed_columns) - hidden + views
        return Counts(
            packing=shape.packing,
            narrow=tally.advice_phases.count(0),
            helpers=helpers,
            ratios=ratios,
            recurrences=recurrences,
            free=free,
            cosets=max(1, min(group, len(tally.lookups))),
            fixed_members=-(-fixed // shape.packing) + hidden,
            evaluations=declared.queried + views + helpers + ratios + 2 * (1 + (views > 0))
            if shape.packing == 1
            else len(tally.advice_names) + helpers + ratios + 1 + fixed,
            hidden=0,
        )


class Declared:
    """A circuit before the arguments' columns, and what these will be over."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    @cached_property
    def looked_up(self) -> int:
        """Lookups, and parts of tables: the terms of helper columns."""
        return len(self.tally.lookups) + sum(len(table.parts) for table in self.tally.tables)

    @cached_property
    def views(self) -> int:
        """What is copied: the permutation's columns."""
        return len({view for a, _, b, _ in self.tally.copies for view in (a, b)})

    @cached_property
    def queried(self) -> int:
        """The evaluations of what is declared: every column of advice, and every other slot of an expression."""
        tally = self.tally
        expressions = [gate.expression for gate in tally.gates]
        expressions += [term for _, term, _ in tally.sums]
        expressions += [e for lookup in tally.lookups for e in (*lookup.inputs, lookup.numerator)]
        expressions += [e for table in tally.tables for part in table.parts for e in part]
        read = [slot for slot in slots(expressions) if slot.kind != "selector"]
        found = {(slot.kind, slot.index, slot.rotation if slot.kind == "advice" else 0) for slot in read}
        return len(found | {("advice", index, 0) for index in range(len(tally.advice_names))})


@dataclass(frozen=True)
class Counts:
    """What of a finished circuit its cost follows from: exactly, or at least that many of each."""

    packing: int
    narrow: int  # columns of phase 0
    helpers: int
    ratios: int
    recurrences: int
    free: int
    cosets: int
    fixed_members: int  # commitments of fixed columns
    evaluations: int
    hidden: int  # combinations of hidden columns

    @property
    def columns(self) -> int:
        """Defined ones."""
        return self.helpers + self.ratios + self.recurrences

    @property
    def commitments(self) -> int:
        """Of a proof at least: phases are packed each for itself."""
        packed = (self.narrow, self.columns + self.free, self.cosets)
        return sum(-(-columns // self.packing) for columns in packed) + self.hidden

    @property
    def proof_bytes(self) -> int:
        """The length of a proof."""
        return (self.commitments + 2) * G1_BYTES + (self.evaluations + 1) * SCALAR_BYTES


@dataclass(frozen=True)
class Cost:
    """The predicted cost of a layout: of a proof in a fresh process, and of its check on-chain. Counts are exact."""

    seconds: float
    memory: int  # peak, bytes
    gas: int
    proof_bytes: int
    full_columns: int  # of field elements: defined columns, the quotient on its cosets, W and W'
    narrow_columns: int
    fixed_columns: int
    fixed_commitments: int
    commitments: int  # in a proof, without W and W'
    evaluations: int
    cosets: int  # of the quotient
    lookups: int  # for each row


def predict(shape: Shape, facts: Facts) -> Cost:
    """The cost of a shape, which has the lanes and weight columns of the layout."""
    n, t = 1 << shape.k, shape.packing
    tally = facts.tally(shape)
    structure = structure_of(tally, t)
    narrow, free, cosets = tally.advice_phases.count(0), len(tally.free_columns), structure.cosets
    helpers = sum(d.column.name.startswith("lookup helper") for d in tally.definitions)
    ratios = sum(d.kind == "ratio" for d in tally.definitions) - helpers
    recurrences = len(tally.definitions) - helpers - ratios
    counts = Counts(
        packing=t,
        narrow=narrow,
        helpers=helpers,
        ratios=ratios,
        recurrences=recurrences,
        free=free,
        cosets=cosets,
        fixed_members=len(structure.fixed_members),
        evaluations=structure.evaluations,
        hidden=len(structure.masked),
    )
    full = counts.columns + free + cosets
    queried = slots(gate.expression for gate in tally.gates)
    read = {(slot.kind, slot.index) for slot in queried if slot.kind != "selector"}
    memory = 52_000_000 + 15 * facts.parameters + n * (1620 + 72 * len(read) + (t - 1) * (110 * full + 1400))
    return Cost(
        seconds=_seconds(shape, facts, counts),
        memory=memory,
        gas=_gas(facts, counts, structure.commitments, structure.proof_bytes),
        proof_bytes=structure.proof_bytes,
        full_columns=full + 2,
        narrow_columns=narrow,
        fixed_columns=len(tally.fixed_columns),
        fixed_commitments=len(structure.fixed_members),
        commitments=structure.commitments,
        evaluations=structure.evaluations,
        cosets=cosets,
        lookups=len(tally.lookups),
    )


def least(shape: Shape, size: Size, optimize: str, srs_k: int | None = None) -> float:
    """No circuit of the shape weighs less: of a Size from its lanes, of Facts from its declarations."""
    counts = size.least(shape)
    seconds, gas = _seconds(shape, size, counts), _gas(size, counts, counts.commitments, counts.proof_bytes)
    return _weight(shape, seconds, gas, counts.proof_bytes, optimize, srs_k)


def _seconds(shape: Shape, size: Size, counts: Counts) -> float:
    n, t = 1 << shape.k, shape.packing
    columns, cosets = counts.narrow + counts.columns + 8, counts.cosets
    cells = n * (
        columns * (cosets + 1) * shape.k * 7.9e-10  # transforms
        + columns * cosets * 1.4e-8  # gates on the cosets, evaluations
    )
    cells += n * counts.fixed_members * t * 1.0e-8  # combinations of fixed columns: weights, at least
    changing = min(n, max(size.rows, min(n, size.table_size)))  # rows on which helpers and sums change
    msms = (counts.helpers + 1) * msm_seconds(changing) + cosets * msm_seconds(n)
    msms += (counts.ratios + counts.free + max(0, counts.recurrences - 3)) * msm_seconds(min(n, size.rows))
    full = counts.columns + counts.free + cosets
    return msms + 2 * msm_seconds(t * n) + cells + 1.2e-4 * (columns + full)


def _gas(size: Size, counts: Counts, commitments: int, proof_bytes: int) -> int:
    """Precompiles exactly, calldata as if no byte were zero, hashing and arithmetic fitted to what contracts take."""
    points = commitments + counts.fixed_members + 2  # W, W' and the generator; one is added with G1ADD
    charged = INTRINSIC + CALL + 16 * (proof_bytes + size.public_bytes) + g1_msm(points) + PAIRING + ADDITION
    return charged + 4_500 + 167 * counts.evaluations + 67 * size.public_words + 137 * points


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 0.6 microseconds each, more where the buckets are few."""
    return 6e-7 * n * (1 + 30 / math.sqrt(n))


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
