"""What picks some rows of a result moves before what makes them: rows that nobody reads are not computed.

    Gather(MatMul(x [1, 16, 8], W), -1, axis 1)      becomes      MatMul(Gather(x, [-1], axis 1), W), without the axis

and likewise for what works element by element, normalizes or reduces along other axes, or re-indexes. So a language
model that is asked for the last token, or a classifier of the first one, is not computed for the others behind its last
attention. It is done first of all, before masks are taken out of attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.ops.registry import find
from plonnx.compiler.passes.common_subexpressions import common_subexpressions
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.rewrite import Scene, rewrite


def gather_early(graph: Graph) -> Graph:
    """Move every Gather by constants as far to the front as it goes."""
    while True:
        moved = list[Node]()

        def rule(scene: Scene, node: Node, moved: list[Node] = moved) -> list[Node] | None:
            made = _rule(scene, node)
            moved += made or ()
            return made

        changed = rewrite(graph, rule)
        if not moved:
            return graph
        graph = dead_code(common_subexpressions(changed))


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
    place = _PLACES[maker.op](maker, shapes, shape, axis) if maker.op in _PLACES else None
    return () if place is None else ((0, place),)


def _broadcast(shapes: Sequence[Shape | None], result: Shape, axis: int) -> Sequence[tuple[int, int]]:
    """Of operands that broadcast: those that have the axis."""
    found = []
    for place, shape in enumerate(shapes):
        along = -1 if shape is None else axis - len(result) + len(shape)
        if shape is not None and along >= 0 and shape[along] == result[axis]:
            found.append((place, along))
    return found


_Shapes = Sequence[Shape | None]


def _moved(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    return int(node.attributes.get("perm", range(len(shape))[::-1])[axis])


def _reshaped(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    """Where the same elements stand before and behind each entry."""
    assert shapes[0] is not None
    lead = int(np.prod(shape[:axis], dtype=np.int64))
    for place, extent in enumerate(shapes[0]):
        if extent == shape[axis] and int(np.prod(shapes[0][:place], dtype=np.int64)) == lead:
            return place
    return None


def _in_front(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    """An axis that lies before those that a normalization goes over."""
    return axis if axis < int(node.attributes.get("axis", -1)) % len(shape) else None


def _beside(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    """An axis that a softmax does not go along; before version 13 it goes along several."""
    return axis if node.since >= 13 and axis != int(node.attributes.get("axis", -1)) % len(shape) else None


def _row(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    """The rows of the first factor; of a stack of products with one matrix, each product."""
    assert shapes[0] is not None
    first, single = len(shapes[0]) == len(shape), shapes[1] is not None and len(shapes[1]) <= 2
    return axis if first and axis < len(shape) - 1 and (single or axis == len(shape) - 2) else None


def _row_of_gemm(node: Node, shapes: _Shapes, shape: Shape, axis: int) -> int | None:
    """The rows of the first factor, where no bias of rows would have to go along."""
    bias = shapes[2] if len(shapes) > 2 else None
    plain = not node.attributes.get("transA", 0) and (bias is None or len(bias) < 2 or bias[0] == 1)
    return 0 if axis == 0 and plain else None


_PLACES: Mapping[str, Callable[[Node, _Shapes, Shape, int], int | None]] = {
    "Transpose": _moved,
    "Reshape": _reshaped,
    "LayerNormalization": _in_front,
    "RMSNormalization": _in_front,
    "Softmax": _beside,
    "LogSoftmax": _beside,
    "MatMul": _row,
    "Gemm": _row_of_gemm,
}
"""By operator: the axis of the first operand that an axis of the result is, None where there is none."""
