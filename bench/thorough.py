"""The page's table of the networks that papers compare on, and of what is proved on both paths."""

from __future__ import annotations

from bench.table import MEGABYTE, Cell, Result, memory, seconds, size, table, warm, why


def thorough(results: Result) -> list[str]:
    """Every stage with the MockProver, the first proof of a process and the next, and one without AVX-512."""
    rows = [r for r in (*results.get("vision", ()), *results["models"]) if "portable" in r or "mock" in r["stages"]]
    if not rows:
        return []
    cells: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "rows": lambda r: f"{r['warm']['rows']:,}" if "rows" in r["warm"] else "-",
        **{f"{stage} s": seconds(stage) for stage in ("compile", "mock", "setup", "prove", "verify")},
        **{f"{stage} MB": memory(stage) for stage in ("compile", "setup", "prove")},
        "first proof s": warm("first", 1, 2),
        "next proofs s": warm("prove", 1, 2),
        "without AVX-512 s": _portable,
        "times": lambda r: f"{r['portable']['prove'] / r['warm']['prove']:.2f}" if _both(r) else "-",
        "pk MB": lambda r: f"{r['bytes']['pk'] / MEGABYTE:.1f}" if "pk" in r["bytes"] else "-",
        "proof bytes": size("proof"),
        "": why,
    }
    return [
        "## Networks of ten million parameters, and both paths",
        "",
        "VGG-16, ResNet-18 and MobileNetV2 (its first stride 1) for images of 3 x 32 x 32, ten classes, batch"
        " normalization, random weights (bench/vision.py). *mock* is the MockProver on every constraint. *Without"
        " AVX-512*: proofs of a process with PLONNX_PORTABLE=1, to the same bytes but for their randomness.",
        "",
        *table(cells, rows),
        "",
    ]


def _portable(r: Result) -> str:
    return f"{r['portable']['prove']:.2f}" if "prove" in r.get("portable", {}) else "-"


def _both(r: Result) -> bool:
    return "prove" in r.get("portable", {}) and "prove" in r["warm"]
