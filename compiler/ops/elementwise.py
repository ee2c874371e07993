"""Sums of tensors and constants, and products with constants, with broadcasting: Add, Sub, Sum, Neg, Mul, Div."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Node, Tensor
from plonnx.compiler.ops.registry import Call, Operand, calibrated, op
from plonnx.gadgets import Cells


def _signed_sum(call: Call, signed: list[tuple[Operand, float]]) -> Cells:
    shape = call.out.shape
    terms = [
        (Scaled(operand.cells.broadcast_to(shape), operand.scale), sign)
        for operand, sign in signed
        if isinstance(operand, Scaled)
    ]
    constants = [
        sign * operand.astype(np.float64)
        for operand, sign in signed
        if operand is not None and not isinstance(operand, Scaled)
    ]
    return call.sum(terms, np.broadcast_to(sum(constants), shape) if constants else None)


@op("Add", since=7, real=lambda attributes, a, b: a + b)
def add(call: Call, a: Operand, b: Operand) -> Cells:
    """a + b."""
    return _signed_sum(call, [(a, 1.0), (b, 1.0)])


@op("Sub", since=7, real=lambda attributes, a, b: a - b)
def sub(call: Call, a: Operand, b: Operand) -> Cells:
    """a - b."""
    return _signed_sum(call, [(a, 1.0), (b, -1.0)])


@op("Sum", since=8, real=lambda attributes, *operands: sum(operands))
def sum_all(call: Call, *operands: Operand) -> Cells:
    """The sum of any number of operands."""
    return _signed_sum(call, [(operand, 1.0) for operand in operands])


@op("Neg", since=6, real=lambda attributes, x: -x)
def neg(call: Call, x: Operand) -> Cells:
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
            return computed[0].scale + (shift if node.op == "Div" else -shift)
    return calibrated(node, tensors, asked)


@op("Mul", since=7, scale=_power_of_two, real=lambda attributes, a, b: a * b)
def mul(call: Call, a: Operand, b: Operand) -> Cells:
    """a * b: with a constant, of two tensors, or the square of one, which is a table."""
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return call.apply(np.square, a) if a is b else call.product(a, b)
    x, factors = (a, b) if isinstance(a, Scaled) else (b, a)
    return call.multiply(call.computed(x, "one operand"), call.constant(factors, "one operand"))


@op("Div", since=7, scale=_power_of_two, real=lambda attributes, a, b: a / b)
def div(call: Call, x: Operand, divisor: Operand) -> Cells:
    """x / divisor for a constant divisor of real numbers (a computed one: passes/divide_by_reciprocal.py)."""
    if not np.issubdtype(call.out.dtype, np.floating):
        raise call.refuse("integer division is not supported yet")
    constant = call.constant(divisor, "the divisor")
    if not np.all(constant):
        raise call.refuse("its constant divisor holds a zero")
    return call.multiply(call.computed(x, "the dividend"), 1.0 / constant.astype(np.float64))


@op("Pow", since=7, real=lambda attributes, x, exponent: np.power(x, exponent), curved=True)
def power(call: Call, x: Operand, exponent: Operand) -> Cells:
    """x to the power of a constant, the same for every element: a table."""
    operand = call.computed(x, "the base")
    constant = call.scalar(exponent, "the exponent")
    assert constant is not None, "the exponent is no optional operand"
    return call.at_scale(operand) if constant == 1.0 else call.apply(lambda v: np.power(v, constant), operand)
