"""The builder: operators call it for inputs, linear layers, sums, ReLUs and outputs; it records blocks of units.

`Builder.run` is the one definition of the integer arithmetic: the accuracy report and the witness both come from it.
T = 2^table_bits is the range table's size; every value v has |v| < T, and every linear result y is rescaled by
exactly T, half up: v = floor((y + T/2) / T). Knows nothing of rows and columns (compiler/layout.py does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.cells import POSITIVE, SIGNED, Cells

Integers = NDArray[np.int64]
LIMIT = 1 << 62  # exact sums stay below, far under r/2 and inside int64


class Overflow(ValueError):
    """Bounds that do not hold: the exact sum of a layer could leave 62 bits."""


class TooWide(ValueError):
    """A hidden value outside its declared width."""

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class OutOfRange(ValueError):
    """A value outside the range that calibration fixed."""

    def __init__(self, tensor: str, value: int, limit: int) -> None:
        super().__init__(f"tensor {tensor}: the value {value} is outside the calibrated range (|v| <= {limit})")
        self.tensor, self.value, self.limit = tensor, value, limit


@dataclass(frozen=True, eq=False)
class Block:
    """Units `first` .. `first + count - 1`, made together. The base of the gadgets below."""

    name: str
    first: int
    count: int

    @property
    def units(self) -> Integers:
        """The unit numbers."""
        return np.arange(self.first, self.first + self.count)


@dataclass(frozen=True, eq=False)
class Input(Block):
    """A graph input: values that the prover is given."""

    shape: tuple[int, ...]
    public: bool


@dataclass(frozen=True, eq=False)
class Linear(Block):
    """y = x W + b for x [R, K] (refs), W [K, N], b [N]; units [R, N] row-major, rescaled by T."""

    x: Integers
    weights: Integers
    bias: Integers | None

    def sums(self, values: Integers) -> Integers:
        """The exact y [samples, R * N] from x's values [samples, R * K] (column order of refs)."""
        rows, inner = self.x.shape
        y = exact_matmul(values.reshape(-1, inner), self.weights)
        if self.bias is not None:
            y += self.bias
        return y.reshape(len(values), rows * self.weights.shape[1])

    @property
    def operands(self) -> Integers:
        """The refs that `sums` reads."""
        return self.x.reshape(-1)


@dataclass(frozen=True, eq=False)
class Sum(Block):
    """y = sum_k coefficient_k x_k + constant, elementwise over N; refs [terms, N]; units [N], rescaled by T."""

    terms: Integers
    coefficients: tuple[int, ...]
    constant: Integers | None

    def sums(self, values: Integers) -> Integers:
        """The exact y [samples, N] from the terms' values [samples, terms * N]."""
        weights = np.array(self.coefficients, np.int64)[:, None]
        y: Integers = (values.reshape(len(values), *self.terms.shape) * weights).sum(axis=1)
        return y if self.constant is None else y + self.constant

    @property
    def operands(self) -> Integers:
        """The refs that `sums` reads."""
        return self.terms.reshape(-1)


@dataclass(frozen=True)
class Output:
    """A graph output: a tensor of refs."""

    name: str
    cells: Cells
    public: bool


@dataclass(frozen=True)
class Execution:
    """Integers of one run: `values` [samples, units]; `sums`, of linear blocks, before rescaling."""

    values: Integers
    sums: Integers


