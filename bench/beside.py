"""The page's tables of plonnx beside its peers, on the same ONNX files and inputs."""

from __future__ import annotations

from bench.table import STAGES, Cell, Result, done, memory, plain, ratio, seconds, size, table, why


def ezkl(results: Result) -> list[str]:
    """Every stage of both."""
    cells: dict[str, Cell] = {
        **{f"{stage} s": seconds(stage) for stage in STAGES},
        "setup MB": memory("setup"),
        "prove MB": memory("prove"),
        **{f"{name} bytes": size(name) for name in ("pk", "vk", "proof")},
    }
    text = (
        "The same ONNX file and input. ezkl has its default settings, calibrated for resources; its seconds are those"
        " of its calls alone, while plonnx's contain the start of the process. Making an SRS is in neither, but where"
        " plonnx makes a development SRS, or a ceremony's Lagrange form, for the first time. A model that is not done"
        " within its limit is stopped."
    )
    return _beside("ezkl", "ezkl", text, results, cells, ("setup", "prove"))


def jstprove(results: Result) -> list[str]:
    """Its circuit takes the place of a key."""
    cells: dict[str, Cell] = {
        **{f"{stage} s": seconds(stage) for stage in STAGES},
        "prover alone s": _alone("prove"),
        "verifier alone s": _alone("verify"),
        "compile MB": memory("compile"),
        "prove MB": memory("prove"),
        **{f"{name} bytes": size(name) for name in ("circuit", "pk", "proof")},
    }
    text = (
        "The same ONNX file and input. JSTprove proves by GKR over BN254, with Hyrax commitments: nothing is trusted"
        " and there is no setup, its verifier reads the whole circuit and the witness file, and nothing runs on a"
        " chain. Later versions than 2.1 need Python 3.12. Its seconds are those of its commands (prove is witness and"
        " prove), without the start of Python and its imports, while plonnx's contain them; its memory is that of all"
        " its processes together, Python with torch among them. *Alone*: of JSTprove its Rust program, which reads"
        " circuit and witness; of plonnx what it takes with the keys loaded."
    )
    return _beside("jstprove", "JSTprove", text, results, cells, ("compile", "prove"))


def _beside(
    key: str, name: str, text: str, results: Result, columns: dict[str, Cell], weighed: tuple[str, ...]
) -> list[str]:
    """A table of both, and one of ratios; `weighed` are the stages whose memory is compared."""
    peer = results.get(key)
    if not peer:
        return []
    title = f"## Beside {name} {peer['version']}".strip()
    if peer["failure"]:
        return [title, "", plain(peer["failure"]), ""]
    theirs = [r for r in results["peers"] if r["tool"] == key]
    ours = {r["subject"]: r for r in results["models"]}
    first: dict[str, Cell] = {"model": lambda r: r["subject"]}
    tool: dict[str, Cell] = {"tool": lambda r: name if r["tool"] == key else r["tool"]}
    ratios: dict[str, Cell] = {
        **{f"{stage}, times faster": ratio(ours, stage, "seconds") for stage in STAGES},
        **{f"{stage}, times less memory": ratio(ours, stage, "peak_bytes") for stage in weighed},
    }
    both = [r for r in theirs if r["stages"] and r["subject"] in ours and not ours[r["subject"]]["failure"]]
    ratios = {title: cell for title, cell in ratios.items() if any(cell(r) != "-" for r in both)}
    rows = [r for p in theirs for r in (ours.get(p["subject"]), p) if r]
    return [
        title,
        "",
        text,
        "",
        *table(first | tool | columns | {"": why}, rows),
        "",
        *([*table(first | ratios, both), ""] if both else []),
    ]


def _alone(stage: str) -> Cell:
    """The time of a stage's proof system alone."""

    def cell(r: Result) -> str:
        value = (r.get("native") or r.get("warm") or {}).get(stage)
        return f"{value:.3f}" if value and done(r, stage) else "-"

    return cell
