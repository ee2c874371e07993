"""Sequences of a constant length: the nodes that make and read them are gone, their entries are plain tensors.

    s = SequenceConstruct(a, b); t = SequenceInsert(s, c); y = ConcatFromSequence<axis=0>(t)    y = Concat(a, b, c)
    s = SplitToSequence(x, 2); y = SequenceAt(s, 1)                                             y is the second part

PyTorch's exporters write them where a loop collects what it makes (embedding bags, unbind, chunks in a script). How
many entries there are, and which one is meant, follows from constants; so does the number of a loop's rounds
(control_flow.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.control_flow import MOST_ROUNDS, stack
from plonnx.compiler.graph import CompileError, Node
from plonnx.compiler.refusals import Refusal

if TYPE_CHECKING:
    from plonnx.compiler.importer import Walk


def _entries(walk: Walk, node: Node) -> list[str]:
    """The entries of the sequence that a node reads."""
    if node.inputs[0] not in walk.lists:
        raise CompileError("its operand is no sequence")
    return list(walk.lists[node.inputs[0]])


def _hold(walk: Walk, node: Node, entries: Sequence[str]) -> None:
    """A node's result is a sequence of these entries."""
    if not walk.tensors.keys() >= set(entries):
        raise CompileError("the entries of its sequence are not all tensors")
    walk.lists[node.outputs[0]] = tuple(entries)


def _construct(walk: Walk, node: Node) -> None:
    _hold(walk, node, node.inputs)


def _insert(walk: Walk, node: Node) -> None:
    entries = _entries(walk, node)
    entries.insert(_place(walk, node, 2, len(entries), len(entries)), node.inputs[1])
    _hold(walk, node, entries)


def _erase(walk: Walk, node: Node) -> None:
    entries = _entries(walk, node)
    del entries[_place(walk, node, 1, len(entries), len(entries) - 1)]
    _hold(walk, node, entries)


def _at(walk: Walk, node: Node) -> None:
    entries = _entries(walk, node)
    walk.apply("Identity", (entries[_place(walk, node, 1, len(entries), 0)],), node.outputs[0])


def _length(walk: Walk, node: Node) -> None:
    walk.constant(node.outputs[0], np.asarray(len(_entries(walk, node)), np.int64))


def _joined(walk: Walk, node: Node) -> None:
    entries, axis = _entries(walk, node), int(node.attributes["axis"])
    if not entries:
        raise CompileError("its sequence is empty")
    if node.attributes.get("new_axis", 0):
        stack(walk, entries, axis, node.outputs[0])
    else:
        walk.apply("Concat", entries, node.outputs[0], axis=axis)


def _split(walk: Walk, node: Node) -> None:
    """Runs of one size (the last may be smaller), runs of given sizes, or single entries without their axis."""
    x, (made,) = node.inputs[0], node.outputs
    if x in walk.lists:
        raise CompileError("its operand is a sequence")
    shape = walk.tensors[x].shape
    axis = int(node.attributes.get("axis", 0))
    if not -len(shape) <= axis < len(shape):
        raise CompileError(f"its operand of {len(shape)} axes has none at {axis}")
    axis %= len(shape)
    given = _constant(walk, node, 1)
    size = 1 if given is None or given.ndim else int(given)
    if given is None or given.ndim == 0:
        if size < 1:
            raise CompileError(f"its parts have the size {size}")
        if shape[axis] > MOST_ROUNDS * size:
            raise CompileError(f"it makes more than {MOST_ROUNDS} parts")
        sizes = [min(size, shape[axis] - start) for start in range(0, shape[axis], size)]
    else:
        sizes = [int(entry) for entry in given]
    if min(sizes, default=0) < 0 or sum(sizes) != shape[axis]:
        raise CompileError(f"its parts {sizes} do not make up an axis of {shape[axis]}")
    single, entries, start = given is None and not node.attributes.get("keepdims", 1), [], 0
    for entry in sizes:
        places = np.asarray(start, np.int64) if single else np.arange(start, start + entry)
        where = walk.constant(walk.fresh(f"{made}/places"), places)
        entries.append(walk.fresh(f"{made}/part"))
        walk.apply("Gather", (x, where), entries[-1], axis=axis)
        start += entry
    walk.lists[made] = tuple(entries)


def _constant(walk: Walk, node: Node, operand: int) -> np.ndarray | None:
    """The value of an operand that may be absent."""
    name = node.inputs[operand] if operand < len(node.inputs) else ""
    if not name:
        return None
    value = walk.value(name)
    if value is None:
        raise CompileError("which entries it means depends on the inputs")
    if not value.size:
        raise CompileError("a constant that it asks for is empty")
    return value


def _place(walk: Walk, node: Node, operand: int, length: int, otherwise: int) -> int:
    """A place in a sequence, counted from either end; one behind the last entry where one is inserted."""
    given = _constant(walk, node, operand)
    place = otherwise if given is None else int(given.reshape(-1)[0])
    places = length + 1 if node.op == "SequenceInsert" else length
    if not -length <= place < places:
        raise CompileError(f"its sequence of {length} entries has none at {place}")
    return place if place >= 0 else place + length


_OPERATORS: Mapping[str, Callable[[Walk, Node], None]] = {
    "ConcatFromSequence": _joined,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _construct,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}


def take_sequence(walk: Walk, node: Node) -> bool:
    """Whether a node made or read a sequence: then what stands for it is in the graph, or it is refused."""
    reads = any(name in walk.lists for name in node.inputs)
    if node.domain or not (reads or node.op in _OPERATORS):
        return False
    if not walk.unknown.isdisjoint(node.inputs) or any(
        not walk.unknown.isdisjoint(walk.lists.get(name, ())) for name in node.inputs
    ):
        walk.lose(node)
        return True
    if node.op == "Identity":
        walk.lists[node.outputs[0]] = walk.lists[node.inputs[0]]
        return True
    try:
        if node.op not in _OPERATORS:
            raise CompileError("operator not supported on sequences")
        _OPERATORS[node.op](walk, node)
    except CompileError as error:
        walk.refusals.append(Refusal(node, str(error), "export the model with tensors instead of sequences"))
        walk.lose(node)
    return True
