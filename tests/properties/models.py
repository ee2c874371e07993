"""Random models straight from the Builder, and random shapes to lay them out in: what the property tests draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import gcd
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.gadgets import Builder, Cells, Function
from plonnx.gadgets.comparison import compare
from plonnx.gadgets.function import apply
from plonnx.gadgets.keyed import look_up
from plonnx.gadgets.linear.combination import combination
from plonnx.gadgets.linear.magnitude_sum import magnitude_sum
from plonnx.gadgets.linear.matmul import matmul
from plonnx.gadgets.linear.row_product import row_product
from plonnx.gadgets.linear.shared import SharedWeights
from plonnx.gadgets.linear.square_sum import square_sum
from plonnx.gadgets.linear.window import Term, largest, window_sum
from plonnx.gadgets.maximum import maximum
from plonnx.gadgets.path import walk
from plonnx.gadgets.product import multiply
from plonnx.gadgets.product_sum import Link, product_sum
from plonnx.gadgets.quadratic import Quadratic
from plonnx.gadgets.select import select
from plonnx.gadgets.shelf import FIRST, Shelf, shelve
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.explain import label
from plonnx.layout.planner import Layout
from plonnx.layout.search import weight_choices
from plonnx.layout.shape import Shape, smallest_k
from plonnx.layout.witness import Filler
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.mock import Failure, MockProver
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import pack

Integers = NDArray[np.int64]
MOST = 24  # values of a tensor
WEIGHT_BITS, BIAS_BITS = 11, 15  # of hidden models


@dataclass(frozen=True)
class Model:
    """A builder and one inference's inputs (samples = 1)."""

    builder: Builder
    inputs: dict[str, Integers]

    def __repr__(self) -> str:
        blocks = ", ".join(f"{type(b).__name__}({b.name} x{b.count})" for b in self.builder.blocks)
        outputs = ", ".join(f"{o.name}{list(o.cells.shape)}" for o in self.builder.outputs)
        kind = "hidden model" if self.builder.hidden else "Model"
        return f"{kind}(T=2^{self.builder.table_bits}: {blocks} -> {outputs})"


@dataclass(frozen=True)
class LaidOut:
    """A model in a shape, with its honest witness."""

    model: Model
    layout: Layout

    def circuit(self) -> Circuit:
        """A fresh PLONK circuit."""
        return arithmetize(self.layout, "random", self.layout.tensors)

    def witness(self) -> Witness:
        """The honest witness."""
        done, filler = self.model.builder.run(self.model.inputs), Filler(self.layout)
        values = {f"input {name}": array for name, array in self.model.inputs.items()}
        values |= {f"output {o.name}": self.model.builder.read(done, o.cells) for o in self.model.builder.outputs}
        public = pack(self.layout.tensors, values)
        return Witness(filler.advice(done), public, later=partial(filler.later, done))

    @cached_property
    def _mock(self) -> MockProver:
        return MockProver(self.circuit(), label(self.layout))

    def failures(self, witness: Witness) -> list[Failure]:
        """What the MockProver says of a witness."""
        return self._mock.failures(witness)


def lay_out(
    model: Model,
    lanes: int,
    weight_columns: int,
    group: int = 3,
    spare: int = 0,
    packing: int = 1,
    copying: int = 0,
    apart: int = 0,
    parts: bool = False,
) -> LaidOut:
    """In the least k that holds the rows, plus `spare`; with as many weight columns as its convolutions ask for.

    parts: as if somebody read positive parts, so that cells are not signed.
    """
    columns, few = max(weight_columns, next(iter(weight_choices(model.builder)))), copying if copying < lanes else 0
    rows = Layout(model.builder, Shape(0, lanes, columns, 1, copying=few, apart=apart)).rows
    layout = Layout(model.builder, Shape(smallest_k(rows) + spare, lanes, columns, group, packing, few, apart))
    layout.reads_parts |= parts
    return LaidOut(model, layout)


def residual(
    builder: Builder,
    x: Cells,
    weights: Integers,
    bias: Integers | None,
    terms: Sequence[tuple[Cells, int]],
    name: str,
    layers: Sequence[int] = (),
) -> Cells:
    """A dense layer x [K, R] by weights [K, N] and bias [N], and terms [N, R] with a coefficient each: [N, R].

    The channels may be those of several layers, so many each.
    """
    tap = np.zeros((1, 1), np.int64)
    return builder.convolution(x, weights[:, None, :], tap, bias, x.shape[1:], name, terms=terms, layers=layers)


