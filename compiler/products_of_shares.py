"""Attention: a softmax that only a product of matrices reads is divided by its sum after the product.

    MatMul(Softmax(x), v)      becomes      U / s with [U | s] = MatMul(exp(x - shift), [v | 1])

which is the same: a row's sum is the product's last column, so that the exponentials are read where they stand, and
the division is one of J values a row instead of K. Where a mask hides an entry the product reads a zero.

The shift is the row's largest entry, as in every softmax; or, where the samples show that the rows' largest entries
hardly differ, one constant for all rows. Then the exponential is a table in the very unit that holds the score, and a
score takes one unit instead of three to five. A row whose largest entry is below the constant loses as many bits as its
exponential. Where they differ by no more than ROOM, a table may have these bits to spare: `cheaper` sees to that.

For v of small values the last column is no 1 but a power of two that is as large as U is beside s: both have one scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from plonnx.compiler.calibration import Samples
from plonnx.compiler.computed_masks import measured_on
from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, CompileError, Graph, Node
from plonnx.compiler.mask_paths import LOOKED_AT
from plonnx.compiler.ops.normalization import Product, product_of_shares
from plonnx.compiler.passes.rewrite import Scene, rewrite
from plonnx.compiler.positive_maxima import with_random
from plonnx.compiler.quantized import Quantized

APART, ROOM = 2.0, 8.0
"""A constant shift is taken where the rows' largest entries differ by at most so much: three bits, or twelve."""
_ENTRIES = 6
"""Of tables: as dear as a unit (layout/cost.py, by the cells that are filled, looked up and committed)."""
_UNITS = range(-24, 7)


def planned_products(graph: Graph, samples: Samples | None) -> dict[str, Product]:
    """By the output of a MatMul: what stands for it and the Softmax before it. Without samples nothing is measured.

    Shifted by a constant where the rows' largest entries are within ROOM; `near` takes that back.
    """
    uses, makers = graph.uses(), {name: node for node in graph.nodes for name in node.outputs}
    found = {}
    for node in graph.nodes:
        softmax = makers.get(node.inputs[0]) if node.op == "MatMul" and not node.domain else None
        if softmax is not None and uses[node.inputs[0]] == 1 and _serves(graph, softmax, node):
            found[node.outputs[0]] = softmax
    if samples is None or not found:
        return {name: Product(softmax.inputs[0], softmax.outputs[0]) for name, softmax in found.items()}
    raw = {name: _raw(graph, makers, softmax.inputs[0]) for name, softmax in found.items()}
    names = {*found, *(s.inputs[0] for s in found.values()), *(x for x in raw.values() if x is not None)}
    measured = measured_on(graph, names, with_random(graph, samples))
    return {
        name: Product(
            softmax.inputs[0],
            softmax.outputs[0],
            *_level(measured[softmax.inputs[0]], measured.get(raw[name] or "")),
            _unit(measured[softmax.inputs[0]], measured[name]),
        )
        for name, softmax in found.items()
    }


def near(products: Mapping[str, Product]) -> dict[str, Product]:
    """The same, shifted by a constant where the rows' largest entries hardly differ."""
    return {name: p if p.apart <= APART else replace(p, level=None, apart=0.0) for name, p in products.items()}


def cheaper(made: Quantized, by: Callable[[int], Quantized], sizes: Sequence[int]) -> Quantized:
    """`made`, or what `by` makes with the first table of 2^sizes that is within the targets: what costs less.

    A bit more than `made` has doubles the tables, and a score takes a unit instead of four (docs/decisions.md).
    """
    for bits in sizes:
        try:
            other = by(bits)
        except CompileError:  # the table does not hold it
            continue
        if other.report.reached:
            return min(made, other, key=_cost)
    return made


def _cost(made: Quantized) -> float:
    """In units."""
    builder = made.builder
    entries = builder.table_size + sum(len(function.values) for function in builder.functions)
    return builder.unit_count + entries / _ENTRIES


def with_products(graph: Graph, products: Mapping[str, Product], positive: frozenset[str]) -> Graph:
    """Those products, as far as no mask has replaced them already, nor the Softmax that they read."""

    def rule(scene: Scene, node: Node) -> list[Node] | None:
        product = products.get(node.outputs[0]) if node.op == "MatMul" else None
        softmax = None if product is None else scene.maker(product.shares)
        if product is None or node.inputs[0] != product.shares or softmax is None or softmax.op != "Softmax":
            return None
        return product_of_shares(Steps(scene, node), product, None, product.shares in positive)

    return rewrite(graph, rule) if products else graph


def _serves(graph: Graph, softmax: Node, product: Node) -> bool:
    """A Softmax along the last axis, whose rows are longer than the product's."""
    if softmax.op != "Softmax" or softmax.domain or any(name in softmax.outputs for _, name in graph.outputs):
        return False
    left, right = (graph.tensors[name] for name in product.inputs)
    axis = int(softmax.attributes.get("axis", -1 if softmax.since >= 13 else 1)) % len(left.shape)
    whole = right.value is None and len(left.shape) > 1 and len(right.shape) > 1
    return whole and axis == len(left.shape) - 1 and right.shape[-1] < left.shape[-1]


def _raw(graph: Graph, makers: Mapping[str, Node], x: str) -> str | None:
    """The scores before a constant mask; x itself where there is none."""
    node = makers.get(x)
    if node is None or node.op not in ("Add", "Sub", "Where"):
        return x
    computed = [name for name in node.inputs if graph.value(name) is None]
    same = len(computed) == 1 and graph.tensors[computed[0]].shape == graph.tensors[x].shape
    return computed[0] if same and computed[0] != node.inputs[0 if node.op == "Where" else -1] else None


def _largest(x: Array) -> Array:
    return np.asarray(x.max(axis=-1))


def _level(x: Sequence[Array], raw: Sequence[Array] | None) -> tuple[float | None, float]:
    """The constant shift that serves all rows, and how far below it a row's largest entry is.

    No entry, hidden ones too, is much above it, no row far below.
    """
    tops = np.concatenate([_largest(values).reshape(-1) for values in x])
    tops = tops[tops > LOOKED_AT]
    if raw is None or not tops.size or not np.all(np.isfinite(tops)):
        return None, 0.0
    top = max(float(tops.max()), *(float(values.max()) for values in raw))
    apart = top - float(tops.min())
    return (top, apart) if apart <= ROOM else (None, 0.0)


def _unit(x: Sequence[Array], contexts: Sequence[Array]) -> float:
    """The power of two nearest to the largest |U| over the largest s."""
    sums = [np.exp(values - _largest(values)[..., None]).sum(axis=-1, keepdims=True) for values in x]
    largest = max(float(s.max()) for s in sums)
    most = max(float(np.abs(c * s).max()) for c, s in zip(contexts, sums, strict=True))
    if not np.isfinite(most) or most <= 0.0:
        return 1.0
    return float(2.0 ** np.clip(np.round(np.log2(most / largest)), _UNITS[0], _UNITS[-1]))
