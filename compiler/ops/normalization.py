"""Normalizations: each expands into means, a table 1 / sqrt(v + epsilon) of few values, and products.

With d = x - mean(x) and v = mean(d d) over the normalized axes, y = d (scale / sqrt(v + epsilon)) + bias: the scale
joins the few values 1 / sqrt(..) where it is one for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Node, Shape, Tensor
from plonnx.compiler.ops.registry import MOST, expands, shape_of

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


def _centred(steps: Steps, x: str, axes: Sequence[int]) -> tuple[str, str]:
    """(d, v) over some axes."""
    d = steps.apply("Sub", x, steps.reduce("ReduceMean", x, axes))
    return d, steps.reduce("ReduceMean", steps.apply("Mul", d, d), axes)


def normalized(steps: Steps, x: str, axes: Sequence[int], scale: str | None = None, default: float = 1e-5) -> str:
    """d scale / sqrt(v + epsilon) for a scale of the shape of v, or none."""
    return by_root(steps, steps.apply("Sub", x, steps.reduce("ReduceMean", x, axes)), axes, scale, default)


def by_root(steps: Steps, d: str, axes: Sequence[int], scale: str | None = None, default: float = 1e-5) -> str:
    """d scale / sqrt(mean(d d) + epsilon)."""
    inverse = _inverse_root(steps, d, axes, default)
    return steps.apply("Mul", d, inverse if scale is None else steps.apply("Mul", inverse, scale))


def _inverse_root(steps: Steps, d: str, axes: Sequence[int], default: float = 1e-5) -> str:
    """1 / sqrt(mean(d d) + epsilon)."""
    v = steps.reduce("ReduceMean", steps.apply("Mul", d, d), axes)
    epsilon = steps.constant(float(steps.node.attributes.get("epsilon", default)), public=True)
    return steps.apply("Reciprocal", steps.apply("Sqrt", steps.apply("Add", v, epsilon)))


def _per_channel(steps: Steps, name: str, rank: int) -> str:
    """A vector [C] as [C, 1, ..]: it broadcasts along axis 1 of a tensor of that rank."""
    channels = steps.shape(name)[0]
    value = steps.scene.value(name)
    shape = (channels, *(1,) * (rank - 2))
    return steps.reshape(name, shape) if value is None else steps.constant(value.reshape(shape))


@expands("InstanceNormalization", since=6)
def instance_normalization(scene: Scene, node: Node) -> list[Node]:
    """Over all axes but the first two, of x [N, C, ..]."""
    steps, x = Steps(scene, node), node.inputs[0]
    rank = len(scene.shape(x))
    scale, bias = (_per_channel(steps, name, rank) for name in node.inputs[1:3])
    return steps.finish(steps.apply("Add", normalized(steps, x, range(2, rank), scale), bias))


def _in_front(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int | None:
    """An axis before those that are normalized."""
    return axis if axis < int(node.attributes.get("axis", -1)) % len(shape) else None


def _beside(node: Node, shapes: Sequence[Shape | None], shape: Shape, axis: int) -> int | None:
    """An axis that a softmax does not go along; before version 13 it may go along several."""
    return axis if node.since >= 13 and axis != int(node.attributes.get("axis", -1)) % len(shape) else None


def _like_first(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    return shape_of(operands, 0)


@expands("GroupNormalization", since=18, shape=_like_first)
def group_normalization(scene: Scene, node: Node) -> list[Node]:
    """Over groups of channels; scale and bias are by group (version 18) or by channel (21)."""
    steps, x = Steps(scene, node), node.inputs[0]
    shape = scene.shape(x)
    groups = int(node.attributes["num_groups"])
    repeats = shape[1] // groups if node.since < 21 else 1
    values = [scene.value(name) for name in node.inputs[1:3]]
    if any(value is None for value in values):
        raise steps.refuse("its scale and bias must be constants of the model")
    scale, bias = (
        steps.constant(np.repeat(value, repeats).reshape(-1, *(1,) * (len(shape) - 2)))
        for value in values
        if value is not None
    )
    grouped = steps.reshape(x, (shape[0], groups, int(np.prod(shape[1:])) // groups))
    normal = steps.reshape(normalized(steps, grouped, (2,)), shape)
    return steps.finish(steps.apply("Add", steps.apply("Mul", normal, scale), bias))


@expands("LayerNormalization", since=17, along=_in_front)
def layer_normalization(scene: Scene, node: Node) -> list[Node]:
    """Over the axes from `axis` on; its further outputs are the mean and 1 / sqrt(v + epsilon)."""
    steps, x = Steps(scene, node), node.inputs[0]
    rank = len(scene.shape(x))
    axes = range(int(node.attributes.get("axis", -1)) % rank, rank)
    mean = steps.reduce("ReduceMean", x, axes)
    d = steps.apply("Sub", x, mean)
    inverse = _inverse_root(steps, d, axes)
    scaled = steps.apply("Mul", steps.apply("Mul", d, inverse), node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    return steps.finish(steps.apply("Add", scaled, bias) if bias else scaled, mean, inverse)


@expands("RMSNormalization", since=23, along=_in_front)
def rms_normalization(scene: Scene, node: Node) -> list[Node]:
    """x scale / sqrt(mean(x x) + epsilon) over the axes from `axis` on."""
    steps, x = Steps(scene, node), node.inputs[0]
    rank = len(scene.shape(x))
    axes = range(int(node.attributes.get("axis", -1)) % rank, rank)
    return steps.finish(steps.apply("Mul", by_root(steps, x, axes), node.inputs[1]))


@expands("MeanVarianceNormalization", since=9, shape=_like_first)
def mean_variance_normalization(scene: Scene, node: Node) -> list[Node]:
    """Over `axes`, by the standard deviation plus 1e-9 (as ONNX defines it)."""
    steps, x = Steps(scene, node), node.inputs[0]
    rank = len(scene.shape(x))
    axes = sorted(int(axis) % rank for axis in node.attributes.get("axes", (0, 2, 3)))
    d, v = _centred(steps, x, axes)
    deviation = steps.apply("Add", steps.apply("Sqrt", v), steps.constant(1e-9, public=True))
    return steps.finish(steps.apply("Mul", d, steps.apply("Reciprocal", deviation)))


@expands("LpNormalization", since=1)
def lp_normalization(scene: Scene, node: Node) -> list[Node]:
    """Along `axis`, by the sum of magnitudes or the root of the sum of squares; what is all zeros stays so."""
    steps, x = Steps(scene, node), node.inputs[0]
    axis = int(node.attributes.get("axis", -1)) % len(scene.shape(x))
    order = int(node.attributes.get("p", 2))
    powers = steps.apply("Mul", x, x) if order == 2 else steps.apply("Abs", x)
    total = steps.reduce("ReduceSum", powers, (axis,))
    norm = steps.apply("Sqrt", total) if order == 2 else total
    some = holds_something(steps, x, (axis,))
    return steps.finish(steps.apply("Mul", x, inverse_or_one(steps, norm, some)))


def holds_something(steps: Steps, x: str, axes: Sequence[int]) -> str:
    """1 where an entry along the axes is not zero, else 0.

    A norm of small entries rounds to zero before they do: its reciprocal has no proof, but is not one.
    """
    count = steps.reduce("ReduceSum", steps.apply("Abs", steps.apply("Sign", x)), axes)
    return steps.apply("Sign", count)


def inverse_or_one(steps: Steps, norm: str, some: str) -> str:
    """1 / norm where `some` is 1, and 1 where it and the norm are 0: 1 / (norm + 1 - some)."""
    raised = steps.apply("Add", norm, steps.constant(1.0, public=True), shape=steps.shape(norm))
    return steps.apply("Reciprocal", steps.apply("Sub", raised, some))


def _shifted(steps: Steps, positive: bool = False) -> tuple[str, str, str]:
    """(x - max(x), its exponentials, their sum); before version 13 all axes from `axis` on are one.

    positive: x - max(0, x), which gives the same shares.
    """
    x, axes = steps.node.inputs[0], _normalized(steps)
    shifted = steps.apply("Sub", x, steps.reduce("ReduceMax", steps.apply("Relu", x) if positive else x, axes))
    powers = steps.apply("Exp", shifted)
    total = steps.reduce("ReduceSum", powers, axes)
    steps.note(total, **{MOST: float(_terms(steps))})  # each at most one
    return shifted, powers, total


def _normalized(steps: Steps) -> tuple[int, ...]:
    """The axes that shares are of."""
    version, rank = steps.node.since, len(steps.shape(steps.node.inputs[0]))
    axis = int(steps.node.attributes.get("axis", -1 if version >= 13 else 1)) % rank
    return (axis,) if version >= 13 else tuple(range(axis, rank))


def _terms(steps: Steps) -> int:
    """How many entries the shares are of."""
    return prod(steps.shape(steps.node.inputs[0])[along] for along in _normalized(steps))


def softmax_of(steps: Steps, positive: bool = False) -> list[Node]:
    """exp(x - max) / sum."""
    _, powers, total = _shifted(steps, positive)
    return steps.finish(steps.apply("Mul", powers, steps.apply("Reciprocal", total)))


@expands("Softmax", since=1, along=_beside)
def softmax(scene: Scene, node: Node) -> list[Node]:
    """exp(x - max) / sum: the exponentials are at most one."""
    return softmax_of(Steps(scene, node))


@expands("LogSoftmax", since=1, along=_beside)
def log_softmax(scene: Scene, node: Node) -> list[Node]:
    """x - max - log(sum(exp(x - max)))."""
    steps = Steps(scene, node)
    shifted, _, total = _shifted(steps)
    logarithm = steps.apply("Log", total)
    steps.note(logarithm, **{MOST: float(np.log(_terms(steps)))})
    return steps.finish(steps.apply("Sub", shifted, logarithm))


# Softmax over rows of which some entries are masked (compiler/masks.py) -----------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Rows along some axes of a tensor: the entries that are left out, and those that count as zero, all equal."""

    masked: NDArray[np.bool_]
    zeros: NDArray[np.bool_]
    axes: tuple[int, ...]

    def unmasked(self, steps: Steps, x: str) -> str:
        """x, a masked entry replaced by another one of its row: their largest is the row's."""
        places = np.arange(self.masked.size).reshape(self.masked.shape)
        rows = np.moveaxis(self.masked, self.axes, range(-len(self.axes), 0))
        numbers = np.moveaxis(places, self.axes, range(-len(self.axes), 0))
        flat = rows.reshape(-1, int(np.prod([self.masked.shape[axis] for axis in self.axes])))
        first = np.take_along_axis(numbers.reshape(flat.shape), np.argmin(flat, axis=1)[:, None], axis=1)
        chosen = np.where(flat, first, numbers.reshape(flat.shape)).reshape(rows.shape)
        return self._gathered(steps, x, np.moveaxis(chosen, range(-len(self.axes), 0), self.axes))

    def kept(self, steps: Steps, x: str) -> str:
        """The entries that are not masked, one after another."""
        return self._gathered(steps, x, np.flatnonzero(~self.masked))

    def spread(self, steps: Steps, values: str, fill: float) -> str:
        """The inverse of `kept`, with a constant where entries are masked."""
        count = self.masked.size - int(self.masked.sum())
        places = np.full(self.masked.shape, count)
        places[~self.masked] = np.arange(count)
        return steps.gather([values, steps.constant(np.full(1, fill))], places)

    def each(self, steps: Steps, x: str) -> str:
        """A value of each row (its reduced axes of length one), as often as the row has unmasked entries."""
        shape = steps.shape(x)
        places = np.broadcast_to(np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape), self.masked.shape)
        return steps.gather([x], places[~self.masked])

    def _gathered(self, steps: Steps, x: str, places: NDArray[np.int64]) -> str:
        if not self.zeros.any():
            return steps.gather([x], places)
        beyond = np.where(self.zeros.reshape(-1)[places], self.masked.size, places)
        return steps.gather([x, steps.constant(np.zeros(1))], beyond)


