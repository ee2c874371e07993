"""The transformers on the page: those of published shapes, and one family by its tokens and by its layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.models import MODELS, Subject
from bench.table import STAGES, Cell, Result, memory, seconds, size, table, warm, why
from bench.transformers import NETWORKS, Blocks, Tokens, Vit, sized

LIMIT_SECONDS = 900.0  # of a stage
SHOWN = ("vit_tiny", "bert_tiny", "gpt2_block")
SHARED = ("self_attention", "nanoGPT")  # from MODELS, where they are there
WHOLE = "gpt2_small"
GOALS: dict[str, dict[str, float]] = {  # at most: seconds of a proof with the keys loaded, of setup; MB; bytes
    "vit_tiny": {"prove": 4, "memory": 3000},
    "bert_tiny": {"prove": 1.5},
    "gpt2_block": {"prove": 2, "memory": 1000},
    "self_attention": {"prove": 0.5},
    "nanoGPT": {"prove": 2.5, "memory": 1500, "setup": 6, "proof": 12_288},
    "gpt2_small": {"prove": 20, "memory": 8000, "setup": 90, "proof": 16_384},
}
FAMILY = Tokens(Blocks(192, 3, layers=1, tokens=16, causal=True, gelu="tanh"), vocabulary=0)
TOKENS, LAYERS = (16, 32, 64, 128), (1, 2, 4, 8)


def subjects(work: Path, large: bool) -> Iterator[Subject]:
    """The transformers that others prove, and those of published shapes; GPT-2 whole where it is asked for."""
    for folder in (MODELS / name for name in SHARED):
        if (folder / "network.onnx").exists():
            yield Subject(folder.name, folder / "network.onnx", folder / "input.json", folder / "input.json")
    for name in (*SHOWN, WHOLE) if large else SHOWN:
        # The least table that holds its token ids: no other needs be tried, at minutes each.
        yield made(name, NETWORKS[name], work, ("--table-bits", "16") if name == WHOLE else ())


def family(work: Path) -> Iterator[tuple[int, int, Subject]]:
    """(tokens, layers, model): one of both grows at a time."""
    for tokens, layers in dict.fromkeys([*((t, LAYERS[0]) for t in TOKENS), *((TOKENS[0], n) for n in LAYERS)]):
        yield tokens, layers, made(f"t{tokens}_l{layers}", sized(FAMILY, tokens, layers), work, ("--table-bits", "14"))


def made(name: str, network: Tokens | Vit, work: Path, flags: tuple[str, ...]) -> Subject:
    """A network's files."""
    folder = work / "networks" / name
    network.write(folder)
    files = (folder / "network.onnx", folder / "input.json", folder / "calibration.npz")
    return Subject(name, *files, flags=flags, large=True)


def transformers(results: Result) -> list[str]:
    """What each took, beside its goals."""
    rows = results.get("transformers", [])
    if not rows:
        return []
    cells: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "rows": lambda r: str(r["warm"].get("rows", "-")),
        **{f"{stage} s": seconds(stage) for stage in STAGES},
        **{f"{stage} MB": memory(stage) for stage in ("compile", "setup", "prove")},
        "warm prove s": warm("prove", 1, 2),
        **{f"{name} bytes": size(name) for name in ("circuit", "pk")},
        "proof file bytes": size("proof"),
        "": why,
    }
    goals: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        **{what: _beside(key) for what, key in (("warm prove s", "prove"), ("prove MB", "memory"))},
        **{what: _beside(key) for what, key in (("setup s", "setup"), ("proof bytes", "proof"))},
    }
    return [
        "## Transformers",
        "",
        "self_attention and nanoGPT (a quarter of a million parameters, 64 tokens) are ezkl's examples. The others have"
        " published shapes and random weights. vit_tiny: 32 x 32 images, patches of 4, 12 layers of width 192;"
        " bert_tiny: 2 layers of width 128, 128 tokens of a vocabulary of 30,522; gpt2_block: a block of GPT-2 (width"
        " 768, 12 heads) on 16 tokens; gpt2_small: all of it (124M weights, a vocabulary of 50,257, the arg-max at the"
        " last of 16 tokens), by `make bench LARGE=1`.",
        "",
        *table(cells, rows),
        "",
        "Measured, and at most what it should be. The file of a proof holds its public values, too (8,384 bytes of"
        " nanoGPT's); here is the proof alone:",
        "",
        *table(goals, rows),
        "",
    ]


def _beside(key: str) -> Cell:
    """A measured figure and its goal."""

    def figure(r: Result) -> Any:
        stages = r["stages"]
        return {
            "prove": r["warm"].get("prove"),
            "memory": stages["prove"]["peak_bytes"] / 1e6 if "prove" in stages else None,
            "setup": stages["setup"]["seconds"] if "setup" in stages else None,
            "proof": r["warm"].get("proof_bytes"),
        }[key]

    def cell(r: Result) -> str:
        goal, found = GOALS[r["subject"]].get(key), figure(r)
        if goal is None or found is None:
            return "-"
        return f"{found:,.4g} / {goal:,g}" + ("" if found <= goal else " **not reached**")

    return cell


def scaling(results: Result) -> list[str]:
    """The family, by tokens and by layers."""
    rows = results.get("scaling", [])
    if not rows:
        return []
    cells: dict[str, Cell] = {
        "tokens": lambda r: str(r["tokens"]),
        "layers": lambda r: str(r["layers"]),
        "rows": lambda r: str(r["warm"].get("rows", "-")),
        "cells": lambda r: f"{r['warm']['units']:,}" if "units" in r["warm"] else "-",
        "products": lambda r: f"{products(r['tokens'], r['layers']):,}",
        "warm prove s": warm("prove", 1, 3),
        "proof bytes": size("proof"),
        "": why,
    }
    return [
        "## Transformers by tokens and layers",
        "",
        "Blocks of width 192 with three heads and a causal mask. *Cells* are the units that the circuit lays out,"
        " *products* the multiplications of its layers and attention. A proof takes as long as its cells.",
        "",
        *table(cells, rows),
        "",
    ]


def products(tokens: int, layers: int) -> int:
    """Multiplications of the family's matrices."""
    width = FAMILY.blocks.width
    return layers * (12 * width * width * tokens + 2 * width * tokens * tokens)
