"""Elementwise expressions of one tensor: each becomes one lookup table.

    Mul(x, Tanh(Softplus(x)))          y = mish(x), one table
    Sqrt(Add(v, eps)), Reciprocal      r = 1 / sqrt(v + eps), one table

A chain is found from its last node back: a node joins where the chain's nodes are all that read it, and the chain
ends at the deepest single tensor that it can be computed from. Sums, scalings and Relu alone are no chain (they need
no table), nor is what a table would make more expensive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.graph import Array, Graph, Node, Tensor
from plonnx.compiler.ops import Mark, find


@dataclass(frozen=True)
class Chain:
    """Nodes, first to last, that compute an elementwise function of the tensor `source`."""

    source: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]

    @property
    def formula(self) -> str:
        """Which function it is: Softplus(x); Tanh(#0); Mul(x, #1)."""
        places = {self.source: "x"} | {node.outputs[0]: f"#{place}" for place, node in enumerate(self.nodes)}
        return "; ".join(
            node.formula([places.get(name, _scalar(self.tensors.get(name))) for name in node.inputs])
            for node in self.nodes
        )

    @property
    def halfway(self) -> bool:
        """Whether it gives its source one of some levels, as a quantized layer does: it rounds, and stops at both ends.

        What is rounded for its own sake often lies on a half, which is to go to the even number.
        """
        first, *later = (find(node) for node in self.nodes)
        ends = sum(operator is not None and bool(operator.marks & Mark.HALVES) for operator in later)
        return first is not None and bool(first.marks & Mark.HALFWAY) and ends > 1

    def __call__(self, x: Array) -> Array:
        """The function of ascending arguments, in float64: no number wherever one of its steps has no value.

        That holds whatever later steps would make of it: exp(log(0)) is no number here. Where a divisor changes its
        sign between two arguments, the one that is nearer to the pole has no value either.
        """
        values: dict[str, Array] = {self.source: x}
        lost = np.zeros(x.shape, bool)
        for node in self.nodes:
            operator = find(node)
            assert operator is not None and operator.real is not None, "only elementwise operators are chained"
            operands = [values.get(name, _scalar(self.tensors.get(name))) for name in node.inputs]
            made = np.asarray(operator.real(node.attributes, *operands))
            values[node.outputs[0]] = made
            lost |= np.isnan(made) | (np.isinf(made) & bool(operator.marks & Mark.POLE))
            divisor = _divisor(node.op, operands)
            if divisor is not None and divisor.shape == x.shape:
                lost |= _beside_a_pole(divisor)
        return np.where(lost, np.nan, values[self.nodes[-1].outputs[0]])


def _divisor(op: str, operands: Sequence[Array | None]) -> Array | None:
    """What an operator divides by."""
    if op == "Div":
        return operands[1]
    by_power = op == "Pow" and operands[1] is not None and float(np.min(operands[1])) < 0.0
    return operands[0] if op == "Reciprocal" or by_power else None


def _beside_a_pole(divisor: Array) -> Array:
    """The nearer to zero of each two neighbours of different sign."""
    crossed = np.flatnonzero(divisor[:-1] * divisor[1:] < 0.0)
    beside = np.zeros(divisor.shape, bool)
    beside[np.where(np.abs(divisor[crossed]) < np.abs(divisor[crossed + 1]), crossed, crossed + 1)] = True
    return beside


def chains(graph: Graph, hidden: bool = False, alone: frozenset[str] = frozenset()) -> dict[str, Chain]:
    """Output of its last node -> Chain, for each chain of two or more nodes, without those that make what is alone."""
    finder = _Finder(graph, hidden, alone)
    found: dict[str, Chain] = {}
    inner: set[str] = set()
    for node in reversed(graph.nodes):
        chain = None if node.outputs[0] in inner else finder.chain(node)
        if chain is not None:
            found[node.outputs[0]] = chain
            inner.update(member.outputs[0] for member in chain.nodes)
    return found


def _scalar(tensor: Tensor | None) -> Array | None:
    return None if tensor is None or tensor.value is None else tensor.value.astype(np.float64).reshape(-1)[:1]


@dataclass(frozen=True)
class _Region:
    """Nodes that compute an elementwise function of one tensor, no fewer of them do; and the region that it joins."""

    source: str
    places: tuple[int, ...]
    curved: bool  # one of them takes a table, or one of those of the regions before
    before: _Region | None  # the region that makes `source`, where this one is all that reads it


class _Finder:
    """Grows chains over a graph: region by region, each once, so that a long chain is found in linear time."""

    def __init__(self, graph: Graph, hidden: bool, alone: frozenset[str]) -> None:
        self.graph, self.hidden, self.alone = graph, hidden, alone
        self.uses = graph.uses()
        self.makers = {node.outputs[0]: place for place, node in enumerate(graph.nodes)}
        self.regions: dict[int, _Region | None] = {}
        for place in range(len(graph.nodes)):  # in order: what is before a region is known
            self.regions[place] = self._region(place)

    def chain(self, last: Node) -> Chain | None:
        """The longest chain that ends in `last` and takes a table."""
        region = self.regions[self.makers[last.outputs[0]]]
        if region is None or not region.curved:
            return None
        places = list(region.places)
        while region.before is not None:
            region = region.before
            places += region.places
        nodes = tuple(self.graph.nodes[place] for place in sorted(places))
        return Chain(region.source, nodes, self.graph.tensors) if len(nodes) > 1 else None

    def _region(self, last: int) -> _Region | None:
        """The nodes that end in one, grown from it until they rest on one tensor."""
        frontier: dict[str, int] = {}
        places, deepest = [], last
        while self._joins(self.graph.nodes[deepest]):
            places.append(deepest)
            for name in self._computed(self.graph.nodes[deepest]):
                frontier[name] = frontier.get(name, 0) + 1
            if len(frontier) == 1:
                return self._resting(*frontier.popitem(), places)
            ready = [self.makers[n] for n, reads in frontier.items() if n in self.makers and reads == self.uses[n]]
            if not ready:
                return None
            deepest = max(ready)
            del frontier[self.graph.nodes[deepest].outputs[0]]
        return None

    def _resting(self, source: str, reads: int, places: list[int]) -> _Region:
        before = self.regions.get(self.makers.get(source, -1)) if reads == self.uses[source] else None
        curved = any(self._curved(self.graph.nodes[place]) for place in places)
        return _Region(source, tuple(places), curved or (before is not None and before.curved), before)

    def _computed(self, node: Node) -> list[str]:
        return [name for name in node.inputs if name and self.graph.value(name) is None]

    def _joins(self, node: Node) -> bool:
        """An elementwise operator over one shape whose constants are uniform, and public."""
        operator = find(node)
        if operator is None or operator.real is None or len(node.outputs) > 1 or node.outputs[0] in self.alone:
            return False
        out = self.graph.tensors[node.outputs[0]]
        if node.op == "Div" and out.dtype.kind in "iu":  # its `real` is that of reals
            return False
        if any(self.graph.tensors[name].wide for name in (node.outputs[0], *self._computed(node))):
            return False
        shape = out.shape
        if any(self.graph.tensors[name].shape != shape for name in self._computed(node)):
            return False
        constants = [self.graph.tensors[name] for name in node.inputs if self.graph.value(name) is not None]
        if self.hidden and not operator.marks & Mark.PUBLIC and not all(constant.public for constant in constants):
            return False
        values = [constant.value for constant in constants if constant.value is not None]
        return all(value.size and np.all(value == value.reshape(-1)[0]) for value in values)

    def _curved(self, node: Node) -> bool:
        operator = find(node)
        assert operator is not None
        return operator.curved or self._truncates(node) or (node.op == "Mul" and len(self._computed(node)) > 1)

    def _truncates(self, node: Node) -> bool:
        """A Cast of reals to integers."""
        if node.op != "Cast":
            return False
        source, target = (self.graph.tensors[names[0]].dtype.kind for names in (node.inputs, node.outputs))
        return source == "f" and target in "iu"
