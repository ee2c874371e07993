"""The models, and one model through plonnx or a peer: stage by stage, each a command in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.environments import Peer
from bench.families import cells, forest, lstm, product
from bench.measure import ROOT, Measured, machine_memory, measure
from bench.networks import CIFAR, DENSE, HIDDEN, WIDE, conv_network, relu_network
from bench.vision import NETWORKS
from plonnx.srs_choice import SHIPPED_POWERS

MODELS = Path(os.environ.get("PLONNX_MODELS", ROOT.parent / "shared" / "models"))
SHARED = ("1l_relu", "accuracy", "large_mlp", "4l_relu_conv_fc", "lenet_5")  # from MODELS, where they are there
PATIENT = ("lenet_5",)  # of them, what takes ezkl minutes
BOTH_PATHS = ("lenet_5",)  # and what is proved without AVX-512, too
VISION = ("vgg16", "resnet18", "mobilenet_v2")
IN_JSTPROVE = ("4l_relu_conv_fc",)  # it has no AveragePool, and wants attributes that digits_cnn leaves at defaults
STAGES = ("compile", "setup", "prove", "verify")
JSTPROVE_STAGES = ("compile", "prove", "verify")
LIMIT_SECONDS = 180.0  # of a stage of plonnx
EVM_SECONDS = 90.0


@dataclass(frozen=True)
class Subject:
    """A model with an input; `data` is what it is calibrated on, `flags` what else `compile` gets, `peers` who else
    proves it, those of a `large` one only with PEERS=all. `thorough`: the MockProver checks it, and it is proved
    without AVX-512, too."""

    name: str
    model: Path
    input: Path
    data: Path
    flags: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    large: bool = False
    thorough: bool = False

    def __post_init__(self) -> None:
        for path in (self.model, self.input, self.data):
            if not path.exists():
                raise FileNotFoundError(path)


def subjects(work: Path) -> Iterator[Subject]:
    """The project's own models, those of PLONNX_MODELS that are there, and the generated networks."""
    for name in ("digits_mlp", "digits_cnn"):
        digits = ROOT / "circuits" / name
        yield Subject(name, digits / "model.onnx", digits / "input.json", digits / "calibration.npz")
    for name in SHARED:
        folder = MODELS / name
        if (folder / "network.onnx").exists():
            files = (folder / "network.onnx", folder / "input.json", folder / "input.json")
            known = ("ezkl", "jstprove") if name in IN_JSTPROVE else ("ezkl",)
            yield Subject(name, *files, peers=known, large=name in PATIENT, thorough=name in BOTH_PATHS)
    made: Sequence[tuple[str, Callable[[Path], object], tuple[str, ...], tuple[str, ...]]] = (
        ("forest", forest, (), ("ezkl",)),
        ("lstm", lstm, (), ("ezkl",)),
        ("product", product, (), ("ezkl",)),
        ("cells", cells, (), ()),
        ("cifar_cnn", partial(conv_network, CIFAR), (), ("jstprove",)),
        ("cifar_wide", partial(conv_network, WIDE), (), ("jstprove",)),
        ("dense_4m", partial(relu_network, DENSE), (), ("ezkl",)),
        ("hidden_mlp", partial(relu_network, HIDDEN), ("--model", "private"), ("ezkl",)),
    )
    for name, make, flags, peers in made:
        folder = work / "networks" / name
        make(folder)
        files = (folder / "network.onnx", folder / "input.json", folder / "calibration.npz")
        yield Subject(name, *files, flags=flags, peers=peers, large=True)


def vision(work: Path) -> Iterator[Subject]:
    """The networks that papers compare on."""
    for name in VISION:
        folder = work / "networks" / name
        NETWORKS[name](folder)
        files = (folder / "network.onnx", folder / "input.json", folder / "calibration.npz")
        yield Subject(name, *files, thorough=True)


def limit_bytes(share: float = 0.8) -> int:
    """The memory that one command may take."""
    return int(share * machine_memory())


def plonnx(*arguments: str | Path, seconds: float = LIMIT_SECONDS) -> Measured:
    """One command of plonnx."""
    command = [sys.executable, "-m", "plonnx", *arguments, "--json"]
    return measure(command, limit_seconds=seconds, limit_bytes=limit_bytes())


def module(
    name: str, *arguments: str | Path, seconds: float = LIMIT_SECONDS, environment: Mapping[str, str] | None = None
) -> Measured:
    """One module of bench, in a process of its own."""
    command = [sys.executable, "-m", name, *arguments]
    return measure(command, limit_seconds=seconds, limit_bytes=limit_bytes(), environment=environment)


