"""Decisions: comparisons, Where, and the Boolean operators. A Boolean is an integer, 0 or 1, at scale 0.

Values are compared as the circuit holds them. x > y is the sign of an exact difference; where that could leave (-T, T)
it is halved j times with rounding up, which keeps the sign: ceil(d / 2^j) > 0 exactly if d > 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Array, Node, Shape, Tensor
from plonnx.compiler.ops.registry import Call, Mark, Operand, Real, op, shape_of
from plonnx.gadgets import Cells
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.select import select

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

INCLUSIVE = {"Greater": True, "LessOrEqual": True, "Less": False, "GreaterOrEqual": False}
"""Whether x compared with t asks [x <= t], or its opposite; else [x < t]. The other way round where t comes first."""


def whole(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Scale 0: the integers themselves."""
    return 0


def counted(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Scale 0, or what the largest asks for: too small a table then shows (integers.py)."""
    return min(0, asked)


def _real(decide: Callable[..., Array]) -> Real:
    """What a decision computes, as 0.0 and 1.0."""
    return lambda attributes, *operands: np.asarray(decide(*operands)).astype(np.float64)


def _difference(call: Call, x: Operand, y: Operand, up: bool) -> Cells:
    """Cells h with h > 0 exactly if x > y (as the circuit holds them); of constants as real numbers.

    `up`: of a constant the least integer that is not below it, else the largest that is not above it.
    """
    shape = call.out.shape
    scale = max(operand.scale for operand in (x, y) if isinstance(operand, Scaled | Wide))
    computed = [(o, sign) for o, sign in ((x, 1), (y, -1)) if isinstance(o, Scaled | Wide)]
    terms = [
        (cells.broadcast_to(shape), sign * factor << (scale - o.scale))
        for o, sign in computed
        for cells, factor in o.terms
    ]
    reach = sum(cells.reach * abs(factor) for cells, factor in terms)
    constant = np.zeros(shape)
    for operand, sign in ((x, 1), (y, -1)):
        if not isinstance(operand, Scaled | Wide):
            exact = np.ldexp(call.constant(operand, "an operand").astype(np.float64), scale)
            whole_number = np.ceil(exact) if up else np.floor(exact)
            constant = constant + sign * np.clip(whole_number, -reach - 1, reach + 1)  # beyond: the same verdict
            reach = 2 * reach + 1
    with call.errors():
        return _halved(call, terms, constant.astype(np.int64), reach, f"{call.out.name}-", len(computed) < 2)


def positive(call: Call, terms: Sequence[tuple[Cells, int]], constant: NDArray[np.int64], name: str) -> Cells:
    """Cells h with h > 0 exactly if sum coefficient * cells + constant > 0, over cells of one shape."""
    reach = sum(cells.reach * abs(factor) for cells, factor in terms) + int(np.abs(constant).max())
    return _halved(call, terms, np.broadcast_to(constant, terms[0][0].shape), reach, name, hides=False)


def _halved(
    call: Call, terms: Sequence[tuple[Cells, int]], constant: NDArray[np.int64], reach: int, name: str, hides: bool
) -> Cells:
    """ceil((sum + constant) / 2^j) for the least j that keeps it within (-T, T)."""
    size, bits = call.builder.table_size, call.builder.table_bits
    halvings = 0 if reach < size else reach.bit_length() - bits + 1
    if halvings > bits:
        raise call.too_small("its operands' ranges lie too far apart to be compared at this table size")
    step = size >> halvings
    rounding = size - step - (size >> 1) if halvings else 0
    scaled = [(cells, factor * step) for cells, factor in terms]
    return call.builder.sum(scaled, constant * step + rounding, name, hides=hides)


def compared(call: Call, x: Operand, y: Operand, *, apart: bool = False, opposite: bool = False) -> Cells:
    """[x > y], or [x != y]; its opposite. Operands of one scale whose intervals are close go in as they are."""
    shape, builder = call.out.shape, call.builder
    if isinstance(x, Scaled) and isinstance(y, Scaled) and x.scale == y.scale:
        above, below = x.cells.broadcast_to(shape), y.cells.broadcast_to(shape)
        if max(above.high - below.low, below.high - above.low) < builder.table_size:
            return compare(builder, below, above, call.out.name, apart, opposite)
    if not (isinstance(x, Scaled | Wide) or isinstance(y, Scaled | Wide)):
        raise call.refuse("one operand must be computed from the model's inputs, not a constant")
    if apart:
        return _apart(call, x, y, opposite)
    difference = _difference(call, x, y, up=isinstance(y, Scaled | Wide))
    return compare(builder, zeros(difference), difference, call.out.name, False, opposite)


def _apart(call: Call, x: Operand, y: Operand, opposite: bool) -> Cells:
    """[x != y] where the difference is wide: x > y or y > x, which exclude each other."""
    above, below = (
        compare(call.builder, zeros(d), d, f"{call.out.name}~{part}")
        for part, d in (
            (0, _difference(call, x, y, up=isinstance(y, Scaled | Wide))),
            (1, _difference(call, y, x, up=isinstance(x, Scaled | Wide))),
        )
    )
    size = call.builder.table_size
    terms, one = [(above, -size), (below, -size)], np.full(call.out.shape, size)
    least = call.builder.sum(terms, one, f"{call.out.name}=", hides=False)
    equal = call.builder.relu(least, f"{call.out.name}+")
    return equal if opposite else _opposite(call, equal)


def zeros(like: Cells) -> Cells:
    """Zeros that no cell holds."""
    return Cells(np.full(like.shape, -1, np.int64), 0, 0)


@op("Greater", since=7, scale=whole, real=_real(np.greater), marks=Mark.COMPARES | Mark.WIDE)
def greater(call: Call, x: Operand, y: Operand) -> Cells:
    """x > y."""
    return compared(call, x, y)


@op("Less", since=7, scale=whole, real=_real(np.less), marks=Mark.COMPARES | Mark.WIDE)
def less(call: Call, x: Operand, y: Operand) -> Cells:
    """x < y."""
    return compared(call, y, x)


def _both(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """Which onnx's inference does not say of version 12."""
    return np.broadcast_shapes(*(shape_of(operands, place) for place in range(2)))


@op("GreaterOrEqual", since=12, scale=whole, real=_real(np.greater_equal), marks=Mark.COMPARES | Mark.WIDE, shape=_both)
def greater_or_equal(call: Call, x: Operand, y: Operand) -> Cells:
    """Not y > x."""
    return compared(call, y, x, opposite=True)


@op("LessOrEqual", since=12, scale=whole, real=_real(np.less_equal), marks=Mark.COMPARES | Mark.WIDE, shape=_both)
def less_or_equal(call: Call, x: Operand, y: Operand) -> Cells:
    """Not x > y."""
    return compared(call, x, y, opposite=True)


@op("Equal", since=7, scale=whole, real=_real(np.equal), marks=Mark.COMPARES | Mark.WIDE)
def equal(call: Call, x: Operand, y: Operand) -> Cells:
    """x = y, as the circuit holds them."""
    return compared(call, x, y, apart=True, opposite=True)


def _zero_or_one(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Scale 0 of the values 0 and 1, where everybody may know that they are it."""
    values = tensors[node.inputs[2]].value
    plain = values is not None and bool(np.all(values == np.array([0, 1])))
    return min(0, asked) if plain else asked


def numbered(call: Call, indices: Scaled, shape: Sequence[int], axis: int, count: int) -> Cells:
    """[index = k] for k = 0 .. count - 1 along an axis of the shape; an index may be counted from the back.

    indices: broadcast to the shape. A row of cells holds the k; one that an index can't reach takes no comparison.
    """
    builder, name = call.builder, call.out.name
    size, along = builder.table_size, [-1 if a == axis else 1 for a in range(len(shape))]
    cells = _whole_cells(call, indices, count)
    wide = cells.reshape([1] * (len(shape) - len(cells.shape)) + list(cells.shape)).broadcast_to(shape)
    found = []
    for part, first in enumerate((0, -count)):
        places = np.arange(first, first + count)
        inside = (places >= cells.low) & (places <= cells.high)
        if not inside.any():
            continue
        held = np.where(inside, places, places[inside][0])
        row = Cells(np.full(count, -1), 0, 0)  # zeros need no cells
        if held.any():
            row = builder.sum([], held * size, f"{name}~{part}k", hides=False)
        row = row.reshape(along)
        equal = compare(builder, row.broadcast_to(shape), wide, f"{name}~{part}", apart=True, opposite=True)
        found.append(Cells(np.where(inside.reshape(along), equal.refs, -1), 0, 1))
    if len(found) < 2:
        return found[0] if found else Cells(np.full(tuple(shape), -1), 0, 0)
    ones = np.full(tuple(shape), size)
    neither = builder.relu(builder.sum([(part, -size) for part in found], ones, f"{name}~-", hides=False), f"{name}~+")
    return builder.sum([(neither, -size)], ones, f"{name}~either", hides=False)


def _whole_cells(call: Call, indices: Scaled, count: int) -> Cells:
    """Indices at scale 0, less than T - count from zero: rounded; those further away than `count` are all the same."""
    cells, builder, name = indices.cells, call.builder, f"{call.out.name}~index"
    if indices.scale > 0:
        cells = builder.sum([(cells, builder.table_size >> indices.scale)], None, name, hides=False)
    if indices.scale < 0:
        raise call.refuse("its indices must be exact at this table size")
    if cells.reach + count < builder.table_size:
        return cells
    return call.apply(
        lambda v: np.clip(v, -count - 1, count), Scaled(cells, 0), scale=0, part=0, formula=f"Clip(x, {count})"
    )


def _one_hot(node: Node, operands: Sequence[Tensor | None]) -> Shape | None:
    depth = operands[1]
    if depth is None or depth.value is None:
        return None
    shape = list(shape_of(operands, 0))
    shape.insert(int(node.attributes.get("axis", -1)) % (len(shape) + 1), int(depth.value.reshape(-1)[0]))
    return tuple(shape)


@op("OneHot", since=9, scale=_zero_or_one, shape=_one_hot)
def one_hot(call: Call, indices: Operand, depth: Operand, values: Operand) -> Cells:
    """values[1] at an index, counted from the front or the back of a new axis, values[0] elsewhere."""
    x, count = call.computed(indices, "the indices"), int(call.constant(depth, "the depth").reshape(-1)[0])
    pair, shape = call.constant(values, "the values").astype(np.float64), call.out.shape
    axis = int(call.node.attributes.get("axis", -1)) % len(shape)
    apart = Scaled(x.cells.reshape([*x.shape[:axis], 1, *x.shape[axis:]]), x.scale)
    with call.errors():
        chosen = Scaled(numbered(call, apart, shape, axis, count), 0)
    if (call.is_public(2) or not call.builder.hidden) and np.array_equal(pair, [0, 1]):
        return call.at_scale(chosen)
    off, on = np.split(pair, 2)
    return _mixed(call, chosen, on, off)


def _mixed(call: Call, chosen: Scaled, on: Array, off: Array) -> Cells:
    """on where chosen, off elsewhere, for constants that broadcast."""
    scaled = Scaled(call.multiply(chosen, on - off), call.scale)
    return call.sum([(scaled, 1.0)], np.broadcast_to(off, call.out.shape), part=1)


# Booleans ------------------------------------------------------------------------------------------------------------


def _total(call: Call, x: Operand, y: Operand, sign: int, constant: int) -> Cells:
    """sign * (x + y) + constant over Booleans, computed or constant."""
    shape, size = call.out.shape, call.builder.table_size
    terms = [(o.cells.broadcast_to(shape), sign * size) for o in (x, y) if isinstance(o, Scaled)]
    fixed = [o.astype(np.int64) for o in (x, y) if o is not None and not isinstance(o, Scaled | Wide)]
    offset = np.broadcast_to(size * (sign * np.asarray(sum(fixed, start=np.int64(0))) + constant), shape)
    return call.builder.sum(terms, offset.astype(np.int64), f"{call.out.name}-", hides=bool(fixed))


@op("And", since=7, scale=whole, real=_real(np.logical_and))
def logical_and(call: Call, x: Operand, y: Operand) -> Cells:
    """max(x + y - 1, 0): the positive part of a sum."""
    return call.builder.relu(_total(call, x, y, 1, -1), call.out.name)


@op("Or", since=7, scale=whole, real=_real(np.logical_or))
def logical_or(call: Call, x: Operand, y: Operand) -> Cells:
    """1 - max(1 - x - y, 0)."""
    neither = call.builder.relu(_total(call, x, y, -1, 1), f"{call.out.name}+")
    return _opposite(call, neither)


@op("Xor", since=7, scale=whole, real=_real(np.logical_xor))
def logical_xor(call: Call, x: Operand, y: Operand) -> Cells:
    """x != y."""
    return compared(call, x, y, apart=True)


@op("Not", since=1, scale=whole, real=_real(np.logical_not))
def logical_not(call: Call, x: Operand) -> Cells:
    """1 - x."""
    return _opposite(call, call.computed(x, "the operand").cells)


def _opposite(call: Call, x: Cells) -> Cells:
    """1 - x."""
    size = call.builder.table_size
    terms = [(x.broadcast_to(call.out.shape), -size)]
    return call.builder.sum(terms, np.full(call.out.shape, size), call.out.name, hides=False)


def _gathered(scene: Scene, node: Node) -> list[Node] | None:
    """By a constant condition: entries gathered from both tensors, which is free but for the constants among them."""
    steps, condition = Steps(scene, node), scene.value(node.inputs[0])
    if condition is None:
        return None
    shape = scene.shape(node.outputs[0])
    chosen = np.broadcast_to(condition, shape)
    places, parts, start = np.zeros(shape, np.int64), list[str](), 0
    for name, taken in ((node.inputs[1], chosen), (node.inputs[2], ~chosen)):
        if not taken.any():
            continue
        value, own = scene.value(name), scene.shape(name)
        if value is None:
            size = int(np.prod(own, dtype=np.int64))
            places[taken] = start + np.broadcast_to(np.arange(size).reshape(own), shape)[taken]
            parts.append(name)
        elif value.size == 1:
            size = 1
            places[taken] = start
            parts.append(steps.constant(value.reshape(1)))
        else:
            size = int(taken.sum())
            places[taken] = start + np.arange(size)
            parts.append(steps.constant(np.broadcast_to(value, shape)[taken]))
        start += size
    return steps.finish(steps.gather(parts, places))


@op("Where", since=9, real=_real(np.where), expand=_gathered, marks=Mark.JOINS | Mark.READS_NAN | Mark.PARTWISE)
def where(call: Call, condition: Operand, x: Operand, y: Operand) -> Cells:
    """x where the condition holds, y elsewhere."""
    shape = call.out.shape
    one, other = (placed(call, operand, part).broadcast_to(shape) for part, operand in enumerate((x, y)))
    decided = call.computed(condition, "the condition").cells.broadcast_to(shape)
    with call.errors():
        return select(call.builder, decided, one, other, call.out.name)


def placed(call: Call, operand: Operand, part: int) -> Cells:
    """A branch at the output's scale; cells that are a constant by an equation."""
    if isinstance(operand, Scaled):
        return call.at_scale(operand, part)
    values: Array = call.constant(operand, "a branch").astype(np.float64)
    limit = np.ldexp((1 << call.table_bits) - 1.0, -call.scale)
    if call.out.dtype.kind in "iu" and np.any(np.abs(values) > limit):
        raise call.too_small(f"a branch is {values.flat[np.argmax(np.abs(values))]:.0f}, more than the table holds")
    exact = call.integers(np.clip(values, -limit, limit), call.table_bits + call.scale)
    return call.builder.sum([], exact, f"{call.out.name}~{part}")
