"""docs/benchmarks.md and its plot, from one run's results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
Cell = Callable[[Result], str]
MEGABYTE = 1e6
BUSY = 0.25  # load per core at the start from which the page warns
STAGES = ("compile", "setup", "prove", "verify")


def write(results: Result, folder: Path) -> None:
    """Write the page and the plot into `folder`."""
    drawn = False
    try:
        drawn = plot(results, folder / "benchmarks.svg")
    except Exception as error:  # a page without its plot is better than none
        results["failures"]["plot"] = f"{type(error).__name__}: {error}"
    parts = [
        head(results),
        goals(results),
        models(results),
        predictions(results),
        beside(results),
        ["![proving time and memory beside ezkl, and by rows](benchmarks.svg)", ""] if drawn else [],
        doubling(results),
        aims(results),
        kernels(results),
    ]
    (folder / "benchmarks.md").write_text("\n".join(line for part in parts for line in part))


def head(results: Result) -> list[str]:
    """The machine, the date, what went wrong."""
    m = results["machine"]
    versions = [f"plonnx {m['plonnx']}", f"Python {m['python']}"]
    versions += [
        f"{name} {results[key]['version']}"
        for key, name in (("ezkl", "ezkl"), ("arkworks", "py-arkworks-bls12381"))
        if results.get(key, {}).get("version")
    ]
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench`; every figure is from one run, of {results['seconds'] / 60:.0f} minutes."
        " Do not edit.",
        "",
        f"{m['date']}; {m['processor']}, {m['cores']} cores, {m['memory'] / 1e9:.0f} GB free; {m['system']};"
        f" {', '.join(versions)}. Load average at the start: {m['load']:.2f}.",
        "",
    ]
    if m["load"] > BUSY * (m["cores"] or 1):
        lines += ["**Warning: the machine was not idle when the run started: times are too long.**", ""]
    if results.get("absent"):
        lines += [
            f"Not measured, as it is not here (PLONNX_MODELS names the folder): {', '.join(results['absent'])}.",
            "",
        ]
    lines += [f"Part of the run failed: {name}: {_plain(text)}\n" for name, text in results["failures"].items()]
    return lines


def goals(results: Result) -> list[str]:
    """What the engine must reach, beside what was measured."""
    ours = {r["subject"]: r for r in results["models"] if not r["failure"]}
    peers = {r["subject"]: r for r in results["peers"]}
    rows: list[tuple[str, str, float | None, float]] = []  # what, unit, measured, at most

    def prove(name: str) -> float | None:
        return ours[name]["stages"]["prove"]["seconds"] if name in ours else None

    for name, most in (("1l_relu", 0.3), ("large_mlp", 1.0), ("dense_4m", 4.0), ("hidden_mlp", 6.0)):
        shown = name if not ours.get(name, {}).get("note") else f"{name} (public weights)"
        warm = ours.get(name, {}).get("warm", {}).get("prove")
        rows.append((f"{shown}: prove, keys loaded", "s", warm, most))
        rows.append((f"{shown}: `plonnx prove`, from its start to its end", "s", prove(name), most))
    dense = ours.get("dense_4m")
    rows.append(("dense_4m: memory of prove", "GB", dense and dense["stages"]["prove"]["peak_bytes"] / 1e9, 3.0))
    for name, r in ours.items():
        if r["warm"].get("msm"):
            rows.append((f"{name}: prove / its MSMs", "", r["warm"]["prove"] / r["warm"]["msm"], 2.0))
    steps = [ratio for _, ratio in _doublings(results) if ratio]
    rows.append(("largest ratio of prove when n doubles", "", max(steps, default=None), 2.2))
    met = [
        {"goal": what, "most": f"{most:g} {unit}", "value": value, "unit": unit, "met": value and value <= most}
        for what, unit, value, most in rows
    ]
    if "large_mlp" in ours and "large_mlp" in peers:
        met += _beside_goals(ours["large_mlp"], peers["large_mlp"])
    cells: dict[str, Cell] = {
        "goal": lambda r: r["goal"],
        "at most": lambda r: r["most"].strip(),
        "measured": lambda r: (
            "-" if r["value"] is None else f"{r.get('bound', '')}{r['value']:.3g} {r['unit']}".strip()
        ),
        "": _verdict,
    }
    return ["## Goals", "", *_table(cells, met), ""]


def _verdict(goal: Result) -> str:
    if goal["value"] is None:
        return "not measured"
    if goal["met"]:
        return "reached"
    return "stopped too early to tell" if goal.get("bound") else "**not reached**"


def _beside_goals(mine: Result, peer: Result) -> list[Result]:
    """Against ezkl on the same model. Where a limit stopped it, what it had used until then is a bound."""
    found: list[Result] = []
    for stage in ("prove", "setup"):
        theirs = peer["stages"].get(stage, {})
        stopped = theirs.get("failure", "").startswith("stopped")
        usable = theirs and (stopped or not theirs["failure"])
        value = theirs["seconds"] / mine["stages"][stage]["seconds"] if usable else None
        row = {"goal": f"large_mlp: {stage}, times faster than ezkl", "most": "at least 100", "unit": ""}
        found.append(row | {"value": value, "met": value and value >= 100, "bound": "over " if stopped else ""})
    theirs = peer["stages"].get("prove", {})
    stopped = theirs.get("failure", "").startswith("stopped")
    value = mine["stages"]["prove"]["peak_bytes"] / theirs["peak_bytes"] if theirs.get("peak_bytes") else None
    row = {"goal": "large_mlp: memory of prove as a part of ezkl's", "most": "0.1", "unit": ""}
    return [*found, row | {"value": value, "met": value and value <= 0.1, "bound": "below " if stopped else ""}]


def models(results: Result) -> list[str]:
    """plonnx on each model."""
    if not results["models"]:
        return []
    cells: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "rows": lambda r: str(r["warm"].get("rows", "-")),
        **{f"{stage} s": _seconds(stage) for stage in STAGES},
        "prove MB": _memory("prove"),
        "setup MB": _memory("setup"),
        "warm prove s": _warm("prove", 1, 3),
        "warm verify ms": _warm("verify", 1000, 1),
        **{f"{name} bytes": _size(name) for name in ("circuit", "pk", "vk", "proof")},
        "": _why,
    }
    shares: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "MSMs": lambda r: str(r["warm"]["msm_count"]),
        "prove s": _warm("prove", 1, 3),
        "its MSMs s": _warm("msm", 1, 3),
        "the same by blst s": _warm("msm_blst", 1, 3),
        "prove / MSMs": lambda r: f"{r['warm']['prove'] / r['warm']['msm']:.2f}",
        "prove / blst's MSMs": lambda r: f"{r['warm']['prove'] / r['warm']['msm_blst']:.2f}",
    }
    done = [r for r in results["models"] if r["warm"].get("msm")]
    return [
        "## Models",
        "",
        "Each stage is a command in a process of its own, from its start to its end, files read and written; its memory"
        " is its largest resident set. *Warm* figures are the best of several in one process with the keys loaded."
        " dense_4m is a 1000-1000-1000-1000-1000 ReLU network, hidden_mlp a 96-(13 x 528)-1 one with hidden weights"
        " (setup makes its registration too).",
        "",
        *_table(cells, results["models"]),
        "",
        "A proof's time beside that of its own MSMs: each of them alone, on the same points and scalars, by the"
        " prover's kernel and by blst's Pippenger (which gets the magnitudes of integers, at their width).",
        "",
        *_table(shares, done),
        "",
    ]


def predictions(results: Result) -> list[str]:
    """The cost model beside the measured figures."""
    rows = [r for r in results["models"] if r["warm"].get("predicted")]
    if not rows:
        return []
    notes = {r["evm_note"] for r in rows if r["evm_note"]}
    lines = [
        "## Predicted and measured",
        "",
        "`inspect`'s prediction, the measurement, and measured / predicted. Time: a proof with the keys loaded; memory:"
        " that of `plonnx prove`; gas: of the transaction, on a node"
        + (", or where none answered (\\*) what the contract's generator accounts for." if notes else "."),
        "",
        *_table(_predicted_cells("model", lambda r: r["subject"]), rows),
        "",
    ]
    return lines + [f"\\* {_plain(note)}\n" for note in sorted(notes)]


def aims(results: Result) -> list[str]:
    """--optimize."""
    rows = [r for r in results.get("optimize", ()) if r["warm"].get("predicted") or r["failure"]]
    if not rows:
        return []
    shape = {
        "aim": lambda r: r["aim"],
        "rows": lambda r: str(r["warm"].get("rows", "-")),
        "t": lambda r: str(r["warm"].get("shape", {}).get("packing", "-")),
        "group": lambda r: str(r["warm"].get("shape", {}).get("group", "-")),
    }
    return [
        "## What `--optimize` trades",
        "",
        "t columns share a commitment, a helper column carries `group` lookups.",
        "",
        *_table({"model": lambda r: r["subject"], **shape, **_predicted_cells("", None), "": _why}, rows),
        "",
    ]


def _predicted_cells(name: str, first: Cell | None) -> dict[str, Cell]:
    def pair(predicted: str, measured: Callable[[Result], float | None], show: Callable[[float], str]) -> Cell:
        def cell(r: Result) -> str:
            value, guess = measured(r), r["warm"].get("predicted", {}).get(predicted)
            if not value or not guess:
                return "-"
            return f"{show(guess)} / {show(value)} / {value / guess:.2f}"

        return cell

    def gas(r: Result) -> float | None:
        found: float | None = r["gas"] or r["warm"].get("gas")
        return found

    gas_cell = pair("gas", gas, lambda v: f"{v:,.0f}")
    cells: dict[str, Cell] = {name: first} if first else {}
    return cells | {
        "prove s": pair("prove_seconds", lambda r: r["warm"].get("prove"), lambda v: f"{v:.3f}"),
        "prove MB": pair("peak_bytes", lambda r: r["stages"]["prove"]["peak_bytes"], lambda v: f"{v / MEGABYTE:.0f}"),
        "proof bytes": pair("proof_bytes", lambda r: r["warm"].get("proof_bytes"), lambda v: f"{v:,.0f}"),
        "gas": lambda r: gas_cell(r) + ("" if r["gas"] else " \\*"),
    }


def beside(results: Result) -> list[str]:
    """ezkl on the same files."""
    peer = results.get("ezkl")
    if not peer:
        return []
    if peer["failure"]:
        return ["## Beside ezkl", "", _plain(peer["failure"]), ""]
    ours = {r["subject"]: r for r in results["models"]}
    rows = [r for p in results["peers"] for r in (ours.get(p["subject"]), p) if r]
    cells: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "tool": lambda r: r["tool"],
        **{f"{stage} s": _seconds(stage) for stage in STAGES},
        "setup MB": _memory("setup"),
        "prove MB": _memory("prove"),
        **{f"{name} bytes": _size(name) for name in ("pk", "vk", "proof")},
        "": _why,
    }
    ratios: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        **{f"{stage}, times faster": _ratio(ours, stage, "seconds") for stage in STAGES},
        **{f"{stage}, times less memory": _ratio(ours, stage, "peak_bytes") for stage in ("setup", "prove")},
    }
    both = [p for p in results["peers"] if p["stages"] and p["subject"] in ours and not ours[p["subject"]]["failure"]]
    return [
        f"## Beside ezkl {peer['version']}",
        "",
        "The same ONNX file and input. ezkl has its default settings, calibrated for resources; its seconds are those"
        " of its calls alone, while plonnx's contain the start of the process. Making an SRS is in neither, but where"
        " plonnx makes a development SRS for the first time. A model that is not done within its limit is stopped.",
        "",
        *_table(cells, rows),
        "",
        *_table(ratios, both),
        "",
    ]


def doubling(results: Result) -> list[str]:
    """Prove time by n."""
    if not results.get("doubling"):
        return []
    ratio = dict(_doublings(results))
    cells: dict[str, Cell] = {
        "n": lambda r: f"2^{r['k']}",
        "rows used": lambda r: f"{r['rows']:,}" if "rows" in r else "-",
        "setup s": lambda r: f"{r['setup']:.2f}" if "setup" in r else "-",
        "prove s": lambda r: f"{r['prove']:.3f}" if "prove" in r else "-",
        "ratio": lambda r: f"{ratio[r['k']]:.2f}" if ratio.get(r["k"]) else "-",
        "MB": lambda r: f"{r['peak_bytes'] / MEGABYTE:.0f}",
        "": lambda r: _plain(r["failure"]),
    }
    return [
        "## Doubling n",
        "",
        "y = relu(x) . w with as many entries as fill n rows: one lane, one weight column, x private. Prove with the"
        " keys loaded, best of several, and its ratio to the row before; memory with compilation and setup in the same"
        " process.",
        "",
        *_table(cells, results["doubling"]),
        "",
    ]


def kernels(results: Result) -> list[str]:
    """MSM and field kernels."""
    found = results.get("kernels")
    if not found or not found["msm"] or not found["ntt"]:
        return []
    peer = results.get("arkworks", {})

    def times(tool: str) -> Cell:
        return lambda r: f"{r[tool]['wall'] * 1e3:.2f} / {r[tool]['processor'] * 1e3:.2f}" if tool in r else "-"

    def faster(tool: str, clock: str) -> Cell:
        return lambda r: f"{r[tool][clock] / r['plonnx'][clock]:.1f}" if tool in r else "-"

    msm: dict[str, Cell] = {
        "n": lambda r: f"2^{r['k']}",
        "scalars": lambda r: r["scalars"],
        **{f"{tool} ms": times(tool) for tool in ("plonnx", "blst", "arkworks")},
        "faster than blst": faster("blst", "wall"),
        "than arkworks, by processor time": faster("arkworks", "processor"),
    }
    sizes = sorted({r["k"] for r in found["ntt"]})
    names = list(dict.fromkeys(r["kernel"] for r in found["ntt"]))
    at = {(r["kernel"], r["k"]): r["plonnx"] for r in found["ntt"]}

    def wall(k: int) -> Cell:
        return lambda r: f"{at[r['name'], k]['wall'] * 1e3:.2f}"

    field: dict[str, Cell] = {
        "kernel": lambda r: r["name"],
        **{f"2^{k}": wall(k) for k in sizes},
        f"ns a row at 2^{sizes[-1]}": lambda r: f"{at[r['name'], sizes[-1]]['processor'] * 1e9 / (1 << sizes[-1]):.1f}",
    }
    points: dict[str, Cell] = {
        "once per SRS": lambda r: f"{r['kernel']}, 2^{r['k']}",
        "ms": lambda r: f"{r['plonnx']['wall'] * 1e3:.0f} / {r['plonnx']['processor'] * 1e3:.0f}",
    }
    notes = [r["note"] for r in found["msm"] if r.get("note")] + ([peer["failure"]] if peer.get("failure") else [])
    return [
        "## Kernels",
        "",
        f"{found['threads']} threads; milliseconds, wall / processor time of all threads, best of several. The results"
        " of one row are equal points (checked in the run). blst takes unsigned scalars: of integers it gets the"
        " magnitudes, at their width. arkworks comes through its Python bindings, which use one thread, copy the points"
        " on every call and get negative integers as field elements: compare processor times. Rarely changing columns"
        " use a table of suffix sums, made once per SRS and not counted here.",
        "",
        *_table(msm, found["msm"]),
        "",
        *[f"{_plain(note)}\n" for note in notes],
        "Transforms and field rows, milliseconds; the last column is processor time. Neither blst nor the arkworks"
        " bindings have a transform to compare with; values and inverses are checked in the run.",
        "",
        *_table(field, [{"name": name} for name in names]),
        "",
        *_table(points, found["points"]),
        "",
    ]


def plot(results: Result, path: Path) -> bool:
    """Prove time and memory beside ezkl, and prove time by n."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "plonnx"
    from matplotlib import pyplot

    every = [r for r in (*results["models"], *results["peers"]) if r["stages"] and not r["failure"]]
    names = list(dict.fromkeys(r["subject"] for r in every))
    steps = [(1 << r["k"], r["prove"]) for r in results.get("doubling", ()) if "prove" in r]
    if not names and not steps:
        return False
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), width_ratios=(1.3, 1.3, 1))
    for axis, title, key, scale in (
        (axes[0], "prove, seconds", "seconds", 1),
        (axes[1], "memory of prove, MB", "peak_bytes", MEGABYTE),
    ):
        for offset, tool in ((-0.2, "plonnx"), (0.2, "ezkl")):
            done = [r for r in every if r["tool"] == tool]
            values = [r["stages"]["prove"][key] / scale for r in done]
            bars = axis.bar([names.index(r["subject"]) + offset for r in done], values, 0.4, label=tool)
            axis.bar_label(bars, fmt=lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}", fontsize=7)
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
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


