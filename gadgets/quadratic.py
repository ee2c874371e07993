"""A polynomial of the second degree by a gate: v = floor((A q^2 + B q + C + T/2) / T), where a unit takes q.

    A q^2 + B q + C = T (a - b) + rest - T/2                A, B, C: fixed columns, zero where there is no polynomial

`rest` is in [0, T). In a unit that holds a copy it is c, which is free there and looked up in any case. Where the
polynomial has joined the unit of a linear block, c belongs to the block's sum, y = T q + c - T/2 (gadgets/unit.py), and
`rest` is one more cell d of the lane, with a lookup of its own.

Why no other cells pass. Given an integer q, the left side is an integer far below r, and T v + rest has one solution
(v, rest). A copy's q is an integer. In a block's unit, c might be another number of [0, T), and q then a fraction
z / T with the integer z = y + T/2 - c, |z| < 2^63. Multiplied by T^2 the gate says

    A z^2 + B T z = T^2 (T v + rest - T/2 - C)

over the integers: both sides are far below r/2. So T^2 divides the left side, and `integral` coefficients let it do so
only where T divides z. With T = 2^t, let 2^i, 2^j and 2^s be the powers of two in A, B and z, and s < t. As i <= 1,
A z^2 has i + 2 s < 2 t factors of two; so B T z must have just as many, j + t + s = i + 2 s; but j >= i leaves s >= t.
So q is an integer, and c the one that the sum leaves.

Cost: no row, no entry of a table; where it has joined a block, one cell and one lookup for each lane of the circuit.
The polynomial has no domain: what can be proved is any q whose v a unit can hold. So a Function may be replaced by it
only if it is that polynomial for all such q (compiler/polynomial.py), and its interval is the polynomial's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import Filled, Integers, Marks, Rule, check_range
from plonnx.gadgets.unit import look_up_range
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.lanes import Lanes

LIMIT = 1 << 62  # values of the polynomial are int64
ALONE, FUSED = "polynomial of a copy", "polynomial of a sum"
COEFFICIENTS = ("square", "slope", "constant")


@dataclass(frozen=True)
class Quadratic(Rule):
    """x -> floor((square x^2 + slope x + constant + T/2) / T), which is run for low <= x <= high only."""

    name: str
    low: int
    high: int
    square: int
    slope: int
    constant: int

    @property
    def integral(self) -> bool:
        """Whether it takes no fraction x / T to what a unit holds: then it may join a linear block."""
        factors = self.square & -self.square, self.slope & -self.slope  # the powers of two in them, 0 for 0
        return factors[0] in (1, 2) and (not self.slope or factors[1] >= factors[0])

    def exact(self, x: Any) -> Any:
        """The polynomial, before it is rescaled."""
        return (self.square * x + self.slope) * x + self.constant

    def __call__(self, x: Any, size: int) -> Any:
        """The function, elementwise."""
        return (self.exact(x) + size // 2) // size

    def of(self, name: str, x: Integers, size: int) -> Integers:
        """The function of a tensor of this name; raises OutOfRange outside low..high."""
        check_range(name, x, self.low, self.high)
        made: Integers = self(x, size)
        return made

    def interval(self, size: int) -> tuple[int, int]:
        """The least and the largest value that a unit can show of it, whatever x is."""
        vertex = -self.slope // (2 * self.square)
        ends = [self(x, size) for x in (vertex, vertex + 1)]
        return (max(1 - size, min(ends)), size - 1) if self.square > 0 else (1 - size, min(size - 1, max(ends)))

    def rest(self, taken: Integers, values: Integers, size: int) -> Integers:
        """What rounding leaves."""
        left: Integers = self.exact(taken) + size // 2 - size * values
        return left

    def fill(
        self, taken: Integers, values: Integers, present: NDArray[np.bool_], size: int
    ) -> tuple[Integers, Integers]:
        """q and v where it is applied: lanes without a value hold the lowest argument."""
        return np.where(present, taken, self.low), np.where(present, values, self(self.low, size))

    def validate(self, size: int) -> None:
        """Malformed where its values leave 62 bits, its domain is empty or begins where no unit shows a value."""
        reach = max(abs(self.low), abs(self.high))
        most = (abs(self.square) * reach + abs(self.slope)) * reach + abs(self.constant) + size
        require(self.low <= self.high and self.square != 0, f"function {self.name} is no polynomial on a domain")
        require(max(most, *map(abs, self.coefficients)) < LIMIT, f"function {self.name} leaves 62 bits")
        require(abs(self(self.low, size)) < size, f"function {self.name} has no value at its lowest argument")

    @property
    def coefficients(self) -> tuple[int, int, int]:
        """Of x^2, of x, and the constant."""
        return self.square, self.slope, self.constant

    limits_sums: ClassVar[bool] = True  # it is exact up to certain sums only

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that a file holds of it."""
        return self.low, self.high, *self.coefficients

    @property
    def table(self) -> Integers | None:
        """It has none."""
        return None

    @property
    def outline(self) -> dict[str, int | list[int]]:
        """What is shown of it to those who look at a model, beside its domain."""
        return {"coefficients": list(self.coefficients)}

    # Constraints -----------------------------------------------------------------------------------------------------

    @property
    def rule(self) -> type[Rule]:
        """Its own."""
        return Quadratic

    def marks(self, row: int, number: Callable[[Any], int], fused: bool) -> Marks:
        """The fixed columns of the row of the stride where it is applied; fused: where c belongs to a sum."""
        coefficients = {_named(part): {row: value} for part, value in zip(COEFFICIENTS, self.coefficients, strict=True)}
        return {**coefficients, FUSED if fused else ALONE: {row: 1}, "extended": {row: 1}}

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane; where c belongs to sums a cell d and its lookup, too."""
        circuit, size = lanes.circuit, lanes.size
        square, slope, constant = (lanes.mark(_named(part)) for part in COEFFICIENTS)
        alone, fused = lanes.mark(ALONE), lanes.mark(FUSED)
        joined = np.any(lanes.columns(FUSED))
        for lane, unit in enumerate(lanes.units):
            q, scaled, rest = unit.taken, size * unit.value - size // 2, alone * unit.c()
            if joined:
                d = circuit.advice(f"d{lane}")
                look_up_range(circuit, f"d{lane}", d(), size)
                rest += fused * d()
            polynomial = square * q**2 + slope * q + constant
            circuit.gate(f"lane {lane}: the polynomial", polynomial - (alone + fused) * scaled - rest)

    @classmethod
    def cells(cls, filled: Filled) -> Mapping[str, Integers]:
        """The cells d, by column."""
        fused = filled.mark(FUSED)[:, None]
        if not np.any(fused):
            return {}
        square, slope, constant = (filled.mark(_named(part))[:, None] for part in COEFFICIENTS)
        exact = (square * filled.taken + slope) * filled.taken + constant
        d = fused * (exact + filled.size // 2 - filled.size * filled.values)
        return {f"d{lane}": np.ascontiguousarray(d[:, lane]) for lane in range(d.shape[1])}


def _named(part: str) -> str:
    return f"polynomial's {part}"
