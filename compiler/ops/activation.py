"""Functions of one value: Relu."""

from __future__ import annotations

from plonnx.compiler.ops.registry import Call, Operand, aligned, op
from plonnx.gadgets import Cells


@op("Relu", since=6, scale=aligned)
def relu(call: Call, x: Operand) -> Cells:
    """max(x, 0), a view of the same cells at the same scale."""
    return call.builder.relu(call.computed(x, "the operand").cells, name=call.out.name)
