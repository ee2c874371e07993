"""docs/benchmarks.md and its plot, from the results."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from bench.subjects import LIMIT_SECONDS, MEMORY_SHARE, STAGES, Result

MEGABYTE = 1e6


def write(results: Sequence[Result], peer_version: str, folder: Path) -> None:
    """Write the page and the plot into `folder`."""
    ours = [result for result in results if result.tool == "plonnx"]
    peers = [result for result in results if result.tool == "ezkl"]
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {date.today().isoformat()}: plonnx {version('plonnx')}, {os.cpu_count()} cores"
        f" ({platform.machine()}), Python {platform.python_version()}. Do not edit.",
        "",
        "Each stage is a command in a process of its own: seconds from its start to its end, reading and writing files"
        " among them. *Warm* figures are the best of three proofs (five verifications) in one process; *MSM* is the"
        " part of such a proof that commitments take. Memory is the largest resident set of any stage.",
        "",
        *_table(OURS, ours),
        "",
        *_total(ours),
    ]
    if peers:
        wanted = {result.subject for result in peers}
        pairs = [r for p in peers for r in results if r.subject == p.subject]
        lines += [
            f"## Beside ezkl {peer_version}",
            "",
            "The same ONNX file and input on the same machine. ezkl has its default settings, calibrated for resources;"
            " its seconds are those of its calls alone, without the start of the process and the making of the SRS,"
            f" which plonnx's contain. A stage is stopped after {LIMIT_SECONDS:.0f} s or at {MEMORY_SHARE:.0%} of the"
            " machine's memory.",
            "",
            *_table(BESIDE, pairs),
            "",
            "![proving time and memory](benchmarks.svg)",
            "",
        ]
        _plot([r for r in results if r.subject in wanted], folder / "benchmarks.svg")
    (folder / "benchmarks.md").write_text("\n".join(lines))


Cell = Callable[[Result], str]


def _seconds(stage: str) -> Cell:
    return lambda r: f"{r.stages[stage].seconds:.2f}" if stage in r.stages and not r.stages[stage].failure else "-"


def _size(name: str) -> Cell:
    def cell(result: Result) -> str:
        size = result.bytes(name)
        return "-" if size is None else f"{size:,}"

    return cell


def _warm(name: str, scale: float, digits: int) -> Cell:
    return lambda r: f"{r.warm[name] * scale:.{digits}f}" if name in r.warm else "-"


OURS: dict[str, Cell] = {
    "model": lambda r: r.subject,
    "rows": lambda r: str(r.stages["setup"].record.get("rows", "-")) if "setup" in r.stages else "-",
    **{f"{stage} s": _seconds(stage) for stage in STAGES},
    "warm prove s": _warm("prove", 1, 3),
    "warm verify ms": _warm("verify", 1000, 1),
    "MSM": lambda r: f"{r.warm['msm'] / r.warm['prove']:.0%}" if r.warm else "-",
    "memory MB": lambda r: f"{r.peak_bytes / MEGABYTE:.0f}",
    "pk bytes": _size("pk"),
    "vk bytes": _size("vk"),
    "proof file bytes": _size("proof"),
    "": lambda r: r.failure,
}
BESIDE: dict[str, Cell] = {
    "model": lambda r: r.subject,
    "tool": lambda r: r.tool,
    **{f"{stage} s": _seconds(stage) for stage in STAGES},
    "memory MB": lambda r: f"{r.peak_bytes / MEGABYTE:.0f}",
    "pk bytes": _size("pk"),
    "proof file bytes": _size("proof"),
    "": lambda r: r.failure,
}


def _table(cells: dict[str, Cell], results: Sequence[Result]) -> list[str]:
    body = [[cell(result) for cell in cells.values()] for result in results]
    keep = [i for i, name in enumerate(cells) if name or any(row[i] for row in body)]
    rows = [list(cells), *body]
    text = ["| " + " | ".join(row[i] for i in keep) + " |" for row in rows]
    return [text[0], "|" + "---|" * len(keep), *text[1:]]


def _total(results: Sequence[Result]) -> list[str]:
    digits = next((r for r in results if r.subject == "digits_mlp" and not r.failure), None)
    if digits is None:
        return []
    total = sum(digits.stages[stage].seconds for stage in STAGES)
    return [f"digits_mlp, all four commands: {total:.1f} s.", ""]


def _plot(results: Sequence[Result], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "plonnx"
    from matplotlib import pyplot

    names = list(dict.fromkeys(result.subject for result in results))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for axis, title, value in (
        (axes[0], "prove, seconds", lambda r: r.stages["prove"].seconds),
        (axes[1], "peak memory, MB", lambda r: r.peak_bytes / MEGABYTE),
    ):
        for offset, tool in ((-0.2, "plonnx"), (0.2, "ezkl")):
            done = [r for r in results if r.tool == tool and not r.failure]
            places = [names.index(r.subject) + offset for r in done]
            bars = axis.bar(places, [value(r) for r in done], 0.4, label=tool)
            axis.bar_label(bars, fmt="%.3g", fontsize=8)
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
