"""If, and Loop and Scan with a constant number of rounds: their bodies' nodes stand for them.

    y = If(true) <then: t = Relu(x)>                       y is t = Relu(x)
    y = If(c) <then: t = Relu(x)> <else: e = Neg(x)>       y = Where(c, Relu(x), Neg(x)): both are computed
    y = Loop(3, true, x) <body(i, c, a): b = Add(a, a)>    b1 = Add(x, x); b2 = Add(b1, b1); y is b3 = Add(b2, b2)

Each visit of a body gives its tensors names of their own; what is constant in a round (its number, and what follows
from it) is folded. Outputs that collect one value a round are concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx

from plonnx.compiler.graph import Array, CompileError, Node
from plonnx.compiler.normal_form import values_of
from plonnx.compiler.refusals import Refusal

if TYPE_CHECKING:
    from plonnx.compiler.importer import Walk

Scope = dict[str, str]
"""Name in a graph of the file -> name of the tensor, where they differ."""
MOST_ROUNDS = 4096  # of a loop, and entries of a sequence that one node makes
_MOST_BODIES = 1 << 14  # of all loops and branches: loops in loops multiply
_MOST_NODES = 1 << 17  # in them: a minute or two
_FIXED = "export the model with a fixed number of rounds"
_SCAN_HAS_NO_BATCH = 9


def take_branch(walk: Walk, node: Node, proto: onnx.NodeProto, scope: Scope) -> None:
    """If: the branch of a constant condition; of a computed one both branches, and a selection."""
    if node.inputs[0] in walk.unknown:
        walk.lose(node)
        return
    condition = walk.value(node.inputs[0])
    if condition is None:
        _select(walk, node, proto, scope)
        return
    branch = node.attributes["then_branch" if _first(walk, node, condition) else "else_branch"]
    results = _run(walk, branch, scope, {}, node.outputs[0])
    _require(walk, node, len(results) == len(proto.output), "a branch has other outputs than it")
    scope.update((name, result) for name, result in zip(proto.output, results, strict=True) if name)


def _select(walk: Walk, node: Node, proto: onnx.NodeProto, scope: Scope) -> None:
    """Both branches, of which the condition selects; what only one of them can compute has no proof."""
    one, other = (
        _run(walk, node.attributes[branch], scope, {}, f"{node.outputs[0]}/{branch}")
        for branch in ("then_branch", "else_branch")
    )
    _require(walk, node, len(one) == len(other) == len(proto.output), "a branch has other outputs than it")
    if not walk.unknown.isdisjoint([*one, *other]):
        walk.lose(node)
        return
    if any(name in walk.lists for name in (*one, *other)):
        reason = "its condition depends on the inputs, and its branches give sequences"
        walk.refuse(Refusal(node, reason, "export the model for one of its branches"))
        return
    kinds = [[(walk.tensors[name].shape, walk.tensors[name].dtype) for name in names] for names in (one, other)]
    if kinds[0] != kinds[1]:
        reason = "its condition depends on the inputs, and its branches give results of different shapes or types"
        walk.refuse(Refusal(node, reason, "export the model for one of its branches"))
        return
    condition = walk.fresh(f"{node.outputs[0]}/condition")
    walk.apply("Reshape", (node.inputs[0], walk.constant(walk.fresh(condition), np.zeros(0, np.int64))), condition)
    for name, target, a, b in zip(proto.output, node.outputs, one, other, strict=False):
        if name and target:
            walk.apply("Where", (condition, a, b), target)


def unroll_loop(walk: Walk, node: Node, proto: onnx.NodeProto, scope: Scope) -> None:
    """Loop: as many rounds as its constants say."""
    body: onnx.GraphProto = node.attributes["body"]
    names = [*node.inputs, "", ""]
    if not walk.unknown.isdisjoint(names[:2]):
        walk.lose(node)
        return
    most, going = walk.value(names[0]), walk.value(names[1])
    if (names[0] and most is None) or (names[1] and going is None):
        walk.refuse(Refusal(node, "its number of rounds depends on the inputs", _FIXED))
        return
    carried = list(node.inputs[2:])
    _require(
        walk, node, len(body.input) == 2 + len(carried) < 2 + len(body.output), "its body does not fit its operands"
    )
    collected: list[list[str]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    rounds, goes_on = 0, going is None or bool(_first(walk, node, going))
    while goes_on and (most is None or rounds < _first(walk, node, most)):
        if rounds == MOST_ROUNDS:
            walk.refuse(Refusal(node, f"it runs for more than {MOST_ROUNDS} rounds"))
            return
        base = f"{node.outputs[0]}/{rounds}"
        number = walk.constant(walk.fresh(base), np.asarray(rounds, np.int64))
        always = walk.constant(walk.fresh(base), np.asarray(True))
        given = zip((value.name for value in body.input), (number, always, *carried), strict=False)
        condition, *results = _run(walk, body, scope, dict(given), base)
        carried, stacked = results[: len(carried)], results[len(carried) :]
        for values, result in zip(collected, stacked, strict=True):
            values.append(result)
        value = walk.value(condition)
        if value is None:
            walk.refuse(Refusal(node, "whether it goes on depends on the inputs", _FIXED))
            return
        rounds, goes_on = rounds + 1, bool(_first(walk, node, value))
    _finish(walk, node, proto, scope, carried, collected, [0] * len(collected))


def unroll_scan(walk: Walk, node: Node, proto: onnx.NodeProto, scope: Scope) -> None:
    """Scan: one round for each entry of its scanned operands."""
    if not walk.unknown.isdisjoint(node.inputs):
        walk.lose(node)
        return
    count, named = int(node.attributes["num_scan_inputs"]), node.inputs
    batched = node.since < _SCAN_HAS_NO_BATCH
    given = 1 <= count <= len(named) - batched and all(named[len(named) - count :])
    _require(walk, node, given, f"it scans {count} operands, which it does not have")
    if batched and node.inputs[0]:
        walk.refuse(Refusal(node, "its sequences have lengths, which is not supported", "export with a newer opset"))
        return
    states, scanned = list(named[1 if batched else 0 : len(named) - count]), list(named[len(named) - count :])
    body = node.attributes["body"]
    made = len(body.output) - len(states)
    _require(walk, node, len(body.input) == len(states) + count and made >= 0, "its body does not fit its operands")
    axes = [0] * count if batched else _entries(node, "scan_input_axes", count)
    shapes = [walk.tensors[name].shape[batched:] for name in scanned]
    _require(walk, node, all(shapes), "an operand that it scans has no axis")
    axes = [axis % len(shape) for shape, axis in zip(shapes, axes, strict=True)]
    backwards = _entries(node, "directions" if batched else "scan_input_directions", count)
    lengths = {shape[axis] for shape, axis in zip(shapes, axes, strict=True)}
    _require(walk, node, len(lengths) == 1, "the operands that it scans have several lengths")
    if max(lengths) > MOST_ROUNDS:
        walk.refuse(Refusal(node, f"it runs for more than {MOST_ROUNDS} rounds"))
        return
    if batched:
        _require(walk, node, max(lengths) > 0, "it runs for no round")
        _scan_batches(walk, node, proto, scope, states, scanned, backwards)
        return
    carried, collected = _scan(walk, node, scope, states, scanned, axes, backwards, node.outputs[0])
    for values, reverse in zip(collected, _entries(node, "scan_output_directions", made), strict=True):
        if reverse:
            values.reverse()
    _finish(walk, node, proto, scope, carried, collected, _entries(node, "scan_output_axes", made))


def _scan(
    walk: Walk,
    node: Node,
    scope: Scope,
    states: Sequence[str],
    scanned: Sequence[str],
    axes: Sequence[int],
    backwards: Sequence[int],
    base: str,
) -> tuple[list[str], list[list[str]]]:
    """What is carried out of the last round, and what each round gives."""
    body, carried = node.attributes["body"], list(states)
    collected: list[list[str]] = [[] for _ in range(len(body.output) - len(carried))]
    length = walk.tensors[scanned[0]].shape[axes[0]]
    for round_ in range(length):
        name = f"{base}/{round_}"
        slices = [
            _entry(walk, x, length - 1 - round_ if reverse else round_, axis, name)
            for x, axis, reverse in zip(scanned, axes, backwards, strict=True)
        ]
        given = zip((value.name for value in body.input), (*carried, *slices), strict=True)
        results = _run(walk, body, scope, dict(given), name)
        carried, stacked = results[: len(carried)], results[len(carried) :]
        for values, result in zip(collected, stacked, strict=True):
            values.append(result)
    return carried, collected


def _scan_batches(
    walk: Walk,
    node: Node,
    proto: onnx.NodeProto,
    scope: Scope,
    states: Sequence[str],
    scanned: Sequence[str],
    backwards: Sequence[int],
) -> None:
    """Version 8: each operand has a batch in front, and its sequence behind that."""
    collected: list[list[str]] = [[] for _ in node.attributes["body"].output]
    for batch in range(walk.tensors[scanned[0]].shape[0]):
        base = f"{node.outputs[0]}/batch {batch}"
        own = [_entry(walk, name, batch, 0, base) for name in (*states, *scanned)]
        axes = [0] * len(scanned)
        carried, lists = _scan(walk, node, scope, own[: len(states)], own[len(states) :], axes, backwards, base)
        stacked = [stack(walk, values, 0, walk.fresh(f"{base}/all")) for values in lists]
        for values, result in zip(collected, [*carried, *stacked], strict=True):
            values.append(result)
    _finish(walk, node, proto, scope, [], collected, [0] * len(collected))


def take_definition(walk: Walk, node: Node, proto: onnx.NodeProto, scope: Scope, body: onnx.GraphProto) -> None:
    """An operator that ONNX defines by others (definitions.py): their nodes."""
    operands = [*node.inputs, *("" for _ in body.input[len(node.inputs) :])]
    given = {value.name: name for value, name in zip(body.input, operands, strict=True)}
    results = _run(walk, body, {}, given, node.outputs[0])
    scope.update((name, result) for name, result in zip(proto.output, results, strict=False) if name)


def _entry(walk: Walk, name: str, place: int, axis: int, base: str) -> str:
    """One entry along an axis."""
    made = walk.fresh(base)
    where = walk.constant(walk.fresh(f"{base}/index"), np.asarray(place, np.int64))
    walk.apply("Gather", (name, where), made, axis=axis)
    return made


def _entries(node: Node, attribute: str, count: int) -> list[int]:
    """One number for each operand, or result."""
    entries = [int(entry) for entry in node.attributes.get(attribute, (0,) * count)]
    if len(entries) != count:
        raise CompileError(f"{node.label}: {attribute} has {len(entries)} entries, where {count} are due")
    return entries


def _first(walk: Walk, node: Node, value: Array) -> int:
    """The number that a constant of one element is."""
    _require(walk, node, value.size > 0, "a constant that it asks for is empty")
    return int(value.reshape(-1)[0])


def _require(walk: Walk, node: Node, holds: bool, reason: str) -> None:
    if not holds:
        raise CompileError(f"{walk.model.path}: {node.label}: {reason}")


def _run(walk: Walk, body: onnx.GraphProto, outer: Scope, given: Mapping[str, str], base: str) -> list[str]:
    """Visit a body whose inputs are `given`; the tensors that its outputs are."""
    walk.bodies, walk.unrolled = walk.bodies + 1, walk.unrolled + len(body.node)
    if walk.bodies > _MOST_BODIES:
        raise CompileError(f"{walk.model.path}: its loops run for more than {_MOST_BODIES} rounds altogether")
    if walk.unrolled > _MOST_NODES:
        raise CompileError(f"{walk.model.path}: its loops have more than {_MOST_NODES} nodes in all their rounds")
    scope: Scope = {**outer, **given}
    for initializer in body.initializer:
        value = values_of(initializer)
        walk.count_constants(value.size)
        scope[initializer.name] = walk.constant(walk.fresh(f"{base}/{initializer.name}"), value)
    for node in body.node:
        for name in filter(None, node.output):
            scope[name] = walk.fresh(f"{base}/{name}")
    outputs = [output.name for output in body.output]
    walk.nodes_of(body.node, outputs, scope)
    return [scope.get(name, name) for name in outputs]


def _finish(
    walk: Walk,
    node: Node,
    proto: onnx.NodeProto,
    scope: Scope,
    carried: Sequence[str],
    collected: Sequence[Sequence[str]],
    axes: Sequence[int],
) -> None:
    """Name what comes out: the carried values, then each list of values, one a round, along a new axis."""
    scope.update((name, result) for name, result in zip(proto.output, carried, strict=False) if name)
    for place, (values, axis) in enumerate(zip(collected, axes, strict=True), len(carried)):
        target = node.outputs[place] if place < len(node.outputs) else ""
        if not target:
            continue
        if not values:
            raise CompileError(f"{walk.model.path}: {node.label}: it runs for no round, so that {target!r} is empty")
        stack(walk, values, axis, target)


def stack(walk: Walk, values: Sequence[str], axis: int, target: str) -> str:
    """Values along a new axis."""
    if not walk.unknown.isdisjoint(values):
        walk.unknown.add(target)
        return target
    if any(value in walk.lists for value in values):
        raise CompileError(f"{walk.model.path}: {target!r} would hold sequences, one a round, which is not supported")
    rank = len(walk.tensors[values[0]].shape) + 1
    parts = []
    for value in values:
        shape = list(walk.tensors[value].shape)
        shape.insert(axis % rank, 1)
        parts.append(walk.fresh(f"{value}/part"))
        extents = walk.constant(walk.fresh(f"{value}/shape"), np.asarray(shape, np.int64))
        walk.apply("Reshape", (value, extents), parts[-1])
    walk.apply("Concat", parts, target, axis=axis % rank)
    return target


UNROLLED: Mapping[str, Callable[[Walk, Node, onnx.NodeProto, Scope], None]] = {
    "If": take_branch,
    "Loop": unroll_loop,
    "Scan": unroll_scan,
}
