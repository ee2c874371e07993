"""An operand that stands one row below the first: its unit holds it and nothing else (gadgets/unit.py).

    row 1       q = y (a copy)      second (a + b) = 0

a b = 0 and a + b = 0 make both zero, so e = q = y; of signed cells a = 0 says it. second is a fixed 0/1 column, one for
all gadgets of this frame.

Cost: a unit; no lookup of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from plonnx.gadgets.gadget import Marks, Rule

if TYPE_CHECKING:
    from plonnx.gadgets.lanes import Lanes


class Second(Rule):
    """Empty units, on the rows where `second` is one."""

    MARKS: ClassVar[Marks] = {"second": {1: 1}, "extended": {0: 1, 1: 1}}
    """The rows below the first of a stride of two, whose gates read e there."""

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane."""
        second = lanes.mark("second")
        for lane, unit in enumerate(lanes.units):
            lanes.circuit.gate(f"lane {lane}: the second operand's unit is empty", second * unit.size)
