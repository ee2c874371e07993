"""Layers and weighted sums: real coefficients become integers over T, and what they lose by it is made good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.fixed_point.given import Given, Recurrence
from plonnx.compiler.fixed_point.operands import Scaled
from plonnx.compiler.graph import Array
from plonnx.gadgets import Cells
from plonnx.gadgets.linear.combination import combined
from plonnx.gadgets.linear.shared import SharedWeights


class Sums(Given):
    """What is linear in computed tensors."""

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
        constant = None if bias is None else self.integers(bias, exponent)
        with self.errors():
            if self.recurrence is not None:
                return self._step(self.recurrence, x, self.integers(weights, exponent - x.scale), constant)
            coefficients = self.weights(weights, exponent - x.scale)
            return self.builder.linear(x.cells, coefficients, constant, self._part(part), _hides(public))

    def rows_of(self, x: Scaled, rows: NDArray[np.int64], weights: Array, biases: Array) -> Cells:
        """x W + biases for these rows of x [R, K], of zeros where one is -1, in the output's shape."""
        absent = Cells(np.full((1, x.shape[1]), -1), 0, 0)
        read = Cells.concatenate([x.cells, absent], 0).take(rows % (len(x.cells.refs) + 1), 0)
        exponent = self.table_bits + self.scale
        with self.errors():
            kernel, constants = self.weights(weights, exponent - x.scale), self.integers(biases, exponent)
            return self.builder.linear(read, kernel, constants, self.out.name).reshape(self.out.shape)

    def residual(self, layers: Sequence[tuple[Scaled, Array]], bias: Array | None, others: Sequence[Scaled]) -> Cells:
        """Sum of x W + b + others for each x [R, K] and others of the output's shape, whose last axis is every W's."""
        exponent, width = self.table_bits + self.scale, layers[0][1].shape[1]
        constant = None if bias is None else self.integers(np.broadcast_to(bias, (width,)), exponent)
        rows = [Scaled(other.cells.reshape((-1, width)).transpose((1, 0)), other.scale) for other in others]
        with self.errors():
            x = Cells.concatenate([x.cells.transpose((1, 0)) for x, _ in layers], 0)
            kernel = np.concatenate([self.weights(matrix, exponent - x.scale) for x, matrix in layers])[:, None, :]
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
        coefficients = self.weights(weights, exponent - x.scale)
        constant = None if bias is None else self.integers(bias, exponent)
        with self.errors():
            name, terms = self._part(part), [] if added is None else [self._term(added)]
            if self.leveled and x.scale <= 0:
                lost = self._lost(weights, exponent - x.scale)
                terms += self._rest(x.cells, lost, offsets, shape, f"{name}~rest", groups, strides)
            layer = x.cells, coefficients, offsets, constant, shape, name, groups
            return self.builder.convolution(*layer, hides=hides, terms=terms, strides=strides)

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

    def at_scale(self, x: Scaled, part: int | None = None) -> Cells:
        """x at the output's scale: the same cells where it is there already, rescaled otherwise."""
        return x.cells if x.scale == self.scale else self.sum([(x, 1.0)], part=part)


def _hides(public: bool) -> NDArray[np.int64] | None:
    """The `hides` of weights that are all public, or all secret."""
    return np.zeros((1, 1, 1), np.int64) if public else None


def _axes(factor: Array, rank: int, by_value: bool) -> list[int]:
    """The axes of a tensor of `rank` dimensions along which a broadcast factor differs, or could differ."""
    lead = rank - factor.ndim
    long = [axis for axis, extent in enumerate(factor.shape) if extent > 1]
    return [lead + axis for axis in long if not by_value or np.any(np.ptp(factor, axis=axis))]
