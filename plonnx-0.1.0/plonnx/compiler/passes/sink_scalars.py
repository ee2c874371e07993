"""Scalar constants move past re-indexing, towards the matrix that can absorb them.

    Flatten(Mul(image, 1/255))         becomes         Mul(Flatten(image), 1/255)

and likewise for Add, and for Reshape, Squeeze, Unsqueeze, Transpose, Expand and Tile.
"""

from __future__ import annotations

from dataclasses import replace

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite


def sink_scalars(graph: Graph) -> Graph:
    """Swap a scalar Add or Mul with the re-indexing that follows it."""
    return rewrite(graph, _rule)


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    if not marks(node) & (Mark.RESHAPES | Mark.PERMUTES):
        return None
    step = scene.constant_step(node.inputs[0])
    if step is None:
        return None
    before, x, constant = step
    if constant.size != 1 or scene.shape(x) != scene.shape(node.inputs[0]):
        return None
    output = node.outputs[0]
    moved = scene.computed(output, scene.shape(output))
    sources = [name for name in before.inputs if name != x]
    scalar = scene.constant(output, constant.reshape(()), *sources)
    return [
        replace(node, inputs=(x, *node.inputs[1:]), outputs=(moved,)),
        scene.node(before.op, (moved, scalar), output, before.name),
    ]
