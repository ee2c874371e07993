"""Constant sums and scalings of columns disappear into the Gemm behind the Concat that joins them.

    Gemm(Concat(Mul(x, c), y), W, b)      becomes      Gemm(Concat(x, y), c' W, b)            c' is c, then ones
    Gemm(Concat(Add(x, c), y), W, b)      becomes      Gemm(Concat(x, y), W, b + c' W)        c' is c, then zeros

as where a model standardises each of its inputs by itself. Each c is the same for every row.
"""

from __future__ import annotations

from dataclasses import replace

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.passes.fold_into_gemm import as_row, gemm_node, gemm_parts
from plonnx.compiler.passes.rewrite import Scene, rewrite


def fold_through_concat(graph: Graph) -> Graph:
    """Fold the last Mul or Add of every part before the Concat before each Gemm."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    parts = gemm_parts(scene, node) if node.op == "Gemm" else None
    concat = scene.producer(node.inputs[0], "Concat")
    if parts is None or concat is None or int(concat.attributes["axis"]) not in (1, -1):
        return None
    weights, bias = parts[0].copy(), parts[1].copy()
    joined, start = [], 0
    for name in concat.inputs:
        stop = start + scene.shape(name)[1]
        step = scene.constant_step(name)
        row = None if step is None else as_row(step[2], scene.shape(step[1]), scene.shape(name))
        if step is None or row is None:
            joined.append(name)
        elif step[0].op == "Add":
            bias += row @ weights[start:stop]
            joined.append(step[1])
        else:
            weights[start:stop] *= row[:, None]
            joined.append(step[1])
        start = stop
    if tuple(joined) == concat.inputs:
        return None
    moved = scene.computed(node.outputs[0], scene.shape(node.inputs[0]))
    return [
        replace(concat, inputs=tuple(joined), outputs=(moved,)),
        gemm_node(scene, moved, (weights, bias), node.outputs[0], node.name),
    ]
