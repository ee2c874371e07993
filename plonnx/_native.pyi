"""The Rust kernels (native/). Field elements are BLS12-381 scalars; every function releases the GIL and uses all cores.

Scalars cross the border as Python ints in [0, r); a ValueError says which argument is not. G1 points cross as 96 bytes
(x || y, big-endian, all zeros for infinity), G2 points as 192 bytes (x.c1 || x.c0 || y.c1 || y.c0: the order of the
ZCash serialization; all zeros for infinity).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
IntArray = NDArray[np.int64] | NDArray[np.int32] | NDArray[np.int16] | NDArray[np.int8] | NDArray[np.signedinteger[Any]]

def keccak256(data: bytes) -> bytes: ...
def thread_count() -> int: ...
def vector_kernels() -> bool:
    """Whether the kernels run in AVX-512 IFMA: where the processor has it, unless PLONNX_PORTABLE=1 forbids it, which
    is read once.
    """

def available_memory() -> int:
    """The bytes that this process could take before the system, or its control group, runs short."""

class Vec:
    """A vector of field elements held in Rust (Montgomery form). Methods ending in _ work in place."""

    @staticmethod
    def zeros(length: int) -> Vec: ...
    @staticmethod
    def from_ints(values: IntArray) -> Vec:
        """Signed integers, negative ones taken modulo r. One dimension, contiguous."""
    @staticmethod
    def from_bytes(data: bytes) -> Vec:
        """32 bytes big-endian each; ValueError names the first index whose value is >= r."""
    @staticmethod
    def from_scalars(values: Sequence[int]) -> Vec: ...
    @staticmethod
    def from_wide_bytes(data: bytes) -> Vec:
        """64 bytes each, reduced modulo r: uniform field elements from uniform bytes."""
    @staticmethod
    def powers(base: int, length: int, first: int = 1) -> Vec:
        """first * base^i for i < length."""
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> int: ...
    def to_bytes(self) -> bytes: ...
    def copy(self) -> Vec: ...
    def slice(self, start: int, stop: int) -> Vec: ...
    def take(self, indices: NDArray[np.int64]) -> Vec:
        """The elements at the given indices (a palette lookup)."""
    def write_(self, start: int, values: Vec) -> None:
        """Overwrite self[start : start + len(values)]."""
    def padded(self, length: int) -> Vec:
        """Extended with zeros to `length`."""
    def add(self, other: Vec) -> Vec: ...
    def sub(self, other: Vec) -> Vec: ...
    def mul(self, other: Vec) -> Vec: ...
    def scale(self, factor: int) -> Vec: ...
    def add_scaled_(self, factor: int, other: Vec) -> None:
        """self += factor * other; other may be shorter (the rest is unchanged)."""
    def inverse(self) -> Vec:
        """Batch inversion; zero stays zero."""
    def nonzero(self) -> NDArray[np.int64]:
        """Indices of the nonzero elements."""
    def evaluate(self, x: int) -> int:
        """The polynomial with these coefficients at x."""
    def divide_by_root(self, root: int) -> Vec:
        """(f(X) - f(root)) / (X - root) for the polynomial with these coefficients; the length stays (last
        element 0).
        """

def evaluate_many(polynomials: Sequence[Vec], x: int) -> list[int]:
    """`Vec.evaluate` of each; faster together than one after another."""

def evaluate_at_eight(polynomials: Sequence[Vec], x: int) -> list[Vec]:
    """The values of each at x omega(3)^k, k = 0 .. 7: hardly dearer than at x alone."""

def linear_combination(vectors: Sequence[Vec], factors: Sequence[int]) -> Vec:
    """sum factor_i * vector_i, as long as the longest."""

def combine_runs(columns: Sequence[tuple[Rows, Rows, IntArray]], factors: Sequence[int], length: int) -> Vec:
    """sum factor_i * column_i over integer columns of `length` rows that are zero but for runs of values: what they do
    not hold costs nothing.

    A column is (starts, lengths, values): run i holds the next lengths[i] values, on the rows from starts[i] on. Runs
    come in order and do not overlap.
    """

def row_sums(integers: IntArray, powers: Vec) -> Vec:
    """sum_j powers[j] * row[j] of every row of integers, flat, each as long as `powers`."""

def weighted_sums(columns: Sequence[IntArray], weights: Vec) -> list[int]:
    """sum_i weights[i] * column[i] of each column, as long as `weights`: faster together than one after another."""

def gathered_sums(integers: IntArray, channels: int, factors: Vec, index: NDArray[np.int64]) -> Vec:
    """sum over c < channels and t of factors[c, t] * integers[c, index[t, p]] for every p; all are flat. An index
    behind a channel's integers reads zero, and costs nothing.
    """

def ntt(coefficients: Vec, shift: int = 1) -> Vec:
    """Values on shift * H, natural order: out[i] = f(shift * omega^i). The length is a power of two up to 2^32."""

def ntt_many(polynomials: Sequence[Vec], shift: int = 1) -> list[Vec]:
    """`ntt` of each; small ones are faster together than one after another."""

def intt(values: Vec, shift: int = 1) -> Vec:
    """The inverse of `ntt`."""

def intt_many(values: Sequence[Vec], shift: int = 1) -> list[Vec]:
    """`intt` of each; small ones are faster together than one after another."""

def omega(k: int) -> int:
    """The root of unity of order 2^k that `ntt` uses: 7^((r-1)/2^k)."""

def affine_scan(first: int, factors: Vec, terms: Vec) -> Vec:
    """x_0 = first, x_{i+1} = factors_i * x_i + terms_i; returns x_0..x_{m-1}, x_m: length len(factors) + 1."""

class Program:
    """A straight-line program over rows, run by chunks of rows.

    Values are numbered: first the `queries` (column, rotation), then the `constants`, then the scalars given at the
    run, then one per op. An op is (code, left, right) with code 0 add, 1 sub, 2 mul. Operations on constants and
    scalars alone are done once a run. `outputs` are value numbers.
    """

    def __init__(
        self,
        queries: Sequence[tuple[int, int]],
        constants: Sequence[int],
        scalar_count: int,
        ops: Sequence[tuple[int, int, int]],
        outputs: Sequence[int],
    ) -> None: ...
    def run(self, columns: Sequence[Vec | IntArray], scalars: Sequence[int]) -> list[Vec]:
        """All columns, of field elements or integers, have one length n; rotation r reads row (i + r) mod n. One Vec of
        length n per output."""
    def run_queried(self, values: Sequence[Vec], scalars: Sequence[int]) -> list[Vec]:
        """The same with a Vec for each query, of what it reads: nothing is rotated."""

class Points:
    """Affine G1 points held in Rust."""

    @staticmethod
    def from_bytes(data: bytes, compressed: bool = False, check: bool = True) -> Points:
        """96 (or 48, compressed) bytes each; ValueError for a wrong encoding, and with `check` for a point outside the
        subgroup (on-curve is always checked); the message names the index."""
    def to_bytes(self, compressed: bool = False) -> bytes: ...
    def __len__(self) -> int: ...
    def slice(self, start: int, stop: int) -> Points: ...
    def msm(self, scalars: Vec) -> bytes:
        """sum scalars_i * P_i over the first len(scalars) points; 96 bytes."""
    def msm_ints(self, scalars: IntArray) -> bytes:
        """The same for signed integers, at the cost of their real bit width; zeros cost nothing."""
    def lagrange(self, n: int) -> Points:
        """The Lagrange form of the first n monomial points (group inverse FFT): out[i] commits L_i over H of size n."""

class Fractions:
    """Fractions on rows 0 .. rows - 1, side by side, of which each value is kept once. One over zero is zero."""

    def __init__(self, numerators: Sequence[Vec], denominators: Sequence[Vec], rows: int) -> None: ...
    def sum(self) -> Vec:
        """The sum of the fractions on each row."""

Scalars = Vec | IntArray | tuple[Vec, Fractions]

def msm_many(points: Sequence[Points], scalars: Sequence[Scalars]) -> list[bytes]:
    """`Points.msm` or `msm_ints` of each pair; small ones are faster together than one after another.

    With a Vec its fractions, whose sum is what its first rows hold: their values may be fewer than its own.
    """

def g1_generator() -> bytes: ...
def g2_generator() -> bytes: ...
def g1_add(a: bytes, b: bytes) -> bytes:
    """a + b; the curve is checked, the subgroup is not."""

def g1_mul(point: bytes, scalar: int) -> bytes: ...
def g2_mul(point: bytes, scalar: int) -> bytes: ...
def g1_sum_of_products(points: bytes, scalars: Sequence[int]) -> bytes:
    """A small MSM over 96-byte points given one after another; on-curve and subgroup are checked;
    ValueError names the index.
    """

def g2_from_bytes(data: bytes, compressed: bool = False) -> bytes:
    """Checked (curve and subgroup) and given back as 192 bytes."""

def g2_to_compressed(point: bytes) -> bytes: ...
def pairing_check(pairs: Sequence[tuple[bytes, bytes]]) -> bool:
    """prod e(P_i, Q_i) == 1; every point checked for curve and subgroup (ValueError)."""

def srs_powers(tau: int, length: int) -> Points:
    """[tau^i]G1 for i < length, by a fixed-base table. For development SRS only."""

def fixed_base(scalars: Vec) -> Points:
    """[scalars_i]G1 by a fixed-base table. For development SRS only: scalars that make a real SRS are
    known to nobody.
    """

def blst_msm(points: Points, scalars: Vec, bits: int = 255) -> bytes:
    """`Points.msm` by blst's own Pippenger over the low `bits` bits of the scalars: what benchmarks compare with."""