def run_plonnx(
    subject: Subject, folder: Path, *flags: str, limit_seconds: float = LIMIT_SECONDS, chain: bool = True
) -> dict[str, Any]:
    """Compile, setup, prove, verify, on a node (chain); then proofs in one warm process with their MSMs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {suffix: folder / f"model.{suffix}" for suffix in ("circuit", "pk", "vk", "proof", "registration")}
    note = ""
    chosen = [*subject.flags, *flags]
    compiling: list[str | Path] = ["compile", subject.model, "--data", subject.data, "-o", files["circuit"]]
    compiled = plonnx(*compiling, *chosen, seconds=limit_seconds)
    if compiled.failure and "--model" in chosen and "No such option" in compiled.failure:
        note = "this build has no --model private: measured with public weights"
        chosen = [*flags]
        compiled = plonnx(*compiling, *chosen)
    stages = {"compile": compiled}
    # No run of the benchmarks downloads a setup.
    unsafe = ["--unsafe-srs"] if compiled.record.get("powers", 0) > SHIPPED_POWERS else []
    commands: dict[str, list[str | Path]] = {
        **({"mock": ["mock", files["circuit"], subject.input]} if subject.thorough else {}),
        "setup": ["setup", files["circuit"], *unsafe],
        "prove": ["prove", files["circuit"], subject.input],
        "verify": ["verify", files["vk"], files["proof"]],
    }
    for stage, command in commands.items():
        if not _failure(stages):
            stages[stage] = plonnx(*command, seconds=limit_seconds)
    result: dict[str, Any] = {"tool": "plonnx", "subject": subject.name, "note": note, "flags": chosen, "warm": {}}
    result["gas"], result["evm_note"] = None, ""
    if not _failure(stages):
        warm = module("bench.engine_job", files["circuit"], files["pk"], subject.input, seconds=limit_seconds)
        result["warm"], result["warm_failure"] = warm.record, warm.failure
        if subject.thorough:
            job = "bench.engine_job", files["circuit"], files["pk"], subject.input, "proofs"
            portable = module(*job, seconds=limit_seconds, environment={"PLONNX_PORTABLE": "1"})
            result["portable"], result["portable_failure"] = portable.record, portable.failure
    if chain and not _failure(stages):
        evm = plonnx("verify-evm", files["vk"], files["proof"], seconds=EVM_SECONDS)
        if evm.failure:
            result["evm_note"] = evm.failure
        else:
            result["gas"] = evm.record["gas"]["used"]
            result["contract_bytes"] = evm.record["bytes"]["contract"]
    result["bytes"] = {name: path.stat().st_size for name, path in files.items() if path.exists()}
    return result | _outcome(stages)


def run_ezkl(subject: Subject, folder: Path, peer: Peer, seconds: float) -> dict[str, Any]:
    """The same stages with ezkl, on the same ONNX file and input, within `seconds` in all."""
    return _run_peer("ezkl", STAGES, subject, folder, peer, seconds)[0]


def run_jstprove(subject: Subject, folder: Path, peer: Peer, seconds: float) -> dict[str, Any]:
    """The same with JSTprove, which has no setup; memory is that of all its processes together."""
    found, stages = _run_peer("jstprove", JSTPROVE_STAGES, subject, folder, peer, seconds, tree=True)
    return found | {"native": {stage: m.record.get("native") for stage, m in stages.items()}}


def _run_peer(
    tool: str,
    names: Sequence[str],
    subject: Subject,
    folder: Path,
    peer: Peer,
    seconds: float,
    tree: bool = False,
) -> tuple[dict[str, Any], dict[str, Measured]]:
    """The stages of bench/TOOL_job.py until one fails, and the result that they make."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(subject.model, folder / "network.onnx")
    shutil.copyfile(subject.input, folder / "input.json")
    stages: dict[str, Measured] = {}
    left = seconds
    try:
        for stage in names:
            if _failure(stages):
                break
            job: list[str | Path] = [peer.python, ROOT / "bench" / f"{tool}_job.py", stage, folder]
            measured = measure(job, limit_seconds=max(1.0, left), limit_bytes=limit_bytes(), tree=tree)
            left -= measured.seconds
            inner = measured.record.get("seconds", measured.seconds)  # without the SRS
            stages[stage] = replace(measured, seconds=inner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # its keys take gigabytes
    sizes = {n: size for m in stages.values() for n, size in m.record.get("bytes", {}).items()}
    found = {"tool": tool, "subject": subject.name, "limit": seconds, "bytes": sizes}
    return found | _outcome(stages), stages


def _outcome(stages: dict[str, Measured]) -> dict[str, Any]:
    kept = {name: {k: v for k, v in asdict(m).items() if k != "record"} for name, m in stages.items()}
    return {"stages": kept, "failure": _failure(stages)}


def _failure(stages: dict[str, Measured]) -> str:
    return next((f"{name}: {m.failure}" for name, m in stages.items() if m.failure), "")
