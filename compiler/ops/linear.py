"""Products of matrices: Gemm and MatMul, by constants or of two computed operands; and determinants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Array, Graph, Interval, Node, Shape
from plonnx.compiler.ops import wide
from plonnx.compiler.ops.registry import Call, Made, Mark, Operand, expands, op
from plonnx.gadgets import Cells
from plonnx.gadgets.linear.matmul import stands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_LARGEST_DETERMINANT = 8
_LANES = 8
"""Of a circuit of some size: what is compared for it holds for others nearly as well."""


def _row(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int | None:
    """The rows of the first factor; of a stack of products with one matrix, each product."""
    first, second = (held or () for held in shapes[:2])
    alone = len(first) == len(shape) and axis < len(shape) - 1
    return axis if alone and (len(second) <= 2 or axis == len(shape) - 2) else None


def _row_without_bias(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int | None:
    """The rows of the first factor, where no bias of rows would have to go along."""
    bias = (shapes[2] if len(shapes) > 2 else None) or ()
    plain = not node.attributes.get("transA", 0) and (len(bias) < 2 or bias[0] == 1)
    return 0 if axis == 0 and plain else None


def _matrix(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    """Each output's terms at their extremes: those of a constant matrix, or K times the extreme product."""
    left, right = (graph.value(name) for name in node.inputs[:2])
    matrix, x = (left, operands[1]) if right is None else (right, operands[0])
    if matrix is None:
        inner = graph.tensors[node.inputs[0]].shape[-1]
        ends = [inner * one * other for one in operands[0] for other in operands[1]]
        return min(ends), max(ends)
    axis = -1 if right is None or matrix.ndim == 1 else -2
    low, high = _extremes(matrix, x, axis)
    bias = operands[2] if len(operands) > 2 else (0.0, 0.0)
    return low + bias[0], high + bias[1]


def _extremes(matrix: Array, x: Interval, axis: int) -> Interval:
    weights = matrix.astype(np.float64)
    least = np.minimum(weights * x[0], weights * x[1]).sum(axis=axis)
    most = np.maximum(weights * x[0], weights * x[1]).sum(axis=axis)
    return float(np.min(least)), float(np.max(most))


@op("Gemm", since=7, marks=Mark.LAYER | Mark.WIDE, reach=_matrix, along=_row_without_bias)
def gemm(call: Call, x: Operand, weights: Operand, bias: Operand = None) -> Made:
    """x W + b; the passes have folded alpha, beta and the transpositions into W and b (passes/normalise_gemm.py)."""
    matrix = call.constant(weights, "the matrix")
    row = None if bias is None else np.broadcast_to(call.constant(bias, "the bias"), matrix.shape[1:])
    if isinstance(x, Scaled | Wide) and call.is_wide:
        return wide.layer(call, x, matrix, row)
    return call.linear(call.computed(x, "the left operand"), matrix, row)


@op("MatMul", since=1, marks=Mark.LAYER | Mark.WIDE, reach=_matrix, along=_row)
def matmul(call: Call, a: Operand, b: Operand) -> Made:
    """numpy's matmul. Where one side is a constant, leading dimensions of the other side are rows."""
    if call.is_wide:
        return _wide_product(call, a, b)
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        product = _stacked(call, a, b)
    elif isinstance(a, Scaled):
        product = _times_matrix(call, a, call.constant(b, "one operand"))
    else:  # A x = (x^T A^T)^T
        x, matrix = call.computed(b, "one operand"), call.constant(a, "one operand")
        product = _swap(_times_matrix(call, _swapped(x), matrix.T if matrix.ndim < 3 else np.swapaxes(matrix, -1, -2)))
    return product.reshape(call.out.shape)


def _wide_product(call: Call, a: Operand, b: Operand) -> Made:
    """Of integers of two units, or with such a result: by one constant matrix."""
    left = isinstance(a, Scaled | Wide)
    x, matrix = (a, b) if left else (b, a)
    if isinstance(matrix, Scaled | Wide) or not isinstance(x, Scaled | Wide) or matrix is None or matrix.ndim > 2:
        raise call.too_small("integers of two units are multiplied by one constant matrix only")
    if not left:
        x, matrix = x.each(_swap), matrix.T
    columns = matrix if matrix.ndim > 1 else matrix[:, None]
    made = wide.layer(call, x.each(lambda cells: cells.reshape((-1, len(columns)))), columns)
    shape = call.out.shape
    if left or len(shape) < 2:
        return wide.moved(made, lambda cells: cells.reshape(shape))
    return wide.moved(made, lambda cells: _swap(cells.reshape((*shape[:-2], shape[-1], shape[-2]))))


def _swapped(x: Scaled) -> Scaled:
    return Scaled(_swap(x.cells), x.scale)


def _swap(cells: Cells) -> Cells:
    rank = len(cells.shape)
    return cells if rank < 2 else cells.transpose((*range(rank - 2), rank - 1, rank - 2))


