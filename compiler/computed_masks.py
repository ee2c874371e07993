"""Masks that depend on inputs: constants that make an exponential zero are raised to what still does.

    a = Add(x, Mul(Sub(1, mask), -3.4e38)); y = Softmax(a)        -3.4e38 becomes -(2 R + DEPTH)
    a = Where(mask, x, -inf);               y = Softmax(a)        so does -inf

So are those before the largest of a row and its place (ReduceMax, MaxPool, ArgMax, TopK, Hardmax), where the samples
have no row that is masked altogether; and constants far above all others, before the smallest, are lowered alike. What
a mask is subtracted from, or a softmax written by hand, changes the side or the place, not the rule. R is how large
what is not masked gets, widened: then every masked entry lies DEPTH below every other one. Otherwise such a constant
would set the scale of all scores. Where it leads to anything else, it stays as it is. Of a row that is masked
altogether nothing but its scores is left, where a float model has equal shares or no number; its largest is the level
of the mask then.

In a private model what a constant masks is public, and its level then is a power of two: it tells what scales do. One
that does not mask stays secret.

Masks that are constants leave the arithmetic altogether (masks.py), but before a place or a pool: those are raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from plonnx.compiler.calibration import Samples, as_sample
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite

DEPTH = 17.0
"""exp(-DEPTH) is zero in every table."""
LOOKED_AT = -80.0
_BELOW, _ABOVE = -1, 1


@dataclass
class _Path:
    """Where a constant that is far on one side leads."""

    side: int
    sides: dict[str, int]
    """The tensors with masked entries, and on which side of the others these are."""
    factors: dict[str, float]
    """How much nearer they are there."""
    ends: set[str] = field(default_factory=set)
    """The operands of what hides it."""
    results: set[tuple[str, int]] = field(default_factory=set)
    """The results that would be masked if all that they are of is."""
    meets: set[tuple[str, int]] = field(default_factory=set)
    """Masked entries of these would meet its own, and cancel them out."""
    summed: bool = False
    scaled: bool = False
    elsewhere: bool = False
    """masks.py frees it of constant masks."""
    shows: bool = False
    """It leads to what does not hide it."""


def with_raised_constants(graph: Graph, samples: Samples, margin: float, hidden: bool = False) -> Graph:
    """The graph with such constants raised, by what is measured on the samples. hidden: constants are secret."""
    found = _found(graph, hidden)
    if not found:
        return graph
    names = {name for _, path in found for name in (*path.ends, *(result for result, _ in path.results))}
    names |= {name for node, _ in found for name in node.inputs if graph.value(name) is None}
    measured = measured_on(graph, {name for name in names if graph.tensors[name].dtype.kind == "f"}, samples)
    levels: dict[str, float] = {}
    bar = -LOOKED_AT if hidden else _bar(graph, found)
    for node, path in found:
        if node.op == "Mul" and not _is_flag(graph, node, path.side, measured):
            continue
        if any(np.max(side * values) >= bar for name, side in path.results for values in measured[name]):
            continue  # a row has nothing else
        reach = max(_magnitude(measured[name], path.sides[name], bar) for name in path.ends)
        if node.op == "Where" and path.summed:
            reach += _magnitude(_beside(graph, node, path.side, measured), path.side, bar)
        level = (2.0 * margin * reach + DEPTH) / min(path.factors[name] for name in path.ends)
        levels[node.outputs[0]] = float(2.0 ** np.ceil(np.log2(level)) if hidden else level)
    sides = {node.outputs[0]: path.side for node, path in found}

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] not in levels:
            return None
        level, inputs = levels[node.outputs[0]], list(node.inputs)
        for place in _far(graph, node, sides[node.outputs[0]]):
            value = graph.value(node.inputs[place])
            assert value is not None, "only constants are far from all others"
            if hidden and not np.all(np.abs(value) >= level):
                continue  # it masks nothing, or not alike everywhere
            nearer = np.clip(value, -level, level)
            inputs[place] = scene.constant(node.outputs[0], nearer.astype(value.dtype), public=True)
        return [replace(node, inputs=tuple(inputs))]

    return rewrite(graph, rule) if levels else graph


def _bar(graph: Graph, found: Sequence[tuple[Node, _Path]]) -> float:
    """How far masked entries are at least: half of the nearest constant, so that scores may be far below zero."""
    least = -2.0 * LOOKED_AT
    distances = [
        float(np.min(np.abs(value))) * min(path.factors[name] for name in path.ends)
        for node, path in found
        for place in _far(graph, node, path.side)
        if (value := graph.value(node.inputs[place])) is not None
    ]
    return max(least, min(distances, default=least)) / 2.0


def _magnitude(measured: Sequence[Array], side: int, bar: float) -> float:
    """Of what is not masked."""
    return max((float(np.abs(each[side * each < bar]).max(initial=0.0)) for each in measured), default=0.0)


def _beside(graph: Graph, node: Node, side: int, measured: Mapping[str, Sequence[Array]]) -> Sequence[Array]:
    """What a choice takes where it does not take the constant."""
    far = _far(graph, node, side)
    (name,) = (node.inputs[place] for place in (1, 2) if place != far[0])
    value = graph.value(name)
    return measured[name] if value is None else [value]


def _far(graph: Graph, node: Node, side: int) -> list[int]:
    """The places of constants that mask: branches of a choice, or what a computed flag is multiplied by."""
    values = [graph.value(name) for name in node.inputs]
    if node.domain or node.op not in ("Mul", "Where") or all(value is not None for value in values):
        return []
    places, signs = ([1, 2], [side]) if node.op == "Where" else ([0, 1], [_BELOW, _ABOVE])
    return [
        place
        for place in places
        if (value := values[place]) is not None
        and value.dtype.kind == "f"
        and any(np.all(sign * value >= -LOOKED_AT) for sign in signs)
    ]


def _found(graph: Graph, hidden: bool) -> list[tuple[Node, _Path]]:
    """The nodes that mask what leads to nothing but what hides it, on one side or the other."""
    paths = [
        (node, _path(graph, place, side))
        for place, node in enumerate(graph.nodes)
        for side in (_BELOW, _ABOVE)
        if _far(graph, node, side)
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


def _path(graph: Graph, place: int, side: int) -> _Path:
    start = graph.nodes[place].outputs[0]
    path = _Path(side, {start: side}, {start: 1.0})
    for reader in graph.nodes[place + 1 :]:
        for name in dict.fromkeys(reader.inputs):
            if name in path.sides:
                _go_on(graph, path, reader, name)
    path.shows |= any(source in path.sides for _, source in graph.outputs)
    return path


def _go_on(graph: Graph, path: _Path, reader: Node, name: str) -> None:
    """Note what a node makes of masked entries."""
    side, factor = path.sides[name], 1.0
    if _hides(reader, side):
        path.ends.add(name)
        path.elsewhere |= reader.op in ("Softmax", "Exp", "ReduceMax")
        if (marks(reader) & Mark.EXTREME or reader.op == "TopK") and reader.outputs[0]:
            path.results.add((reader.outputs[0], side))
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
        return side == (_BELOW if node.attributes.get("largest", 1) else _ABOVE)
    if side == _ABOVE:
        return node.op in ("ReduceMin", "ArgMin")
    return _vanishes(node) or node.op in ("ReduceMax", "MaxPool", "ArgMax", "Hardmax")


def _vanishes(node: Node) -> bool:
    """Whether what is far below zero, or below the others of its row, becomes nothing."""
    return node.op in ("Softmax", "Exp", "Sigmoid", "Relu")


def _is_flag(graph: Graph, node: Node, side: int, measured: Mapping[str, Sequence[Array]]) -> bool:
    """Whether the computed factor is 0 or 1 everywhere, or 0 or -1, so that the product is 0 or far on that side."""
    (name,) = (name for name in node.inputs if graph.value(name) is None)
    (place,) = _far(graph, node, side)
    constant = graph.value(node.inputs[place])
    assert constant is not None, "only constants are far from all others"
    return all(np.all((values == 0) | (values * np.sign(constant.flat[0]) == side)) for values in measured[name])


def measured_on(graph: Graph, names: set[str], samples: Samples) -> dict[str, list[Array]]:
    """The values of some tensors on the samples."""
    outputs = tuple((name, name) for name in sorted(names) if name not in graph.inputs)
    model = FloatModel(to_onnx(replace(graph, outputs=outputs)))
    found: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(len(next(iter(samples.values())))):
        sample = as_sample(graph, samples, index)
        values = {**sample, **(model.run(sample) if outputs else {})}
        for name in names:
            found[name].append(values[name].astype(np.float64))
    return found
