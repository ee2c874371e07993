"""Tensors that are compared with an extreme of themselves: the extreme has to be one of the very integers compared.

    x = MaxPool(x)      becomes      h = x at half its scale,  h = MaxPool(h)

So are ReduceMax, ReduceMin, Max and Min of x, behind copies of it, and any comparison of it, or a difference. No two
candidates of a Maximum lie T apart, so those of a tensor that fills the table on both sides of zero are halved for it,
and half of all maxima are then next to what they are the maximum of. Here they are halved once, for whoever compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnx import helper

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops.registry import HALVED, Mark, marks
from plonnx.compiler.passes.rewrite import Scene

_MOST = 16
"""Tensors that an extreme is of; beyond, it is one of its own."""


def with_halves(graph: Graph) -> Graph:
    """The graph with such tensors halved before their extremes, copies and comparisons read them."""
    found, extremes = _found(graph)
    if not found:
        return graph
    scene, halves, nodes = Scene(graph), dict[str, str](), list[Node]()

    def halve(name: str) -> None:
        if name in found:
            halves[name] = scene.computed(name, scene.shape(name))
            attributes = {"to": helper.np_dtype_to_tensor_dtype(scene.tensors[name].dtype), HALVED: 1}
            nodes.append(Node("Cast", (name,), (halves[name],), attributes, since=13))

    for name in graph.inputs:
        halve(name)
    for node in graph.nodes:
        inputs, noted = node.inputs, {HALVED: 1} if node.outputs[0] in extremes else {}
        if node.op == "Sub" or marks(node) & (Mark.EXTREME | Mark.COPIES | Mark.COMPARES):
            inputs = tuple(halves.get(name, name) for name in inputs)
        nodes.append(replace(node, inputs=inputs, attributes={**node.attributes, **noted}))
        for name in node.outputs:
            halve(name)
    return replace(graph, tensors=scene.tensors, nodes=tuple(nodes))


def _of_difference(node: Node, readers: Mapping[str, Sequence[Node]]) -> Sequence[Node]:
    """Who reads the difference that a node makes."""
    return readers[node.outputs[0]] if node.op == "Sub" and not node.domain else ()


def _found(graph: Graph) -> tuple[frozenset[str], frozenset[str]]:
    """The names of such tensors of real numbers, as something else than a copy makes them; those of their extremes."""
    parts: dict[str, frozenset[str]] = {}  # of copies and extremes: whose elements they have
    extremes: set[str] = set()
    found: set[str] = set()

    def of(name: str) -> frozenset[str]:
        return parts.get(name, frozenset([name]))

    readers = graph.readers()
    for node in graph.nodes:
        read = [name for name in node.inputs if name and graph.value(name) is None]
        compares = any(marks(each) & Mark.COMPARES for each in (node, *_of_difference(node, readers)))
        if compares and len(read) == 2 and not extremes.isdisjoint(read):
            found |= of(read[0]) & of(read[1])
        is_extreme = bool(marks(node) & Mark.EXTREME)
        if not read or not (is_extreme or marks(node) & Mark.COPIES):
            continue
        whole = frozenset[str]().union(*(of(name) for name in (read if is_extreme else read[:1])))
        if len(whole) <= _MOST:
            parts[node.outputs[0]] = whole
            if is_extreme or read[0] in extremes:
                extremes.add(node.outputs[0])
    real = frozenset(name for name in found if graph.tensors[name].dtype.kind == "f")
    return real, frozenset(name for name in extremes if not real.isdisjoint(parts[name]))
