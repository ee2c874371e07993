"""Operators of integers with a constant: Mod, BitShift, the bitwise ones. Each is a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plonnx.compiler.graph import Array
from plonnx.compiler.ops.registry import Call, Operand, function, op
from plonnx.gadgets import Cells

_PLAIN = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}


function("Mod", lambda given, x, y: np.asarray((np.fmod if given.get("fmod", 0) else np.mod)(x, y)), since=10)


def _of_integers(call: Call, made: Callable[[Array], Array], x: Operand) -> Cells:
    """A function of integers that is taken modulo its type."""
    size = 1 << (8 * call.out.dtype.itemsize)

    def real(values: Array) -> Array:
        whole = np.rint(values).astype(np.int64)
        results = np.mod(np.asarray(made(whole)), size)
        signed = call.out.dtype.kind == "i"
        return np.where(signed & (results >= size // 2), results - size, results).astype(np.float64)

    return call.apply(real, call.computed(x, "one operand"))


def _one(call: Call, value: Array | float | None) -> int:
    return int(np.float64(0 if value is None else value))


@op("BitShift", since=11)
def bit_shift(call: Call, x: Operand, by: Operand) -> Cells:
    """x 2^by, modulo the type, or x / 2^by rounded down, for a constant."""
    amount = _one(call, call.scalar(by, "the shift"))
    left = call.node.attributes["direction"] == "LEFT"
    return _of_integers(call, lambda v: np.left_shift(v, amount) if left else np.right_shift(v, amount), x)


def _bitwise(made: Callable[..., Array]) -> Callable[..., Cells]:
    def handler(call: Call, a: Operand, b: Operand) -> Cells:
        """Bit by bit with a constant."""
        x, constant = (b, a) if isinstance(a, np.ndarray) else (a, b)
        bits = _one(call, call.scalar(constant, "one operand"))
        return _of_integers(call, lambda v: made(v, bits), x)

    return handler


for _name, _made in _PLAIN.items():
    op(_name, since=18)(_bitwise(_made))


@op("BitwiseNot", since=18)
def bitwise_not(call: Call, x: Operand) -> Cells:
    """Every bit of the type."""
    return _of_integers(call, np.bitwise_not, x)
