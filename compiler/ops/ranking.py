"""ArgMax: from one candidate to the next, the better one and its index are selected; the first of equal ones stays."""

from __future__ import annotations

import numpy as np

from plonnx.compiler.ops.comparison import whole
from plonnx.compiler.ops.registry import Call, Operand, op
from plonnx.gadgets import Cells
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.select import select


@op("ArgMax", since=1, scale=whole)
def arg_max(call: Call, x: Operand) -> Cells:
    """The index of the largest along `axis`, of candidates at half their scale where they lie further apart than T."""
    operand, builder, name = call.computed(x, "the operand"), call.builder, call.out.name
    size, axis = builder.table_size, int(call.node.attributes.get("axis", 0)) % len(operand.shape)
    if call.node.attributes.get("select_last_index", 0):
        raise call.refuse("the last index of equal values is not supported yet")
    rows = operand.cells.transpose((axis, *(k for k in range(len(operand.shape)) if k != axis)))
    flat = rows.reshape((rows.shape[0], -1))
    with call.errors():
        if flat.high - flat.low >= size:
            flat = builder.sum([(flat, size >> 1)], None, f"{name}/2")
        best, index = flat[0], builder.sum([], np.zeros(flat.shape[1], np.int64), f"{name}~0", hides=False)
        for k in range(1, flat.shape[0]):
            better = compare(builder, best, flat[k], f"{name}~{k}>")
            number = builder.sum([], np.full(flat.shape[1], k * size), f"{name}~{k}", hides=False)
            index = select(builder, better, number, index, f"{name}~{k}:")
            best = select(builder, better, flat[k], best, f"{name}~{k}^")
    return index.reshape(call.out.shape)
