"""Normalizations over rows of very different sizes: each row is brought to size one before it is squared.

    v = ReduceMean(Mul(d, d)); y = Mul(d, g / sqrt(v + e))
    becomes
    r = 1 / (ReduceMean(Abs(d)) + sqrt(e)); u = Mul(d, r)
    v = ReduceMean(Mul(u, u)); y = Mul(u, g / sqrt(v + e r r))

g is a constant for each row, or none. What exporters make of a standard deviation or a norm goes the same way:

    d / (sqrt(c v) + e)     becomes     u / (sqrt(c v) + e r)
    d / max(sqrt(c v), e)   becomes     u / max(sqrt(c v), e r)

v has the square of the range that d has: where one token is 30 times as large as another, the smaller one's v would be
a few integers; and where one has no spread at all, 1 / sqrt(v + e) reaches far beyond the others'. r may be rough: it
scales both sides. That costs three units an element, and is done where the samples show such rows, in public models:
what a private one looks like follows from no measurement but that of its scales.

Rows of nothing but zeros (a class token before training) stay zeros whatever e is. Where the samples have such rows, an
e far below all others' squares, as 1e-12, is raised to 2^-12 of the least of these: else r would reach from 1 to 10^6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.positive_maxima import with_random

RATIO = 64.0
"""Of the largest mean square of a row to the smallest: then the rows differ by a factor of 8."""
_NOTHING = 1e-6
"""Of epsilon: a row whose mean square is less is zeros, or what rounding leaves of a row of equal entries."""
_TINY, _RAISED = 2.0**-16, 2.0**-12
"""Of the least mean square of other rows: an epsilon below the first becomes the second, which changes these by no more
than 2^-13 of themselves."""


@dataclass(frozen=True)
class _Ends:
    """A normalization: d times a constant for each row, over max(sqrt(spread mean + epsilon) + outside, floor)."""

    d: str
    mean: str
    factor: str | None
    spread: float
    epsilon: float
    outside: float
    floor: float

    @property
    def least(self) -> float:
        """What stands for a row of zeros beside the squares of others."""
        return self.epsilon / self.spread

    @property
    def of_channels(self) -> bool:
        """Whether rows are channels: each has a factor of its own, or they are normalized as data are."""
        return self.factor is not None or self.outside + self.floor > 0


def with_scaled_rows(graph: Graph, samples: Samples, channels: bool = False) -> Graph:
    """The graph with rows scaled, wherever the samples ask for it.

    channels: also where rows differ that are channels, which scales by channel bring together, too (equalise/).
    """
    makers = {node.outputs[0]: node for node in graph.nodes}
    uses = graph.uses()
    squares = {node.outputs[0]: node.inputs[0] for node in graph.nodes if _is_square(graph, node)}
    means = {
        node.outputs[0]: node
        for node in graph.nodes
        if node.op in ("ReduceMean", "ReduceSum") and node.inputs[0] in squares
    }
    found = {node.outputs[0]: ends for node in graph.nodes if (ends := _normalizes(graph, node, makers, means, uses))}
    if not found:
        return graph
    measured = measured_on(graph, {ends.mean for ends in found.values()}, with_random(graph, samples))
    wide = {
        name: ends
        for name, ends in found.items()
        if _ratio(np.stack(measured[ends.mean]), channels or not ends.of_channels, ends.least) > RATIO
    }

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] not in wide:
            return None
        ends = wide[node.outputs[0]]
        mean = means[ends.mean]
        if ends.epsilon:
            ends = _raised(ends, np.stack(measured[ends.mean]) * _unit(graph, ends, mean))
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
        kept = graph.tensors[inverse].shape
        expanded = makers.get(divisor)
        if expanded is not None and expanded.op == "Expand":
            divisor, kept = expanded.inputs[0], graph.tensors[expanded.inputs[0]].shape
        root, floor = _without_floor(graph, makers, divisor)
        root, outside = _without(graph, makers, root, "Add", 0.0)
        total = _operand(graph, makers, root, "Sqrt")
        if total is None:
            continue
        scaled, epsilon = _without(graph, makers, total, "Add", 0.0)
        last, spread = _without(graph, makers, scaled, "Mul", 1.0)
        mean = means.get(last)
        constants = epsilon, outside, floor
        if mean is None or makers[mean.inputs[0]].inputs[0] != d or min(constants) < 0 or spread <= 0:
            continue
        axes = reduced_axes(mean, _axes(graph, mean), len(graph.tensors[d].shape))
        rows = tuple(1 if axis in axes else extent for axis, extent in enumerate(graph.tensors[d].shape))
        if kept == rows and sum(constants) > 0:
            if mean.op == "ReduceSum":
                spread *= graph.tensors[d].size / graph.tensors[last].size
            return _Ends(d, last, factor, spread, *constants)
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


def _without_floor(graph: Graph, makers: Mapping[str, Node], name: str) -> tuple[str, float]:
    """A tensor before numbers below a constant were raised to it, and that constant; 0 where none were."""
    shaped = _shaped(graph, makers, name)
    made = makers.get(shaped)
    if made is None or made.op not in ("Clip", "Max"):
        return name, 0.0
    low, high = made.attributes.get("min"), made.attributes.get("max")
    if len(made.inputs) > 1 and made.inputs[1]:
        value = graph.value(made.inputs[1])
        low = value.reshape(-1)[0] if value is not None and value.size == 1 else None
    if low is None or high is not None or len(made.inputs) > 2 or graph.value(made.inputs[0]) is not None:
        return name, 0.0
    return made.inputs[0], float(low)


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


def _ratio(squares: Array, across: bool, least: float) -> float:
    """Of the largest to the smallest, `least` of those that are zero: across rows, or of each row by itself."""
    rows = np.maximum(squares, least) if least else squares
    rows = rows.reshape(1, -1) if across else rows.reshape(len(squares), -1).T
    held = [row[row > 0] for row in rows]
    return max((float(row.max() / row.min()) for row in held if row.size), default=1.0)


def _unit(graph: Graph, ends: _Ends, mean: Node) -> float:
    """Times what is measured: the square that stands beside epsilon."""
    of_sums = mean.op == "ReduceSum"
    return ends.spread * (graph.tensors[ends.mean].size / graph.tensors[ends.d].size if of_sums else 1.0)


def _raised(ends: _Ends, squares: Array) -> _Ends:
    """With a larger epsilon, where rows of zeros are among the samples'."""
    others = squares[squares > _NOTHING * ends.epsilon]
    if others.size in (0, squares.size) or ends.epsilon >= _TINY * others.min():
        return ends
    return replace(ends, epsilon=_RAISED * float(others.min()))


def _scaled(steps: Steps, ends: _Ends, axes: tuple[int, ...]) -> list[Node]:
    def times(x: str, number: float) -> str:
        return x if number == 1.0 else steps.apply("Mul", x, steps.constant(number, public=True))

    size = steps.reduce("ReduceMean", steps.apply("Abs", ends.d), axes)
    least = steps.constant(np.sqrt(ends.epsilon) + ends.outside + ends.floor, public=True)
    r = steps.apply("Reciprocal", steps.apply("Add", size, least))
    u = steps.apply("Mul", ends.d, r)
    total = times(steps.reduce("ReduceMean", steps.apply("Mul", u, u), axes), ends.spread)
    if ends.epsilon:
        total = steps.apply("Add", total, times(steps.apply("Mul", r, r), ends.epsilon))
    root = steps.apply("Sqrt", total)
    if ends.outside:
        root = steps.apply("Add", root, times(r, ends.outside))
    if ends.floor:
        root = steps.apply("Max", root, times(r, ends.floor))
    inverse = steps.apply("Reciprocal", root)
    if ends.factor is not None:
        inverse = steps.apply("Mul", inverse, ends.factor)
    return steps.finish(steps.apply("Mul", u, inverse))
