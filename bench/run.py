"""`make bench`: measures plonnx, and its peers beside it, and writes docs/benchmarks.md.

    make bench                  everything that fits some 20 minutes
    make bench PEERS=all        the larger networks through ezkl too, convolutional ones through JSTprove, and up to 40
                                minutes for each model
    make bench PEERS=none       plonnx alone
    make bench LARGE=1          MSMs of 2^20 points too, and GPT-2 small whole
    make bench ARGS="--parts models,optimize --into /tmp"

Every command has a limit of time and memory; what fails is said in the page. The page is written anew after every part,
so that an interrupted run leaves what it measured. The models are those of PLONNX_MODELS: NAME/network.onnx with
NAME/input.json.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import large, report
from bench.environments import Peer, System, install
from bench.measure import ROOT, machine_memory
from bench.models import MODELS, SHARED, Subject, module, run_ezkl, run_jstprove, run_plonnx, subjects, vision
from bench.networks import KINDS

PARTS = (
    "models",
    "vision",
    "optimize",
    "transformers",
    "scaling",
    "kernel_area",
    "doubling",
    "kernels",
    "peers",
)
OPTIMIZED = ("digits_mlp", "1l_relu", "large_mlp")
DOUBLINGS = range(10, 19)
# From 2.2 on it has other commands, and needs Python 3.12. MPI starts its prover, `time` wraps it.
JSTPROVE = "==2.1.0"
JSTPROVE_SYSTEM = System(("libmpi.so.40",), ("orted", "/usr/bin/time"), "libopenmpi3, openmpi-bin and time")
KERNEL_SECONDS = 120.0  # of each size
PEER_SECONDS, PATIENT_SECONDS = 900.0, 2400.0  # for all stages of a model; with PEERS=all
DEFAULT_MINUTES = 20.0


class Bench:
    """One run: what it measures, by part, and the page."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = ROOT / "build" / "bench"
        self.work.mkdir(parents=True, exist_ok=True)
        self.results: dict[str, Any] = {"machine": machine(), "models": [], "peers": [], "failures": {}}
        self.start = time.perf_counter()
        self._subjects: list[Subject] | None = None

    def run(self) -> None:
        """Every part; a part that breaks is noted."""
        for name in PARTS:
            if name not in self.options.parts:
                continue
            say(f"== {name} ({self.seconds:.0f} s)")
            try:
                PART_OF[name](self)
            except Exception as error:
                traceback.print_exc()
                self.results["failures"][name] = f"{type(error).__name__}: {error}"
            self.write()
        say(f"{self.seconds:.0f} s in all; wrote {self.options.into / 'benchmarks.md'}")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.start

    def write(self) -> None:
        """The page, of what there is so far."""
        self.results["seconds"] = self.seconds
        report.write(self.results, self.options.into)

    @property
    def subjects(self) -> list[Subject]:
        """The models at hand, those that were asked for."""
        if self._subjects is None:
            self._subjects = [s for s in subjects(self.work) if not self.options.names or s.name in self.options.names]
        return self._subjects

    def models(self) -> None:
        """plonnx on every model."""
        self.results["absent"] = [name for name in SHARED if not (MODELS / name / "network.onnx").exists()]
        for subject in self.subjects:
            result = run_plonnx(subject, self.work / "models" / subject.name)
            self.results["models"].append(result)
            tell(result)
            self.write()

    def vision(self) -> None:
        """plonnx on the networks that papers compare on."""
        rows = self.results["vision"] = []
        for subject in vision(self.work):
            if not self.options.names or subject.name in self.options.names:
                rows.append(run_plonnx(subject, self.work / "vision"))
                tell(rows[-1])
                self.write()

    def optimize(self) -> None:
        """The aims of the cost model."""
        rows = self.results["optimize"] = []
        for subject in self.subjects:
            for aim in ("prover", "balanced", "gas") if subject.name in OPTIMIZED else ():
                result = run_plonnx(subject, self.work / "optimize", "--optimize", aim)
                rows.append(result | {"aim": aim})
                tell(result)

    def transformers(self) -> None:
        """Those of published shapes."""
        self._through(large.subjects(self.work, self.options.large), "transformers")

    def scaling(self) -> None:
        """One family by its tokens and by its layers."""
        for tokens, layers, subject in large.family(self.work):
            self._through([subject], "scaling", tokens=tokens, layers=layers)

    def _through(self, subjects: Iterable[Subject], part: str, **facts: Any) -> None:
        """Models through plonnx, off the chain, with more time than others; what they took goes to a part's results."""
        for subject in subjects:
            folder = self.work / part / subject.name
            result = run_plonnx(subject, folder, limit_seconds=large.LIMIT_SECONDS, chain=False)
            self.results.setdefault(part, []).append(result | facts)
            shutil.rmtree(folder)  # keys of gigabytes
            tell(result)
            self.write()

    def kernel_area(self) -> None:
        """Convolutions of one image by small and large kernels."""
        rows = self.results["kernel_area"] = []
        for kind in KINDS:
            measured = module("bench.kernel_area_job", kind, self.work / "kernel-area")
            rows.append({"kind": kind, "kernels": [], **measured.record, "failure": measured.failure})
            times = ", ".join(f"{r['kernel']}x{r['kernel']} {r['prove']:.3f} s" for r in rows[-1]["kernels"])
            say(f"{kind}: {times}{measured.failure}")

    def doubling(self) -> None:
        """One family of circuits from 2^10 to 2^18 rows."""
        rows = self.results["doubling"] = []
        folder = self.work / "doubling"
        folder.mkdir(exist_ok=True)
        for k in DOUBLINGS:
            measured = module("bench.doubling_job", str(k), folder)
            row = {"k": k, **measured.record, "peak_bytes": measured.peak_bytes, "failure": measured.failure}
            rows.append(row)
            say(f"2^{k}: {row.get('prove', 0):.3f} s {measured.failure}")

    def kernels(self) -> None:
        """The kernels beside blst and arkworks."""
        common = ["--json"]
        if self.options.peers != "none":
            peer = install("py-arkworks-bls12381", self.work / "arkworks")
            self.results["arkworks"] = {"version": peer.version, "failure": peer.failure}
            if not peer.failure:
                common += ["--arkworks", str(peer.python)]
        found = self.results["kernels"] = {"threads": os.cpu_count(), "msm": [], "ntt": [], "points": []}
        sizes = [*range(10, 20, 2), *([20] if self.options.large else [])]
        for k in sizes:
            arguments = [*common, "--smallest", str(k), "--largest", str(k), "--ntt-largest", str(min(k, 18))]
            if k > sizes[0]:
                arguments.append("--no-points")
            measured = module("bench.kernels", *arguments, seconds=KERNEL_SECONDS * (4 if k == 20 else 1))
            say(f"2^{k}: {measured.seconds:.0f} s {measured.failure}")
            if measured.failure:
                self.results["failures"][f"kernels, 2^{k}"] = measured.failure
                continue
            found["threads"] = measured.record["threads"]
            for name in ("msm", "ntt", "points"):
                found[name] += measured.record[name]

    def peers(self) -> None:
        """ezkl, and JSTprove, on some of the models, the smallest first."""
        if self.options.peers == "none":
            return
        peer = install("ezkl", self.work / "ezkl")
        self.beside("ezkl", peer, run_ezkl)
        if self.options.peers == "all":
            peer = install("jstprove", self.work / "jstprove", JSTPROVE, JSTPROVE_SYSTEM)
            self.beside("jstprove", peer, run_jstprove)

    def beside(self, name: str, peer: Peer, measured: Callable[[Subject, Path, Peer, float], Any]) -> None:
        """One peer on the models that it shares."""
        self.results[name] = {"version": peer.version, "failure": peer.failure}
        patient = self.options.peers == "all"
        for subject in self.subjects if not peer.failure else ():
            if name not in subject.peers:
                continue
            left = self.options.minutes * 60 - self.seconds
            seconds = PATIENT_SECONDS if patient else min(PEER_SECONDS, left)
            note = "" if seconds >= 20 else f"not tried: the run's {self.options.minutes:.0f} minutes were over"
            if (subject.large and not patient) or (self.options.beside and subject.name not in self.options.beside):
                note = "not tried in this run: make bench PEERS=all"
            if note:
                result = {"tool": name, "subject": subject.name, "stages": {}, "failure": note}
            else:
                result = measured(subject, self.work / f"{name}-model", peer, seconds)
                tell(result)
            self.results["peers"].append(result)
            self.write()


