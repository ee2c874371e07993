"""Fixed-point arithmetic over a gadgets.Builder: real weights in, integer coefficients at the right scales out.

With T = 2**t the table size, the builder computes z = floor((y + T/2) / T) for an exact integer y. A real coefficient
c of an operand at scale s_x enters a result at scale s_z as the integer round(c * 2**(t + s_z - s_x)), a constant as
round(b * 2**(t + s_z)). Handlers (compiler/ops) see a Call and Operands, and never touch a scale themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.graph import Array, CompileError, Node, Tensor
from plonnx.compiler.polynomial import as_polynomial
from plonnx.gadgets import Builder, Cells, Function, OutOfRange, Overflow, TooWide
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.combination import combined
from plonnx.gadgets.linear.contribution import MOST_TAPS
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_groups, row_product, worth_turning
from plonnx.gadgets.linear.shared import SharedWeights
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.window import largest
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.product import multiply

_LARGE, _LARGE_FOR_MAXIMA = 1 << 12, 1 << 11
"""Cells of a layer's output that are not copied for the windows that read them, but read where they stand."""
_LARGE_CIRCUIT = 1 << 14
"""Units from which on half as many are enough for maxima: columns of sums are there, those of copies are not."""
_PRECISE = 1 << 10
"""A whole number that stands for a real one within a twentieth of a per cent."""
_LARGEST = 2.0**62
"""Coefficients stay below this; the builder sees to the sums that they make."""
_FARTHEST = 2000
"""By a larger power of two every number but zero is too large, and by a smaller one it rounds to zero."""
_VALUES = 1 << 15
"""Weights that are rounded at a time: a large layer's take memory once, as integers."""


@dataclass(frozen=True)
class Scaled:
    """Cells whose integers v stand for v / 2**scale; `tensor` is the graph's tensor that they are, if any."""

    cells: Cells
    scale: int
    tensor: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.cells.shape)

    @property
    def terms(self) -> Sequence[tuple[Cells, int]]:
        """Cells and factors of which the integers are the sum."""
        return [(self.cells, 1)]

    def each(self, moved: Callable[[Cells], Cells]) -> Scaled:
        """Re-indexed."""
        return replace(self, cells=moved(self.cells))


@dataclass(frozen=True)
class Wide:
    """Integers T high + low with 0 <= low < T, at scale 0 (ops/wide.py)."""

    high: Cells
    low: Cells
    size: int
    tensor: Tensor | None = None
    scale: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.low.shape)

    @property
    def terms(self) -> Sequence[tuple[Cells, int]]:
        """Cells and factors of which the integers are the sum."""
        return [(self.high, self.size), (self.low, 1)]

    def each(self, moved: Callable[[Cells], Cells]) -> Wide:
        """Re-indexed."""
        return replace(self, high=moved(self.high), low=moved(self.low))


Operand = Scaled | Wide | Array | None
Made = Cells | Wide
"""What a handler makes."""


class WidthError(CompileError):
    """A hidden value outside its declared width."""


class TooSmall(CompileError):
    """A node that this table is too small for."""


@dataclass
class Recurrence:
    """Layers of one matrix, one bias and the same scales: the steps of one gadget, made with the first of them.

    alike: one function is all that reads each of them; it is `applied` in their units once the first has been read.
    """

    steps: int
    alike: bool = False
    weights: SharedWeights | None = None
    applied: bool = False

    @property
    def begun(self) -> bool:
        """Whether the first step is all that is made yet."""
        return self.weights is not None and self.weights.taken == 1


