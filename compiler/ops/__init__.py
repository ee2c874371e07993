"""ONNX operators, one file a family. Importing the package imports every file here, which fills the registry.

registry.py says what a handler is; fixed_point/ (one folder up) what it may build with. linear.py, einsum.py:
matrices; attention.py; convolution.py, pooling.py, windows.py: sliding windows; elementwise.py: sums, products, maxima;
comparison.py: Booleans; activation.py: functions of one value; reduction.py, normalization.py, batch_norm.py: over
axes; shape.py, resize.py: re-indexing, which is free; indexing.py, embedding.py: entries and rows at computed indices;
scattering.py: tensors that are scattered and compressed; ranking.py: indices of
the largest. Of ai.onnx.ml: ml_features.py prepares, ml_linear.py, ml_svm.py and ml_trees.py (forests as ml_forest.py
reads them) decide, by what ml_scores.py says of scores and labels. Of com.microsoft: microsoft.py,
microsoft_attention.py, quantized_microsoft.py and quantized_networks.py (quantized.py is of ONNX).
Adding an operator touches one of these files, or adds one, and its test.
"""

import pkgutil
from importlib import import_module

from plonnx.compiler.ops.registry import Mark, descriptions, find, marked, marks, supported, versions

for _file in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")

__all__ = ["Mark", "descriptions", "find", "marked", "marks", "supported", "versions"]
