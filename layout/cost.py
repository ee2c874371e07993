"""The cost model: what a layout costs the prover and the contract.

Prover: seconds on two cores of the machine of docs/benchmarks.md for a proof with the keys loaded, not the process's
first, fitted to the parts of the CPU time that proofs of n = 2^8 to 2^17 take. Memory: of the first proof in a process
of its own, by the columns that gates read (measured for n = 2^12, 2^16 and twice 2^17, LeNet-5 to ViT-tiny). Gas:
EIP-2537's G1MSM and pairing, calldata, and the contract's arithmetic (solidity/gas.py knows it from a key). What is
counted for it is exact (layout/counts.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plonnx.kzg.prices import ADDITION, INTRINSIC, PAIRING, g1_msm
from plonnx.layout.counts import Counts, Facts, Size
from plonnx.layout.shape import Shape
from plonnx.plonk.structure import of as structure_of

CALL = 820  # gas of a call's selector, offsets and lengths


@dataclass(frozen=True)
class Price:
    """What the prover and the contract pay: of a proof in a fresh process, and of its check on-chain."""

    seconds: float
    memory: int  # peak, bytes
    gas: int
    proof_bytes: int


@dataclass(frozen=True)
class Cost(Price):
    """The predicted cost of a layout, with its counts, which are exact."""

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
    t = shape.packing
    tally = facts.tally(shape)
    structure = structure_of(tally, t)
    narrow, free, cosets = tally.advice_phases.count(0), len(tally.free_columns), structure.cosets
    helpers = sum(d.column.name.startswith("lookup helper") for d in tally.definitions)
    ratios = sum(d.column.name.startswith("permutation product behind") for d in tally.definitions)
    recurrences = len(tally.definitions) - helpers - ratios
    counts = Counts(
        packing=t,
        narrow=narrow,
        looked_up=len(tally.lookups) + sum(len(table.parts) for table in tally.tables),
        helpers=helpers,
        ratios=ratios,
        recurrences=recurrences,
        free=free,
        combinations=len(tally.combinations),
        cosets=cosets,
        fixed_members=len(structure.fixed_members),
        evaluations=structure.evaluations,
        hidden=len(structure.masked),
    )
    return Cost(
        seconds=_seconds(shape, facts, counts),
        memory=_memory(shape, facts, structure.read, counts.full),
        gas=_gas(facts, counts, structure.commitments, structure.proof_bytes),
        proof_bytes=structure.proof_bytes,
        full_columns=counts.full + 2,
        narrow_columns=narrow,
        fixed_columns=len(tally.fixed_columns),
        fixed_commitments=len(structure.fixed_members),
        commitments=structure.commitments,
        evaluations=structure.evaluations,
        cosets=cosets,
        lookups=len(tally.lookups),
    )


def at_least(shape: Shape, size: Size) -> Price:
    """What no circuit of the shape is below: of a Size from its lanes, of Facts from its declarations."""
    counts = size.least(shape)
    return Price(
        seconds=_seconds(shape, size, counts),
        memory=_memory(shape, size, counts.narrow + counts.columns + counts.free, counts.full),
        gas=_gas(size, counts, counts.commitments, counts.proof_bytes),
        proof_bytes=counts.proof_bytes,
    )


def _seconds(shape: Shape, size: Size, counts: Counts) -> float:
    n, t, cosets, polynomials = 1 << shape.k, shape.packing, counts.cosets, counts.polynomials
    far = 1 + 0.08 * max(0, shape.k - 14)  # columns that no longer fit the caches
    transforms = polynomials * (1 + 0.9 * cosets)  # not every gate takes all cosets; those of the key are kept
    cells = n * (
        transforms * shape.k * 1.25e-9 * far
        + polynomials * cosets * 1.27e-8  # gates on the cosets
        + polynomials * 1.6e-8  # filling, evaluations, openings
        + counts.fixed_members * t * 1.0e-9  # combinations of fixed columns: weights, at least
        + counts.narrow * 3.8e-8  # their commitments: integers
    )
    ranged = size.ranged(shape)
    changing, used = (min(n, max(size.rows, at)) for at in (min(n, ranged), 0))  # rows on which they change
    helpers = min(  # each value of a table once, or all as they are
        counts.looked_up * used * 3.8e-8 + 0.44 * counts.helpers * msm_seconds(min(used, size.met(shape))),
        0.54 * counts.helpers * msm_seconds(changing),
    )
    # most rows of these repeat the last one, but not the running sum's
    repeating = 0.7 * counts.ratios + 0.45 * counts.recurrences + 0.03 * counts.free
    running = 0.55 if counts.recurrences else 0.0
    msms = cosets * msm_seconds(n) + 2 * msm_seconds(t * n) + helpers + (repeating + running) * msm_seconds(used)
    calls = 1.6e-3 + 6.4e-4 * cosets + 1.2e-4 * polynomials + 4.0e-4 * counts.narrow  # whose random rows stand alone
    return msms + cells + calls


def _memory(shape: Shape, size: Size, read: int, full: int) -> int:
    """Of the prover's process: `read` columns stand in gates, `full` ones hold field elements."""
    n, t = 1 << shape.k, shape.packing
    beside = 1_600 * min(n, 1 << 15)  # buffers that grow no further: proofs of 2^9 to 2^17 rows, two lines through them
    return 52_000_000 + 13 * size.parameters + beside + n * (700 + 75 * read + (t - 1) * (150 * full + 1910))


def _gas(size: Size, counts: Counts, commitments: int, proof_bytes: int) -> int:
    """Precompiles exactly, calldata as if no byte were zero, hashing and arithmetic fitted to what contracts take."""
    points = commitments + counts.fixed_members + 2  # W, W' and the generator; one is added with G1ADD
    charged = INTRINSIC + CALL + 16 * (proof_bytes + size.public_bytes) + g1_msm(points) + PAIRING + ADDITION
    return charged + 4_500 + 167 * counts.evaluations + 67 * size.public_words + 137 * points


def msm_seconds(n: int) -> float:
    """An MSM of n field-sized scalars: 0.94 microseconds each, more where the buckets are few."""
    return 9.4e-7 * n * (1 + 17 / math.sqrt(n))
