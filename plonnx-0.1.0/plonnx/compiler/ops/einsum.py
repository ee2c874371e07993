"""Einsum: transpositions, one product of matrices for each operand after the first, and sums.

    Einsum("bhqd,bkhd->bhqk", x, y)     becomes     MatMul(x [b h, q, d], Transpose(y) [b h, d, k])

Labels of both factors are a stack where somebody still needs them, else they are summed up; labels of one factor alone
are rows, or columns. What only one operand has and nobody needs is summed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node
from plonnx.compiler.ops.registry import expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_DOTS = "..."
Labels = tuple[str, ...]
Labelled = tuple[str, Labels]
"""A tensor, and a label for each of its axes."""


@expands("Einsum", since=12)
def einsum(scene: Scene, node: Node) -> list[Node]:
    """Any equation, of computed operands and constants."""
    steps = Steps(scene, node)
    terms, made = _labels(str(node.attributes["equation"]), [len(scene.shape(name)) for name in node.inputs])
    extents: dict[str, int] = {}
    for name, labels in zip(node.inputs, terms, strict=True):
        for label, extent in zip(labels, scene.shape(name), strict=True):
            extents[label] = max(extent, extents.get(label, 1))
    rest = [_diagonal(steps, _broadcast(steps, x, extents)) for x in zip(node.inputs, terms, strict=True)]
    result = rest.pop(0)
    while rest:
        other = rest.pop(0)
        needed = {*made, *(label for _, labels in rest for label in labels)}
        result = _product(steps, _summed(steps, result, {*needed, *other[1]}), other, needed)
    x = _arranged(steps, _summed(steps, result, set(made)), made)
    return steps.finish(steps.apply("Identity", x))


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of each operand, and of the result; what dots stand for has numbers, counted from the last axis."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    terms = [_expanded(text, rank - len(text.replace(_DOTS, ""))) for text, rank in zip(texts, ranks, strict=True)]
    most = max(rank - len(text.replace(_DOTS, "")) for text, rank in zip(texts, ranks, strict=True))
    if not arrow:
        once = sorted(label for label in set(left) - {",", "."} if left.count(label) == 1)
        right = (_DOTS if _DOTS in left else "") + "".join(once)
    return terms, _expanded(right, most)


def _expanded(text: str, dotted: int) -> Labels:
    before, dots, after = text.partition(_DOTS)
    return (*before, *(str(axis) for axis in range(dotted, 0, -1) if dots), *after)


def _broadcast(steps: Steps, given: Labelled, extents: dict[str, int]) -> Labelled:
    """Without the axes of extent one that stand for longer ones of others."""
    x, labels = given
    shape = steps.shape(x)
    kept = [axis for axis, label in enumerate(labels) if shape[axis] == extents[label]]
    if len(kept) < len(labels):
        x = steps.reshape(x, [shape[axis] for axis in kept])
    return x, tuple(labels[axis] for axis in kept)


def _diagonal(steps: Steps, given: Labelled) -> Labelled:
    """Each label once: the diagonal of axes that share one."""
    x, labels = given
    distinct = tuple(dict.fromkeys(labels))
    if len(distinct) == len(labels):
        return given
    shape = steps.shape(x)
    index = np.indices([shape[labels.index(label)] for label in distinct])
    places = np.ravel_multi_index([index[distinct.index(label)] for label in labels], shape)
    return steps.gather([x], np.asarray(places)), distinct


def _summed(steps: Steps, given: Labelled, needed: set[str]) -> Labelled:
    """The sum over axes that nobody needs."""
    x, labels = given
    axes = [axis for axis, label in enumerate(labels) if label not in needed]
    if not axes:
        return given
    return steps.reduce("ReduceSum", x, axes, keepdims=False), tuple(label for label in labels if label in needed)


def _product(steps: Steps, left: Labelled, right: Labelled, needed: set[str]) -> Labelled:
    """Stack, rows and columns of one product."""
    right = _summed(steps, right, {*needed, *left[1]})
    both = [label for label in left[1] if label in right[1]]
    stack = [label for label in both if label in needed]
    inner = [label for label in both if label not in needed]
    rows = [label for label in left[1] if label not in both]
    columns = [label for label in right[1] if label not in both]
    if not inner and not (rows and columns):  # element by element
        a, b = _arranged(steps, left, stack, rows, columns), _arranged(steps, right, stack, rows, columns)
        return steps.apply("Mul", a, b), (*stack, *rows, *columns)
    sizes = dict(zip((*left[1], *right[1]), (*steps.shape(left[0]), *steps.shape(right[0])), strict=True))
    count, height, depth, width = (_size(sizes, part) for part in (stack, rows, inner, columns))
    lead = (count,) if stack else ()
    a = steps.reshape(_arranged(steps, left, stack, rows, inner), (*lead, height, depth))
    b = steps.reshape(_arranged(steps, right, stack, inner, columns), (*lead, depth, width))
    made = steps.apply("MatMul", a, b, shape=(*lead, height, width))
    labels = (*stack, *rows, *columns)
    return steps.reshape(made, [sizes[label] for label in labels]), labels


def _size(sizes: dict[str, int], labels: Sequence[str]) -> int:
    return int(np.prod([sizes[label] for label in labels], dtype=np.int64))


def _arranged(steps: Steps, given: Labelled, *parts: Sequence[str]) -> str:
    """The axes in the order of some labels; of those that the tensor does not have, axes of extent one."""
    x, labels = given
    wanted = [label for part in parts for label in part]
    order = [labels.index(label) for label in wanted if label in labels]
    shape = steps.shape(x)
    if order != sorted(order):
        x = steps.apply("Transpose", x, shape=tuple(shape[axis] for axis in order), perm=tuple(order))
    return steps.reshape(x, [shape[labels.index(label)] if label in labels else 1 for label in wanted])
