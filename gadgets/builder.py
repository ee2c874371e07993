"""The builder: operators call it for inputs, linear layers, sums, functions, maxima, products and outputs.

It records blocks (gadgets/blocks.py). `Builder.run` is the one definition of the integer arithmetic: the accuracy
report and the witness both come from it. Knows nothing of rows and columns (layout/planner.py does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from plonnx.gadgets.blocks import (
    ABSENT,
    Block,
    Convolution,
    Function,
    Input,
    Integers,
    Linear,
    Lookup,
    Maximum,
    Product,
    Sum,
    view,
)
from plonnx.gadgets.cells import POSITIVE, SIGNED, Cells
from plonnx.kzg.wording import option

EXACT = 2.0**53  # float64 holds integers below
LIMIT = 1 << 62  # exact sums stay below, far under r/2 and inside int64


class Overflow(ValueError):
    """Bounds that do not hold: the exact sum of a layer could leave 62 bits, or candidates could lie T apart."""


class TooWide(ValueError):
    """A hidden value outside its declared width."""

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class OutOfRange(ValueError):
    """A value outside the range that calibration fixed."""

    def __init__(self, tensor: str, value: int, low: int, high: int) -> None:
        allowed = f"|v| <= {high}" if low == -high else f"{low} <= v <= {high}"
        super().__init__(f"tensor {tensor}: the value {value} is outside the calibrated range ({allowed})")
        self.tensor, self.value, self.low, self.high = tensor, value, low, high


@dataclass(frozen=True)
class Output:
    """A graph output: a tensor of refs."""

    name: str
    cells: Cells
    public: bool


@dataclass(frozen=True)
class Execution:
    """Integers of one run, [samples, units]: `values`, and `sums` before rescaling of the blocks that have them."""

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
    _zero: Cells | None = None

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

    @property
    def functions(self) -> list[Function]:
        """The functions in use, each once, in order of first use."""
        used = {id(f): f for f in (getattr(block, "function", None) for block in self.blocks) if f is not None}
        return list(used.values())

    # Gadgets ---------------------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int], public: bool = True) -> Cells:
        """A graph input with |v| < T."""
        count = int(np.prod(shape, dtype=np.int64))
        self.blocks.append(Input(name, self.unit_count, count, tuple(shape), public))
        return self._name(name, self._fresh(tuple(shape)))

    def convolution(
        self,
        x: Cells,
        weights: Integers,
        offsets: Integers,
        bias: Integers | None,
        shape: Sequence[int],
        name: str,
        groups: int = 1,
    ) -> Cells:
        """The Convolution of blocks.py: x [channels, *grid], weights [channels, taps, J] -> [groups * J, *shape].

        Absent cells of x are zeros. Raises Overflow where an exact sum could leave 62 bits.
        """
        channels = x.shape[0]
        weights = np.ascontiguousarray(weights, np.int64)
        offsets = np.ascontiguousarray(offsets, np.int64).reshape(weights.shape[1], len(shape))
        if weights.shape[0] != channels or channels % groups or len(x.shape) != 1 + len(shape):
            raise ValueError(f"{name}: x {x.shape} and weights {weights.shape} in {groups} groups do not fit")
        outputs = groups * weights.shape[2]
        reach, inner = x.reach, channels // groups * weights.shape[1]
        if self.hidden:
            bias = self._hidden_constant(name, bias, (outputs,))
            self._fits(f"a weight of {name}", weights, self.weight_bits, "weight_bits")
            bound = float(inner << (self.weight_bits - 1)) * reach + float(1 << (self.bias_bits - 1))
            interval = -bound, bound
        else:
            bias = None if bias is None or not np.any(bias) else np.ascontiguousarray(bias, np.int64)
            signed = weights.astype(np.float64).reshape(groups, inner, -1)
            above, below = (np.maximum(sign * signed, 0).sum(axis=1).reshape(-1) for sign in (1, -1))
            added = np.zeros(outputs) if bias is None else bias.astype(np.float64)
            bound = float((above + below).max(initial=0)) * reach + float(np.abs(added).max(initial=0))
            low, high = min(x.low, 0), max(x.high, 0)
            interval = (
                float((above * low - below * high + added).min(initial=0)),
                float((above * high - below * low + added).max(initial=0)),
            )
        made = (outputs, *(int(extent) for extent in shape))
        block = Convolution(*self._head(name, made), None, x.refs.copy(), weights, offsets, bias, made[1:], groups)
        return self._linear(block, made, bound, interval)

    def linear(self, x: Cells, weights: Integers, bias: Integers | None, name: str) -> Cells:
        """x [R, K], weights [K, N], bias [N] or None -> [R, N]: a convolution of K channels, R positions, one tap."""
        rows, inner = x.shape
        if weights.shape[0] != inner:
            raise ValueError(f"{name}: x has {inner} columns, the weights {weights.shape[0]} rows")
        offset = np.zeros((1, 1), np.int64)
        y = self.convolution(x.transpose((1, 0)), weights[:, None, :], offset, bias, (rows,), name)
        return self._name(name, y.transpose((1, 0)))

    def sum(self, terms: Sequence[tuple[Cells, int]], constant: Integers | None, name: str) -> Cells:
        """sum of coefficient * cells + constant, all of one shape -> that shape. Raises Overflow as `convolution`."""
        shape = terms[0][0].shape if terms else np.asarray(constant).shape
        cells = [self._present(x).refs.reshape(-1) for x, _ in terms]
        refs = np.stack(cells) if cells else np.zeros((0, int(np.prod(shape, dtype=np.int64))), np.int64)
        coefficients = tuple(int(coefficient) for _, coefficient in terms)
        bound = float(sum(abs(c) * x.reach for x, c in terms))
        low = float(sum(min(c * x.low, c * x.high) for x, c in terms))
        high = float(sum(max(c * x.low, c * x.high) for x, c in terms))
        flat = None
        if self.hidden and constant is not None:
            flat = self._hidden_constant(name, constant, shape).reshape(-1)
            most = float(1 << (self.bias_bits - 1))
            bound, low, high = bound + most, low - most, high + most
        elif constant is not None and np.any(constant):
            flat = np.ascontiguousarray(np.broadcast_to(constant, shape), np.int64).reshape(-1)
            bound += float(np.abs(flat.astype(np.float64)).max())
            low, high = low + float(flat.min()), high + float(flat.max())
        return self._linear(Sum(*self._head(name, shape), None, refs, coefficients, flat), shape, bound, (low, high))

    def relu(self, x: Cells, name: str) -> Cells:
        """max(x, 0): the positive part of the same units, no new cell."""
        return self._name(name, Cells(np.where(x.refs < 0, ABSENT, x.refs | POSITIVE), 0, max(x.high, 0)))

    def apply(self, function: Function, x: Cells, name: str, fuse: bool = False) -> Cells:
        """function(x), elementwise. With `fuse` (nobody else reads x) it joins the block that makes x, where it can.

        Raises OutOfRange from `run` for an x outside the function's domain.
        """
        low, high = int(function.values.min()), int(function.values.max())
        owner = self._maker(x) if fuse else None
        if owner is not None:
            block = self.blocks[owner]
            assert isinstance(block, Linear)
            self.blocks[owner] = replace(block, function=function)
            self.named.pop(block.name, None)  # its units now hold the function's values
            return self._name(name, Cells(x.refs, low, high))
        x = self._present(x)
        self.blocks.append(Lookup(*self._head(name, x.shape), x.refs.reshape(-1), function))
        return self._name(name, self._fresh(x.shape, low, high))

    def makes(self, x: Cells) -> bool:
        """Some block makes exactly these cells and has no function yet: `apply` can fuse with it."""
        return self._maker(x) is not None

    def maximum(self, candidates: Sequence[Cells], name: str) -> Cells:
        """The largest of cells of one shape. Raises Overflow where two candidates could lie T or more apart."""
        if len(candidates) == 1:
            return self._name(name, candidates[0])
        present = [self._present(x) for x in candidates]
        low, high = max(x.low for x in present), max(x.high for x in present)
        if high - min(x.low for x in present) >= self.table_size:
            raise Overflow(f"{name}: the candidates of a maximum can lie {self.table_size} or more apart")
        shape = present[0].shape
        refs = np.stack([x.refs.reshape(-1) for x in present])
        self.blocks.append(Maximum(*self._head(name, shape), refs))
        return self._name(name, self._fresh(shape, low, high))

    def multiply(self, x: Cells, y: Cells, multiplier: int, name: str) -> Cells:
        """multiplier * x * y / T, half up, elementwise over one shape. Raises Overflow as `convolution`."""
        x, y = self._present(x), self._present(y)
        bound = float(multiplier) * x.reach * y.reach
        self._bounded(name, bound)
        refs = np.stack([x.refs.reshape(-1), y.refs.reshape(-1)])
        self.blocks.append(Product(*self._head(name, x.shape), refs, multiplier))
        products = [float(multiplier) * one * other for one in (x.low, x.high) for other in (y.low, y.high)]
        return self._name(name, self._fresh(x.shape, *self._rescaled((min(products), max(products)))))

    def output(self, name: str, x: Cells, public: bool = True) -> None:
        """Declare a graph output."""
        self.outputs.append(Output(name, self._present(x), public))

    # Integers --------------------------------------------------------------------------------------------------------

    def run(self, inputs: Mapping[str, Integers]) -> Execution:
        """Run on integers: each input (samples, *shape). OutOfRange names the tensor, KeyError a missing input."""
        samples = len(next(iter(inputs.values())))
        values = np.zeros((samples, self.unit_count), np.int64)
        sums = np.zeros_like(values)
        half, bits, limit = self.table_size >> 1, self.table_bits, self.table_size - 1
        for block in self.blocks:
            span = slice(block.first, block.first + block.count)
            if isinstance(block, Input):
                values[:, span] = np.asarray(inputs[block.name], np.int64).reshape(samples, block.count)
            elif isinstance(block, Linear | Product):
                sums[:, span] = block.sums(view(values, block.operands))
                values[:, span] = (sums[:, span] + half) >> bits
            elif isinstance(block, Maximum):
                candidates = view(values, block.operands).reshape(samples, *block.candidates.shape)
                values[:, span] = candidates.max(axis=1)
            else:
                assert isinstance(block, Lookup)
                values[:, span] = view(values, block.operands)
            if isinstance(block, Linear | Lookup) and block.function is not None:
                _check_range(block.name, values[:, span], block.function.low, block.function.high)
                values[:, span] = block.function(values[:, span])
            _check_range(block.name, values[:, span], -limit, limit)
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

    # Inside ----------------------------------------------------------------------------------------------------------

    def _head(self, name: str, shape: Sequence[int]) -> tuple[str, int, int]:
        return name, self.unit_count, int(np.prod(shape, dtype=np.int64))

    def _linear(self, block: Linear, shape: Sequence[int], bound: float, interval: tuple[float, float]) -> Cells:
        self._bounded(block.name, bound)
        self.blocks.append(block)
        return self._name(block.name, self._fresh(tuple(shape), *self._rescaled(interval)))

    def _rescaled(self, interval: tuple[float, float]) -> tuple[int, int]:
        """The interval of an exact sum, rescaled half up; a value is below T in any case."""
        half, bits, limit = self.table_size >> 1, self.table_bits, self.table_size - 1
        slack = [0 if abs(end) < EXACT else abs(int(end)) >> 45 for end in interval]  # of sums of float64
        low, high = int(interval[0]) - slack[0], int(interval[1]) + slack[1]
        return max(-limit, (low + half) >> bits), min(limit, (high + half) >> bits)

    def _fresh(self, shape: Sequence[int], low: int | None = None, high: int | None = None) -> Cells:
        """The cells of the last block."""
        refs = 2 * self.blocks[-1].units + SIGNED
        limit = self.table_size - 1
        return Cells(refs.reshape(tuple(shape)), -limit if low is None else low, limit if high is None else high)

    def _name(self, name: str, cells: Cells) -> Cells:
        self.named[name] = cells
        return cells

    def _present(self, x: Cells) -> Cells:
        """The cells with every absent one replaced by a cell that is zero by an equation."""
        if not np.any(x.refs == ABSENT):
            return x
        if self._zero is None:
            block = Sum("zero", self.unit_count, 1, None, np.zeros((0, 1), np.int64), (), None)
            self.blocks.append(block)
            self._zero = self._fresh((1,), 0, 0)
        zero = int(self._zero.refs[0])
        return Cells(np.where(x.refs == ABSENT, zero, x.refs), min(x.low, 0), max(x.high, 0))

    def _maker(self, x: Cells) -> int | None:
        """The index of the linear block without a function whose units are exactly these cells."""
        refs = x.refs.reshape(-1)
        if not refs.size or np.any(refs < 0) or np.any(refs & 1):
            return None
        for index, block in enumerate(self.blocks):
            if block.first == int(refs.min()) >> 1:
                whole = isinstance(block, Linear) and block.function is None and block.count == refs.size
                return index if whole and np.array_equal(np.sort(refs >> 1), block.units) else None
        return None

    def _hidden_constant(self, name: str, constant: Integers | None, shape: Sequence[int]) -> Integers:
        """A hidden bias or constant, in full: zeros where there is none."""
        full = np.zeros(shape, np.int64) if constant is None else np.broadcast_to(constant, shape).astype(np.int64)
        self._fits(f"the bias of {name}", full, self.bias_bits, "bias_bits")
        return full

    @staticmethod
    def _fits(what: str, values: Integers, bits: int, parameter: str) -> None:
        needed = 1 + max(int(values.max(initial=0)).bit_length(), (-1 - int(values.min(initial=0))).bit_length())
        if needed > bits:
            mend = option(parameter, str(needed))
            raise TooWide(f"{what} needs {needed} bits, the model declares {bits}: give {mend}", needed)

    def _bounded(self, name: str, bound: float) -> None:
        if bound + self.table_size >= LIMIT:
            reach = int(np.log2(bound)) + 1
            mend = f"fewer table bits or smaller {option('weight_bits')}" if self.hidden else "fewer table bits"
            raise Overflow(f"{name}: its exact sum can reach {reach} bits, more than 62: {mend} are needed")


def _check_range(name: str, values: Integers, low: int, high: int) -> None:
    if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
        outside = np.maximum(values - high, low - values).reshape(-1)
        raise OutOfRange(name, int(values.reshape(-1)[np.argmax(outside)]), low, high)
