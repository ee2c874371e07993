"""What a gadget is: units made together, with their rows, semantics, fixed marks, constraints and filling, in one file.

A gadget makes units (gadgets/unit.py), the cells of one tensor. T = 2^table_bits; every value v has |v| < T. References
(refs) are 2 * unit + view; -1 stands for a zero that no cell holds. A value takes `stride` rows of a lane, one below
the other; where they lie is layout/'s matter, which asks a gadget what stands here and never what kind it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.lanes import of_lane

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Applied, Function
    from plonnx.gadgets.lanes import Lanes
    from plonnx.gadgets.linear.contribution import Asked, Contribution
    from plonnx.plonk.expression import Expression

Integers = NDArray[np.int64]
ABSENT = -1  # the reference of a zero that no cell holds
Marks = Mapping[str, Mapping[int, "int | Integers"]]
"""By name of a fixed column: on which row of the stride it holds what; an array has a number for each unit."""


Cellwise = Callable[[Integers], "Cells"]
"""The cells that refs stand for, with their interval."""


class OutOfRange(ValueError):
    """A value outside the range that calibration fixed."""

    def __init__(self, tensor: str, value: int, low: int, high: int) -> None:
        allowed = f"|v| <= {high}" if low == -high else f"{low} <= v <= {high}"
        super().__init__(f"tensor {tensor}: the value {value} is outside the calibrated range ({allowed})")
        self.tensor, self.value, self.low, self.high = tensor, value, low, high


class Overflow(ValueError):
    """Bounds that do not hold: the exact sum of a layer could leave 62 bits, or candidates could lie T apart."""


class Take(NamedTuple):
    """An operand that is copied into a row of the stride: one ref for each unit.

    `viewed`: the value that the ref shows is copied; otherwise its unit's, and the gadget takes the view by its marks.
    `into`: the cell that takes it, "taken" (q) or "rest" (c).
    """

    refs: Integers
    row: int
    viewed: bool = True
    into: Literal["taken", "rest"] = "taken"


class Outcome(NamedTuple):
    """What a gadget computes: values [samples, count], and the exact sums before rescaling where it has them."""

    values: Integers
    sums: Integers | None = None


class Given(NamedTuple):
    """What one execution gives a place to hold, each [runs, height, lanes]; zero where a lane holds no unit.

    `number`: which of the gadget's units it is; `read`: the values of all that the gadget reads, as `run` has them.
    """

    values: Integers
    sums: Integers
    operands: tuple[Integers, ...]
    present: NDArray[np.bool_]
    size: int  # T
    number: Integers = np.zeros(0, np.int64)
    read: Callable[[], Integers] = lambda: np.zeros(0, np.int64)


class Held(NamedTuple):
    """What the unit on one row of the stride holds: q, v and c, each [runs, height, lanes]."""

    taken: Integers
    value: Integers
    rest: Integers | int = 0


class Rule(ABC):
    """Constraints on marked rows, declared once a circuit (Circuit or Tally: only operators, no sympy)."""

    @classmethod
    @abstractmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Declare them on every lane."""

    @classmethod
    def cells(cls, filled: Filled) -> Mapping[str, Integers]:
        """The columns of cells that the rule adds to the lanes, each looked up in [0, T), by name."""
        return {}

    @classmethod  # noqa: B027  # most have none
    def look_up(cls, lanes: Lanes, sums: Sums) -> None:
        """Lookups of what the linear check sums up of each run."""

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """The columns of multiplicities of the rule's tables, by name."""
        return {}


class Sums(NamedTuple):
    """What the linear check sums up of a run, on its last row.

    factors: its second factor, of weights or of computed cells. asked: that and what is read of the run, too, where
    some gadget's runs are looked up where they stand.
    """

    factors: Expression
    asked: Expression


