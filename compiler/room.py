"""Limits that are raised so that a tensor is made as coarse as its reader takes it: the scales follow from the limits.

    MatMul(a, b)               a product is made of its factors' integers: it can't be finer than both together
    Mul(a, b)                  the same; and where the result is coarser than both together, a factor would be rescaled
    ReduceMean(Mul(a, a))      squares are summed up exactly, and a unit holds a T-th of the sum (sums_of_squares.py)
    Concat(a, b), Where(.., a) what is joined has the coarsest scale of all; a finer part would be rescaled, at two
                               units an element, and rounded a second time

What makes a tensor makes a coarser one at no cost. So that nobody else loses precision, only what has one reader is
raised for a join. For a product both factors are: where the result is larger than both together, its terms agree, and
what is lost cancels out over them. Inputs of the graph stay as they are for a join, where all of a word may be wanted;
one that a product alone reads is rounded for it either way, and costs no sum then.

A branch of a Where is held at the result's scale whether it is chosen or not: where one is far larger than what is ever
chosen, the result is as coarse as that. (Not where the Where is part of a table, which sees what is chosen alone.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from plonnx.compiler.graph import Graph, Node, scale_of
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.indexing import of_the_tensor
from plonnx.compiler.ops.registry import aligned
from plonnx.compiler.pointwise import chains
from plonnx.compiler.sums_of_squares import SumOfSquares, sums_of_squares

_MARGIN = 2.0
"""The usual margin: what is chosen leaves so much room in a result of its own limit."""
_WORTH_A_BIT = 1 << 14
"""Squares that take no units: what they read is coarser for it, so that the model may need tables of twice the size."""


def with_room(
    graph: Graph, limits: Mapping[str, float], hidden: bool = False, table_bits: int = 16
) -> dict[str, float]:
    """The limits, some of them higher. hidden: whatever the values of constants that are secret."""
    room = _Room(graph, limits, hidden, table_bits)
    room.hold_branches()
    for node in reversed(graph.nodes):
        if marks(node) & Mark.JOINS and graph.tensors[node.outputs[0]].dtype.kind == "f":
            room.join(node)
    if not hidden:
        room.hold_norms()
    for node in graph.nodes:
        if node.op == "MatMul" and all(graph.value(name) is None for name in node.inputs):
            room.multiply(node)
    for node in reversed(graph.nodes):
        if node.op == "Mul" and not node.domain and len(set(node.inputs)) == 2:
            room.multiply_each(node)
    return room.limits


class _Room:
    def __init__(self, graph: Graph, limits: Mapping[str, float], hidden: bool, table_bits: int) -> None:
        self.graph, self.limits, self.hidden, self.table_bits = graph, dict(limits), hidden, table_bits
        self.makers = {name: node for node in graph.nodes for name in node.outputs}
        self.uses = graph.uses()
        layers = [node for node in graph.nodes if node.op == "Gemm"]
        passed = Counter(node.inputs[1:] for node in layers)
        self.steps = {node.outputs[0] for node in layers if passed[node.inputs[1:]] > 1}

    def hold_branches(self) -> None:
        """Raise results to their branches where these are more than a margin beyond them."""
        composed: set[str] | None = None
        for node in self.graph.nodes:
            made = node.outputs[0]
            if node.op != "Where" or self.graph.tensors[made].dtype.kind == "b":
                continue
            branches = [self.limits[name] for name in node.inputs[1:] if self.graph.value(name) is None]
            if max(branches, default=0.0) <= _MARGIN * self.limits[made]:
                continue
            if composed is None:
                chained = chains(self.graph, self.hidden).values()
                composed = {inner.outputs[0] for chain in chained for inner in chain.nodes}
            if made not in composed:
                self.limits[made] = max(branches)

    def join(self, node: Node) -> None:
        """Raise the parts to the largest of them, or to the result where its constants are larger."""
        parts = [name for name in node.inputs if name and self.graph.tensors[name].dtype.kind == "f"]
        computed = [name for name in parts if self.graph.value(name) is None]
        wanted = [self.reach(name) for name in computed]
        constants = [self.graph.tensors[name] for name in parts if self.graph.value(name) is not None]
        secret = self.hidden and not all(constant.public for constant in constants)
        if secret or any(np.any(constant.plain) for constant in constants) or node.op == "Where":
            wanted.append(self.limits[node.outputs[0]])
        for name in computed:
            self.raise_to(name, max(wanted))

    def multiply(self, node: Node) -> None:
        """Raise both factors by as much as the result is larger than both together."""
        bits = [int(np.frexp(self.reach(name))[1]) for name in (*node.inputs, node.outputs[0])]
        missing = bits[2] - bits[0] - bits[1]
        if missing > 0:
            self.lift(node.inputs[0], -(-missing // 2))
            self.lift(node.inputs[1], missing // 2)

    def multiply_each(self, node: Node) -> None:
        """Raise a factor that nobody else reads where the result is larger than both together: it is rounded so anyway.

        Not what a step of a recurrence makes: it has its scale in common with the others (calibration.py).
        """
        factors = [self.graph.tensors[name] for name in node.inputs]
        if any(x.value is not None or x.dtype.kind != "f" for x in factors):
            return
        one, other, made = (scale_of(self.reach(name), self.table_bits) for name in (*node.inputs, node.outputs[0]))
        missing = one + other - self.table_bits - made
        for name in node.inputs if missing > 0 else ():
            maker = self.makers.get(name)
            step = maker is None or not self.steps.isdisjoint((name, *maker.inputs))
            if maker is None or step or self.uses[name] != 1 or self._seen_through(maker):
                continue
            self.limits[name] = self.reach(name) * 2.0**missing
            return

    def hold_norms(self) -> None:
        """Raise what is squared to the norm of a row, where so many squares are worth a larger table."""
        every = [(squares, self.missing(squares, out)) for out, squares in sums_of_squares(self.graph).items()]
        coarser = [(squares, bits) for squares, bits in every if bits > 0 and squares.power == 2]
        if sum(self.graph.tensors[squares.x].size for squares, _ in coarser) >= _WORTH_A_BIT:
            for squares, bits in coarser:
                self.lift(squares.x, bits)

    def missing(self, squares: SumOfSquares, out: str) -> int:
        """By how many bits the norm of a row is larger than what is squared."""
        mean = self.makers[out].op == "ReduceMean"
        norm = np.sqrt(self.limits[out] * (squares.width if mean else 1))
        return int(np.frexp(norm)[1]) - int(np.frexp(self.reach(squares.x))[1])

    def reach(self, name: str) -> float:
        """The limit that decides the scale: that of what a tensor is a view of, or a multiple by a power of two."""
        return self._reach(name, {})

    def _reach(self, name: str, seen: dict[str, float]) -> float:
        """The same; `seen` are those that are known, for ways that part and meet again."""
        if name not in seen:
            node = self.makers.get(name)
            sources = () if node is None else self._seen_through(node)
            seen[name] = self.limits[name]
            if sources and node is not None:
                seen[name] = max(self._reach(source, seen) for source in sources) * self._factor(node)
        return seen[name]

    def raise_to(self, name: str, limit: float) -> None:
        """Where nothing else reads what is on the way, the one tensor that is seen here."""
        while self.uses[name] == 1 and name in self.makers:
            sources = self._seen_through(self.makers[name])
            if not sources:
                self.limits[name] = max(self.limits[name], limit)
                return
            if len(sources) > 1:
                return
            limit /= self._factor(self.makers[name])
            name = sources[0]

    def lift(self, name: str, doublings: int) -> None:
        """Whatever is seen here: what is computed, or an input that nobody else reads."""
        if name in self.makers or (self.uses[name] == 1 and self.graph.tensors[name].dtype.kind == "f"):
            self.limits[name] *= 2.0**doublings
            for source in self._seen_through(self.makers[name]) if name in self.makers else ():
                self.lift(source, doublings)

    def _seen_through(self, node: Node) -> tuple[str, ...]:
        """The computed operands whose scale, up to a power of two, is that of the node's result."""
        operator = find(node)
        computed = tuple(name for name in node.inputs if name and self.graph.value(name) is None)
        through = operator is not None and (operator.scale is aligned or self._factor(node) != 1.0)
        picked = operator is not None and operator.scale is of_the_tensor and computed == node.inputs[:1]
        return computed if through or picked or node.op == "Concat" else ()

    def _factor(self, node: Node) -> float:
        """The power of two that a node multiplies by, which only moves the scale."""
        constants = [self.graph.tensors[name] for name in node.inputs if name and self.graph.value(name) is not None]
        if node.op not in ("Mul", "Div") or len(constants) != 1 or (self.hidden and not constants[0].public):
            return 1.0
        value = constants[0].value
        assert value is not None, "constants have values"
        first = float(value.reshape(-1)[0]) if value.size else 1.0
        if np.frexp(first)[0] != 0.5 or np.any(value != first):
            return 1.0
        return 1.0 / first if node.op == "Div" else first
