"""`make bench`: measures plonnx, and ezkl beside it, and writes docs/benchmarks.md.

    make bench                          everything
    make bench ARGS="--no-peer"         plonnx alone
    make bench ARGS="digits_mlp"        some models

The folder of models is PLONNX_MODELS: NAME/network.onnx with NAME/input.json.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from bench import report
from bench.subjects import ROOT, WITH_PEER, Result, ezkl_python, run_ezkl, run_plonnx, subjects


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models; all of them without names")
    parser.add_argument("--no-peer", action="store_true", help="leave ezkl out")
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="where benchmarks.md goes")
    options = parser.parse_args()

    work = ROOT / "build" / "bench"
    chosen = [subject for subject in subjects() if not options.names or subject.name in options.names]
    results: list[Result] = []
    for subject in chosen:
        results.append(run_plonnx(subject, work / subject.name))
        _print(results[-1])
    peer_version = ""
    if not options.no_peer and any(subject.name in WITH_PEER for subject in chosen):
        python = ezkl_python(work / "ezkl")
        code = "from importlib.metadata import version; print(version('ezkl'))"
        peer_version = subprocess.check_output([python, "-c", code], text=True).strip()
        for subject in chosen:
            if subject.name in WITH_PEER:
                results.append(run_ezkl(subject, work / "ezkl-model", python))
                _print(results[-1])
    report.write(results, peer_version, options.into)
    print(f"wrote {options.into / 'benchmarks.md'}")


def _print(result: Result) -> None:
    stages = ", ".join(f"{name} {measured.seconds:.2f} s" for name, measured in result.stages.items())
    print(
        f"{result.subject} ({result.tool}): {stages}, {result.peak_bytes / 1e6:.0f} MB {result.failure}".rstrip(),
        flush=True,
    )


if __name__ == "__main__":
    main()
