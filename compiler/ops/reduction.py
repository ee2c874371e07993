"""Reductions over constant axes: sums and means are matrices of one column, the others expand into these or maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Graph, Interval, Node
from plonnx.compiler.ops import wide, wide_choice
from plonnx.compiler.ops.registry import Call, Expansion, Made, Mark, Operand, aligned, expands, op
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


def _rows(call: Call, x: Scaled | Wide, axes: Operand) -> Scaled | Wide:
    """x as [kept, reduced]."""
    rank = len(x.shape)
    reduced = reduced_axes(call.node, None if axes is None else call.constant(axes, "the axes"), rank)
    kept = [axis for axis in range(rank) if axis not in reduced]
    width = int(np.prod([x.shape[axis] for axis in reduced], dtype=np.int64))
    return x.each(lambda cells: cells.transpose((*kept, *reduced)).reshape((-1, width)))


def _rows_of_one(call: Call, x: Operand, axes: Operand) -> Scaled:
    """The same of an operand of one unit."""
    rows = _rows(call, call.computed(x, "the operand"), axes)
    assert isinstance(rows, Scaled), "as it came"
    return Scaled(rows.cells, rows.scale)


def _reduced(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    count = x.size // max(y.size, 1)
    return count * operands[0][0], count * operands[0][1]


@op("ReduceSum", since=1, marks=Mark.REDUCES | Mark.TOLD | Mark.WIDE, reach=_reduced)
def reduce_sum(call: Call, x: Operand, axes: Operand = None) -> Made:
    """The sum: a matrix of ones."""
    if isinstance(x, Scaled | Wide) and call.is_wide:
        rows = _rows(call, x, axes)
        made = wide.layer(call, rows, np.ones((rows.shape[1], 1)))
        return wide.moved(made, lambda cells: cells.reshape(call.out.shape))
    rows = _rows_of_one(call, x, axes)
    return call.linear(rows, np.ones((rows.shape[1], 1)), public=True).reshape(call.out.shape)


def _of_integers(scene: Scene, node: Node) -> list[Node] | None:
    """The mean of integers is their sum by how many they are, towards zero; beyond their type the sum wraps around."""
    steps, x = Steps(scene, node), node.inputs[0]
    kind = scene.tensors[x].dtype
    if kind.kind not in "iu":
        return None
    axes = steps.axes()
    count = int(np.prod([scene.shape(x)[axis] for axis in axes], dtype=np.int64))
    total = steps.reduce("ReduceSum", x, axes, bool(node.attributes.get("keepdims", 1)))
    return steps.finish(steps.apply("Div", total, steps.constant(np.asarray(count, kind), public=True)))


@op("ReduceMean", since=1, expand=_of_integers, marks=Mark.REDUCES | Mark.TOLD | Mark.ROUNDS)
def reduce_mean(call: Call, x: Operand, axes: Operand = None) -> Cells:
    """The mean: a matrix of 1/K, K elements; over space one window a channel, where that copies nothing."""
    operand = call.computed(x, "the operand")
    rank = len(operand.shape)
    given = None if axes is None else call.constant(axes, "the axes")
    if rank > 2 and reduced_axes(call.node, given, rank) == tuple(range(2, rank)):
        grid = operand.shape[2:]
        made = call.averages(operand, [np.arange(size) for size in grid], (), int(np.prod(grid)))
        if made is not None:
            return made
    rows = _rows_of_one(call, x, axes)
    return call.linear(rows, np.full((rows.shape[1], 1), 1.0 / rows.shape[1]), public=True).reshape(call.out.shape)


_EXTREME = Mark.REDUCES | Mark.TOLD | Mark.HALVES | Mark.WIDE | Mark.EXTREME


def _extreme(call: Call, x: Operand, axes: Operand, smallest: bool) -> Made:
    if isinstance(x, Wide):
        return wide_choice.extreme_of_rows(call, _rows(call, x, axes), smallest)
    rows = _rows_of_one(call, x, axes)
    return call.extreme(Scaled(rows.cells.transpose((1, 0)), rows.scale), smallest).reshape(call.out.shape)


@op("ReduceMax", since=1, scale=aligned, marks=_EXTREME)
def reduce_max(call: Call, x: Operand, axes: Operand = None) -> Made:
    """The largest."""
    return _extreme(call, x, axes, smallest=False)


@op("ReduceMin", since=1, scale=aligned, marks=_EXTREME)
def reduce_min(call: Call, x: Operand, axes: Operand = None) -> Made:
    """The smallest."""
    return _extreme(call, x, axes, smallest=True)


def _composed(before: str | None, after: str | None) -> Expansion:
    """after(ReduceSum(before(x))), where "Square" is x * x."""

    def rule(scene: Scene, node: Node) -> list[Node]:
        steps, x = Steps(scene, node), node.inputs[0]
        axes = steps.axes()
        if before is not None:
            x = steps.apply("Mul", x, x) if before == "Square" else steps.apply(before, x)
        result = steps.reduce("ReduceSum", x, axes, bool(node.attributes.get("keepdims", 1)))
        return steps.finish(result if after is None else steps.apply(after, result))

    return rule


for _name, _before, _after in (
    ("ReduceL1", "Abs", None),
    ("ReduceL2", "Square", "Sqrt"),
    ("ReduceSumSquare", "Square", None),
    ("ReduceLogSum", None, "Log"),
):
    expands(_name, since=1)(_composed(_before, _after))


@expands("ReduceLogSumExp", since=1)
def reduce_log_sum_exp(scene: Scene, node: Node) -> list[Node]:
    """max + log(sum(exp(x - max))): the exponentials are at most one."""
    steps, x = Steps(scene, node), node.inputs[0]
    axes = steps.axes()
    largest = steps.reduce("ReduceMax", x, axes)
    total = steps.reduce("ReduceSum", steps.apply("Exp", steps.apply("Sub", x, largest)), axes)
    result = steps.apply("Add", steps.apply("Log", total), largest)
    if not node.attributes.get("keepdims", 1):
        result = steps.reshape(result, scene.shape(node.outputs[0]))
    return steps.finish(result)


@expands("ReduceProd", since=1)
def reduce_prod(scene: Scene, node: Node) -> list[Node]:
    """Products of two halves, again and again."""
    steps, x = Steps(scene, node), node.inputs[0]
    axes, shape = steps.axes(), scene.shape(x)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    size = int(np.prod(shape, dtype=np.int64))
    width = int(np.prod([shape[axis] for axis in axes], dtype=np.int64))
    places = np.arange(size).reshape(shape).transpose((*axes, *kept)).reshape(width, -1)
    current = steps.gather([x], places)
    while width > 1:
        rows, half = np.arange(width * places.shape[1]).reshape(width, -1), width // 2
        one, other = (steps.gather([current], part) for part in (rows[:half], rows[half : 2 * half]))
        made = steps.apply("Mul", one, other)
        if width % 2:
            odd = steps.gather([current], rows[-1:])
            made = steps.apply("Concat", made, odd, shape=(half + 1, rows.shape[1]), axis=0)
        current, width = made, half + width % 2
    return steps.finish(steps.reshape(current, scene.shape(node.outputs[0])))


@expands("CumProd", since=26)
def cum_prod(scene: Scene, node: Node) -> list[Node]:
    """Running products along an axis, one after another."""
    steps, (x, axis) = Steps(scene, node), node.inputs
    given, shape = scene.value(axis), scene.shape(x)
    if given is None:
        raise steps.refuse("its axis must be a constant of the model")
    along, backwards = int(given.reshape(-1)[0]) % len(shape), bool(node.attributes.get("reverse", 0))
    steps.dtype = scene.tensors[x].dtype
    entries = [steps.take(x, np.array([k]), along) for k in range(shape[along])]
    ordered = entries[::-1] if backwards else entries
    made = [
        steps.constant(np.ones(steps.shape(entries[0])), public=True)
        if node.attributes.get("exclusive", 0)
        else ordered[0]
    ]
    for k in range(1, len(ordered)):
        factor = ordered[k - 1] if node.attributes.get("exclusive", 0) else ordered[k]
        made.append(factor if k == 1 and node.attributes.get("exclusive", 0) else steps.apply("Mul", made[-1], factor))
    parts = made[::-1] if backwards else made
    return steps.finish(steps.apply("Concat", *parts, shape=shape, axis=along))


def _running_sums(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    length = max(graph.tensors[node.inputs[0]].shape, default=1)
    return length * min(operands[0][0], 0.0), length * max(operands[0][1], 0.0)


@op("CumSum", since=11, marks=Mark.WIDE, reach=_running_sums)
def cum_sum(call: Call, x: Operand, axis: Operand) -> Made:
    """Running sums along an axis: a triangular matrix of ones."""
    operand = x if isinstance(x, Wide) else call.computed(x, "the operand")
    rank, given = len(operand.shape), call.node.attributes
    along = int(call.constant(axis, "the axis").reshape(-1)[0]) % rank
    order = (*(a for a in range(rank) if a != along), along)
    length, moved = operand.shape[along], [operand.shape[a] for a in order]
    ones = np.triu(np.ones((length, length)), int(given.get("exclusive", 0)))
    matrix = ones[::-1, ::-1] if given.get("reverse", 0) else ones
    rows = operand.each(lambda cells: cells.transpose(order).reshape((-1, length)))
    if call.is_wide or not isinstance(rows, Scaled):
        made = wide.layer(call, rows, matrix)
    else:
        made = call.linear(Scaled(rows.cells, rows.scale), matrix, public=True)
    return wide.moved(made, lambda cells: cells.reshape(moved).transpose(tuple(np.argsort(order).tolist())))
