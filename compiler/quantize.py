"""Quantization: the one place that chooses every tensor's power-of-two scale and integer interval.

With a table of T = 2**t entries a tensor holds integers |v| < T. A tensor that must hold magnitudes up to `limit`
gets the largest scale s with limit * 2**s <= T - 1; s may be negative. Operators that only re-index or see
through their operand keep its scale (the scale rule beside each handler in compiler/ops says which).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from plonnx.compiler.graph import Graph, Node, Tensor
from plonnx.compiler.ops import find
from plonnx.compiler.ops.registry import aligned

_TAKES = ("Concat", "Gather", "GatherElements", "GatherND", "MaxPool", "Pad", "Resize", "Upsample")
"""Operators besides those with the scale rule `aligned` whose cells are their operands' own, or lie between them."""


def quantize(
    graph: Graph,
    limits: Mapping[str, float],
    table_bits: int,
    hidden: bool = False,
    measured: Mapping[str, tuple[float, float]] | None = None,
) -> Graph:
    """The graph with a scale and an interval on every computed tensor; `limits` is name -> real magnitude > 0.

    hidden: the scale rules see the values of public constants alone. `measured` is name -> range over calibration.
    """
    tensors = {
        name: replace(tensor, value=None) if hidden and not tensor.public else tensor
        for name, tensor in graph.tensors.items()
    }

    def assign(name: str, scale: int, signed: bool = True) -> None:
        bound = min(int(np.floor(np.ldexp(limits[name], scale) + 0.5)), (1 << table_bits) - 1)
        if tensors[name].dtype.kind == "b":
            bound, signed = 1, False
        seen = (measured or {}).get(name)
        tensors[name] = replace(tensors[name], scale=scale, interval=(-bound * signed, bound), measured=seen)

    for name in graph.inputs:
        assign(name, 0 if tensors[name].dtype.kind == "b" else scale_of(limits[name], table_bits))
    for node in graph.nodes:
        operator = find(node)
        assert operator is not None, "the importer refuses unsupported operators"
        for name in filter(None, node.outputs):
            places = tuple(other if other == name else "" for other in node.outputs)
            scale = operator.scale(replace(node, outputs=places), tensors, scale_of(limits[name], table_bits))
            assign(name, scale, not _keeps_positive(node, tensors, scale, operator.scale is aligned))
    tensors = {name: replace(tensor, value=graph.tensors[name].value) for name, tensor in tensors.items()}
    return replace(graph, tensors=tensors, outputs=tuple(_shown(graph, tensors, table_bits)))


def _shown(graph: Graph, tensors: dict[str, Tensor], table_bits: int) -> Iterator[tuple[str, str]]:
    """The graph's outputs; a constant one is a tensor of its own, whose scale nobody else sees."""
    for name, source in graph.outputs:
        value = graph.value(source)
        if value is None:
            yield name, source
            continue
        own = f"{name}~shown"
        limit = float(np.max(np.abs(value.astype(np.float64)))) or 1.0
        scale = scale_of(limit, table_bits)
        bound = int(np.floor(np.ldexp(limit, scale) + 0.5))
        tensors[own] = replace(Tensor.constant(own, value), scale=scale, interval=(-bound, bound))
        yield name, own


def _keeps_positive(node: Node, tensors: Mapping[str, Tensor], scale: int, is_aligned: bool) -> bool:
    """A Relu, or cells taken as they are (operands at the result's scale) from tensors that are not negative."""
    if node.op == "Relu":
        return True
    read = [tensors[name] for name in node.inputs if name and tensors[name].dtype.kind == "f"]
    takes = (is_aligned or node.op in _TAKES) and not (node.op == "Pad" and node.attributes.get("value", 0.0) < 0)
    return takes and bool(read) and all(_is_positive(tensor, scale) for tensor in read)


def _is_positive(tensor: Tensor, scale: int) -> bool:
    if tensor.interval is not None:
        return tensor.interval[0] >= 0 and tensor.scale == scale
    return tensor.value is not None and bool(np.all(tensor.value >= 0))


def scale_of(limit: float, table_bits: int) -> int:
    """The largest s with limit * 2**s <= 2**table_bits - 1."""
    scale = table_bits - int(np.frexp(limit)[1])
    return scale if np.ldexp(limit, scale) <= (1 << table_bits) - 1 else scale - 1
