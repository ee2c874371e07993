"""Lanes: the unit columns side by side with the fixed columns of their rows, what every gadget's constraints are given.

Constraints use operators only, so that the same code declares them in a Circuit and counts them in a Tally.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.unit import UnitColumns

if TYPE_CHECKING:
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.gadget import Gadget
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.expression import Expression, Scalar

Integers = NDArray[np.int64]
Kind = TypeVar("Kind", bound=np.integer[Any])
Numbers = NDArray[np.integer[Any]]
"""A fixed column, in any type that holds it."""
BY_CHI = 0
"""The spacing of lanes that powers of chi tell apart: their rows hold channels (layout/geometry.py, turned)."""
Shared = Sequence[tuple[Numbers, Sequence[int]]]
"""Fixed columns, each with the lanes that it is for."""


class Lanes:
    """units: the columns of each lane. size: T. columns: the integers of a named fixed column, on rows.

    gadgets: those of the circuit, in whose fields a rule finds the constants of its table.
    """

    def __init__(
        self,
        circuit: Circuit,
        units: Sequence[UnitColumns],
        size: int,
        active_rows: int,
        columns: Callable[[str], Integers],
        functions: Sequence[Function] = (),
        gadgets: Sequence[Gadget] = (),
    ) -> None:
        self.circuit, self.units, self.size, self.active_rows = circuit, units, size, active_rows
        self.columns, self.functions, self.gadgets = columns, functions, gadgets

    @property
    def signed(self) -> bool:
        """Whether cells are signed: a is v, and there is no b."""
        return self.units[0].signed

    @property
    def psi(self) -> Scalar:
        """The challenge that tells lanes and positions apart: drawn after everything that the prover chooses."""
        return self.circuit.challenge("psi", self.circuit.free_phase)

    def mark(self, name: str) -> Expression:
        """A named fixed column; 0 where it is zero on every row."""
        values = self.columns(name)
        return self.circuit.shared_fixed(name, values)() if np.any(values) else 0

    def own(self, name: str, lane: int) -> Expression:
        """A fixed column of one lane (Gadget.lane_marks); 0 where it is zero on every row."""
        return self.mark(of_lane(name, lane))

    def power(self, lane: int, spacing: int, count: int | None = None) -> Expression:
        """psi^(spacing (L-1-l)), or chi^(L-1-l)."""
        after = (len(self.units) if count is None else count) - 1 - lane
        return self.circuit.challenge("chi") ** after if spacing == BY_CHI else self.psi ** (spacing * after)

    def weigh(self, terms: Sequence[Expression], lanes: Sequence[int] | None = None, spacing: int = 1) -> Expression:
        """sum_l psi^(spacing (L-1-l)) term_l, or with chi^(L-1-l), over all lanes or some."""
        chosen = range(len(terms)) if lanes is None else lanes
        return sum((self.power(lane, spacing, len(terms)) * terms[lane] for lane in chosen), start=0)

    def masked(self, shared: Mapping[int, Shared], terms: Sequence[Expression], name: str) -> Expression:
        """The weighted sum with each lane's mask, by spacing; lanes of equal masks share a column, and equal masks."""
        masks = (
            (self.circuit.shared_fixed(name, values)(), lanes, spacing)
            for spacing, columns in shared.items()
            for values, lanes in columns
        )
        return sum((mask * self.weigh(terms, lanes, spacing) for mask, lanes, spacing in masks), start=0)


def of_lane(name: str, lane: int) -> str:
    """The name of one lane's column."""
    return f"{name} of lane {lane}"


def distinct(lanes: Sequence[NDArray[Kind]]) -> list[tuple[NDArray[Kind], list[int]]]:
    """The different columns with the lanes that share them; all-zero ones are left out."""
    found: dict[bytes, tuple[NDArray[Kind], list[int]]] = {}
    for lane, column in enumerate(lanes):
        if np.any(column):
            found.setdefault(column.tobytes(), (column, []))[1].append(lane)
    return list(found.values())
