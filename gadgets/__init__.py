"""Constraint gadgets: what a tensor operation becomes in a circuit.

Read `unit` first (the cells that hold every value, and why no other values pass), then `cells` (free re-indexing),
`blocks` and `builder` (the API that operators call, and the one definition of the integer arithmetic), `linear_check`
(convolutions, dense layers and sums without multiply-accumulate rows), `function`, `maximum` and `product` (on a lane's
own rows), `public` (public values). Where the cells lie in rows is layout/planner.py's matter.
"""

from plonnx.gadgets.blocks import Function
from plonnx.gadgets.builder import Builder, OutOfRange, Overflow, TooWide
from plonnx.gadgets.cells import Cells

__all__ = ["Builder", "Cells", "Function", "OutOfRange", "Overflow", "TooWide"]
