"""Integers of two units: T high + low with 0 <= low < T, for what no table holds (up to T^2; 2^40 at T = 2^20).

    high = floor(y / T)      a sum or layer with the integers y, less T/2, as its exact sum: rescaling divides by T
    low  = y - T high        another one, T y - T^2 high, whose rescaling leaves nothing over

So each has one value, and both are exact. What a handler marked WIDE makes of such operands is such a sum; re-indexing
and what is marked PARTWISE does to each part what it does to all. Other operators refuse (`Call.too_small`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Made, Scaled, Wide
from plonnx.compiler.graph import Array, Node, Tensor, type_interval
from plonnx.compiler.ops.registry import Call, Mark, Op, Operand, marks
from plonnx.gadgets import Cells
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select
from plonnx.layout.inputs import parts_of


def keeps_parts(node: Node) -> bool:
    """Whether integers of two units stay such, whatever their range."""
    return bool(marks(node) & (Mark.COPIES | Mark.PARTWISE))


def lowered(call: Call, operator: Op, operands: Sequence[Operand]) -> Sequence[Made]:
    """The outputs of a node that takes or makes such integers."""
    copies = bool(operator.marks & Mark.COPIES)
    if operator.marks & Mark.WIDE:
        return _listed(operator.handler(call, *operands))
    whole = not isinstance(operands[0], Wide) or not any(isinstance(x, Scaled | Wide) for x in operands[1:])
    if (copies and whole) or operator.marks & Mark.PARTWISE:
        split = [_split(call, x, place) if not (copies and place) else (x, x) for place, x in enumerate(operands)]
        high, low = (_of_part(call, operator, part, [x[part] for x in split]) for part in range(2))
        size = call.builder.table_size
        return [Wide(one, replace(other, low=0, high=size - 1), size) for one, other in zip(high, low, strict=True)]
    raise call.too_small(f"it takes no integers beyond a table of 2^{call.table_bits}")


def _of_part(call: Call, operator: Op, part: int, operands: Sequence[Operand]) -> list[Cells]:
    """What the operator makes of the high or the low parts."""
    outputs = tuple(None if t is None else replace(t, name=list(parts_of(t.name, 1))[part]) for t in call.outputs)
    made = _listed(operator.handler(replace(call, outputs=outputs), *operands))
    return [cells for cells in made if isinstance(cells, Cells)]


def _listed(made: Made | Sequence[Made]) -> Sequence[Made]:
    return [made] if isinstance(made, Cells | Wide) else made


def _split(call: Call, x: Operand, place: int) -> tuple[Operand, Operand]:
    """The parts of an operand of the result's type; others as they are."""
    if x is None or call.operand_dtype(place).kind not in "iu":
        return x, x
    return _parts(call, x, f"{call.out.name}~{place}")


def _parts(call: Call, x: Scaled | Wide | Array, name: str) -> tuple[Scaled | Array, Scaled | Array]:
    """The parts of integers."""
    if not isinstance(x, Scaled | Wide):
        whole = x.astype(np.float64)
        high = np.floor(whole / call.builder.table_size)
        if np.any(np.abs(high) >= call.builder.table_size):
            raise call.too_small(f"a constant is {whole.flat[np.argmax(np.abs(whole))]:.0f}, more than two units hold")
        return high, whole - high * call.builder.table_size
    held = paired(call, x, name)
    return Scaled(held.high, 0), Scaled(held.low, 0)


def paired(call: Call, x: Scaled | Wide, name: str) -> Wide:
    """In two units, whatever it had."""
    return x if isinstance(x, Wide) else total(call, [(x, 1)], None, name)


def plain(call: Call, x: Scaled | Wide) -> Sequence[tuple[Cells, int]]:
    """Terms of the integers themselves: what has a scale is brought to 0."""
    if isinstance(x, Wide) or x.scale == 0:
        return x.terms
    with call.errors():
        return [(call.builder.sum([(x.cells, call.builder.table_size >> x.scale)], None, f"{call.out.name}~plain"), 1)]


