"""Operators of integers: Mod, BitShift, the bitwise ones, and Div of integers (elementwise.py hands it on).

With a constant each is a table. Of two computed operands:

    |x| = q |y| + r     an estimate of q by the reciprocal of |y|, at most one off, then put right by two comparisons
    x & y, x | y, ..    digit by digit: a table for each pair of digits
    x << y              a product with 2^y; x >> y is halved 1, 2, 4, .. times where the bits of y say so

All of it is exact. A divisor of zero has no reciprocal, and no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point import Scaled, Wide
from plonnx.compiler.graph import Array, Node, Tensor, type_interval
from plonnx.compiler.ops import wide
from plonnx.compiler.ops.comparison import zeros
from plonnx.compiler.ops.registry import Call, Made, Mark, Operand, calibrated, op
from plonnx.gadgets import Cells
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.product import multiply
from plonnx.gadgets.select import select

_PLAIN = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}
_LONGEST = 62
_DIGIT = 4
"""Bits of a digit: a table for pairs of them has 2^8 rows."""
Binary = Callable[[Array, Array], Array]


def by_constant(call: Call, a: Operand, b: Operand, real: Binary) -> Cells:
    """real(a, b) element by element, one of them a constant: a table for each of its values, which are public."""
    first = isinstance(a, Scaled)
    operand, shape = call.computed(a if first else b, "one operand"), call.out.shape
    constant = call.constant(b if first else a, "one operand").astype(np.float64)
    values = np.broadcast_to(constant, shape).reshape(-1)

    def of(value: float) -> Callable[[Array], Array]:
        held = np.asarray(value)
        return lambda v: real(v, held) if first else real(held, v)

    distinct = np.unique(values)
    if distinct.size == 1:
        return call.apply(of(float(distinct[0])), operand).broadcast_to(shape)
    cells, parts, places = operand.cells.broadcast_to(shape).reshape(-1), list[Cells](), list[Array]()
    for part, value in enumerate(distinct.tolist()):
        places.append(np.flatnonzero(values == value))
        taken = Scaled(cells.take(places[-1], 0), operand.scale)
        formula = call.node.formula(["x", np.array(value)] if first else [np.array(value), "x"])
        parts.append(call.apply(of(value), taken, part=part, formula=formula, last=False))
    order = np.argsort(np.concatenate(places), kind="stable")
    return Cells.concatenate(parts, 0).take(order, 0).reshape(shape)


# Division with remainder ----------------------------------------------------------------------------------------------


def _half(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Of two computed reals one scale at which both fill half of the table; else what is asked for."""
    scales = [tensors[name].scale for name in node.inputs]
    if tensors[node.outputs[0]].dtype.kind != "f":
        return min(0, asked)
    held = [scale for scale in scales if scale is not None]
    return min(held) - 1 if len(held) == len(scales) else calibrated(node, tensors, asked)


def _split(call: Call, x: Scaled, place: int) -> tuple[Cells, Cells | None]:
    """|x| at the result's scale, and whether x is negative: None where its type has no sign.

    The table of |x| ends at half of T, which `_divided` asks for.
    """
    cells = call.at_scale(x, part=place)
    unsigned, negative = call.operand_dtype(place).kind == "u", None
    if not unsigned:
        negative = compare(call.builder, cells, zeros(cells), f"{call.out.name}~negative {place}")
    most = np.ldexp(1.0, call.table_bits - 1 - call.scale)

    def size(v: Array) -> Array:
        return np.where((np.abs(v) > most) | (unsigned & (v < 0)), np.nan, np.abs(v))

    held = Scaled(cells, call.scale, x.tensor if x.scale == call.scale else None)
    found = call.apply(size, held, part=place, formula=f"|x| up to {most}{' of no sign' * unsigned}", last=False)
    shape = call.out.shape
    return found.broadcast_to(shape), None if negative is None else negative.broadcast_to(shape)


def _divided(call: Call, x: Cells, y: Cells) -> tuple[Cells, Cells]:
    """Quotient and remainder of x >= 0 by y > 0, both at most T / 2.

    The reciprocal is off by at most half of 2 / T, x by no more than T / 2, so that the estimate differs from x / y by
    at most one half before it is rounded, by one afterwards: the rest lies in [-y, 2 y).
    """
    builder, size, name = call.builder, call.builder.table_size, call.out.name
    half = size >> 1
    inverse = call.apply(lambda v: half / v, Scaled(y, 0), scale=0, part=2, formula=f"{half} / x")
    estimate = multiply(builder, x, inverse, 2, f"{name}~estimate")
    taken = multiply(builder, estimate, y, size, f"{name}~taken")
    rest = builder.sum([(x, size), (taken, -size)], None, f"{name}~rest")
    nothing = zeros(y)
    below = compare(builder, rest, nothing, f"{name}~below")
    back = select(builder, below, y, nothing, f"{name}~back")
    rest = builder.relu(builder.sum([(rest, size), (back, size)], None, f"{name}~raised"), f"{name}~raised+")
    above = compare(builder, rest, y, f"{name}~above", opposite=True)
    more = select(builder, above, y, nothing, f"{name}~more")
    rest = builder.sum([(rest, size), (more, -size)], None, f"{name}~remainder")
    quotient = builder.sum([(estimate, size), (below, -size), (above, size)], None, f"{name}~quotient")
    return builder.relu(quotient, f"{name}~quotient+"), builder.relu(rest, f"{name}~remainder+")


