"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds on two cores, from the kernels' times (bench/kernels.py measures them). Gas: EIP-2537's
G1MSM and pairing, calldata, and the contract's arithmetic (solidity/ measures it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from plonnx.compiler.layout import BLINDING_ROWS, Layout, LayoutError, Shape
from plonnx.gadgets.builder import Builder, Linear

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
    """What of a model the cost depends on, besides the layout's shape."""

    table_size: int
    dense_layers: int
    rows: int
    public_values: int
    parameters: int

    @classmethod
    def of(cls, layout: Layout) -> Model:
        """The facts of a placed model."""
        layers = sum(place.reader is not None for place in layout.places)
        values = sum(run.count for _, run, _ in layout.runs)
        parameters = sum(block.weights.size for block in layout.builder.blocks if isinstance(block, Linear))
        return cls(layout.builder.table_size, layers, layout.rows, values, parameters)


@dataclass(frozen=True)
class Cost:
    """The predicted cost of a layout: of a proof in a fresh process, and of its check on-chain."""

    seconds: float
    memory: int  # peak, bytes
    gas: int
    proof_bytes: int
    full_columns: int
    narrow_columns: int
    fixed_columns: int


def predict(shape: Shape, model: Model) -> Cost:
    """The cost of a shape."""
    n, t = 1 << shape.k, shape.packing
    dense = model.dense_layers > 0
    narrow = 3 * shape.lanes + -(-model.table_size // shape.active_rows)
    helpers = -(-narrow // shape.group)
    recurrences = 2 + dense
    pieces = max(3, shape.group + 1)
    full = helpers + recurrences + pieces
    weights = shape.weight_columns if dense else 0
    fixed = weights + model.dense_layers + 6

    commitments = sum(-(-count // t) for count in (narrow, helpers, recurrences, pieces))
    evaluations = narrow + helpers + 2 * recurrences + pieces + (8 if t == 1 else fixed)
    proof_bytes = 96 * (commitments + 2) + 32 * (evaluations + 1)
    gas = 21_000 + 102_900 + g1msm_gas(commitments + -(-fixed // t) + 3)
    gas += 16 * proof_bytes + 310 * evaluations + 100 * model.public_values + (500 * weights if t > 1 else 0)

    columns = narrow + helpers + recurrences + 8
    cells = n * (
        columns * (pieces + 1) * shape.k * 6e-9  # transforms
        + columns * pieces * 1e-7  # gates on the cosets, evaluations
        + narrow * 1.5e-7
        + weights * 3.5e-9
    )
    changing = min(n, max(model.rows, min(n, model.table_size)))  # rows on which helpers and sums change
    msms = (helpers + 1) * msm_seconds(changing) + dense * msm_seconds(min(n, model.rows)) + pieces * msm_seconds(n)
    seconds = msms + 2 * msm_seconds(t * n) + cells + 2e-4 * (columns + full)
    memory = 34_000_000 + 10 * model.parameters + n * (110 * (columns + t * full) + 1400 * t)
    return Cost(seconds, memory, int(gas), proof_bytes, full + 2, narrow, fixed)


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 3 microseconds each, more where the buckets are few."""
    return 3.1e-6 * n * (1 + 30 / math.sqrt(n))


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
