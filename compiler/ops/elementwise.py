"""Sums, products and extremes of tensors and constants, with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Array, Graph, Interval, Node, Tensor
from plonnx.compiler.ops import wide, wide_choice
from plonnx.compiler.ops.comparison import counted
from plonnx.compiler.ops.registry import Call, Made, Mark, Operand, aligned, calibrated, op
from plonnx.compiler.ops.whole import quotient
from plonnx.gadgets import Cells

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Attributes = Mapping[str, Any]


def _signed_sum(call: Call, signed: list[tuple[Operand, float]]) -> Made:
    """The sum of all operands of the node, in order, each with a factor."""
    if call.is_wide:
        return wide.signed_sum(call, [(x, int(factor)) for x, factor in signed])
    shape = call.out.shape
    public = all(call.is_public(place) for place, (x, _) in enumerate(signed) if not isinstance(x, Scaled))
    terms = [
        (Scaled(operand.cells.broadcast_to(shape), operand.scale), sign)
        for operand, sign in signed
        if isinstance(operand, Scaled)
    ]
    constants = [
        sign * operand.astype(np.float64)
        for operand, sign in signed
        if operand is not None and not isinstance(operand, Scaled | Wide)
    ]
    return call.sum(terms, np.broadcast_to(sum(constants), shape) if constants else None, public=public)


def _summed(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    return sum(low for low, _ in operands), sum(high for _, high in operands)


def _difference(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    (low, high), (less, more) = operands
    return low - more, high - less


def _product(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    ends = [one * other for one in operands[0] for other in operands[1]]
    if node.inputs[0] == node.inputs[1]:
        return max(0.0, min(ends)), max(ends)
    return min(ends), max(ends)


def _negated(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    return -operands[0][1], -operands[0][0]


@op("Add", since=7, real=lambda attributes, a, b: a + b, marks=Mark.SUMS | Mark.WHOLE | Mark.WIDE, reach=_summed)
def add(call: Call, a: Operand, b: Operand) -> Made:
    """a + b."""
    return _signed_sum(call, [(a, 1.0), (b, 1.0)])


@op("Sub", since=7, real=lambda attributes, a, b: a - b, marks=Mark.SUMS | Mark.WHOLE | Mark.WIDE, reach=_difference)
def sub(call: Call, a: Operand, b: Operand) -> Made:
    """a - b."""
    return _signed_sum(call, [(a, 1.0), (b, -1.0)])


@op(
    "Sum",
    since=8,
    real=lambda attributes, *operands: sum(operands),
    marks=Mark.SUMS | Mark.WHOLE | Mark.WIDE,
    reach=_summed,
)
def sum_all(call: Call, *operands: Operand) -> Made:
    """The sum of any number of operands."""
    return _signed_sum(call, [(operand, 1.0) for operand in operands])


@op("Neg", since=6, real=lambda attributes, x: -x, marks=Mark.WHOLE | Mark.WIDE, reach=_negated)
def neg(call: Call, x: Operand) -> Made:
    """-x."""
    return _signed_sum(call, [(x, -1.0)])


def _power_of_two(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """A product with one power of two only moves the scale; any other is rescaled."""
    constants = [tensors[name] for name in node.inputs if tensors[name].value is not None]
    computed = [tensors[name] for name in node.inputs if tensors[name].value is None]
    if len(constants) == 1 and constants[0].value is not None and computed[0].scale is not None:
        values = np.asarray(constants[0].value, dtype=np.float64).reshape(-1)
        mantissa, exponent = np.frexp(values[0])
        if mantissa == 0.5 and np.all(values == values[0]):
            shift = int(exponent) - 1
            moved = computed[0].scale + (shift if node.op == "Div" else -shift)
            return asked if moved < 0 and computed[0].dtype.kind in "iu" else moved  # integers stay exact
    return calibrated(node, tensors, asked)


@op(
    "Mul",
    since=7,
    scale=_power_of_two,
    real=lambda attributes, a, b: a * b,
    marks=Mark.PRODUCT | Mark.WIDE,
    reach=_product,
)
def mul(call: Call, a: Operand, b: Operand) -> Made:
    """a * b: with a constant, of two tensors, or the square of one, which is a table.

    At an input or an output whose channels have scales of their own it is their scales that differ, not the cells.
    """
    if call.is_wide:
        return _wide_product(call, a, b)
    if isinstance(a, Scaled) and call.is_moved:
        return a.cells
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return call.apply(np.square, a) if a is b else call.product(a, b)
    x, factors = (a, b) if isinstance(a, Scaled) else (b, a)
    public = call.is_public(1 if isinstance(a, Scaled) else 0)
    return call.multiply(call.computed(x, "one operand"), call.constant(factors, "one operand"), public)


def _wide_product(call: Call, a: Operand, b: Operand) -> Made:
    """Of integers of two units with constant ones; or of two of one unit each."""
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return wide.product(call, a, b)
    x, factor = (a, b) if isinstance(a, Scaled | Wide) else (b, a)
    if isinstance(factor, Scaled | Wide) or factor is None or not isinstance(x, Scaled | Wide):
        raise call.too_small("integers of two units are multiplied by constants only")
    return wide.for_each(call, x, factor, lambda call, x, factor: wide.made_sum(call, [(x, factor)], None))


def _without_computed_divisor(scene: Scene, node: Node) -> list[Node] | None:
    """Of reals x / y becomes x * Reciprocal(y) for a computed y."""
    (x, y), steps = node.inputs, Steps(scene, node)
    divisor = scene.value(y)
    if scene.tensors[y].dtype.kind == "f":
        return None if divisor is not None else steps.finish(steps.apply("Mul", x, steps.apply("Reciprocal", y)))
    if divisor is not None and not np.all(divisor):
        raise steps.refuse("its constant divisor holds a zero")
    return None


def _divided_scale(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Of integers 0; of reals as in a product."""
    return (
        counted(node, tensors, asked)
        if tensors[node.outputs[0]].dtype.kind in "iu"
        else _power_of_two(node, tensors, asked)
    )