def total(
    call: Call, terms: Sequence[tuple[Scaled | Wide, int]], constant: NDArray[np.int64] | None, name: str
) -> Wide:
    """sum factor x + constant over operands of one shape."""
    builder, size = call.builder, call.builder.table_size
    cells = [(c, factor * weight) for x, factor in terms for c, weight in plain(call, x)]
    shape = cells[0][0].shape
    added = np.zeros(shape, np.int64) if constant is None else constant
    high_name, low_name = parts_of(name, 1)
    with call.errors():
        high = builder.sum(cells, added - (size >> 1), high_name)
        exact = [*((c, size * weight) for c, weight in cells), (high, -(size**2))]
        low = builder.sum(exact, None if constant is None else size * constant, low_name)
    return Wide(high, replace(low, low=0, high=size - 1), size)


def made_sum(call: Call, terms: Sequence[tuple[Scaled | Wide, int]], constant: NDArray[np.int64] | None) -> Made:
    """As `total`, as the node's output: of one unit where its range allows that."""
    if call.out.wide:
        return total(call, terms, constant, call.out.name)
    size = call.builder.table_size
    factor = size << call.scale
    cells = [(c, factor * f * weight) for x, f in terms for c, weight in plain(call, x)]
    with call.errors():
        return call.builder.sum(cells, None if constant is None else factor * constant, call.out.name)


def signed_sum(call: Call, signed: Sequence[tuple[Operand, int]]) -> Made:
    """The sum of operands, broadcast to the output's shape, each with a factor."""
    shape = call.out.shape
    terms = [
        (x.each(lambda cells: cells.broadcast_to(shape)), factor)
        for x, factor in signed
        if isinstance(x, Scaled | Wide)
    ]
    constant = np.zeros(shape, np.int64)
    for x, factor in signed:
        if x is not None and not isinstance(x, Scaled | Wide):
            constant = constant + factor * x.astype(np.int64)
    return made_sum(call, terms, constant if np.any(constant) else None)


def for_each(call: Call, x: Scaled | Wide, constants: Array, made: Callable[[Call, Scaled | Wide, int], Made]) -> Made:
    """What is made of x with a constant integer, where these differ from element to element; both are broadcast."""
    shape = call.out.shape
    every = x.each(lambda cells: cells.broadcast_to(shape))
    values, which = np.unique(np.broadcast_to(constants, shape).astype(np.int64), return_inverse=True)
    if values.size == 1:
        return made(call, every, int(values[0]))
    places = [np.flatnonzero(which.reshape(-1) == k) for k in range(values.size)]
    parts = []
    for part, (value, taken) in enumerate(zip(values.tolist(), places, strict=True)):
        out = replace(call.out, name=f"{call.out.name}[{part}]", shape=taken.shape)
        parts.append(made(replace(call, outputs=(out,)), _taken(every, taken), value))
    order = np.argsort(np.concatenate(places))
    return _joined(parts, lambda cells: cells.take(order, 0).reshape(shape))


def _taken(x: Scaled | Wide, places: NDArray[np.int64]) -> Scaled | Wide:
    """The elements at some places, counted in row-major order."""
    return x.each(lambda cells: cells.reshape((-1,)).take(places, 0))


def _joined(parts: Sequence[Made], then: Callable[[Cells], Cells]) -> Made:
    """Results beside each other, re-indexed."""
    pairs = [part for part in parts if isinstance(part, Wide)]
    if not pairs:
        return then(Cells.concatenate([part for part in parts if isinstance(part, Cells)], 0))
    high, low = (Cells.concatenate([getattr(pair, name) for pair in pairs], 0) for name in ("high", "low"))
    return Wide(then(high), then(low), pairs[0].size)


def moved(made: Made, by: Callable[[Cells], Cells]) -> Made:
    """A result, re-indexed."""
    return made.each(by) if isinstance(made, Wide) else by(made)


def layer(call: Call, x: Scaled | Wide, weights: Array, bias: Array | None = None) -> Made:
    """x W + b for x of shape [R, K], W [K, N] and b [N], all whole numbers, as [R, N].

    Of two units the low parts make low and a carry, which the layer of the high parts takes: its own sums stay below T.
    """
    builder, size, name = call.builder, call.builder.table_size, call.out.name
    terms, exact = plain(call, x), weights.astype(np.int64)
    added = np.zeros(exact.shape[1], np.int64) if bias is None else bias.astype(np.int64)
    with call.errors():
        if not call.out.wide:
            factor = size << call.scale
            matrix = np.concatenate([factor * weight * exact for _, weight in terms])
            return builder.linear(Cells.concatenate([c for c, _ in terms], 1), matrix, factor * added, name)
        if not isinstance(x, Wide):
            return _carried(call, terms[0][0], exact, added, name)
        carried = _carried(call, x.low, exact, added, f"{name}~carried")
        above = builder.linear(x.high, size * exact, None, f"{name}~above")
        high = builder.sum([(above, size), (carried.high, size)], None, next(iter(parts_of(name, 1))))
    return replace(carried, high=high)


