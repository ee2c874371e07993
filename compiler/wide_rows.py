"""Normalizations over rows of very different sizes: each row is brought to size one before it is squared.

    v = ReduceMean(Mul(d, d)); y = Mul(d, g / sqrt(v + e))
    becomes
    r = 1 / (ReduceMean(Abs(d)) + sqrt(e)); u = Mul(d, r)
    v = ReduceMean(Mul(u, u)); y = Mul(u, g / sqrt(v + e r r))

v has the square of the range that d has: where one token is 30 times as large as another, the smaller one's v would be
a few integers. g is a constant for each row, or none. r may be rough: it scales both sides. That costs three units an
element, and is done where the samples show such rows, in public models: what a private one looks like follows from no
measurement but that of its scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite

RATIO = 64.0
"""Of the largest mean square of a row to the smallest: then the rows differ by a factor of 8."""


@dataclass(frozen=True)
class _Ends:
    """A normalization: of d, by the mean of its squares and epsilon, times a constant for each row."""

    d: str
    mean: str
    epsilon: float
    factor: str | None


def with_scaled_rows(graph: Graph, samples: Samples) -> Graph:
    """The graph with rows scaled, wherever the samples ask for it."""
    makers = {node.outputs[0]: node for node in graph.nodes}
    uses = graph.uses()
    squares = {node.outputs[0]: node.inputs[0] for node in graph.nodes if _is_square(graph, node)}
    means = {
        node.outputs[0]: node
        for node in graph.nodes
        if node.op == "ReduceMean" and node.inputs[0] in squares and uses[node.inputs[0]] == uses[node.outputs[0]] == 1
    }
    found = {node.outputs[0]: ends for node in graph.nodes if (ends := _normalizes(graph, node, makers, means, uses))}
    if not found:
        return graph
    measured = measured_on(graph, {ends.mean for ends in found.values()}, samples)
    wide = {name: ends for name, ends in found.items() if _ratio(np.stack(measured[ends.mean])) > RATIO}

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] not in wide:
            return None
        ends = wide[node.outputs[0]]
        mean = means[ends.mean]
        axes = reduced_axes(mean, _axes(graph, mean), len(scene.shape(ends.d)))
        return _scaled(Steps(scene, node), ends, axes)

    return rewrite(graph, rule) if wide else graph


def _is_square(graph: Graph, node: Node) -> bool:
    if node.op == "Mul":
        return node.inputs[0] == node.inputs[1]
    exponent = graph.value(node.inputs[1]) if node.op == "Pow" else None
    return exponent is not None and bool(np.all(exponent == 2))


def _axes(graph: Graph, node: Node) -> Array | None:
    return graph.value(node.inputs[1]) if len(node.inputs) > 1 else None


def _normalizes(
    graph: Graph, node: Node, makers: Mapping[str, Node], means: Mapping[str, Node], uses: Mapping[str, int]
) -> _Ends | None:
    """Of a Mul(d, Reciprocal(Sqrt(Add(mean, e)))) in which nothing has another reader, or with a factor of it."""
    if node.op != "Mul" or node.inputs[0] == node.inputs[1]:
        return None
    for d, name in (node.inputs, node.inputs[::-1]):
        last, factor, total = *_without_factor(graph, name, makers, uses), None
        for op in ("Reciprocal", "Sqrt", "Add"):
            total = makers.get(last)
            if total is None or total.op != op or uses[last] != 1:
                break
            last = total.inputs[0]
        else:
            epsilon, mean = None if total is None else graph.value(total.inputs[1]), means.get(last)
            if mean is None or epsilon is None or epsilon.size > 1 or not np.all(epsilon > 0):
                continue
            if makers[mean.inputs[0]].inputs[0] == d and mean.attributes.get("keepdims", 1):
                return _Ends(d, last, float(epsilon.reshape(())), factor)
    return None


def _without_factor(
    graph: Graph, name: str, makers: Mapping[str, Node], uses: Mapping[str, int]
) -> tuple[str, str | None]:
    """What a constant is multiplied with to make a tensor, and the constant; the tensor itself where there is none."""
    made = makers.get(name)
    if made is None or made.op != "Mul" or uses[name] != 1:
        return name, None
    for computed, constant in (made.inputs, made.inputs[::-1]):
        shapes = graph.tensors[computed].shape, graph.tensors[name].shape
        if graph.value(constant) is not None and graph.value(computed) is None and shapes[0] == shapes[1]:
            return computed, constant
    return name, None


def _ratio(squares: Array) -> float:
    """Of the largest to the smallest that is not zero, of all samples."""
    held = squares[squares > 0]
    return float(held.max() / held.min()) if held.size else 1.0


def _scaled(steps: Steps, ends: _Ends, axes: tuple[int, ...]) -> list[Node]:
    size = steps.reduce("ReduceMean", steps.apply("Abs", ends.d), axes)
    root = steps.constant(np.sqrt(ends.epsilon), public=True)
    r = steps.apply("Reciprocal", steps.apply("Add", size, root))
    u = steps.apply("Mul", ends.d, r)
    mean = steps.reduce("ReduceMean", steps.apply("Mul", u, u), axes)
    rest = steps.apply("Mul", steps.apply("Mul", r, r), steps.constant(ends.epsilon, public=True))
    inverse = steps.apply("Reciprocal", steps.apply("Sqrt", steps.apply("Add", mean, rest)))
    if ends.factor is not None:
        inverse = steps.apply("Mul", inverse, ends.factor)
    return steps.finish(steps.apply("Mul", u, inverse))
