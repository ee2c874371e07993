"""What a circuit really costs, beside what the cost model predicts: one setup, and proofs in a process of their own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit


def measure(circuit: ModelCircuit, inputs: str | Path, srs: str | Path | None = None) -> dict[str, Any]:
    """The figures of `describe()["predicted"]`, measured, and verify_seconds.

    prove_seconds is the second of two proofs with the keys loaded, peak_bytes that of the proving process, gas what the
    contract's generator accounts for (`verify-evm` measures it on a node).
    """
    from plonnx.solidity import gas_report
    from plonnx.srs_choice import for_setup

    pk = circuit.keygen(for_setup(circuit.srs_k, srs, unsafe=srs is None))  # these keys are for nobody
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "circuit", Path(folder) / "pk"]
        circuit.save(files[0])
        pk.save(files[1])
        command = [
            sys.executable,
            "-m",
            "plonnx.measurement",
            *map(str, files),
            str(inputs),
            *([str(srs)] if srs else []),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise ValueError((ran.stderr.strip().splitlines() or ["the proof to be measured failed"])[-1])
    return {**json.loads(ran.stdout), "gas": gas_report(pk.vk).total}


def main(circuit_path: str, pk_path: str, inputs: str, srs: str | None = None) -> None:
    """Prove twice and print the figures of the second proof."""
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.plonk.keys import ProvingKey
    from plonnx.plonk.prover import Prover
    from plonnx.plonk.verifier import verify
    from plonnx.srs_choice import for_key

    circuit, pk = ModelCircuit.load(circuit_path), ProvingKey.load(pk_path)
    prover = Prover(pk, for_key(pk.vk, srs))
    witness = circuit.witness(circuit.read_inputs(inputs))
    prover.prove(witness)
    start = time.perf_counter()
    proof = prover.prove(witness)
    proved = time.perf_counter()
    verify(pk.vk, proof)
    figures = {
        "prove_seconds": round(proved - start, 3),
        "verify_seconds": round(time.perf_counter() - proved, 4),
        "peak_bytes": _peak(),
        "proof_bytes": len(proof.proof),
    }
    print(json.dumps(figures))


def _peak() -> int:
    """This process's peak memory in bytes; Linux's ru_maxrss would count the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(*sys.argv[1:])