def _kept_powers(steps: Steps, rows: Rows, positive: bool = False) -> tuple[str, str, str]:
    """(x - max(x), its exponentials, both of the unmasked entries alone; the sum of each row's), as `_shifted`."""
    x = steps.node.inputs[0]
    unmasked = rows.unmasked(steps, x)
    largest = steps.reduce("ReduceMax", steps.apply("Relu", unmasked) if positive else unmasked, rows.axes)
    shifted = steps.apply("Sub", rows.kept(steps, x), rows.each(steps, largest))
    powers = steps.apply("Exp", shifted)
    return shifted, powers, steps.reduce("ReduceSum", rows.spread(steps, powers, 0.0), rows.axes)


def masked_softmax(steps: Steps, rows: Rows, positive: bool = False) -> list[Node]:
    """Softmax whose masked entries are zero."""
    _, powers, total = _kept_powers(steps, rows, positive)
    shares = steps.apply("Mul", powers, rows.each(steps, steps.apply("Reciprocal", total)))
    return steps.finish(rows.spread(steps, shares, 0.0))


def masked_log_softmax(steps: Steps, rows: Rows, floor: float) -> list[Node]:
    """LogSoftmax whose masked entries are `floor`."""
    shifted, _, total = _kept_powers(steps, rows)
    logarithms = steps.apply("Sub", shifted, rows.each(steps, steps.apply("Log", total)))
    return steps.finish(rows.spread(steps, logarithms, floor))


