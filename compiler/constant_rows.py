"""Constants of each row that are added to a dense layer, and constant rows beside its own: its bias (convolution.py).

    Add(Gemm(x, W, b), P)                       y = x W + (b + P)           a bias for each position
    Add(Concat(C, Gemm(x, W, b)), P)            the layer reads rows of zeros for C, whose bias is C + P

as patches and words of a transformer are embedded: positions, a class token or several. A unit an element, instead of
one for the layer, one for each constant, one for the sum, and copies. Also through the Reshapes between them that keep
the last axis. Of public models, where nobody else reads what is between, from as many constants on as have a column for
each lane elsewhere, too (gadgets/linear/sum.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node
from plonnx.gadgets.linear.sum import MANY


@dataclass(frozen=True, eq=False)
class ConstantRows:
    """A layer, the nodes behind it that are made with it, the rows that it reads, -1 for zeros, and their biases."""

    layer: Node
    between: tuple[Node, ...]
    rows: Array
    bias: Array

    @property
    def inner(self) -> tuple[Node, ...]:
        """The nodes that are made with the last one."""
        return (self.layer, *self.between)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All that it reads."""
        return self.layer.inputs


def constant_rows(graph: Graph, fixed: Collection[str]) -> dict[str, ConstantRows]:
    """By the output of the last node. fixed: the outputs of nodes that are made otherwise."""
    uses, shown = graph.uses(), {source for _, source in graph.outputs}
    found, open_ends = dict[str, ConstantRows](), dict[str, ConstantRows]()
    for node in graph.nodes:
        made = None
        if not (node.domain or node.outputs[0] in fixed or graph.tensors[node.outputs[0]].wide):
            made = _layer(graph, node) if node.op == "Gemm" else _onward(graph, node, open_ends)
        if made is None:
            continue
        name = node.outputs[0]
        if uses[name] == 1 and name not in shown:
            open_ends[name] = made
        if node.op in ("Add", "Concat") and made.bias.size >= MANY:
            found[name] = replace(made, between=made.between[:-1])
    taken = {inner.outputs[0] for joined in found.values() for inner in joined.inner}
    return {name: joined for name, joined in found.items() if name not in taken}


def _layer(graph: Graph, node: Node) -> ConstantRows | None:
    """A dense layer of constants, with its own rows and its bias for each of them."""
    matrix, *bias = (graph.value(name) for name in node.inputs[1:] if name)
    constant = matrix is not None and matrix.dtype.kind == "f" and all(value is not None for value in bias)
    if node.attributes or graph.value(node.inputs[0]) is not None or not constant:
        return None
    shape = graph.tensors[node.outputs[0]].shape
    full = np.zeros(shape) if not bias or bias[0] is None else np.broadcast_to(bias[0].astype(np.float64), shape)
    return ConstantRows(node, (), np.arange(shape[0]), full)


def _onward(graph: Graph, node: Node, known: Mapping[str, ConstantRows]) -> ConstantRows | None:
    """What a node makes of such rows that nobody else reads."""
    computed = [name for name in node.inputs if name and graph.value(name) is None]
    if len(computed) != 1 or computed[0] not in known:
        return None
    before, shape = known[computed[0]], graph.tensors[computed[0]].shape
    made, width = graph.tensors[node.outputs[0]].shape, before.bias.shape[1]
    if made[-1:] != (width,):
        return None
    between, rows = (*before.between, node), before.rows
    if node.op == "Reshape":
        return replace(before, between=between)
    if node.op == "Add" and made == shape:
        (constant,) = (value for name in node.inputs if (value := graph.value(name)) is not None)
        added = np.broadcast_to(constant.astype(np.float64), made).reshape(-1, width)
        return replace(before, between=between, bias=before.bias + added)
    if node.op == "Concat" and int(node.attributes["axis"]) % len(made) < len(made) - 1:
        axis = int(node.attributes["axis"])
        sources, biases = list[Array](), list[Array]()
        for name in node.inputs:
            value = graph.value(name)
            sources.append(rows.reshape(shape[:-1]) if value is None else np.full(value.shape[:-1], -1))
            biases.append(before.bias.reshape(shape) if value is None else value.astype(np.float64))
        read = np.concatenate(sources, axis % len(made)).reshape(-1)
        return replace(before, between=between, rows=read, bias=np.concatenate(biases, axis).reshape(-1, width))
    return None
