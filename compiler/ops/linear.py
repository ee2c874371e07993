"""Products with constant matrices: Gemm and MatMul."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, CompileError, Node
from plonnx.compiler.ops.registry import Call, Operand, op
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


def _by_a_constant(scene: Scene, node: Node) -> None:
    """Refuses a product of two computed tensors before anything is measured."""
    if all(scene.value(name) is None for name in node.inputs[:2]):
        raise CompileError(
            f"{node.label}: a product of two computed tensors is not supported yet; one operand must be a constant"
        )


@op("Gemm", since=7, expand=_by_a_constant)
def gemm(call: Call, x: Operand, weights: Operand, bias: Operand = None) -> Cells:
    """x W + b; the passes have folded alpha, beta and the transpositions into W and b (passes/normalise_gemm.py)."""
    matrix = call.constant(weights, "the matrix")
    row = None if bias is None else np.broadcast_to(call.constant(bias, "the bias"), matrix.shape[1:])
    return call.linear(call.computed(x, "the left operand"), matrix, row)


@op("MatMul", since=1, expand=_by_a_constant)
def matmul(call: Call, a: Operand, b: Operand) -> Cells:
    """numpy's matmul where one side is a constant: leading dimensions of the other side are rows."""
    if isinstance(a, Scaled):
        product = _times_matrix(call, a, call.constant(b, "one operand"))
    else:  # A x = (x^T A^T)^T
        x, matrix = call.computed(b, "one operand"), call.constant(a, "one operand")
        product = _swap(_times_matrix(call, _swapped(x), matrix.T if matrix.ndim < 3 else np.swapaxes(matrix, -1, -2)))
    return product.reshape(call.out.shape)


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