def _carried(call: Call, x: Cells, weights: NDArray[np.int64], bias: NDArray[np.int64], name: str) -> Wide:
    """A layer of cells, in two units."""
    builder, size, (high_name, low_name) = call.builder, call.builder.table_size, parts_of(name, 1)
    high = builder.linear(x, weights, bias - (size >> 1), high_name)
    both = np.concatenate([size * weights, -(size**2) * np.eye(weights.shape[1], dtype=np.int64)])
    low = builder.linear(Cells.concatenate([x, high], 1), both, size * bias, low_name)
    return Wide(high, replace(low, low=0, high=size - 1), size)


def product(call: Call, x: Scaled, y: Scaled) -> Made:
    """x y of integers of one unit each: by the products of their halves, each of which T holds."""
    builder, name, bits = call.builder, call.out.name, call.table_bits // 2
    factors = [_halves(call, operand, bits, f"{name}~{place}") for place, operand in enumerate((x, y))]
    terms: list[tuple[Scaled | Wide, int]] = []
    for one, weight in factors[0]:
        for other, times in factors[1]:
            if one.reach * other.reach >= builder.table_size:
                raise call.too_small("half of its operands' bits are more than half of the table's")
            with call.errors():
                made = multiply(builder, one, other, builder.table_size, f"{name}~{len(terms)}")
            terms.append((Scaled(made, 0), weight * times))
    return made_sum(call, terms, None)


def _halves(call: Call, x: Scaled, bits: int, name: str) -> Sequence[tuple[Cells, int]]:
    """2^bits floor(x / 2^bits) + the rest, which is not negative."""
    builder, size = call.builder, call.builder.table_size
    ((cells, _),) = plain(call, x)
    cells = cells.broadcast_to(call.out.shape)
    with call.errors():
        high = builder.sum([(cells, size >> bits)], np.full(cells.shape, -(size >> 1), np.int64), f"{name}~high")
        low = builder.sum([(cells, size), (high, -(size << bits))], None, f"{name}~low")
    return [(high, 1 << bits), (replace(low, low=0, high=(1 << bits) - 1), 1)]


def halved(call: Call, x: Wide, places: int) -> Made:
    """floor(x / 2^places), for fewer places than T has bits."""
    builder, size, name = call.builder, x.size, call.out.name
    half = np.full(x.shape, -(size >> 1), np.int64)
    high_name, low_name = parts_of(name, 1)
    with call.errors():
        high = builder.sum([(x.high, size >> places)], half, high_name)
        rest = [(x.high, size * (size >> places)), (x.low, size >> places), (high, -(size**2))]
        low = builder.sum(rest, half, low_name)
    made = Wide(high, replace(low, low=0, high=size - 1), size)
    return made if call.out.wide else made_sum(call, [(made, 1)], None)


def chosen(call: Call, decided: Cells, x: Operand, y: Operand) -> Wide:
    """The parts of x where a Boolean is one, those of y elsewhere."""
    assert x is not None and y is not None, "both are there"
    size, shape = call.builder.table_size, call.out.shape
    halves = [_parts(call, operand, f"{call.out.name}~{place}") for place, operand in enumerate((x, y))]
    parts = []
    for part, name in enumerate(parts_of(call.out.name, 1)):
        here, there = (_cells(call, half[part], f"{name}~{place}") for place, half in enumerate(halves))
        with call.errors():
            parts.append(select(call.builder, decided.broadcast_to(shape), here, there, name))
    return Wide(parts[0], replace(parts[1], low=0, high=size - 1), size)


def _cells(call: Call, part: Operand, name: str) -> Cells:
    """A part of an operand; a constant's by an equation."""
    if isinstance(part, Scaled):
        return part.cells.broadcast_to(call.out.shape)
    assert part is not None and not isinstance(part, Wide), "it was split"
    whole = np.broadcast_to(part, call.out.shape).astype(np.int64)
    return call.builder.sum([], whole * call.builder.table_size, name)


class _Division(NamedTuple):
    """Terms of the quotient rounded down, what is left, and whether rounding up is towards zero."""

    terms: list[tuple[Scaled | Wide, int]]
    rest: Cells
    below: Cells | None


