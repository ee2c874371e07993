"""Proofs in one warm process and the part of their time that commitments take: `msm_share CIRCUIT PK INPUT`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from plonnx import ProvingKey
from plonnx.compiler.circuit import ModelCircuit
from plonnx.kzg.srs import SRS
from plonnx.plonk.prover import prove
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_key


def main(circuit_path: str, pk_path: str, input_path: str) -> None:
    """Print {"prove": .., "msm": .., "verify": ..} in seconds: the best of three, after a first run."""
    spent = _time_commitments()
    circuit, pk = ModelCircuit.load(circuit_path), ProvingKey.load(pk_path)
    srs = for_key(pk.vk)
    witness = circuit.witness(circuit.read_inputs(input_path))
    proof = prove(pk, witness, srs)
    runs = []
    for _ in range(3):
        spent[0] = 0.0
        seconds = _clock(lambda: prove(pk, witness, srs))
        runs.append((seconds, spent[0]))
    seconds, msm = min(runs)
    checks = [_clock(lambda: verify(pk.vk, proof)) for _ in range(5)]
    print(json.dumps({"prove": seconds, "msm": msm, "verify": min(checks)}))


def _time_commitments() -> list[float]:
    spent = [0.0]

    def timed(method: Callable[..., bytes]) -> Callable[..., bytes]:
        def run(*arguments: Any, **named: Any) -> bytes:
            start = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                spent[0] += time.perf_counter() - start

        return run

    for name in ("commit", "commit_values", "commit_ints"):
        setattr(SRS, name, timed(getattr(SRS, name)))
    return spent


def _clock(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:4])