class Filled(NamedTuple):
    """The cells of a witness, each [rows, lanes], and the fixed columns by name."""

    taken: Integers
    values: Integers
    rest: Integers
    mark: Callable[[str], Integers]
    functions: Sequence[Function]
    gadgets: Sequence[Gadget]
    active_rows: int
    size: int  # T

    def own(self, name: str) -> Integers:
        """The fixed columns of this name of all lanes, [rows, lanes]."""
        return np.stack([self.mark(of_lane(name, lane)) for lane in range(self.values.shape[1])], axis=1)


@dataclass(frozen=True, eq=False)
class Gadget(ABC):
    """Units `first` .. `first + count - 1`, made together."""

    kind: ClassVar[str] = ""  # its name in circuit files; empty for bases
    kinds: ClassVar[dict[str, type[Gadget]]] = {}
    series: ClassVar[str] = ""  # the kind of those that it follows (`follows`)
    reads_parts: ClassVar[bool] = True
    """Whether its constraints read a or |v|, of its own units or of others, but where a ref shows a positive part.

    Who reads nothing of a unit but v, q, c and e says so: circuits of such gadgets alone have no b (gadgets/unit.py).
    """

    name: str
    first: int
    count: int

    def holds(self, refs: Integers) -> NDArray[np.bool_]:
        """Which refs show units of its own."""
        units = refs >> 1  # below zero where a cell is absent
        return np.asarray((units >= self.first) & (units < self.first + self.count))

    @property
    def varied(self) -> set[str]:
        """The marks that differ from unit to unit."""
        marks = self.marks(lambda function: 0).items()
        return {name for name, rows in marks if any(not isinstance(mark, int) for mark in rows.values())}

    @property
    def absent(self) -> bool:
        """Whether it may read zeros that no cell holds."""
        return bool(self.contributions)

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if "kind" in cls.__dict__:
            Gadget.kinds[cls.kind] = cls
        if "series" not in cls.__dict__:
            cls.series = cls.kind

    # What it computes

    @property
    def units(self) -> Integers:
        """The unit numbers."""
        return np.arange(self.first, self.first + self.count)

    @property
    def operands(self) -> Integers:
        """The refs that it reads, flat, in the order in which `run` wants their values."""
        refs = [take.refs for take in self.takes]
        return np.concatenate(refs) if refs else np.zeros(0, np.int64)

    @abstractmethod
    def run(self, operands: Integers, size: int) -> Outcome:
        """The one semantics, in integers: values of the operands [samples, operands] -> Outcome.

        Raises OutOfRange for what has no value.
        """

    @property
    def steps(self) -> int | None:
        """The number of steps in which it is run, where later operands depend on earlier results."""
        return None

    def at_step(self, step: int) -> tuple[Gadget, Integers]:
        """One step as a gadget of its own, and the units that it makes."""
        raise ValueError(f"{self.name} is not run in steps")

    def sums(self, operands: Integers) -> Integers | None:
        """The exact sums [samples, count] that its equations state, where it has some."""
        return None

    def lowered(self, half: int, hidden: bool) -> Gadget | None:
        """Itself with exact sums that are less by half of T, so that rescaling rounds down.

        None where no constant says so, or where all sums are multiples of T. Of what is secret only the shape counts.
        """
        return None

    @abstractmethod
    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Have a builder record the same gadget over cells with the intervals that it derives itself.

        It refuses what it would refuse of an operator (Overflow, TooWide): so a stranger's file is checked.
        """

    @property
    def secrets(self) -> int:
        """How many constants it holds that are secret in a hidden model."""
        return 0

    @property
    def constants(self) -> int:
        """How many constants it holds that everybody knows, of a hidden model too."""
        return 0

    @property
    def hides_constants(self) -> bool:
        """Whether what its mark `bias` holds is secret in a hidden model."""
        return False

    def bare(self) -> Gadget:
        """The gadget with zeros for its secrets."""
        return self

    @property
    def blank(self) -> Sequence[str]:
        """The fields of a bare one that hold nothing but zeros, of which a file keeps the shapes."""
        return ()

    @abstractmethod
    def validate(self, where: str) -> int:
        """The units that its fields give, of a file that anyone made; Malformed names `where` they do not fit."""

    def follows(self, before: Gadget | None, size: int, where: str) -> None:  # noqa: B027  # most are for themselves
        """Malformed where it does not fit T, the size, or the gadget of its series `before` it."""

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:  # noqa: B027  # most have no constants
        """Malformed where a hidden model's constants are wider than it declares."""

    # What stands on its rows

    equations: ClassVar[bool] = False  # its units' exact sums are stated in the linear check

    @property
    def stride(self) -> int:
        """Rows of a value."""
        return 1

    @property
    def applies(self) -> Applied | None:
        """The function that is applied in its own unit."""
        return None

    @property
    def contributions(self) -> Sequence[Contribution]:
        """What it reads in place, in the linear check."""
        return ()

    @property
    def asks(self) -> Asked | None:
        """What its runs are looked up by, where they stand."""
        return None

    @property
    def channels(self) -> tuple[int, ...] | None:
        """The [channels, *grid] in which its equations are stated; None where its units may stand in any order."""
        return None

    @property
    def extents(self) -> tuple[int, ...]:
        """The shape of what it makes, for those who look at a model."""
        return self.channels or (self.count,)

    @property
    def value_row(self) -> int:
        """The row of the stride that holds the value."""
        return self.stride - 1

    @property
    def takes(self) -> Sequence[Take]:
        """What is copied into its rows."""
        return ()

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """The constraints that its marks stand for."""
        return ()

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The fixed columns on its rows; `number` gives a function's tag."""
        return {}

    @cached_property
    def frees(self) -> tuple[int, ...]:
        """The rows of the stride on which it frees e."""
        return tuple(self.marks(lambda function: 0).get("extended", ()))

    def lane_marks(self) -> Mapping[str, Mapping[int, Integers]]:
        """Fixed columns that each lane has for itself: by name and row of the stride, a number for each unit.

        0 in lanes without a unit.
        """
        return {}

    @property
    def entries(self) -> int:
        """The rows that it adds to tables of its own."""
        return 0

    def per_row(self) -> Sequence[Integers]:
        """Arrays [count] whose units may share a row only where they are equal: fixed columns speak to whole rows.

        Nothing here may depend on the values of secrets.
        """
        marks = self.marks(lambda function: 0).values()
        return [value for rows in marks for value in rows.values() if isinstance(value, np.ndarray)]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The view of its cells that is its value: what goes in, unless e stands between."""
        return "taken"

    def fill(self, given: Given) -> Sequence[Held]:
        """The cells of every row of the stride."""
        operands = [Held(values, values) for values in given.operands]
        return [*operands, Held(given.values, given.values)]


def view(values: Integers, refs: Integers) -> Integers:
    """The values [samples, refs] that references stand for; read-only, for it may be a part of `values` itself."""
    if not refs.size:
        return np.zeros((len(values), 0), np.int64)
    first, positive = int(refs[0]), refs & 1
    if first >= 0 and np.array_equal(refs, np.arange(first, first + 2 * len(refs), 2)):
        shown = values[:, first >> 1 : (first >> 1) + len(refs)]
        shown = np.maximum(shown, 0) if first & 1 else shown.view()
    else:
        absent = refs < 0
        shown = np.take(values.T, np.maximum(refs, 0) >> 1, axis=0)
        if absent.any():
            shown[absent] = 0
            positive[absent] = 0
        if positive.all():
            np.maximum(shown, 0, out=shown)
        elif positive.any():
            shown[positive != 0] = np.maximum(shown[positive != 0], 0)
        shown = shown.T
    shown.flags.writeable = False
    return shown


def shows_parts(refs: Integers) -> bool:
    """Whether a ref shows a positive part."""
    return bool(np.any((refs >= 0) & (refs & 1 == 1)))


def check_range(name: str, values: Integers, low: int, high: int) -> None:
    """Raises OutOfRange for the value that is farthest outside."""
    if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
        outside = np.maximum(values - high, low - values).reshape(-1)
        raise OutOfRange(name, int(values.reshape(-1)[np.argmax(outside)]), low, high)
