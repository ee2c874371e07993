"""One model through JSTprove, run by its own Python: `jstprove_job.py STAGE FOLDER`.

FOLDER holds network.onnx and input.json. Stages in order: compile, prove (with the witness), verify; there is no setup.
Each runs what `jst` runs, with its modules loaded outside of the clock, and prints {"seconds": .., "native": ..,
"bytes": {..}}: `native` is the time of the stage's last Rust program alone, as JSTprove reports it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import sys
import time
from pathlib import Path

CIRCUIT = ["-c", "circuit.txt"]
WITNESS = ["-w", "witness.bin"]
INPUT = ["-i", "only_input.json", "-o", "output.json"]
PROOF = ["-p", "proof.bin"]
STAGES: dict[str, list[list[str]]] = {
    "compile": [["compile", "-m", "network.onnx", *CIRCUIT]],
    "prove": [["witness", *CIRCUIT, *INPUT, *WITNESS], ["prove", *CIRCUIT, *WITNESS, *PROOF]],
    "verify": [["verify", *CIRCUIT, *INPUT, *WITNESS, *PROOF]],
}
MADE = {"compile": {"circuit": "circuit.txt"}, "prove": {"proof": "proof.bin"}, "verify": {}}


def main(stage: str, folder: Path) -> None:
    """Run one stage."""
    os.chdir(folder)
    values = json.loads(Path("input.json").read_text())["input_data"]
    Path("only_input.json").write_text(json.dumps({"input": values[0]}))  # it takes no expected outputs beside them
    cli = importlib.import_module("python.frontend.cli")
    importlib.import_module("python.core.circuit_models.generic_onnx")
    said = io.StringIO()
    start = time.perf_counter()
    for command in STAGES[stage]:
        with contextlib.redirect_stdout(said):
            code = cli.main(["--no-banner", *command])
        if code:
            raise SystemExit(code)  # the reason is on stderr
    seconds = time.perf_counter() - start
    native = [float(found) for found in re.findall(r"Rust time taken: ([\d.]+)", said.getvalue())]
    sizes = {name: Path(file).stat().st_size for name, file in MADE[stage].items()}
    print(json.dumps({"seconds": seconds, "native": native[-1], "bytes": sizes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
