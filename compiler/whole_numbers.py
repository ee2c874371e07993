"""Tensors of whole numbers that are best held as they are: at scale 0.

    Round(x / s) + z    what a quantized layer reads: 0, 1, .., 255 in steps of one

A cell that holds 2^s times a whole number is no finer, and leaves the weights of the layer that reads it s bits less.
Only where every reader takes whatever scale there is; what takes its operand's for its result may hold more than whole
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plonnx.compiler.graph import Graph, Node, Tensor
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.registry import calibrated

_MAKES = Mark.COPIES | Mark.WHOLE
"""Makes whole numbers of whole numbers."""


def whole_numbers(graph: Graph) -> frozenset[str]:
    """Computed tensors of whole numbers, none of them an output, whose readers ask for no finer scale."""
    whole = _made_of_whole(graph, _MAKES, "Concat")
    taken = whole - {source for _, source in graph.outputs}
    for node in reversed(graph.nodes):
        any_scale = _takes_any_scale(node) or _is_rescaled(graph, node)
        if not (_carries(graph, node) and node.outputs[0] in taken) and not any_scale:
            taken.difference_update(node.inputs)
    made = {node.outputs[0] for node in graph.nodes if not marks(node) & Mark.HALVES}
    return frozenset(taken & made)


def of_whole_numbers(graph: Graph) -> set[str]:
    """Tensors that hold whole numbers, whatever the inputs: integers, Booleans, and what is made of such."""
    return _made_of_whole(graph, _MAKES | Mark.FILLS | Mark.JOINS | Mark.EXTREME, "Mul")


def _made_of_whole(graph: Graph, makes: Mark, *operators: str) -> set[str]:
    whole = {name for name, tensor in graph.tensors.items() if tensor.dtype.kind in "iub"}
    for node in graph.nodes:
        if _is_whole(graph, node, whole, makes, operators):
            whole.add(node.outputs[0])
    return whole


def _carries(graph: Graph, node: Node) -> bool:
    """Whether the result has its operand's scale, and may as well have 0: what moves integers, or takes the largest."""
    largest = marks(node) & Mark.BETWEEN and marks(node) & Mark.SPATIAL and len(node.outputs) == 1
    whole = graph.tensors[node.outputs[0]].dtype.kind in "iu"
    return bool(marks(node) & Mark.COPIES or (largest and whole)) or node.op in ("Cast", "Concat")


def _is_whole(graph: Graph, node: Node, whole: set[str], makes: Mark, operators: Sequence[str]) -> bool:
    """Whether whole numbers make whole numbers here, or anything does."""
    if marks(node) & Mark.HALFWAY:
        return True
    if node.domain or not (marks(node) & makes or node.op in ("Cast", *operators)):
        return False
    read = [graph.tensors[name] for name in node.inputs if name]
    return all(tensor.name in whole or _holds_whole(tensor) for tensor in read)


def _holds_whole(tensor: Tensor) -> bool:
    value = tensor.value
    return value is not None and bool(np.all(value == np.floor(value)))


def _takes_any_scale(node: Node) -> bool:
    operator = find(node)
    return operator is not None and operator.scale is calibrated and not marks(node) & (Mark.JOINS | Mark.HALVES)


def _is_rescaled(graph: Graph, node: Node) -> bool:
    """Whether a product of a tensor and a constant has a scale of its own, as by the step of a quantized tensor.

    Not by a power of two, which leaves the cells and moves the scale.
    """
    values = [value for name in node.inputs if (value := graph.value(name)) is not None]
    if node.op != "Mul" or node.domain or len(values) != 1 or graph.tensors[node.outputs[0]].dtype.kind != "f":
        return False
    return bool(np.any(np.frexp(values[0].astype(np.float64))[0] != 0.5))