def _doublings(results: Result) -> list[tuple[int, float | None]]:
    prove = {r["k"]: r.get("prove") for r in results.get("doubling", ())}
    return [(k, prove[k] / prove[k - 1] if prove.get(k) and prove.get(k - 1) else None) for k in prove]


def _seconds(stage: str) -> Cell:
    return lambda r: f"{r['stages'][stage]['seconds']:.2f}" if _done(r, stage) else "-"


def _memory(stage: str) -> Cell:
    return lambda r: f"{r['stages'][stage]['peak_bytes'] / MEGABYTE:,.0f}" if stage in r["stages"] else "-"


def _done(r: Result, stage: str) -> bool:
    return stage in r["stages"] and not r["stages"][stage]["failure"]


def _ratio(ours: dict[str, Result], stage: str, key: str) -> Cell:
    def cell(peer: Result) -> str:
        mine = ours[peer["subject"]]
        if not (_done(peer, stage) and _done(mine, stage)):
            return "-"
        return f"{peer['stages'][stage][key] / mine['stages'][stage][key]:,.1f}"

    return cell


def _size(name: str) -> Cell:
    return lambda r: f"{r['bytes'][name]:,}" if name in r.get("bytes", {}) else "-"


def _warm(name: str, scale: float, digits: int) -> Cell:
    return lambda r: f"{r['warm'][name] * scale:.{digits}f}" if name in r["warm"] else "-"


def _why(r: Result) -> str:
    said = (r.get("note"), r["failure"], f"warm: {r['warm_failure']}" if r.get("warm_failure") else "")
    return _plain("; ".join(filter(None, said)))


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _table(cells: dict[str, Cell], rows: Sequence[Result]) -> list[str]:
    body = [[cell(row) for cell in cells.values()] for row in rows]
    keep = [i for i, name in enumerate(cells) if name or any(row[i] for row in body)]
    shown = [list(cells), *body]
    text = ["| " + " | ".join(row[i] for i in keep) + " |" for row in shown]
    return [text[0], "|" + "---|" * len(keep), *text[1:]] if rows else []
