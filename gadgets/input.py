"""A graph input: units whose values the prover is given; of a Boolean one each is 0 or 1.

    boolean a (1 - a) = 0,   boolean b = 0                  boolean: fixed 0/1
    narrow (c - T/2 - narrow v) = 0                         narrow: fixed, 0 or T / N

The last is for an input of N values, fewer than |v| < T: no sum is rescaled in its units, so that c, which lies in
[0, T), is there to show that v lies in [-N/2, N/2). That public words of 8 log2(N) bits say what the values are rests
on it (gadgets/public.py).

Other inputs have the unit's own constraints alone. Cost: no row, no lookup; two gates in circuits with Boolean inputs,
a fixed column and a gate in those with narrow ones.
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

    shape: tuple[int, ...]
    public: bool
    boolean: bool = False
    narrow: int = 0  # T / N; 0 where nothing is said but |v| < T

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Those of Booleans, of narrow inputs."""
        return [Boolean] * self.boolean + [Narrow] * (self.narrow > 0)

    @property
    def extents(self) -> tuple[int, ...]:
        """The tensor's."""
        return self.shape

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The rows of Booleans, and of narrow inputs."""
        marks = {"boolean": int(self.boolean), "narrow": self.narrow}
        return {name: {0: mark} for name, mark in marks.items() if mark}

    def interval(self, size: int) -> tuple[int, int]:
        """What its constraints let a value be."""
        return interval_of(size, self.boolean, self.narrow)

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """The same input."""
        return builder.input(self.name, self.shape, self.public, self.boolean, self.narrow)

    def validate(self, where: str) -> int:
        """Its shape's."""
        require(all(size > 0 for size in self.shape), f"{where}: its shape has an empty axis")
        require(self.narrow >= 0, f"{where}: it has no values")
        return prod(self.shape)

    def run(self, operands: Integers, size: int) -> Outcome:
        """The values as they are given; OutOfRange for a Boolean that is none, a narrow one that is too wide."""
        if self.boolean or self.narrow:
            check_range(self.name, operands, *self.interval(size))
        return Outcome(operands)

    def fill(self, given: Given) -> Sequence[Held]:
        """A narrow input shows its range by c, also where a lane of its rows holds nothing."""
        rest = self.narrow * given.values + given.size // 2 if self.narrow else 0
        return [Held(given.values, given.values, rest)]


def interval_of(size: int, boolean: bool, narrow: int) -> tuple[int, int]:
    """The least and the largest value of an input: of a narrow one T / narrow integers around zero."""
    if narrow:
        half = size // narrow // 2
        return -half, half - 1
    return (0, 1) if boolean else (1 - size, size - 1)


class Boolean(Rule):
    """0 or 1."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Two gates a lane."""
        boolean = lanes.mark("boolean")
        for lane, unit in enumerate(lanes.units):
            lanes.circuit.gate(f"lane {lane}: a Boolean is at most one", boolean * unit.a() * (1 - unit.a()))
            lanes.circuit.gate(f"lane {lane}: a Boolean is not negative", boolean * unit.b())


class Narrow(Rule):
    """Fewer values than the table has entries."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane."""
        narrow = lanes.mark("narrow")
        for lane, unit in enumerate(lanes.units):
            shown = unit.c() - lanes.size // 2 - narrow * unit.value
            lanes.circuit.gate(f"lane {lane}: a narrow input is one of its values", narrow * shown)
