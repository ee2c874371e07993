"""Masks that depend on inputs: constants that make an exponential zero are raised to what still does.

    a = Add(x, Mul(Sub(1, mask), -3.4e38)); y = Softmax(a)        -3.4e38 becomes -(2 R + DEPTH)
    a = Where(mask, x, -inf);               y = Softmax(a)        so does -inf

So are those before the largest of a row and its place (ReduceMax, MaxPool, ArgMax, TopK, Hardmax), where the samples
have no row that is masked altogether; and constants far above all others, before the smallest, are lowered alike
(mask_paths.py). Where the largest of a row goes on as a number, a row that is masked altogether has no proof then. R is
how large what is not masked gets, widened: then every masked entry lies DEPTH below every other one. Otherwise such a
constant would set the scale of all scores. Where it leads to anything else, it stays as it is. Of a row that is masked
altogether a Softmax and an ArgMax have nothing but its scores left, where a float model has equal shares, or no number.

A flag is 0 or 1 on the samples. A real number that may be between them masks too, where it is not 0; so such a product
with f is bounded by the level instead, by a table: max(-3.4e38 f, level).

In a private model what a constant masks is public, and its level then is a power of two: it tells what scales do. One
that does not mask stays secret.

Masks that are constants leave the arithmetic altogether (masks.py), but before a place or a pool: those are raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from plonnx.compiler.calibration import Samples, as_sample
from plonnx.compiler.expansion import Steps
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.mask_paths import BELOW, LOOKED_AT, Path, far_constants, masking
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.whole_numbers import of_whole_numbers

DEPTH = 17.0
"""exp(-DEPTH) is zero in every table."""
_STEEP = 2.0**24
"""What is not zero is no less than the inverse of this, at any scale."""


def with_raised_constants(graph: Graph, samples: Samples, margin: float, hidden: bool = False) -> Graph:
    """The graph with such constants raised, by what is measured on the samples. hidden: constants are secret."""
    found = masking(graph, hidden)
    if not found:
        return graph
    names = {name for _, path in found for name in (*path.ends, *path.results)}
    names |= {name for node, _ in found for name in node.inputs if graph.value(name) is None}
    measured = measured_on(graph, {name for name in names if graph.tensors[name].dtype.kind == "f"}, samples)
    levels: dict[str, float] = {}
    whole = of_whole_numbers(graph)
    bar = -LOOKED_AT if hidden else _bar(graph, found)
    for node, path in found:
        if node.op == "Mul" and not _is_flag(graph, node, path.side, measured):
            continue
        results = [(name, path.sides[operand]) for name, operand in path.results.items()]
        if any(np.max(side * values) >= bar for name, side in results for values in measured[name]):
            continue  # a row has nothing else
        reach = max(_magnitude(measured[name], path.sides[name], bar) for name in path.ends)
        if node.op == "Where" and path.summed:
            reach += _magnitude(_beside(graph, node, path.side, measured), path.side, bar)
        level = (2.0 * margin * reach + DEPTH) / min(path.factors[name] for name in path.ends)
        levels[node.outputs[0]] = float(2.0 ** np.ceil(np.log2(level)) if hidden else level)
    sides = {node.outputs[0]: path.side for node, path in found}
    bounds = _bounds(graph, [(levels[node.outputs[0]], path) for node, path in found if node.outputs[0] in levels])

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] in bounds:
            return _no_further(Steps(scene, node), bounds[node.outputs[0]])
        if node.outputs[0] not in levels:
            return None
        level, inputs = levels[node.outputs[0]], list(node.inputs)
        if node.op == "Mul" and whole.isdisjoint(node.inputs):
            return _bounded(Steps(scene, node), level, hidden)
        for place in far_constants(graph, node, sides[node.outputs[0]]):
            value = graph.value(node.inputs[place])
            assert value is not None, "only constants are far from all others"
            if hidden and not np.all(np.abs(value) >= level):
                continue  # it masks nothing, or not alike everywhere
            nearer = np.clip(value, -level, level)
            inputs[place] = scene.constant(node.outputs[0], nearer.astype(value.dtype), public=True)
        return [replace(node, inputs=tuple(inputs))]

    return rewrite(graph, rule) if levels else graph


def _bar(graph: Graph, found: Sequence[tuple[Node, Path]]) -> float:
    """How far masked entries are at least: half of the nearest constant, so that scores may be far below zero."""
    least = -2.0 * LOOKED_AT
    distances = [
        float(np.min(np.abs(value))) * min(path.factors[name] for name in path.ends)
        for node, path in found
        for place in far_constants(graph, node, path.side)
        if (value := graph.value(node.inputs[place])) is not None
    ]
    return max(least, min(distances, default=least)) / 2.0


def _magnitude(measured: Sequence[Array], side: int, bar: float) -> float:
    """Of what is not masked."""
    return max((float(np.abs(each[side * each < bar]).max(initial=0.0)) for each in measured), default=0.0)


def _beside(graph: Graph, node: Node, side: int, measured: Mapping[str, Sequence[Array]]) -> Sequence[Array]:
    """What a choice takes where it does not take the constant."""
    far = far_constants(graph, node, side)
    (name,) = (node.inputs[place] for place in (1, 2) if place != far[0])
    value = graph.value(name)
    return measured[name] if value is None else [value]


def _bounded(steps: Steps, level: float, hidden: bool) -> list[Node] | None:
    """A product with a real number, from -level to level; None where its constant is no further than the level.

    hidden: a steep slope instead of the constant's.
    """
    node, graph = steps.node, steps.scene.graph
    (place,) = far_constants(graph, node, BELOW)
    value = graph.value(node.inputs[place])
    assert value is not None, "only constants are far from all others"
    least, shape = float(np.min(np.abs(value))), steps.shape(node.outputs[0])
    if least <= level:
        return None
    slope = np.sign(value.flat[0]) * (_STEEP if hidden else min(least / level, _STEEP))
    share = steps.apply("HardSigmoid", node.inputs[1 - place], alpha=float(slope / 2), beta=0.5)
    centred = steps.apply("Sub", share, steps.constant(0.5, public=True))
    bounded = steps.apply("Mul", centred, steps.constant(2 * level, public=True))
    if steps.shape(bounded) != shape:
        bounded = steps.apply("Expand", bounded, steps.integers(np.array(shape)), shape=shape)
    return steps.finish(bounded)


def _bounds(graph: Graph, raised: Sequence[tuple[float, Path]]) -> dict[str, float]:
    """By the result that would be masked where all that it is of is, how far it may be, on the side of the mask."""
    found = dict[str, float]()
    readers, outputs = graph.readers(), {source for _, source in graph.outputs}
    for level, path in raised:
        for result, operand in path.results.items():
            side = path.sides[operand]
            if _is_a_number(readers, outputs, result, side):
                bound = side * level * path.factors[operand] / 2
                found[result] = bound if result not in found else side * min(abs(bound), abs(found[result]))
    return found


def _is_a_number(readers: Mapping[str, Sequence[Node]], outputs: Set[str], result: str, side: int) -> bool:
    """Whether an extreme goes on as a number.

    Not where its positive part alone is read, which is 0 below; nor where a difference or a comparison reads it, as an
    extreme is to be one of the very integers that it is compared with (own_extremes.py).
    """
    front, compared, shows = [result], False, False
    while front:
        name = front.pop()
        shows |= name in outputs
        for reader in readers[name]:
            compared |= reader.op == "Sub" or bool(marks(reader) & (Mark.COMPARES | Mark.EXTREME))
            shows |= not (reader.op == "Relu" and side == BELOW) and not marks(reader) & Mark.COPIES
            front += reader.outputs if marks(reader) & Mark.COPIES else ()
    return shows and not compared


def _no_further(steps: Steps, bound: float) -> list[Node]:
    """What a node makes, by a table that ends at a bound: what is beyond has no square root, and no proof."""
    node, scene, limit = steps.node, steps.scene, steps.constant(bound, public=True)
    raw = scene.computed(node.outputs[0], steps.shape(node.outputs[0]))
    steps.nodes.append(replace(node, outputs=(raw, *node.outputs[1:])))
    within = (raw, limit) if bound < 0 else (limit, raw)
    root = steps.apply("Sqrt", steps.apply("Sub", *within))
    square = steps.apply("Mul", root, root)
    return steps.finish(steps.apply("Add", square, limit) if bound < 0 else steps.apply("Sub", limit, square))


def _is_flag(graph: Graph, node: Node, side: int, measured: Mapping[str, Sequence[Array]]) -> bool:
    """Whether the computed factor is 0 or 1 everywhere, or 0 or -1, so that the product is 0 or far on that side."""
    (name,) = (name for name in node.inputs if graph.value(name) is None)
    (place,) = far_constants(graph, node, side)
    constant = graph.value(node.inputs[place])
    assert constant is not None, "only constants are far from all others"
    return all(np.all((values == 0) | (values * np.sign(constant.flat[0]) == side)) for values in measured[name])


def measured_on(graph: Graph, names: set[str], samples: Samples) -> dict[str, list[Array]]:
    """The values of some tensors on the samples."""
    outputs = tuple((name, name) for name in sorted(names) if name not in graph.inputs)
    model = FloatModel(to_onnx(replace(graph, outputs=outputs)))
    found: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(len(next(iter(samples.values())))):
        sample = as_sample(graph, samples, index)
        values = {**sample, **(model.run(sample) if outputs else {})}
        for name in names:
            found[name].append(values[name].astype(np.float64))
    return found
