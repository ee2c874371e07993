"""The cost model: what a layout costs the prover and the contract, and the shape that costs least.

Prover: seconds of one of two cores' worth of work, from the kernels' figures (bench/kernels.py). Gas: EIP-2537's G1MSM.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plonnx.compiler.layout import BLINDING_ROWS, Layout, Shape
from plonnx.gadgets.builder import Builder, Linear

SECONDS_PER_FULL_CELL = 8e-6  # MSM of one field-sized cell
SECONDS_PER_NARROW_CELL = 1e-6  # MSM of one narrow cell, transforms and evaluation of any column
SECONDS_PER_WEIGHT_CELL = 3e-8  # combining one weight
SECONDS_PER_COLUMN = 3e-4  # whatever its length
MAX_K = 22
MAX_PROOF_BYTES = 8192
SECONDS_PER_GAS = {"prover": 1e-7, "balanced": 1e-6, "gas": 1e-3}  # what a unit of gas is worth to each aim


@dataclass(frozen=True)
class Cost:
    """The predicted cost of a layout."""

    seconds: float
    gas: int
    proof_bytes: int
    full_columns: int
    narrow_columns: int
    fixed_columns: int


def predict(shape: Shape, table_size: int, has_dense: bool) -> Cost:
    """The cost of proving with a shape; the number of layers plays no part."""
    n = 1 << shape.k
    parts = -(-table_size // shape.active_rows)
    terms = 3 * shape.lanes + parts
    helpers = -(-terms // shape.group)
    pieces = max(3, shape.group + 1) + 1
    full = helpers + 1 + 1 + has_dense + pieces + 2
    narrow = 3 * shape.lanes + parts
    weights = shape.weight_columns if has_dense else 0
    seconds = SECONDS_PER_COLUMN * (full + narrow) + n * (
        full * SECONDS_PER_FULL_CELL + (narrow + full) * SECONDS_PER_NARROW_CELL + weights * SECONDS_PER_WEIGHT_CELL
    )
    evaluations = narrow + full - pieces + 8
    proof_bytes = 96 * (narrow + full) + 32 * evaluations
    gas = 21_000 + 102_900 + g1msm_gas(narrow + full + weights + 8) + 16 * proof_bytes + 300 * evaluations
    return Cost(seconds, int(gas), proof_bytes, full, narrow, weights)


def g1msm_gas(points: int) -> float:
    """EIP-2537's price of a G1MSM; the discount table is close to points^-0.135, and 0.519 from 128 points on."""
    return 12_000 * points * max(0.519, float(points**-0.135))


def choose(builder: Builder, optimize: str) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced"."""
    has_dense = any(isinstance(block, Linear) for block in builder.blocks)
    best: tuple[float, Shape] | None = None
    for lanes in lane_choices(builder):
        for columns in (1, 2, 4, 8, 16, 32, 64, 128, 256) if has_dense else (1,):
            layout = Layout(builder, Shape(0, lanes, columns, 1))
            least = smallest_k(layout.rows)
            for k in range(least, max(least, smallest_k(builder.table_size)) + 1):
                for group in range(1, 8):
                    shape = Shape(k, lanes, columns, group)
                    cost = predict(shape, builder.table_size, has_dense)
                    weight = cost.seconds + cost.gas * SECONDS_PER_GAS[optimize]
                    weight += 1e3 * max(0, cost.proof_bytes - MAX_PROOF_BYTES)
                    if k <= MAX_K and (best is None or weight < best[0]):
                        best = weight, shape
    if best is None:
        raise ValueError(f"the model needs more than 2^{MAX_K} rows, the most this version lays out")
    return Layout(builder, best[1])


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying: powers of two, and the row counts of the model's matrices, up to 16."""
    rows = {block.x.shape[0] for block in builder.blocks if isinstance(block, Linear)}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *rows}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
