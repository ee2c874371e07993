"""Thresholds of trees that lie on a value of the samples are moved away from it, to the side that decides it the same.

    x <= t for a seen x = t        becomes x <= t', t < t' < the next value seen above

Features are rounded to what a circuit holds. A value that equals a threshold, or differs from it by a float's rounding,
may come out on its other side, however large the table: midpoints of values on a grid are on that grid. Only what is
that close is moved, by a 512th of the feature's magnitude at most and by half the way to the next value seen, so that
hardly any other value changes sides. Questions for equality are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops.ml_forest import GT, GTE, LEQ, LT, is_forest, questions, with_thresholds

_CLOSE, _FAR = 2.0**-12, 2.0**-9
"""Of a feature's largest magnitude: what counts as equal, and the most by which a threshold moves."""


def with_clear_thresholds(graph: Graph, samples: Samples) -> Graph:
    """The graph with such thresholds moved."""
    forests = {node.inputs[0] for node in graph.nodes if is_forest(node)}
    if not forests:
        return graph
    seen = measured_on(graph, forests, samples)

    def cleared(node: Node) -> Node:
        if not is_forest(node):
            return node
        width = graph.tensors[node.inputs[0]].shape[-1]
        return with_thresholds(node, _moved(node, np.stack(seen[node.inputs[0]]).reshape(-1, width)))

    return replace(graph, nodes=tuple(cleared(node) for node in graph.nodes))


def _moved(node: Node, seen: Array) -> Mapping[int, float]:
    """By the place of a node: its threshold, where that changes."""
    moved = {}
    features, modes, thresholds = questions(node)
    for feature in np.unique(features[np.isin(modes, (LEQ, LT, GTE, GT))]).tolist():
        values = np.unique(seen[:, feature])
        size = float(np.abs(values).max())
        for kinds, side in (((LEQ, GT), "right"), ((LT, GTE), "left")):
            places = np.flatnonzero((features == feature) & np.isin(modes, kinds))
            at = np.searchsorted(values, thresholds[places], side)
            padded = np.concatenate([[-np.inf], values, [np.inf]])
            below, above = thresholds[places] - padded[at], padded[at + 1] - thresholds[places]
            far = np.minimum(np.maximum(below, above) / 2, _FAR * size)
            step = np.where(below < above, far, -far)
            close = (np.minimum(below, above) <= _CLOSE * size) & (np.maximum(below, above) > _CLOSE * size)
            moved.update(zip(places[close].tolist(), (thresholds[places] + step)[close].tolist(), strict=True))
    return moved
