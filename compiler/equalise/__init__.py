"""Channels of very different ranges: t becomes t' 2^e, where t' has channels of like ranges, with an exponent for each.

    Gemm(x, W)           becomes   Mul(Gemm(Mul(x, 2^-e), 2^e W 2^-f), 2^f)

A tensor has one scale, so a feature of 1e-3 beside one of 1e6 would be nothing. The powers of two go into what is
there: weights, biases, factors and thresholds, at no cost. Operators that only re-index, and those with
f(2^e x) = 2^e f(x), carry exponents along; a sum brings its operands to one exponent; a function is a table for each
exponent, where these are few; before any other operator the product with 2^e is made, element by element. Behind an
input and before an output that product is free: it gives the input or output a scale for each channel (quantize.py).
So are products with one power of two, by which the parts of a Concat get equal scales without losing a bit.

The graph computes the same function. Exponents follow from ranges that calibration measured, from no constant of the
model, so that they tell of a hidden model what scales do.

held.py keeps what is held over powers of two, choices.py says which exponents a tensor gets. The rules by operator:
carried.py (re-indexing, sums, reductions, comparisons), elementwise.py (products, powers, functions), layers.py.
sweep.py goes through the graph and asks for each node's rule.
"""

from __future__ import annotations

from plonnx.compiler.equalise.choices import FREEDOMS, Freedom
from plonnx.compiler.equalise.sweep import equalised

__all__ = ["FREEDOMS", "Freedom", "equalised"]
