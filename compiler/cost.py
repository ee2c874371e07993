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
GAS_PER_POINT = 7000  # G1MSM at its full discount, calldata
MAX_K = 22


@dataclass(frozen=True)
class Cost:
    """The predicted cost of a layout."""

    seconds: float
    gas: int
    full_columns: int
    narrow_columns: int
    fixed_columns: int


def predict(shape: Shape, has_dense: bool) -> Cost:
    """The cost of proving with a shape; the number of layers plays no part."""
    n = 1 << shape.k
    terms = 3 * shape.lanes + 1
    helpers = -(-terms // shape.group)
    pieces = max(3, shape.group + 1) + 1
    full = helpers + 1 + 1 + has_dense + pieces + 2
    narrow = 3 * shape.lanes + 1
    weights = shape.weight_columns if has_dense else 0
    seconds = n * (
        full * SECONDS_PER_FULL_CELL + (narrow + full) * SECONDS_PER_NARROW_CELL + weights * SECONDS_PER_WEIGHT_CELL
    )
    return Cost(seconds, GAS_PER_POINT * (full + narrow + weights), full, narrow, weights)


def choose(builder: Builder, optimize: str) -> Layout:
    """The layout of least cost: optimize is "prover", "gas" or "balanced"."""
    has_dense = any(isinstance(block, Linear) for block in builder.blocks)
    best: tuple[float, Layout] | None = None
    for lanes in lane_choices(builder):
        for columns in (1, 2, 4, 8, 16, 32, 64, 128, 256) if has_dense else (1,):
            layout = Layout(builder, Shape(0, lanes, columns, 1))
            k = smallest_k(max(layout.rows, builder.table_size))
            if k > MAX_K:
                continue
            for group in range(1, 8):
                shape = Shape(k, lanes, columns, group)
                weight = _objective(predict(shape, has_dense), optimize)
                if best is None or weight < best[0]:
                    layout.shape = shape
                    best = weight, layout
    if best is None:
        raise ValueError(f"the model needs more than 2^{MAX_K} rows, the most this version lays out")
    return Layout(builder, best[1].shape)


def lane_choices(builder: Builder) -> Iterator[int]:
    """Lane counts worth trying: powers of two, and the row counts of the model's matrices, up to 16."""
    rows = {block.x.shape[0] for block in builder.blocks if isinstance(block, Linear)}
    most = max((block.count for block in builder.blocks), default=1)
    candidates = {1, 2, 4, 8, 16, *rows}
    yield from sorted(lanes for lanes in candidates if lanes <= min(16, most))


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())


def _objective(cost: Cost, optimize: str) -> float:
    if optimize == "gas":
        return cost.gas + cost.seconds * 1e3
    if optimize == "balanced":
        return cost.seconds + cost.gas * 1e-6
    return cost.seconds + cost.gas * 1e-9
