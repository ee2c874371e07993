"""Fixed-point arithmetic over a gadgets.Builder: real weights in, integer coefficients at the right scales out.

With T = 2**t the table size, the builder computes z = floor((y + T/2) / T) for an exact integer y. A real coefficient
c of an operand at scale s_x enters a result at scale s_z as the integer round(c * 2**(t + s_z - s_x)), a constant as
round(b * 2**(t + s_z)). Handlers (compiler/ops) see a Call and Operands, and never touch a scale themselves.

operands.py says what operands are, given.py what a handler is told of its node. What it may build with is in a file
for each kind of arithmetic: sums.py (layers and weighted sums), windows.py (pools that are read in place), products.py
(of computed tensors), extremes.py (largest, smallest, bounds), tables.py (functions of one tensor). A Call has all.
"""

from __future__ import annotations

from plonnx.compiler.fixed_point.extremes import Extremes
from plonnx.compiler.fixed_point.given import Recurrence, TooSmall, WidthError
from plonnx.compiler.fixed_point.operands import Made, Operand, Scaled, Wide
from plonnx.compiler.fixed_point.products import Products
from plonnx.compiler.fixed_point.tables import Tables
from plonnx.compiler.fixed_point.windows import Windows


class Call(Windows, Products, Extremes, Tables):
    """One node on its way into the circuit: what a handler is given besides the operands, and builds with."""


__all__ = ["Call", "Made", "Operand", "Recurrence", "Scaled", "TooSmall", "Wide", "WidthError"]
