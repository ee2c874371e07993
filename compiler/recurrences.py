"""Layers that are steps of one recurrence: Gemms of the same constants, and the function that all of them go through.

    a = Gemm([x_t, h], W);  g = Sigmoid(a)        for every t: one gadget, with the sigmoid in its own units

The steps are one gadget, which passes over its weights once (gadgets/linear/shared.py). Where all that reads each of
them is one function, and the same one of all, it is applied where their sums stand: a row less for each of its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plonnx.compiler.fixed_point import Recurrence
from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import find
from plonnx.compiler.pointwise import Chain


def recurrences(graph: Graph, composed: Mapping[str, Chain]) -> dict[str, Recurrence]:
    """Output of a Gemm -> the layers of which it is a step: Gemms of the same constants over rows of one shape.

    `composed` are the graph's chains. Not of a hidden model, whose architecture knows no steps (layout/recorded.py):
    there each step has its weights.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for node in graph.nodes:
        if node.op == "Gemm" and graph.value(node.inputs[1]) is not None:
            x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
            key = (*node.inputs[1:], x.shape, x.scale, y.scale)
            groups.setdefault(key, []).append(node.outputs[0])
    found: dict[str, Recurrence] = {}
    readers, shown = graph.readers(), {source for _, source in graph.outputs}
    of_source = {chain.source: chain for chain in composed.values()}
    for outputs in groups.values():
        if len(outputs) > 1:
            functions = {_function(graph, name, readers[name], of_source.get(name)) for name in outputs}
            alike = len(functions) == 1 and None not in functions and shown.isdisjoint(outputs)
            found.update(dict.fromkeys(outputs, Recurrence(len(outputs), alike)))
    return found


def afresh(found: Mapping[str, Recurrence]) -> dict[str, Recurrence]:
    """The same layers for a circuit of their own: none of their steps is made."""
    layers = {id(layer): Recurrence(layer.steps, layer.alike) for layer in found.values()}
    return {name: layers[id(layer)] for name, layer in found.items()}


def _function(graph: Graph, name: str, readers: Sequence[Node], chain: Chain | None) -> tuple[object, ...] | None:
    """What is computed of a tensor of reals, element by element, over which interval and at which scale.

    None where that is no function, or more than one.
    """
    if chain is not None and not chain.halfway and all(node in chain.nodes for node in readers):
        last, formula = chain.nodes[-1], chain.formula
    elif chain is None and len(readers) == 1 and tuple(filter(None, readers[0].inputs)) == (name,):
        last, formula = readers[0], readers[0].formula(["x"])
    else:
        return None
    x, made = graph.tensors[name], graph.tensors[last.outputs[0]]
    operator = find(last)
    elementwise = operator is not None and operator.real is not None and made.shape == x.shape
    if not elementwise or x.dtype.kind != "f" or made.dtype.kind != "f":
        return None
    return formula, made.scale, x.interval
