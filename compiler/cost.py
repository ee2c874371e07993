"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds on two cores, from the kernels' times (bench/kernels.py measures them). Gas: EIP-2537's
G1MSM and pairing, calldata, and the contract's arithmetic (solidity/ measures it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.layout import BLINDING_ROWS, Layout, LayoutError, Shape
from plonnx.gadgets.builder import Builder, Linear, Sum
from plonnx.plonk.domain import piece_stride

MAX_K = 22
MAX_PROOF_BYTES = 8192
EMBEDDED_POWERS = 1 << 12  # Ethereum's ceremony as shipped
CEREMONY_POWERS = 1 << 15  # the same ceremony's largest transcript
SECONDS_PER_GAS = {"prover": 1e-7, "balanced": 1e-6, "gas": 1e-2}  # what a unit of gas is worth to each aim
WEIGHT_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GROUPS = range(1, 8)
PACKINGS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Model:
    """What of a placed model the cost depends on, besides k, group and packing. All counts are exact."""

    table_size: int
    lanes: int
    rows: int
    public_values: int
    parameters: int
    dense_layers: int
    weights: int  # columns of weights
    marks: int  # columns that say where the dense layers read
    combinations: int
    hidden: int  # hidden columns; masked combinations follow: one of weights, one of the bias
    masked: int
    copied: int  # advice columns with copied cells
    fixed: int  # other fixed columns, without the range table's
    powers: bool  # of chi: wherever there are equations or public values
    accumulated: bool  # some layer's weights take several rows

    @classmethod
    def of(cls, layout: Layout) -> Model:
        """The facts of a placed model."""
        builder, places = layout.builder, layout.places
        readers = [place.reader for place in places if place.reader]
        mixed = sum(bool(np.any(r.positive) and not np.all(r.positive)) for r in readers)
        signed = mixed + sum(not np.any(r.positive) for r in readers)
        summed = any(place.summed for place in places)
        sums = [block for block in builder.blocks if isinstance(block, Sum)]
        dense = [block for block in builder.blocks if isinstance(block, Linear)]
        bias = any(b.bias is not None for b in dense) or any(b.constant is not None for b in sums)
        powers = summed or any(place.claims for place in places)
        accumulated = any(r.block.weights.shape[1] > layout.shape.weight_columns for r in readers)
        weights = layout.shape.weight_columns if readers else 0
        others = [
            powers,  # step
            accumulated,  # hold
            2 * any(any(block.coefficients) for block in sums),
            summed,
            bias and not builder.hidden,
            len({view for _, _, view in layout.runs}),  # word places
            any(place.repeated for place in places),
        ]
        return cls(
            table_size=builder.table_size,
            lanes=layout.shape.lanes,
            rows=layout.rows,
            public_values=sum(run.count for _, run, _ in layout.runs),
            parameters=sum(block.weights.size for block in dense),
            dense_layers=len(readers),
            weights=weights,
            marks=len(readers) + mixed,
            combinations=bool(readers) * (2 + (signed > 0 and (mixed > 0 or signed < len(readers)))),
            hidden=(weights + summed) * builder.hidden,
            masked=(bool(readers) + summed) * builder.hidden,
            copied=2 * len(_copied_lanes(layout)),
            fixed=sum(map(int, others)),
            powers=powers,
            accumulated=accumulated,
        )


def _copied_lanes(layout: Layout) -> set[int]:
    """The lanes that hold copies or their originals."""
    if not layout.sources:
        return set()
    lane = np.full(layout.extra_units, -1, np.int64)
    for place in layout.places:
        for grid in [place.units, *place.above]:
            present = grid >= 0
            lane[grid[present]] = np.broadcast_to(np.arange(grid.shape[1]), grid.shape)[present]
    return set(np.unique(lane[np.concatenate(layout.sources, axis=1)]).tolist())


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


