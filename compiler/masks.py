"""Masks of scores: entries so far below the others that their exponential is zero leave the arithmetic altogether.

    a = Add(x, mask);  y = Softmax(a)          mask holds 0 and -inf, -3.4e38, -1e9, -1e4 or -100
    a = Where(keep, x, -1e9); y = Softmax(a)

An entry is masked where its constant lies below the others by more than what x can bridge: twice x's widened range,
and DEPTH, since exp(-DEPTH) is zero in every table. Otherwise such a constant would set the scale of all scores, or be
infinite. A mask is followed through re-indexing, sums and scalings to where the exponential is taken, or to a maximum
(a softmax written by hand), or to an output in log space, where it is FLOOR if it is below that. Wherever else it
leads, it stays as it is. A finite mask over a whole row shifts the row, which changes nothing; one that is too large
to leave anything of the row in float32 makes all of it equal. What does neither, as it differs from entry to entry or
stands in the scores' place, stays as it is. Which entries are masked is public, in a private model
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import DEPTH, measured_on
from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.float_model import evaluate_node
from plonnx.compiler.graph import Array, CompileError, Graph, Node
from plonnx.compiler.mask_paths import LOOKED_AT
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.ops.normalization import (
    Product,
    Rows,
    masked_log_softmax,
    masked_softmax,
    product_of_shares,
)
from plonnx.compiler.passes.rewrite import Scene, rewrite

FLOOR = -104.0
"""exp(FLOOR) is zero in float32."""
_ABSORBED = 2.0**24
_MASKED, _SWALLOWS, _INFINITE = 1.0, 2.0, 3.0
"""Degrees of a mask: it makes the exponential zero; it leaves nothing of the row in float32; it is -inf."""
Degrees = NDArray[np.float32]


@dataclass
class _Mark:
    """A tensor with masked entries: their degrees, how far below the others they are, the masks that they come from."""

    degrees: Degrees
    gap: float
    sources: frozenset[str]
    log_space: bool
    shifts: bool
    """Whether a row that is masked altogether is its own scores, shifted, or nothing of them is left in float32."""


@dataclass
class _Plan:
    """What is rewritten: constants by node, ends by node, outputs in log space."""

    marks: dict[str, _Mark] = field(default_factory=dict)
    cleared: dict[str, tuple[int, Array]] = field(default_factory=dict)
    """Output of a masking node -> (which operand is the constant, what stands for it)."""
    ends: dict[str, _Mark] = field(default_factory=dict)
    """Output of a node that takes exponentials or maxima -> the mark of its operand."""
    outputs: dict[str, _Mark] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


def without_masks(
    graph: Graph,
    samples: Samples,
    margin: float,
    positive: frozenset[str] = frozenset(),
    products: Mapping[str, Product] = MappingProxyType({}),
) -> tuple[Graph, dict[str, NDArray[np.bool_]]]:
    """The graph without masks, and for each output in log space which entries of it are FLOOR or below.

    positive: the results of the Softmax nodes that may be shifted as positive_maxima.py says. products: those of
    products_of_shares.py.
    """
    candidates = [node for node in graph.nodes if _constant_of(graph, node) is not None]
    if not candidates:
        return graph, {}
    measured = measured_on(graph, {_other(graph, node) for node in candidates}, samples)
    failed: set[str] = set()
    while True:  # a mask that leads where it can't be followed is left alone, and so are those that meet it
        plan = _planned(graph, measured, margin, failed)
        if plan.failed <= failed:
            break
        failed |= plan.failed
    return _rewritten(graph, plan, positive, products), {name: mark.degrees > 0 for name, mark in plan.outputs.items()}


def clamped(expected: Mapping[str, Array], masked: Mapping[str, NDArray[np.bool_]]) -> dict[str, Array]:
    """The float model's outputs (samples, *shape), their masked entries at FLOOR."""
    return {
        name: np.where(masked[name], np.asarray(FLOOR, value.dtype), value) if name in masked else value
        for name, value in expected.items()
    }


# Where masks stand ----------------------------------------------------------------------------------------------------


