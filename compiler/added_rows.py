"""Sums of rows of a large constant matrix and another constant, which become one gadget (standing_rows.py).

    Add(Gather(M, x), A)        words and their positions: a unit an element, instead of two and a copy

Of public models, where nobody else reads the rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops.embedding import by_rows


@dataclass(frozen=True)
class AddedRows:
    """The node that gathers rows, and the name of what is added."""

    gather: Node
    added: str

    @property
    def inner(self) -> tuple[Node, ...]:
        """The node that is made with the sum."""
        return (self.gather,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All that it reads."""
        return (*self.gather.inputs, self.added)


def added_rows(graph: Graph, fixed: Collection[str]) -> dict[str, AddedRows]:
    """By the output of an Add. fixed: the outputs of nodes that are made otherwise."""
    makers, uses = {node.outputs[0]: node for node in graph.nodes}, graph.uses()
    shown, found = {source for _, source in graph.outputs}, {}
    for node in graph.nodes:
        if node.op != "Add" or node.domain or node.outputs[0] in fixed:
            continue
        for name, added in (node.inputs, node.inputs[::-1]):
            gather = makers.get(name)
            if gather is None or graph.value(added) is None or not _serves(graph, gather):
                continue
            alone = uses[name] == 1 and name not in shown and name not in fixed
            plain = not any(graph.tensors[made].wide for made in (name, node.outputs[0]))
            if alone and plain and graph.tensors[name].shape == graph.tensors[node.outputs[0]].shape:
                found[node.outputs[0]] = AddedRows(gather, added)
    return found


def _serves(graph: Graph, node: Node) -> bool:
    """Rows of a constant matrix at computed numbers, that are looked up whole, of real numbers."""
    if node.op != "Gather" or node.domain or int(node.attributes.get("axis", 0)) != 0:
        return False
    matrix = graph.value(node.inputs[0])
    made = graph.tensors[node.outputs[0]]
    whole = matrix is not None and by_rows(matrix, made.size)
    return whole and made.dtype.kind == "f" and graph.value(node.inputs[1]) is None
