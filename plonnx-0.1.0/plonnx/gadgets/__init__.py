"""Constraint gadgets: what a tensor operation becomes in a circuit.

Read `unit` first (the cells that hold every value, and why no other values pass), then `gadget` (what a gadget is) with
`product` as an example, `cells` (free re-indexing) and `builder` (what operators call), `linear/` (convolutions, dense
layers and sums without multiply-accumulate rows), `function`, `maximum`, `comparison`, `select`, and `public` (public
values). A gadget is one file: its rows, semantics, fixed marks, constraints and filling, and the function that
operators call. Where its cells lie is layout/'s matter.
"""

from plonnx.gadgets.builder import Builder, TooWide
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.function import Function
from plonnx.gadgets.gadget import OutOfRange, Overflow

__all__ = ["Builder", "Cells", "Function", "OutOfRange", "Overflow", "TooWide"]
