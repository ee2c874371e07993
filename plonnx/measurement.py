"""What a circuit really costs, beside what the cost model predicts: one setup and one proof, measured."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify
from plonnx.srs_choice import for_setup

if TYPE_CHECKING:
    from plonnx.compiler.circuit import ModelCircuit


def measure(circuit: ModelCircuit, inputs: str | Path, srs: str | Path | None = None) -> dict[str, Any]:
    """The figures of `describe()["predicted"]`, measured, and verify_seconds.

    prove_seconds is the second of two proofs with the keys loaded, peak_bytes that of this process with the setup,
    gas what the contract's generator accounts for (`verify-evm` measures it on a node).
    """
    from plonnx.solidity import gas_report

    chosen = for_setup(circuit.srs_k, srs)
    pk = circuit.keygen(chosen)
    prover = Prover(pk, chosen)
    witness = circuit.witness(circuit.read_inputs(inputs))
    prover.prove(witness)
    start = time.perf_counter()
    proof = prover.prove(witness)
    proved = time.perf_counter()
    verify(pk.vk, proof)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "prove_seconds": round(proved - start, 3),
        "verify_seconds": round(time.perf_counter() - proved, 4),
        "peak_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "proof_bytes": len(proof.proof),
        "gas": gas_report(pk.vk).total,
    }
