"""The registry of ONNX operators: name and version -> handler and scale rule. Its keys are the supported list.

    @op("Gemm", since=7)
    def gemm(call: Call, x: Operand, weights: Operand, bias: Operand = None) -> Cells: ...

A handler gets one Operand per input: Scaled cells for a computed tensor, a float array for a constant, None for an
absent one. It builds the node's output out of gadgets and returns its Cells at the scale that the scale rule gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plonnx.compiler.fixed_point import Call, Operand
from plonnx.compiler.graph import Node, Tensor
from plonnx.gadgets import Cells

Handler = Callable[..., Cells]
ScaleRule = Callable[[Node, Mapping[str, Tensor], int], int]
"""(node, tensors with the scales of the operands, scale that calibration asks for) -> scale of the outputs."""


@dataclass(frozen=True)
class Op:
    """The handler of one operator from version `since` on (until the next registered version)."""

    name: str
    since: int
    handler: Handler
    scale: ScaleRule


_REGISTRY: dict[str, list[Op]] = {}


def calibrated(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The scale that the tensor's own range asks for: the output is rescaled."""
    return asked


def aligned(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """The coarsest scale among the computed operands: cells are re-indexed or seen through, never rescaled upwards."""
    scales = [tensors[name].scale for name in node.inputs if name and tensors[name].value is None]
    return min(scale for scale in scales if scale is not None)


def op(name: str, since: int, scale: ScaleRule = calibrated) -> Callable[[Handler], Handler]:
    """Register the decorated handler for an operator of the default ONNX domain."""

    def register(handler: Handler) -> Handler:
        _REGISTRY.setdefault(name, []).append(Op(name, since, handler, scale))
        _REGISTRY[name].sort(key=lambda entry: entry.since)
        return handler

    return register


def find(node: Node) -> Op | None:
    """The handler in force for a node, None where the operator or its version is not supported."""
    entries = [] if node.domain else [entry for entry in _REGISTRY.get(node.op, []) if entry.since <= node.since]
    return entries[-1] if entries else None


def supported() -> list[str]:
    """Names of the supported operators, sorted."""
    return sorted(_REGISTRY)


__all__ = ["Call", "Handler", "Op", "Operand", "aligned", "calibrated", "find", "op", "supported"]
