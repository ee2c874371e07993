"""Integers keep their type: what ONNX would wrap around has no proof, and every integer that is computed is exact.

A circuit computes with whole numbers in (-T, T) and knows no type. So an Add of uint8 whose operands reach 200 goes
through a table that ends at 255, where ONNX wraps around (lower.py). An integer tensor is exact as long as its scale is
not negative: each rescaling then divides by a power of two that it holds. What is only cast to a real number may be
coarser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from plonnx.compiler.graph import Array, CompileError, Graph, Node, Tensor

Interval = tuple[float, float]
_HALVES = ("Max", "Min", "ReduceMax", "ReduceMin")
"""Operators that compare at half the scale (fixed_point.Call.extreme)."""
_HOLDS_MORE_THAN_CIRCUITS = 4
"""Bytes of types that no value of a circuit can leave upwards."""
_ROUNDS = ("AveragePool", "Exp", "Log", "Reciprocal", "ReduceMean", "Sqrt")
"""Operators whose result is no integer; ONNX truncates it, where a circuit rounds."""


class Inexact(ValueError):
    """An integer tensor that this table is too small for."""


def type_reach(dtype: np.dtype[Any]) -> float:
    """The largest magnitude of a type: infinite for reals."""
    low, high = type_interval(dtype)
    return max(-low, high)


def type_interval(dtype: np.dtype[Any]) -> Interval:
    """The values of a type, both ends included."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind not in "iu":
        return -np.inf, np.inf
    info = np.iinfo(dtype)
    return float(info.min), float(info.max)


def check_integers(graph: Graph, table_bits: int) -> None:
    """Look at every integer tensor of a quantized graph.

    CompileError where ONNX truncates, Inexact where a tensor that must be exact needs a larger table.
    """
    whole = [(node, graph.tensors[node.outputs[0]]) for node in graph.nodes if _is_whole(graph, node.outputs[0])]
    for node, _ in whole:
        _check_meaning(graph, node)
    for node, out in whole:
        for name in filter(None, node.inputs):
            if _is_whole(graph, name):
                _check_exact(graph.tensors[name], table_bits)
        _check_exact(out, table_bits, 1 if node.op in _HALVES else 0)
    for _, source in graph.outputs:
        if _is_whole(graph, source):
            _check_exact(graph.tensors[source], table_bits)


def _is_whole(graph: Graph, name: str) -> bool:
    return graph.tensors[name].dtype.kind in "iu"


def _check_meaning(graph: Graph, node: Node) -> None:
    exponent = graph.value(node.inputs[1]) if node.op == "Pow" and len(node.inputs) > 1 else None
    whole = exponent is None or bool(np.all((exponent >= 0) & (exponent == np.floor(exponent))))
    linear = node.op in ("Resize", "Upsample") and node.attributes.get("mode", "nearest") != "nearest"
    if node.op in _ROUNDS or linear or not whole:
        raise CompileError(f"{node.label}: of integers it truncates, which is not supported; cast to float32 before it")


def _check_exact(tensor: Tensor, table_bits: int, least: int = 0) -> None:
    if tensor.scale is not None and tensor.scale < least:
        bound = np.ldexp(float(0 if tensor.interval is None else tensor.interval[1]), -tensor.scale)
        raise Inexact(
            f"tensor {tensor.name!r} holds {tensor.dtype} values up to {bound:.0f}, which must stay exact; a table of"
            f" 2^{table_bits} holds them up to {(1 << (table_bits - least)) - 1}"
        )


def leaving(graph: Graph, table_bits: int) -> frozenset[str]:
    """Integers of a quantized graph that for operands within their intervals can leave their type."""
    made = [node for node in graph.nodes if _is_whole(graph, node.outputs[0])]
    return frozenset(node.outputs[0] for node in made if _leaves(graph, node, table_bits))


