"""Sums and means of squares or magnitudes along the last axis, of what others read too: a gadget
(gadgets/linear/square_sum.py, magnitude_sum.py).

    ReduceMean(Mul(d, d))       a unit a row, instead of one for each square
    ReduceMean(Abs(d))

So a normalization reads its differences where they stand. Exact sums of squares have one scale, 2^(2 s) for values at
2^s, and what a unit holds of them is a T-th. So a row may be no longer than T: `with_room` makes d as coarse as that.
Where it lacks one bit, each half of a row has a unit: what calibration saw of a whole row fits each, as the limit is
twice that. Not in a private model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.expansion import reduced_axes
from plonnx.compiler.graph import Graph, Node

_FEW = 8
"""Of a row's elements, or of rows: their squares cost little."""


@dataclass(frozen=True)
class SumOfSquares:
    """The node that squares, or takes magnitudes, of what: `width` elements of every row; by which power."""

    square: Node
    x: str
    width: int
    power: int

    @property
    def inner(self) -> tuple[Node, ...]:
        """The node that is made with the sum."""
        return (self.square,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What both nodes read in its place."""
        return tuple(name for name in self.square.inputs if name == self.x)


def sums_of_squares(graph: Graph, fixed: Collection[str] = ()) -> dict[str, SumOfSquares]:
    """By the output of a ReduceSum or ReduceMean. fixed: the outputs of nodes that are made otherwise."""
    makers, uses = {node.outputs[0]: node for node in graph.nodes}, graph.uses()
    shown, found = {source for _, source in graph.outputs}, {}
    for node in graph.nodes:
        if node.op not in ("ReduceSum", "ReduceMean") or node.domain or node.outputs[0] in fixed:
            continue
        square = makers.get(node.inputs[0])
        x = None if square is None else squared(graph, square) or _magnitude(square)
        if square is None or x is None or uses[node.inputs[0]] != 1 or {node.inputs[0], x} & {*shown, *fixed}:
            continue
        shape = graph.tensors[x].shape
        axes = graph.value(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
        if len(node.inputs) > 1 and node.inputs[1] and axes is None:
            continue
        rows = int(np.prod(shape[:-1], dtype=np.int64))
        along = len(shape) > 1 and reduced_axes(node, axes, len(shape)) == (len(shape) - 1,)
        others = uses[x] > square.inputs.count(x)
        if along and others and graph.tensors[x].dtype.kind == "f" and min(rows, shape[-1]) >= _FEW:
            found[node.outputs[0]] = SumOfSquares(square, x, shape[-1], 1 if square.op == "Abs" else 2)
    return found


def _magnitude(node: Node) -> str | None:
    """Of what a node is the magnitude, where it is one."""
    return node.inputs[0] if node.op == "Abs" and not node.domain else None


def squared(graph: Graph, node: Node) -> str | None:
    """What a node squares, where it does."""
    if node.op not in ("Mul", "Pow") or node.domain:
        return None
    x = node.inputs[0]
    if graph.value(x) is not None:
        return None
    if node.op == "Mul":
        return x if node.inputs[1] == x else None
    exponent = graph.value(node.inputs[1]) if node.op == "Pow" else None
    return x if exponent is not None and np.all(exponent == 2) else None
