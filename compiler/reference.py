"""onnx's reference evaluator, which runs what onnxruntime refuses; not where it computes something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import defs
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from plonnx.compiler.float_model import Unevaluable, attributes_of
from plonnx.compiler.graph import Array

_Attributes = Mapping[str, Any]
_DEVIATES: Mapping[str, Callable[[int, _Attributes], bool]] = {
    "AveragePool": lambda since, given: bool(given.get("ceil_mode", 0)),
    "BatchNormalization": lambda since, given: since < 14,  # takes the statistics of the batch
    "GlobalMaxPool": lambda since, given: True,  # drops an axis
    "Hardmax": lambda since, given: since < 13,  # one axis, where these versions flatten from `axis` on
    "LRN": lambda since, given: True,  # windows of an even size, and of size one
    "LpNormalization": lambda since, given: given.get("p", 2) == 1,  # without magnitudes
    "LpPool": lambda since, given: bool(given.get("ceil_mode", 0)),
    "MaxPool": lambda since, given: True,  # SAME_LOWER, ceil_mode, uneven pads
    "Resize": lambda since, given: given.get("mode", "nearest") == "nearest",  # which entry, where two are as near
    "TreeEnsemble": lambda since, given: bool(given.get("post_transform", 0)),  # none at all
}
"""Where onnx's reference evaluator computes an operator otherwise than onnxruntime: by version and attributes."""


class Softmax(OpRun):
    """Before version 13: over all axes from `axis` on, as one. The reference evaluator's own takes one axis."""

    op_schema = defs.get_schema("Softmax", 11)

    def _run(self, x: Array, axis: int) -> tuple[Array]:
        over = tuple(range(axis % x.ndim, x.ndim))
        powers = np.exp(x - x.max(axis=over, keepdims=True))
        return ((powers / powers.sum(axis=over, keepdims=True)).astype(x.dtype),)


class LogSoftmax(OpRun):
    """As Softmax."""

    op_schema = defs.get_schema("LogSoftmax", 11)

    def _run(self, x: Array, axis: int) -> tuple[Array]:
        over = tuple(range(axis % x.ndim, x.ndim))
        shifted = x - x.max(axis=over, keepdims=True)
        return ((shifted - np.log(np.exp(shifted).sum(axis=over, keepdims=True))).astype(x.dtype),)


def deviates(op: str, since: int, attributes: Mapping[str, Any]) -> bool:
    """Whether the reference evaluator computes an operator otherwise than onnxruntime."""
    return op in _DEVIATES and _DEVIATES[op](since, attributes)


def reference(model: onnx.ModelProto) -> ReferenceEvaluator:
    """The reference evaluator, where none of the model's operators is one of those that it gets wrong."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in _nodes(model.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if defs.has(node.op_type, opsets.get(domain, 1), domain):
            since = defs.get_schema(node.op_type, opsets.get(domain, 1), domain).since_version
            if deviates(node.op_type, since, attributes_of(node)):
                raise Unevaluable(
                    "onnxruntime can't compute it, and what onnx's reference evaluator makes of version"
                    f" {since} of {node.op_type} is something else"
                )
    return ReferenceEvaluator(model, new_ops=[Softmax, LogSoftmax] if opsets.get("", 1) < 13 else None)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of subgraphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
