"""ONNX operators, one file a family. Importing the package fills the registry.

registry.py says what a handler is; fixed_point.py (one folder up) what it may build with. linear.py: matrices;
convolution.py, pooling.py, windows.py: sliding windows; elementwise.py: sums, products, maxima; activation.py:
functions of one value; reduction.py, normalization.py, batch_norm.py: over axes; shape.py, select.py, resize.py:
re-indexing, which is free.
Adding an operator touches one of these files and its test.
"""

from plonnx.compiler.ops import (
    activation,
    batch_norm,
    convolution,
    elementwise,
    linear,
    normalization,
    pooling,
    reduction,
    resize,
    select,
    shape,
)
from plonnx.compiler.ops.registry import find, supported, versions

__all__ = [
    "activation",
    "batch_norm",
    "convolution",
    "elementwise",
    "find",
    "linear",
    "normalization",
    "pooling",
    "reduction",
    "resize",
    "select",
    "shape",
    "supported",
    "versions",
]