PART_OF: dict[str, Callable[[Bench], None]] = {name: getattr(Bench, name) for name in PARTS}


def machine() -> dict[str, Any]:
    """What is measured on, and how busy it is."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in (Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ())
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory": machine_memory(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "plonnx": installed("plonnx"),
        "date": datetime.now().astimezone().isoformat(" ", "minutes"),
        "load": os.getloadavg()[0],
    }


def installed(package: str) -> str:
    """A package's version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed: from the source folder)"


def tell(result: dict[str, Any]) -> None:
    """One line on stdout."""
    stages = ", ".join(f"{name} {m['seconds']:.2f} s" for name, m in result["stages"].items())
    peak = max((m["peak_bytes"] for m in result["stages"].values()), default=0)
    flags = " ".join(result.get("flags", ()))
    say(f"{result['subject']} ({' '.join(filter(None, (result['tool'], flags)))}): {stages}, {peak / 1e6:.0f} MB")
    for key in ("failure", "warm_failure", "portable_failure", "evm_note", "note"):
        if result.get(key):
            say(f"    {result[key]}")


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def write_bytecode() -> None:
    """Compile plonnx's modules, as pip does when it installs them: where Python is told to write no bytecode
    (PYTHONDONTWRITEBYTECODE), each command would compile them anew, which takes longer than a small proof."""
    for link in (ROOT / "plonnx").iterdir():
        if link.is_dir():
            compileall.compile_dir(link.resolve(), quiet=1)
    compileall.compile_dir(ROOT / "plonnx", quiet=1)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models; all of them without names")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--peers", choices=("default", "all", "none"), default="default")
    parser.add_argument("--beside", type=lambda text: text.split(","), help="the models that peers get; all without it")
    parser.add_argument("--large", action="store_true", help="MSMs of 2^20 points, GPT-2 whole")
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="after which no peer is started")
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="where benchmarks.md goes")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options.into.mkdir(parents=True, exist_ok=True)
    write_bytecode()
    Bench(options).run()


if __name__ == "__main__":
    main()