def _by(call: Call, x: Operand, divisor: Operand) -> _Division:
    """x = c q + r with 0 <= r < c, as in long division, for one constant c of at most T / 2.

    high = c a + r,  T r = c b + s,  low = c d + e  and  s + e = c carry + rest  make  q = T a + b + d + carry.
    """
    builder, size, name = call.builder, call.builder.table_size, call.out.name
    constant = None if isinstance(divisor, Scaled | Wide) or divisor is None else np.unique(divisor)
    if not isinstance(x, Wide) or constant is None or constant.size != 1 or not 0 < constant[0] <= size // 2:
        raise call.too_small(f"integers of two units are divided by one positive constant, at most {size // 2}")
    c = int(constant[0])

    def table(function: Callable[[Array], Array], cells: Cells, part: int, formula: str) -> Cells:
        return call.apply(function, Scaled(cells, 0), scale=0, part=part, formula=formula, last=False)

    high, low = (cells.broadcast_to(call.out.shape) for cells in (x.high, x.low))
    with call.errors():
        a = table(lambda v: np.floor(v / c), high, 0, f"x / {c} rounded down")
        r = builder.sum([(high, size), (a, -c * size)], None, f"{name}~left")
        r = replace(r, low=0, high=c - 1)
        b = table(lambda v: np.floor(size * v / c), r, 1, f"{size} x / {c} rounded down")
        d = table(lambda v: np.floor(v / c), low, 2, f"x / {c} rounded down")
        terms = [(low, size), (d, -c * size), (r, size**2), (b, -c * size)]
        both = replace(builder.sum(terms, None, f"{name}~both"), low=0, high=2 * c - 2)
        carry = table(lambda v: np.floor(v / c), both, 3, f"x / {c} rounded down")
        rest = builder.sum([(both, size), (carry, -c * size)], None, f"{name}~rest")
        rest = replace(rest, low=0, high=c - 1)
        below = None
        if call.operand_dtype(0).kind == "i":
            negative = table(lambda v: v < 0, high, 4, "x < 0")
            some = table(lambda v: v > 0, rest, 5, "x > 0")
            less = np.full(rest.shape, -size, np.int64)
            flags = builder.sum([(negative, size), (some, size)], less, f"{name}~flags", hides=False)
            below = builder.relu(flags, f"{name}~below")
    quotient: list[tuple[Scaled | Wide, int]] = [(Scaled(a, 0), size)]
    quotient += [(Scaled(cells, 0), 1) for cells in (b, d, carry)]
    return _Division(quotient, rest, below)


def divided(call: Call, x: Operand, divisor: Operand) -> Made:
    """x / divisor towards zero."""
    terms, _, below = _by(call, x, divisor)
    return made_sum(call, [*terms, *([] if below is None else [(Scaled(below, 0), 1)])], None)


def remainder(call: Call, x: Operand, divisor: Operand) -> Made:
    """The remainder, which is not negative, or with `fmod` of the dividend's sign."""
    _, rest, below = _by(call, x, divisor)
    terms: list[tuple[Scaled | Wide, int]] = [(Scaled(rest, 0), 1)]
    if below is not None and call.node.attributes.get("fmod", 0):
        assert not isinstance(divisor, Scaled | Wide) and divisor is not None, "`_by` has seen it"
        terms.append((Scaled(below, 0), -int(divisor.flat[0])))
    return made_sum(call, terms, None)


def within_type(call: Call, made: Wide) -> Wide:
    """With a high part that its type holds, by a table that ends there."""
    (low, high), size = type_interval(call.out.dtype), made.size
    held = call.apply(
        lambda values: np.where((values * size >= low) & (values * size + size - 1 <= high), values, np.nan),
        Scaled(made.high, 0),
        scale=0,
        formula=f"high part of {call.out.dtype}",
    )
    return replace(made, high=held)


def narrowed(tensor: Tensor, table_bits: int) -> int:
    """T / N for the high part of an input, one of N integers; 0 where |high| < T says it."""
    assert tensor.interval is not None, "lowering comes after quantization"
    size, natural = 1 << table_bits, tensor.dtype.kind == "u"
    needed = (tensor.interval[1] >> table_bits) + 1
    values = 1 << (needed - 1).bit_length() << (0 if natural else 1)
    values = max(2, min(values, 1 << max(8 * tensor.dtype.itemsize - table_bits, 1)))
    return size // values if values <= size else 0