def _negated(call: Call, x: Cells, where: Cells | None) -> Cells:
    """-x where the flag is set."""
    if where is None:
        return x
    builder = call.builder
    return select(builder, where, builder.sum([(x, -builder.table_size)], None, f"{call.out.name}~-"), x, call.out.name)


def _unlike(call: Call, a: Cells | None, b: Cells | None) -> Cells | None:
    """Which of the flags differ."""
    if a is None or b is None:
        return a if b is None else b
    return compare(call.builder, a, b, f"{call.out.name}~unlike", apart=True)


def quotient(call: Call, x: Operand, y: Operand) -> Cells:
    """Of integers, towards zero."""
    if not (isinstance(x, Scaled) and isinstance(y, Scaled)):
        return by_constant(call, x, y, lambda a, b: np.asarray(np.trunc(a / b)))
    with call.errors():
        (one, sign), (other, divided) = _split(call, x, 0), _split(call, y, 1)
        return _negated(call, _divided(call, one, other)[0], _unlike(call, sign, divided))


def _remainder(attributes: Mapping[str, Any], x: Array, y: Any) -> Array:
    return np.asarray((np.fmod if attributes.get("fmod", 0) else np.mod)(x, y))


@op("Mod", since=10, scale=_half, real=_remainder, curved=True, marks=Mark.STEPS | Mark.WIDE)
def mod(call: Call, x: Operand, y: Operand) -> Made:
    """The remainder, of the sign of the divisor, or with `fmod` of the dividend; of reals as the circuit holds them."""
    if call.is_wide:
        return wide.remainder(call, x, y)
    if not (isinstance(x, Scaled) and isinstance(y, Scaled)):
        return by_constant(call, x, y, lambda a, b: _remainder(call.node.attributes, a, b))
    builder, size, name = call.builder, call.builder.table_size, call.out.name
    with call.errors():
        (one, sign), (other, divided) = _split(call, x, 0), _split(call, y, 1)
        rest = _divided(call, one, other)[1]
        unlike = None if call.node.attributes.get("fmod", 0) else _unlike(call, sign, divided)
        if unlike is None:
            return _negated(call, rest, sign)
        some = compare(builder, zeros(rest), rest, f"{name}~some")
        ones = np.full(rest.shape, -size, np.int64)
        both = builder.relu(
            builder.sum([(unlike, size), (some, size)], ones, f"{name}~both", hides=False), f"{name}~both+"
        )
        lack = builder.sum([(other, size), (rest, -size)], None, f"{name}~lack")
        return _negated(call, select(builder, both, lack, rest, f"{name}~size"), divided)


# Bits -----------------------------------------------------------------------------------------------------------------


def _whole_of_both(node: Node, tensors: Mapping[str, Tensor], asked: int) -> int:
    """Scale 0 of what two computed operands make; else what is asked for."""
    both = all(tensors[name].scale is not None for name in node.inputs)
    return min(0, asked) if both else calibrated(node, tensors, asked)


