"""The builder: operators call it, and the gadgets' own functions, for the tensors of a model.

It records gadgets (gadgets/gadget.py) with the intervals of what they make. `Builder.run` runs them one after another:
the accuracy report and the witness both come from it. Knows nothing of rows and columns (layout/ does), and of kinds of
gadgets only those that every model has: inputs, convolutions, sums.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from plonnx.gadgets.cells import POSITIVE, SIGNED, Cells, descending
from plonnx.gadgets.function import Applied, Function
from plonnx.gadgets.gadget import ABSENT, Gadget, Integers, Overflow, check_range, shows_parts, view
from plonnx.gadgets.in_order import in_order, workers
from plonnx.gadgets.input import Input
from plonnx.gadgets.linear.convolution import Convolution, signed_sums
from plonnx.gadgets.linear.residual import Residual
from plonnx.gadgets.linear.sum import Sum
from plonnx.kzg.wording import option

if TYPE_CHECKING:
    from plonnx.gadgets.linear.combination import Terms

EXACT = 2.0**53  # float64 holds integers below
LIMIT = 1 << 62  # exact sums stay below, far under r/2 and inside int64
_MOST_SAMPLES, _BATCH_CELLS = 128, 1 << 23  # of a run whose values are not kept
_LARGE_RUN = 1 << 19  # cells of a run that all cores share
Interval = tuple[int, int]


class TooWide(ValueError):
    """A hidden value outside its declared width."""

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


@dataclass(frozen=True)
class Output:
    """A graph output: a tensor of refs."""

    name: str
    cells: Cells
    public: bool


class Part(NamedTuple):
    """One of the steps of a layer that is run in steps: after which gadget, by its number, it is run."""

    block: int
    step: int
    after: int


@dataclass(frozen=True)
class Execution:
    """Integers of one run, [samples, units]: `values`, and `sums` before rescaling of the gadgets that have them."""

    values: Integers
    sums: Integers


@dataclass
class Builder:
    """Records gadgets. table_bits: T = 2^table_bits.

    hidden: weights, biases and constants are the prover's secret, of weight_bits and bias_bits (two's complement), but
    for those that `hides` excepts, which everybody knows. Bounds, gadgets and layout then follow from these widths,
    from shapes and from what is known, never from a secret.
    """

    table_bits: int
    hidden: bool = False
    weight_bits: int = 16
    bias_bits: int = 32
    blocks: list[Gadget] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    named: dict[str, Cells] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    _zero: Cells | None = None
    _tables: dict[Hashable, Function] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The first function in use of each content."""
    _stepped: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """The numbers of the layers that are run in steps."""

    @property
    def table_size(self) -> int:
        """T."""
        return 1 << self.table_bits

    @property
    def widths(self) -> tuple[int, int] | None:
        """The declared bits of weights and of biases of a hidden model."""
        return (self.weight_bits, self.bias_bits) if self.hidden else None

    @property
    def secrets(self) -> int:
        """How many weights, biases and constants of a hidden model are secret."""
        return sum(block.secrets for block in self.blocks) if self.hidden else 0

    @property
    def unit_count(self) -> int:
        """Units of all gadgets."""
        return self.blocks[-1].first + self.blocks[-1].count if self.blocks else 0

    @property
    def inputs(self) -> list[Input]:
        """The graph inputs, in graph order."""
        return [block for block in self.blocks if isinstance(block, Input)]

    @property
    def applied(self) -> list[Applied]:
        """The functions in use, each once, in order of first use."""
        every = [block.applies for block in self.blocks]
        return list({id(function): function for function in every if function is not None}.values())

    @property
    def functions(self) -> list[Function]:
        """Those of them that have tables."""
        return [function for function in self.applied if isinstance(function, Function)]

    def in_use(self, function: Function) -> Function:
        """The function that is in use with the same table already; this one where none is."""
        return self._tables.get(function.content, function)

    @property
    def stepped(self) -> list[Gadget]:
        """The layers that are run in steps."""
        return [self.blocks[number] for number in self._stepped]

    @property
    def steps_taken(self) -> dict[int, list[int]]:
        """By the number of its block: the steps that are taken, in order."""
        found: dict[int, list[int]] = {}
        for part in self.parts:
            found.setdefault(part.block, []).append(part.step)
        return found

    # Gadgets ---------------------------------------------------------------------------------------------------------

    def add(
        self, kind: type[Gadget], name: str, shape: Sequence[int], interval: Interval | None, *fields: Any
    ) -> Cells:
        """Record a gadget of this kind with its own fields: its cells of `shape`, values in `interval` (|v| < T)."""
        count = int(np.prod(shape, dtype=np.int64))
        self.blocks.append(kind(name, self.unit_count, count, *fields))
        self._note(self.blocks[-1].applies)
        if self.blocks[-1].steps is not None:
            self._stepped.append(len(self.blocks) - 1)
        limit = self.table_size - 1
        low, high = (-limit, limit) if interval is None else interval
        return self.name(name, Cells((2 * self.blocks[-1].units + SIGNED).reshape(tuple(shape)), low, high))

    def input(
        self,
        name: str,
        shape: Sequence[int],
        public: bool = True,
        boolean: bool = False,
        narrow: int = 0,
        step: int = 0,
        natural: bool = False,
    ) -> Cells:
        """A graph input with |v| < T; or one of T / `narrow` values around zero; or a multiple of `step`.

        natural: these are from zero on. boolean: 0 or 1.
        """
        size = self.table_size
        made = Input(name, self.unit_count, 0, tuple(shape), public, boolean, narrow, step, natural)
        if not made.fits(size):
            values = f"one of {size} / {narrow} values" if narrow else f"multiples of {step} below {size}"
            raise Overflow(f"{name}: no input takes {values}")
        return self.add(Input, name, shape, made.interval(size), tuple(shape), public, boolean, narrow, step, natural)

    def convolution(
        self,
        x: Cells,
        weights: Integers,
        offsets: Integers,
        bias: Integers | None,
        shape: Sequence[int],
        name: str,
        groups: int = 1,
        steps: int | None = None,
        hides: Integers | None = None,
        terms: Terms = (),
        strides: Sequence[int] = (),
        layers: Sequence[int] = (),
    ) -> Cells:
        """A Convolution: x [channels, *grid], weights [channels, taps, J] -> [groups * J, *shape].

        bias: [groups * J], or of the result's shape, not in a hidden model. Absent cells of x are zeros. Without
        `strides` they are ones. With `steps` it is run in so many parts (linear/shared.py). With terms, cells of the
        result's shape and a coefficient each, these are added (linear/residual.py), and the channels of a dense one may
        be those of several `layers`, so many each: not of a hidden model. Raises Overflow where an exact sum could
        leave 62 bits, TooWide for a hidden value.
        """
        channels = x.shape[0]
        if weights.dtype != np.int32:
            weights = np.ascontiguousarray(weights, np.int64)
        offsets = np.ascontiguousarray(offsets, np.int64).reshape(weights.shape[1], len(shape))
        if weights.shape[0] != channels or channels % groups or len(x.shape) != 1 + len(shape):
            raise ValueError(f"{name}: x {x.shape} and weights {weights.shape} in {groups} groups do not fit")
        outputs = groups * weights.shape[2]
        inner = channels // groups * weights.shape[1]
        added, secret = np.zeros((1, outputs)), np.zeros(outputs)  # known biases; what secrets add at most
        if self.hidden:
            self._fits(f"a weight of {name}", weights, self.weight_bits, "weight_bits")
            if bias is not None:
                bias = self._hidden_constant(name, bias, (outputs,))
                secret += float(1 << (self.bias_bits - 1))
            hidden = np.broadcast_to(np.int64(1) if hides is None else hides, weights.shape)
            count = inner if hides is None else hidden.reshape(groups, inner, -1).sum(axis=1).reshape(-1)
            secret += count * (float(1 << (self.weight_bits - 1)) * x.reach)
            known = hidden[:0] if hides is None else np.where(hidden, 0, weights)
        else:
            known, hides = weights, None
            bias = None if bias is None or not np.any(bias) else np.ascontiguousarray(bias, np.int64)
            added = added if bias is None else bias.astype(np.float64).reshape(outputs, -1).T
        above, below = signed_sums(known, groups)
        most = float((above + below).max(initial=0))
        bound = most * x.reach + float((np.abs(added) + secret).max(initial=0))
        low, high = min(x.low, 0), max(x.high, 0)
        ends = [[float(c * z.low), float(c * z.high), 0.0] for z, c in terms]
        interval = (
            float((above * low - below * high + added - secret).min(initial=0)) + sum(map(min, ends)),
            float((above * high - below * low + added + secret).max(initial=0)) + sum(map(max, ends)),
        )
        made = (outputs, *(int(extent) for extent in shape))
        self.bounded(name, bound + float(sum(abs(c) * z.reach for z, c in terms)))
        by = tuple(int(stride) for stride in strides) if any(stride != 1 for stride in strides) else ()
        fields = None, x.refs.copy(), weights, offsets, bias, made[1:], groups, steps, hides, by
        if self.hidden and (terms or layers):
            raise ValueError(f"{name}: a private model adds by copies")
        if terms or layers:
            added_to = np.array([z.refs.reshape(made) for z, _ in terms], np.int64).reshape(-1, *made)
            sum_of = *fields, added_to, tuple(int(c) for _, c in terms), tuple(layers)
            cells = self.add(Residual, name, made, self.rescaled(interval), *sum_of)
        else:
            cells = self.add(Convolution, name, made, self.rescaled(interval), *fields)
        if known is weights:
            vars(self.blocks[-1])["reach"] = most  # as it was found
        return cells

    def linear(
        self, x: Cells, weights: Integers, bias: Integers | None, name: str, hides: Integers | None = None
    ) -> Cells:
        """x [R, K], weights [K, N], bias [N] or [R, N] or None -> [R, N]: K channels, R positions, one tap."""
        rows, inner = x.shape
        if weights.shape[0] != inner:
            raise ValueError(f"{name}: x has {inner} columns, the weights {weights.shape[0]} rows")
        columns, offset = x.transpose((1, 0)), np.zeros((1, 1), np.int64)
        if hides is None and descending(columns.refs[None]):
            columns, weights = columns.take(np.arange(inner)[::-1], 0), weights[::-1]
        constant = None if bias is None else bias.T
        y = self.convolution(columns, weights[:, None, :], offset, constant, (rows,), name, hides=hides)
        return self.name(name, y.transpose((1, 0)))

    def sum(
        self, terms: Sequence[tuple[Cells, int]], constant: Integers | None, name: str, hides: bool = True
    ) -> Cells:
        """sum of coefficient * cells + constant, all of one shape -> that shape. Raises as `convolution`.

        hides: in a hidden model the constant is a secret.
        """
        shape = terms[0][0].shape if terms else np.asarray(constant).shape
        cells = [self.present(x).refs.reshape(-1) for x, _ in terms]
        refs = np.stack(cells) if cells else np.zeros((0, int(np.prod(shape, dtype=np.int64))), np.int64)
        coefficients = tuple(int(coefficient) for _, coefficient in terms)
        bound = float(sum(abs(c) * x.reach for x, c in terms))
        low = float(sum(min(c * x.low, c * x.high) for x, c in terms))
        high = float(sum(max(c * x.low, c * x.high) for x, c in terms))
        flat = None
        hides = hides and self.hidden and constant is not None
        if hides and constant is not None:
            flat = self._hidden_constant(name, constant, shape).reshape(-1)
            most = float(1 << (self.bias_bits - 1))
            bound, low, high = bound + most, low - most, high + most
        elif constant is not None and np.any(constant):
            flat = np.ascontiguousarray(np.broadcast_to(constant, shape), np.int64).reshape(-1)
            if self.hidden:
                self._fits(f"the constant of {name}", flat, self.bias_bits, "bias_bits")
            bound += float(np.abs(flat.astype(np.float64)).max())
            low, high = low + float(flat.min()), high + float(flat.max())
        self.bounded(name, bound)
        return self.add(Sum, name, shape, self.rescaled((low, high)), None, refs, coefficients, flat, hides)

    def relu(self, x: Cells, name: str) -> Cells:
        """max(x, 0): the positive part of the same units, no new cell."""
        return self.name(name, Cells(np.where(x.refs < 0, ABSENT, x.refs | POSITIVE), 0, max(x.high, 0)))

    def output(self, name: str, x: Cells, public: bool = True) -> None:
        """Declare a graph output."""
        self.outputs.append(Output(name, self.present(x), public))

    @property
    def reads_parts(self) -> bool:
        """Whether anything reads the positive part of a value, or its magnitude: then units have a cell b."""
        refs = [*(block.operands for block in self.blocks), *(o.cells.refs for o in self.outputs)]
        return any(block.reads_parts for block in self.blocks) or any(map(shows_parts, refs))

    # Integers --------------------------------------------------------------------------------------------------------

    def run(self, inputs: Mapping[str, Integers]) -> Execution:
        """Run on integers: each input (samples, *shape). OutOfRange names the tensor, KeyError a missing input."""
        sums = np.zeros((self.unit_count, len(next(iter(inputs.values())))), np.int64)
        return Execution(self._values(inputs, sums), sums.T)

    def evaluate(self, inputs: Mapping[str, Integers]) -> dict[str, Integers]:
        """The outputs (samples, *shape) by name."""
        parts = [{o.name: part(o.cells) for o in self.outputs} for part in self.batches(inputs)]
        return {o.name: np.concatenate([part[o.name] for part in parts]) for o in self.outputs}

    def batches(self, inputs: Mapping[str, Integers]) -> Iterator[Callable[[Cells], Integers]]:
        """Runs a few samples at a time, whose values fit a cache: what gives the values (samples, *shape) of cells."""
        count = len(next(iter(inputs.values())))
        size = max(1, min(_MOST_SAMPLES, _BATCH_CELLS // max(1, self.unit_count)))
        if count * self.unit_count >= _LARGE_RUN:
            size = min(size, -(-count // workers()))
        batches = (
            {name: given[start : start + size] for name, given in inputs.items()} for start in range(0, count, size)
        )
        for values in in_order(self._values, batches):
            yield partial(_of, values)

    def read(self, done: Execution, cells: Cells) -> Integers:
        """The values (samples, *shape) of some cells."""
        return _of(done.values, cells)

    def _values(self, inputs: Mapping[str, Integers], sums: Integers | None = None) -> Integers:
        """The values [samples, units] of a run; its exact sums are written to `sums` [units, samples].

        The samples of a unit stand together, so that gathering units is copying runs.
        """
        samples = len(next(iter(inputs.values())))
        values = np.zeros((self.unit_count, samples), np.int64)
        for block, units in self.order():
            given = inputs[block.name] if isinstance(block, Input) else view(values.T, block.operands)
            made = block.run(np.asarray(given, np.int64).reshape(samples, -1), self.table_size)
            check_range(block.name, made.values, 1 - self.table_size, self.table_size - 1)
            values[units] = made.values.T
            if sums is not None and made.sums is not None:
                sums[units] = made.sums.T
        return values.T

    def order(self) -> Iterator[tuple[Gadget, Integers | slice]]:
        """What is run, one after another, with the units that it makes."""
        after: dict[int, list[Part]] = {}
        for part in self.parts:
            after.setdefault(part.after, []).append(part)
        for number, block in enumerate(self.blocks):
            if block.steps is None:
                yield block, slice(block.first, block.first + block.count)
            for part in after.get(number, []):
                yield self.blocks[part.block].at_step(part.step)

    # For gadgets -----------------------------------------------------------------------------------------------------

    def name(self, name: str, cells: Cells) -> Cells:
        """Name a tensor, for traces and reports."""
        self.named[name] = cells
        return cells

    def rescaled(self, interval: tuple[float, float]) -> Interval:
        """The interval of an exact sum, rescaled half up; a value is below T in any case."""
        half, bits, limit = self.table_size >> 1, self.table_bits, self.table_size - 1
        slack = [0 if abs(end) < EXACT else abs(int(end)) >> 45 for end in interval]  # of sums of float64
        low, high = int(interval[0]) - slack[0], int(interval[1]) + slack[1]
        return max(-limit, (low + half) >> bits), min(limit, (high + half) >> bits)

    def bounded(self, name: str, bound: float) -> None:
        """Raises Overflow where an exact sum of this magnitude could leave 62 bits."""
        if bound + self.table_size >= LIMIT:
            reach = int(np.log2(bound)) + 1
            mend = f"fewer table bits or smaller {option('weight_bits')}" if self.hidden else "fewer table bits"
            raise Overflow(f"{name}: its exact sum can reach {reach} bits, more than 62: {mend} are needed")

    @property
    def zero(self) -> Cells:
        """A cell that is zero by an equation, made when it is first asked for."""
        if self._zero is None:
            self._zero = self.add(Sum, "zero", (1,), (0, 0), None, np.zeros((0, 1), np.int64), (), None)
            self.named.pop("zero")
        return self._zero

    def present(self, x: Cells) -> Cells:
        """The cells with every absent one replaced by a cell that is zero by an equation."""
        if not np.any(x.refs == ABSENT):
            return x
        zero = int(self.zero.refs[0])
        return Cells(np.where(x.refs == ABSENT, zero, x.refs), min(x.low, 0), max(x.high, 0))

    def makes(self, x: Cells) -> bool:
        """Some gadget makes exactly these cells by an equation and has no function yet: a function can join it."""
        return self._maker(x) is not None

    def is_layer(self, x: Cells) -> bool:
        """Whether a gadget makes the first of these cells whose units stand in channels."""
        made = self.maker(int(x.refs.reshape(-1)[0]) >> 1)
        return made is not None and made.channels is not None

    def maker(self, unit: int) -> Gadget | None:
        """The gadget that makes a unit; None of an absent cell."""
        index = bisect_right(self.blocks, unit, key=lambda block: block.first) - 1
        return self.blocks[index] if index >= 0 else None

    def rounded_down(self, x: Cells) -> Cells | None:
        """Have the gadget that makes exactly these cells round its sums down; nobody reads them yet.

        None where it cannot, or where that is what it does: its sums are multiples of T.
        """
        owner = self._maker(x)
        made = None if owner is None else self.blocks[owner].lowered(self.table_size >> 1, self.hidden)
        if owner is None or made is None:
            return None
        if self.hidden:
            for bias in made.marks(lambda function: 0)["bias"].values():
                self._fits(f"the bias of {made.name}", np.asarray(bias), self.bias_bits, "bias_bits")
        self.blocks[owner] = made
        return Cells(x.refs, max(x.low - 1, 1 - self.table_size), x.high)

    def fuse(self, function: Applied, x: Cells, name: str, low: int, high: int) -> Cells:
        """Apply a function in the units of the gadget that makes x; nobody else reads x."""
        owner = self._maker(x)
        assert owner is not None, "`makes` says whether a function can join"
        block = self.blocks[owner]
        made = self.blocks[owner] = replace(block, function=function)  # type: ignore[call-arg]
        vars(made).update({"reach": vars(block)["reach"]} if "reach" in vars(block) else {})  # of the same weights
        self._note(function)
        self.named.pop(block.name, None)  # its units now hold the function's values
        return self.name(name, Cells(x.refs, low, high))

    # Inside ----------------------------------------------------------------------------------------------------------

    def _note(self, function: Applied | None) -> None:
        if isinstance(function, Function):
            self._tables.setdefault(function.content, function)

    def _maker(self, x: Cells) -> int | None:
        """The index of the gadget with equations and without a function whose units are exactly these cells."""
        refs = x.refs.reshape(-1)
        if not refs.size or np.any(refs < 0) or np.any(refs & 1):
            return None
        index = bisect_right(self.blocks, int(refs.min()) >> 1, key=lambda block: block.first) - 1
        block = self.blocks[index]
        whole = block.equations and block.applies is None and block.count == refs.size
        return index if whole and np.array_equal(np.sort(refs >> 1), block.units) else None

    def _hidden_constant(self, name: str, constant: Integers, shape: Sequence[int]) -> Integers:
        """A hidden bias or constant, in full."""
        full = np.broadcast_to(constant, shape).astype(np.int64)
        self._fits(f"the bias of {name}", full, self.bias_bits, "bias_bits")
        return full

    @staticmethod
    def _fits(what: str, values: Integers, bits: int, parameter: str) -> None:
        needed = 1 + max(int(values.max(initial=0)).bit_length(), (-1 - int(values.min(initial=0))).bit_length())
        if needed > bits:
            mend = option(parameter, str(needed))
            raise TooWide(f"{what} needs {needed} bits, the model declares {bits}: give {mend}", needed)


def _of(values: Integers, cells: Cells) -> Integers:
    """The values (samples, *shape) of some cells, in an array of their own."""
    return np.ascontiguousarray(view(values, cells.refs.reshape(-1))).reshape(-1, *cells.shape)