def _leaves(graph: Graph, node: Node, table_bits: int) -> bool:
    rule, out = _RESULTS.get(node.op), graph.tensors[node.outputs[0]]
    if rule is None or out.scale is None or node.domain:
        return False
    low, high = rule(node, [_interval(graph.tensors[name]) for name in node.inputs if name], graph)
    least, most = type_interval(out.dtype)
    if out.dtype.itemsize >= _HOLDS_MORE_THAN_CIRCUITS:
        held = float(1 << table_bits)
        low, high = max(low, -held), min(high, held)
    return low < least or high > most


def _interval(tensor: Tensor) -> Interval:
    """The values that a tensor takes, as real numbers."""
    if tensor.value is not None:
        return (float(tensor.value.min()), float(tensor.value.max())) if tensor.size else (0.0, 0.0)
    low, high = type_interval(tensor.dtype)
    if tensor.interval is not None and tensor.scale is not None:
        bounds = np.ldexp(np.array(tensor.interval, np.float64), -tensor.scale)
        low, high = max(low, float(bounds[0])), min(high, float(bounds[1]))
    return low, high


Rule = Callable[[Node, list[Interval], Graph], Interval]


def _summed(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    return sum(low for low, _ in operands), sum(high for _, high in operands)


def _difference(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    (low, high), (less, more) = operands
    return low - more, high - less


def _product(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    ends = [one * other for one in operands[0] for other in operands[1]]
    if node.inputs[0] == node.inputs[1]:
        return max(0.0, min(ends)), max(ends)
    return min(ends), max(ends)


def _negated(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    return -operands[0][1], -operands[0][0]


def _magnitude(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    low, high = operands[0]
    return max(low, -high, 0.0), max(-low, high)


def _reduced(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    count = x.size // max(y.size, 1)
    return count * operands[0][0], count * operands[0][1]


def _power(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    (low, high), (_, exponent) = operands
    with np.errstate(over="ignore"):
        ends = [float(np.power(np.float64(end), exponent)) for end in (low, high)]
        reach = float(np.power(np.float64(max(-low, high, 1.0)), exponent))
    if graph.value(node.inputs[1]) is None:
        return -reach if low < 0 else 0.0, reach
    return min([*ends, *([0.0] if low < 0 < high else [])]), max(ends)


def _matrix(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    """Each output's terms at their extremes: those of a constant matrix, or K times the extreme product."""
    left, right = (graph.value(name) for name in node.inputs[:2])
    matrix, x = (left, operands[1]) if right is None else (right, operands[0])
    if matrix is None:
        inner = graph.tensors[node.inputs[0]].shape[-1]
        ends = [inner * one * other for one in operands[0] for other in operands[1]]
        return min(ends), max(ends)
    axis = -1 if right is None or matrix.ndim == 1 else -2
    low, high = _extremes(matrix, x, axis)
    bias = operands[2] if len(operands) > 2 else (0.0, 0.0)
    return low + bias[0], high + bias[1]


def _extremes(matrix: Array, x: Interval, axis: int) -> Interval:
    weights = matrix.astype(np.float64)
    least = np.minimum(weights * x[0], weights * x[1]).sum(axis=axis)
    most = np.maximum(weights * x[0], weights * x[1]).sum(axis=axis)
    return float(np.min(least)), float(np.max(most))


def _cast(node: Node, operands: list[Interval], graph: Graph) -> Interval:
    """Reals outside the type have no value (ops/shape.py), whole ones must stay within it."""
    return (0.0, 0.0) if graph.tensors[node.inputs[0]].dtype.kind == "f" else operands[0]


_RESULTS: Mapping[str, Rule] = {
    "Abs": _magnitude,
    "Add": _summed,
    "Cast": _cast,
    "Gemm": _matrix,
    "MatMul": _matrix,
    "Mul": _product,
    "Neg": _negated,
    "Pow": _power,
    "ReduceSum": _reduced,
    "Sub": _difference,
    "Sum": _summed,
}
"""What an operator's result can reach, for those that can leave the type of their operands."""
