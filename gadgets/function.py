"""A function of one value by a lookup table: v = f(q), where a unit takes q (gadgets/unit.py).

    (q, a - b, tag) is a row of the table, on rows where `applied` (fixed 0/1) is one

q is the exact sum of a linear block, rescaled, or a copy. The table holds (x, f(x), number of f) for every x of the
function's domain; with one function there is no tag. An input outside the domain has no row: it cannot be proved. The
table's rows fix v = f(q), hence a and b; q is fixed by the linear check or the copy, hence e. Nor can an input that the
table gives the value T, which no unit shows: |a - b| < T. Lanes without a value hold some row of the table.

Cost: no row; one lookup a lane, the table's entries. Of a part of the table the arguments are row numbers plus a
constant, which differs from function to function by a multiple of the tag, where the part holds two functions or such
of equal domains: then it takes fixed columns for values and tags alone, inside one function for values alone. On rows
where no function has a value stands T.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import (
    Cellwise,
    Filled,
    Gadget,
    Given,
    Held,
    Integers,
    Marks,
    Outcome,
    Overflow,
    Rule,
    Take,
    check_range,
)
from plonnx.gadgets.quadratic import Quadratic
from plonnx.gadgets.unit import count_parts, row_numbers
from plonnx.kzg.record import require
from plonnx.plonk.multiplicities import column_name

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.lanes import Lanes
    from plonnx.plonk.expression import Expression

TABLE = "functions"


@dataclass(frozen=True, eq=False)
class Function:
    """A function of one integer as a lookup table: values[x - low] for low <= x <= high.

    T stands where there is no value: no unit holds it, so that such an x cannot be proved.
    polynomial: what the function is for every x at all whose value a unit could show, of the compiler's functions;
    circuits hold the one or the other.
    """

    name: str
    low: int
    values: Integers
    polynomial: Quadratic | None = None

    @property
    def high(self) -> int:
        """The largest argument."""
        return self.low + len(self.values) - 1

    def interval(self, size: int) -> tuple[int, int]:
        """The least and the largest value that there is."""
        held = self.values[np.abs(self.values) < size]
        return int(held.min()), int(held.max())

    def __call__(self, x: Integers) -> Integers:
        """The function, elementwise; the arguments are in its domain."""
        return self.values[x - self.low]

    @property
    def content(self) -> Hashable:
        """What functions have in common that are one: domain, table, and a polynomial or none."""
        coefficients = None if self.polynomial is None else self.polynomial.coefficients
        return self.low, len(self.values), sha256(self.values.astype(np.int64).tobytes()).digest(), coefficients

    def of(self, name: str, x: Integers, size: int) -> Integers:
        """The function of a tensor of this name; raises OutOfRange outside the domain."""
        check_range(name, x, self.low, self.high)
        return self(x)

    def fill(
        self, taken: Integers, values: Integers, present: NDArray[np.bool_], size: int
    ) -> tuple[Integers, Integers]:
        """q and v where the function is applied: lanes without a value hold the first row of its table."""
        return np.where(present, taken, self.low), np.where(present, values, self.values[0])

    def rest(self, taken: Integers, values: Integers, size: int) -> Integers:
        """What c of a unit of its own holds: it is free."""
        return np.zeros_like(values)

    limits_sums: ClassVar[bool] = False  # holds for whatever exact sum

    @property
    def numbers(self) -> tuple[int, ...]:
        """What a file holds of it beside its table."""
        return (self.low,)

    @property
    def table(self) -> Integers | None:
        """Its values."""
        return self.values

    @property
    def outline(self) -> dict[str, int | list[int]]:
        """What is shown of it to those who look at a model, beside its domain."""
        return {"smallest": int(self.values.min()), "largest": int(self.values.max())}

    def validate(self, size: int) -> None:
        """Malformed where it is no table of values that units show, or T for none."""
        require(self.values.ndim == 1 and len(self.values) > 0, f"function {self.name} has no table")
        inside = 1 - size <= int(self.values.min()) and int(self.values.max()) <= size
        require(inside, f"function {self.name} has a value beyond the table")
        require(bool(np.any(self.values < size)), f"function {self.name} has no value anywhere")

    @property
    def rule(self) -> type[Rule]:
        """That of tables."""
        return Application

    def marks(self, row: int, number: Callable[[Function], int], fused: bool) -> Marks:
        """The fixed columns of the row of the stride where it is applied; the tag says which function it is."""
        return {"applied": {row: 1}, "extended": {row: 1}, "tag": {row: number(self)}}


Applied = Function | Quadratic
"""A function of one value: by its table, or by a gate."""


def applied(name: str, numbers: Sequence[int], table: Callable[[], Integers]) -> Applied:
    """The function of which a file holds so many numbers: its table is asked for where it has one."""
    return Quadratic(name, *numbers) if len(numbers) > 1 else Function(name, numbers[0], table())


class Application(Rule):
    """Functions by their tables, on the rows where `applied` is one; `tag` says which function."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """One table for all functions, a lookup a lane."""
        circuit, functions, active_rows = lanes.circuit, lanes.functions, lanes.active_rows
        several = len(functions) > 1
        parts: list[list[Expression]] = []
        for part in table_parts(functions, active_rows, lanes.size):
            tag: Expression = int(part.tags[0])
            if part.tags[-1] > part.tags[0]:
                tag = circuit.fixed("t of functions", part.tags)()
            argument: Expression
            if part.slope is None:
                argument = circuit.fixed("x of functions", part.arguments)()
            else:
                argument = row_numbers(circuit, active_rows)() + int(part.arguments[0])
                argument += part.slope * (tag - int(part.tags[0]))
            value = circuit.fixed("y of functions", part.values)()
            parts.append([argument, value, tag] if several else [argument, value])
        table = circuit.table(TABLE, *parts)
        tags = [lanes.mark("tag")] if several else []
        for lane, unit in enumerate(lanes.units):
            inputs = [unit.taken, unit.value, *tags]
            circuit.lookup(f"lane {lane} applies its function", table, inputs, lanes.mark("applied"))

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """How often each row of the table is looked up."""
        applied = np.flatnonzero(filled.mark("applied"))
        tags, taken = filled.mark("tag")[applied], filled.taken[applied]
        counts = count(filled.functions, list(taken.T), [tags] * taken.shape[1], filled.active_rows)
        return {column_name(TABLE, part): column for part, column in enumerate(counts)}


@dataclass(frozen=True, eq=False)
class Lookup(Gadget):
    """v = function(x), elementwise; refs [N]."""

    kind: ClassVar[str] = "lookup"
    reads_parts: ClassVar[bool] = False

    x: Integers
    function: Applied

    @property
    def applies(self) -> Applied:
        """The function."""
        return self.function

    @property
    def takes(self) -> Sequence[Take]:
        """x."""
        return [Take(self.x, 0)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its function's."""
        return [self.function.rule]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """What comes out."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """Applied on its only row."""
        return self.function.marks(0, number, fused=False)

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """The function of the same cells."""
        return apply(builder, self.function, cells(self.x), self.name)

    def validate(self, where: str) -> int:
        """As many as its operands."""
        require(self.x.ndim == 1, f"{where}: its operand is no list")
        return len(self.x)

    def run(self, operands: Integers, size: int) -> Outcome:
        """f(x); OutOfRange outside the domain."""
        return Outcome(self.function.of(self.name, operands, size))

    def fill(self, given: Given) -> Sequence[Held]:
        """q = x, v = f(x)."""
        q, v = self.function.fill(given.operands[0], given.values, given.present, given.size)
        return [Held(q, v, self.function.rest(q, v, given.size))]


def apply(builder: Builder, function: Applied, x: Cells, name: str, fuse: bool = False) -> Cells:
    """function(x), elementwise. With `fuse` (nobody else reads x) it joins the block that makes x, where it can.

    Raises OutOfRange from `run` for an x outside the function's domain; Overflow for a polynomial that cannot join.
    """
    low, high = function.interval(builder.table_size)
    if fuse and builder.makes(x):
        if isinstance(function, Quadratic) and not function.integral:
            raise Overflow(f"{name}: {function.name} has a value for fractions, too")
        return builder.fuse(function, x, name, low, high)
    x = builder.present(x)
    return builder.add(Lookup, name, x.shape, (low, high), x.refs.reshape(-1), function)


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of the table, as many as are active: arguments, values and tags (the numbers of functions) on each.

    slope: of the line in the tag that the arguments less the row numbers are on; None where they are on none.
    """

    arguments: Integers
    values: Integers
    tags: Integers
    slope: int | None


