"""Masks that hide only nearly: constants such as -10, beside which what they hide still has a share.

    Where(keep, x, -10); Softmax        becomes         Where(keep, x, DEEP); Softmax

Then masks.py takes what is hidden out of the arithmetic. That changes what the model computes, so it is done where the
samples show that all that a mask hides of a row has a share of at most a few times the error target together, and the
compiler falls back on the mask as it is where the targets are missed. A table of 2^13 rounds exp(-10) to zero anyway.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.mask_paths import LOOKED_AT
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.positive_maxima import with_random

DEEP = -1e5
SHALLOW = -6.0
"""What hides less is a bias of scores."""
SHARES = 4.0
"""What is hidden of a row may have so many times the error target: little of a share's error reaches an output."""


def with_deep_masks(graph: Graph, samples: Samples, error_target: float) -> Graph:
    """The graph with such constants DEEP, where all that one hides of a row has hardly a share."""
    makers, uses = {node.outputs[0]: node for node in graph.nodes}, graph.uses()
    found = {
        node.inputs[0]: (maker, place, hidden)
        for node in graph.nodes
        if node.op == "Softmax" and not node.domain and uses[node.inputs[0]] == 1
        for maker in [makers.get(node.inputs[0])]
        if maker is not None
        for place, hidden in [_hiding(graph, maker)]
        if hidden is not None
    }
    shares = {node.outputs[0]: node for node in graph.nodes if node.op == "Softmax" and node.inputs[0] in found}
    if not shares:
        return graph
    measured = measured_on(graph, set(shares), with_random(graph, samples))
    deep: dict[str, int] = {}
    for name, node in shares.items():
        maker, place, hidden = found[node.inputs[0]]
        assert hidden is not None, "only what hides is looked at"
        axis = int(node.attributes.get("axis", -1 if node.since >= 13 else 1)) % hidden.ndim
        axes = (axis,) if node.since >= 13 else tuple(range(axis, hidden.ndim))
        if all(float((values * hidden).sum(axis=axes).max()) <= SHARES * error_target for values in measured[name]):
            deep[maker.outputs[0]] = place

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        place = deep.get(node.outputs[0])
        if place is None:
            return None
        value, inputs = graph.value(node.inputs[place]), list(node.inputs)
        assert value is not None, "masks are constants"
        deeper = np.where(value <= SHALLOW, DEEP, value).astype(value.dtype)
        inputs[place] = scene.constant(node.outputs[0], deeper)
        return [replace(node, inputs=tuple(inputs))]

    return rewrite(graph, rule)


def _hiding(graph: Graph, node: Node) -> tuple[int, NDArray[np.bool_] | None]:
    """Which operand of a node is a mask of zeros and one shallow number, or such a number; what it hides."""
    values = [graph.value(name) for name in node.inputs]
    shape = graph.tensors[node.outputs[0]].shape
    if node.op == "Where" and values[0] is not None:
        for place in (1, 2):
            value = values[place]
            if value is not None and _shallow(value) and np.all(value == value.flat[0]):
                return place, np.broadcast_to(values[0] if place == 1 else ~values[0], shape)
    elif node.op == "Add":
        for place, value in enumerate(values):
            if value is not None and _shallow(value) and len(np.unique(value)) == 2 and np.max(value) == 0:
                return place, np.broadcast_to(value < 0, shape)
    return 0, None


def _shallow(value: Array) -> bool:
    return value.dtype.kind == "f" and value.size > 0 and LOOKED_AT < float(np.min(value)) <= SHALLOW
