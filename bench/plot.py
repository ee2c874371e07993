"""The page's plot."""

from __future__ import annotations

from pathlib import Path

from bench.table import MEGABYTE, Result


def plot(results: Result, path: Path) -> bool:
    """Prove time and memory beside the peers, and prove time by n."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "plonnx"
    from matplotlib import pyplot

    every = [r for r in (*results["models"], *results["peers"]) if r["stages"] and not r["failure"]]
    names = list(dict.fromkeys(r["subject"] for r in every))
    steps = [(1 << r["k"], r["prove"]) for r in results.get("doubling", ()) if "prove" in r]
    if not names and not steps:
        return False
    tools = [tool for tool in ("plonnx", "ezkl", "jstprove") if any(r["tool"] == tool for r in every)]
    width = 0.8 / max(2, len(tools))
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 3.8), width_ratios=(1.6, 1.6, 1))
    for axis, title, key, scale in (
        (axes[0], "prove, seconds", "seconds", 1),
        (axes[1], "memory of prove, MB", "peak_bytes", MEGABYTE),
    ):
        for i, tool in enumerate(tools):
            done = [r for r in every if r["tool"] == tool]
            offset = (i - (len(tools) - 1) / 2) * width
            values = [r["stages"]["prove"][key] / scale for r in done]
            bars = axis.bar([names.index(r["subject"]) + offset for r in done], values, width, label=tool)
            axis.bar_label(bars, fmt=lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}", fontsize=7)
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    if tools:
        axes[0].legend(frameon=False)
    if steps:
        axes[2].plot(*zip(*steps, strict=True), "o-", label="plonnx")
        n, seconds = steps[0]
        axes[2].plot([x for x, _ in steps], [seconds * x / n for x, _ in steps], ":", color="gray", label="linear in n")
        axes[2].set_xscale("log", base=2)
        axes[2].set_yscale("log")
        axes[2].legend(frameon=False)
    axes[2].set_title("prove, seconds, by n")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
