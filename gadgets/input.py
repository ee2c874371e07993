"""A graph input: units whose values the prover is given, within what its type says.

    boolean a (1 - a) = 0,   boolean b = 0                  boolean: fixed 0/1; v is 0 or 1 (signed: the first says it)
    m (c - T/2 - m v) = 0                                   narrow: N values around zero, m = T / N
    m (c - m v) = 0                                         natural: N values from zero on
    m (m (c - T/2) - v) = 0                                 whole: multiples of m
    m (m c - v) = 0                                         natural and whole: those from zero on

m is a fixed column of each, zero on other rows. No sum is rescaled in an input's units, so that c, which lies in
[0, T), is there to show which values v has: that of c is one of N integers from -N/2 (or 0) on, or m times one, and
nothing else, as both sides are integers far below r. That public words of 8 log2(N) bits say what the values are rests
on the first (gadgets/public.py), that integers are whole numbers of their type on all (compiler/integers.py).

Other inputs have the unit's own constraints alone. Cost: no row, no lookup; two gates a lane in circuits with Boolean
inputs, a fixed column and a gate a lane for each of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from plonnx.gadgets.gadget import Cellwise, Gadget, Given, Held, Integers, Marks, Outcome, Rule, check_range
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


@dataclass(frozen=True, eq=False)
class Input(Gadget):
    """Its operands are the given values themselves."""

    kind: ClassVar[str] = "input"
    reads_parts: ClassVar[bool] = False

    shape: tuple[int, ...]
    public: bool
    boolean: bool = False
    narrow: int = 0  # T / N; 0 where nothing is said but |v| < T
    step: int = 0  # what v is a multiple of; 0 where it need not be
    natural: bool = False  # whether these begin at zero

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Those of Booleans, of values that c shows."""
        return [Boolean] * self.boolean + [Shown] * (self.narrow > 0 or self.step > 0)

    @property
    def extents(self) -> tuple[int, ...]:
        """The tensor's."""
        return self.shape

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The rows of Booleans, and of the others."""
        sign = "natural " * self.natural
        marks = {"boolean": int(self.boolean), f"{sign}narrow": self.narrow, f"{sign}whole": self.step}
        return {name: {0: mark} for name, mark in marks.items() if mark}

    def interval(self, size: int) -> tuple[int, int]:
        """What its constraints let a value be."""
        if self.boolean:
            return 0, 1
        if not (self.narrow or self.step):
            return 1 - size, size - 1
        least, count = (0 if self.natural else -(size >> 1)) // (self.narrow or 1), size // (self.narrow or 1)
        step = self.step or 1
        most = (size - 1) // step  # as |v| < T
        return max(least, -most) * step, min(least + count - 1, most) * step

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """The same input."""
        return builder.input(self.name, self.shape, self.public, self.boolean, self.narrow, self.step, self.natural)

    def validate(self, where: str) -> int:
        """Its shape's."""
        require(all(size > 0 for size in self.shape), f"{where}: its shape has an empty axis")
        require(min(self.narrow, self.step) >= 0, f"{where}: it has no values")
        return prod(self.shape)

    def fits(self, size: int) -> bool:
        """Whether its interval is what the gates allow: of one kind of values, and narrow by a divisor of T."""
        counted = self.narrow == 0 or (self.narrow > 0 and size % self.narrow == 0 and size // self.narrow >= 2)
        return counted and self.boolean + (self.narrow > 0) + (self.step > 0) <= 1 and 0 <= self.step < size

    def follows(self, before: Gadget | None, size: int, where: str) -> None:
        """It fits: public words are as long as its interval says."""
        require(self.fits(size), f"{where}: no input takes such values")

    def run(self, operands: Integers, size: int) -> Outcome:
        """The values as they are given; OutOfRange for one that is too large, ValueError for one between multiples."""
        check_range(self.name, operands, *self.interval(size))
        if self.step:
            between = operands[operands % self.step != 0]
            if between.size:
                raise ValueError(f"tensor {self.name}: the value {between[0]} is no multiple of {self.step}")
        return Outcome(operands)

    def fill(self, given: Given) -> Sequence[Held]:
        """c shows which value it is, also where a lane of its rows holds nothing."""
        if not (self.narrow or self.step):
            return [Held(given.values, given.values)]
        rest = self.narrow * given.values if self.narrow else given.values // self.step
        return [Held(given.values, given.values, rest if self.natural else rest + given.size // 2)]


class Boolean(Rule):
    """0 or 1."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Two gates a lane, one of signed cells."""
        boolean = lanes.mark("boolean")
        for lane, unit in enumerate(lanes.units):
            lanes.circuit.gate(f"lane {lane}: a Boolean is at most one", boolean * unit.a() * (1 - unit.a()))
            if unit.b is not None:
                lanes.circuit.gate(f"lane {lane}: a Boolean is not negative", boolean * unit.b())


class Shown(Rule):
    """Values that c shows: so many around zero or from zero on, or the multiples of a number."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane for each mark that is there."""
        for natural in (False, True):
            origin, sign = (0, "natural ") if natural else (lanes.size // 2, "")
            narrow, whole = lanes.mark(f"{sign}narrow"), lanes.mark(f"{sign}whole")
            for lane, unit in enumerate(lanes.units):
                shown = unit.c() - origin
                if not isinstance(narrow, int):
                    of_values = narrow * (shown - narrow * unit.value)
                    lanes.circuit.gate(f"lane {lane}: a {sign}narrow input is one of its values", of_values)
                if not isinstance(whole, int):
                    of_multiples = whole * (whole * shown - unit.value)
                    lanes.circuit.gate(f"lane {lane}: a {sign}whole input is a multiple", of_multiples)
