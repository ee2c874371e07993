"""A small circuit that uses every gadget in every way, its honest witness, and forgers' tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.explain import label
from plonnx.compiler.layout import Place
from plonnx.gadgets import Builder, unit
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import Proof
from plonnx.plonk.mock import Failure, MockProver
from plonnx.plonk.multiplicities import multiplicities
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import pack, unpack
from tests.properties.models import LaidOut, Model, lay_out

Integers = NDArray[np.int64]


def everything() -> Model:
    """Dense layers read in place, through copies, repeated, weights in one row and in several; sums of every kind."""
    random = np.random.default_rng(7)
    b = Builder(5)
    x, hidden = b.input("x", (3, 2)), b.input("hidden", (1, 3), public=False)
    b.input("unread", (2,), public=False)
    dense = b.linear(x, random.integers(-6, 6, (2, 3), endpoint=True), np.array([100, -90, 33]), "dense")
    active = b.relu(dense, "active")
    wide = b.linear(active, random.integers(-5, 5, (3, 5), endpoint=True), None, "wide")
    again = b.linear(x.reshape(2, 3), random.integers(-7, 7, (3, 1), endpoint=True), None, "again")
    repeated = b.linear(hidden.broadcast_to((3, 3)), random.integers(-6, 6, (3, 2), endpoint=True), None, "repeated")
    mixed = b.sum([(dense.reshape(-1), 16), (b.relu(dense, "part").reshape(-1), -7)], np.full(9, 50), "mixed")
    varied = b.sum([(repeated, 32)], np.array([[40, -40], [500, 7], [0, -3]]), "varied")
    b.output("wide", wide)
    b.output("again", b.relu(again, "positive"))
    b.output("mixed", mixed)
    b.output("varied", varied)
    b.output("first input again", x)
    inputs = {
        "x": np.array([[[3, -20], [31, 7], [-9, 14]]]),
        "hidden": np.array([[[-5, 30, 12]]]),
        "unread": np.array([[4, -4]]),
    }
    return Model(b, inputs)


def copied() -> Model:
    """One input that two dense layers read in different shapes: the second reads copies."""
    b = Builder(5)
    x = b.input("x", (4,))
    b.output("first", b.linear(x.reshape(1, 4), np.array([[5], [-6], [7], [3]]), None, "first"))
    b.output("second", b.linear(x.reshape(2, 2), np.array([[11], [-9]]), None, "second"))
    return Model(b, {"x": np.array([[3, -20, 31, 7]])})


def repeated() -> Model:
    """One hidden row that a dense layer reads as two: it stands once and every lane must hold it."""
    b = Builder(5)
    x = b.input("x", (1, 2), public=False)
    b.output("y", b.linear(x.broadcast_to((2, 2)), np.array([[11], [-9]]), None, "y"))
    return Model(b, {"x": np.array([[[30, -20]]])})


def idle() -> Model:
    """Two hidden rows: the lane that they leave idle is in no public value."""
    b = Builder(5)
    x, z = b.input("x", (2, 2), public=False), b.input("z", (1,))
    b.output("y", b.linear(x, np.array([[11], [-9]]), None, "y"), public=False)
    b.output("w", b.sum([(z, 40)], None, "w"))
    return Model(b, {"x": np.array([[[30, -20], [3, 4]]]), "z": np.array([[9]])})


@dataclass(frozen=True)
class Unit:
    """Where one lane of one row lies in the witness; `of` is the tensor element, empty for an idle place."""

    row: int
    lane: int
    of: str


class Subject:
    """The circuit, compiled once, and what a forger does to its witness."""

    def __init__(self, model: Model, lanes: int, weight_columns: int) -> None:
        self.case: LaidOut = lay_out(model, lanes, weight_columns)
        self.lanes = lanes
        self.layout, self.builder = self.case.layout, self.case.model.builder
        self.size = self.builder.table_size
        self.honest = self.case.witness()
        self.active_rows = self.layout.shape.active_rows

    @cached_property
    def circuit(self) -> Circuit:
        """The PLONK circuit."""
        return self.case.circuit()

    def failures(self, witness: Witness) -> list[Failure]:
        """What the MockProver says."""
        return MockProver(self.circuit, witness, label(self.layout)).failures(most=3)

    def units(self) -> tuple[list[Unit], list[Unit]]:
        """Every lane of every active row: those that hold a tensor's element in a place's own lane, and idle ones."""
        own = set()
        for place in self.layout.places:
            for depth, grid in enumerate([place.units, *place.above]):
                for height, lane in np.argwhere(grid >= 0).tolist():
                    own.add((int(place.value_rows[height]) - depth, lane))
        name = label(self.layout)
        occupied, idle = [], []
        for row in range(self.active_rows):
            for lane in range(self.lanes):
                found = (row, lane) in own
                (occupied if found else idle).append(Unit(row, lane, name(f"a{lane}", row) if found else ""))
        return occupied, idle

    @cached_property
    def summed(self) -> NDArray[np.bool_]:
        """Whether a row holds equations."""
        return np.pad(self.layout.unit_grid()[1], (0, self.active_rows))[: self.active_rows]

    def cells(self, witness: Witness) -> Integers:
        """The cells [active rows, lanes, 3] of a witness."""
        full = [
            np.pad(column, (0, self.active_rows))[: self.active_rows] for column in witness.advice[: 3 * self.lanes]
        ]
        return np.stack(full, axis=1).reshape(self.active_rows, self.lanes, 3).copy()

    def witness(self, cells: Integers, public_values: bytes | None = None) -> Witness:
        """A witness of these cells, with the multiplicities that fit those of them that are in range."""
        columns = [np.ascontiguousarray(cells[:, lane, part]) for lane in range(self.lanes) for part in range(3)]
        in_range = [column[(column >= 0) & (column < self.size)] for column in columns]
        counts = multiplicities(np.arange(self.size), in_range, self.size)
        public = self.honest.public_values if public_values is None else public_values
        return Witness((*columns, *unit.count_parts(counts, self.active_rows)), public)

    def changed(self, at: Unit, a: int = 0, b: int = 0, c: int = 0) -> Witness:
        """The honest witness with these differences in one unit's cells."""
        cells = self.cells(self.honest)
        cells[at.row, at.lane] += (a, b, c)
        return self.witness(cells)

    def honest_cells(self, at: Unit) -> tuple[int, int, int]:
        """a, b, c."""
        a, b, c = self.cells(self.honest)[at.row, at.lane].tolist()
        return a, b, c

    def place(self, name: str) -> Place:
        """The place of a tensor or of a copy."""
        (found,) = (place for place in self.layout.places if place.name == name)
        return found

    def put(self, cells: Integers, place: Place, values: Integers, sums: Integers | None = None) -> None:
        """Write units [height, lanes of the place] as an honest prover would, idle lanes too."""
        exact = np.zeros_like(values) if sums is None else sums
        parts = unit.fill(values, exact, np.full(values.shape, sums is not None), self.size)
        for number, part in enumerate(parts):
            cells[place.value_rows, :, number] = self.layout.spread(part)

    def public(self, **outputs: Integers) -> bytes:
        """The honest public values with other values for these outputs."""
        stated = {f"{t.role} {t.name}": unpack(t, self.honest.public_values) for t in self.layout.tensors}
        stated |= {f"output {name}": values for name, values in outputs.items()}
        return pack(self.layout.tensors, stated)

    def is_true(self, witness: Witness) -> bool:
        """Whether the public values are what the model gives for the inputs that the cells hold."""
        cells = self.cells(witness)
        values = np.zeros(self.layout.extra_units, np.int64)
        for place in self.layout.places:
            for height, lane in np.argwhere(place.units >= 0).tolist():
                a, b, _ = cells[place.value_rows[height], lane]
                values[place.units[height, lane]] = a - b
        inputs = {b.name: values[b.units].reshape(1, *b.shape) for b in self.builder.inputs}
        outputs = self.builder.evaluate(inputs)
        stated = {f"input {name}": array for name, array in inputs.items()}
        stated |= {f"output {name}": array for name, array in outputs.items()}
        return pack(self.layout.tensors, stated) == witness.public_values


def off_by_one(proof: Proof, tensors: Iterable[object]) -> Iterable[tuple[str, Proof]]:
    """The proof with one public integer raised by one, for every public integer."""
    for tensor in tensors:
        values = unpack(tensor, proof.public_values)  # type: ignore[arg-type]
        for index in np.ndindex(values.shape):
            raised = values.copy()
            raised[index] += 1
            name = f"{tensor.role} {tensor.name}"  # type: ignore[attr-defined]
            packed = pack([tensor], {name: raised})  # type: ignore[list-item]
            at = tensor.offset  # type: ignore[attr-defined]
            public = proof.public_values[:at] + packed + proof.public_values[at + len(packed) :]
            yield f"{name}{list(index)}", replace(proof, public_values=public)
