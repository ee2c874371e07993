"""Normalizations over rows of very different sizes: each row is brought to size one before it is squared.

    v = ReduceMean(Mul(d, d)); y = Mul(d, g / sqrt(v + e))
    becomes
    r = 1 / (ReduceMean(Abs(d)) + sqrt(e)); u = Mul(d, r)
    v = ReduceMean(Mul(u, u)); y = Mul(u, g / sqrt(v + e r r))

v has the square of the range that d has: where one token is 30 times as large as another, the smaller one's v would be
a few integers. g is a constant for each row, or none; y = d / (sqrt(c v) + e), which exporters make of a standard
deviation, becomes u / (sqrt(c v) + e r). r may be rough: it scales both sides. That costs three units an
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
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite

RATIO = 64.0
"""Of the largest mean square of a row to the smallest: then the rows differ by a factor of 8."""


@dataclass(frozen=True)
class _Ends:
    """A normalization: d times a constant for each row, over sqrt(spread mean + epsilon) + outside."""

    d: str
    mean: str
    factor: str | None
    spread: float
    epsilon: float
    outside: float


def with_scaled_rows(graph: Graph, samples: Samples) -> Graph:
    """The graph with rows scaled, wherever the samples ask for it."""
    makers = {node.outputs[0]: node for node in graph.nodes}
    uses = graph.uses()
    squares = {node.outputs[0]: node.inputs[0] for node in graph.nodes if _is_square(graph, node)}
    means = {node.outputs[0]: node for node in graph.nodes if node.op == "ReduceMean" and node.inputs[0] in squares}
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
    """Of a Mul(d, Reciprocal(..)) of which nobody else reads the reciprocal, with or without constants between."""
    if node.op != "Mul" or node.inputs[0] == node.inputs[1]:
        return None
    for d, name in (node.inputs, node.inputs[::-1]):
        inverse, factor = _without_factor(graph, name, makers, uses)
        divisor = _operand(graph, makers, inverse, "Reciprocal")
        if divisor is None or uses[inverse] != 1:
            continue
        root, outside = _without(graph, makers, divisor, "Add", 0.0)
        total = _operand(graph, makers, root, "Sqrt")
        if total is None:
            continue
        scaled, epsilon = _without(graph, makers, total, "Add", 0.0)
        last, spread = _without(graph, makers, scaled, "Mul", 1.0)
        mean = means.get(last)
        if mean is None or makers[mean.inputs[0]].inputs[0] != d or min(epsilon, outside) < 0 or spread <= 0:
            continue
        axes = reduced_axes(mean, _axes(graph, mean), len(graph.tensors[d].shape))
        rows = tuple(1 if axis in axes else extent for axis, extent in enumerate(graph.tensors[d].shape))
        if graph.tensors[inverse].shape == rows and epsilon + outside > 0:
            return _Ends(d, last, factor, spread, epsilon, outside)
    return None


def _shaped(graph: Graph, makers: Mapping[str, Node], name: str) -> str:
    """A tensor before it got its shape."""
    while (made := makers.get(name)) is not None and marks(made) & Mark.RESHAPES:
        if graph.tensors[made.inputs[0]].size != graph.tensors[name].size:
            break
        name = made.inputs[0]
    return name


def _operand(graph: Graph, makers: Mapping[str, Node], name: str, op: str) -> str | None:
    """What such an operator makes a tensor of."""
    made = makers.get(_shaped(graph, makers, name))
    return made.inputs[0] if made is not None and made.op == op else None


def _without(graph: Graph, makers: Mapping[str, Node], name: str, op: str, nothing: float) -> tuple[str, float]:
    """A tensor without the number that was added or multiplied, and that number."""
    shaped = _shaped(graph, makers, name)
    made = makers.get(shaped)
    value = graph.value(made.inputs[1]) if made is not None and made.op == op else None
    if made is None or value is None or value.size != 1 or graph.value(made.inputs[0]) is not None:
        return shaped, nothing
    return _shaped(graph, makers, made.inputs[0]), float(value.reshape(()))


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
    def times(x: str, number: float) -> str:
        return x if number == 1.0 else steps.apply("Mul", x, steps.constant(number, public=True))

    size = steps.reduce("ReduceMean", steps.apply("Abs", ends.d), axes)
    least = steps.constant(np.sqrt(ends.epsilon) + ends.outside, public=True)
    r = steps.apply("Reciprocal", steps.apply("Add", size, least))
    u = steps.apply("Mul", ends.d, r)
    total = times(steps.reduce("ReduceMean", steps.apply("Mul", u, u), axes), ends.spread)
    if ends.epsilon:
        total = steps.apply("Add", total, times(steps.apply("Mul", r, r), ends.epsilon))
    root = steps.apply("Sqrt", total)
    if ends.outside:
        root = steps.apply("Add", root, times(r, ends.outside))
    inverse = steps.apply("Reciprocal", root)
    if ends.factor is not None:
        inverse = steps.apply("Mul", inverse, ends.factor)
    return steps.finish(steps.apply("Mul", u, inverse))
