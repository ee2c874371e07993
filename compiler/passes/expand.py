"""Operators that stand for simpler ones are replaced by them, before calibration measures the inner tensors.

    Div(x, y)                    becomes      Mul(x, Reciprocal(y))
    ReduceL2(x)                  becomes      Sqrt(ReduceSum(Mul(x, x)))
    LayerNormalization(x, s, b)  becomes      d = Sub(x, ReduceMean(x)), Add(Mul(Mul(d, 1 / sqrt(..)), s), b)

The rules stand beside the operators (compiler/ops).
"""

from __future__ import annotations

from plonnx.compiler.graph import Graph, Node, fitting
from plonnx.compiler.ops.registry import MICROSOFT, find
from plonnx.compiler.passes.rewrite import Scene, rewrite


def expand(graph: Graph, hidden: bool = False) -> Graph:
    """Apply the rules of the operators once to every node."""
    return rewrite(graph, _rule, hidden)


def expand_attention(graph: Graph, hidden: bool = False) -> Graph:
    """Of what may have masks alone (Attention, and all of com.microsoft), so that compiler/masks.py sees these."""
    masked = [node for node in graph.nodes if (node.domain, node.op) == ("", "Attention") or node.domain == MICROSOFT]
    return (
        rewrite(graph, lambda scene, node: _rule(scene, node) if node in masked else None, hidden) if masked else graph
    )


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    operator = find(node)
    with fitting(node.label):
        return None if operator is None or operator.expand is None else operator.expand(scene, node)
