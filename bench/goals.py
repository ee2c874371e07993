"""The page's goals."""

from __future__ import annotations

from typing import Any

from bench.table import Cell, Result, beside_predictions, doublings, middle, table

# Seconds of prove, with the keys loaded as well as from the command's start to its end.
PROVE = {
    "1l_relu": 0.3,
    "large_mlp": 1.0,
    "dense_4m": 4.0,
    "hidden_mlp": 6.0,
    "lenet_5": 1.0,
    "cifar_cnn": 2.5,
    "cifar_wide": 4.0,
}
VISION = {"vgg16": (2.5, 1.2, 6, 12), "resnet18": (4, 1.8, 7, 15), "mobilenet_v2": (10, 3, 15, 20)}
# Seconds of prove with the keys loaded, GB of `plonnx prove`, seconds of setup and of compile.
VISION_KEY, FIRST, MSMS, PORTABLE = 40, 1.2, 1.5, 2.5  # MB; a proof to others: the next one, its MSMs, with AVX-512
# Seconds of prove with the keys loaded, alone.
WARM = {"forest": 0.2, "lstm": 0.3}
PRODUCT = 1.2  # times what its cells take as inputs and outputs of a layer
PREDICTED = 25, 15  # percent that a proof's seconds and memory may be off
AREA = 20  # percent that the area of a kernel may make of a difference


def goals(results: Result) -> list[str]:
    """What the engine must reach, beside what was measured."""
    ours = {r["subject"]: r for r in (*results["models"], *results.get("vision", ())) if not r["failure"]}
    peers = {r["subject"]: r for r in results["peers"] if r["tool"] == "ezkl"}
    rows: list[tuple[str, str, float | None, float]] = []  # what, unit, measured, at most

    def figure(name: str, *keys: str, scale: float = 1) -> float | None:
        found: Any = ours.get(name)
        for key in keys:
            found = found and found.get(key)
        return found / scale if found else None

    for name, most in PROVE.items():
        shown = name if not ours.get(name, {}).get("note") else f"{name} (public weights)"
        rows.append((f"{shown}: prove, keys loaded", "s", figure(name, "warm", "prove"), most))
        whole = figure(name, "stages", "prove", "seconds")
        rows.append((f"{shown}: `plonnx prove`, from its start to its end", "s", whole, most))
    rows += [(f"{name}: prove, keys loaded", "s", figure(name, "warm", "prove"), most) for name, most in WARM.items()]
    pair = figure("product", "warm", "prove"), figure("cells", "warm", "prove")
    times = pair[0] / pair[1] if pair[0] and pair[1] else None
    rows.append(("product: prove, keys loaded, against its cells alone", "times", times, PRODUCT))
    rows.append(
        ("dense_4m: memory of prove", "GB", figure("dense_4m", "stages", "prove", "peak_bytes", scale=1e9), 3.0)
    )
    lenet = "lenet_5"
    rows.append((f"{lenet}: `plonnx setup`", "s", figure(lenet, "stages", "setup", "seconds"), 3.0))
    rows.append((f"{lenet}: memory of prove", "MB", figure(lenet, "stages", "prove", "peak_bytes", scale=1e6), 500))
    rows.append((f"{lenet}: proving key", "MB", figure(lenet, "bytes", "pk", scale=1e6), 10))
    for name, (proving, gigabytes, setting_up, compiling) in VISION.items():
        rows.append((f"{name}: prove, keys loaded", "s", figure(name, "warm", "prove"), proving))
        rows.append(
            (f"{name}: memory of prove", "GB", figure(name, "stages", "prove", "peak_bytes", scale=1e9), gigabytes)
        )
        rows.append((f"{name}: `plonnx setup`", "s", figure(name, "stages", "setup", "seconds"), setting_up))
        rows.append((f"{name}: `plonnx compile`", "s", figure(name, "stages", "compile", "seconds"), compiling))
        rows.append((f"{name}: proving key", "MB", figure(name, "bytes", "pk", scale=1e6), VISION_KEY))
    for name, r in ours.items():
        prove, most = r["warm"].get("prove"), MSMS if name in VISION else 2.0
        if r["warm"].get("msm"):
            rows.append((f"{name}: prove / its MSMs", "", prove / r["warm"]["msm"], most))
        if name in VISION and r["warm"].get("first"):
            rows.append((f"{name}: the first proof of a process / the next", "", r["warm"]["first"] / prove, FIRST))
        if name == lenet and r.get("portable", {}).get("prove"):
            rows.append((f"{name}: prove without AVX-512 / with it", "", r["portable"]["prove"] / prove, PORTABLE))
    for r in results.get("kernel_area", ()):
        name = f"{r['kind']}: prove, large kernel against small, difference"
        rows.append((name, "%", _difference([kernel["prove"] for kernel in r["kernels"]]), AREA))
    steps = [ratio for _, ratio in doublings(results) if ratio]
    rows.append(("largest ratio of prove when n doubles", "", max(steps, default=None), 2.2))
    proofs, memories = beside_predictions(results)
    off = 100 * (max(proofs) / middle(proofs) - 1) if proofs else None
    rows.append(("a proof's predicted seconds, scaled to the machine, off by", "%", off, PREDICTED[0]))
    off = max((100 * abs(ratio - 1) for ratio in memories), default=None)
    rows.append(("a proof's predicted memory, off by", "%", off, PREDICTED[1]))
    met = [
        {
            "goal": what,
            "most": f"{most:g} {unit}",
            "value": value,
            "unit": unit,
            "met": value is not None and value <= most,
        }
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
    return ["## Goals", "", *table(cells, met), ""]


def _difference(times: list[float]) -> float | None:
    """In percent of the shorter."""
    return 100 * (max(times) / min(times) - 1) if times else None


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