def _times_matrix(call: Call, x: Scaled, matrix: Array) -> Cells:
    """x @ matrix; one linear gadget for each distinct matrix of a stacked constant."""
    columns = matrix if matrix.ndim > 1 else matrix[:, None]
    inner, width = columns.shape[-2:]
    stack = columns.shape[:-2]
    if int(np.prod(stack)) == 1:
        rows = Scaled(x.cells.reshape((-1, inner)), x.scale)
        lead = (*((1,) * (len(stack) - max(len(x.shape) - 2, 0))), *x.shape[:-1])
        shape = lead if matrix.ndim == 1 else (*lead, width)
        return call.linear(rows, columns.reshape(inner, width)).reshape(shape)
    height = x.shape[-2] if len(x.shape) > 1 else 1
    batch = np.broadcast_shapes(stack, x.shape[:-2])
    cells = x.cells.reshape((*x.shape[:-2], height, inner)).broadcast_to((*batch, height, inner))
    slices = cells.reshape((-1, height, inner))
    matrices = np.broadcast_to(columns, (*batch, inner, width)).reshape(-1, inner, width)
    products = [
        call.linear(Scaled(slices[index], x.scale), weights, part=index) for index, weights in enumerate(matrices)
    ]
    return Cells.concatenate(products, 0).reshape((*batch, height, width))


def _stacked(call: Call, a: Scaled, b: Scaled) -> Cells:
    """a [.., I, K] @ b [.., K, J] of computed tensors, their stacks broadcast against each other."""
    left = a.cells if len(a.shape) > 1 else a.cells.reshape((1, -1))
    right = b.cells if len(b.shape) > 1 else b.cells.reshape((-1, 1))
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    factors = [
        Scaled(cells.broadcast_to((*stack, *cells.shape[-2:])).reshape((-1, *cells.shape[-2:])), scale)
        for cells, scale in ((left, a.scale), (right, b.scale))
    ]
    return _joined(call, factors[0], factors[1])


def _joined(call: Call, left: Scaled, right: Scaled) -> Cells:
    """left [G, I, K] @ right [G, K, J]: what is the same factor of several products stands in the circuit once.

    The rows of their other factors are then rows of one product.
    """
    height, width = left.shape[1], right.shape[2]
    alike = _alike(right.cells)
    if alike.shape[1] > 1:
        rows = left.cells.take(alike, 0).reshape((len(alike), -1, left.shape[2]))
        made = _joined(call, Scaled(rows, left.scale), Scaled(right.cells.take(alike[:, 0], 0), right.scale))
        return made.reshape((-1, height, width)).take(np.argsort(alike.reshape(-1)), 0)
    if _alike(left.cells).shape[1] > 1:  # A B = (B^T A^T)^T
        return _swap(_joined(call, _swapped(right), _swapped(left)))
    if _rows(call, right.cells, _swap(left.cells)) < _rows(call, _swap(left.cells), right.cells):
        return _swap(call.matmul(_swapped(right), _swapped(left)))
    return call.matmul(left, right)


def _alike(x: Cells) -> NDArray[np.int64]:
    """The places of equal slices of a stack, [slices that differ, how often each stands there]; else all in one column.

    [G, 1] too where some slices stand there more often than others.
    """
    rows = np.ascontiguousarray(x.refs.reshape(len(x.refs), -1))
    found: dict[bytes, list[int]] = {}  # by np.unique, a field an element, this is most of a transformer's lowering
    for index, row in enumerate(rows):
        found.setdefault(row.tobytes(), []).append(index)
    places = list(found.values())
    times = len(places[0])
    if times == 1 or any(len(same) != times for same in places):
        return np.arange(len(rows)).reshape(-1, 1)
    return np.array(sorted(places, key=lambda same: rows[same[0]].tolist()))


def _rows(call: Call, x: Cells, above: Cells) -> int:
    """Rows that a product takes in a circuit of LANES, x [G, K, I] in place or copied, above [G, K, J] copied."""
    runs, height, width = x.refs[..., 0].size, -(-x.shape[2] // _LANES), above.shape[2]
    copied = 0 if stands(call.builder, x) else runs * height
    return copied + runs * -(-width // _LANES) + len(x.refs) * width * height


@expands("Det", since=11)
def determinant(scene: Scene, node: Node) -> list[Node]:
    """By minors: those of the first k rows are sums of products of row k with those of k - 1, for any k columns."""
    steps, x = Steps(scene, node), node.inputs[0]
    shape = scene.shape(x)
    size = shape[-1]
    if size > _LARGEST_DETERMINANT:
        raise steps.refuse(f"a determinant of more than {_LARGEST_DETERMINANT} rows is not supported")
    stack = int(np.prod(shape[:-2], dtype=np.int64))
    rows = steps.reshape(x, (stack, size, size))
    minors = steps.reshape(steps.take(rows, np.array([0]), 1), (stack, size))
    before: list[tuple[int, ...]] = list(combinations(range(size), 1))
    for k in range(1, size):
        place: dict[tuple[int, ...], int] = {columns: number for number, columns in enumerate(before)}
        chosen: list[tuple[int, ...]] = list(combinations(range(size), k + 1))
        left = np.array([[place[tuple(c for c in columns if c != out)] for out in columns] for columns in chosen])
        row = steps.reshape(steps.take(rows, np.array([k]), 1), (stack, size))
        products = steps.apply("Mul", steps.take(row, np.array(chosen), 1), steps.take(minors, left, 1))
        signs = steps.constant((-1.0) ** (k + np.arange(k + 1)), public=True)
        minors = steps.reduce("ReduceSum", steps.apply("Mul", products, signs), [2], keepdims=False)
        before = chosen
    return steps.finish(steps.reshape(minors, scene.shape(node.outputs[0])))
