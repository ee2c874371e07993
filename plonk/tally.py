"""Tally: a circuit that counts. The same declarations as in plonk/circuit.py, of which only sizes are kept.

An expression is its degree and the slots that it queries (plonk/expression.py, Counted); fixed columns are told apart,
not held. `plonk.structure` says of a Tally what keygen says of the Circuit: the cost model counts a dry run of the very
constraints, so that it cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import cast

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Column, Counted, Expression, Query, Scalar
from plonnx.plonk.program import Kind, Slot

_CONSTANT = Counted(0, frozenset())


@dataclass(frozen=True)
class _Column(Column):
    degree: int

    def __call__(self, rotation: int = 0) -> Query:
        return cast(Query, Counted(self.degree, frozenset((Slot(self.kind, self.index, rotation),))))


@dataclass(frozen=True, slots=True)
class _Scalar(Counted):
    name: str


class Tally(Circuit):
    """Declare as in a Circuit of the same k, group and packing."""

    def shaped(self, group: int) -> Tally:
        """The same declarations, not finished, for another number of lookup terms in a helper column."""
        held = {f.name: copy(getattr(self, f.name)) for f in fields(self)}
        return Tally(**{**held, "group": group, "challenges": [list(drawn) for drawn in self.challenges]})

    def _column(self, kind: Kind, index: int, name: str) -> Column:
        masked = kind == "combination" and any(c in self.hidden for c, _ in self.combinations[index].terms)
        return _Column(kind, index, name, self.n + 1 if masked else self.n - 1)

    def _scalar(self, name: str) -> Scalar:
        return cast(Scalar, _Scalar(0, frozenset(), name))

    def expression(self, expression: Expression) -> sympy.Expr:
        """An expression in the circuit's own form."""
        return _CONSTANT if isinstance(expression, int) else expression

    @property
    def x(self) -> sympy.Expr:
        """X."""
        return Counted(1, frozenset())

    def permutation(self, views: Sequence[sympy.Expr]) -> NDArray[np.int64]:
        """No labels: a column for each view."""
        return np.zeros((len(views), 0), np.int64)