@op(
    "Div",
    since=7,
    scale=_divided_scale,
    real=lambda attributes, a, b: a / b,
    expand=_without_computed_divisor,
    marks=Mark.POLE | Mark.WIDE,
)
def div(call: Call, x: Operand, divisor: Operand) -> Made:
    """x / divisor of reals for a constant divisor (others: `_without_computed_divisor`); of integers towards zero."""
    if call.is_wide:
        return wide.divided(call, x, divisor)
    if call.out.dtype.kind in "iu":
        return quotient(call, x, divisor)
    constant = call.constant(divisor, "the divisor")
    if not np.all(constant):
        raise call.refuse("its constant divisor holds a zero")
    return call.multiply(call.computed(x, "the dividend"), 1.0 / constant.astype(np.float64))


def _extreme(call: Call, operands: tuple[Operand, ...], smallest: bool) -> Made:
    """The constants are one operand, elementwise."""
    if call.is_wide and len(operands) > 1:
        return wide_choice.extreme(call, operands, smallest)
    shape = call.out.shape
    constants = [x.astype(np.float64) for x in operands if x is not None and not isinstance(x, Scaled | Wide)]
    computed = [x for x in operands if isinstance(x, Scaled)]
    if not computed:
        raise call.refuse("one operand must be computed from the model's inputs, not a constant")
    x = computed[0]
    if len(computed) > 1:
        parts = [call.at_scale(each, k).broadcast_to(shape).reshape((1, *shape)) for k, each in enumerate(computed)]
        x = Scaled(call.extreme(Scaled(Cells.concatenate(parts, 0), call.scale), smallest), call.scale)
    if not constants:
        return call.at_scale(x).broadcast_to(shape)
    bound = (np.minimum if smallest else np.maximum).reduce(np.broadcast_arrays(*constants, np.zeros(shape))[:-1])
    if call.builder.hidden or np.any(bound != bound.flat[0]):
        return call.bounded(x, bound, smallest)
    only = float(bound.flat[0])
    if only == 0.0 and not smallest:
        return call.builder.relu(call.at_scale(x).broadcast_to(shape), call.out.name)
    made = call.apply(lambda values: np.minimum(values, only) if smallest else np.maximum(values, only), x)
    return made.broadcast_to(shape)


def _max_real(attributes: Attributes, *operands: Array) -> Array:
    return np.asarray(np.maximum.reduce(np.broadcast_arrays(*operands)))


def _min_real(attributes: Attributes, *operands: Array) -> Array:
    return np.asarray(np.minimum.reduce(np.broadcast_arrays(*operands)))


def _coarser(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """No finer than the operands, nor than the constants allow."""
    return min(asked, aligned(node, tensors, asked))


_EXTREME = Mark.SUMS | Mark.HALVES | Mark.WHOLE | Mark.WIDE | Mark.EXTREME


@op("Max", since=8, scale=_coarser, real=_max_real, curved=True, marks=_EXTREME)
def maximum(call: Call, *operands: Operand) -> Made:
    """The largest of tensors and constants."""
    return _extreme(call, operands, smallest=False)


@op("Min", since=8, scale=_coarser, real=_min_real, curved=True, marks=_EXTREME)
def minimum(call: Call, *operands: Operand) -> Made:
    """The smallest of tensors and constants."""
    return _extreme(call, operands, smallest=True)


@op("Mean", since=8, real=lambda attributes, *operands: sum(operands) / len(operands), marks=Mark.SUMS)
def mean(call: Call, *operands: Operand) -> Made:
    """The mean of any number of operands."""
    return _signed_sum(call, [(operand, 1.0 / len(operands)) for operand in operands])
