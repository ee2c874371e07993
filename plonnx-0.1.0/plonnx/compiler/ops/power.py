"""Pow: by a constant exponent, or of a constant base, a table; of two computed operands as their types are.

reals       exp(y log x), for x > 0
integers    of either operand: y is whole and not negative; r = 1, then for each bit of y, the highest first,
            r becomes r r, times x where the bit is one. No r is larger than the largest of 1, x and the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled
from plonnx.compiler.graph import Array, Graph, Interval, Node
from plonnx.compiler.ops.registry import Call, Mark, Operand, op
from plonnx.compiler.ops.whole import by_constant
from plonnx.gadgets import Cells
from plonnx.gadgets.select import select

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene


def _of_reals(scene: Scene, node: Node) -> list[Node] | None:
    """exp(y log x) of two computed reals; where x is zero and y is not negative the logarithm is that of 1."""
    (x, y), steps = node.inputs, Steps(scene, node)
    if scene.value(x) is not None or scene.value(y) is not None:
        return None
    if scene.tensors[x].dtype.kind != "f" or scene.tensors[y].dtype.kind != "f":
        return None
    steps.dtype, exponent = scene.tensors[x].dtype, steps.cast(y, scene.tensors[x].dtype)
    zero, one = (steps.constant(number, public=True) for number in (0.0, 1.0))
    nothing = steps.apply("And", steps.apply("Equal", x, zero), steps.apply("GreaterOrEqual", exponent, zero))
    positive = steps.apply("Where", nothing, one, x)
    made = steps.apply("Exp", steps.apply("Mul", steps.apply("Log", positive), exponent))
    of_zero = steps.cast(steps.apply("Equal", exponent, zero))
    return steps.finish(steps.apply("Where", nothing, of_zero, made))


def _power(node: Node, operands: Sequence[Interval], graph: Graph) -> Interval:
    (low, high), (_, exponent) = operands
    with np.errstate(over="ignore"):
        ends = [float(np.power(np.float64(end), exponent)) for end in (low, high)]
        reach = float(np.power(np.float64(max(-low, high, 1.0)), exponent))
    if graph.value(node.inputs[1]) is None:
        return -reach if low < 0 else 0.0, reach
    return min([*ends, *([0.0] if low < 0 < high else [])]), max(ends)


@op(
    "Pow",
    since=7,
    real=lambda attributes, x, y: np.power(x, y),
    curved=True,
    expand=_of_reals,
    marks=Mark.PRODUCT | Mark.POLE | Mark.PUBLIC,
    reach=_power,
)
def power(call: Call, x: Operand, exponent: Operand) -> Cells:
    """x to the power of a constant, or of a computed exponent: of a whole one where base or exponent are integers."""
    if isinstance(x, Scaled) and isinstance(exponent, Scaled):
        with call.errors():
            return _by_squares(call, x, exponent)
    if isinstance(x, Scaled) and np.all(call.constant(exponent, "the exponent") == 1):
        return call.at_scale(x).broadcast_to(call.out.shape)
    if not isinstance(x, Scaled) and call.builder.hidden and not call.is_public(0):
        raise call.refuse("in a private model its base must be computed from the model's inputs, not a constant")
    return by_constant(call, x, exponent, np.power)


def _by_squares(call: Call, x: Scaled, y: Scaled) -> Cells:
    """The bits of y say what r is multiplied by."""
    builder, name, shape = call.builder, call.out.name, call.out.shape
    exponent = _whole(call, y)
    bits = max(exponent.high, 1).bit_length()
    base = x
    if x.scale >= call.table_bits:  # 1 has no place beside it
        step = 1 << (2 * call.table_bits - 1 - x.scale)
        base = Scaled(builder.sum([(x.cells, step)], None, f"{name}~base"), call.table_bits - 1)
    one = builder.sum([], np.full(1, 1 << (call.table_bits + base.scale)), f"{name}~one", hides=False)
    factor, ones = base.cells.broadcast_to(shape), one.broadcast_to(shape)
    made: Scaled | None = None
    for number in reversed(range(bits)):

        def bit(v: Array, number: int = number) -> Array:
            return np.floor(np.ldexp(v, -number)) % 2

        chosen = call.apply(
            bit, Scaled(exponent, 0), scale=0, part=number + 2, formula=f"bit {number} of x", last=False
        )
        times = Scaled(select(builder, chosen.broadcast_to(shape), factor, ones, f"{name}~factor {number}"), base.scale)
        if made is None:
            made = Scaled(call.at_scale(times, bits + 2), call.scale)
            continue
        square = Scaled(call.product(made, made, bits + 2 * number + 3), call.scale)
        made = Scaled(call.product(square, times, bits + 2 * number + 4), call.scale)
    assert made is not None, "at least one bit"
    return made.cells


def _whole(call: Call, y: Scaled) -> Cells:
    """y at scale 0, by a table without negative numbers. Of a real, another one has no row but for what is no part."""
    exponent = call.apply(
        lambda v: np.where(v < -0.25, np.nan, np.rint(v)), y, scale=0, part=0, formula="a whole x", last=False
    )
    if call.operand_dtype(1).kind == "f" and y.scale > 0:
        size = call.builder.table_size
        terms = [(y.cells, size), (exponent, -size << y.scale)]
        part = call.builder.sum(terms, None, f"{call.out.name}~part")
        call.apply(lambda v: np.where(v == 0, 0.0, np.nan), Scaled(part, 0), scale=0, part=1, formula="0 of 0")
    return exponent
