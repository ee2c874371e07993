"""`plonnx run` and `plonnx evaluate`; options that are given in a wrong form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from plonnx.cli.console import Report
from tests.cli.conftest import PUBLIC, Plonnx

DATA = [[0.5, -0.25, 1.0], [-0.5, 0.25, 0.75], [0.125, 0.5, -1.0]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", x=np.array(DATA))
    return tmp_path / "data.npz"


def test_run_prints_outputs(plonnx: Plonnx, proved: Path) -> None:
    """The same numbers that the proof shows."""
    ran = plonnx("run", "model.circuit", "input.json", cwd=proved)
    assert ran.code == 0 and ran.out.startswith("output y [1, 2]:"), ran
    shown = plonnx("verify", "model.vk", "model.proof", "--json", cwd=proved).json["outputs"]["y"]
    assert plonnx("run", "model.circuit", "input.json", "--json", cwd=proved).json["outputs"]["y"] == shown


def test_run_takes_a_batch_and_writes_it(plonnx: Plonnx, proved: Path, data: Path) -> None:
    target = data.with_name("out.npz")
    ran = plonnx("run", "model.circuit", data, "-o", target, "--json", cwd=proved)
    assert ran.code == 0, ran.err
    assert ran.json["samples"] == 3 and "bytes" in ran.json
    with np.load(target) as held:
        np.testing.assert_array_equal(held["y"], ran.json["outputs"]["y"])
    wrong = plonnx("run", "model.circuit", data, "-o", data.with_name("out.txt"), cwd=proved)
    assert wrong.code == 2 and "written as .npz" in wrong.err and not data.with_name("out.txt").exists()


def test_run_reads_csv(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in DATA))
    assert plonnx("run", "model.circuit", tmp_path / "data.csv", "--json", cwd=proved).json["samples"] == 3


def test_evaluate(plonnx: Plonnx, proved: Path, data: Path) -> None:
    labels = data.with_name("labels.npy")
    np.save(labels, np.array([0, 1, 0]))
    ran = plonnx("evaluate", "model.circuit", data, "--labels", labels, "--json", cwd=proved)
    assert ran.code == 0, ran.err
    assert ran.json["circuit"] == ran.json["float"] and "accuracy" in ran.json["circuit"]
    assert ran.json["model"] == "model.onnx" and ran.json["agreement"]["decisions"] == 1.0
    text = plonnx("evaluate", "model.circuit", data, "--labels", labels, cwd=proved).out
    assert "accuracy" in text and "agreement" in text


def test_evaluate_without_a_float_model(plonnx: Plonnx, proved: Path, data: Path) -> None:
    alone = data.with_name("alone.circuit")
    alone.write_bytes((proved / "model.circuit").read_bytes())
    ran = plonnx("evaluate", alone, data)
    assert ran.code == 2 and "--labels FILE, or the float model with --model MODEL.onnx" in ran.err
    ran = plonnx("evaluate", "model.circuit", data, "--labels", data, cwd=proved)
    assert ran.code == 1 and "it holds no labels: give an .npy file, or name the array labels" in ran.err
    ran = plonnx("setup", "model.onnx", cwd=proved)
    assert ran.code == 1 and "compile the model, which writes one" in ran.err
    labels = data.with_name("labels.csv")
    labels.write_text("0\n1\n0\n")
    assert "float" not in plonnx("evaluate", alone, data, "--labels", labels, "--json").json
    assert (
        "float" in plonnx("evaluate", alone, data, "--labels", labels, "--model", proved / "model.onnx", "--json").json
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--input", "x"], "--input x: say --input private for all, or --input NAME=private for each"),
        (["--input", "x=secret"], "--input x=secret: say --input private for all"),
        (["--output", "secret"], "--output secret: say --output private for all"),
        (["--input", "private", "--input", "x=public"], "--input private x=public: say --input private for all"),
        (["--model", "hidden"], "--model hidden: choose public or private"),
        (["--optimize", "speed"], "--optimize speed: choose prover, gas or balanced"),
        (["--dim", "batch"], "--dim batch: it takes NAME=VALUE"),
    ],
)
def test_wrong_forms_say_the_right_one(plonnx: Plonnx, proved: Path, arguments: list[str], said: str) -> None:
    ran = plonnx("compile", "model.onnx", "--data", "input.json", *arguments, "-o", "new.circuit", cwd=proved)
    assert ran.code == 2 and said in ran.err, ran.err
    assert not (proved / "new.circuit").exists()


def test_outputs_and_rows_are_options(plonnx: Plonnx, proved: Path, tmp_path: Path) -> None:
    target = tmp_path / "new.circuit"
    chosen = ["compile", "model.onnx", "--data", "input.json", "-o", target]
    assert plonnx(*chosen, "--outputs", "y", "--srs-size", "12", cwd=proved).code == 0
    refused = plonnx(*chosen, "--outputs", "z", cwd=proved)
    assert refused.code == 1 and "--outputs z: model.onnx has the outputs y" in refused.err
    assert json.dumps(PUBLIC)


def test_large_whole_numbers_are_printed_with_all_their_digits(capsys: pytest.CaptureFixture[str]) -> None:
    Report("verify", False).tensors("output", {"y": np.array([-1283708912.0, 7.0]), "r": np.array([1e6 / 3])})
    assert capsys.readouterr().out.splitlines()[1::2] == ["  [-1283708912,           7]", "  [333333.333333]"]
