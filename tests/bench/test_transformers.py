"""The transformers of the benchmarks: small ones of the same make are compiled and fulfil every constraint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from bench import large, transformers
from bench.run import PARTS
from bench.transformers import NETWORKS, sized
from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options

SMALL = [name for name in NETWORKS if name.startswith("small")]


@pytest.mark.parametrize("name", SMALL)
def test_small(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers, "EXTERNAL", 100)
    NETWORKS[name].write(tmp_path)
    onnx.checker.check_model(tmp_path / "network.onnx", full_check=True)
    assert (tmp_path / "weights.bin").exists()
    circuit = compile_model(tmp_path / "network.onnx", tmp_path / "calibration.npz", Options(table_bits=12))
    assert circuit.mock(circuit.read_inputs(tmp_path / "input.json")) == []


def test_knobs(tmp_path: Path) -> None:
    sized(NETWORKS["small_gpt"], tokens=6, layers=2).write(tmp_path)
    graph = onnx.load(tmp_path / "network.onnx").graph
    assert sum(node.op_type == "Softmax" for node in graph.node) == 2
    assert np.load(tmp_path / "calibration.npz")["ids"].shape[1:] == (1, 6)


def test_no_part_removes_the_files_of_a_network(tmp_path: Path) -> None:
    subject = large.made("small_gpt", NETWORKS["small_gpt"], tmp_path, ())
    assert not any((tmp_path / part / subject.name) in subject.model.parents for part in PARTS)