@dataclass
class Builder:
    """Records blocks. table_bits: T = 2^table_bits.

    hidden: weights, biases and constants are the prover's secret, of weight_bits and bias_bits (two's complement).
    Bounds, blocks and layout then follow from these widths and from shapes alone, never from a value.
    """

    table_bits: int
    hidden: bool = False
    weight_bits: int = 16
    bias_bits: int = 32
    blocks: list[Block] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    named: dict[str, Cells] = field(default_factory=dict)

    @property
    def table_size(self) -> int:
        """T."""
        return 1 << self.table_bits

    @property
    def unit_count(self) -> int:
        """Units of all blocks."""
        return self.blocks[-1].first + self.blocks[-1].count if self.blocks else 0

    @property
    def inputs(self) -> list[Input]:
        """The graph inputs, in graph order."""
        return [block for block in self.blocks if isinstance(block, Input)]

    def input(self, name: str, shape: Sequence[int], public: bool = True) -> Cells:
        """A graph input with |v| < T."""
        count = int(np.prod(shape, dtype=np.int64))
        self.blocks.append(Input(name, self.unit_count, count, tuple(shape), public))
        return self._name(name, self._fresh(count, tuple(shape)))

    def linear(self, x: Cells, weights: Integers, bias: Integers | None, name: str) -> Cells:
        """x [R, K], weights [K, N], bias [N] or None -> [R, N]. Raises Overflow where x W + b could leave 62 bits."""
        rows, inner = x.shape
        weights = np.ascontiguousarray(weights, np.int64)
        if weights.shape[0] != inner:
            raise ValueError(f"{name}: x has {inner} columns, the weights {weights.shape[0]} rows")
        reach = max(abs(x.low), abs(x.high))
        if self.hidden:
            bias = self._hidden_constant(name, bias, weights.shape[1:])
            self._fits(f"a weight of {name}", weights, self.weight_bits, "--weight-bits")
            bound = float(inner << (self.weight_bits - 1)) * reach + float(1 << (self.bias_bits - 1))
        else:
            bias = None if bias is None or not np.any(bias) else np.ascontiguousarray(bias, np.int64)
            bound = float(np.abs(weights.astype(np.float64)).sum(axis=0).max(initial=0)) * reach
            bound += 0.0 if bias is None else float(np.abs(bias.astype(np.float64)).max(initial=0))
        self._bounded(name, bound)
        count = rows * weights.shape[1]
        self.blocks.append(Linear(name, self.unit_count, count, x.refs.copy(), weights, bias))
        return self._name(name, self._fresh(count, (rows, weights.shape[1])))

    def sum(self, terms: Sequence[tuple[Cells, int]], constant: Integers | None, name: str) -> Cells:
        """sum of coefficient * cells + constant, all of one shape -> that shape. Raises Overflow as `linear`."""
        shape = terms[0][0].shape
        refs = np.stack([cells.refs.reshape(-1) for cells, _ in terms])
        coefficients = tuple(int(coefficient) for _, coefficient in terms)
        bound = float(sum(abs(c) * max(abs(x.low), abs(x.high)) for x, c in terms))
        flat = None
        if self.hidden and constant is not None:
            flat = self._hidden_constant(name, constant, shape).reshape(-1)
            bound += float(1 << (self.bias_bits - 1))
        elif constant is not None and np.any(constant):
            flat = np.ascontiguousarray(np.broadcast_to(constant, shape), np.int64).reshape(-1)
            bound += float(np.abs(flat.astype(np.float64)).max())
        self._bounded(name, bound)
        self.blocks.append(Sum(name, self.unit_count, refs.shape[1], refs, coefficients, flat))
        return self._name(name, self._fresh(refs.shape[1], shape))

    def relu(self, x: Cells, name: str) -> Cells:
        """max(x, 0): the positive part of the same units, no new cell."""
        return self._name(name, Cells(x.refs | POSITIVE, 0, max(x.high, 0)))

    def output(self, name: str, x: Cells, public: bool = True) -> None:
        """Declare a graph output."""
        self.outputs.append(Output(name, x, public))

    def run(self, inputs: Mapping[str, Integers]) -> Execution:
        """Run on integers: each input (samples, *shape). OutOfRange names the tensor, KeyError a missing input."""
        samples = len(next(iter(inputs.values())))
        values = np.zeros((samples, self.unit_count), np.int64)
        sums = np.zeros_like(values)
        half, bits = self.table_size >> 1, self.table_bits
        for block in self.blocks:
            span = slice(block.first, block.first + block.count)
            if isinstance(block, Input):
                values[:, span] = np.asarray(inputs[block.name], np.int64).reshape(samples, block.count)
            elif isinstance(block, Linear | Sum):
                sums[:, span] = block.sums(view(values, block.operands))
                values[:, span] = (sums[:, span] + half) >> bits
            self._check_range(block.name, values[:, span])
        return Execution(values, sums)

    def evaluate(self, inputs: Mapping[str, Integers]) -> dict[str, Integers]:
        """The outputs (samples, *shape) by name."""
        done = self.run(inputs)
        return {o.name: self.read(done, o.cells) for o in self.outputs}

    def trace(self, inputs: Mapping[str, Integers]) -> dict[str, Integers]:
        """Every named tensor (samples, *shape), inner ones too."""
        done = self.run(inputs)
        return {name: self.read(done, cells) for name, cells in self.named.items()}

    def read(self, done: Execution, cells: Cells) -> Integers:
        """The values (samples, *shape) of some cells."""
        return view(done.values, cells.refs.reshape(-1)).reshape(-1, *cells.shape)

    def _fresh(self, count: int, shape: tuple[int, ...]) -> Cells:
        refs = 2 * np.arange(self.unit_count - count, self.unit_count) + SIGNED
        return Cells(refs.reshape(shape), 1 - self.table_size, self.table_size - 1)

    def _name(self, name: str, cells: Cells) -> Cells:
        self.named[name] = cells
        return cells

    def _hidden_constant(self, name: str, constant: Integers | None, shape: tuple[int, ...]) -> Integers:
        """A hidden bias or constant, in full: zeros where there is none."""
        full = np.zeros(shape, np.int64) if constant is None else np.broadcast_to(constant, shape).astype(np.int64)
        self._fits(f"the bias of {name}", full, self.bias_bits, "--bias-bits")
        return full

    @staticmethod
    def _fits(what: str, values: Integers, bits: int, flag: str) -> None:
        needed = 1 + max(int(values.max(initial=0)).bit_length(), (-1 - int(values.min(initial=0))).bit_length())
        if needed > bits:
            raise TooWide(f"{what} needs {needed} bits, the model declares {bits}: give {flag} {needed}", needed)

    def _bounded(self, name: str, bound: float) -> None:
        if bound + self.table_size >= LIMIT:
            reach = int(np.log2(bound)) + 1
            mend = "fewer table bits or smaller --weight-bits" if self.hidden else "fewer table bits"
            raise Overflow(f"{name}: its exact sum can reach {reach} bits, more than 62: {mend} are needed")

    def _check_range(self, name: str, values: Integers) -> None:
        limit = self.table_size - 1
        if values.size and max(-int(values.min()), int(values.max())) > limit:
            worst = values.reshape(-1)[np.argmax(np.abs(values))]
            raise OutOfRange(name, int(worst), limit)


def view(values: Integers, refs: Integers) -> Integers:
    """The values [samples, refs] that references stand for."""
    chosen = values[:, refs >> 1]
    positive = (refs & 1).astype(bool)
    return np.where(positive, np.maximum(chosen, 0), chosen)


def exact_matmul(x: Integers, weights: Integers) -> Integers:
    """x @ weights in exact integers; through float64 (BLAS) where every partial sum stays below 2^53."""
    reach = float(np.abs(x).max(initial=0)) * float(np.abs(weights).sum(axis=0, dtype=np.float64).max(initial=0))
    if reach < 2.0**53:
        return (x.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)
    return x @ weights
