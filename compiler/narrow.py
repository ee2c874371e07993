"""Public inputs in fewer bytes than the table has: a chain charges for each, and a word holds more of such values.

|v| < 2^16 takes three bytes with its sign, so an input gives up one bit of sixteen, or pixels from 0 to 255 say that
they are no more. A contract pays 16 gas for a byte, and some 1,000 for the fixed column that shows it
(gadgets/input.py).
"""

from __future__ import annotations

from plonnx.compiler.graph import Tensor

LEAST = 64
"""Values, of which a byte each pays for the column."""
FINE = 16
"""Bits of a table from which on one of them may be given up."""


def scaled_bits(tensor: Tensor, table_bits: int) -> int:
    """The bits that a public input of reals is scaled to: one less than the table's where that saves a byte."""
    gives = tensor.size >= LEAST and tensor.dtype.kind == "f" and table_bits >= FINE
    return table_bits - 1 if gives and _bytes(table_bits - 1) < _bytes(table_bits) else table_bits


def share(tensor: Tensor, table_bits: int) -> int:
    """T / N for an input of N values, a power of 256 (`Builder.input`); 0 where nothing is saved."""
    assert tensor.interval is not None, "lowering comes after quantization"
    bits = tensor.interval[1].bit_length()
    if tensor.size < LEAST or tensor.dtype.kind == "b" or _bytes(bits) >= _bytes(table_bits):
        return 0
    return 1 << table_bits - 8 * _bytes(bits)


def _bytes(bits: int) -> int:
    """Those of a sign and so many bits."""
    return (bits + 8) // 8