def _wrapped(call: Call, made: Callable[..., Array], *operands: Array) -> Array:
    """A function of integers, taken modulo its type; an unsigned type has no negative arguments."""
    dtype = call.out.dtype
    whole = [np.rint(values).astype(np.int64) for values in operands]
    results = np.asarray(made(*whole))
    if dtype.itemsize < results.itemsize:
        size = 1 << (8 * dtype.itemsize)
        results = np.mod(results, size)
        results = np.where((dtype.kind == "i") & (results >= size // 2), results - size, results)
    outside = dtype.kind == "u" and np.any([v < 0 for v in np.broadcast_arrays(*whole)], axis=0)
    return np.where(outside, np.nan, results.astype(np.float64))


def _shift(to_the_left: bool) -> Binary:
    """By as many places as the type has, or by a negative number, all bits are lost: 0 is left, or -1 of a sign."""
    shift = np.left_shift if to_the_left else np.right_shift

    def moved(x: Array, by: Array) -> Array:
        held = (by >= 0) & (by < _LONGEST)
        return np.where(held, shift(x, np.where(held, by, 0)), np.where((x < 0) & (not to_the_left), -1, 0))

    return moved


@op("BitShift", since=11, scale=_whole_of_both, marks=Mark.WIDE)
def bit_shift(call: Call, x: Operand, by: Operand) -> Made:
    """x 2^by, modulo the type, or x / 2^by rounded down; what leaves the table on its way there has no proof."""
    to_the_left = call.node.attributes["direction"] == "LEFT"
    if call.is_wide:
        return _wide_shift(call, x, by, to_the_left)
    if not (isinstance(x, Scaled) and isinstance(by, Scaled)):
        return by_constant(call, x, by, lambda a, b: _wrapped(call, _shift(to_the_left), a, b))
    made = Scaled(call.at_scale(x).broadcast_to(call.out.shape), call.scale)
    with call.errors():
        return _times_power(call, made, by) if to_the_left else _halved(call, made, by)


def _wide_shift(call: Call, x: Operand, by: Operand, to_the_left: bool) -> Made:
    """Integers of two units by constant numbers of places; to the right by computed ones, too."""
    if not isinstance(x, Scaled | Wide) or (to_the_left and isinstance(by, Scaled | Wide)) or isinstance(by, Wide):
        raise call.too_small("integers of two units are shifted to the left by constant numbers of places only")
    if isinstance(by, Scaled):
        return _wide_halved(call, x, by)
    if by is None or np.any((by < 0) | (by > _LONGEST - call.table_bits)):
        raise call.too_small(f"integers of two units are shifted by 0 to {_LONGEST - call.table_bits} places")
    if to_the_left:
        made = wide.for_each(call, x, by, lambda call, x, by: wide.made_sum(call, [(x, 1 << by)], None))
        return wide.within_type(call, made) if isinstance(made, Wide) else made
    return wide.for_each(call, x, by, _fewer)


def _fewer(call: Call, x: Scaled | Wide, places: int) -> Made:
    """x / 2^places rounded down, a few places at a time."""
    pairs = wide.paired(call, x, f"{call.out.name}~")
    most, out = call.table_bits - 1, replace(call.out, wide=call.table_bits)
    while places > most:
        made = wide.halved(replace(call, outputs=(replace(out, name=f"{call.out.name}/{places}"),)), pairs, most)
        assert isinstance(made, Wide), "it has two units"
        pairs, places = made, places - most
    return wide.halved(call, pairs, places)


def _wide_halved(call: Call, x: Scaled | Wide, by: Scaled) -> Made:
    """Halved 1, 2, 4, .. times where these bits of the number of places are one."""
    shape, most = call.out.shape, 16 * call.out.dtype.itemsize
    held = wide.paired(call, x.each(lambda cells: cells.broadcast_to(shape)), f"{call.out.name}~")
    for number in range(most.bit_length() - 1):
        step = 1 << number
        if by.cells.low >= 0 and step > np.ldexp(by.cells.high, -by.scale):
            break
        out = replace(call.out, name=f"{call.out.name}~{step}", wide=call.table_bits)
        one = call.apply(_bit(step, most), by, scale=0, part=number, formula=f"{step} of {most}", last=False)
        halved = _fewer(replace(call, outputs=(replace(out, name=f"{out.name}/"),)), held, step)
        assert isinstance(halved, Wide), "it has two units"
        held = wide.chosen(replace(call, outputs=(out,)), one.broadcast_to(shape), halved, held)
    return held if call.out.wide else wide.made_sum(call, [(held, 1)], None)


def _bit(step: int, most: int) -> Callable[[Array], Array]:
    """One bit of a number of places; of those beyond `most` all are one."""

    def asked(v: Array) -> Array:
        places = np.where((v < 0) | (v >= most), most - 1, v).astype(np.int64)
        return np.asarray(np.sign(places & step), np.float64)

    return asked


def _times_power(call: Call, x: Scaled, by: Scaled) -> Cells:
    """x times a power of two, of which a table leaves what the type holds."""
    bits = 8 * call.out.dtype.itemsize

    def power(v: Array) -> Array:
        by = np.rint(v)  # of a cell between two integers the power of one of them: no other factor is a shift
        return np.where((by < 0) | (by >= bits), 0.0, np.exp2(np.clip(by, 0, bits)))

    factor = call.apply(power, by, scale=0, part=0, formula=f"2^x of {bits} bits").broadcast_to(x.shape)
    made = multiply(call.builder, x.cells, factor, call.builder.table_size, f"{call.out.name}~power")
    low, high = type_interval(call.out.dtype)
    if low <= made.low and made.high <= high:
        return made
    return call.apply(lambda v: _wrapped(call, lambda held: held, v), Scaled(made, 0), formula=f"x of {call.out.dtype}")


def _halved(call: Call, x: Scaled, by: Scaled) -> Cells:
    """Halved 1, 2, 4, .. times where these bits of the number of places are one."""
    most = 1 << call.table_bits.bit_length()
    for number in range(call.table_bits.bit_length()):
        step = 1 << number

        def halves(v: Array, step: int = step) -> Array:
            return np.floor(np.ldexp(v, -step))

        chosen = call.apply(_bit(step, most), by, scale=0, part=2 * number, formula=f"{step} of {most}", last=False)
        halved = call.apply(halves, x, part=2 * number + 1, formula=f"x / 2^{step}", last=False)
        wide = chosen.broadcast_to(x.shape)
        x = Scaled(select(call.builder, wide, halved, x.cells, f"{call.out.name}~{step}"), x.scale)
    return x.cells


def _digits(call: Call, x: Scaled, count: int, place: int) -> list[Cells]:
    """The digits of x modulo 2^(_DIGIT count), the lowest first."""
    unsigned = call.operand_dtype(place).kind == "u"

    def digit(v: Array, number: int) -> Array:
        held = np.right_shift(np.rint(v).astype(np.int64), _DIGIT * number) & ((1 << _DIGIT) - 1)
        return np.where(unsigned & (v < 0), np.nan, held)

    return [
        call.apply(
            lambda v, number=number: digit(v, number),  # type: ignore[misc]
            x,
            scale=0,
            part=2 * number + place,
            formula=f"digit {number} of {'unsigned ' if unsigned else ''}x",
            last=False,
        ).broadcast_to(call.out.shape)
        for number in range(count)
    ]


def _by_digits(call: Call, a: Scaled, b: Scaled, made: Callable[..., NDArray[np.int64]]) -> Cells:
    """Digit by digit; the last digit of a signed type has the sign."""
    builder, base, name = call.builder, 1 << _DIGIT, call.out.name
    signed = call.out.dtype.kind == "i"
    bits = min(8 * call.out.dtype.itemsize, call.table_bits + signed)
    count = -(-bits // _DIGIT)
    digits, size = [_digits(call, x, count, place) for place, x in enumerate((a, b))], builder.table_size
    terms = []
    for number, (one, other) in enumerate(zip(*digits, strict=True)):
        top = signed and number == count - 1

        def pair(v: Array, top: bool = top) -> Array:
            both = np.rint(v).astype(np.int64)
            result = made(both // base, both % base)
            return np.where(top & (result >= base // 2), result - base, result).astype(np.float64)

        both = builder.sum([(one, base * size), (other, size)], None, f"{name}~pair {number}")
        joined = call.apply(
            pair, Scaled(both, 0), scale=0, part=2 * count + number, formula=f"{call.node.op} of digits {top}"
        )
        terms.append((joined, size << (_DIGIT * number)))
    return builder.sum(terms, None, name)


def _bitwise(made: Callable[..., Array]) -> Callable[..., Cells]:
    def handler(call: Call, a: Operand, b: Operand) -> Cells:
        """Bit by bit."""
        if isinstance(a, Scaled) and isinstance(b, Scaled):
            with call.errors():
                return _by_digits(call, a, b, made)
        return by_constant(call, a, b, lambda x, y: _wrapped(call, made, x, y))

    return handler


for _name, _made in _PLAIN.items():
    op(_name, since=18, scale=_whole_of_both, marks=Mark.PARTWISE)(_bitwise(_made))


@op("BitCast", since=26, marks=Mark.WIDE)
def bit_cast(call: Call, x: Operand) -> Made:
    """The bits of an integer as another type of its width."""
    source, target = call.operand_dtype(0), call.out.dtype
    if "f" in (source.kind, target.kind):
        raise call.refuse("the bits of a real number are not supported")
    size = 1 << (8 * target.itemsize)

    def real(values: Array) -> Array:
        whole = np.mod(np.rint(values), size)
        return np.asarray(np.where((target.kind == "i") & (whole >= size / 2), whole - size, whole))

    if isinstance(x, Wide) and call.out.wide and size % x.size == 0:
        size //= x.size  # its high part has the sign
        return replace(x, high=call.apply(real, Scaled(x.high, 0), scale=0))
    return call.apply(real, call.computed(x, "the operand"))


@op("BitwiseNot", since=18, marks=Mark.WIDE)
def bitwise_not(call: Call, x: Operand) -> Made:
    """Every bit of the type: -1 - x, or its largest number less x."""
    if call.is_wide:
        return wide.signed_sum(
            call, [(np.asarray(type_interval(call.out.dtype)[1] if call.out.dtype.kind == "u" else -1), 1), (x, -1)]
        )
    return call.apply(lambda v: _wrapped(call, np.bitwise_not, v), call.computed(x, "the operand"))
