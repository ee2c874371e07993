"""The kernels, timed: multi-scalar multiplication against blst's own Pippenger in the same run, transforms, field rows.

    python bench/kernels.py [smallest k] [largest k]

Milliseconds, the best of several runs, on all cores: wall time / processor time of all threads together. The second is
the one to compare where other work runs on the machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from plonnx import _native
from plonnx._native import Points, Program, Vec

TAU = 0x123456789ABCDEF


def best(run: Callable[[], object], seconds: float = 0.4) -> tuple[float, float]:
    """The shortest wall and processor time in milliseconds, of at least three runs."""
    run()
    walls, processors = [], []
    end = time.perf_counter() + seconds
    while len(walls) < 3 or time.perf_counter() < end:
        wall, processor = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls) * 1000, min(processors) * 1000


def cell(times: tuple[float, float]) -> str:
    return f"{times[0]:8.2f} /{times[1]:8.2f}"


def columns(n: int) -> dict[str, np.ndarray]:
    """Signed integer columns of several kinds."""
    rng = np.random.default_rng(0)
    narrow = {bits: rng.integers(-(1 << bits - 1) + 1, 1 << bits - 1, n) for bits in (8, 16, 24)}
    return {
        "8 bits": narrow[8].astype(np.int8),
        "16 bits": narrow[16].astype(np.int16),
        "24 bits": narrow[24].astype(np.int32),
        "24 bits, 1 in 50 nonzero": np.where(rng.random(n) < 0.02, narrow[24], 0).astype(np.int32),
        "24 bits, changes 1 row in 50": np.repeat(narrow[24], 50)[:n].astype(np.int32),
    }


def bench_msm(k: int) -> None:
    n = 1 << k
    points = _native.srs_powers(TAU, n)
    full = Vec.from_wide_bytes(np.random.default_rng(1).bytes(64 * n))
    rare = full.take(np.repeat(np.arange(n), 50)[:n])
    print(f"\nmsm, 2^{k} points{'':34}plonnx                blst   times faster (wall, processor)")

    def row(name: str, ours: Callable[[], bytes], theirs: Callable[[], bytes]) -> None:
        a, b = best(ours), best(theirs)
        print(f"  {name:35}{cell(a)}  {cell(b)}   {b[0] / a[0]:6.1f} {b[1] / a[1]:6.1f}")

    assert points.msm(full) == _native.blst_msm(points, full)
    row("255 bits", lambda: points.msm(full), lambda: _native.blst_msm(points, full))
    row("255 bits, changes 1 row in 50", lambda: points.msm(rare), lambda: _native.blst_msm(points, rare))
    for name, ints in columns(n).items():
        # blst takes unsigned scalars: the magnitudes, at their bit width (a caller would put the signs on the points).
        magnitudes = np.abs(ints.astype(np.int64))
        vec, bits = Vec.from_ints(magnitudes), int(magnitudes.max()).bit_length()

        def ours(ints: np.ndarray = ints) -> bytes:
            return points.msm_ints(ints)

        def theirs(vec: Vec = vec, bits: int = bits) -> bytes:
            return _native.blst_msm(points, vec, bits)

        assert theirs() == points.msm_ints(magnitudes)
        row(name, ours, theirs)


def bench_field(k: int) -> None:
    n = 1 << k
    vec = Vec.from_wide_bytes(np.random.default_rng(2).bytes(64 * n))
    ops = [(2, 0, 1), *[(2, i, 0) for i in range(3, 43)], *[(0, i, 1) for i in range(43, 63)]]
    program = Program([(0, 0), (0, 1)], [], 1, ops, [63])
    int8 = [np.random.default_rng(i).integers(-127, 128, n).astype(np.int8) for i in range(16)]
    factors = [TAU**i for i in range(1, 5)] * 4
    kernels: dict[str, Callable[[], object]] = {
        "ntt": lambda: _native.ntt(vec),
        "ntt on a coset": lambda: _native.ntt(vec, 7),
        "intt": lambda: _native.intt(vec),
        "multiplication": lambda: vec.mul(vec),
        "inverse": vec.inverse,
        "affine scan": lambda: _native.affine_scan(1, vec, vec),
        "program, 41 mul and 20 add": lambda: program.run([vec], [5]),
        "combine 16 int8 columns": lambda: _native.combine_ints(int8, factors),
    }
    print(f"\nfield, 2^{k} rows")
    for name, run in kernels.items():
        times = best(run)
        print(f"  {name:35}{cell(times)}   {times[1] * 1e6 / n:8.1f} ns a row (processor)")


def bench_points() -> None:
    print("\nonce per SRS")
    for k in (10, 12):
        points: Points = _native.srs_powers(TAU, 1 << k)
        print(f"  {f'Lagrange form, 2^{k}':35}{cell(best(lambda p=points, n=1 << k: p.lagrange(n)))}")
        print(f"  {f'fixed base, 2^{k}':35}{cell(best(lambda n=1 << k: _native.srs_powers(TAU, n)))}")


def main() -> None:
    smallest = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    largest = int(sys.argv[2]) if len(sys.argv) > 2 else 18
    print(f"{_native.thread_count()} threads; milliseconds, wall / processor")
    for k in range(smallest, largest + 1, 2):
        bench_msm(k)
        bench_field(k)
    bench_points()


if __name__ == "__main__":
    main()
