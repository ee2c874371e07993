"""What is measured: plonnx on each model, ezkl on some of them, stage by stage in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.measure import Measured, measure

ROOT = Path(__file__).parent.parent
MODELS = Path(os.environ.get("PLONNX_MODELS", ROOT.parent / "shared" / "models"))
NAMES = ("1l_relu", "1l_linear", "linear_regression", "1l_mlp", "2l_relu_fc", "accuracy", "large_mlp")
WITH_PEER = ("1l_relu", "accuracy", "large_mlp")
LIMIT_SECONDS = 600.0
MEMORY_SHARE = 0.7  # of the machine's memory, for a peer
STAGES = ("compile", "setup", "prove", "verify")


@dataclass(frozen=True)
class Subject:
    """A model with an input; `data` is what it is calibrated on."""

    name: str
    model: Path
    input: Path
    data: Path


@dataclass
class Result:
    """What a tool did with a subject: one measurement per stage, up to the first that failed."""

    tool: str
    subject: str
    stages: dict[str, Measured] = field(default_factory=dict)
    warm: dict[str, Any] = field(default_factory=dict)  # seconds in one process: prove, msm, verify

    @property
    def failure(self) -> str:
        """Why the last stage failed, with its name; "" where all went well."""
        return next((f"{name}: {m.failure}" for name, m in self.stages.items() if m.failure), "")

    @property
    def peak_bytes(self) -> int:
        """The largest memory of any stage."""
        return max(m.peak_bytes for m in self.stages.values())

    def bytes(self, name: str) -> int | None:
        """The size of what a stage wrote."""
        for measured in self.stages.values():
            size = measured.record.get("bytes", {}).get(name)
            if size is not None:
                return int(size)
        return None


def subjects() -> Iterator[Subject]:
    """The models at hand: the project's own, then those of PLONNX_MODELS."""
    digits = ROOT / "circuits" / "digits_mlp"
    yield Subject("digits_mlp", digits / "model.onnx", digits / "input.json", digits / "calibration.npz")
    for name in NAMES:
        folder = MODELS / name
        if (folder / "network.onnx").exists():
            yield Subject(name, folder / "network.onnx", folder / "input.json", folder / "input.json")


def run_plonnx(subject: Subject, folder: Path) -> Result:
    """Compile, setup, prove, verify; then proofs in one warm process, with the share of the commitments."""
    folder.mkdir(parents=True, exist_ok=True)
    circuit, pk, vk, proof = (folder / f"model.{suffix}" for suffix in ("circuit", "pk", "vk", "proof"))
    commands: dict[str, list[str | Path]] = {
        "compile": ["compile", subject.model, "--data", subject.data, "-o", circuit],
        "setup": ["setup", circuit],
        "prove": ["prove", circuit, subject.input],
        "verify": ["verify", vk, proof],
    }
    result = Result("plonnx", subject.name)
    for stage in STAGES:
        command = [sys.executable, "-m", "plonnx", *commands[stage], "--json"]
        result.stages[stage] = measure(command, limit_seconds=LIMIT_SECONDS)
        if result.failure:
            return result
    warm = measure([sys.executable, "-m", "bench.msm_share", circuit, pk, subject.input], limit_seconds=LIMIT_SECONDS)
    if warm.failure:
        result.stages["warm"] = warm
    result.warm = warm.record
    return result


def run_ezkl(subject: Subject, folder: Path, python: Path) -> Result:
    """The same stages with ezkl, on the same ONNX file and input."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(subject.model, folder / "network.onnx")
    shutil.copyfile(subject.input, folder / "input.json")
    limit = int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    result = Result("ezkl", subject.name)
    for stage in STAGES:
        command = [python, Path(__file__).with_name("ezkl_job.py"), stage, folder]
        measured = measure(command, limit_seconds=LIMIT_SECONDS, limit_bytes=limit)
        inner = measured.record.get("seconds", measured.seconds)  # without the SRS
        result.stages[stage] = replace(measured, seconds=inner)
        if measured.failure:
            break
    shutil.rmtree(folder, ignore_errors=True)  # its keys take gigabytes
    return result


def ezkl_python(folder: Path) -> Path:
    """The Python of an environment that has ezkl, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "ezkl"], check=True)
    return python
