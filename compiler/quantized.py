"""A model in the circuit's arithmetic, with what is worth telling about it: what compiling up to gadgets gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.graph import Graph, Tensor
from plonnx.compiler.levels import input_steps
from plonnx.compiler.lower import Visibility, visible
from plonnx.compiler.report import Report, evaluate
from plonnx.gadgets import Builder
from plonnx.layout.inputs import (
    Port,
    Reals,
    dequantize,
    joined,
)
from plonnx.plonk.keys import Scale, nested


@dataclass(frozen=True)
class Facts:
    """What is worth telling about a compiled model; `operators` counts the nodes left after the passes."""

    name: str
    opset: int
    parameters: int
    operators: Mapping[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    notes: tuple[str, ...] = ()
    """What outputs stand for that were text or maps; what to know when comparing with onnxruntime."""


@dataclass(frozen=True)
class Quantized:
    """A model in the circuit's arithmetic: the builder, its accuracy, its facts, and the quantized graph."""

    builder: Builder
    report: Report
    facts: Facts
    graph: Graph

    def evaluate(self, samples: Mapping[str, Reals]) -> dict[str, Reals]:
        """Real inputs (samples, *shape) to real outputs (samples, *shape), through the circuit's integers."""
        outputs = evaluate(self.builder, self.facts.inputs, samples)
        return {port.name: dequantize(joined(outputs, port.name, port.wide), port) for port in self.facts.outputs}


def ports(graph: Graph, inputs: Visibility, outputs: Visibility, hidden: bool = False) -> tuple[tuple[Port, ...], ...]:
    """The circuit's inputs and outputs, as plain data."""
    in_public = visible(inputs, graph.inputs, "input")
    out_public = visible(outputs, [name for name, _ in graph.outputs], "output")
    ends = ([(name, name) for name in graph.inputs], in_public), (graph.outputs, out_public)
    made, steps = [], input_steps(graph, hidden)
    for pairs, public in ends:
        tensors = [(name, graph.tensors[source]) for name, source in pairs]
        made.append(
            tuple(
                Port(
                    name,
                    tensor.shape,
                    str(tensor.dtype),
                    *_scale_and_limit(tensor),
                    public[name],
                    tensor.wide,
                    _fine(steps.get(name, 0.0), tensor),
                )
                for name, tensor in tensors
            )
        )
    return tuple(made)


def _fine(step: float, tensor: Tensor) -> float:
    """The step of an input, where every level has an integer of its own."""
    return step if np.ldexp(step, int(tensor.scales.min())) >= 1.0 else 0.0


def _scale_and_limit(tensor: Tensor) -> tuple[Scale, int]:
    assert tensor.interval is not None, "ports come after quantization"
    return nested(tensor.scales), tensor.interval[1] + 1
