"""Rows of a constant matrix at computed numbers, and constants beside them: v[c, i] = M[x_i, c] + A[i, c].

As gadgets/linear/embedding.py has it, with its table and its lookup; but v_i is summed up where it stands: turned, a
run for each number x_i, whose rows hold its row's values, the first one last. X sums up sum_c chi^c v[c, i] over them,
as for everyone who reads them there. Below stand the weights -A[i], by the same powers, and on the last of their rows
a copy of x_i:

    X' + (K + w~)  =  sum_c chi^c (v[c, i] - A[i, c])  =  the polynomial of the row whose key is x_i + start

What others multiply the run by (gadgets/linear/row_product.py) stands above it, is kept to the last value, and meets X'
there: K starts anew below. So words and positions of a transformer are one unit an element and no copy.

Why no other v passes: gadgets/linear/embedding.py. X and K are determined by cells of phase 0 and fixed weights, and
two different v - A agree at (columns) of r values of chi at most.

Cost: a unit a value; rows for the weights of each x, one where nothing is added; the matrix's as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Integers, Outcome, check_range
from plonnx.gadgets.linear.contribution import Asked, Contribution, Weights
from plonnx.gadgets.linear.embedding import ASKED, OFFSET, TAP, Embedding
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells


@dataclass(frozen=True, eq=False)
class StandingRows(Embedding):
    """v = matrix[x] + added; refs x [N], matrix [rows, columns], added [N, columns]; units [columns, N]."""

    kind: ClassVar[str] = "standing rows"
    series: ClassVar[str] = Embedding.kind

    added: Integers | None

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """The matrix on rows of its own."""
        return (self.entries_of_table,)

    @cached_property
    def asks(self) -> Asked:
        """Its runs, the last number first."""
        marks = {ASKED: np.ones(len(self.x), np.int64), OFFSET: np.full(len(self.x), self.start)}
        weights = None if self.added is None else Weights(-self.added[::-1, None, :], TAP)
        return Asked(self.x[::-1], marks, weights)

    @property
    def channels(self) -> tuple[int, ...]:
        """A channel for each column."""
        return (self.matrix.shape[1], len(self.x))

    @property
    def extents(self) -> tuple[int, ...]:
        """Its channels."""
        return self.channels

    @property
    def constants(self) -> int:
        """The matrix's entries, and what is added."""
        return super().constants + (0 if self.added is None else self.added.size)

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same numbers and the same constants."""
        return standing_rows(builder, cells(self.x), self.matrix, self.added, self.name).transpose((1, 0))

    def validate(self, where: str) -> int:
        """A row for each number."""
        count = super().validate(where)
        fits = self.added is None or self.added.shape == (len(self.x), self.matrix.shape[1])
        require(fits, f"{where}: what is added is not a row for each number")
        return count

    def run(self, operands: Integers, size: int) -> Outcome:
        """The rows; OutOfRange for a number that has none, and for a value that no unit holds."""
        rows = super().run(operands, size).values.reshape(len(operands), len(self.x), -1)
        made = rows if self.added is None else rows + self.added
        check_range(self.name, made, 1 - size, size - 1)
        return Outcome(made.transpose(0, 2, 1).reshape(len(operands), -1))


def standing_rows(builder: Builder, x: Cells, matrix: Integers, added: Integers | None, name: str) -> Cells:
    """The rows [N, columns] of a matrix at the numbers x [N], plus `added` [N, columns], as values below T.

    Raises OutOfRange from `run` for a number that is no row's, and for a value of T or more. For public models.
    """
    x, start = StandingRows.begun(builder, x, name)
    low, high = matrix.min(axis=0), matrix.max(axis=0)
    if added is not None:
        added = np.ascontiguousarray(added, np.int64)
        low, high = low + added, high + added
    most = builder.table_size - 1
    interval = int(np.clip(low.min(), -most, most)), int(np.clip(high.max(), -most, most))
    fields = x.refs.copy(), matrix, start, added
    made = builder.add(StandingRows, name, (matrix.shape[1], len(x.refs)), interval, *fields)
    return builder.name(name, made.transpose((1, 0)))
