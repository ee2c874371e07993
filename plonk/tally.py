"""Tally: a circuit that counts. The same declarations as in plonk/circuit.py, of which only sizes are kept.

An expression is its degree and the slots that it queries (plonk/expression.py, Counted); fixed columns are told apart,
not held. `plonk.structure` says of a Tally what keygen says of the Circuit: the cost model counts a dry run of the very
constraints, so that it cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import Column, Counted, Expression, Query, Scalar
from plonnx.plonk.program import Kind, Slot


class _Column(Column):
    """A column whose queries are counted; each slot is known once."""

    def __init__(self, kind: Kind, index: int, name: str, degree: int, known: list[Slot]) -> None:
        super().__init__(kind, index, name)
        queries: dict[int, Counted] = {}
        object.__setattr__(self, "degree", degree)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "queries", queries)

    degree: int
    known: list[Slot]
    queries: dict[int, Counted]

    def __call__(self, rotation: int = 0) -> Query:
        if rotation not in self.queries:
            self.known.append(Slot(self.kind, self.index, rotation))
            self.queries[rotation] = Counted(self.degree, 1 << (len(self.known) - 1), self.known)
        return cast(Query, self.queries[rotation])


class _Scalar(Counted):
    """A challenge or an instance sum."""

    __slots__ = ("name",)

    def __init__(self, name: str, known: list[Slot]) -> None:
        super().__init__(0, 0, known)
        self.name = name


class Tally(Circuit):
    """Declare as in a Circuit of the same k, group and packing."""

    def __init__(self, k: int, **given: Any) -> None:
        self.known: list[Slot] = []
        super().__init__(k, **given)

    def shaped(self, group: int) -> Tally:
        """The same declarations, not finished, for another number of lookup terms in a helper column."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        other = Tally(**{**held, "group": group})
        other.known = self.known  # slots are numbered once for all of them
        return other

    def shared_fixed(self, name: str, values: NDArray[np.integer[Any]]) -> Column:
        """As in a Circuit."""
        return self._shared(name, _content(values), values)

    def shared_marks(self, name: str, rows: NDArray[np.int64], value: int) -> Column:
        """As in a Circuit; the column itself is not made."""
        marks = np.zeros(int(rows[-1]) + 1, np.bool_)
        marks[rows] = value
        return self._shared(name, _told(marks, [value]), rows)

    def _column(self, kind: Kind, index: int, name: str) -> Column:
        masked = kind == "combination" and any(c in self.hidden for c, _ in self.combinations[index].terms)
        return _Column(kind, index, name, self.n + 1 if masked else self.n - 1, self.known)

    def _scalar(self, name: str) -> Scalar:
        return cast(Scalar, _Scalar(name, self.known))

    def expression(self, expression: Expression) -> sympy.Expr:
        """An expression in the circuit's own form."""
        return Counted(0, 0, self.known) if isinstance(expression, int) else expression

    @property
    def x(self) -> sympy.Expr:
        """X."""
        return Counted(1, 0, self.known)

    def permutation(self, views: Sequence[sympy.Expr]) -> NDArray[np.int64]:
        """No labels: a column for each view."""
        return np.zeros((len(views), 0), np.int64)


def _content(values: NDArray[np.integer[Any]]) -> bytes:
    """The same for equal columns, whatever their type and however many zeros end them: it need not be short."""
    if values.dtype == np.int8 and values.view(np.uint8).max(initial=0) <= 1:  # marks, which most columns are
        return _told(values.view(np.bool_), [1])
    marks = values != 0
    return _told(marks, values[marks])


def _told(marks: NDArray[np.bool_], values: Sequence[int] | NDArray[np.integer[Any]]) -> bytes:
    """Where a column is not zero, and what it is there: one value where all are the same."""
    where = np.packbits(marks).tobytes().rstrip(bytes(1))
    held = np.asarray(values, np.int64)
    if np.all(held == held[:1]):
        held = held[:1]
    return len(where).to_bytes(8) + where + (held.tobytes() if where else b"")
