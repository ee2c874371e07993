"""Rows of a constant matrix at computed numbers: v[i, c] = M[x_i, c], one lookup for a whole row, however long.

The matrix stands in the weight columns, a run of rows for each of its rows, and K + w~ on the last of them is the row
as a polynomial in chi (gadgets/linear/check.py). It reads no cell: its rows are any on which no layer has weights. Each
v_i is copied above a copy of x_i, where the second factor's K sums it up by the same powers of chi:

    sum_c chi^c v[i, c]  =  the polynomial of the row whose key is x_i + offset

as (x_i + offset, K + w~) is an entry (key, K + w~) of a table, on the rows where `row asked` (fixed 0/1) is one.

Why no other v passes. Keys are a fixed column: each key from 1 on is on one row, all other rows have 0, and the keys of
two matrices lie further apart than any two x, so that x_i + offset is a key of its own matrix or of none. Both sums
follow from cells of phase 0 and from chi, which is drawn after them; two different rows agree at (columns) of r values
of chi at most. beta and theta are drawn after chi, after all cells and multiplicities. So v_i is the row M[x_i], and an
x_i outside the matrix has no proof. The v are units, a + b < T; copies are tied by the permutation argument.

Cost: a unit and a copy a value; a row for each x; ceil(columns / C) rows of weights for each row of the matrix, which
are other places' where these have enough; a fixed column of keys and one of multiplicities, whatever the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Filled, Gadget, Given, Held, Integers, Outcome, OutOfRange, Rule, Sums
from plonnx.gadgets.linear.contribution import Accumulator, Contribution, Weights
from plonnx.kzg.record import require
from plonnx.plonk.multiplicities import column_name

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.lanes import Lanes

TABLE = "rows of matrices"
KEY, ASKED, OFFSET = "row key", "row asked", "row offset"
TAP = np.zeros((1, 1), np.int64)


@dataclass(frozen=True, eq=False)
class Embedding(Gadget, Rule):
    """v = matrix[x]; refs x [N], matrix [rows, columns], whose keys are start, start + 1, ..; units [N, columns]."""

    kind: ClassVar[str] = "embedding"
    reads_parts: ClassVar[bool] = False

    x: Integers
    matrix: Integers
    start: int

    @cached_property
    def contributions(self) -> Sequence[Contribution]:
        """The matrix on rows of its own, and its chosen rows above their numbers: looked up, and in no equation."""
        values = 2 * self.units.reshape(-1, self.matrix.shape[1])
        asked = {ASKED: np.ones(len(self.x), np.int64), OFFSET: np.full(len(self.x), self.start)}
        return (self.entries_of_table, Contribution(self.x[:, None], Accumulator(values), (1,), asked))

    @property
    def entries_of_table(self) -> Contribution:
        """The matrix, which reads no cell."""
        keys = {KEY: self.start + np.arange(len(self.matrix))}
        return Contribution(np.full((len(self.matrix), 1), -1), Weights(self.matrix[:, None, :], TAP), (1,), keys)

    @property
    def operands(self) -> Integers:
        """The refs of x."""
        return self.x

    @property
    def absent(self) -> bool:
        """Its operands are there."""
        return False

    @property
    def constants(self) -> int:
        """The matrix's entries."""
        return self.matrix.size

    @property
    def extents(self) -> tuple[int, ...]:
        """A row for each number."""
        return (len(self.x), self.matrix.shape[1])

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own."""
        return [Embedding]

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same numbers and the same matrix."""
        return embedded(builder, cells(self.x), self.matrix, self.name)

    def follows(self, before: Gadget | None, size: int, where: str) -> None:
        """Its keys are its own, and beyond all that numbers of other matrices, or rows without a key, could be."""
        first = _first_key(before if isinstance(before, Embedding) else None, size)
        require(self.start == first, f"{where}: its keys do not start at {first}")

    def widths(self, weight_bits: int, bias_bits: int, where: str) -> None:
        """No hidden model has one: its matrix would be among the hidden weights, where nobody sees which it is."""
        require(False, f"{where}: rows of a private model's matrices are not looked up")

    def validate(self, where: str) -> int:
        """A row for each number."""
        require(self.x.ndim == 1 and self.x.size > 0, f"{where}: its numbers are no list")
        require(self.matrix.ndim == 2 and self.matrix.size > 0, f"{where}: its matrix has no rows and columns")
        return len(self.x) * int(self.matrix.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """The rows; OutOfRange for a number that has none."""
        outside = operands[(operands < 0) | (operands >= len(self.matrix))]
        if outside.size:
            raise OutOfRange(self.name, int(outside[0]), 0, len(self.matrix) - 1)
        return Outcome(self.matrix[operands].reshape(len(operands), -1).astype(np.int64))

    def fill(self, given: Given) -> Sequence[Held]:
        """The values."""
        return [Held(given.values, given.values)]

    @classmethod
    def begun(cls, builder: Builder, x: Cells, name: str) -> tuple[Cells, int]:
        """The numbers, as cells that are there, and the first key of the next matrix."""
        if builder.hidden:
            raise ValueError(f"{name}: rows of a private model's matrices are not looked up")
        before = [block for block in builder.blocks if isinstance(block, Embedding)]
        return builder.present(x), _first_key(before[-1] if before else None, builder.table_size)

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """The column of multiplicities, which stands before chi as the cells do."""
        lanes.circuit.advice(column_name(TABLE, 0))

    @classmethod
    def look_up(cls, lanes: Lanes, sums: Sums) -> None:
        """One table of all matrices, and one lookup."""
        circuit = lanes.circuit
        table = circuit.table(TABLE, [lanes.mark(KEY), sums.factors], sums=True)
        key = lanes.units[0].value + lanes.mark(OFFSET)
        circuit.lookup("a row of a matrix", table, [key, sums.asked], lanes.mark(ASKED))

    @classmethod
    def multiplicities(cls, filled: Filled) -> Mapping[str, Integers]:
        """How often each row is asked for."""
        keys, asked = filled.mark(KEY), filled.mark(ASKED) != 0
        wanted = (filled.values[:, 0] + filled.mark(OFFSET))[asked]
        counts = np.bincount(wanted, minlength=int(keys.max()) + 1)
        return {column_name(TABLE, 0): np.where(keys > 0, counts[keys], 0)}


def embedded(builder: Builder, x: Cells, matrix: Integers, name: str) -> Cells:
    """The rows [N, columns] of a matrix of values below T at the numbers x [N].

    Raises OutOfRange from `run` for a number that is no row's. For public models.
    """
    x, start = Embedding.begun(builder, x, name)
    ends = int(matrix.min()), int(matrix.max())
    return builder.add(Embedding, name, (len(x.refs), matrix.shape[1]), ends, x.refs.copy(), matrix, start)


def _first_key(before: Embedding | None, size: int) -> int:
    """Where the keys of a matrix start, given the one before: 2 T from any key that an x of another could make."""
    return 2 * size + (0 if before is None else before.start + len(before.matrix))
