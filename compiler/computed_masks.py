"""Masks that depend on inputs: constants that make an exponential zero are raised to what still does.

    a = Add(x, Mul(Sub(1, mask), -3.4e38)); y = Softmax(a)        -3.4e38 becomes -(2 R + DEPTH)
    a = Where(mask, x, -inf);               y = Softmax(a)        so does -inf
    a = Sub(x, Mul(Sub(1, mask), 1e9));     y = ReduceMax(a)      and 1e9 becomes 2 R + DEPTH

So are those before the largest of a row and its place (ReduceMax, ArgMax), where the samples have no row that is masked
altogether. R is how large what is not masked gets, widened: then every masked entry lies DEPTH below every other one.
Otherwise such a constant would set the scale of all scores. Where it leads to anything else, it stays as it is. Of a
row that is masked altogether nothing but its scores is left, where a float model has equal shares or no number; its
largest is the level of the mask then.

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


def with_raised_constants(graph: Graph, samples: Samples, margin: float, hidden: bool = False) -> Graph:
    """The graph with such constants raised, by what is measured on the samples. hidden: constants are secret."""
    masking = list(_masking(graph))
    found = {node.outputs[0]: ends for node, ends, _ in masking}
    signs = {node.outputs[0]: sign for node, _, sign in masking if sign == 1 or node.op == "Mul"}
    if not found:
        return graph
    chosen = [node for node in graph.nodes if node.outputs[0] in signs]
    flags = {name for node in chosen if node.op == "Mul" for name in node.inputs if graph.value(name) is None}
    largest = {node.inputs[0]: node.outputs[0] for node in graph.nodes if node.op == "ReduceMax"}
    ends = {end for ends in found.values() for end in ends}
    measured = measured_on(graph, {*flags, *ends, *(largest[end] for end in ends if end in largest)}, samples)
    levels: dict[str, float] = {}
    for node in chosen:
        if node.op == "Mul" and not _is_flag(graph, node, measured, signs[node.outputs[0]]):
            continue
        results = [largest[end] for end in found[node.outputs[0]] if end in largest]
        if any(np.min(values) <= LOOKED_AT for name in results for values in measured[name]):
            continue  # a row has nothing else
        kept = [
            np.abs(values[values > LOOKED_AT]).max(initial=0.0)
            for end in found[node.outputs[0]]
            for values in measured[end]
        ]
        level = 2.0 * margin * float(max(kept)) + DEPTH
        levels[node.outputs[0]] = -float(2.0 ** np.ceil(np.log2(level)) if hidden else level)

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] not in levels:
            return None
        level, inputs = levels[node.outputs[0]], list(node.inputs)
        for place in _low(graph, node):
            value = graph.value(node.inputs[place])
            assert value is not None, "only constants are low"
            if hidden and not (np.all(value <= level) or np.all(value >= -level)):
                continue  # it masks nothing, or not alike everywhere
            raised = np.maximum(value, level) if np.min(value) < 0 else np.minimum(value, -level)
            inputs[place] = scene.constant(node.outputs[0], raised.astype(value.dtype), public=True)
        return [replace(node, inputs=tuple(inputs))]

    return rewrite(graph, rule)


def _low(graph: Graph, node: Node) -> list[int]:
    """The places of constants that mask: branches of a computed choice, or what a computed flag is multiplied by."""
    values = [graph.value(name) for name in node.inputs]
    if node.domain or node.op not in ("Mul", "Where"):
        return []
    if node.op == "Where":
        if values[0] is not None:
            return []
        return [p for p in (1, 2) if (v := values[p]) is not None and v.dtype.kind == "f" and np.all(v <= LOOKED_AT)]
    if all(value is not None for value in values):
        return []
    return [
        p for p, v in enumerate(values) if v is not None and v.dtype.kind == "f" and np.all(np.abs(v) >= -LOOKED_AT)
    ]


def _masking(graph: Graph) -> Iterator[tuple[Node, set[str], int]]:
    """The nodes that mask, each with the operands of what hides it (`_hides`), to which alone it leads, and its sign
    there: -1 where it is taken away. Not where it comes with either sign.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    shown = {source for _, source in graph.outputs}
    for node in graph.nodes:
        if not _low(graph, node):
            continue
        ends, signs, front = set[str](), {node.outputs[0]: 1}, [node.outputs[0]]
        while front:
            name = front.pop()
            if name in shown or not all(_follows(reader) or _hides(reader) for reader in readers.get(name, [])):
                break
            ends |= {name for reader in readers.get(name, []) if _hides(reader)}
            made = [
                (output, -signs[name] if reader.op == "Sub" and place else signs[name])
                for reader in readers.get(name, [])
                for place, operand in enumerate(reader.inputs)
                if operand == name and not _hides(reader)
                for output in filter(None, reader.outputs)
            ]
            front += sorted({output for output, _ in made if output not in signs})
            if any(signs.setdefault(output, sign) != sign for output, sign in made):
                break
        else:
            if len({signs[end] for end in ends}) == 1:
                yield node, ends, signs[next(iter(ends))]


def _hides(node: Node) -> bool:
    """What is far below another entry of its row makes no difference to it."""
    return node.op in ("Softmax", "ReduceMax", "ArgMax") and not node.domain


def _follows(node: Node) -> bool:
    return bool(marks(node) & Mark.COPIES) or node.op in ("Add", "Cast", "Concat", "Sub")


def _is_flag(graph: Graph, node: Node, measured: Mapping[str, Sequence[Array]], sign: int) -> bool:
    """Whether the computed factor is 0 or 1 everywhere, or 0 or -1, so that the product is 0 or far below where it
    ends: of this sign there."""
    (name,) = (name for name in node.inputs if graph.value(name) is None)
    (place,) = _low(graph, node)
    constant = graph.value(node.inputs[place])
    assert constant is not None, "only constants are low"
    return all(np.all((values == 0) | (values * np.sign(constant.flat[0]) == -sign)) for values in measured[name])


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