def _constant_of(graph: Graph, node: Node) -> int | None:
    """Which operand of a sum or a choice is a constant with entries low enough to look at."""
    if node.domain or node.op not in ("Add", "Sub", "Where"):
        return None
    if node.op == "Where" and graph.value(node.inputs[0]) is None:
        return None
    first = 1 if node.op == "Where" else 0
    values = [graph.value(name) for name in node.inputs]
    for place in range(first, len(values)):
        value = values[place]
        if value is None or value.dtype.kind != "f" or all(v is not None for v in values[first:]):
            continue
        if node.op == "Sub" and place != 1:
            continue
        if np.min(-value if node.op == "Sub" else value, initial=0.0) <= LOOKED_AT:
            return place
    return None


def _other(graph: Graph, node: Node) -> str:
    """The computed operand beside the constant."""
    start = 1 if node.op == "Where" else 0
    return next(name for name in node.inputs[start:] if graph.value(name) is None)


def _planned(graph: Graph, measured: Mapping[str, Sequence[Array]], margin: float, failed: set[str]) -> _Plan:
    plan, logarithmic = _Plan(), set[str]()
    shown = {source for _, source in graph.outputs}
    for node in graph.nodes:
        keeps = _moves(node) or node.op in ("Add", "Sub", "Where")
        if node.op in ("Log", "LogSoftmax") or (keeps and logarithmic & set(node.inputs)):
            logarithmic.update(node.outputs)
        marked = {name: plan.marks[name] for name in node.inputs if name in plan.marks}
        own = None if node.outputs[0] in failed else _own_mark(graph, plan, node, measured, margin, logarithmic)
        if not marked and own is None:
            continue
        if node.op in ("Softmax", "LogSoftmax", "Exp", "ReduceMax"):
            mark = marked.get(node.inputs[0])
            deep = mark is not None and mark.gap >= (-FLOOR if node.op == "LogSoftmax" else DEPTH)
            if mark is not None and deep and (mark.shifts or not _covers_rows(graph, node, mark)):
                plan.ends[node.outputs[0]] = mark
                continue
        elif _follows(graph, plan, node, marked, own):
            continue
        plan.failed = plan.failed.union(*(mark.sources for mark in marked.values()))
    for name, source in graph.outputs:
        mark = plan.marks.get(source)
        if mark is not None and mark.log_space and mark.gap >= -FLOOR:
            plan.outputs[name] = mark
        elif mark is not None:
            plan.failed |= mark.sources
    used = {name for node in graph.nodes for name in node.inputs} | shown
    plan.marks = {name: mark for name, mark in plan.marks.items() if name in used}
    return plan


def _own_mark(
    graph: Graph,
    plan: _Plan,
    node: Node,
    measured: Mapping[str, Sequence[Array]],
    margin: float,
    logarithmic: set[str],
) -> _Mark | None:
    """The mark of a node that masks, noting what stands for its constant."""
    place = _constant_of(graph, node)
    if place is None:
        return None
    constant, other, out = graph.value(node.inputs[place]), _other(graph, node), graph.tensors[node.outputs[0]]
    assert constant is not None
    before = plan.marks.get(other)
    kept = None if before is None else before.degrees == 0
    magnitudes = [np.abs(v if kept is None else v[kept]).max(initial=0.0) for v in measured[other]]
    reach = margin * float(max(magnitudes))
    if not np.isfinite(reach):
        return None
    values = (-constant if node.op == "Sub" else constant).astype(np.float64)
    deep, lowest = values <= LOOKED_AT, 0.0
    for _ in range(values.size):  # what is not deep lowers the bar for all others
        lowest = min(float(np.min(values, where=~deep, initial=0.0)), 0.0)
        deeper = values <= lowest - 2.0 * reach - DEPTH
        if np.array_equal(deeper, deep):
            break
        deep = deep & deeper
    swallows = values <= -_ABSORBED * max(reach, 1.0)
    degrees = np.where(deep, np.where(np.isinf(values), _INFINITE, np.where(swallows, _SWALLOWS, _MASKED)), 0.0)
    if node.op == "Where":
        condition = graph.value(node.inputs[0])
        assert condition is not None
        degrees = degrees * (condition if place == 1 else ~condition)
    degrees = np.broadcast_to(degrees, out.shape).astype(np.float32)
    if not degrees.any():
        return None
    gap = lowest - 2.0 * reach - float(np.max(values, where=deep, initial=-np.inf))
    shifts = np.unique(values[deep]).size == 1 and (node.op != "Where" or bool(swallows[deep].all()))
    plan.cleared[node.outputs[0]] = place, np.where(deep, 0.0, constant).astype(constant.dtype)
    return _Mark(degrees, gap, frozenset((node.outputs[0],)), other in logarithmic, shifts)


