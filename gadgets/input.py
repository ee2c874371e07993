"""A graph input: units whose values the prover is given; of a Boolean one each is 0 or 1.

    boolean a (1 - a) = 0,   boolean b = 0           boolean: fixed 0/1

Other inputs have the unit's own constraints alone. Cost: no row, no lookup; two gates in circuits with Boolean inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from plonnx.gadgets.gadget import Cellwise, Gadget, Integers, Marks, Outcome, Rule, check_range
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


@dataclass(frozen=True, eq=False)
class Input(Gadget, Rule):
    """Its operands are the given values themselves."""

    kind: ClassVar[str] = "input"

    shape: tuple[int, ...]
    public: bool
    boolean: bool = False

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Those of Booleans."""
        return [Input] if self.boolean else []

    @property
    def extents(self) -> tuple[int, ...]:
        """The tensor's."""
        return self.shape

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The rows of Booleans."""
        return {"boolean": {0: 1}} if self.boolean else {}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """The same input."""
        return builder.input(self.name, self.shape, self.public, self.boolean)

    def validate(self, where: str) -> int:
        """Its shape's."""
        require(all(size > 0 for size in self.shape), f"{where}: its shape has an empty axis")
        return prod(self.shape)

    def run(self, operands: Integers, size: int) -> Outcome:
        """The values as they are given; OutOfRange for a Boolean that is none."""
        if self.boolean:
            check_range(self.name, operands, 0, 1)
        return Outcome(operands)

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """Two gates a lane."""
        boolean = lanes.mark("boolean")
        for lane, unit in enumerate(lanes.units):
            lanes.circuit.gate(f"lane {lane}: a Boolean is at most one", boolean * unit.a() * (1 - unit.a()))
            lanes.circuit.gate(f"lane {lane}: a Boolean is not negative", boolean * unit.b())
