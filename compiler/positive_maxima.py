"""Softmax of rows whose largest entry is hardly ever below zero: shifted by max(0, largest) instead of by the largest.

    exp(x - ReduceMax(x)) / sum         becomes         exp(x - ReduceMax(Relu(x))) / sum

which is the same, whatever the shift. Positive parts are a free view of cells, and any two of them are less than T
apart, so that they go into a maximum as they are; others are halved before, at two units each. A row whose largest
entry is below zero loses as many bits as its exponential; so this is done where the samples show none below FLOOR, in
public models.
"""

from __future__ import annotations

import numpy as np

from plonnx.compiler.calibration import FEW, Samples, input_range, random_inputs
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops.normalization import softmax_of
from plonnx.compiler.passes.rewrite import Scene, rewrite

FLOOR = -1.0
_RANDOM = 32
"""Inputs that are tried, too, where few samples are given."""


def positive_maxima(graph: Graph, samples: Samples) -> frozenset[str]:
    """The outputs of the Softmax nodes whose rows are so on all samples."""
    nodes = [node for node in graph.nodes if node.op == "Softmax" and not node.domain]
    if not nodes:
        return frozenset()
    measured = measured_on(graph, {node.inputs[0] for node in nodes}, with_random(graph, samples))
    return frozenset(
        node.outputs[0] for node in nodes if all(_least(node, values) >= FLOOR for values in measured[node.inputs[0]])
    )


def with_random(graph: Graph, samples: Samples) -> Samples:
    """The samples; where they are few, random ones too."""
    if len(next(iter(samples.values()))) >= FEW:
        return samples
    random = random_inputs(graph, {name: input_range(values) for name, values in samples.items()}, _RANDOM)
    return {name: np.concatenate([values, random[name]]) for name, values in samples.items()}


def _least(node: Node, values: Array) -> float:
    """The smallest of all rows' largest entries; of a row of -inf alone nothing is asked."""
    axis = int(node.attributes.get("axis", -1 if node.since >= 13 else 1)) % values.ndim
    largest = values.max(axis=axis if node.since >= 13 else tuple(range(axis, values.ndim)))
    return float(np.min(largest, where=np.isfinite(largest), initial=np.inf))


def with_positive_maxima(graph: Graph, chosen: frozenset[str]) -> Graph:
    """Those Softmax nodes spelled out, as far as no mask has replaced them."""

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        chosen_here = node.op == "Softmax" and node.outputs[0] in chosen
        return softmax_of(Steps(scene, node), positive=True) if chosen_here else None

    return rewrite(graph, rule) if chosen else graph
