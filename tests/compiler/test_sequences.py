"""Sequences: the graph has their entries instead, and computes what onnxruntime makes of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plonnx.compiler.graph import CompileError
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from tests.compiler.small import assert_as_onnxruntime, assert_proves, graph_of, onnx_model

X = "float[4,3] x) => "
RUNS = {"two": np.array(2), "three": np.array(3), "sizes": np.array([1, 3]), "last": np.array(-1), "front": np.array(0)}
COLLECTED = """none = SequenceEmpty()
    s = Loop(three, , none) <body = g (int64 i, bool go, seq(float[3]) a) => (bool on, seq(float[3]) b) {
        on = Identity(go)
        row = Gather(x, i)
        twice = Mul(row, row)
        b = SequenceInsert(a, twice)
    }>"""


@pytest.mark.parametrize(
    ("shown", "body"),
    [
        ("float[2,3] y", "s = SplitToSequence(x, two) y = SequenceAt(s, last)"),
        ("float[1,3] y", "s = SplitToSequence(x, three) y = SequenceAt(s, last)"),
        ("float[3,3] y", "s = SplitToSequence(x, sizes) y = SequenceAt(s, last)"),
        ("float[4] y", "s = SplitToSequence<axis = 1, keepdims = 0>(x) y = SequenceAt(s, last)"),
        ("float[4,1] y", "s = SplitToSequence<axis = -1>(x) y = SequenceAt(s, last)"),
        ("float[8,3] y", "n = Neg(x) s = SequenceConstruct(x, n) y = ConcatFromSequence<axis = 0>(s)"),
        ("float[4,2,3] y", "n = Neg(x) s = SequenceConstruct(x, n) y = ConcatFromSequence<axis = 1, new_axis = 1>(s)"),
        (
            "float[8,3] y",
            "n = Neg(x) s = SequenceConstruct(x, x) t = SequenceInsert(s, n, front) u = SequenceErase(t)"
            " y = ConcatFromSequence<axis = 0>(u)",
        ),
        (
            "float[4,3] y",
            "s = SplitToSequence(x, two) n = SequenceLength(s) f = Cast<to = 1>(n) y = Mul(x, f)",
        ),
        ("float[3,3] y", COLLECTED + "y = ConcatFromSequence<axis = 0, new_axis = 1>(s)"),
    ],
)
def test_entries(shown: str, body: str) -> None:
    model = onnx_model(f"{X}({shown})", body, RUNS)
    read = read_model(model)
    graph = import_graph(read, fix_shapes(read))
    assert not any("Sequence" in node.op for node in graph.nodes)
    x = np.random.RandomState(0).randint(-64, 65, (20, 4, 3)).astype(np.float32) / 64
    assert_as_onnxruntime(model, {"x": x}, 0.002)


def test_a_loop_that_collects_is_proved() -> None:
    model = onnx_model(X + "(float[3,3] y)", COLLECTED + "y = ConcatFromSequence<axis = 0, new_axis = 1>(s)", RUNS)
    assert_proves(model, {"x": np.random.RandomState(0).rand(8, 4, 3).astype(np.float32)}, error_target=0.1)


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (X, "s = SplitToSequence(x, two) y = SequenceAt(s, three)", r"'y' \(SequenceAt\): its sequence of 2 entries"),
        (
            "float x) => ",
            "s = SplitToSequence(x) y = SequenceAt(s, front)",
            "its operand of 0 axes has none at 0; export",
        ),
        (X, "s = SequenceEmpty() y = ConcatFromSequence<axis = 0>(s)", "its sequence is empty; export the model with"),
        (
            "float[4,3] x, int64 k) => ",
            "s = SplitToSequence(x, two) y = SequenceAt(s, k)",
            r"\(SequenceAt\): which entries it means depends on the inputs; export the model with tensors",
        ),
        (
            "float[4,3] x, bool k) => ",
            """s = If(k) <then_branch = a () => (seq(float[2,3]) t) { t = SplitToSequence(x, two) },
                else_branch = b () => (seq(float[2,3]) e) { e = SplitToSequence(x, two) }>
            y = SequenceAt(s, front)""",
            "its branches give sequences",
        ),
        (X, "y = SplitToSequence(x, two)", "an output is a sequence; make its entries outputs of their own"),
    ],
)
def test_what_is_refused(tmp_path: Path, signature: str, body: str, message: str) -> None:
    shown = "seq(float[2,3]) y" if body.startswith("y =") else "float[N,3] y"
    with pytest.raises(CompileError, match=message):
        graph_of(tmp_path, f"{signature}({shown})", body, RUNS)
