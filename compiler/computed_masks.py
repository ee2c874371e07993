"""Masks that depend on inputs: constants that make an exponential zero are raised to what still does.

    a = Add(x, Mul(Sub(1, mask), -3.4e38)); y = Softmax(a)        -3.4e38 becomes -(2 R + DEPTH)
    a = Where(mask, x, -inf);               y = Softmax(a)        so does -inf

So are those before the largest of a row and its place (ReduceMax, ArgMax), where the samples have no row that is masked
altogether; such a row has no proof then, where its largest goes on as a number. R is how large what is not masked gets,
widened: then every masked entry lies DEPTH below every other one. Otherwise such a constant would set the scale of all
scores. Where it leads to anything else, it stays as it is. Of a row that is masked altogether a Softmax and an ArgMax
have nothing but its scores left, where a float model has equal shares, or no number.

A flag is 0 or 1 on the samples. A real number that may be between them masks too, where it is not 0; so such a product
with f is bounded by the level instead, by a table: max(-3.4e38 f, level).

In a private model what a constant masks is public, and its level then is a power of two: it tells what scales do. One
that does not mask stays secret.

Masks that are constants leave the arithmetic altogether: masks.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.calibration import Samples, as_sample
from plonnx.compiler.expansion import Steps
from plonnx.compiler.float_model import FloatModel, to_onnx
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.whole_numbers import of_whole_numbers

DEPTH = 17.0
"""exp(-DEPTH) is zero in every table."""
LOOKED_AT = -80.0
_STEEP = 2.0**24
"""What is not zero is no less than the inverse of this, at any scale."""


def with_raised_constants(graph: Graph, samples: Samples, margin: float, hidden: bool = False) -> Graph:
    """The graph with such constants raised, by what is measured on the samples. hidden: constants are secret."""
    found = {node.outputs[0]: ends for node, ends in _masking(graph)}
    if not found:
        return graph
    chosen = [node for node in graph.nodes if node.outputs[0] in found]
    flags = {name for node in chosen if node.op == "Mul" for name in node.inputs if graph.value(name) is None}
    largest = {node.inputs[0]: node.outputs[0] for node in graph.nodes if node.op == "ReduceMax"}
    ends = {end for ends in found.values() for end in ends}
    measured = measured_on(graph, {*flags, *ends, *(largest[end] for end in ends if end in largest)}, samples)
    levels: dict[str, float] = {}
    whole = of_whole_numbers(graph)
    for node in chosen:
        if node.op == "Mul" and not _is_flag(graph, node, measured):
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
    shown = _shown(graph, [(end, level) for name, level in levels.items() for end in found[name]])

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        if node.outputs[0] in shown:
            return _no_less(Steps(scene, node), shown[node.outputs[0]] / 2)
        if node.outputs[0] not in levels:
            return None
        level, inputs = levels[node.outputs[0]], list(node.inputs)
        if node.op == "Mul" and whole.isdisjoint(node.inputs):
            return _bounded(Steps(scene, node), level, hidden)
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


def _masking(graph: Graph) -> Iterator[tuple[Node, set[str]]]:
    """The nodes that mask, each with the operands of what hides it (`_hides`), to which alone it leads."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    shown = {source for _, source in graph.outputs}
    for node in graph.nodes:
        if not _low(graph, node):
            continue
        ends, seen, front = set[str](), set[str](), [node.outputs[0]]
        while front:
            name = front.pop()
            if name in shown or not all(_follows(reader) or _hides(reader) for reader in readers.get(name, [])):
                break
            seen.add(name)
            for reader in readers.get(name, []):
                if _hides(reader):
                    ends.add(name)
                else:
                    front.extend(output for output in reader.outputs if output and output not in seen)
        else:
            yield node, ends


def _hides(node: Node) -> bool:
    """What is far below another entry of its row makes no difference to it."""
    return node.op in ("Softmax", "ReduceMax", "ArgMax") and not node.domain


def _follows(node: Node) -> bool:
    return bool(marks(node) & Mark.COPIES) or node.op in ("Add", "Cast", "Concat")


def _bounded(steps: Steps, level: float, hidden: bool) -> list[Node] | None:
    """A product with a real number, from the level to its opposite; None where its constant is no lower than the level.

    hidden: a steep slope instead of the constant's.
    """
    node, graph = steps.node, steps.scene.graph
    (place,) = _low(graph, node)
    value = graph.value(node.inputs[place])
    assert value is not None, "only constants are low"
    least, shape = float(np.min(np.abs(value))), steps.shape(node.outputs[0])
    if least <= -level:
        return None
    slope = np.sign(value.flat[0]) * (_STEEP if hidden else min(least / -level, _STEEP))
    share = steps.apply("HardSigmoid", node.inputs[1 - place], alpha=float(slope / 2), beta=0.5)
    centred = steps.apply("Sub", share, steps.constant(0.5, public=True))
    bounded = steps.apply("Mul", centred, steps.constant(-2 * level, public=True))
    if steps.shape(bounded) != shape:
        bounded = steps.apply("Expand", bounded, steps.integers(np.array(shape)), shape=shape)
    return steps.finish(bounded)


def _shown(graph: Graph, ends: Iterable[tuple[str, float]]) -> dict[str, float]:
    """By the result of a ReduceMax the level of what its operand is masked with.

    Not where its positive part alone is read, which is 0; nor where a difference or a comparison reads it, as an
    extreme is to be one of the very integers that it is compared with (own_extremes.py).
    """
    level = dict[str, float]()
    for end, depth in ends:
        level[end] = max(depth, level.get(end, depth))
    readers, found = graph.readers(), dict[str, float]()
    outputs = {source for _, source in graph.outputs}
    for node in graph.nodes:
        if node.op != "ReduceMax" or node.domain or node.inputs[0] not in level:
            continue
        front, compared, shows = list(node.outputs), False, False
        while front:
            name = front.pop()
            shows |= name in outputs
            for reader in readers[name]:
                compared |= reader.op == "Sub" or bool(marks(reader) & (Mark.COMPARES | Mark.EXTREME))
                shows |= reader.op != "Relu" and not marks(reader) & Mark.COPIES
                front += reader.outputs if marks(reader) & Mark.COPIES else ()
        if shows and not compared:
            found[node.outputs[0]] = level[node.inputs[0]]
    return found


def _no_less(steps: Steps, least: float) -> list[Node]:
    """What a node makes, by a table that ends at a bound: what is below has no square root, and no proof."""
    node, scene = steps.node, steps.scene
    raw = scene.computed(node.outputs[0], steps.shape(node.outputs[0]))
    steps.nodes.append(replace(node, outputs=(raw,)))
    bound = steps.constant(least, public=True)
    root = steps.apply("Sqrt", steps.apply("Sub", raw, bound))
    return steps.finish(steps.apply("Add", steps.apply("Mul", root, root), bound))


def _is_flag(graph: Graph, node: Node, measured: Mapping[str, Sequence[Array]]) -> bool:
    """Whether the computed factor is 0 or 1 everywhere, or 0 or -1, so that the product is 0 or far below."""
    (name,) = (name for name in node.inputs if graph.value(name) is None)
    (place,) = _low(graph, node)
    constant = graph.value(node.inputs[place])
    assert constant is not None, "only constants are low"
    return all(np.all((values == 0) | (values * np.sign(constant.flat[0]) == -1)) for values in measured[name])


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
