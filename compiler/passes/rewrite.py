"""Local rewrites: a rule looks at one node and its producers and gives the nodes that replace it, or None.

A rule keeps the names of the node's outputs. Nodes that lose their last reader stay until passes/dead_code.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike
from onnx import defs

from plonnx.compiler.graph import Array, Graph, Node, Shape, Tensor

Rule = Callable[["Scene", Node], list[Node] | None]


class Scene:
    """What a rule sees of the graph around a node, and where it puts new tensors.

    hidden: the constants are secret, and only their shapes may decide what a rule makes.
    alike: tensors with readers that all do the same with it, so that they count as one.
    """

    def __init__(self, graph: Graph, hidden: bool = False, alike: Collection[str] = ()) -> None:
        self.graph, self.hidden, self.alike = graph, hidden, alike
        self.tensors = dict(graph.tensors)
        self._producers: dict[str, Node] = {}
        self._given: dict[str, int] = {}

    @cached_property
    def _uses(self) -> dict[str, int]:
        return self.graph.uses()

    def value(self, name: str) -> Array | None:
        """The value of a constant, None for computed and absent tensors."""
        return self.tensors[name].value if name else None

    def shape(self, name: str) -> Shape:
        """The shape of a tensor."""
        return self.tensors[name].shape

    def producer(self, name: str, op: str) -> Node | None:
        """The node that makes `name`, if it is an `op` whose only reader is the one that asks."""
        node = self._producers.get(name)
        single = self._uses.get(name) == 1 or name in self.alike
        return node if node is not None and node.op == op and single else None

    def maker(self, name: str) -> Node | None:
        """The node that makes `name`, whoever else reads it."""
        return self._producers.get(name)

    def sole_maker(self, name: str) -> Node | None:
        """The node that makes `name`, if only the one that asks reads it."""
        return self._producers.get(name) if self._uses.get(name) == 1 else None

    def split(self, node: Node) -> tuple[str, Array] | None:
        """(computed operand, constant operand) of a commutative node of two operands; None where it isn't so."""
        first, second = node.inputs
        for computed, constant in ((first, second), (second, first)):
            value = self.value(constant)
            if value is not None and self.value(computed) is None:
                return computed, value
        return None

    def constant_step(self, name: str) -> tuple[Node, str, Array] | None:
        """The Mul or Add by a constant that makes `name` for the one reader that asks, its operand, its constant."""
        step = self.producer(name, "Mul") or self.producer(name, "Add")
        operands = None if step is None else self.split(step)
        return None if step is None or operands is None else (step, *operands)

    def constant(self, base: str, value: Array, *made_of: str, public: bool = False) -> str:
        """A new constant, named after `base`; public too where it is `made_of` public constants alone.

        A value in float64 may be one of the type of `base`: it is held as exactly as it was computed.
        """
        name = self._fresh(base)
        known = public or (bool(made_of) and all(self.tensors[source].public for source in made_of))
        held = Tensor.constant(name, np.asarray(value, order="C"), known)
        finer = value.dtype == np.float64 and self.tensors[base].dtype.kind == "f"
        self.tensors[name] = replace(held, dtype=self.tensors[base].dtype) if finer else held
        return name

    def computed(self, base: str, shape: Shape, dtype: DTypeLike | None = None) -> str:
        """A new computed tensor named after `base`, of its type unless another is given."""
        name = self._fresh(base)
        self.tensors[name] = Tensor(name, shape, self.tensors[base].dtype if dtype is None else np.dtype(dtype))
        return name

    def node(self, op: str, inputs: tuple[str, ...], output: str, name: str, **attributes: object) -> Node:
        """A node of the default domain at the model's opset, its version looked up."""
        since = defs.get_schema(op, self.graph.opsets[""]).since_version
        return Node(op, inputs, (output,), attributes, since, name)

    def emitted(self, node: Node) -> None:
        """Record a node as the producer of its outputs."""
        self._producers.update(dict.fromkeys(node.outputs, node))

    def _fresh(self, base: str) -> str:
        count = self._given.get(base, 0) + 1  # no name is taken back: those before are in use
        while f"{base}~{count}" in self.tensors:
            count += 1
        self._given[base] = count
        return f"{base}~{count}"


def rewrite(graph: Graph, rule: Rule, hidden: bool = False, alike: Collection[str] = ()) -> Graph:
    """Apply a rule once to every node, in order."""
    scene = Scene(graph, hidden, alike)
    nodes: list[Node] = []
    changed = False
    for node in graph.nodes:
        replacement = rule(scene, node)
        changed |= replacement is not None
        for new in [node] if replacement is None else replacement:
            nodes.append(new)
            scene.emitted(new)
    return graph.with_nodes(nodes, scene.tensors) if changed or len(scene.tensors) > len(graph.tensors) else graph
