"""Tables in Markdown, and the cells that several of them have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Result = dict[str, Any]
Cell = Callable[[Result], str]
MEGABYTE = 1e6
STAGES = ("compile", "setup", "prove", "verify")


def doublings(results: Result) -> list[tuple[int, float | None]]:
    """k, and the ratio of its prove time to the one before."""
    prove = {r["k"]: r.get("prove") for r in results.get("doubling", ())}
    return [(k, prove[k] / prove[k - 1] if prove.get(k) and prove.get(k - 1) else None) for k in prove]


def beside_predictions(results: Result) -> tuple[list[float], list[float]]:
    """measured / predicted of each model: seconds of a proof with the keys loaded, and memory of `plonnx prove`."""
    times, memories = [], []
    for r in (*results["models"], *results.get("vision", ())):
        predicted = r["warm"].get("predicted")
        if predicted and r["warm"].get("prove") and done(r, "prove"):
            times.append(r["warm"]["prove"] / predicted["prove_seconds"])
            memories.append(r["stages"]["prove"]["peak_bytes"] / predicted["peak_bytes"])
    return times, memories


def middle(ratios: list[float]) -> float:
    """As far below the largest as above the smallest."""
    return math.sqrt(min(ratios) * max(ratios))


def seconds(stage: str) -> Cell:
    """How long a stage took."""
    return lambda r: f"{r['stages'][stage]['seconds']:.2f}" if done(r, stage) else "-"


def memory(stage: str) -> Cell:
    """What a stage took of it."""
    return lambda r: f"{r['stages'][stage]['peak_bytes'] / MEGABYTE:,.0f}" if stage in r["stages"] else "-"


def done(r: Result, stage: str) -> bool:
    """Whether a stage came to its end."""
    return stage in r["stages"] and not r["stages"][stage]["failure"]


def ratio(ours: dict[str, Result], stage: str, key: str) -> Cell:
    """A peer's figure over ours."""

    def cell(peer: Result) -> str:
        mine = ours[peer["subject"]]
        if not (done(peer, stage) and done(mine, stage)):
            return "-"
        return f"{peer['stages'][stage][key] / mine['stages'][stage][key]:,.1f}"

    return cell


def size(name: str) -> Cell:
    """Of a file."""
    return lambda r: f"{r['bytes'][name]:,}" if name in r.get("bytes", {}) else "-"


def warm(name: str, scale: float, digits: int) -> Cell:
    """A figure with the keys loaded."""
    return lambda r: f"{r['warm'][name] * scale:.{digits}f}" if name in r["warm"] else "-"


def why(r: Result) -> str:
    """What to know of a row."""
    said = (r.get("note"), r["failure"], f"warm: {r['warm_failure']}" if r.get("warm_failure") else "")
    return plain("; ".join(filter(None, said)))


def plain(text: str) -> str:
    """On one line of a table."""
    return " ".join(text.replace("|", "\\|").split())


def table(cells: dict[str, Cell], rows: Sequence[Result]) -> list[str]:
    """In Markdown; an unnamed column only where it says something."""
    body = [[cell(row) for cell in cells.values()] for row in rows]
    keep = [i for i, name in enumerate(cells) if name or any(row[i] for row in body)]
    shown = [list(cells), *body]
    text = ["| " + " | ".join(row[i] for i in keep) + " |" for row in shown]
    return [text[0], "|" + "---|" * len(keep), *text[1:]] if rows else []