@dataclass(frozen=True)
class Call:
    """One node on its way into the circuit: what a handler needs besides the operands.

    `kept` are the cells that later nodes or the graph's outputs read too; `domains` the intervals that tables must
    hold, by the name of their function, so that two of one function are one. `recurrence`: the layers of which this
    one is a step; `reads`: those of which its operand is one. `added`: what a convolution takes into its sums, of its
    output's shape (compiler/residuals.py). `leveled`: what it makes is rounded to levels, and read by nobody else.
    """

    builder: Builder
    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]
    table_bits: int
    kept: Sequence[Cells] = ()
    domains: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    recurrence: Recurrence | None = None
    reads: Recurrence | None = None
    added: Scaled | None = None
    leveled: bool = False

    @property
    def out(self) -> Tensor:
        """The node's first output that is read, with its scale."""
        return next(tensor for tensor in self.outputs if tensor is not None)

    @property
    def scale(self) -> int:
        """The scale of the first output."""
        assert self.out.scale is not None, "lowering comes after quantization"
        return self.out.scale

    @property
    def is_moved(self) -> bool:
        """Whether the operand or the output has a scale for each channel: the same integers stand for both."""
        return any(tensor is not None and tensor.shift is not None for tensor in (*self.inputs, self.out))

    @property
    def is_wide(self) -> bool:
        """Whether an operand or the output is of integers of two units."""
        return any(tensor is not None and tensor.wide > 0 for tensor in (*self.inputs, self.out))

    def operand_dtype(self, index: int) -> np.dtype[Any]:
        """The ONNX element type of an operand that is there."""
        tensor = self.inputs[index]
        assert tensor is not None, "an absent operand has no type"
        return tensor.dtype

    def refuse(self, reason: str) -> CompileError:
        """The error of a node that is not supported as it stands, to be raised."""
        return CompileError(f"{self.node.label}: {reason}")

    def too_small(self, reason: str) -> TooSmall:
        """The error of a node that a larger table may hold, to be raised."""
        return TooSmall(f"{self.node.label}: {reason}")

    def computed(self, operand: Operand, what: str) -> Scaled:
        """The operand as cells; refused where it is a constant or absent."""
        if isinstance(operand, Wide):
            raise self.too_small(f"{what} holds integers beyond 2^{self.table_bits}, which it does not take")
        if not isinstance(operand, Scaled):
            raise self.refuse(f"{what} must be computed from the model's inputs, not a constant")
        return operand

    def constant(self, operand: Operand, what: str) -> Array:
        """The operand as a constant; refused where it is computed or absent."""
        if isinstance(operand, Scaled | Wide) or operand is None:
            raise self.refuse(f"{what} must be a constant of the model")
        return operand

    def is_public(self, place: int) -> bool:
        """Whether an operand is a constant that everybody knows of a hidden model, too."""
        tensor = self.inputs[place]
        return tensor is not None and tensor.public

    def scalar(self, operand: Operand, what: str) -> float | None:
        """The one value of a constant that is the same everywhere; None where it is absent."""
        if operand is None:
            return None
        values = self.constant(operand, what).astype(np.float64).reshape(-1)
        if not values.size or np.any(values != values[0]):
            raise self.refuse(f"{what} must be the same value everywhere")
        return float(values[0])

    def integers(self, values: Array, exponent: int) -> NDArray[np.int64]:
        """round(values * 2**exponent), halves up; refused where 62 bits can't hold it. Some values at a time."""
        flat = np.asarray(values).reshape(-1)
        made, by = np.empty(flat.shape, np.int64), min(max(int(exponent), -_FARTHEST), _FARTHEST)
        factors = [2.0**by] if abs(by) < _FARTHEST // 2 else [2.0 ** (by // 2), 2.0 ** (by - by // 2)]
        for start in range(0, len(flat), _VALUES):
            rounded = flat[start : start + _VALUES].astype(np.float64)
            for factor in factors:
                rounded *= factor
            rounded += 0.5
            np.floor(rounded, out=rounded)
            if not max(-rounded.min(), rounded.max()) < _LARGEST:
                raise self.refuse(f"at the scale of {self.out.name!r} a coefficient needs more than 62 bits")
            made[start : start + _VALUES] = rounded
        return made.reshape(np.shape(values))

    def linear(
        self, x: Scaled, weights: Array, bias: Array | None = None, part: int | None = None, public: bool = False
    ) -> Cells:
        """x W + b for x of shape [R, K], W [K, N] and b [N], as [R, N] at the output's scale.

        public: W follows from what the operator is (a pool, an interpolation), and is no secret of a hidden model.
        """
        if self.leveled and self.recurrence is None:
            columns, tap = Scaled(x.cells.transpose((1, 0)), x.scale), np.zeros((1, 1), np.int64)
            made = self.convolution(columns, weights[:, None, :], tap, bias, x.cells.shape[:1], part=part)
            return self.builder.name(self._part(part), made.transpose((1, 0)))
        exponent = self.table_bits + self.scale
        coefficients = self.integers(weights, exponent - x.scale)
        constant = None if bias is None else self.integers(bias, exponent)
        with self.errors():
            if self.recurrence is not None:
                return self._step(self.recurrence, x, coefficients, constant)
            return self.builder.linear(x.cells, coefficients, constant, self._part(part), _hides(public))

    def residual(self, layers: Sequence[tuple[Scaled, Array]], bias: Array | None, others: Sequence[Scaled]) -> Cells:
        """Sum of x W + b + others for each x [R, K] and others of the output's shape, whose last axis is every W's."""
        exponent, width = self.table_bits + self.scale, layers[0][1].shape[1]
        constant = None if bias is None else self.integers(np.broadcast_to(bias, (width,)), exponent)
        rows = [Scaled(other.cells.reshape((-1, width)).transpose((1, 0)), other.scale) for other in others]
        with self.errors():
            x = Cells.concatenate([x.cells.transpose((1, 0)) for x, _ in layers], 0)
            kernel = np.concatenate([self.integers(matrix, exponent - x.scale) for x, matrix in layers])[:, None, :]
            sizes = [len(matrix) for _, matrix in layers] if len(layers) > 1 else []
            terms, tap = [self._term(row) for row in rows], np.zeros((1, 1), np.int64)
            fields = x, kernel, tap, constant, x.shape[1:], self.out.name
            made = self.builder.convolution(*fields, terms=terms, layers=sizes)
            return self.builder.name(self.out.name, made.transpose((1, 0)).reshape(self.out.shape))

    def _term(self, other: Scaled) -> tuple[Cells, int]:
        """What is added to a layer, with its coefficient."""
        return other.cells, int(self.integers(np.asarray(1.0), self.table_bits + self.scale - other.scale))

    def _step(self, layers: Recurrence, x: Scaled, weights: NDArray[np.int64], bias: NDArray[np.int64] | None) -> Cells:
        """One of the layers that share their weights."""
        if layers.weights is None:
            name = f"{self.out.name}/steps"
            layers.weights = SharedWeights(self.builder, weights, bias, layers.steps, x.shape[0], name)
        made = layers.weights(x.cells)
        return made if layers.applied else self.builder.name(self.out.name, made)

    def convolution(
        self,
        x: Scaled,
        weights: Array,
        offsets: NDArray[np.int64],
        bias: Array | None,
        shape: Sequence[int],
        groups: int = 1,
        part: int | None = None,
        hides: NDArray[np.int64] | None = None,
        added: Scaled | None = None,
        strides: Sequence[int] = (),
    ) -> Cells:
        """Builder.convolution of x [channels, *grid] with real weights [channels, taps, J], at the output's scale.

        added: what its sums take in, [groups * J, *shape].
        """
        exponent = self.table_bits + self.scale
        coefficients = self.integers(weights, exponent - x.scale)
        constant = None if bias is None else self.integers(bias, exponent)
        with self.errors():
            name, terms = self._part(part), [] if added is None else [self._term(added)]
            if self.leveled and x.scale <= 0:
                lost = self._lost(weights, exponent - x.scale)
                terms += self._rest(x.cells, lost, offsets, shape, f"{name}~rest", groups, strides)
            layer = x.cells, coefficients, offsets, constant, shape, name, groups
            return self.builder.convolution(*layer, hides=hides, terms=terms, strides=strides)

    def reads_in_place(self, x: Scaled, maxima: bool = False) -> bool:
        """Whether x [1, channels, *grid] is a layer's output so large that copies of it cost more than columns do."""
        least = _LARGE_FOR_MAXIMA >> (self.builder.unit_count >= _LARGE_CIRCUIT) if maxima else _LARGE
        return bool(x.shape[0] == 1 and x.cells.refs.size >= least and self.builder.is_layer(x.cells))

    def averages(
        self, x: Scaled, taps: Sequence[NDArray[np.int64]], strides: Sequence[int], divisor: int
    ) -> Cells | None:
        """The sum of each window by one divisor, read in place: x [1, channels, *grid], `taps` of output 0 by axis.

        None where the windows are copied: of small tensors, long windows, and hidden models, whose kernels take a row a
        tap.
        """
        if self.builder.hidden or not self.reads_in_place(x) or len(taps[-1]) > MOST_TAPS:
            return None
        channels, grid = x.shape[1], x.shape[2:]
        box = np.stack(np.meshgrid(*taps, indexing="ij"), axis=-1).reshape(-1, len(grid))
        weights = np.full((channels, len(box), 1), 1.0 / divisor)
        shape = self.out.shape[2:] if len(self.out.shape) == len(x.shape) else (1,) * len(grid)
        cells = Scaled(x.cells.reshape((channels, *grid)), x.scale)
        return self.convolution(cells, weights, box, None, shape, channels, strides=strides).reshape(self.out.shape)

    def largest(self, x: Scaled, taps: Sequence[NDArray[np.int64]], strides: Sequence[int]) -> Cells | None:
        """The largest of each window, by differences of what is read in place; zeros outside the grid count.

        None where the windows are copied: of small tensors, and hidden models, of which no coefficient may be shown.
        """
        if self.builder.hidden or not self.reads_in_place(x, maxima=True):
            return None
        with self.errors():
            cells, shape = x.cells.reshape(x.shape[1:]), self.out.shape[2:]
            return largest(self.builder, cells, taps, strides, shape, self.out.name).reshape(self.out.shape)

    def _lost(self, weights: Array, exponent: int) -> Array:
        """What `integers` rounds away, in units of the last place."""
        exact = np.ldexp(weights.astype(np.float64), exponent)
        return np.asarray(exact - np.floor(exact + 0.5))

    def _rest(
        self,
        x: Cells,
        lost: Array,
        offsets: NDArray[np.int64],
        shape: Sequence[int],
        name: str,
        groups: int = 1,
        strides: Sequence[int] = (),
    ) -> list[tuple[Cells, int]]:
        """What a layer of x [channels, *grid] loses by rounding its weights, to be added to its sums.

        A sum close to the middle of two levels is then on its own side: what is left is half a unit in the last place.
        """
        sums = np.abs(lost).reshape(groups, -1, lost.shape[2]).sum(axis=1)
        most = float(sums.max(initial=0.0)) * x.reach
        if not most:
            return []
        places = max(0, int(np.ceil(np.log2(most / (self.builder.table_size - 1)))))
        weights = self.integers(lost, self.table_bits - places)
        made = self.builder.convolution(x, weights, offsets, None, shape, name, groups, strides=strides)
        return [(made, 1 << places)]

    def sum(
        self,
        terms: Sequence[tuple[Scaled, float]],
        constant: Array | None = None,
        part: int | None = None,
        public: bool = False,
    ) -> Cells:
        """sum_k c_k x_k + constant over operands of one shape, at the output's scale.

        A single term whose coefficient comes out as exactly one is the operand itself, at no cost. public: the constant
        is no secret of a hidden model; the coefficients never are.
        """
        exponent = self.table_bits + self.scale
        weighted = [(x.cells, int(self.integers(np.asarray(factor), exponent - x.scale))) for x, factor in terms]
        offset = None if constant is None else self.integers(constant, exponent)
        if offset is not None and (public or not self.builder.hidden) and not offset.any():
            offset = None
        if offset is None and len(weighted) == 1 and weighted[0][1] == 1 << self.table_bits:
            return weighted[0][0]
        with self.errors():
            if offset is None:
                made = combined(self.builder, weighted, self._part(part))
                if made is not None:
                    return made
            return self.builder.sum(weighted, offset, self._part(part), hides=not public)

    def weighted(self, operands: Sequence[Scaled], factors: Sequence[Array], public: bool = False) -> Cells:
        """sum_k factors_k * operands_k element by element, all broadcast to the output's shape.

        The axes along which factors differ are the channels of a convolution of one tap. Where a channel has one
        element there is a sum for each distinct tuple of coefficients instead; a sum's coefficients are public, so
        factors that are no public ones of a hidden model are always a convolution's weights.
        """
        shape, hidden = self.out.shape, self.builder.hidden and not public
        x = [Scaled(operand.cells.broadcast_to(shape), operand.scale) for operand in operands]
        full = [np.broadcast_to(np.asarray(factor, np.float64), shape) for factor in factors]
        axes = sorted({axis for factor in factors for axis in _axes(np.asarray(factor), len(shape), not hidden)})
        channels = int(np.prod([shape[axis] for axis in axes], dtype=np.int64))
        if not hidden and not axes:
            return self.sum([(term, float(factor.flat[0])) for term, factor in zip(x, full, strict=True)])
        if not hidden and self.out.size == channels:
            return self._distinct_sums(x, full)
        order = (*axes, *(axis for axis in range(len(shape)) if axis not in axes))
        made = self._by_channel(x, [factor.transpose(order) for factor in full], order, channels, public)
        return made.reshape(tuple(shape[axis] for axis in order)).transpose(tuple(np.argsort(order).tolist()))

    def _distinct_sums(self, operands: Sequence[Scaled], factors: Sequence[Array]) -> Cells:
        """One sum for each distinct tuple of integer coefficients."""
        exponent = self.table_bits + self.scale
        pairs = list(zip(operands, factors, strict=True))
        rounded = np.stack([self.integers(factor, exponent - x.scale).reshape(-1) for x, factor in pairs])
        _, first, which = np.unique(rounded, axis=1, return_index=True, return_inverse=True)
        order = np.argsort(which.reshape(-1), kind="stable")
        parts = []
        for part, where in enumerate(np.split(order, np.cumsum(np.bincount(which.reshape(-1)))[:-1])):
            terms = [
                (Scaled(x.cells.reshape((-1,)).take(where, 0), x.scale), float(factor.flat[first[part]]))
                for x, factor in pairs
            ]
            parts.append(self.sum(terms, part=part))
        return Cells.concatenate(parts, 0).take(np.argsort(order), 0).reshape(self.out.shape)

    def _by_channel(
        self, operands: Sequence[Scaled], factors: Sequence[Array], order: tuple[int, ...], channels: int, public: bool
    ) -> Cells:
        """A convolution of one tap, a group for each channel; the leading axes of `order` are the channels."""
        terms = [x.cells.transpose(order).reshape((channels, 1, -1)) for x in operands]
        x = Cells.concatenate(terms, 1).reshape((channels * len(terms), -1))
        exponent = self.table_bits + self.scale
        columns = [factor.reshape(channels, -1)[:, 0] for factor in factors]
        weights = [self.integers(c, exponent - o.scale) for c, o in zip(columns, operands, strict=True)]
        kernel, tap = np.stack(weights, axis=1).reshape(-1, 1, 1), np.zeros((1, 1), np.int64)
        with self.errors():
            name = self._part(None)
            return self.builder.convolution(x, kernel, tap, None, x.shape[1:], name, channels, hides=_hides(public))

    def multiply(self, x: Scaled, factors: Array, public: bool = False) -> Cells:
        """x * factors element by element, both broadcast to the output's shape."""
        return self.weighted([x], [factors], public)

    def product(self, x: Scaled, y: Scaled, part: int | None = None) -> Cells:
        """x * y element by element, broadcast.

        A product over T has the scale x.scale + y.scale - t; where the output's is coarser still (calibration without
        a margin), x is rescaled first.
        """
        shape = np.broadcast_shapes(x.shape, y.shape)
        for rows, each in ((x, y), (y, x)):
            made = self._row_product(rows, each, shape, part)
            if made is not None:
                return made
        with self.errors():
            cells, multiplier = self._made_coarse(x, y)
            factors = cells.broadcast_to(shape), y.cells.broadcast_to(shape)
            return multiply(self.builder, *factors, multiplier, self._part(part))

    def _row_product(self, x: Scaled, factors: Scaled, shape: tuple[int, ...], part: int | None) -> Cells | None:
        """The product of each row of x [.., C] with a number of its own; None where that costs more units than copies.

        Not of a private model.
        """
        wide = (1,) * (len(shape) - len(factors.shape)) + factors.shape
        if self.builder.hidden or x.shape != shape or len(shape) < 2 or wide[-1] != 1 or shape[-1] == 1:
            return None
        rows = x.cells.refs.size // shape[-1]
        groups = row_groups(self.builder, x.cells.refs.reshape(rows, -1))
        by_group = x.cells.reshape((groups, -1, shape[-1])).transpose((0, 2, 1))
        turned = by_group.reshape((-1, rows // groups))
        if not worth_turning(self.builder, turned, groups):
            return None
        with self.errors():
            each, multiplier = self._made_coarse(factors, x)
            column = each.broadcast_to((*shape[:-1], 1)).reshape((groups, -1))
            made = row_product(self.builder, turned, column, multiplier, self._part(part))
            back = made.reshape(by_group.shape).transpose((0, 2, 1)).reshape(shape)
            return self.builder.name(self._part(part), back)

    def square_sum(self, x: Scaled, mean: bool) -> Cells:
        """The sum or mean of squares along the last axis of x [.., C], at the output's scale.

        Where the mean's factor 1 / C is no whole number over T, the sum has a unit, and the mean another one.
        """
        width = x.shape[-1]
        columns = x.cells.reshape((-1, width)).transpose((1, 0))
        exponent = self.table_bits + self.scale - 2 * x.scale
        factor = float(np.ldexp(1.0 / width if mean else 1.0, exponent))
        multiplier = int(np.floor(factor + 0.5))
        with self.errors():
            if multiplier and (factor == multiplier or multiplier >= _PRECISE):
                return square_sum(self.builder, columns, multiplier, self.out.name).reshape(self.out.shape)
            assert self.out.interval is not None, "lowering comes after quantization"
            most = float(np.ldexp(self.out.interval[1] * (width if mean else 1), -self.scale))  # real
            room = self.table_bits - int(np.frexp(np.ldexp(most, 2 * x.scale - self.table_bits))[1])
            finer = max(0, room)
            total = square_sum(self.builder, columns, 1 << finer, f"{self.out.name}~sum")
        summed = Scaled(total.transpose((1, 0)), 2 * x.scale - self.table_bits + finer)
        return self.linear(summed, np.full((1, 1), 1.0 / width if mean else 1.0)).reshape(self.out.shape)

    def matmul(self, a: Scaled, b: Scaled) -> Cells:
        """A B for a [G, I, K] and b [G, K, J], both computed, at the output's scale (as in `product`)."""
        with self.errors():
            cells, multiplier = self._made_coarse(a, b)
            return matmul(self.builder, cells, b.cells, multiplier, self.out.name)

    def _made_coarse(self, x: Scaled, y: Scaled) -> tuple[Cells, int]:
        """x so coarse that products with y over T times a whole number are at the output's scale; that number."""
        exponent = self.table_bits + self.scale - x.scale - y.scale
        if exponent >= 0:
            return x.cells, 1 << exponent
        shift = self.table_bits + exponent  # below zero every product is less than a unit in the last place
        return self.builder.sum([(x.cells, 1 << shift if shift >= 0 else 0)], None, f"{self.out.name}~"), 1

    def extreme(self, x: Scaled, smallest: bool = False) -> Cells:
        """The largest (smallest) along the first axis of x [K, ..], which is at the output's scale.

        No two candidates of a Maximum lie T apart: where the intervals do not say so, two candidates are compared by
        max(a, b) = b + max(a - b, 0) with a - b at half the scale (2 units), more of them all at half the scale (2K + 2
        units). Either way the result is within one unit in the last place.
        """
        cells, sign, size = x.cells, -1 if smallest else 1, self.builder.table_size
        fits = cells.high - cells.low < size
        with self.errors():
            if cells.shape[0] == 1:
                return cells.reshape(cells.shape[1:])
            if cells.shape[0] == 2:
                return self._better(cells[0], cells[1], sign)
            if not fits:
                self._halving()
            if smallest or not fits:
                step = sign * (size if fits else size >> 1)
                cells = self.builder.sum([(cells, step)], None, f"{self.out.name}/2")
            best = maximum(self.builder, [cells[k] for k in range(cells.shape[0])], f"{self.out.name}/max")
            step = sign * (size if fits else 2 * size)
            return best if step == size else self.builder.sum([(best, step)], None, self.out.name)

    def _better(self, a: Cells, b: Cells, sign: int) -> Cells:
        """b + sign * max(sign * (a - b), 0), at one scale; a - b is halved, rounded down, where it could overflow."""
        size = self.builder.table_size
        if max(a.high - b.low, b.high - a.low) < size:
            difference = self.builder.sum([(a, sign * size), (b, -sign * size)], None, f"{self.out.name}-")
            above = self.builder.relu(difference, f"{self.out.name}+")
            return self.builder.sum([(b, size), (above, sign * size)], None, self.out.name)
        self._halving()
        half = sign * (size >> 1)
        down = np.full(a.shape, -1, np.int64)
        difference = self.builder.sum([(a, half), (b, -half)], down, f"{self.out.name}-", hides=False)
        above = self.builder.relu(difference, f"{self.out.name}+")
        return self.builder.sum([(b, size), (above, 2 * sign * size)], None, self.out.name)

    @property
    def _is_plain(self) -> bool:
        """Whether the output's integers are the cells themselves, odd ones too."""
        return self.out.dtype.kind in "iu" and self.scale < 1

    def _halving(self) -> None:
        """Refuses integers that halving would leave off by one."""
        if self._is_plain:
            raise self.too_small(f"integers of {self.out.dtype} so far apart have no exact difference in its table")

    def bounded(self, x: Scaled, bound: Array, smallest: bool = False) -> Cells:
        """max(x, c) = c + max(x - c, 0) for a constant c, or min(x, c) = c - max(c - x, 0).

        x - c is taken at half the scale, but of integers where all of them are told apart.
        """
        sign = -1.0 if smallest else 1.0
        reach = np.ldexp((1 << self.table_bits) - 1.0, -self.scale)
        constant = np.broadcast_to(np.clip(bound, -reach, reach), self.out.shape)
        cells, exponent = x.cells.broadcast_to(self.out.shape), self.table_bits + self.scale
        halvings = 0 if self._is_plain else 1
        if self._is_plain:
            apart = max(cells.high - constant.min(), constant.max() - cells.low)
            if self.builder.hidden or x.scale or self.scale or apart >= self.builder.table_size:
                self._halving()
        factor = int(self.integers(np.asarray(sign), exponent - halvings - x.scale))
        with self.errors():
            distance = self.builder.sum(
                [(cells, factor)], self.integers(-sign * constant, exponent - halvings), f"{self.out.name}-"
            )
            above = self.builder.relu(distance, f"{self.out.name}+")
            step = int(sign) * self.builder.table_size << halvings
            return self.builder.sum([(above, step)], self.integers(constant, exponent), self.out.name)

    def apply(
        self,
        function: Callable[[Array], Array],
        x: Scaled,
        scale: int | None = None,
        part: int | None = None,
        formula: str | None = None,
        last: bool = True,
        halfway: bool = False,
    ) -> Cells:
        """function(x), elementwise, at `scale` (the output's where it is None), by a lookup table over x's interval.

        `formula` says which function it is; where it is None, what the node computes of one operand.

        The table holds the arguments whose values are numbers within T, on the sides of a pole where calibration was
        (of a hidden model both), and T, which no cell holds, between them; others, 0 of a reciprocal or a logarithm,
        are refused when they turn up (OutOfRange). A real value that would round to T is T - 1. The table joins the
        block that makes x where nobody else reads x, so a handler reads x no more after this unless it says that this
        is not the last time; equal tables are one.

        halfway: the function jumps between two of the integers that stand for x. Where x is made by a layer with a
        bias, it is rounded down instead of to the nearest, so that every integer lies between two jumps and no sum is
        on the wrong side of one. (A sum that is exactly halfway is rounded up then, not to the even number.)
        """
        if formula is None:
            operands = [t if t is None or t.value is None else t.value for t in self.inputs]
            formula = self.node.formula(["x" if isinstance(operand, Tensor) else operand for operand in operands])
        fuse, middle, taken = last and self.alone(x.cells), 0.0, x
        if fuse and halfway and x.scale > 0:
            with self.errors():
                floored = self.builder.rounded_down(x.cells)
            if floored is not None:
                middle, taken, formula = 0.5, replace(x, cells=floored), f"{formula}, rounded down"
        table = self._table(function, taken, self.scale if scale is None else scale, formula, middle)
        if fuse and self.reads is not None and self.reads.alike and self.reads.begun:
            return self._in_steps(self.reads, table, taken)
        return apply(self.builder, table, taken.cells, self._part(part), fuse)

    def _in_steps(self, layers: Recurrence, table: Function, x: Scaled) -> Cells:
        """A function in the units of all steps, of which x is the first."""
        assert layers.weights is not None and x.tensor is not None, "x is the output of a step"
        made, layers.applied = layers.weights.apply(table), True
        del self.builder.named[x.tensor.name]  # its units now hold the function's values
        return self.applied(replace(x, cells=made))

    def applied(self, x: Scaled) -> Cells:
        """What a function that is applied in the steps' own units made of a step, x."""
        return self.builder.name(self.out.name, x.cells.reshape(self.out.shape))

    def _table(
        self, function: Callable[[Array], Array], x: Scaled, scale: int, formula: str, middle: float
    ) -> Function:
        """The function of the integers of x, each of which stands for what is `middle` above it."""
        name = f"{formula}, scale {x.scale} to {scale}"
        low, high = x.cells.low, x.cells.high
        if x.tensor is not None and x.tensor.interval is not None and not self.builder.hidden:
            low, high = max(low, x.tensor.interval[0] - (middle > 0)), min(high, x.tensor.interval[1])
        if name in self.domains:
            low, high = min(low, self.domains[name][0]), max(high, self.domains[name][1])

        def real(arguments: NDArray[np.int64]) -> Array:
            return np.asarray(np.ldexp(function(np.ldexp(arguments + middle, -x.scale)), scale))

        with np.errstate(all="ignore"):
            reals = real(np.arange(low, high + 1))
            if self.out.dtype.kind == "f":
                defined = np.abs(reals) < (1 << self.table_bits) + 1  # false for what is no number
            else:
                defined = np.abs(np.floor(reals + 0.5)) < 1 << self.table_bits  # whole numbers are exact or refused
        first, end = self._domain(defined, x, low)
        limit = (1 << self.table_bits) - 1
        known = np.where(defined, reals, 0.0)[first:end]
        values = np.clip(np.floor(known + 0.5), -limit, limit).astype(np.int64)
        values[~defined[first:end]] = self.builder.table_size
        made = Function(name, low + first, values)
        if self.out.dtype.kind == "f":  # a table of integers may end where their type does
            made = as_polynomial(made, real, self.builder.table_size)
        return next((f for f in self.builder.functions if f.alike(made)), made)

    def _domain(self, defined: NDArray[np.bool_], x: Scaled, low: int) -> tuple[int, int]:
        """[first, end) of the arguments with a value that calibration met, whatever lies between them.

        Where that is not known: the run that holds zero, or else the longest. Of a hidden model, whose measured range
        would show the signs of inner tensors: all of them.
        """
        runs = np.flatnonzero(np.diff(np.concatenate([[False], defined, [False]]).astype(np.int8))).reshape(-1, 2)
        if not len(runs):
            raise OutOfRange(self.out.name, low, 0, 0)
        measured = None if x.tensor is None else x.tensor.measured
        if self.builder.hidden:
            met = runs
        elif measured is None:
            met = runs[(runs[:, 0] <= -low) & (runs[:, 1] > -low)]
        else:
            seen = np.floor(np.ldexp(measured[0], x.scale)) - low, np.ceil(np.ldexp(measured[1], x.scale)) - low
            met = runs[(runs[:, 0] <= seen[1]) & (runs[:, 1] > seen[0])]
        if not len(met):
            met = runs[np.argmax(runs[:, 1] - runs[:, 0])][None]
        return int(met[0, 0]), int(met[-1, 1])

    def fuses(self, x: Cells) -> bool:
        """A function of x would join the block that makes x: it costs no unit, and pays for a table of its own."""
        return x.refs.size >= self.builder.table_size and self.alone(x) and self.builder.makes(x)

    def alone(self, x: Cells) -> bool:
        """No block reads the units of x yet, and no tensor that is still to be read holds one of them."""
        units = x.refs >> 1
        first, last = int(units.min()), int(units.max())
        later = []
        for block in reversed(self.builder.blocks):
            if block.first + block.count <= first:
                break
            later.append(block.operands)
        stepped = [block.operands for block in self.builder.blocks if block.steps is not None]
        readers = [*later, *stepped, *(cells.refs for cells in self.kept)]
        return not any(np.any((refs >> 1 >= first) & (refs >> 1 <= last)) for refs in readers)

    def maximum(self, candidates: Sequence[Cells], part: int | None = None) -> Cells:
        """Builder.maximum of cells at the output's scale."""
        with self.errors():
            return maximum(self.builder, candidates, self._part(part))

    def at_scale(self, x: Scaled, part: int | None = None) -> Cells:
        """x at the output's scale: the same cells where it is there already, rescaled otherwise."""
        return x.cells if x.scale == self.scale else self.sum([(x, 1.0)], part=part)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The builder's refusals name the node."""
        try:
            yield
        except TooWide as error:
            raise WidthError(f"{self.node.label}: {error}") from error
        except Overflow as error:
            raise self.refuse(str(error)) from error

    def _part(self, part: int | None) -> str:
        return self.out.name if part is None else f"{self.out.name}[{part}]"


def _hides(public: bool) -> NDArray[np.int64] | None:
    """The `hides` of weights that are all public, or all secret."""
    return np.zeros((1, 1, 1), np.int64) if public else None


def _axes(factor: Array, rank: int, by_value: bool) -> list[int]:
    """The axes of a tensor of `rank` dimensions along which a broadcast factor differs, or could differ."""
    lead = rank - factor.ndim
    long = [axis for axis, extent in enumerate(factor.shape) if extent > 1]
    return [lead + axis for axis in long if not by_value or np.any(np.ptp(factor, axis=axis))]
