"""Levels: what quantized models round real numbers to, at their ends.

    input -> Div(step) -> Round -> ..        an input of which the model sees levels alone
    .. -> Round -> .. -> Mul(step) -> output  an output that is one of so many levels

    Conv -> Round -> .. -> Max -> Min         and between them

A level is right or wrong, as a whole number is. So a caller's reals are held by integers on their own side of each
border (layout/inputs.py), and outputs are counted instead of measured (report.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import Mark, marks

Readers = Mapping[str, Sequence[Node]]
"""The nodes that read each tensor."""


def input_steps(graph: Graph, hidden: bool = False) -> dict[str, float]:
    """By input of reals that is only rounded to multiples of one number: that number.

    hidden: only where everybody knows the number, as ports are public.
    """
    found: dict[str, float] = {}
    shown, readers = {source for _, source in graph.outputs}, graph.readers()
    for name in graph.inputs:
        steps = {_step(graph, node, shown, readers, hidden) for node in readers[name]}
        if len(steps) == 1 and name not in shown and graph.tensors[name].dtype.kind == "f":
            step = steps.pop()
            if step:
                found[name] = step
    return found


def _step(graph: Graph, node: Node, shown: set[str], readers: Readers, hidden: bool) -> float:
    """What a reader of an input rounds it to multiples of; zero where it does something else."""
    if marks(node) & Mark.HALFWAY:
        return 1.0
    value = graph.value(node.inputs[1]) if node.op == "Div" and not node.domain else None
    if value is None or (hidden and not graph.tensors[node.inputs[1]].public):
        return 0.0
    if value.size < 1 or np.any(value != value.flat[0]) or not value.flat[0] > 0:
        return 0.0
    made = node.outputs[0]
    rounded = all(marks(reader) & Mark.HALFWAY for reader in readers[made]) and made not in shown
    return float(value.flat[0]) if rounded else 0.0


def output_steps(graph: Graph) -> dict[str, Array]:
    """By tensor that is an output of levels: how far they are apart, broadcasting over it."""
    makers, readers = {name: node for node in graph.nodes for name in node.outputs}, graph.readers()
    found = {}
    for _, source in graph.outputs:
        step, name = np.ones(()), source
        while (node := makers.get(name)) is not None and not marks(node) & Mark.HALFWAY:
            factor = np.ones(()) if marks(node) & Mark.COPIES and step.size == 1 else _factor(graph, node)
            if factor is None:
                break
            step, name = step * np.abs(factor), node.inputs[0]
        if node is not None and marks(node) & Mark.HALFWAY and _quantizes(readers, node):
            found[source] = step
    return found


def _factor(graph: Graph, node: Node) -> Array | None:
    """By how much a node takes levels apart; None where it makes something else of them."""
    others = [graph.value(name) for name in node.inputs[1:] if name]
    if node.domain or any(value is None for value in others):
        return None
    if node.op == "Mul" and others[0] is not None and np.all(others[0]):
        return np.asarray(others[0], np.float64)
    return np.ones(()) if marks(node) & Mark.WHOLE or node.op == "Cast" else None


def rounded_layers(graph: Graph) -> frozenset[str]:
    """What layers make that is rounded to levels, and read by nobody else: sums of integers times a real number."""
    uses, readers = graph.uses(), graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    found = set()
    for node in graph.nodes:
        source = node.inputs[0] if marks(node) & Mark.HALFWAY else ""
        if source in makers and marks(makers[source]) & Mark.LAYER and uses[source] == 1 and _quantizes(readers, node):
            found.add(source)
    return frozenset(found)


def _quantizes(readers: Readers, node: Node) -> bool:
    """Whether what a node rounds is then moved by a zero point, and held within a type."""
    then = readers[node.outputs[0]]
    if len(then) == 1 and then[0].op == "Add":
        then = readers[then[0].outputs[0]]
    return len(then) == 1 and bool(marks(then[0]) & Mark.HALVES)
