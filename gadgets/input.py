"""A graph input: units whose values the prover is given. Nothing but the unit's own constraints holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plonnx.gadgets.gadget import Gadget, Integers, Outcome


@dataclass(frozen=True, eq=False)
class Input(Gadget):
    """Its operands are the given values themselves."""

    kind: ClassVar[str] = "input"

    shape: tuple[int, ...]
    public: bool

    def run(self, operands: Integers, size: int) -> Outcome:
        """The values as they are given."""
        return Outcome(operands)
