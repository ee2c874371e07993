"""Sums of a layer and another tensor, which become one gadget (gadgets/linear/residual.py).

    Add(x, Gemm(h, W, b))       a unit an element, instead of one for the layer, one for the sum, and copies
    Add(x, Conv(h, W, b))       the same, of one sample

x may be such a Gemm beside a Gemm. Also through the Reshape behind one. Of public models, where nobody else reads what
the layer makes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from plonnx.compiler.graph import Graph, Node


@dataclass(frozen=True)
class Joined:
    """The layers of a sum, what is between them and it, and the tensors that are added: two in all."""

    layers: tuple[Node, ...]
    between: tuple[Node, ...]
    others: tuple[str, ...]

    @property
    def inner(self) -> tuple[Node, ...]:
        """The nodes that are made with it."""
        return (*self.layers, *self.between)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All that it reads."""
        return (*self.others, *(name for layer in self.layers for name in layer.inputs))


def joined_layers(graph: Graph, fixed: Collection[str]) -> dict[str, Joined]:
    """By the output of an Add. fixed: the outputs of nodes that are made otherwise (steps of a layer, tables)."""
    makers = {node.outputs[0]: node for node in graph.nodes}
    places = {node.outputs[0]: place for place, node in enumerate(graph.nodes)}
    uses = graph.uses()
    shown = {source for _, source in graph.outputs}
    found = {}
    for node in graph.nodes:
        if node.op != "Add" or node.domain or node.outputs[0] in fixed or node.inputs[0] == node.inputs[1]:
            continue
        shape = graph.tensors[node.outputs[0]].shape
        computed = all(graph.value(name) is None and graph.tensors[name].shape == shape for name in node.inputs)
        if not computed:
            continue
        latest_first = sorted(node.inputs, key=lambda name: -places.get(name, -1))
        layers, between, others = list[Node](), list[Node](), list[str]()
        for made in latest_first:
            above, name = list[Node](), made
            while uses[name] == 1 and name not in shown and name in makers and makers[name].op == "Reshape":
                above.append(makers[name])
                name = makers[name].inputs[0]
            layer = makers.get(name)
            alone = uses[name] == 1 and name not in shown and name not in fixed
            beside = not layers or (layer is not None and {layer.op, layers[0].op} == {"Gemm"})
            if layer is not None and alone and beside and _serves(graph, layer, shape):
                layers.append(layer)
                between += above
            else:
                others.append(made)
        if layers:
            found[node.outputs[0]] = Joined(tuple(layers), tuple(between), tuple(others))
    return found


def _serves(graph: Graph, node: Node, shape: tuple[int, ...]) -> bool:
    """A layer of constants: dense, with the sum's last axis for outputs; or a convolution of one sample."""
    made = graph.tensors[node.outputs[0]].shape
    fits = made == shape and shape[0] == 1 if node.op == "Conv" else node.op == "Gemm" and not node.attributes
    if not fits or node.domain or graph.value(node.inputs[0]) is not None:
        return False
    constants = all(graph.value(name) is not None for name in node.inputs[1:] if name)
    return constants and made[-1:] == shape[-1:]
