"""One member of a circuit family: y = relu(x) . w that fills 2^k rows, `doubling_job K FOLDER`.

x is private, y public; one lane, one weight column, so that nothing but n changes. Prints {"prove", "verify", ..}.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.engine_job import best
from bench.networks import gated_sum
from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.kzg.srs import SRS
from plonnx.layout.shape import BLINDING_ROWS
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify


def main(k: int, folder: Path) -> None:
    """Measure and print."""
    path = folder / f"family-{k}.onnx"
    x = gated_sum((1 << k) - 2 * BLINDING_ROWS, path)
    circuit = compile_model(path, [{"x": x}], Options(input="private", table_bits=9, optimize="prover"))
    shape = replace(circuit.shape, k=k, lanes=1, weight_columns=1, packing=1)
    circuit = replace(circuit, shape=shape)
    start = time.perf_counter()
    srs = SRS.development(circuit.srs_k, tau=5)
    pk = circuit.keygen(srs)
    setup = time.perf_counter() - start
    prover = Prover(pk, srs)
    witness = circuit.witness(circuit.read_inputs({"x": x}))
    proof = prover.prove(witness)
    seconds = best(lambda: prover.prove(witness), 1.0)
    verify(pk.vk, proof)
    used = circuit.layout.rows
    print(json.dumps({"k": k, "rows": used, "group": shape.group, "setup": setup, "prove": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
