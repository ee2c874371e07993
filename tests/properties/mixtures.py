"""Random models that join what meets in transformers: strides, norms, attention, residuals, rows, borders, ReLU views.

One seed makes one model. tests/properties/test_mixtures.py lays them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import Field, fields, replace
from typing import Any

import numpy as np

from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.function import apply
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.input import Input
from plonnx.gadgets.linear.combination import combination
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.standing_rows import standing_rows
from plonnx.gadgets.linear.window import Term, window_sum
from plonnx.gadgets.product import multiply
from tests.properties.models import Integers, Model, residual

TAP = np.zeros((1, 1), np.int64)
REFS = {"x", "a", "b", "factors", "terms", "cells", "chain", "branches", "candidates"}
"""The fields of gadgets that say which cells they read."""


class Mixture:
    """The parts of one model, channels [width, tokens], width = heads * size."""

    def __init__(self, seed: int) -> None:
        self.random, self.builder = np.random.default_rng(seed), Builder(8)
        self.inputs: dict[str, Integers] = {}
        self.number, self.tokens = 0, self._of(1, 5)
        self.heads = self._of(1, 3) if self.tokens > 1 else self._of(2, 7)
        self.size = self._of(1, 3)
        self.width = self.heads * self.size

    def model(self) -> Model:
        """Attentions one behind the other, with norms and other layers before, between and behind."""
        x = self.first = self._start()
        for _ in range(self._of(1, 3)):
            x = self._norm(x) if self._coin() else x
            x = self._attention(self._other(x) if self._coin() else x)
        for _ in range(self._of(0, 2)):
            x = self._other(x)
        self.builder.output("y", self._norm(x) if self._coin() else x, public=self._coin())
        return Model(self.builder, self.inputs)

    # What is drawn -------------------------------------------------------------------------------------------------

    def _of(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most, endpoint=True))

    def _coin(self, sides: int = 2) -> bool:
        return self._of(1, sides) == 1

    def _ints(self, most: int, *shape: int) -> Integers:
        return self.random.integers(-most, most + 1, shape)

    def _name(self, what: str) -> str:
        self.number += 1
        return f"{what}{self.number}"

    def _bias(self) -> Integers | None:
        return (None, self._ints(99, self.width), self._ints(99, self.width, self.tokens))[self._of(0, 2)]

    def _table(self, x: Cells, fuse: bool) -> Cells:
        return apply(self.builder, Function("f", -255, self._ints(100, 511)), x, self._name("f"), fuse=fuse)

    def _relu(self, x: Cells, sides: int) -> Cells:
        return self.builder.relu(x, self._name("relu")) if self._coin(sides) else x

    # Parts ---------------------------------------------------------------------------------------------------------

    def _layer(self, x: Cells, offsets: Integers, what: str, **options: Any) -> Cells:
        """To as many channels, at `tokens` positions."""
        weights = self._ints(9, len(x.refs), len(offsets), self.width) * 8
        name = self._name(what)
        return self.builder.convolution(x, weights, offsets, self._bias(), (self.tokens,), name, **options)

    def _input(self, *shape: int) -> Cells:
        self.inputs["x"] = self._ints(20, 1, *shape)
        return self.builder.input("x", shape, public=self._coin())

    def _start(self) -> Cells:
        """An input, or a layer of it: position by position, with a border, of stride two; or rows of a matrix."""
        kind = self._of(0, 4)
        if kind == 0:
            return self._layer(self._input(3, self.tokens), TAP, "embedding")
        if kind == 1:
            return self._layer(self._input(2, self.tokens), np.arange(self._of(2, 3))[:, None] - self._of(0, 1), "conv")
        if kind == 2:
            return self._layer(self._input(2, 2 * self.tokens), np.arange(2)[:, None], "strided", strides=(2,))
        if kind == 3:
            return self._input(self.width, self.tokens)
        rows = self._of(2, 4)
        self.inputs["x"] = self.random.integers(0, rows, (1, self.tokens))
        x = self.builder.input("x", (self.tokens,), public=self._coin())
        added = self._ints(9, self.tokens, self.width) if self._coin() else None
        matrix = self._ints(20, rows, self.width)
        return standing_rows(self.builder, x, matrix, added, self._name("rows")).transpose((1, 0))

    def _norm(self, x: Cells) -> Cells:
        """Its squares (of all channels, or of half) or magnitudes, summed up; and often x times a number a position."""
        kind, builder = self._of(0, 2), self.builder
        first = np.arange(self.width)[:, None] < self.width // 2
        read = replace(x, refs=np.where(first, x.refs, -1)) if kind == 2 else x
        summed = magnitude_sum(builder, x, 64, self._name("magnitudes")) if kind == 1 else None
        summed = square_sum(builder, read, 3, self._name("squares")) if summed is None else summed
        if self._coin():
            builder.output(self._name("norm"), summed, public=self._coin())
            return x
        factors = summed.broadcast_to((self.heads if self._coin() else 1, self.tokens))
        return row_product(builder, x, self._relu(factors, 3), self._of(8, 60), self._name("scaled"))

    def _attention(self, x: Cells) -> Cells:
        """Queries, keys and values in any order in one layer; masks, tables, ones beside the values, a residual."""
        builder, shape = self.builder, (self.heads, self.size, self.tokens)
        weights, three = self._ints(9, self.width, 1, 3 * self.width) * 8, 3 * self.width
        bias = (None, self._ints(99, three), self._ints(99, three, self.tokens))[self._of(0, 2)]
        layer = builder.convolution(x, weights, TAP, bias, (self.tokens,), self._name("layer"))
        order = self.random.permutation(3) if self._coin() else np.arange(3)
        parts = (layer[part * self.width : (part + 1) * self.width].reshape(shape) for part in order.tolist())
        query, key, value = (self._relu(part, 6) for part in parts)
        scores = matmul(builder, query.transpose((0, 2, 1)), key, 16, self._name("scores"))
        scores = self._relu(self._table(scores, True) if self._coin() else scores, 6)
        values, ones = value.transpose((0, 2, 1)), self._of(0, 2)
        if ones:
            one = builder.sum([], np.full(1, 3 << 8), self._name("one"))
            beside = one.reshape((1, 1, 1)).broadcast_to((self.heads, self.tokens, ones))
            values = Cells.concatenate([values, beside], 2)
        if self._coin(4):
            scores = replace(scores, refs=np.where(np.tri(self.tokens, dtype=bool), scores.refs, -1))
        mixed = matmul(builder, scores, values, self._of(2, 20), self._name("mixed")).transpose((0, 2, 1))
        context = mixed[:, : self.size].reshape((self.width, self.tokens))
        if ones and self._coin():
            sums = mixed[:, self.size].reshape((self.heads, self.tokens))
            context = row_product(builder, context, sums, 16, self._name("divided"))
        if self._coin(8):
            builder.output(self._name("seen"), scores.reshape((-1,))[:2])
        weights, terms = self._ints(9, self.width, self.width) * 8, [(x, 64)] if self._coin() else []
        return residual(builder, context, weights, self._bias(), terms, self._name("residual"))

    def _other(self, x: Cells) -> Cells:
        """One of what stands around attention."""
        builder, name = self.builder, self._name("other")
        at_random = self._ints(99, 2).tolist()
        weights = self._ints(9, self.width, self.width) * 8
        kinds: list[Callable[[], Cells]] = [
            lambda: self._layer(x, np.arange(3)[:, None] - 1, "conv"),
            lambda: self._layer(x, np.arange(2)[:, None] - self._of(0, 3), "strided", strides=(2,)),
            lambda: combination(builder, [(x, at_random[0]), (x, at_random[1])], name),
            lambda: combination(builder, [(self.first, at_random[0]), (x, at_random[1])], name),
            lambda: combination(builder, [(x, at_random[0]), (builder.relu(x, f"{name}~"), at_random[1])], name),
            lambda: residual(builder, x, weights, self._bias(), [(self.first, 64)], name),
            lambda: builder.sum([(x, 70)], self._ints(99, *x.shape), name),
            lambda: multiply(builder, x, x, 2, name),
            lambda: builder.relu(x, name),
            lambda: window_sum(builder, [Term(x, (1,), {(0,): 9, (1,): -7})], (self.tokens,), name),
            lambda: self._table(x, self._coin()),
        ]
        return kinds[self._of(0, len(kinds) - 1)]()


def strange(model: Model, random: np.random.Generator) -> Model:
    """The same with some refs changed, as a file may have them: absent, of another view, permuted, of other units."""
    other = Builder(model.builder.table_bits)
    other.blocks, other.outputs, other.parts = [*model.builder.blocks], model.builder.outputs, [*model.builder.parts]
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(1, len(other.blocks)))
        block = other.blocks[at]
        named = [] if isinstance(block, Input) else [*_refs(block)]
        if named:
            field = named[int(random.integers(len(named)))].name
            changed = _changed(getattr(block, field), block, other.blocks[int(random.integers(at))], random)
            other.blocks[at] = replace(block, **{field: changed})
    return Model(other, model.inputs)


def _refs(block: Gadget) -> Iterator[Field[Any]]:
    for field in fields(block):
        held = getattr(block, field.name)
        if field.name in REFS and isinstance(held, np.ndarray) and held.size:
            yield field


def _changed(refs: Integers, block: Gadget, source: Gadget, random: np.random.Generator) -> Integers:
    some = random.integers(0, refs.size, int(random.integers(1, max(2, min(4, refs.size)))))
    flat, kind = refs.reshape(-1).copy(), int(random.integers(6))
    if kind == 0:
        flat[some] = random.integers(0, 2 * block.first, len(some))
    elif kind == 1:
        flat[some] = -1
    elif kind == 2:
        flat = random.permutation(flat)
    elif kind == 3:
        flat = np.where(flat >= 0, flat ^ 1, flat)
    elif kind == 4:
        flat = flat[::-1].copy()
    else:
        flat = 2 * (source.first + np.arange(flat.size) % source.count)
    return flat.reshape(refs.shape)