def table_parts(functions: Sequence[Function], active_rows: int, size: int) -> Iterator[Part]:
    """The table in parts; `size` stands where no function has a value."""
    begun, lows = begins(functions, active_rows), np.array([f.low for f in functions])
    ends = begun + np.array([len(f.values) for f in functions])
    for start in range(0, int(ends[-1]), active_rows):
        at = np.arange(start, start + active_rows)
        tags = np.searchsorted(begun, at, "right") - 1
        values = np.full(active_rows, size, np.int64)
        for number in range(int(tags[0]), int(tags[-1]) + 1):
            held = np.arange(max(start, begun[number]), min(start + active_rows, ends[number]))
            values[held - start] = functions[number].values[held - begun[number]]
        apart = np.diff((lows - begun)[tags[0] : tags[-1] + 1])
        slope = None if np.any(apart != apart[:1]) else int(apart[:1].sum())
        yield Part((lows - begun)[tags] + at, values, tags, slope)


def begins(functions: Sequence[Function], active_rows: int) -> Integers:
    """The row of the table on which each function begins: one after the other.

    A third one in a part begins on the next, which takes a column less, where the last part has as many rows to spare.
    """
    lengths = [len(f.values) for f in functions]
    spare, at, begun = -sum(lengths) % active_rows, 0, list[int]()
    for length in lengths:
        skipped, part = -at % active_rows, at - at % active_rows
        if begun and begun[-1] > part and skipped <= spare:  # two are in the part
            spare, at = spare - skipped, at + skipped
        begun.append(at)
        at += length
    return np.array(begun, np.int64)


def count(
    functions: Sequence[Function], taken: Sequence[Integers], tags: Sequence[Integers], active_rows: int
) -> list[Integers]:
    """The multiplicity columns, from the arguments and tags of all applications."""
    starts, lows = begins(functions, active_rows), np.array([f.low for f in functions])
    counts = np.zeros(int(starts[-1]) + len(functions[-1].values), np.int64)
    for arguments, numbers in zip(taken, tags, strict=True):
        counts += np.bincount(starts[numbers] + arguments - lows[numbers], minlength=len(counts))
    return count_parts(counts, active_rows)
