"""Integers keep their type: what ONNX would wrap around has no proof, and every integer that is computed is exact.

A circuit computes with whole numbers in (-T, T) and knows no type. So an Add of uint8 whose operands can add up to more
goes through a table that ends at 255, where ONNX wraps around (lower.py), and an input of an integer type, private or
public, is held to whole numbers of its type by the circuit (`kept_by`): whoever reads a statement need not look. An
integer tensor is exact as long as its scale is not negative: each rescaling then divides by a power of two that it
holds. What is only cast to a real number may be coarser.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from plonnx.compiler.graph import CompileError, Graph, Interval, Node, Tensor, type_interval
from plonnx.compiler.ops import Mark, find, marks

_HOLDS_MORE_THAN_CIRCUITS = 4
"""Bytes of types that no value of a circuit can leave upwards."""


class Inexact(ValueError):
    """An integer tensor that this table is too small for."""


class Kept(NamedTuple):
    """What the circuit asks of an input's cells (Builder.input)."""

    narrow: int = 0
    step: int = 0
    natural: bool = False


def kept_by(tensor: Tensor, table_bits: int) -> Kept:
    """What keeps an input to whole numbers of its type; nothing where |v| < T does."""
    if not _is_integer(tensor):
        return Kept()
    assert tensor.scale is not None, "lowering comes after quantization"
    natural, size = tensor.dtype.kind == "u", 1 << table_bits
    if tensor.scale > 0:
        return Kept(step=1 << tensor.scale, natural=natural)
    values = 1 << max(8 * tensor.dtype.itemsize + tensor.scale, 1)
    if natural or values <= size:
        return Kept(narrow=max(size // values, 1), natural=natural)
    return Kept()


def kept_by_steps(tensor: Tensor, scale: int, table_bits: int) -> bool:
    """Whether multiples of 2^scale below T are all of the type; then nothing else needs to say so."""
    most = ((1 << table_bits) - 1) >> max(scale, 0)
    return not _is_integer(tensor) or scale <= 0 or most <= type_interval(tensor.dtype)[1]


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
        _check_exact(out, table_bits)
    for name in exact(graph):
        _check_exact(graph.tensors[name], table_bits)


def exact(graph: Graph) -> frozenset[str]:
    """Integers that may not be coarser: those that integers are made of, what is compared, outputs."""
    found = {source for _, source in graph.outputs}
    for node in graph.nodes:
        if _is_whole(graph, node.outputs[0]) or marks(node) & Mark.COMPARES:
            found.update((*node.inputs, node.outputs[0]))
    return frozenset(name for name in found if name and _is_whole(graph, name) and graph.value(name) is None)


def _is_whole(graph: Graph, name: str) -> bool:
    return _is_integer(graph.tensors[name])


def _is_integer(tensor: Tensor) -> bool:
    return tensor.dtype.kind in "iu"


def _check_meaning(graph: Graph, node: Node) -> None:
    exponent = graph.value(node.inputs[1]) if node.op == "Pow" and len(node.inputs) > 1 else None
    whole = exponent is None or bool(np.all((exponent >= 0) & (exponent == np.floor(exponent))))
    linear = marks(node) & Mark.SIZED and node.attributes.get("mode", "nearest") != "nearest"
    if marks(node) & Mark.ROUNDS or linear or not whole:
        raise CompileError(f"{node.label}: of integers it truncates, which is not supported; cast to float32 before it")


def _check_exact(tensor: Tensor, table_bits: int) -> None:
    if tensor.scale is not None and tensor.scale < 0:
        reach = np.ldexp(float(0 if tensor.interval is None else tensor.interval[1]), -tensor.scale)
        raise _inexact(tensor, reach, table_bits)


def check_held(tensor: Tensor, reach: float, table_bits: int) -> None:
    """Inexact where whole numbers up to `reach` do not fit a table."""
    if reach > (1 << table_bits) - 1:
        raise _inexact(tensor, reach, table_bits)


def _inexact(tensor: Tensor, reach: float, table_bits: int) -> Inexact:
    return Inexact(
        f"tensor {tensor.name!r} holds {tensor.dtype} values up to {reach:.0f}, which must stay exact; a table of"
        f" 2^{table_bits} holds them up to {(1 << table_bits) - 1}"
    )


def leaving(graph: Graph, table_bits: int) -> frozenset[str]:
    """Integers of a quantized graph that for operands within their types, and below T, can leave their own."""
    made = [node for node in graph.nodes if _is_whole(graph, node.outputs[0])]
    return frozenset(node.outputs[0] for node in made if _leaves(graph, node, table_bits))


def _leaves(graph: Graph, node: Node, table_bits: int) -> bool:
    operator, out = find(node), graph.tensors[node.outputs[0]]
    if operator is None or operator.reach is None or out.scale is None:
        return False
    operands = [_interval(graph.tensors[name], table_bits) for name in node.inputs if name]
    low, high = operator.reach(node, operands, graph)
    least, most = type_interval(out.dtype)
    if out.dtype.itemsize >= _HOLDS_MORE_THAN_CIRCUITS:
        held = float(1 << table_bits + out.wide)
        low, high = max(low, -held), min(high, held)
    return low < least or high > most


def _interval(tensor: Tensor, table_bits: int) -> Interval:
    """The values that a circuit lets a tensor take, as real numbers."""
    if tensor.value is not None:
        return (float(tensor.value.min()), float(tensor.value.max())) if tensor.size else (0.0, 0.0)
    low, high = type_interval(tensor.dtype)
    if tensor.scale is not None:
        most = float(np.ldexp((1 << table_bits + tensor.wide) - 1.0, -tensor.scale))
        low, high = max(low, -most), min(high, most)
    return low, high
