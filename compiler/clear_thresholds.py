"""Thresholds that lie on a value of the samples decide it as the float model does.

    x <= t for a seen x = t        becomes x <= t', t < t' < the next value seen above

Values are rounded to what a circuit holds. One that equals a threshold, or differs from it by a float's rounding, may
come out on its other side, however large the table: midpoints of values on a grid are on that grid, edges of bins are
values of the data. Where data come in steps (steps.py), what is on their grid counts as seen.

A tree that asks for an input, which circuits hold rounded once, gets a note on which side of its threshold such values
are (ops/ml_forest.py). What is computed first has errors of its own: there the threshold is moved, where it is that
close, by a 1024th of the values' magnitude at most and by half the way to the next value seen, so that hardly any other
value changes sides, by what the model itself computes of the samples and of the grids of its inputs: the graph's last
bits are others. Questions for equality are left alone, and constants that say what an operator does.

These are the thresholds of trees, and constants that values are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from plonnx.compiler.calibration import Samples, as_sample
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.float_model import FloatModel
from plonnx.compiler.graph import Array, Graph, Node, Tensor
from plonnx.compiler.ops.comparison import INCLUSIVE
from plonnx.compiler.ops.ml_forest import GT, GTE, LEQ, LT, SIDES, is_forest, questions, with_thresholds
from plonnx.compiler.ops.registry import Mark, marks
from plonnx.compiler.steps import with_places

_CLOSE, _FAR = 2.0**-12, 2.0**-10
"""Of the values' largest magnitude: what counts as equal, and the most by which a threshold moves."""
_MOST = 1 << 12
"""Values of tensors that are looked at."""
_PLACES = 1 << 18
"""Places of grids, likewise."""


def with_clear_thresholds(graph: Graph, samples: Samples, oracle: FloatModel) -> Graph:
    """The graph with such thresholds moved; the oracle is the model that the graph was made from."""
    forests = {node.inputs[0] for node in graph.nodes if is_forest(node)}
    compared = {node.outputs[0]: place for node in graph.nodes if (place := _compared(graph, node)) is not None}
    read = {node.inputs[compared[node.outputs[0]]] for node in graph.nodes if node.outputs[0] in compared}
    if not forests | read:
        return graph
    more = _with_places(graph, samples)
    seen = {name: np.stack(values) for name, values in measured_on(graph, forests | read, more).items()}
    seen |= _exactly(graph, oracle, more, seen)
    given, tensors, nodes = _given(graph), dict(graph.tensors), []
    for node in graph.nodes:
        if is_forest(node):
            values = seen[node.inputs[0]]
            values = with_places(values.reshape(-1, values.shape[-1]))
            if node.inputs[0] in given:
                nodes.append(replace(node, attributes={**node.attributes, SIDES: _sides(node, values)}))
            else:
                nodes.append(with_thresholds(node, _moved(node, values)))
        elif node.outputs[0] in compared:
            place = compared[node.outputs[0]]
            name = f"{node.inputs[1 - place]}~clear {node.outputs[0]}"
            constant = graph.tensors[node.inputs[1 - place]]
            cleared = _cleared(
                constant, with_places(seen[node.inputs[place]], _PLACES), INCLUSIVE[node.op] == (place == 0)
            )
            tensors[name] = replace(constant, name=name, value=cleared)
            nodes.append(replace(node, inputs=(node.inputs[0], name) if place == 0 else (name, node.inputs[1])))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, tensors)


def _with_places(graph: Graph, samples: Samples) -> Samples:
    """The samples, and more of them where inputs come in steps: what is made of these is what the float model makes."""
    held = {
        name: with_places(values, _PLACES) if graph.tensors[name].dtype.kind == "f" else values
        for name, values in samples.items()
    }
    rows = max(map(len, held.values()))
    return {name: np.concatenate([v, np.repeat(v[:1], rows - len(v), axis=0)]) for name, v in held.items()}


