"""Random models that have pairs (layout/pairs.py), or nearly: words that attend to each other, and layers' products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from plonnx.gadgets import Builder, Cells, Function, OutOfRange
from plonnx.gadgets.function import apply
from plonnx.gadgets.linear.embedding import embedded
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.standing_rows import standing_rows
from tests.properties.models import Choices, Integers, LaidOut, Model, lay_out, residual

TAP = np.zeros((1, 1), np.int64)


class _Drawing(Choices):
    """Tensors [channels, tokens] of some heads; of one token many heads, which take P as a factor."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.builder = Builder(8)
        self.inputs: dict[str, Integers] = {}
        self.tokens = self.pick([1, *range(1, 7)])
        self.heads = self.between(1, 3) if self.tokens > 1 else self.between(4, 9)
        self.size = self.between(1, 3)
        self.width = self.heads * self.size

    def seldom(self) -> bool:
        return self.between(0, 3) == 0

    def layer(self, x: Cells, taps: Integers) -> Cells:
        """Queries, keys and values in one layer."""
        weights = self.integers(9, (len(x.refs), len(taps), 3 * self.width)) * 8
        bias = self.integers(99, (3 * self.width,)) if self.coin() else None
        return self.builder.convolution(x, weights, taps, bias, (self.tokens,), "layer")

    def parts(self, layer: Cells) -> list[Cells]:
        """Of some channels, so many for each part, in any order."""
        order = self.random.permutation(len(layer.refs) // self.width).tolist()
        return [layer[part * self.width : (part + 1) * self.width] for part in order]

    def with_ones(self, x: Cells) -> Cells:
        """[.., channels], and a channel or two beside them that no layer makes, or none."""
        shape = (*x.shape[:2], self.between(0, 2))
        if self.coin() or not shape[2]:
            return x
        return Cells.concatenate([x, self.builder.sum([], np.full(shape, 7 << 8), "ones")], 2)

    def by_rows(self, x: Cells) -> Cells:
        return self.by_columns(x).transpose((0, 2, 1))

    def by_columns(self, x: Cells) -> Cells:
        return x.reshape(self.heads, self.size, self.tokens)

    def words(self) -> Model:
        """Words and places, norms, attention and what is added to: numbers may be positive parts."""
        b, tokens, width, rows = self.builder, self.tokens, self.width, self.between(2, 6)
        x = b.input("x", (tokens,), public=self.coin())
        self.inputs["x"] = self.random.integers(0, rows, (1, tokens))
        x = b.relu(x, "number") if self.seldom() else x
        matrix = self.integers(20, (rows, width))
        added = self.integers(9, (tokens, width)) if self.coin() else None
        words = embedded(b, x, matrix, "words") if self.seldom() else standing_rows(b, x, matrix, added, "words")
        if self.coin():
            others = self.integers(9, (rows, width))
            again = embedded(b, x, others, "again") if self.coin() else standing_rows(b, x, others, None, "again")
            b.output("again", again)
        stream = words.transpose((1, 0))
        if self.coin():
            b.output("squares", square_sum(b, stream, 3, "squares"))
        if self.coin():
            groups = self.pick([1, self.heads])
            factors = b.input("factors", (groups, tokens), public=False)
            self.inputs["factors"] = self.integers(9, (1, groups, tokens))
            b.output("scaled", row_product(b, stream, factors, 16, "scaled"))
        q, k, v = self.parts(self.layer(stream, TAP))
        if self.seldom():  # rows of a matrix, and no layer's
            both = standing_rows(b, x, self.integers(9, (rows, 2 * width)), None, "both")
            q, k = self.parts(both.transpose((1, 0)))
        elif self.seldom():
            k = v
        scores = matmul(b, self.by_rows(q), self.by_columns(k), 8, "scores")
        if self.coin():
            table = self.integers(200, (511,))
            scores = apply(b, Function("table", -255, table), scores, "shares", fuse=self.between(0, 3) > 0)
        if self.coin():
            b.output("scores", scores)
        mixed = matmul(b, scores, self.with_ones(self.by_rows(v)), 8, "mixed").transpose((0, 2, 1))
        mixed = mixed[:, : self.size].reshape(width, tokens)
        result = residual(b, mixed, self.integers(9, (width, width)) * 8, None, [(stream, 64)], "result")
        b.output("result", result)
        if self.coin():
            b.output("squares after", square_sum(b, result, 1, "squares after"))
        return Model(b, self.inputs)

    def layers(self) -> Model:
        """A layer, behind a stride or not, whose parts others read, too; and its scores, which may be masked."""
        b, tokens, stride = self.builder, self.tokens, self.pick([1, 1, 2, 3])
        x = b.input("x", (3, tokens * stride), public=self.coin())
        self.inputs["x"] = self.integers(20, (1, *x.shape))
        if stride > 1 or self.coin():
            kernel, at = self.integers(9, (3, stride, 4)) * 16, np.arange(stride)[:, None]
            x = b.convolution(x, kernel, at, None, (tokens,), "before", strides=(stride,))
        window = np.arange(self.between(1, 2))[:, None] - self.between(0, 1)
        layer = self.layer(x, window if self.seldom() else TAP)
        q, k, v = self.parts(layer)
        self.read_elsewhere(layer, q, k, v)
        if self.seldom():
            q, k = (b.relu(q, "positive"), k) if self.coin() else (q, b.relu(k, "positive"))
        rows, columns = self.by_rows(q), self.by_columns(k)
        if self.seldom():
            columns = columns[:, :, ::-1]
        scores = matmul(b, rows, columns, self.between(1, 29), "scores")
        b.output("scores", scores)
        if self.seldom():
            left, right = self.pick([(self.by_rows(v), columns), (rows, self.by_columns(v))])
            b.output("second", matmul(b, left, right, 7, "second"))
        match self.between(0, 3):
            case 0:
                b.output("mixed", matmul(b, scores, self.by_rows(v), 5, "mixed"))
            case 1:
                masked = np.where(np.tri(tokens, dtype=bool)[:: self.pick([1, -1])], scores.refs, -1)
                b.output("mixed", matmul(b, Cells(masked, scores.low, scores.high), self.by_rows(v), 5, "mixed"))
            case 2:
                flat = scores.transpose((0, 2, 1)).reshape(-1, tokens)
                b.output("mixed", residual(b, flat, self.integers(9, (len(flat.refs), 2)), None, [], "mixed"))
        return Model(b, self.inputs)

    def read_elsewhere(self, layer: Cells, q: Cells, k: Cells, v: Cells) -> None:
        """By nobody, in three cases of four."""
        b = self.builder
        match self.between(0, 15):
            case 0:
                b.output("layer", layer)
            case 1:
                b.output("part", self.pick([q, k, v]))
            case 2:
                part = self.pick([q, k, v])
                b.output("other", residual(b, part, self.integers(9, (self.width, 2)), None, [], "other"))
            case 3:
                b.output("squares", square_sum(b, v, 3, "squares"))


def words(seed: int) -> Model:
    """Words that attend to each other, by layers or as they are."""
    return _Drawing(seed).words()


def layers(seed: int) -> Model:
    """Products of a layer's parts, and others who read these."""
    return _Drawing(seed).layers()


def in_range(model: Model) -> bool:
    """Whether each value has a unit that holds it: it seldom has none."""
    try:
        model.builder.run(model.inputs)
    except OutOfRange:
        return False
    return True


def has_pairs(case: LaidOut) -> bool:
    """Whether a layer's runs take turns."""
    return any(place.paired for place in case.layout.places)


def takes_turns(case: LaidOut) -> bool:
    """Whether values stand above scores (layout/stacked.py)."""
    return any(place.turn is not None for place in case.layout.places)


def _laid_out(drawn: Callable[[int], Model]) -> st.SearchStrategy[LaidOut]:
    return st.builds(
        lay_out,
        st.builds(drawn, seed=st.integers(0, 2**32 - 1)).filter(in_range),
        lanes=st.integers(1, 5),
        weight_columns=st.integers(1, 4),
        group=st.integers(1, 3),
        packing=st.integers(1, 3),
        copying=st.integers(0, 4),
        apart=st.sampled_from([0, 0, 0, 1]),
    )


of_words, of_layers = _laid_out(words), _laid_out(layers)
laid_out = of_words | of_layers
