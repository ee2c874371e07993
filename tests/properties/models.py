"""Random models straight from the Builder, and random shapes to lay them out in: what the property tests draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from plonnx.compiler.arithmetize import arithmetize
from plonnx.compiler.cost import smallest_k
from plonnx.compiler.explain import label
from plonnx.compiler.layout import Layout, LayoutError, Shape
from plonnx.gadgets import Builder, Cells
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
        done = self.model.builder.run(self.model.inputs)
        values = {f"input {name}": array for name, array in self.model.inputs.items()}
        values |= {f"output {o.name}": self.model.builder.read(done, o.cells) for o in self.model.builder.outputs}
        return Witness(tuple(self.layout.advice(done)), pack(self.layout.tensors, values))

    def failures(self, witness: Witness) -> list[Failure]:
        """What the MockProver says of a witness."""
        return MockProver(self.circuit(), witness, label(self.layout)).failures()


def lay_out(model: Model, lanes: int, weight_columns: int, group: int = 3, spare: int = 0, packing: int = 1) -> LaidOut:
    """In the least k that holds the rows, plus `spare`. One lane takes every model, more may be refused."""
    try:
        rows = Layout(model.builder, Shape(0, lanes, weight_columns, 1)).rows
    except LayoutError:
        assert lanes > 1
        return lay_out(model, 1, weight_columns, group, spare, packing)
    shape = Shape(smallest_k(rows) + spare, lanes, weight_columns, group, packing)
    return LaidOut(model, Layout(model.builder, shape))


class _Drawing:
    """One random model under construction."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.builder = Builder(self.between(3, 7), draw(st.booleans()), WEIGHT_BITS, BIAS_BITS)
        self.size = self.builder.table_size
        self.random = np.random.default_rng(self.between(0, 2**32 - 1))
        self.pool: list[Cells] = []
        self.inputs: dict[str, Integers] = {}
        self.made = 0

    def between(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def pick(self, choices: list[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def name(self) -> str:
        self.made += 1
        return f"t{self.made}"

    def integers(self, reach: int, shape: tuple[int, ...]) -> Integers:
        return self.random.integers(-reach, reach, shape, endpoint=True)

    def input(self) -> None:
        shape = tuple(self.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
        while np.prod(shape) > MOST:
            shape = shape[1:]
        name = self.name()
        self.pool.append(self.builder.input(name, shape, public=self.draw(st.booleans())))
        self.inputs[name] = self.integers(self.size - 1, (1, *shape))

    def matrix(self, x: Cells) -> Cells:
        rows = self.pick([r for r in range(1, 7) if x.refs.size % r == 0])
        return x.reshape(rows, -1)

    def linear(self, x: Cells | None = None) -> None:
        x = self.pick(self.pool) if x is None else x
        if x.refs.size <= 6 and self.draw(st.booleans()):
            x = x.reshape(1, -1).broadcast_to((self.between(2, 6), x.refs.size))
        elif len(x.shape) != 2:
            x = self.matrix(x)
        outputs = self.between(1, 5)
        if x.shape[0] * outputs > MOST:
            return
        inner = x.shape[1]
        budget = self.size * (self.size - 2)  # every |y| stays below, so that |v| < T
        weights = self.integers(budget // (2 * inner * (self.size - 1)), (inner, outputs))
        bias = self.integers(budget // 2, (outputs,)) if self.draw(st.booleans()) else None
        self.pool.append(self.builder.linear(x, weights, bias, self.name()))

    def sum(self, x: Cells | None = None) -> None:
        x = self.pick(self.pool) if x is None else x
        count = self.between(1, 3)
        others = [p for p in self.pool if x.refs.size % p.refs.size == 0]
        terms = [x]
        for _ in range(count - 1):
            y = self.pick(others)
            repeats = x.refs.size // y.refs.size
            terms.append(y.reshape(1, -1).broadcast_to((repeats, y.refs.size)).reshape(*x.shape))
        budget = self.size * (self.size - 2)
        reach = budget // (2 * count * (self.size - 1))
        coefficients = [self.between(-reach, reach) for _ in terms]
        constant = None
        match self.between(0, 2):
            case 1:
                constant = np.full(x.shape, self.between(-(budget // 2), budget // 2))
            case 2:
                constant = self.integers(budget // 2, x.shape)
        self.pool.append(self.builder.sum(list(zip(terms, coefficients, strict=True)), constant, self.name()))

    def mixed(self) -> None:
        x = self.pick(self.pool)
        y = Cells.concatenate([x.reshape(-1), self.builder.relu(x, self.name()).reshape(-1)], 0)
        if y.refs.size <= MOST:
            self.pool.append(y)
            self.sum(y)

    def again(self) -> None:
        x, y = self.pick(self.pool).reshape(-1), self.builder.relu(self.pick(self.pool), self.name()).reshape(-1)
        if 2 * x.refs.size + y.refs.size <= MOST:
            self.pool.append(Cells.concatenate([x, y, x], 0))

    def blend(self) -> None:
        """A layer that reads values and positive parts, each in rows of its own."""
        x = self.matrix(self.pick(self.pool))
        y = x.transpose() if self.draw(st.booleans()) else x
        if 2 * y.refs.size <= MOST:
            self.linear(Cells.concatenate([y, self.builder.relu(y, self.name())], 1))

    def relu(self) -> None:
        self.pool.append(self.builder.relu(self.pick(self.pool), self.name()))

    def transpose(self) -> None:
        self.pool.append(self.matrix(self.pick(self.pool)).transpose())

    def take(self) -> None:
        x = self.pick(self.pool)
        axis = self.between(0, len(x.shape) - 1)
        self.pool.append(x.take(self.draw(st.lists(st.integers(0, x.shape[axis] - 1), min_size=1, max_size=4)), axis))

    def concatenate(self) -> None:
        parts = [self.pick(self.pool).reshape(-1) for _ in range(self.between(2, 3))]
        if sum(p.refs.size for p in parts) <= MOST:
            self.pool.append(Cells.concatenate(parts, 0))

    def model(self) -> Model:
        for _ in range(self.between(1, 3)):
            self.input()
        shapes = [self.transpose, self.take, self.concatenate]
        steps = [self.linear, self.linear, self.blend, self.sum, self.sum, self.mixed, self.again, self.relu, *shapes]
        for _ in range(self.between(2, 9)):
            self.pick(steps)()
        for i in range(self.between(1, 3)):
            x = self.pick(self.pool)
            self.builder.output(f"out{i}", x, public=self.draw(st.booleans()))
        return Model(self.builder, self.inputs)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A random DAG of linear layers, sums, ReLUs and re-indexings over small tensors, with random integers in it."""
    return _Drawing(draw).model()


@st.composite
def laid_out(draw: st.DrawFn) -> LaidOut:
    """A random model in a random shape."""
    return lay_out(
        draw(models()),
        lanes=draw(st.integers(1, 6)),
        weight_columns=draw(st.integers(1, 5)),
        group=draw(st.integers(1, 4)),
        spare=draw(st.integers(0, 1)),
        packing=draw(st.integers(1, 4)),
    )
