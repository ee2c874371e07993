"""Where a constant leads that is far from all others: to what makes no difference of how far, or elsewhere.

    a = Where(mask, x, -1e9); b = Mul(a, 0.5); y = Softmax(b)        masked entries of b are below all others, by half

Followed are copies, sums, differences, signs, positive factors and choices, from node to node; each may change the side
on which the masked entries lie and how far they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks

LOOKED_AT = -80.0
"""Constants below it mask."""
BELOW, ABOVE = -1, 1


@dataclass
class Path:
    """Where a constant that is far on one side leads."""

    side: int
    sides: dict[str, int]
    """The tensors with masked entries, and on which side of the others these are."""
    factors: dict[str, float]
    """How much nearer they are there."""
    ends: set[str] = field(default_factory=set)
    """The operands of what hides it."""
    results: dict[str, str] = field(default_factory=dict)
    """The results that would be masked if all that they are of is, and their operands."""
    meets: set[tuple[str, int]] = field(default_factory=set)
    """Masked entries of these would meet its own, and cancel them out."""
    summed: bool = False
    scaled: bool = False
    elsewhere: bool = False
    """masks.py frees it of constant masks."""
    shows: bool = False
    """It leads to what does not hide it."""


def far_constants(graph: Graph, node: Node, side: int) -> list[int]:
    """The places of constants that mask: branches of a choice, or what a computed flag is multiplied by."""
    values = [graph.value(name) for name in node.inputs]
    if node.domain or node.op not in ("Mul", "Where") or all(value is not None for value in values):
        return []
    places, signs = ([1, 2], [side]) if node.op == "Where" else ([0, 1], [BELOW, ABOVE])
    return [
        place
        for place in places
        if (value := values[place]) is not None
        and value.dtype.kind == "f"
        and any(np.all(sign * value >= -LOOKED_AT) for sign in signs)
    ]


def masking(graph: Graph, hidden: bool) -> list[tuple[Node, Path]]:
    """The nodes that mask what leads to nothing but what hides it, on one side or the other."""
    paths = [
        (node, _path(graph, place, side))
        for place, node in enumerate(graph.nodes)
        for side in (BELOW, ABOVE)
        if far_constants(graph, node, side)
    ]
    masked = {each for _, path in paths for each in path.sides.items()}
    return [
        (node, path)
        for node, path in paths
        if path.ends
        and not path.shows
        and masked.isdisjoint(path.meets)
        and not (_by_constant(graph, node) and (hidden or path.elsewhere))
        and not (hidden and path.scaled)  # by what may be secret
    ]


def _by_constant(graph: Graph, node: Node) -> bool:
    return node.op == "Where" and graph.value(node.inputs[0]) is not None


def _path(graph: Graph, place: int, side: int) -> Path:
    start = graph.nodes[place].outputs[0]
    path = Path(side, {start: side}, {start: 1.0})
    for reader in graph.nodes[place + 1 :]:
        for name in dict.fromkeys(reader.inputs):
            if name in path.sides:
                _go_on(graph, path, reader, name)
    path.shows |= any(source in path.sides for _, source in graph.outputs)
    return path


def _go_on(graph: Graph, path: Path, reader: Node, name: str) -> None:
    """Note what a node makes of masked entries."""
    side, factor = path.sides[name], 1.0
    if _hides(reader, side):
        path.ends.add(name)
        path.elsewhere |= reader.op in ("Softmax", "Exp", "ReduceMax")
        if (marks(reader) & Mark.EXTREME or reader.op == "TopK") and reader.outputs[0]:
            path.results[reader.outputs[0]] = name
        return
    behind, known = side, not reader.domain
    if reader.op in ("Add", "Sub"):
        known &= reader.inputs.count(name) == 1
        second = reader.inputs[1] == name
        behind = -side if reader.op == "Sub" and second else side
        path.meets.add((reader.inputs[0 if second else 1], behind if reader.op == "Sub" and not second else -behind))
        path.summed = True
    elif reader.op in ("Mul", "Div"):
        path.scaled, value = True, graph.value(reader.inputs[1])
        known &= value is not None and bool(np.all(value > 0))
        if known and value is not None:
            factor = float(1.0 / np.max(value) if reader.op == "Div" else np.min(value))
    elif reader.op == "Neg":
        behind = -side
    elif reader.op == "Where":
        known &= name != reader.inputs[0]
    else:
        known &= bool(marks(reader) & Mark.COPIES) or reader.op in ("Cast", "Concat")
    path.shows |= not known
    for output in filter(None, reader.outputs if known else ()):
        path.shows |= path.sides.setdefault(output, behind) != behind
        path.factors[output] = min(path.factors.get(output, np.inf), factor * path.factors[name])


def _hides(node: Node, side: int) -> bool:
    """Whether an entry that lies far from all others on that side makes no difference to the result."""
    if node.domain:
        return False
    if node.op == "TopK":
        return side == (BELOW if node.attributes.get("largest", 1) else ABOVE)
    if side == ABOVE:
        return node.op in ("ReduceMin", "ArgMin")
    return _vanishes(node) or node.op in ("ReduceMax", "MaxPool", "ArgMax", "Hardmax")


def _vanishes(node: Node) -> bool:
    """Whether what is far below zero, or below the others of its row, becomes nothing."""
    return node.op in ("Softmax", "Exp", "Sigmoid", "Relu")
