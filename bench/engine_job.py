"""Proofs in one process, and the MSMs of one of them, each timed alone: `engine_job CIRCUIT PK INPUT [proofs]`.

Prints {"first", "prove", "verify", "msm", "msm_blst", "msm_count", "predicted", "gas"}. `first` is the process's first
proof, the other times are the best of several; `msm` and `msm_blst` are sums over the proof's MSMs on the very points
and scalars, plonnx's kernel and blst's Pippenger. blst takes unsigned scalars: of integers it gets the magnitudes, at
their bit width; above LARGE rows it is left out. With `proofs` no MSM is timed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from plonnx import ProvingKey, _native
from plonnx.kzg import srs as srs_module
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_key

LARGE = 1 << 16
LONG = 2.0  # seconds that one run may take of which several are made
Msm = tuple[_native.Points, Any]  # the scalars are a Vec, one with its fractions, or an array of integers


def main(circuit_path: str, pk_path: str, input_path: str, what: str = "") -> None:
    """Measure and print."""
    circuit, pk = ModelCircuit.load(circuit_path), ProvingKey.load(pk_path)
    srs = for_key(pk.vk)
    prover = Prover(pk, srs)
    witness = circuit.witness(circuit.read_inputs(input_path))
    start = time.perf_counter()
    proof = prover.prove(witness)
    record = {
        "first": time.perf_counter() - start,
        "prove": best(lambda: prover.prove(witness)),
        "verify": best(lambda: verify(pk.vk, proof)),
        "predicted": circuit.describe()["predicted"],
        "shape": {name: int(value) for name, value in vars(circuit.shape).items()},
        "rows": pk.vk.n,
        "units": circuit.builder.unit_count,
        "proof_bytes": len(proof.proof),
        "gas": _gas(pk.vk),
    }
    if what != "proofs":
        msms = recorded(lambda: prover.prove(witness))
        record["msm_count"] = len(msms)
        record["msm"] = sum(best(partial(ours, points, scalars), 0.03) for points, scalars in msms)
        if pk.vk.n <= LARGE:
            record["msm_blst"] = sum(best(partial(_native.blst_msm, *for_blst(msm)), 0.03) for msm in msms)
    print(json.dumps(record))


def best(work: Callable[[], object], seconds: float = 0.3) -> float:
    """The shortest of at least three runs, or of two long ones."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < (2 if sum(times) > LONG else 3) or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def recorded(work: Callable[[], object]) -> list[Msm]:
    """The MSMs that the SRS is asked for while `work` runs."""
    msms: list[Msm] = []
    sums_of_products = srs_module.sums_of_products

    def record(terms: Sequence[Msm]) -> list[bytes]:
        for points, scalars in terms:
            column, *fractions = scalars if isinstance(scalars, tuple) else (scalars,)
            if len(column):
                held = column.copy()
                msms.append((points.slice(0, len(held)), (held, *fractions) if fractions else held))
        return sums_of_products(terms)

    srs_module.sums_of_products = record
    try:
        work()
    finally:
        srs_module.sums_of_products = sums_of_products
    return msms


def ours(points: _native.Points, scalars: Any) -> bytes:
    """The kernel that the prover uses for such scalars."""
    if isinstance(scalars, tuple):
        return _native.msm_many([points], [scalars])[0]
    return points.msm_ints(scalars) if isinstance(scalars, np.ndarray) else points.msm(scalars)


def for_blst(msm: Msm) -> tuple[_native.Points, _native.Vec, int]:
    """The same scalars as blst takes them."""
    points, scalars = msm
    if isinstance(scalars, tuple):
        scalars = scalars[0]
    if not isinstance(scalars, np.ndarray):
        return points, scalars, 255
    magnitudes = np.abs(scalars.astype(np.int64))
    return points, _native.Vec.from_ints(magnitudes), max(1, int(magnitudes.max()).bit_length())


def _gas(vk: Any) -> int | None:
    try:
        from plonnx.solidity import gas_report

        return int(gas_report(vk).total)
    except Exception:  # what the contract's generator does not carry has no gas
        return None


if __name__ == "__main__":
    main(*sys.argv[1:5])