def predict(shape: Shape, model: Model) -> Cost:
    """The cost of a shape, which has the model's lanes and weight columns."""
    n, t = 1 << shape.k, shape.packing
    parts, rest = divmod(model.table_size, shape.active_rows)
    narrow = 3 * model.lanes + parts + (rest > 0)
    helpers = -(-narrow // shape.group)
    ratios = _permutation_ratios(model.copied, max(2, shape.group))
    recurrences = 1 + model.powers + model.accumulated + (model.copied > 0)
    pieces = _pieces(shape, model, narrow)
    full = helpers + ratios + recurrences + pieces
    gates_read = model.fixed + (parts > 0) + (rest > 0) + model.copied  # fixed columns outside combinations
    shown = gates_read + model.marks + (0 if model.hidden else model.weights)
    shown_commitments = -(-shown // t)

    commitments = sum(-(-count // t) for count in (narrow, helpers + ratios, recurrences, pieces)) + model.masked
    bias = model.masked - (model.masked > 0 and model.dense_layers > 0)  # a hidden bias is a combination of its own
    evaluations = narrow + helpers + ratios + 2 * recurrences + pieces
    evaluations += gates_read + model.combinations + bias if t == 1 else shown + model.masked
    proof_bytes = 96 * (commitments + 2) + 32 * (evaluations + 1)
    gas = 21_000 + 102_900 + g1msm_gas(commitments + shown_commitments + model.hidden + 3)
    gas += 16 * proof_bytes + 310 * evaluations + 100 * model.public_values
    gas += 500 * model.weights if t > 1 and not model.hidden else 0

    columns = narrow + helpers + ratios + recurrences + 8
    cells = n * (
        columns * (pieces + 1) * shape.k * 3.5e-9  # transforms
        + columns * pieces * 6e-8  # gates on the cosets, evaluations
        + narrow * 1.5e-7
        + model.weights * 3.5e-9
    )
    changing = min(n, max(model.rows, min(n, model.table_size)))  # rows on which helpers and sums change
    msms = (helpers + 1) * msm_seconds(changing) + pieces * msm_seconds(n)
    msms += (ratios + model.accumulated) * msm_seconds(min(n, model.rows))
    seconds = msms + 2 * msm_seconds(t * n) + cells + 3e-4 * (columns + full)
    memory = 50_000_000 + 10 * model.parameters + n * (110 * (columns + t * full) + 1400 * t)
    return Cost(
        seconds=seconds,
        memory=memory,
        gas=int(gas),
        proof_bytes=proof_bytes,
        full_columns=full + 2,
        narrow_columns=narrow,
        fixed_columns=shown + model.hidden,
        fixed_commitments=shown_commitments + model.hidden,
        commitments=commitments,
        evaluations=evaluations,
        pieces=pieces,
    )


def _permutation_ratios(copied: int, size: int) -> int:
    """Ratio columns of the permutation argument: `size` factors go into one, until one is left."""
    ratios = 0
    while copied:
        copied = -(-copied // size)
        ratios += copied
        if copied == 1:
            break
    return ratios


def _pieces(shape: Shape, model: Model, narrow: int) -> int:
    """From the largest gate: a helper, the permutation's first ratios, or the linear check's three columns."""
    n = 1 << shape.k
    factors = max(min(shape.group, narrow), min(max(2, shape.group), model.copied))
    degree = max((factors + 1) * (n - 1), model.powers * (3 * (n - 1) + 2 * (model.masked > 0))) + BLINDING_ROWS
    return -(-(degree - n + 1) // piece_stride(n))


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 1.3 microseconds each, more where the buckets are few."""
    return 1.3e-6 * n * (1 + 30 / math.sqrt(n))


def g1msm_gas(points: int) -> float:
    """EIP-2537's price of a G1MSM; the discount table is close to points^-0.135, and 0.519 from 128 points on."""
    return 12_000.0 * points * max(0.519, float(points**-0.135))


def choose(builder: Builder, optimize: str) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced"."""
    has_dense = any(isinstance(block, Linear) for block in builder.blocks)
    best: tuple[float, Shape] | None = None
    for lanes in lane_choices(builder):
        for columns in WEIGHT_COLUMNS if has_dense else (1,):
            try:
                layout = Layout(builder, Shape(0, lanes, columns, 1))
            except LayoutError:  # one lane always fits
                continue
            model = Model.of(layout)
            for shape in shapes(layout, optimize):
                cost = predict(shape, model)
                weight = cost.seconds + cost.gas * SECONDS_PER_GAS[optimize]
                weight += 1e3 * max(0, cost.proof_bytes - MAX_PROOF_BYTES)
                if best is None or weight < best[0]:
                    best = weight, shape
    if best is None:
        raise ValueError(f"the model needs more than 2^{MAX_K} rows, the most this version lays out")
    return Layout(builder, best[1])


def shapes(layout: Layout, optimize: str) -> Iterator[Shape]:
    """The shapes for given lanes and weight columns. Packing stays inside the embedded SRS where the rows do."""
    least = smallest_k(layout.rows)
    for k in range(least, max(least, min(12, smallest_k(layout.builder.table_size))) + 1):
        if k > MAX_K:
            return
        most = max(1, (EMBEDDED_POWERS if least <= 12 else CEREMONY_POWERS) >> k)
        for group in GROUPS:
            for packing in PACKINGS:
                if packing <= (1 if optimize == "prover" else most):
                    yield Shape(k, layout.shape.lanes, layout.shape.weight_columns, group, packing)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying: powers of two, and the row counts of the model's matrices, up to 16."""
    rows = {block.x.shape[0] for block in builder.blocks if isinstance(block, Linear)}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *rows}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