class Choices:
    """What a seed draws, evenly."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def between(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high, endpoint=True))

    def coin(self) -> bool:
        return bool(self.between(0, 1))

    def pick(self, choices: list[Any]) -> Any:
        return choices[self.between(0, len(choices) - 1)]

    def integers(self, reach: int, shape: tuple[int, ...]) -> Integers:
        return self.random.integers(-reach, reach, shape, endpoint=True)


class _Drawing(Choices):
    """One random model under construction: a seed makes all its choices, evenly."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__(seed)
        self.count = steps
        self.builder = Builder(self.between(3, 7), self.coin(), WEIGHT_BITS, BIAS_BITS)
        self.size = self.builder.table_size
        self.budget = self.size * (self.size - 2)  # every |y| stays below, so that |v| < T
        self.pool: list[Cells] = []
        self.inputs: dict[str, Integers] = {}
        self.made = 0

    def name(self) -> str:
        self.made += 1
        return f"t{self.made}"

    def input(self) -> None:
        shape = tuple(self.between(1, 4) for _ in range(self.between(1, 3)))
        while np.prod(shape) > MOST:
            shape = shape[1:]
        name, boolean = self.name(), not self.between(0, 4)
        kept = {} if boolean or self.between(0, 2) else {self.pick(["narrow", "step"]): 1 << self.between(0, 2)}
        x = self.builder.input(name, shape, self.coin(), boolean, natural=bool(kept) and self.coin(), **kept)
        self.pool.append(x)
        drawn, step = self.integers(self.size - 1, (1, *shape)), kept.get("step", 1)
        self.inputs[name] = x.low + (drawn - x.low) % (x.high - x.low + step) // step * step

    def tensor(self) -> Cells:
        """One that is there; as often as not one of the newest two, so that steps read each other."""
        return self.pick(self.pool[-2:] if self.coin() else self.pool)  # type: ignore[no-any-return]

    def matrix(self, x: Cells) -> Cells:
        rows = self.pick([r for r in range(1, 7) if x.refs.size % r == 0])
        return x.reshape(rows, -1)

    def linear(self, x: Cells | None = None) -> None:
        x = self.tensor() if x is None else x
        if x.refs.size <= 6 and self.coin():
            x = x.reshape(1, -1).broadcast_to((self.between(2, 6), x.refs.size))
        elif len(x.shape) != 2:
            x = self.matrix(x)
        outputs = self.between(1, 5)
        if x.shape[0] * outputs > MOST:
            return
        if not self.between(0, 3):
            x = x.pad([(0, 0), (1, 0)])
        inner = x.shape[1]
        weights = self.integers(self.budget // (2 * inner * (self.size - 1)), (inner, outputs))
        bias = self.bias(self.budget // 2, outputs, x.shape[:1])
        self.add(self.builder.linear(x, weights, None if bias is None else bias.T, self.name()))

    def bias(self, reach: int, outputs: int, shape: Sequence[int]) -> Integers | None:
        """None, one for each output, or one for each of its positions where there may be such."""
        if not self.coin():
            return None
        return self.integers(reach, (outputs, *(() if self.builder.hidden or self.between(0, 2) else shape)))

    def convolution(self) -> None:
        """Over one to three axes, taps anywhere, strides, one group of channels to one each, and what is added."""
        x = self.grid(self.tensor())
        axes = len(x.shape) - 1
        if not self.between(0, 3):  # a channel of zeros that no cell holds
            x = x.pad([(0, 1), *[(0, 0)] * axes])
        groups = self.pick([g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0])
        taps = self.between(1, 4)
        offsets = self.random.integers(-2, 3, (taps, axes))
        shape = tuple(self.between(1, 4) for _ in range(axes))
        outputs = self.between(1, 3)
        if groups * outputs * np.prod(shape) > 2 * MOST:
            return
        inner = x.shape[0] // groups * taps
        weights = self.integers(self.budget // (2 * inner * (self.size - 1)), (x.shape[0], taps, outputs))
        bias = self.bias(self.budget // 2, groups * outputs, shape)
        strides = () if self.coin() else [self.between(1, 3) for _ in range(axes)]
        fitting = [p for p in self.pool if p.refs.size == groups * outputs * np.prod(shape)]
        terms, bound = [], self.budget // (8 * (self.size - 1))
        if fitting and self.coin() and not self.builder.hidden:
            terms = [(self.pick(fitting).reshape(-1, *shape), self.between(-bound, bound)) for _ in range(2)]
            bias = None if bias is None else bias // 4
        layer = x, weights, offsets, bias, shape, self.name(), groups
        self.add(self.builder.convolution(*layer, terms=terms, strides=strides))

    def depthwise(self) -> None:
        """A group for each of many channels: they take their power of chi from P."""
        x = self.tensor()
        if x.refs.size % 2 or not 10 <= x.refs.size <= MOST:
            x = x.reshape(1, -1).broadcast_to((self.between(5, 6), x.refs.size)).take(range(min(4, x.refs.size)), 1)
        x = x.reshape(x.refs.size // 2, 2) if x.refs.size % 2 == 0 else x.reshape(-1, 1)
        weights = self.integers(self.budget // (4 * (self.size - 1)), (x.shape[0], 2, 1))
        offsets = self.random.integers(-1, 2, (2, 1))
        self.add(self.builder.convolution(x, weights, offsets, None, (2,), self.name(), x.shape[0]))

    def add(self, x: Cells) -> None:
        """A linear block's cells into the pool; or through a function that joins the block."""
        if self.between(0, 3) or not self.builder.makes(x):
            self.pool.append(x)
        else:
            function = self.polynomial(x) if self.coin() else self.function(x)
            self.pool.append(apply(self.builder, function, x, self.name(), fuse=True))

    def polynomial(self, x: Cells, integral: bool = True) -> Quadratic:
        """One whose values a unit holds, whatever x is."""
        reach = max(1, x.reach)
        square = self.between(1, min(2 if integral else 9, max(1, self.budget // (2 * reach**2))))
        left = max(0, self.budget - square * reach**2)
        slope = self.between(0, left // (4 * reach)) * (2 if integral else 1)
        constant = self.between(-(left // 2), left // 2)
        signs = self.random.choice([-1, 1], 2).tolist()
        return Quadratic(self.name(), x.low, x.high, signs[0] * square, signs[1] * slope, constant)

    def curve(self) -> None:
        x = self.tensor()
        self.pool.append(apply(self.builder, self.polynomial(x, integral=False), x, self.name()))

    def function(self, x: Cells) -> Function:
        """A random table over what x can be, or one that is there already."""
        known = [f for f in self.builder.functions if f.low <= x.low and x.high <= f.high]
        if known and self.between(0, 1):
            return self.pick(known)  # type: ignore[no-any-return]
        return Function(self.name(), x.low, self.integers(self.size - 1, (x.high - x.low + 1,)))

    def lookup(self) -> None:
        x = self.tensor()
        self.pool.append(apply(self.builder, self.function(x), x, self.name()))

    def maximum(self) -> None:
        """Of positive parts, or of halves: any two are less than T apart."""
        x = self.tensor()
        halves = self.halves(x)
        candidates = [self.pick([halves, self.builder.relu(halves, "r"), halves.reshape(-1)[::-1].reshape(*x.shape)])]
        if x.low >= 0:
            candidates.append(x)
        for _ in range(self.between(0, 3)):
            order = self.random.permutation(x.refs.size)
            candidates.append(self.builder.relu(x, "r").reshape(-1).take(order, 0).reshape(*x.shape))
        low, high = min(c.low for c in candidates), max(c.high for c in candidates)
        if high - low >= self.size:
            candidates = [halves.reshape(-1).take(self.random.permutation(x.refs.size), 0).reshape(*x.shape), halves]
        self.pool.append(maximum(self.builder, candidates, self.name()))

    def product(self) -> None:
        x = self.tensor()
        y = self.pick([p for p in self.pool if p.refs.size == x.refs.size]).reshape(*x.shape)
        most = max(1, self.budget // max(1, x.reach * y.reach))
        self.pool.append(multiply(self.builder, x, y, self.between(1, most), self.name()))

    def product_sum(self) -> None:
        """A chain that multiplies or not, and carries or not, whatever comes together staying below T."""
        x = self.halves(self.tensor())
        others = [p for p in self.pool if p.refs.size == x.refs.size]
        links, reach, before = list[Link](), x.reach, x.reach
        for _ in range(self.between(1, 4)):
            y = self.pick(others).reshape(*x.shape)
            carried = self.between(-1, 1) * self.between(0, self.size // 2)
            room = self.size * (self.size - 1) - abs(carried) * reach - self.size
            most = max(0, room // max(1, before * y.reach))
            links.append(Link(y, self.between(-most, most), carried))
            reach, before = min(self.size - 1, room // self.size + abs(carried) * reach // self.size + 1), y.reach
        self.pool.append(product_sum(self.builder, x, links, self.name()))

    def matmul(self) -> None:
        """Of two tensors that are there, in one group or in two."""
        x, y = self.matrix(self.tensor()), self.tensor().reshape(-1)
        inner, columns = x.shape[1], max(1, min(3, y.refs.size // x.shape[1]))
        y = y.take(self.random.integers(0, y.refs.size, inner * columns), 0)
        if x.shape[0] * columns > MOST or x.refs.size + y.refs.size > 2 * MOST:
            return
        most = self.budget // max(1, inner * x.reach * y.reach)
        if most:
            groups = self.pick([g for g in (1, 2) if columns % g == 0])
            left = x.reshape(1, *x.shape).broadcast_to((groups, *x.shape))
            made = matmul(self.builder, left, y.reshape(groups, inner, -1), self.between(1, most), self.name())
            self.add(made.reshape(groups * x.shape[0], -1))

    def turned(self) -> None:
        """Rows times a number each, or sums of their squares; of a tensor that may be read in place."""
        x = self.matrix(self.tensor())
        factors = self.tensor().reshape(-1)
        if self.builder.hidden or x.refs.size > MOST:
            return
        groups = self.pick([g for g in (1, 2) if len(x.refs) % g == 0])
        each = factors.take(self.random.integers(0, factors.refs.size, groups * x.shape[1]), 0).reshape(groups, -1)
        most = self.budget // max(1, x.reach * each.reach), self.budget // max(1, len(x.refs) * x.reach**2)
        if most[0]:
            self.add(row_product(self.builder, x, each, self.between(-most[0], most[0]), self.name()))
        if most[1] and self.coin():
            self.add(square_sum(self.builder, x, self.between(1, most[1]), self.name()))
        elif most[1]:
            self.add(magnitude_sum(self.builder, x, self.between(1, most[1]), self.name()))

    def combine(self) -> None:
        """A sum in place, of a tensor in channels and others of its size."""
        x = self.grid(self.tensor())
        if self.builder.hidden:
            return
        others = [p for p in self.pool if p.refs.size == x.refs.size]
        terms = [x, *(self.pick(others).reshape(*x.shape) for _ in range(self.between(0, 2)))]
        reach = self.budget // (len(terms) * (self.size - 1))
        coefficients = [self.between(-reach, reach) for _ in terms]
        alike = [1] * len(terms)
        if self.coin():
            alike[-1] = self.pick([d for d in range(1, len(x.refs) + 1) if len(x.refs) % d == 0])
            last = terms[-1]
            terms[-1] = Cells(np.repeat(last.refs[:: alike[-1]], alike[-1], axis=0), last.low, last.high)
        self.add(combination(self.builder, list(zip(terms, coefficients, strict=True)), self.name(), alike))

    def remain(self) -> None:
        """A layer, or two side by side, and a tensor of its outputs' size, one equation each."""
        x, y = self.tensor(), self.tensor()
        if self.builder.hidden:
            return
        shared = gcd(x.refs.size, y.refs.size)
        rows = self.pick([d for d in range(1, shared + 1) if shared % d == 0])
        x, y = x.reshape(-1, rows), y.reshape(-1, rows)
        reach = self.budget // ((len(x.refs) + 1) * (self.size - 1))
        weights = self.integers(reach, (len(x.refs), len(y.refs)))
        bias = self.bias(reach, len(y.refs), (rows,))
        layers = (1, len(x.refs) - 1) if len(x.refs) > 1 and rows % 2 else ()
        terms = [(y, self.between(-reach, reach))]
        self.add(residual(self.builder, x, weights, bias, terms, self.name(), layers))

    def windows(self) -> None:
        """Sums over windows of a tensor and another, or it again, each at strides of its own."""
        x = self.tensor()
        made = self.builder.maker(int(x.refs.reshape(-1)[0]) >> 1)
        standing = made is not None and made.channels is not None and made.count == x.refs.size
        x = x.reshape(*made.channels) if standing and made is not None and made.channels else self.grid(x)
        axes, shape = len(x.shape) - 1, tuple(self.between(1, 3) for _ in x.shape[1:])
        if self.builder.hidden or x.shape[0] * np.prod(shape) > MOST:
            return
        read = [x, self.pick([p for p in self.pool if p.refs.size == x.refs.size]).reshape(*x.shape)]
        read[1] = self.pick([x, read[1], self.builder.relu(read[1], "r")])
        taps = [self.random.permutation(list(np.ndindex(*(3,) * axes)))[: self.between(1, 3)] - 1 for _ in read]
        reach = self.budget // (6 * (self.size - 1))
        terms = [
            Term(
                y,
                tuple(self.between(1, 3) for _ in shape),
                {tuple(t): self.between(-reach, reach) for t in at.tolist()},
            )
            for y, at in zip(read, taps, strict=True)
        ]
        self.add(window_sum(self.builder, terms[: self.between(1, 2)], shape, self.name()))

    def pool_in_place(self) -> None:
        """The largest of windows of positive parts."""
        x = self.builder.relu(self.grid(self.tensor()), self.name())
        if not self.builder.hidden:
            taps = [np.arange(self.between(1, 3)) - self.between(0, 1) for _ in x.shape[1:]]
            shape = [self.between(1, extent) for extent in x.shape[1:]]
            by = [self.between(1, 2) for _ in shape]
            self.pool.append(largest(self.builder, x, taps, by, shape, self.name()))

    def steps(self) -> None:
        """A layer taken two or three times, each on what the one before gave."""
        x = self.tensor().reshape(1, -1)
        if x.refs.size <= 6:
            inner, count = x.shape[1], self.between(2, 3)
            weights = self.integers(self.budget // (2 * inner * (self.size - 1)), (inner, inner))
            bias = self.integers(self.budget // 2, (inner,)) if self.coin() else None
            layer = SharedWeights(self.builder, weights, bias, count, 1, self.name())
            for _ in range(count):
                x = layer(x)
                self.pool.append(x)

    def halves(self, x: Cells) -> Cells:
        """Any two are less than T apart."""
        return self.builder.sum([(x, self.size // 2)], None, self.name())

    def compare(self) -> None:
        x = self.tensor()
        y = x.reshape(-1).take(self.random.permutation(x.refs.size), 0).reshape(*x.shape)
        if x.high - x.low >= self.size:
            x, y = self.halves(x), self.halves(y)
        apart, opposite = self.coin(), self.coin()
        self.pool.append(compare(self.builder, x, y, self.name(), apart, opposite))

    def select(self) -> None:
        """By a Boolean that is there, or by one that is made for it."""
        booleans = [x for x in self.pool if x.low >= 0 and x.high <= 1]
        if not booleans:
            self.compare()
        g = self.pick(booleans) if booleans else self.pool[-1]
        fitting = [x.reshape(*g.shape) for x in self.pool if x.refs.size == g.refs.size]
        self.pool.append(select(self.builder, g, self.pick(fitting), self.pick(fitting), self.name()))

    def path(self) -> None:
        """The leaves of two trees of one or two levels, and values of theirs."""
        x = self.matrix(self.tensor())
        taken = FIRST + 2 * sum(block.count for block in self.builder.blocks if isinstance(block, Shelf))
        if self.builder.hidden or taken + 2 * x.refs.size > self.size or x.shape[0] > MOST // 2:
            return
        depth, nodes = self.between(1, 2), []
        for tree in (0, 7):
            asked = [(tree, 1)] if depth == 1 else [(tree, 1), (tree + 1, 3), (tree + 2, 5)]
            for number, left in asked:
                threshold = self.between(-self.size, self.size - 1)
                nodes.append([number, 2 * self.between(0, x.shape[1] - 1) + (threshold < 0), threshold, left])
        shelf = shelve(self.builder, x, self.name()).reshape(*x.shape)
        leaf = walk(self.builder, shelf, np.array(nodes), np.array([0, 7]), depth, self.name())
        table = np.stack([np.arange(14), self.integers(self.size - 1, (14,))], axis=1)
        values = look_up(self.builder, leaf, np.array([0, 7]), table, self.name())
        self.pool += [leaf, values]

    def pad(self) -> None:
        x = self.tensor()
        wide = x.pad([(self.between(0, 1), self.between(0, 1)) for _ in x.shape])
        if wide.refs.size <= MOST:
            self.pool.append(wide)

    def grid(self, x: Cells) -> Cells:
        """As [channels, *grid] of one to three axes."""
        extents: list[int] = []
        rest = x.refs.size
        for _ in range(self.between(1, 3)):
            extents.append(self.pick([d for d in range(1, rest + 1) if rest % d == 0]))
            rest //= extents[-1]
        return x.reshape(rest, *extents)

    def sum(self, x: Cells | None = None) -> None:
        x = self.tensor() if x is None else x
        count = self.between(1, 3)
        others = [p for p in self.pool if x.refs.size % p.refs.size == 0]
        terms = [x]
        for _ in range(count - 1):
            y = self.pick(others)
            repeats = x.refs.size // y.refs.size
            terms.append(y.reshape(1, -1).broadcast_to((repeats, y.refs.size)).reshape(*x.shape))
        reach = self.budget // (2 * count * (self.size - 1))
        coefficients = [self.between(-reach, reach) for _ in terms]
        constant = None
        match self.between(0, 2):
            case 1:
                constant = np.full(x.shape, self.between(-(self.budget // 2), self.budget // 2))
            case 2:
                constant = self.integers(self.budget // 2, x.shape)
        self.add(self.builder.sum(list(zip(terms, coefficients, strict=True)), constant, self.name()))

    def mixed(self) -> None:
        x = self.tensor()
        y = Cells.concatenate([x.reshape(-1), self.builder.relu(x, self.name()).reshape(-1)], 0)
        if y.refs.size <= MOST:
            self.pool.append(y)
            self.sum(y)

    def again(self) -> None:
        x, y = self.tensor().reshape(-1), self.builder.relu(self.tensor(), self.name()).reshape(-1)
        if 2 * x.refs.size + y.refs.size <= MOST:
            self.pool.append(Cells.concatenate([x, y, x], 0))

    def blend(self) -> None:
        """A layer that reads values and positive parts, each in rows of its own."""
        x = self.matrix(self.tensor())
        y = x.transpose() if self.coin() else x
        if 2 * y.refs.size <= MOST:
            self.linear(Cells.concatenate([y, self.builder.relu(y, self.name())], 1))

    def relu(self) -> None:
        self.pool.append(self.builder.relu(self.tensor(), self.name()))

    def transpose(self) -> None:
        self.pool.append(self.matrix(self.tensor()).transpose())

    def take(self) -> None:
        x = self.tensor()
        axis = self.between(0, len(x.shape) - 1)
        self.pool.append(x.take(self.random.integers(0, x.shape[axis], self.between(1, 4)), axis))

    def concatenate(self) -> None:
        parts = [self.tensor().reshape(-1) for _ in range(self.between(2, 3))]
        if sum(p.refs.size for p in parts) <= MOST:
            self.pool.append(Cells.concatenate(parts, 0))

    def model(self) -> Model:
        for _ in range(self.between(1, 3)):
            self.input()
        shapes = [self.transpose, self.take, self.concatenate, self.pad, self.relu]
        sums = [self.linear, self.blend, self.sum, self.sum, self.mixed, self.again]
        gadgets = [
            self.lookup,
            self.curve,
            self.maximum,
            self.product,
            self.product_sum,
            self.compare,
            self.select,
            self.path,
        ]
        gadgets = gadgets if self.between(0, 2) else []
        products = [self.matmul, self.steps, self.turned, self.combine, self.remain, self.windows, self.pool_in_place]
        steps = [self.convolution, self.convolution, self.depthwise, *sums, *products, *gadgets, *shapes]
        favourite = self.pick([*gadgets, *products, *sums])  # every second time, so that each is met often
        for _ in range(self.count):
            favourite() if self.coin() else self.pick(steps)()
        for i in range(self.between(1, 3)):
            x = self.tensor()
            self.builder.output(f"out{i}", x, public=self.coin())
        return Model(self.builder, self.inputs)


def random_model(seed: int, steps: int) -> Model:
    """A random DAG of all kinds of blocks and of re-indexings over small tensors, with random integers in it."""
    return _Drawing(seed, steps).model()


def random_case(seed: int) -> LaidOut:
    """A random model in a random shape, of a seed alone: no version of hypothesis draws others."""
    random = np.random.default_rng([seed, 1])
    lanes, columns, group, packing, steps = (int(random.integers(1, most + 1)) for most in (6, 5, 4, 4, 8))
    return lay_out(random_model(seed, steps), lanes, columns, group, int(random.integers(2)), packing)


models = st.builds(random_model, seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 8))
laid_out = st.builds(
    lay_out,
    models,
    lanes=st.integers(1, 6),
    weight_columns=st.integers(1, 5),
    group=st.integers(1, 4),
    spare=st.integers(0, 1),
    packing=st.integers(1, 4),
    copying=st.integers(0, 3),
)