def _covers_rows(graph: Graph, node: Node, mark: _Mark) -> bool:
    """Whether the rows of which a node takes exponentials or maxima are masked altogether, some of them."""
    return node.op != "Exp" and bool(np.any(np.all(mark.degrees > 0, axis=_row_axes(graph, node))))


def _row_axes(graph: Graph, node: Node) -> tuple[int, ...]:
    """Along which the entries stand that a Softmax, a LogSoftmax or a ReduceMax compares."""
    rank = len(graph.tensors[node.inputs[0]].shape)
    if node.op == "ReduceMax":
        given = graph.value(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
        return reduced_axes(node, given, rank)
    axis = int(node.attributes.get("axis", -1 if node.since >= 13 else 1)) % rank
    return (axis,) if node.since >= 13 else tuple(range(axis, rank))


def _follows(graph: Graph, plan: _Plan, node: Node, marked: Mapping[str, _Mark], own: _Mark | None) -> bool:
    """Note the mark of the node's outputs, where it is clear which of their entries are masked."""
    marks = [*marked.values(), *([] if own is None else [own])]
    shape = graph.tensors[node.outputs[0]].shape
    sides = [marked[name].degrees if name in marked else np.zeros((), np.float32) for name in node.inputs]
    gap = min(mark.gap for mark in marks)
    if node.op == "Where":
        condition = graph.value(node.inputs[0])
        if condition is None:
            return False
        made = {node.outputs[0]: np.where(condition, sides[1], sides[2])}
    elif node.op == "Add" or (node.op == "Sub" and node.inputs[1] not in marked):
        made = {node.outputs[0]: np.maximum(sides[0], sides[1])}
    elif node.op in ("Mul", "Div"):
        factor = graph.value(node.inputs[1])
        if factor is None or not np.all(factor > 0):
            return False
        gap *= float(1.0 / np.max(factor) if node.op == "Div" else np.min(factor))
        made = {node.outputs[0]: sides[0]}
    elif _moves(node) and all(_is_followed(graph, name) or name in marked for name in filter(None, node.inputs)):
        made = _moved(graph, node, marked)
    else:
        return False
    if own is not None:
        made[node.outputs[0]] = np.maximum(np.broadcast_to(made[node.outputs[0]], shape), own.degrees)
    log_space = all(mark.log_space for mark in marks) and node.op not in ("Mul", "Div")
    sources = frozenset[str]().union(*(mark.sources for mark in marks))
    shifts = len(sources) == 1 and all(mark.shifts for mark in marks)
    for name, degrees in made.items():
        whole = np.broadcast_to(degrees, graph.tensors[name].shape).astype(np.float32)
        plan.marks[name] = _Mark(whole, gap, sources, log_space, shifts)
    return True


def _moves(node: Node) -> bool:
    return bool(marks(node) & Mark.COPIES) or node.op in ("Cast", "Concat")


def _is_followed(graph: Graph, name: str) -> bool:
    """Not a computed index, which says where a mask goes."""
    return graph.value(name) is not None or graph.tensors[name].dtype.kind == "f"


def _moved(graph: Graph, node: Node, marked: Mapping[str, _Mark]) -> dict[str, Array]:
    """Re-indexed degrees: what the node itself makes of them."""
    operands = {}
    for name in filter(None, node.inputs):
        tensor = graph.tensors[name]
        if name in marked:
            operands[name] = marked[name].degrees
        elif tensor.value is not None and tensor.dtype.kind != "f":
            operands[name] = tensor.value
        else:
            operands[name] = np.zeros(tensor.shape, np.float32)
    return evaluate_node(node, graph.opsets, operands)


# The graph without them -----------------------------------------------------------------------------------------------


def _rewritten(graph: Graph, plan: _Plan, positive: frozenset[str], products: Mapping[str, Product]) -> Graph:
    def rule(scene: Scene, node: Node) -> list[Node] | None:
        out = node.outputs[0]
        product = products.get(out)
        if product is not None and product.shares in plan.ends:
            rank = len(graph.tensors[product.shares].shape)
            rows = _rows(Steps(scene, node), plan.ends[product.shares], (rank - 1,))
            kept = rows.zeros.any()
            return None if kept else product_of_shares(Steps(scene, node), product, rows, product.shares in positive)
        if out in plan.cleared and out not in plan.failed:
            place, constant = plan.cleared[out]
            inputs = list(node.inputs)
            if node.op == "Where" and _hides_all(graph, node, plan):
                return [scene.node("Identity", (_other(graph, node),), out, node.name)]
            inputs[place] = scene.constant(out, constant)
            return [replace(node, inputs=tuple(inputs))]
        return _exponential(Steps(scene, node), plan.ends[out], out in positive) if out in plan.ends else None

    made = rewrite(graph, rule)
    for name, mark in plan.outputs.items():
        made = _floored(made, name, mark)
    return made


def _hides_all(graph: Graph, node: Node, plan: _Plan) -> bool:
    """Whether whatever a choice takes from its constant is masked, so that nobody reads it."""
    place, condition = plan.cleared[node.outputs[0]][0], graph.value(node.inputs[0])
    mark = plan.marks.get(node.outputs[0])
    shape = graph.tensors[node.outputs[0]].shape
    if condition is None or mark is None or graph.tensors[_other(graph, node)].shape != shape:
        return False
    return bool(np.all(mark.degrees[np.broadcast_to(condition if place == 1 else ~condition, shape)] > 0))


def _exponential(steps: Steps, mark: _Mark, positive: bool) -> list[Node]:
    node, x = steps.node, steps.node.inputs[0]
    if node.op == "Exp":
        masked = mark.degrees > 0
        size = masked.size
        powers = steps.apply("Exp", steps.gather([x], np.flatnonzero(~masked)))
        places = np.full(masked.shape, size - int(masked.sum()))
        places[~masked] = np.arange(size - int(masked.sum()))
        return steps.finish(steps.gather([powers, steps.constant(np.zeros(1))], places))
    if node.op == "ReduceMax":
        rows = _rows(steps, mark, _row_axes(steps.scene.graph, node))
        largest = steps.reduce(
            "ReduceMax", rows.unmasked(steps, x), rows.axes, bool(node.attributes.get("keepdims", 1))
        )
        return steps.finish(largest)
    rows = _rows(steps, mark, _row_axes(steps.scene.graph, node))
    if node.op == "Softmax":
        return masked_softmax(steps, rows, positive)
    return masked_log_softmax(steps, rows, FLOOR)


def _rows(steps: Steps, mark: _Mark, axes: Sequence[int]) -> Rows:
    """Which entries count, row by row: of rows that are masked altogether, all of them, or as many equal ones."""
    whole = np.all(mark.degrees > 0, axis=tuple(axes), keepdims=True)
    if np.any(whole & np.any(mark.degrees >= _INFINITE, axis=tuple(axes), keepdims=True)):
        raise CompileError(f"{steps.node.label}: a row of it is masked altogether by -inf, so that it is not a number")
    equal = whole & np.all(mark.degrees >= _SWALLOWS, axis=tuple(axes), keepdims=True)
    return Rows((mark.degrees > 0) & ~whole, np.broadcast_to(equal, mark.degrees.shape), tuple(axes))


def _floored(graph: Graph, name: str, mark: _Mark) -> Graph:
    """FLOOR where an output is masked."""
    scene = Scene(graph)
    source = dict(graph.outputs)[name]
    shown = scene.computed(source, graph.tensors[source].shape)
    floor = scene.constant(source, np.asarray(FLOOR, graph.tensors[source].dtype))
    keep = scene.constant(source, mark.degrees == 0)
    node = scene.node("Where", (keep, source, floor), shown, "")
    outputs = tuple((other, shown if other == name else old) for other, old in graph.outputs)
    return replace(graph, nodes=(*graph.nodes, node), outputs=outputs, tensors=scene.tensors)
