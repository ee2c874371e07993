"""Operators that ONNX defines by others: LinearAttention, CausalConvWithState, FlexAttention with its inner graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.importer import import_graph
from plonnx.compiler.input_shapes import fix_shapes
from plonnx.compiler.onnx_file import read_model
from plonnx.compiler.options import Options
from tests.compiler.small import assert_accurate, assert_proves, compiled, graph_of, onnx_model, operators

HEADS = "q_num_heads = 2, kv_num_heads = 1"
PARTS = "float[1,3,4] q, float[1,3,2] k, float[1,3,3] v"
X = "float[1,2,4] x"
KERNEL = {"w": np.random.default_rng(0).normal(size=(2, 1, 3)), "b": np.random.default_rng(1).normal(size=2)}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    (f"{PARTS}) => (float y, float s)", f'y, s = LinearAttention<{HEADS}, update_rule = "linear">(q, k, v)', {}),
    (
        f"{PARTS}, float[1,1,2,3] p, float[1,3,1] d, float[1,3,1] b) => (float y)",
        f"y, s = LinearAttention<{HEADS}>(q, k, v, p, d, b)",
        {},
    ),
    (f"{X}) => (float y, float s)", "y, s = CausalConvWithState(x, w)", KERNEL),
    (f"{X}, float[1,2,2] p) => (float y)", 'y, s = CausalConvWithState<activation = "silu">(x, w, b, p)', KERNEL),
]


@pytest.mark.parametrize(("signature", "body", "constants"), CASES, ids=[case[1] for case in CASES])
def test_as_the_standard_says(tmp_path: Path, signature: str, body: str, constants: dict[str, Any]) -> None:
    used = {name: value for name, value in constants.items() if f" {name}" in body[body.index("(") :]}
    assert_accurate(compiled(tmp_path, signature, body, used, 27))


def flexible(**changes: tuple[str, tuple[str, ...], dict[str, float]]) -> Any:
    """FlexAttention of one head whose scores or shares one node changes."""
    node = helper.make_node("FlexAttention", ["q", "k", "v"], ["y"], domain="ai.onnx.preview")
    for name, (op, operands, constants) in changes.items():
        held = [helper.make_tensor(key, TensorProto.FLOAT, [], [value]) for key, value in constants.items()]
        ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, list("BHLS")) for end in ("s", "t")]
        inner = helper.make_graph([helper.make_node(op, operands, ["t"])], name, ends[:1], ends[1:], held)
        node.attribute.append(helper.make_attribute(name, inner))
    model = onnx_model("float[1,1,3,4] q, float[1,1,3,4] k, float[1,1,3,2] v) => (float y)", "y = Identity(v)", {}, 26)
    model.opset_import.append(helper.make_opsetid("ai.onnx.preview", 1))
    del model.graph.node[:]
    model.graph.node.append(node)
    return model


@pytest.mark.parametrize(
    "changes", [{}, {"score_mod": ("Mul", ("s", "c"), {"c": 0.5}), "prob_mod": ("Add", ("s", "c"), {"c": 0.25})}]
)
def test_attention_with_graphs_inside(changes: Any) -> None:
    random = np.random.default_rng(2)
    data = {name: random.normal(size=(40, 1, 1, 3, width)) for name, width in (("q", 4), ("k", 4), ("v", 2))}
    made = quantized(flexible(**changes), data, Options(table_bits=12))
    scores = data["q"] @ np.swapaxes(data["k"], -1, -2) / 2.0 * (0.5 if changes else 1.0)
    powers = np.exp(scores)
    expected = (powers / powers.sum(axis=-1, keepdims=True) + (0.25 if changes else 0.0)) @ data["v"]
    assert np.abs(made.evaluate(data)["y"] - expected).max() < 0.005 * np.ptp(expected)


def test_proved() -> None:
    model = onnx_model(f"{X}) => (float y, float s)", "y, s = CausalConvWithState(x, w)", {"w": KERNEL["w"]}, 27)
    assert_proves(model, {"x": np.random.default_rng(3).uniform(-1, 1, (20, 1, 2, 4))})


def test_what_has_a_handler_is_not_defined_away(tmp_path: Path) -> None:
    assert operators(graph_of(tmp_path, "float[2,3] x) => (float y)", "y = HardSwish(x)", {}, 22)) == ["HardSwish"]


def test_what_is_refused_inside_names_the_node() -> None:
    model = flexible(score_mod=("Multinomial", ("s",), {}))
    with pytest.raises(CompileError, match=r"\(Multinomial\): draws random numbers"):
        import_graph(read_model(model), fix_shapes(read_model(model)))
