"""A search over the cells that a prover chooses: many instances of one gadget in one circuit, each filled otherwise.

Nothing ties the instances to each other (no public value, no equation), so that a failure's row tells which one fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets import unit
from plonnx.layout.arithmetize import arithmetize
from plonnx.layout.planner import Layout
from plonnx.layout.witness import Filler
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.mock import MockProver
from plonnx.plonk.prover import Witness
from tests.properties.models import Model, lay_out

Integers = NDArray[np.int64]
COPIES = "copies"


def left_out(circuit: Circuit, name: str) -> None:
    """The circuit without the gates, lookups and sums whose names have this in them, or without its copies."""
    before = circuit.gates, circuit.lookups, circuit.sums, circuit.copies
    circuit.gates = tuple(gate for gate in circuit.gates if name not in gate.name)
    circuit.lookups = tuple(lookup for lookup in circuit.lookups if name not in lookup.name)
    circuit.sums = tuple(each for each in circuit.sums if name not in each[0])
    if name == COPIES:
        circuit.copies = ()
    assert (circuit.gates, circuit.lookups, circuit.sums, circuit.copies) != before, f"there is no {name!r}"


def constraints(circuit: Circuit) -> set[str]:
    """The names by which `left_out` knows all of a circuit's: those of lane 0 stand for those of every lane."""
    named = [gate.name for gate in circuit.gates] + [lookup.name for lookup in circuit.lookups]
    named += [name for name, *_ in circuit.sums]
    own = {re.sub(r"^lane 0:? ", "", name) for name in named if not re.match(r"lane [1-9]", name)}
    return own | ({COPIES} if circuit.copies else set())


@dataclass
class Search:
    """The honest cells of a model whose last gadget is under attack; `held` says what its rows take, hold and leave."""

    model: Model
    lanes: int = 4
    signed: bool = False

    def __post_init__(self) -> None:
        case = lay_out(self.model, self.lanes, 1, parts=not self.signed)
        self.layout: Layout = case.layout
        assert self.layout.signed(self.layout.shape.active_rows) == self.signed
        self.filler = Filler(self.layout)
        self._mocks: dict[str | None, MockProver] = {}
        self.place = next(p for p in self.layout.places if p.block is self.model.builder.blocks[-1])
        self.done = self.model.builder.run(self.model.inputs)
        run, height, self.lane = np.nonzero(self.place.units >= 0)
        self.rows = [self.place.rows_at(at)[run, height] for at in range(self.place.stride)]

    def accepted(self, cells: list[dict[str, Integers]], without: str | None = None) -> NDArray[np.bool_]:
        """Which instances pass: cells[row of the stride][part], one number an instance; others are honest.

        Signed cells hold a - b of what is given as a and b.

        without: constraints are left out (`left_out`).
        """
        taken, values, rest = self.filler.cells(self.done)
        columns = unit.columns(taken, values, rest, self.layout.extended)
        own = self.filler.further(self.filler.filled(taken, values, rest))
        columns |= own
        for rows, parts in zip(self.rows, cells, strict=True):
            for part, numbers in parts.items():
                for lane in range(self.layout.shape.lanes):
                    here = self.lane == lane
                    columns[f"{part}{lane}"][rows[here]] = numbers[here]
        size, shape = self.model.builder.table_size, self.layout.shape
        a, b, c = (np.stack([columns[f"{part}{i}"] for i in range(shape.lanes)], axis=1) for part in "abc")
        ab = a - b if self.signed else a + b
        if self.signed:
            columns |= {f"a{i}": ab[:, i] for i in range(shape.lanes)}
            for i in range(shape.lanes):
                del columns[f"b{i}"]
        further = [np.clip(columns[name], 0, size - 1) for name in own]
        columns |= unit.range_multiplicities(
            np.where(np.abs(ab) < size, ab, 0), np.clip(c, 0, size - 1), size, shape.active_rows, further, self.signed
        )
        mock = self._mock(without)
        circuit = mock.circuit
        first = [name for name, phase in zip(circuit.advice_names, circuit.advice_phases, strict=True) if phase == 0]
        columns |= {name: np.zeros(1, np.int64) for name in first if name not in columns}  # counts, seen in a sum alone
        failures = mock.failures(Witness(columns, b""), most=1 << 30)
        bad = np.zeros((self.layout.rows, shape.lanes), bool)
        for failure in failures:
            found = re.search(r"\b[abcde](\d+)", failure.cells[0][0])
            if failure.row < self.layout.rows and found is not None:  # beyond: the sum of it all
                bad[failure.row, int(found[1])] = True
        good: NDArray[np.bool_] = ~np.any([bad[rows, self.lane] for rows in self.rows], axis=0)
        return good

    def _mock(self, without: str | None) -> MockProver:
        if without not in self._mocks:
            circuit = arithmetize(self.layout, "search", self.layout.tensors)
            if without is not None:
                left_out(circuit, without)
            self._mocks[without] = MockProver(circuit)
        return self._mocks[without]
