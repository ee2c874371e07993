"""Public inputs in fewer bytes than the table has: a chain charges for each, and a word holds more of such values.

|v| < 2^16 takes three bytes with its sign, so an input gives up one bit of sixteen, or pixels from 0 to 255 say that
they are no more. A contract pays 16 gas for a byte, and some 1,000 for the fixed column that shows it
(gadgets/input.py). Where gas is what counts, large inputs are made coarser by a byte if the model's outputs stay
within their target (table_search.py).
"""

from __future__ import annotations

from plonnx.compiler.graph import Tensor
from plonnx.plonk.public_values import width_of

LEAST = 64
"""Values, of which a byte each pays for the column."""
FINE = 16
"""Bits of a table from which on one of them may be given up."""
COARSE_LEAST = 256
"""Values, of which a byte each is worth that the model is less exact."""


def scaled_bits(tensor: Tensor, table_bits: int, coarse: bool = False) -> int:
    """The bits that a public input of reals is scaled to: one less than the table's where that saves a byte.

    coarse: a byte less than that, of an input of many values.
    """
    if tensor.size < LEAST or tensor.dtype.kind != "f":
        return table_bits
    fewer, all_ = (width_of((1 << bits) - 1) for bits in (table_bits - 1, table_bits))
    gives = table_bits >= FINE and fewer < all_
    width = fewer if gives else all_
    if coarse and width > 1 and tensor.size >= COARSE_LEAST:
        return 8 * (width - 1) - 1
    return table_bits - 1 if gives else table_bits


def share(tensor: Tensor, table_bits: int) -> int:
    """T / N for an input of N values, a power of 256 (`Builder.input`); 0 where nothing is saved."""
    assert tensor.interval is not None, "lowering comes after quantization"
    width = width_of(tensor.interval[1])
    if tensor.size < LEAST or tensor.dtype.kind == "b" or width >= width_of((1 << table_bits) - 1):
        return 0
    return 1 << table_bits - 8 * width
