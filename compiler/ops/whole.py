"""Operators of integers with a constant: Mod, BitShift, the bitwise ones. Each is a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array
from plonnx.compiler.ops.registry import Call, Mark, Operand, op
from plonnx.gadgets import Cells

_PLAIN = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}


def _by_constant(call: Call, x: Operand, constant: Operand, real: Callable[[Array, float], Array]) -> Cells:
    """real(x, c): a table for each value of the constant, which says what function it is and is public."""
    operand, shape = call.computed(x, "one operand"), call.out.shape
    values = np.broadcast_to(call.constant(constant, "one operand").astype(np.float64), shape).reshape(-1)
    distinct = np.unique(values)
    if distinct.size == 1:
        return call.apply(lambda v: real(v, float(distinct[0])), operand).broadcast_to(shape)
    cells, parts, places = operand.cells.broadcast_to(shape).reshape(-1), list[Cells](), list[Array]()
    for part, value in enumerate(distinct.tolist()):
        places.append(np.flatnonzero(values == value))
        taken = Scaled(cells.take(places[-1], 0), operand.scale)
        formula = call.node.formula(["x", np.array(value)])
        parts.append(call.apply(lambda v, value=value: real(v, value), taken, part=part, formula=formula))  # type: ignore[misc]
    order = np.argsort(np.concatenate(places), kind="stable")
    return Cells.concatenate(parts, 0).take(order, 0).reshape(shape)


def _remainder(attributes: Mapping[str, Any], x: Array, y: Any) -> Array:
    return np.asarray((np.fmod if attributes.get("fmod", 0) else np.mod)(x, y))


@op("Mod", since=10, real=_remainder, curved=True, marks=Mark.STEPS)
def mod(call: Call, x: Operand, y: Operand) -> Cells:
    """The remainder of the sign of a constant divisor, or with `fmod` of the dividend."""
    return _by_constant(call, x, y, lambda v, divisor: _remainder(call.node.attributes, v, divisor))


def _wrapped(call: Call, made: Callable[..., Array], values: Array, *constants: float) -> Array:
    """A function of integers, taken modulo its type."""
    results = np.asarray(made(np.rint(values).astype(np.int64), *map(int, constants)))
    if call.out.dtype.itemsize == results.itemsize:
        return results.astype(np.float64)
    size = 1 << (8 * call.out.dtype.itemsize)
    results = np.mod(results, size)
    signed = call.out.dtype.kind == "i"
    return np.asarray(np.where(signed & (results >= size // 2), results - size, results), np.float64)


@op("BitShift", since=11)
def bit_shift(call: Call, x: Operand, by: Operand) -> Cells:
    """x 2^by, modulo the type, or x / 2^by rounded down, for a constant."""
    shift = np.left_shift if call.node.attributes["direction"] == "LEFT" else np.right_shift
    return _by_constant(call, x, by, lambda v, amount: _wrapped(call, shift, v, amount))


def _bitwise(made: Callable[..., Array]) -> Callable[..., Cells]:
    def handler(call: Call, a: Operand, b: Operand) -> Cells:
        """Bit by bit with a constant."""
        x, constant = (b, a) if isinstance(a, np.ndarray) else (a, b)
        return _by_constant(call, x, constant, lambda v, bits: _wrapped(call, made, v, bits))

    return handler


for _name, _made in _PLAIN.items():
    op(_name, since=18)(_bitwise(_made))


@op("BitCast", since=26)
def bit_cast(call: Call, x: Operand) -> Cells:
    """The bits of an integer as another type of its width."""
    source, target = call.operand_dtype(0), call.out.dtype
    if "f" in (source.kind, target.kind):
        raise call.refuse("the bits of a real number are not supported")
    operand, size = call.computed(x, "the operand"), 1 << (8 * target.itemsize)

    def real(values: Array) -> Array:
        whole = np.mod(np.rint(values), size)
        return np.asarray(np.where((target.kind == "i") & (whole >= size / 2), whole - size, whole))

    return call.apply(real, operand)


@op("BitwiseNot", since=18)
def bitwise_not(call: Call, x: Operand) -> Cells:
    """Every bit of the type."""
    return call.apply(lambda v: _wrapped(call, np.bitwise_not, v), call.computed(x, "the operand"))
