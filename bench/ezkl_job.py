"""One model through ezkl, run by its own Python: `ezkl_job.py STAGE FOLDER`; FOLDER holds network.onnx and input.json.

Stages in order: compile, setup, prove, verify. Each prints {"seconds": .., "bytes": {..}}. The SRS is generated outside
of the clock, as plonnx's is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ezkl


def main(stage: str, folder: Path) -> None:
    """Run one stage."""
    files = {
        name: str(folder / name)
        for name in (
            "network.onnx",
            "input.json",
            "settings.json",
            "model.ezkl",
            "kzg.srs",
            "witness.json",
            "pk",
            "vk",
            "proof",
        )
    }
    outside, inside, made = STAGES[stage]
    for step in outside:
        step(files)
    start = time.perf_counter()
    for step in inside:
        step(files)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "bytes": {name: Path(files[name]).stat().st_size for name in made}}))


Step = Callable[[dict[str, str]], object]


def _settings(f: dict[str, str]) -> None:
    ezkl.gen_settings(f["network.onnx"], f["settings.json"])
    ezkl.calibrate_settings(f["input.json"], f["network.onnx"], f["settings.json"], "resources")
    ezkl.compile_circuit(f["network.onnx"], f["model.ezkl"], f["settings.json"])


def _srs(f: dict[str, str]) -> None:
    logrows = json.loads(Path(f["settings.json"]).read_text())["run_args"]["logrows"]
    if not Path(f["kzg.srs"]).exists():
        ezkl.gen_srs(f["kzg.srs"], logrows)


def _keys(f: dict[str, str]) -> None:
    ezkl.setup(f["model.ezkl"], f["vk"], f["pk"], f["kzg.srs"])


def _prove(f: dict[str, str]) -> None:
    ezkl.gen_witness(f["input.json"], f["model.ezkl"], f["witness.json"])
    ezkl.prove(f["witness.json"], f["model.ezkl"], f["pk"], f["proof"], f["kzg.srs"])


def _verify(f: dict[str, str]) -> None:
    if not ezkl.verify(f["proof"], f["settings.json"], f["vk"], f["kzg.srs"]):
        raise SystemExit("ezkl refuses its proof")


STAGES: dict[str, tuple[list[Step], list[Step], list[str]]] = {
    "compile": ([], [_settings], ["model.ezkl"]),
    "setup": ([_srs], [_keys], ["pk", "vk"]),
    "prove": ([], [_prove], ["proof"]),
    "verify": ([], [_verify], []),
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