def _exactly(graph: Graph, oracle: FloatModel, samples: Samples, seen: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors as the model itself computes them: the graph's last bits are others, as (x - a) b becomes x b - a b."""
    model = oracle.showing(name for name in seen if name not in graph.inputs)
    if model is None:
        return {}
    count = len(next(iter(samples.values())))
    made = model.run_all([as_sample(graph, samples, index) for index in range(count)])
    return {
        name: values.astype(np.float64)
        for name, values in made.items()
        if values.shape == seen[name].shape and np.allclose(values, seen[name], rtol=_CLOSE, atol=_CLOSE)
    }


def _given(graph: Graph) -> set[str]:
    """Inputs, and what holds nothing but their entries, times powers of two."""
    given = set(graph.inputs)
    for node in graph.nodes:
        computed = [name for name in node.inputs if name and graph.value(name) is None]
        if computed and given.issuperset(computed) and (marks(node) & Mark.COPIES or _shifts(graph, node)):
            given.update(node.outputs)
    return given


def _shifts(graph: Graph, node: Node) -> bool:
    """A multiplication by powers of two."""
    factors = [value for name in node.inputs if (value := graph.value(name)) is not None]
    return node.op == "Mul" and not node.domain and len(factors) == 1 and bool(np.all(np.frexp(factors[0])[0] == 0.5))


def _compared(graph: Graph, node: Node) -> int | None:
    """The place of the computed operand of a comparison with a constant that was learned; None of other nodes."""
    if node.op not in INCLUSIVE or node.domain:
        return None
    known = [graph.tensors[name].value is not None for name in node.inputs]
    if known[0] == known[1]:
        return None
    place = known.index(False)
    x, constant = (graph.tensors[node.inputs[i]] for i in (place, 1 - place))
    return place if x.dtype.kind == "f" and x.size <= _MOST and not constant.public else None


def _cleared(constant: Tensor, seen: Array, inclusive: bool) -> Array:
    """The constant, each element away from the values [samples, ..] that it is compared with."""
    assert constant.value is not None, "it is a constant"
    value = constant.value.astype(np.float64)
    shape = np.broadcast_shapes(seen.shape[1:], value.shape)
    wide = seen.reshape(len(seen), *(1,) * (len(shape) - seen.ndim + 1), *seen.shape[1:])
    x = np.broadcast_to(wide, (len(seen), *shape))
    lead = len(shape) - value.ndim
    shared = tuple(axis for axis in range(len(shape)) if axis < lead or value.shape[axis - lead] == 1)
    axes = (0, *(axis + 1 for axis in shared))
    aligned = value.reshape((1,) * lead + value.shape)
    low = x <= aligned if inclusive else x < aligned
    below = np.max(x, axis=axes, keepdims=True, initial=-np.inf, where=low)[0]
    above = np.min(x, axis=axes, keepdims=True, initial=np.inf, where=~low)[0]
    size = np.max(np.abs(x), axis=axes, keepdims=True)[0]
    return _away(aligned, below, above, size).reshape(value.shape).astype(constant.value.dtype)


def _away(threshold: Array, below: Array, above: Array, size: Array | float) -> Array:
    """Where a threshold moves, from the nearest values on its sides; zero, which every circuit holds exactly, stays."""
    down, up = threshold - below, above - threshold
    near, far = np.minimum(down, up), np.maximum(down, up)
    close = (near <= _CLOSE * size) & (far > _CLOSE * size) & (threshold != 0)
    return threshold + np.where(close, np.where(down < up, 1.0, -1.0) * np.minimum(far / 2, _FAR * size), 0.0)


def _sides(node: Node, seen: Array) -> tuple[int, ...]:
    """For each place of a forest's attributes: 1 where seen values [samples, features] at its threshold are below it,
    or on it where that counts as below, -1 where they are above; 0 where there are none, or on both sides."""
    features, modes, thresholds = questions(node)
    sides = np.zeros(len(modes), np.int64)
    for feature in np.unique(features[np.isin(modes, (LEQ, LT, GTE, GT))]).tolist():
        values = np.unique(seen[:, feature])
        padded, close = np.concatenate([[-np.inf], values, [np.inf]]), _CLOSE * float(np.abs(values).max())
        of_sides: Sequence[tuple[tuple[int, int], Literal["left", "right"]]] = [
            ((LEQ, GT), "right"),
            ((LT, GTE), "left"),
        ]
        for kinds, side in of_sides:
            places = np.flatnonzero((features == feature) & np.isin(modes, kinds))
            at = np.searchsorted(values, thresholds[places], side)
            down, up = thresholds[places] - padded[at], padded[at + 1] - thresholds[places]
            sides[places] = np.where(np.minimum(down, up) <= close, np.sign(up - down), 0)
    return tuple(sides.tolist())


def _moved(node: Node, seen: Array) -> Mapping[int, float]:
    """By the place of a forest's node: its threshold, where that changes; seen [samples, features]."""
    moved: dict[int, float] = {}
    features, modes, thresholds = questions(node)
    for feature in np.unique(features[np.isin(modes, (LEQ, LT, GTE, GT))]).tolist():
        values = np.unique(seen[:, feature])
        padded, size = np.concatenate([[-np.inf], values, [np.inf]]), float(np.abs(values).max())
        sides: Sequence[tuple[tuple[int, int], Literal["left", "right"]]] = [((LEQ, GT), "right"), ((LT, GTE), "left")]
        for kinds, side in sides:
            places = np.flatnonzero((features == feature) & np.isin(modes, kinds))
            at = np.searchsorted(values, thresholds[places], side)
            away = _away(thresholds[places], padded[at], padded[at + 1], size)
            changed = away != thresholds[places]
            if kinds == (LT, GTE):  # what equals such a threshold is rounded as it is (ops/ml_forest.py)
                changed &= padded[at + 1] != thresholds[places]
            moved.update(zip(places[changed].tolist(), away[changed].tolist(), strict=True))
    return moved
