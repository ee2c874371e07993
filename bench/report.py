"""docs/benchmarks.md and its plot, from one run's results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.beside import ezkl, jstprove
from bench.goals import goals
from bench.large import scaling, transformers
from bench.networks import CIFAR, IMAGE, WIDE, Convolutional
from bench.plot import plot
from bench.table import (
    MEGABYTE,
    STAGES,
    Cell,
    Result,
    beside_predictions,
    doublings,
    memory,
    middle,
    plain,
    seconds,
    size,
    table,
    warm,
    why,
)
from bench.thorough import thorough

BUSY = 0.25  # load per core at the start from which the page warns


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
        thorough(results),
        predictions(results),
        ezkl(results),
        jstprove(results),
        ["![proving time and memory beside peers, and by rows](benchmarks.svg)", ""] if drawn else [],
        transformers(results),
        scaling(results),
        kernel_area(results),
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
        for key, name in (("ezkl", "ezkl"), ("jstprove", "JSTprove"), ("arkworks", "py-arkworks-bls12381"))
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
    lines += [f"Part of the run failed: {name}: {plain(text)}\n" for name, text in results["failures"].items()]
    return lines


def models(results: Result) -> list[str]:
    """plonnx on each model."""
    if not results["models"]:
        return []
    cells: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "rows": lambda r: str(r["warm"].get("rows", "-")),
        **{f"{stage} s": seconds(stage) for stage in STAGES},
        "prove MB": memory("prove"),
        "setup MB": memory("setup"),
        "warm prove s": warm("prove", 1, 3),
        "warm verify ms": warm("verify", 1000, 1),
        **{f"{name} bytes": size(name) for name in ("circuit", "pk", "vk", "proof")},
        "": why,
    }
    shares: dict[str, Cell] = {
        "model": lambda r: r["subject"],
        "MSMs": lambda r: str(r["warm"]["msm_count"]),
        "prove s": warm("prove", 1, 3),
        "its MSMs s": warm("msm", 1, 3),
        "the same by blst s": warm("msm_blst", 1, 3),
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
        " (setup makes its registration too). cifar_cnn takes 3 x 32 x 32 images through two 5 x 5 convolutions, each"
        f" with ReLU and 2 x 2 max pool, and dense layers: {_widths(CIFAR)}. cifar_wide is the same, wider:"
        f" {_widths(WIDE)}. The weights of these four are random. forest has 100 full trees of depth 8"
        " over 50 features, lstm 64 units over 32 steps of 64 features, product is A B of two computed 64 x 64"
        " matrices, cells its 12,288 numbers as inputs and outputs of a layer.",
        "",
        *table(cells, results["models"]),
        "",
        "A proof's time beside that of its own MSMs: each of them alone, on the same points and scalars, by the"
        " prover's kernel and by blst's Pippenger (which gets the magnitudes of integers, at their width). In a proof"
        " small ones run side by side.",
        "",
        *table(shares, done),
        "",
    ]


def _widths(network: Convolutional) -> str:
    channels, dense = ("-".join(map(str, widths)) for widths in (network.channels, network.dense))
    return f"{channels} channels, {dense}, {network.parameters:,} parameters"


def predictions(results: Result) -> list[str]:
    """The cost model beside the measured figures."""
    rows = [r for r in (*results["models"], *results.get("vision", ())) if r["warm"].get("predicted")]
    if not rows:
        return []
    notes = [f"{r['subject']}: {plain(r['evm_note'])}" for r in rows if r["evm_note"]]
    lines = [
        "## Predicted and measured",
        "",
        "`inspect`'s prediction, the measurement, and measured / predicted. Time: a proof with the keys loaded; memory:"
        " that of `plonnx prove`; gas: of the transaction, on a node"
        + (", or where none answered (\\*) what the contract's generator accounts for." if notes else ".")
        + _scaled(beside_predictions(results)[0]),
        "",
        *table(_predicted_cells("model", lambda r: r["subject"]), rows),
        "",
    ]
    return lines + [f"\\* {note}\n" for note in notes]


def _scaled(times: list[float]) -> str:
    if not times:
        return ""
    scale = middle(times)
    return (
        f" Seconds are predicted for one machine; scaled to this one, {scale:.2f} times as many, measured / predicted"
        f" is {min(times) / scale:.2f} to {max(times) / scale:.2f}."
    )


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
        *table({"model": lambda r: r["subject"], **shape, **_predicted_cells("", None), "": why}, rows),
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


def kernel_area(results: Result) -> list[str]:
    """Prove time by the area of the kernel."""
    if not results.get("kernel_area"):
        return []
    rows = [r | kernel | {"least": r["kernels"][0]["prove"]} for r in results["kernel_area"] for kernel in r["kernels"]]
    rows += [r for r in results["kernel_area"] if r["failure"]]
    cells: dict[str, Cell] = {
        "convolution": lambda r: r["kind"],
        "kernel": lambda r: f"{r['kernel']} x {r['kernel']}" if "kernel" in r else "-",
        "rows used": lambda r: f"{r['rows']:,}" if "rows" in r else "-",
        "n": lambda r: f"{r['n']:,}" if "n" in r else "-",
        "lanes": lambda r: str(r.get("lanes", "-")),
        "weight columns": lambda r: str(r.get("weight_columns", "-")),
        "prove s": lambda r: f"{r['prove']:.3f}" if "prove" in r else "-",
        "to the small kernel": lambda r: f"{r['prove'] / r['least']:.2f}" if "prove" in r else "-",
        "": lambda r: plain(r["failure"]),
    }
    return [
        "## Area of a kernel",
        "",
        f"One convolution of a private {' x '.join(map(str, IMAGE))} image to as many channels, padded to keep its"
        " sides, with ReLU; dilation 2 where dilated; transposed has stride 2, and an output of twice the sides. Prove"
        " with the keys loaded, best of several, the proofs of both kernels in turns.",
        "",
        *table(cells, rows),
        "",
    ]


def doubling(results: Result) -> list[str]:
    """Prove time by n."""
    if not results.get("doubling"):
        return []
    ratio = dict(doublings(results))
    cells: dict[str, Cell] = {
        "n": lambda r: f"2^{r['k']}",
        "rows used": lambda r: f"{r['rows']:,}" if "rows" in r else "-",
        "setup s": lambda r: f"{r['setup']:.2f}" if "setup" in r else "-",
        "prove s": lambda r: f"{r['prove']:.3f}" if "prove" in r else "-",
        "ratio": lambda r: f"{ratio[r['k']]:.2f}" if ratio.get(r["k"]) else "-",
        "MB": lambda r: f"{r['peak_bytes'] / MEGABYTE:.0f}",
        "": lambda r: plain(r["failure"]),
    }
    return [
        "## Doubling n",
        "",
        "y = relu(x) . w with as many entries as fill n rows: one lane, one weight column, x private. Prove with the"
        " keys loaded, best of several, and its ratio to the row before; memory with compilation and setup in the same"
        " process.",
        "",
        *table(cells, results["doubling"]),
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
        *table(msm, found["msm"]),
        "",
        *[f"{plain(note)}\n" for note in notes],
        "Transforms and field rows, milliseconds; the last column is processor time. Neither blst nor the arkworks"
        " bindings have a transform to compare with; values and inverses are checked in the run.",
        "",
        *table(field, [{"name": name} for name in names]),
        "",
        *table(points, found["points"]),
        "",
    ]
