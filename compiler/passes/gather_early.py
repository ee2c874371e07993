"""What picks some rows of a result moves before what makes them: rows that nobody reads are not computed.

    Gather(MatMul(x [1, 16, 8], W), -1, axis 1)      becomes      MatMul(Gather(x, [-1], axis 1), W), without the axis

and likewise for what works element by element, normalizes or reduces along other axes, or re-indexes. So a language
model that is asked for the last token, or a classifier of the first one, is not computed for the others behind its last
attention. It is done first of all, before masks are taken out of attention. In a hidden model, too, where constants
that are equal stay apart: that they are equal is a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.ops.registry import find
from plonnx.compiler.passes.common_subexpressions import common_subexpressions
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.rewrite import Scene, rewrite


def gather_early(graph: Graph, hidden: bool = False) -> Graph:
    """Move every Gather by constants as far to the front as it goes; hidden: real constants are secret."""
    while True:
        moved = list[Node]()

        def rule(scene: Scene, node: Node, moved: list[Node] = moved) -> list[Node] | None:
            made = _rule(scene, node)
            moved += made or ()
            return made

        changed = rewrite(graph, rule, hidden)
        if not moved:
            return graph
        graph = dead_code(common_subexpressions(changed, hidden))


def _rule(scene: Scene, node: Node) -> list[Node] | None:
    index = scene.value(node.inputs[1]) if node.op == "Gather" and not node.domain else None
    if index is None or index.ndim > 1 or scene.value(node.inputs[0]) is not None:
        return None
    made, output = node.inputs[0], node.outputs[0]
    shape = scene.shape(made)
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    maker = scene.sole_maker(made)
    if index.size >= shape[axis] or maker is None or maker.domain or len(maker.outputs) > 1:
        return None
    places = np.atleast_1d(index) % shape[axis]
    sources = _sources(scene, maker, axis)
    if not sources:
        return None
    nodes: list[Node] = []
    inputs = list(maker.inputs)
    for place, along in sources:
        name = maker.inputs[place]
        inputs[place] = _picked(scene, node, name, along, places, nodes)
    kept = tuple(len(places) if a == axis else extent for a, extent in enumerate(shape))
    result = output if index.ndim else scene.computed(output, kept)
    if maker.op == "Reshape":
        inputs[1] = scene.constant(output, np.array(kept, np.int64), public=True)
    nodes.append(replace(maker, inputs=tuple(inputs), outputs=(result,)))
    if not index.ndim:
        wanted = scene.constant(output, np.array(scene.shape(output), np.int64), public=True)
        nodes.append(scene.node("Reshape", (result, wanted), output, node.name))
    return nodes


def _picked(scene: Scene, node: Node, name: str, axis: int, places: Array, nodes: list[Node]) -> str:
    """A Gather of an operand, or the constant that it would be."""
    value = scene.value(name)
    if value is not None:
        return scene.constant(node.outputs[0], np.take(value, places, axis), name)
    shape = scene.shape(name)
    kept = tuple(len(places) if a == axis else extent for a, extent in enumerate(shape))
    made = scene.computed(name, kept)
    index = scene.constant(node.outputs[0], places.astype(np.int64), public=True)
    nodes.append(scene.node("Gather", (name, index), made, node.name, axis=axis))
    return made


def _sources(scene: Scene, maker: Node, axis: int) -> Sequence[tuple[int, int]]:
    """The operands of a node whose entries along some axis of each become those along `axis` of its result."""
    shape = scene.shape(maker.outputs[0])
    shapes = [scene.shape(name) if name else None for name in maker.inputs]
    operator = find(maker)
    if operator is None or shapes[0] is None:
        return ()
    if operator.real is not None:
        return _broadcast(shapes, shape, axis)
    place = None if operator.along is None else operator.along(maker, shapes, shape, axis)
    return () if place is None else ((0, place),)


def _broadcast(shapes: Sequence[Shape | None], result: Shape, axis: int) -> Sequence[tuple[int, int]]:
    """Of operands that broadcast: those that have the axis."""
    found = []
    for place, shape in enumerate(shapes):
        along = -1 if shape is None else axis - len(result) + len(shape)
        if shape is not None and along >= 0 and shape[along] == result[axis]:
            found.append((place, along))
    return found
