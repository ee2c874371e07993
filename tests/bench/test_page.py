"""The page says what was measured, what was not, and why."""

from __future__ import annotations

from typing import Any

from bench import beside, large, report, thorough
from bench.goals import goals

STAGE = {"seconds": 1.0, "peak_bytes": 10**6, "failure": ""}


def model(name: str, **more: Any) -> dict[str, Any]:
    """A model that went through every stage."""
    stages = {stage: dict(STAGE) for stage in ("compile", "setup", "prove", "verify")}
    empty = {"failure": "", "note": "", "evm_note": "", "gas": None}
    return {"tool": "plonnx", "subject": name, "stages": stages, "warm": {"prove": 0.5}, "bytes": {}} | empty | more


def test_goals() -> None:
    kernels = [{"kernel": k, "prove": prove} for k, prove in ((3, 1.0), (7, 1.25))]
    areas = [{"kind": "dilated", "kernels": kernels}, {"kind": "broken", "kernels": []}]
    found = model("lenet_5", bytes={"pk": 20_000_000})
    lines = "\n".join(goals({"models": [found], "peers": [], "kernel_area": areas}))
    assert "| lenet_5: prove, keys loaded | 1 s | 0.5 s | reached |" in lines
    assert "| lenet_5: proving key | 10 MB | 20 MB | **not reached** |" in lines
    assert "| cifar_wide: prove, keys loaded | 4 s | - | not measured |" in lines
    assert "| dilated: prove, large kernel against small, difference | 20 % | 25 % | **not reached** |" in lines
    assert "| broken: prove, large kernel against small, difference | 20 % | - | not measured |" in lines


def test_beside_jstprove() -> None:
    peer = {"tool": "jstprove", "subject": "cifar_cnn", "bytes": {"proof": 5}, "native": {"prove": 2.0}, "failure": ""}
    peer["stages"] = {"compile": STAGE, "prove": STAGE | {"seconds": 3.0}, "verify": STAGE}
    untried = {"tool": "jstprove", "subject": "cifar_wide", "stages": {}, "failure": "not tried"}
    results = {"models": [model("cifar_cnn")], "peers": [peer, untried], "jstprove": {"version": "2", "failure": ""}}
    lines = "\n".join(beside.jstprove(results))
    assert "| cifar_cnn | JSTprove | 1.00 | - | 3.00 | 1.00 | 2.000 | - | 1 | 1 | - | - | 5 |  |" in lines
    assert "| cifar_cnn | 1.0 | 3.0 | 1.0 | 1.0 | 1.0 |" in lines
    assert "not tried" in lines
    assert not beside.ezkl(results)
    missing = {"version": "", "failure": "jstprove needs Debian's libopenmpi3"}
    assert beside.jstprove(results | {"jstprove": missing}) == ["## Beside JSTprove", "", missing["failure"], ""]


def test_a_contract_that_is_too_long_is_named() -> None:
    """By its model, with all that was said of it: two may differ in a figure alone."""
    predicted = {"predicted": {"gas": 4_000_000}, "gas": 4_400_000}
    said = [f"the key would take {size} bytes of the contract: use the shared verifier" for size in (62_861, 63_141)]
    notes = [model(name, warm=predicted, evm_note=note) for name, note in zip(("a", "b"), said, strict=True)]
    lines = "\n".join(report.predictions({"models": [*notes, model("c", warm=predicted, gas=4_100_000)]}))
    assert f"\\* a: {said[0]}\n" in lines and lines.endswith(f"\\* b: {said[1]}\n") and "c: " not in lines


def test_kernel_area_that_failed() -> None:
    lines = report.kernel_area({"kernel_area": [{"kind": "dilated", "kernels": [], "failure": "stopped | killed"}]})
    assert "| dilated | - | - | - | - | - | - | - | stopped \\| killed |" in lines


def test_networks_of_ten_million_parameters() -> None:
    proved = {"prove": 4.0, "first": 5.2, "msm": 2.0, "rows": 1 << 17}
    found = model("vgg16", warm=proved, portable={"prove": 10.0}, bytes={"pk": 34_000_000})
    found["stages"] |= {"mock": dict(STAGE)}
    failed = model("resnet18", warm={}, failure="compile: stopped after 180 s", stages={"mock": dict(STAGE)})
    results = {"models": [], "peers": [], "vision": [found, failed]}
    lines = "\n".join(thorough.thorough(results))
    figures = "| 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1 | 1 | 1 | 5.20 | 4.00 | 10.00 | 2.50 | 34.0 |"
    assert f"| vgg16 | 131,072 {figures} - |  |" in lines
    assert "compile: stopped after 180 s" in lines
    lines = "\n".join(goals(results))
    assert "| vgg16: prove, keys loaded | 2.5 s | 4 s | **not reached** |" in lines
    assert "| vgg16: the first proof of a process / the next | 1.2 | 1.3 | **not reached** |" in lines
    assert "| vgg16: prove / its MSMs | 1.5 | 2 | **not reached** |" in lines
    assert "| mobilenet_v2: `plonnx compile` | 20 s | - | not measured |" in lines
    assert not thorough.thorough({"models": [], "vision": []})


def test_predictions_are_judged_where_they_are_scaled() -> None:
    """Twice and eight times as long as predicted is half and twice as long on a machine that is four times slower."""
    guess = {"prove_seconds": 0.25, "peak_bytes": 10**6}
    slow = model("digits_mlp", warm={"prove": 2.0, "predicted": guess})
    fast = model("digits_cnn", warm={"prove": 0.5, "predicted": guess | {"peak_bytes": 8 * 10**5}})
    failed = model("lenet_5", warm={"prove": 9.0, "predicted": guess}, stages={})
    results = {"models": [slow, fast, failed, model("1l_relu")], "peers": []}
    lines = "\n".join(goals(results))
    assert "| a proof's predicted seconds, scaled to the machine, off by | 25 % | 100 % | **not reached** |" in lines
    assert "| a proof's predicted memory, off by | 15 % | 25 % | **not reached** |" in lines
    assert "not measured" in "\n".join(goals({"models": [], "peers": []})).split("predicted memory")[1]
    page = {"models": [slow, fast, model("1l_relu")], "peers": []}
    assert "4.00 times as many, measured / predicted is 0.50 to 2.00." in "\n".join(report.predictions(page))


def test_transformers() -> None:
    """Figures beside goals; a proof too slow, one not made; a family by tokens and layers."""
    warm = {"rows": 4096, "prove": 25.0, "units": 1000, "proof_bytes": 8000}
    rows = [model("gpt2_small", warm=warm, bytes={"proof": 9000}), model("bert_tiny", failure="setup: stopped")]
    lines = "\n".join(large.transformers({"transformers": rows}))
    assert "| gpt2_small | 25 / 20 **not reached** | 1 / 8,000 | 1 / 90 | 8,000 / 16,384 |" in lines
    assert "| 9,000 |" in lines  # the file
    assert "setup: stopped" in lines
    family = [model("t16_l2", warm=warm, tokens=16, layers=2)]
    assert "| 16 | 2 | 4096 | 1,000 | 14,352,384 | 25.000 | - |" in "\n".join(large.scaling({"scaling": family}))
    assert not large.transformers({}) and not large.scaling({})
