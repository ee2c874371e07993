"""One convolution with a small and a large kernel, `kernel_area_job KIND FOLDER`, everything else alike; x is private.

Their proofs alternate, so that what else the machine does falls on both. Prints {"kind", "kernels": [{"kernel",
"rows", "n", "lanes", "weight_columns", "prove"}, ..]}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_job import best
from bench.networks import IMAGE, one_convolution
from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.kzg.srs import SRS
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify

KERNELS = (3, 7)
ROUNDS = 6
ROUND_SECONDS = 0.5


def main(kind: str, folder: Path) -> None:
    """Measure and print."""
    images = np.random.default_rng(0).standard_normal((4, 1, *IMAGE)).astype(np.float32)
    found = [prepared(kind, kernel, folder / f"{kind}-{kernel}", images) for kernel in KERNELS]
    times: list[list[float]] = [[] for _ in found]
    for _ in range(ROUNDS):
        for (_, prove), seconds in zip(found, times, strict=True):
            seconds.append(best(prove, ROUND_SECONDS))
    rows = [facts | {"prove": min(seconds)} for (facts, _), seconds in zip(found, times, strict=True)]
    print(json.dumps({"kind": kind, "kernels": rows}))


def prepared(kind: str, kernel: int, folder: Path, images: np.ndarray) -> tuple[dict[str, Any], Callable[[], object]]:
    """A network's shape, and what proves it, its keys loaded; one proof is verified."""
    one_convolution(kind, kernel, folder)
    circuit = compile_model(folder / "network.onnx", [{"x": x} for x in images], Options(input="private"))
    srs = SRS.development(circuit.srs_k, tau=5)
    pk = circuit.keygen(srs)
    prover = Prover(pk, srs)
    witness = circuit.witness(circuit.read_inputs({"x": images[0]}))
    verify(pk.vk, prover.prove(witness))
    facts = {
        "kernel": kernel,
        "rows": circuit.layout.rows,
        "n": pk.vk.n,
        "lanes": circuit.shape.lanes,
        "weight_columns": circuit.shape.weight_columns,
    }
    return facts, lambda: prover.prove(witness)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
