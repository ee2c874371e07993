"""The kernels, timed: MSM beside blst's Pippenger and arkworks in the same run, transforms, field rows.

    python -m bench.kernels [--smallest 10] [--largest 18] [--ntt-largest 18] [--arkworks PYTHON] [--json]

The best of several runs, on all cores: wall time / processor time of all threads together. The second is the one to
compare where other work runs on the machine, and with arkworks, whose bindings use one thread. Every result is checked:
the three MSMs are equal, a transform's values are the polynomial's, and the inverse gives the coefficients back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from plonnx import _native
from plonnx._native import Points, Program, Vec

TAU = 0x123456789ABCDEF
ARKWORKS_SECONDS = 0.5  # per kind of scalars
ARKWORKS_LIMIT = 90.0
ROOT = Path(__file__).resolve().parent.parent


def best(run: Callable[[], object], seconds: float = 0.25) -> dict[str, float]:
    """The shortest wall and processor time in seconds, of at least two runs."""
    walls: list[float] = []
    processors: list[float] = []
    end = time.perf_counter() + seconds
    while len(walls) < 2 or time.perf_counter() < end:
        wall, processor = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {"wall": min(walls), "processor": min(processors)}


def scalars(n: int) -> dict[str, Vec | np.ndarray]:
    """What the prover meets: full scalars, signed integers of several widths, sparse, rarely changing."""
    rng = np.random.default_rng(0)
    narrow = {bits: rng.integers(-(1 << bits - 1) + 1, 1 << bits - 1, n) for bits in (8, 16, 24)}
    full = Vec.from_wide_bytes(np.random.default_rng(1).bytes(64 * n))
    rarely = np.repeat(np.arange(n), 50)[:n]
    return {
        "255 bits": full,
        "255 bits, changes 1 row in 50": full.take(rarely),
        "8 bits": narrow[8].astype(np.int8),
        "16 bits": narrow[16].astype(np.int16),
        "24 bits": narrow[24].astype(np.int32),
        "24 bits, 1 in 50 nonzero": np.where(rng.random(n) < 0.02, narrow[24], 0).astype(np.int32),
        "24 bits, changes 1 row in 50": narrow[24][rarely].astype(np.int32),
    }


def bench_msm(k: int, arkworks: Path | None) -> list[dict[str, Any]]:
    """One row for each kind of scalars."""
    n = 1 << k
    points = _native.srs_powers(TAU, n)
    kinds = scalars(n)
    theirs = _arkworks(arkworks, points, kinds) if arkworks else {}
    rows = []
    for name, values in kinds.items():
        if isinstance(values, Vec):
            result, unsigned, bits = points.msm(values), values, 255
            ours = best(partial(points.msm, values))
            same = _native.blst_msm(points, values) == result
        else:
            # blst takes unsigned scalars: the magnitudes at their width (a caller would put the signs on the points).
            magnitudes = np.abs(values.astype(np.int64))
            unsigned, bits = Vec.from_ints(magnitudes), int(magnitudes.max()).bit_length()
            result = points.msm_ints(values)
            ours = best(partial(points.msm_ints, values))
            same = _native.blst_msm(points, unsigned, bits) == points.msm_ints(magnitudes)
        row: dict[str, Any] = {"k": k, "scalars": name, "plonnx": ours}
        row["blst"] = best(partial(_native.blst_msm, points, unsigned, bits))
        if not same:
            raise SystemExit(f"2^{k}, {name}: plonnx and blst disagree")
        peer = theirs.get(name)
        if peer:
            if bytes.fromhex(peer.pop("result")) != result:
                raise SystemExit(f"2^{k}, {name}: plonnx and arkworks disagree")
            row["arkworks"] = peer
        rows.append(row)
    if "" in theirs:
        rows[0]["note"] = theirs[""]
    return rows


def _arkworks(python: Path, points: Points, kinds: dict[str, Vec | np.ndarray]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "points.bin").write_bytes(points.to_bytes())
        files = {kind: f"scalars{i}" for i, kind in enumerate(kinds)}
        for kind, values in kinds.items():
            vec = values if isinstance(values, Vec) else Vec.from_ints(values.astype(np.int64))
            (folder / f"{files[kind]}.bin").write_bytes(vec.to_bytes())
        command = [python, ROOT / "bench" / "arkworks_job.py", folder, str(ARKWORKS_SECONDS), *files.values()]
        try:
            done = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, timeout=ARKWORKS_LIMIT, check=True
            )
            record = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return {"": f"arkworks, 2^{len(points).bit_length() - 1}: {type(error).__name__}"}
        return {kind: record[file] for kind, file in files.items()}


def bench_ntt(k: int) -> list[dict[str, Any]]:
    """Transforms and the other work on field rows."""
    n = 1 << k
    vec = Vec.from_wide_bytes(np.random.default_rng(2).bytes(64 * n))
    check_ntt(vec, k)
    ops = [(2, 0, 1), *[(2, i, 0) for i in range(3, 43)], *[(0, i, 1) for i in range(43, 63)]]
    program = Program([(0, 0), (0, 1)], [], 1, ops, [63])
    int8, powers = np.random.default_rng(0).integers(-127, 128, 16 * n).astype(np.int8), Vec.powers(TAU, 16)
    works: dict[str, Callable[[], object]] = {
        "ntt": lambda: _native.ntt(vec),
        "ntt on a coset": lambda: _native.ntt(vec, 7),
        "intt": lambda: _native.intt(vec),
        "product": lambda: vec.mul(vec),
        "inverse": vec.inverse,
        "affine scan": lambda: _native.affine_scan(1, vec, vec),
        "program, 41 mul 20 add": lambda: program.run([vec], [5]),
        "rows of 16 int8": lambda: _native.row_sums(int8, powers),
    }
    return [{"k": k, "kernel": name, "plonnx": best(work, 0.08)} for name, work in works.items()]


def check_ntt(vec: Vec, k: int) -> None:
    """ntt's values are those of the polynomial, on H and on a coset; intt undoes it."""
    modulus = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
    for shift in (1, 7):
        values = _native.ntt(vec, shift)
        raw = values.to_bytes()
        for row in (0, 1, (1 << k) - 1, (1 << k) // 3):
            point = shift * pow(_native.omega(k), row, modulus) % modulus
            if int.from_bytes(raw[32 * row : 32 * row + 32], "big") != vec.evaluate(point):
                raise SystemExit(f"ntt, 2^{k}, shift {shift}: row {row} is wrong")
        if _native.intt(values, shift).to_bytes() != vec.to_bytes():
            raise SystemExit(f"intt, 2^{k}, shift {shift}: not the inverse")


def bench_points() -> list[dict[str, Any]]:
    """What an SRS costs once."""
    rows = []
    for k in (10, 12):
        n = 1 << k
        points: Points = _native.srs_powers(TAU, n)
        works: dict[str, Callable[[], object]] = {
            "Lagrange form": partial(points.lagrange, n),
            "powers of a known tau": partial(_native.srs_powers, TAU, n),
        }
        rows += [{"k": k, "kernel": name, "plonnx": best(work)} for name, work in works.items()]
    return rows


def main() -> None:
    """Measure; print as it goes, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smallest", type=int, default=10)
    parser.add_argument("--largest", type=int, default=18, help="of the MSMs; 20 takes minutes")
    parser.add_argument("--ntt-largest", type=int, default=18)
    parser.add_argument("--arkworks", type=Path, help="a Python that has py_arkworks_bls12381")
    parser.add_argument("--no-points", action="store_true", help="leave out what an SRS costs once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    record: dict[str, Any] = {"threads": _native.thread_count(), "msm": [], "ntt": [], "points": []}

    def tell(rows: list[dict[str, Any]]) -> None:
        for row in rows if not options.json else ():
            times = [
                f"{tool} {row[tool]['wall'] * 1e3:9.2f} /{row[tool]['processor'] * 1e3:9.2f}"
                for tool in ("plonnx", "blst", "arkworks")
                if tool in row
            ]
            print(f"2^{row['k']:<3}{row.get('scalars', row.get('kernel')):32}{'   '.join(times)} ms", flush=True)

    for k in range(options.smallest, options.largest + 1, 2):
        record["msm"] += (rows := bench_msm(k, options.arkworks))
        tell(rows)
    for k in range(options.smallest, options.ntt_largest + 1, 2):
        record["ntt"] += (rows := bench_ntt(k))
        tell(rows)
    if not options.no_points:
        record["points"] = bench_points()
        tell(record["points"])
    if options.json:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