@dataclass(frozen=True)
class Product:
    """MatMul(Softmax(x), v) with the division after the product (compiler/products_of_shares.py).

    x, shares: the Softmax's operand and result. level: what is taken from every row, whose largest entry is at most
    `apart` below it; None: its largest entry. unit: the last column of the second factor.
    """

    x: str
    shares: str
    level: float | None = None
    apart: float = 0.0
    unit: float = 1.0


def product_of_shares(steps: Steps, product: Product, rows: Rows | None, positive: bool = False) -> list[Node]:
    """U / s for the product's node; `rows`: the entries that count, where a mask hides some."""
    x, v = product.x, steps.node.inputs[1]
    if product.level is not None:
        shifted = steps.apply("Sub", x, steps.constant(product.level, public=True))
    else:
        seen, last = (x if rows is None else rows.unmasked(steps, x)), len(steps.shape(x)) - 1
        shifted = steps.apply(
            "Sub", x, steps.reduce("ReduceMax", steps.apply("Relu", seen) if positive else seen, [last])
        )
        if rows is not None:  # what is hidden may be above the largest of the others
            shifted = steps.apply("Min", shifted, steps.constant(0.0, public=True))
    powers = steps.apply("Exp", shifted)
    if rows is not None:
        places = np.where(rows.masked, rows.masked.size, np.arange(rows.masked.size).reshape(rows.masked.shape))
        powers = steps.gather([powers, steps.constant(np.zeros(1), public=True)], places)
    *stack, inner, width = steps.shape(v)
    ones = steps.constant(np.full((*stack, inner, 1), product.unit), public=True)
    both = steps.apply("Concat", v, ones, shape=(*stack, inner, width + 1), axis=-1)
    made = (*steps.shape(steps.node.outputs[0])[:-1], width + 1)
    summed = steps.apply("MatMul", powers, both, shape=made)
    contexts = steps.take(summed, np.arange(width), len(made) - 1)
    inverse = steps.apply("Reciprocal", steps.take(summed, np.array([width]), len(made) - 1))
    scaled = inverse if product.unit == 1.0 else steps.apply("Mul", inverse, steps.constant(product.unit, public=True))
    return steps.finish(steps.apply("Mul", contexts, scaled))


@expands("LRN", since=1)
def lrn(scene: Scene, node: Node) -> list[Node]:
    """x (bias + alpha / size * sum of squares of the `size` channels around)^-beta."""
    steps, x, given = Steps(scene, node), node.inputs[0], node.attributes
    shape, size = scene.shape(x), int(given["size"])
    channels = np.arange(shape[1])
    ahead = channels[None, :] - channels[:, None]
    band = (ahead >= -((size - 1) // 2)) & (ahead <= size // 2)
    weights = steps.constant(band * float(given.get("alpha", 1e-4)) / size, public=True)
    squares = steps.reshape(steps.apply("Mul", x, x), (shape[0], shape[1], -1))
    sums = steps.reshape(steps.apply("MatMul", weights, squares, shape=scene.shape(squares)), shape)
    moved = steps.apply("Add", sums, steps.constant(float(given.get("bias", 1.0)), public=True))
    exponent = steps.constant(-float(given.get("beta", 0.75)), public=True)
    return steps.finish(steps.apply("Mul", x, steps.apply("Pow", moved, exponent)))
