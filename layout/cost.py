"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds on two cores, from the kernels' times (bench/kernels.py measures them). Gas: EIP-2537's
G1MSM and pairing, calldata, and the contract's arithmetic (solidity/ measures it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plonnx.gadgets.blocks import Convolution
from plonnx.gadgets.builder import Builder
from plonnx.gadgets.function import plain_parts
from plonnx.kzg.wording import option
from plonnx.layout.fixed import Fixed, distinct
from plonnx.layout.planner import BLINDING_ROWS, Layout, Shape
from plonnx.plonk.domain import piece_stride

MAX_K = 22
MAX_PROOF_BYTES = 8192
EMBEDDED_POWERS = 1 << 12  # Ethereum's ceremony as shipped
CEREMONY_POWERS = 1 << 15  # the same ceremony's largest transcript
OWN_SETUP = {"prover": 3.0, "balanced": 2.0, "gas": 1.0}  # how much more a circuit may cost that needs no other SRS
SECONDS_PER_GAS = {"prover": 5e-8, "balanced": 5e-7, "gas": 1e-2}  # what a unit of gas is worth to each aim
WEIGHT_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MOST_ROWS = 16  # times the rows of a layout with more weight columns: what is longer is not looked at
GROUPS = range(1, 8)
PACKINGS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Model:
    """What of a placed model the cost depends on, besides k, group and packing. All counts are exact."""

    table_size: int
    lanes: int
    cells: int  # narrow cells of a lane
    rows: int
    public_words: int
    public_runs: int
    parameters: int
    weights: int  # columns of weights
    combined: int  # other fixed columns of combinations: where layers read, powers of the accumulators
    combinations: int  # of shown columns
    hidden: int  # hidden columns; masked combinations follow: one of weights, one of the bias
    masked: int
    views: int  # of copied cells
    fixed: int  # other fixed columns, without the tables'
    functions: tuple[int, ...]  # entries of each function's table
    recurrences: int  # powers of chi, accumulators, the running sum
    borders: int  # columns of border terms
    rotated: int  # narrow cells that are opened on the next row, too
    degree: int  # of the largest gate but lookups and copies

    @classmethod
    def of(cls, layout: Layout) -> Model:
        """The facts of a placed model."""
        builder, fixed = layout.builder, Fixed(layout)
        hidden = builder.hidden
        readings, horner = fixed.readings, bool(fixed.carries)
        powers = bool(np.any(fixed.steps))
        gathered, summed = distinct(fixed.gathered), distinct(fixed.summed)
        lanes = tuple(range(layout.shape.lanes))
        reads = [distinct(masks) for masks in fixed.reads]
        full = all({tuple(on) for _, on in shared} <= {lanes} for shared in reads)
        accumulated = any(not r.direct for r in readings)
        masked = not horner and not (full and not any(r.channelwise for r in readings))
        through_x = [r for r in readings if masked or not r.direct]
        direct = [] if masked else [r for r in readings if r.direct]
        kinds = len({r.channelwise for r in through_x})
        signed = [r for r in direct if not np.all(r.positive)]
        mixed = [r for r in signed if np.any(r.positive)]
        separate = bool(signed) and (bool(mixed) or len(signed) < len(direct))
        masks = {column.tobytes() for column, _ in [*gathered, *summed]}
        if through_x:
            masks |= {column.tobytes() for shared in reads for column, _ in shared}
        biased = len(fixed.bias) > 0 and powers and bool(gathered or summed)
        gadgets = [fixed.extended, fixed.applied, fixed.tags, *fixed.maxima]
        others: list[int | bool] = [
            powers,  # step
            bool(np.any(fixed.windows)),
            len(fixed.totals) > 0,
            len(fixed.borders) > 0,
            2 * (len(fixed.operands[0]) > 0),
            len(masks) + (biased and not hidden and fixed.bias.tobytes() not in masks),
            sum(len(distinct(words.places)) for words in fixed.words),
            layout.gadgets and sum(bool(np.any(column)) for column in gadgets),
            3 * bool(np.any(fixed.products[1])),
        ]
        weights = layout.shape.weight_columns if readings else 0
        collected = bool(gathered) or len(fixed.borders) > 0
        return cls(
            table_size=builder.table_size,
            lanes=layout.shape.lanes,
            cells=3 + layout.gadgets,
            rows=layout.rows,
            public_words=sum(-(-run.count // run.per_word) for _, run, _, _ in layout.runs),
            public_runs=len(layout.runs),
            parameters=sum(block.weights.size for block in layout.convolutions),
            weights=weights,
            combined=len(readings) + len(mixed) + len(fixed.carries) + len(fixed.holds),
            combinations=bool(readings and not hidden)  # weights
            + (len(fixed.holds) > 0)
            + horner  # carry
            + kinds
            + bool(direct)
            + separate,
            hidden=(weights + biased) * hidden,
            masked=(bool(readings) + biased) * hidden,
            views=_copied_views(layout),
            fixed=sum(int(count) for count in others),
            functions=tuple(len(f.values) for f in builder.functions),
            recurrences=1 + powers + accumulated + (horner and collected) + (len(fixed.holds) > 0),
            borders=layout.border_lanes * (len(fixed.borders) > 0),
            rotated=layout.shape.lanes * bool(np.any(fixed.maxima[0]) or np.any(fixed.products[1])),
            degree=max(
                3 * bool(np.any(fixed.products[1])), powers * (3 + any(r.channelwise for r in readings) + masked)
            ),
        )


def _copied_views(layout: Layout) -> int:
    """The views of cells that are copied, from or to."""
    copied, (_, lanes) = layout.copied, layout.unit_cells
    origins = zip(layout.copied_views.tolist(), lanes[copied["refs"] >> 1].tolist(), strict=True)
    return len({*origins, *(("taken", lane) for lane in copied["lanes"].tolist())})


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
    plain = plain_parts(model.functions, shape.active_rows)
    pages = len(plain)  # parts of the functions' table
    narrow = model.cells * model.lanes + parts + (rest > 0) + pages
    lookups = 3 * model.lanes + parts + (rest > 0) + pages + (model.lanes if pages else 0)
    helpers = -(-lookups // shape.group)
    ratios = _permutation_ratios(model.views, max(2, shape.group))
    recurrences = model.recurrences + (model.views > 0)
    pieces = _pieces(shape, model, lookups)
    full = helpers + ratios + recurrences + pieces + model.borders
    tables = (
        (parts > 0 or any(plain)) + (rest > 0) + sum(1 if alone else 2 + (len(model.functions) > 1) for alone in plain)
    )
    gates_read = model.fixed + tables + model.views  # fixed columns outside combinations
    shown = gates_read + model.combined + (0 if model.hidden else model.weights)
    shown_commitments = -(-shown // t)

    groups = (narrow - model.rotated, model.rotated, helpers + ratios, recurrences, pieces, model.borders)
    commitments = sum(-(-count // t) for count in groups) + model.masked
    evaluations = narrow + model.rotated + helpers + ratios + 2 * recurrences + pieces + model.borders
    evaluations += gates_read + model.combinations + model.masked if t == 1 else shown + model.masked
    proof_bytes = 96 * (commitments + 2) + 32 * (evaluations + 1)
    gas = 21_000 + 102_900 + g1msm_gas(commitments + shown_commitments + model.hidden + 3)
    gas += 16 * proof_bytes + 310 * evaluations + 100 * model.public_words + 250 * model.public_runs
    gas += 500 * (model.weights + model.combined) if t > 1 and not model.hidden else 0

    columns = narrow + helpers + ratios + recurrences + 8
    cells = n * (
        columns * (pieces + 1) * shape.k * 7.9e-10  # transforms
        + columns * pieces * 1.4e-8  # gates on the cosets, evaluations
    )
    changing = min(n, max(model.rows, min(n, model.table_size)))  # rows on which helpers and sums change
    msms = (helpers + 1) * msm_seconds(changing) + pieces * msm_seconds(n)
    msms += (ratios + model.borders + max(0, model.recurrences - 2)) * msm_seconds(min(n, model.rows))
    seconds = msms + 2 * msm_seconds(t * n) + cells + 1.2e-4 * (columns + full)
    memory = 57_000_000 + 10 * model.parameters + n * (110 * (columns + t * full) + 96 * gates_read + 1400 * t)
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


def _pieces(shape: Shape, model: Model, lookups: int) -> int:
    """From the largest gate: a helper, the permutation's first ratios, or the linear check."""
    n = 1 << shape.k
    factors = max(min(shape.group, lookups), min(max(2, shape.group), model.views))
    check = model.degree * (n - 1) + 2 * (model.masked > 0)
    degree = max((factors + 1) * (n - 1), check) + BLINDING_ROWS
    return -(-(degree - n + 1) // piece_stride(n))


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 0.6 microseconds each, more where the buckets are few."""
    return 6e-7 * n * (1 + 30 / math.sqrt(n))


def g1msm_gas(points: int) -> float:
    """EIP-2537's price of a G1MSM; the discount table is close to points^-0.135, and 0.519 from 128 points on."""
    return 12_000.0 * points * max(0.519, float(points**-0.135))


def choose(builder: Builder, optimize: str, max_rows: int | None = None) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced". max_rows: the powers that a setup has."""
    best: tuple[float, Shape] | None = None
    for lanes in lane_choices(builder):
        fewest: int | None = None  # rows, of more weight columns
        for columns in reversed(list(weight_choices(builder))):
            layout = Layout(builder, Shape(0, lanes, columns, 1))
            fewest = layout.rows if fewest is None else min(fewest, layout.rows)
            if layout.rows > MOST_ROWS * fewest:
                break
            model = Model.of(layout)
            for shape in shapes(layout, optimize):
                if max_rows is not None and shape.packing << shape.k > max_rows:
                    continue
                weight = weigh(shape, predict(shape, model), optimize)
                if best is None or weight < best[0]:
                    best = weight, shape
    if best is None and max_rows is not None:
        raise ValueError(f"no layout of this model fits {option('max_rows', str(max_rows))}; give more, or none")
    if best is None:
        raise ValueError(f"the model needs more than 2^{MAX_K} rows, the most this version lays out")
    return Layout(builder, best[1])


def weigh(shape: Shape, cost: Cost, optimize: str) -> float:
    """What a shape costs for an aim, in seconds; long proofs cost more, and setups that are not in the package."""
    weight = cost.seconds + cost.gas * SECONDS_PER_GAS[optimize]
    weight *= max(1.0, cost.proof_bytes / MAX_PROOF_BYTES)
    return weight * (OWN_SETUP[optimize] if shape.packing << shape.k > EMBEDDED_POWERS else 1)


def shapes(layout: Layout, optimize: str) -> Iterator[Shape]:
    """The shapes for given lanes and weight columns. Packing stays inside the embedded SRS where the rows do."""
    least = smallest_k(layout.rows)
    entries = layout.builder.table_size + sum(len(f.values) for f in layout.builder.functions)
    for k in range(least, max(least, min(12, smallest_k(entries))) + 1):
        if k > MAX_K:
            return
        most = max(1, (EMBEDDED_POWERS if least <= 12 else CEREMONY_POWERS) >> k)
        for group in GROUPS:
            for packing in PACKINGS:
                if packing <= (1 if optimize == "prover" else most):
                    yield Shape(k, layout.shape.lanes, layout.shape.weight_columns, group, packing)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying, up to 16: powers of two, the row counts of matrices and the widths of images."""
    widths = {block.shape[-1] for block in _convolutions(builder)}
    widths |= {half for width in widths for half in (-(-width // 2), -(-width // 3)) if half >= 4}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *widths}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def weight_choices(builder: Builder) -> Iterator[int]:
    """Counts of weight columns: at least as many as a convolution of several taps has output channels."""
    convolutions = _convolutions(builder)
    least = max((block.weights.shape[2] for block in convolutions if len(block.offsets) > 1), default=1)
    yield from sorted({max(least, columns) for columns in WEIGHT_COLUMNS}) if convolutions else (1,)


def _convolutions(builder: Builder) -> list[Convolution]:
    return [block for block in builder.blocks if isinstance(block, Convolution)]


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
