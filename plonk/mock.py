"""MockProver: every constraint of a circuit checked on a witness without keys, with random challenges.

Says which gate fails, on which row, and what its cells hold. Lookups and copies are checked on the integers themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from plonnx import _native
from plonnx.plonk import expression as ex
from plonnx.plonk import runs
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.expression import ACTIVE, FIRST, LAST, compile_program
from plonnx.plonk.filling import fill
from plonnx.plonk.keygen import compile_levels
from plonnx.plonk.keys import Combination, Level
from plonnx.plonk.program import INVERSE_PSI, MODULUS, PSI, Kind, Program, monomial
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import CHI, instance_sum
from plonnx.plonk.structure import blinding_rows

CellLabel = Callable[[str, int], str]  # (column name, row) -> the tensor element there, or ""


@dataclass(frozen=True)
class Failure:
    """A constraint that does not hold: what it is called, the row, and the cells it reads."""

    constraint: str
    row: int
    cells: tuple[tuple[str, int], ...]  # (cell and its tensor, value)

    def __str__(self) -> str:
        cells = ", ".join(f"{name} = {value}" for name, value in self.cells)
        return f"{self.constraint} fails on row {self.row}" + (f": {cells}" if cells else "")


class MockProver:
    """A circuit made ready to be checked on any number of witnesses. `label` names the tensor element in a cell."""

    def __init__(self, circuit: Circuit, label: CellLabel = lambda column, row: "") -> None:
        circuit.finish()
        self.circuit, self.label = circuit, label
        self.last_row = circuit.n - blinding_rows(circuit)
        self.levels = compile_levels(circuit)
        self.views = list(dict.fromkeys(view for a, _, b, _ in circuit.copies for view in (a, b)))
        self._programs: dict[tuple[sympy.Expr, ...], Program] = {}
        self._known: dict[tuple[Kind, int], _native.Vec] = {}
        self._runs: dict[int, runs.Runs] = {}

    def failures(self, witness: Witness, most: int = 20) -> list[Failure]:
        """At most `most` failures of each constraint, in the order lookups, copies, gates."""
        return self.on(witness).failures(most)

    def on(self, witness: Witness) -> Check:
        """The check of one witness."""
        return Check(self, witness)

    def program(self, expressions: Sequence[sympy.Expr]) -> Program:
        """The program of these expressions."""
        key = tuple(expressions)
        if key not in self._programs:
            self._programs[key] = compile_program(key)
        return self._programs[key]

    def runs_of(self, index: int) -> runs.Runs:
        """A fixed column of integers by its runs."""
        if index not in self._runs:
            self._runs[index] = self.circuit.fixed_columns[index].runs
        return self._runs[index]

    def known(self, kind: Kind, index: int) -> _native.Vec:
        """A column that is the same for every witness: fixed, X, or a selector."""
        key = (kind, index)
        if key not in self._known:
            self._known[key] = self._make(kind, index)
        return self._known[key]

    def _make(self, kind: Kind, index: int) -> _native.Vec:
        n = self.circuit.n
        if kind == "fixed":
            return self.circuit.fixed_columns[index].field(n)
        if index == 0:
            return _native.Vec.powers(_native.omega(self.circuit.k), n)
        rows = np.zeros(n, np.int64)
        rows[{1: slice(0, 1), 2: slice(self.last_row, self.last_row + 1), 3: slice(0, self.last_row)}[index]] = 1
        return _native.Vec.from_ints(rows)


class Check:
    """One witness, with challenges of its own."""

    def __init__(self, prover: MockProver, witness: Witness) -> None:
        self.prover, self.witness = prover, witness
        self.circuit, self.last_row = prover.circuit, prover.last_row
        self.scalars = {c.name: _random() for drawn in self.circuit.challenges for c in drawn}
        if PSI in self.scalars:
            self.scalars[INVERSE_PSI] = pow(self.scalars[PSI], -1, MODULUS)
        for column in self.circuit.instances:
            sums = instance_sum(column, witness.public_values, self.scalars[CHI], self.scalars.get(PSI, 1))
            self.scalars[column.name] = sums
        self._values: dict[tuple[Kind, int], _native.Vec] = {}

    def failures(self, most: int = 20) -> list[Failure]:
        """As MockProver.failures says."""
        for name, values in self.witness.advice.items():
            if name not in self.circuit.advice_names:
                raise ValueError(f"the witness has a column {name!r} that the circuit lacks")
            index = self.circuit.advice_names.index(name)
            self._values["advice", index] = _native.Vec.from_ints(np.ascontiguousarray(values)).padded(self.circuit.n)
        self._fill()
        return self._lookups(most) + self._copies(most) + self._gates(most)

    def column(self, kind: Kind, index: int) -> _native.Vec:
        """The n values of a column; `failures` has filled those that are defined."""
        if kind in ("fixed", "selector"):
            return self.prover.known(kind, index)
        key = (kind, index)
        if key not in self._values:
            if kind == "advice":
                raise ValueError(f"the witness lacks the column {self.circuit.advice_names[index]}")
            self._values[key] = self._combined(index)
        return self._values[key]

    def _combined(self, index: int) -> _native.Vec:
        combination: Combination = self.circuit.combinations[index]
        factors = [monomial(m, self.scalars) for _, m in combination.terms]
        fixed = [c for c, _ in combination.terms]
        if all(self.circuit.fixed_columns[c].is_integer for c in fixed):
            return runs.combine([self.prover.runs_of(c) for c in fixed], factors, self.circuit.n)
        return _native.linear_combination([self.prover.known("fixed", c) for c in fixed], factors)

    def run(self, expressions: Sequence[sympy.Expr]) -> list[_native.Vec]:
        """What the expressions are on every row."""
        return self.prover.program(expressions).run_rows(self.column, self.scalars)

    def _fill(self) -> None:
        for phase, levels in enumerate(self.prover.levels, start=1):
            drawn = {c.name: self.scalars[c.name] for before in self.circuit.challenges[:phase] for c in before}
            for name, values in self.witness.later(phase, drawn).items():
                index = self.circuit.advice_names.index(name)
                self._values["advice", index] = values.slice(0, min(len(values), self.last_row)).padded(self.circuit.n)
            self._fill_levels(levels)

    def _fill_levels(self, levels: Sequence[Level]) -> None:
        for level in levels:
            outputs = level.program.run_rows(self.column, self.scalars)
            for index, values, _ in fill(level.columns, outputs, self.last_row):
                self._values["advice", index] = values.padded(self.circuit.n)

    def _gates(self, most: int) -> list[Failure]:
        found = []
        gates = self.circuit.gates
        for gate, residue in zip(gates, self.run([gate.expression for gate in gates]), strict=True):
            rows = residue.nonzero()
            on = {ACTIVE: rows < self.last_row, FIRST: rows == 0, LAST: rows == self.last_row}
            wanted = on[gate.selector or ACTIVE]
            for row in rows[wanted][:most].tolist():
                found.append(Failure(f"gate {gate.name!r}", row, self._cells(gate.expression, row)))
        return found

    def _lookups(self, most: int) -> list[Failure]:
        found = []
        for lookup in self.circuit.lookups:
            entries = set()
            for part in lookup.table.parts:
                entries |= set(zip(*(_elements(v, self.last_row) for v in self.run(part)), strict=True))
            inputs = zip(*(_elements(v, self.last_row) for v in self.run(lookup.inputs)), strict=True)
            on = np.ones(self.last_row, bool)
            if ex.slots([lookup.numerator]):
                on[:] = False
                nonzero = self.run([lookup.numerator])[0].nonzero()
                on[nonzero[nonzero < self.last_row]] = True
            bad = [row for row, entry in enumerate(inputs) if on[row] and entry not in entries]
            for row in bad[:most]:
                cells = self._cells(sum(lookup.inputs, start=sympy.Integer(0)), row)
                found.append(Failure(f"lookup {lookup.name!r}", row, cells))
        return found

    def _copies(self, most: int) -> list[Failure]:
        found: list[Failure] = []
        views = self.prover.views
        columns = self.run(views) if views else []
        values = dict(zip(views, (_elements(v, self.circuit.n) for v in columns), strict=True))
        for a, a_rows, b, b_rows in self.circuit.copies:
            left, right = values[a], values[b]
            for i, j in zip(a_rows.tolist(), b_rows.tolist(), strict=True):
                if left[i] != right[j] and len(found) < most:
                    found.append(Failure("copy", i, (self._view(a, i, left[i]), self._view(b, j, right[j]))))
        return found

    def _view(self, view: sympy.Expr, row: int, value: bytes) -> tuple[str, int]:
        """A copied cell: named by its column, or by the expression with the tensor of its first column."""
        slot = ex.slots([view])[0]
        name = self._name(self.circuit.column_name(slot.kind, slot.index), row)
        return name if isinstance(view, ex.Query) else f"{view} at {name}", _signed(value)

    def _cells(self, expression: sympy.Expr, row: int) -> tuple[tuple[str, int], ...]:
        cells = []
        for slot in ex.slots([expression]):
            if slot.kind != "selector":
                at = (row + slot.rotation) % self.circuit.n
                name = self._name(self.circuit.column_name(slot.kind, slot.index), at)
                cells.append((name, _signed(self.column(slot.kind, slot.index)[at])))
        return tuple(cells)

    def _name(self, column: str, row: int) -> str:
        tensor = self.prover.label(column, row)
        return f"{column}[{row}]" + (f" ({tensor})" if tensor else "")


def _random() -> int:
    return int.from_bytes(os.urandom(48), "big") % MODULUS


def _elements(values: _native.Vec, count: int) -> list[bytes]:
    raw: NDArray[np.uint8] = np.frombuffer(values.slice(0, count).to_bytes(), np.uint8)
    return [row.tobytes() for row in raw.reshape(-1, 32)]


def _signed(value: int | bytes) -> int:
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    return number if number <= MODULUS // 2 else number - MODULUS
