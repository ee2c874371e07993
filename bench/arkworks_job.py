"""MSMs by arkworks (py_arkworks_bls12381), run by its own Python: `arkworks_job.py FOLDER SECONDS NAME..`.

FOLDER holds points.bin (96 bytes each) and NAME.bin (scalars, 32 bytes each). Prints {NAME: {"wall", "processor",
"result"}}, the best of up to three runs within SECONDS. Its objects are made outside of the clock; what the bindings
copy on every call is inside.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from py_arkworks_bls12381 import G1Point, Scalar


def main(folder: Path, seconds: float, names: list[str]) -> None:
    """Measure and print."""
    raw = (folder / "points.bin").read_bytes()
    points = [G1Point.from_xy_bytes_unchecked_be(raw[i : i + 96]) for i in range(0, len(raw), 96)]
    record = {}
    for name in names:
        raw = (folder / f"{name}.bin").read_bytes()
        scalars = [Scalar.from_be_bytes(raw[i : i + 32]) for i in range(0, len(raw), 32)]
        walls: list[float] = []
        processors: list[float] = []
        end = time.perf_counter() + seconds
        while not walls or (len(walls) < 3 and time.perf_counter() < end):
            wall, processor = time.perf_counter(), time.process_time()
            result = G1Point.multiexp_unchecked(points, scalars)
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
        record[name] = {"wall": min(walls), "processor": min(processors), "result": result.to_xy_bytes_be().hex()}
    print(json.dumps(record))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
