"""What compiler/tabulated.py makes: a function of each element alone, in one table."""

from __future__ import annotations

from plonnx.compiler.fixed_point import Call, Operand
from plonnx.compiler.float_model import FORMULA
from plonnx.compiler.ops.registry import OWN, op
from plonnx.gadgets import Cells


@op("Tabulated", since=1, domain=OWN)
def tabulated(call: Call, x: Operand) -> Cells:
    """The formula's value of every element."""
    return call.apply(call.node.attributes[FORMULA], call.computed(x, "the operand"), formula=call.out.name)
