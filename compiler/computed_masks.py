"""Masks that depend on inputs: constants that make an exponential zero are raised to what still does.

    a = Add(x, Mul(Sub(1, mask), -3.4e38)); y = Softmax(a)        -3.4e38 becomes -(2 R + DEPTH)
    a = Where(mask, x, -inf);               y = Softmax(a)        so does -inf

So are those before the largest of a row and its place (ReduceMax, ArgMax), where the samples have no row that is masked
altogether; and constants far above all others, before the smallest (ReduceMin, ArgMin), are lowered alike. R is how
large what is not masked gets, widened: then every masked entry lies DEPTH below every other one. Otherwise such a
constant would set the scale of all scores. Where it leads to anything else, it stays as it is. Of a row that is masked
altogether nothing but its scores is left, where a float model has equal shares or no number; its largest is the level
of the mask then.

In a private model what a constant masks is public, and its level then is a power of two: it tells what scales do. One
that does not mask stays secret.

Masks that are constants leave the arithmetic altogether: masks.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

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
_ENDS = {_BELOW: ("Softmax", "ReduceMax", "ArgMax"), _ABOVE: ("ReduceMin", "ArgMin")}
"""What an entry makes no difference to that is far on that side of another of its row."""
_EXTREME = {_BELOW: "ReduceMax", _ABOVE: "ReduceMin"}


def with_raised_constants(graph: Graph, samples: Samples, margin: float, hidden: bool = False) -> Graph:
    """The graph with such constants raised, by what is measured on the samples. hidden: constants are secret."""
    found = {node.outputs[0]: (side, ends) for side in _ENDS for node, ends in _masking(graph, side)}
    if not found:
        return graph
    chosen = [node for node in graph.nodes if node.outputs[0] in found]
    flags = {name for node in chosen if node.op == "Mul" for name in node.inputs if graph.value(name) is None}
    extremes = {(node.op, node.inputs[0]): node.outputs[0] for node in graph.nodes if node.op in _EXTREME.values()}
    ends = {end for _, ends in found.values() for end in ends}
    measured = measured_on(
        graph, {*flags, *ends, *(name for (_, end), name in extremes.items() if end in ends)}, samples
    )
    levels: dict[str, float] = {}
    for node in chosen:
        side, own = found[node.outputs[0]]
        if node.op == "Mul" and not _is_flag(graph, node, side, measured):
            continue
        results = [extremes[_EXTREME[side], end] for end in own if (_EXTREME[side], end) in extremes]
        if any(np.max(side * values) >= -LOOKED_AT for name in results for values in measured[name]):
            continue  # a row has nothing else
        kept = [np.abs(values[side * values < -LOOKED_AT]).max(initial=0.0) for end in own for values in measured[end]]
        level = 2.0 * margin * float(max(kept)) + DEPTH
        levels[node.outputs[0]] = float(2.0 ** np.ceil(np.log2(level)) if hidden else level)

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] not in levels:
            return None
        level, inputs = levels[node.outputs[0]], list(node.inputs)
        for place in _far(graph, node, found[node.outputs[0]][0]):
            value = graph.value(node.inputs[place])
            assert value is not None, "only constants are far from all others"
            if hidden and not np.all(np.abs(value) >= level):
                continue  # it masks nothing, or not alike everywhere
            nearer = np.clip(value, -level, level)
            inputs[place] = scene.constant(node.outputs[0], nearer.astype(value.dtype), public=True)
        return [replace(node, inputs=tuple(inputs))]

    return rewrite(graph, rule)


def _far(graph: Graph, node: Node, side: int) -> list[int]:
    """The places of constants that mask: branches of a computed choice, or what a computed flag is multiplied by."""
    values = [graph.value(name) for name in node.inputs]
    if node.domain or node.op not in ("Mul", "Where"):
        return []
    if node.op == "Where":
        places, signs = ([] if values[0] is not None else [1, 2]), [side]
    else:
        places, signs = ([] if all(value is not None for value in values) else [0, 1]), [*_ENDS]
    return [
        place
        for place in places
        if (value := values[place]) is not None
        and value.dtype.kind == "f"
        and any(np.all(sign * value >= -LOOKED_AT) for sign in signs)
    ]


def _masking(graph: Graph, side: int) -> Iterator[tuple[Node, set[str]]]:
    """The nodes that mask, each with the operands of what hides it (`_ENDS`), to which alone it leads."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    shown = {source for _, source in graph.outputs}
    for node in graph.nodes:
        if not _far(graph, node, side):
            continue
        ends, seen, front = set[str](), set[str](), [node.outputs[0]]
        while front:
            name = front.pop()
            if name in shown or not all(_follows(each) or _hides(each, side) for each in readers.get(name, [])):
                break
            seen.add(name)
            for reader in readers.get(name, []):
                if _hides(reader, side):
                    ends.add(name)
                else:
                    front.extend(output for output in reader.outputs if output and output not in seen)
        else:
            yield node, ends


def _hides(node: Node, side: int) -> bool:
    return node.op in _ENDS[side] and not node.domain


def _follows(node: Node) -> bool:
    return bool(marks(node) & Mark.COPIES) or node.op in ("Add", "Cast", "Concat")


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
