"""A small circuit, its honest witness, and forgers' tools. The models are in tests/adversarial/models.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets import Builder, function, unit
from plonnx.gadgets.builder import Execution
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.lanes import of_lane
from plonnx.gadgets.linear import border
from plonnx.gadgets.quadratic import ALONE, FUSED
from plonnx.layout.explain import label
from plonnx.layout.place import Placed
from plonnx.layout.witness import Filler
from plonnx.plonk.circuit import Circuit
from plonnx.plonk.keys import Proof, PublicTensor
from plonnx.plonk.mock import Failure, MockProver
from plonnx.plonk.multiplicities import column_name, multiplicities
from plonnx.plonk.program import MODULUS
from plonnx.plonk.prover import Witness
from plonnx.plonk.public_values import pack, unpack
from tests.properties.models import LaidOut, Model, lay_out

Integers = NDArray[np.int64]
Later = Callable[[int, Mapping[str, int]], Mapping[str, _native.Vec]]


GATES = (  # the marks of rows on which a gate or a table takes every lane
    *("coefficients a", "coefficients b", "applied", "product", "second", "chain stated"),
    *("maximum start", "maximum chain", "maximum result", "select", "boolean"),
    *("narrow", "whole", "natural narrow", "natural whole"),
    *("path start", "path decide", "path end", ALONE, FUSED),
    *(f"comparison {part}" for part in ("start", "above", "apart", "plain", "opposite")),
)


@dataclass(frozen=True)
class Unit:
    """Where one lane of one row lies in the witness; `of` is the tensor element, empty for an idle place."""

    row: int
    lane: int
    of: str


class Subject:
    """The circuit, compiled once, and what a forger does to its witness."""

    def __init__(self, model: Model, lanes: int, weight_columns: int, copying: int = 0, parts: bool = False) -> None:
        self._attack(lay_out(model, lanes, weight_columns, copying=copying, parts=parts))

    @classmethod
    def of(cls, case: LaidOut) -> Subject:
        """The subject of a model that is laid out."""
        subject = cls.__new__(cls)
        subject._attack(case)
        return subject

    def _attack(self, case: LaidOut) -> None:
        self.case = case
        self.lanes = case.layout.shape.lanes
        self.layout, self.builder = self.case.layout, self.case.model.builder
        self.size = self.builder.table_size
        self.filler = Filler(self.layout)
        self.fixed = self.filler.fixed
        joined = bool(np.any(self.fixed.column(FUSED)))  # then the circuit has a cell d
        self.letters = "abc" + "e" * self.layout.extended + "d" * joined
        self.parts = len(self.letters)
        self.honest = self.case.witness()
        self.active_rows = self.layout.shape.active_rows
        self.signed = self.filler.signed

    @cached_property
    def circuit(self) -> Circuit:
        """The PLONK circuit."""
        return self.case.circuit()

    @cached_property
    def _mock(self) -> MockProver:
        return MockProver(self.circuit, label(self.layout))

    def failures(self, witness: Witness) -> list[Failure]:
        """What the MockProver says."""
        return self._mock.failures(witness, most=3)

    def constraints(self, witness: Witness) -> set[str]:
        """The constraints that fail, of a witness of a false statement."""
        assert not self.is_true(witness)
        return {failure.constraint for failure in self.failures(witness)}

    @cached_property
    def units(self) -> tuple[list[Unit], list[Unit]]:
        """Every lane of every active row: those that hold a tensor's element, also as a copy, and idle ones."""
        name = label(self.layout)
        every = [
            Unit(row, lane, name(f"a{lane}", row)) for row in range(self.active_rows) for lane in range(self.lanes)
        ]
        return [at for at in every if at.of], [at for at in every if not at.of]

    def unit(self, of: str) -> Unit:
        """Where a tensor's element itself lies, not a copy."""
        tensor, element = of.rstrip("]").split("[")
        (block,) = (block for block in self.builder.blocks if block.name == tensor)
        rows, lanes = self.layout.unit_cells
        number = block.first + int(element)
        return Unit(int(rows[number]), int(lanes[number]), of)

    @cached_property
    def summed(self) -> NDArray[np.bool_]:
        """Whether c takes part in an equation: [active rows, lanes]."""
        masks = np.zeros((self.active_rows, self.lanes), bool)
        for columns in (*self.fixed.final.values(), *self.fixed.gathered.values()):
            for lane, column in enumerate(columns):
                masks[: self.layout.rows, lane] |= column == 1
        for mark in ("product", ALONE):
            masks[: self.layout.rows] |= (self.fixed.column(mark) == 1)[:, None]
        masks[1 : self.layout.rows] |= (self.fixed.column("chain stated") == 1)[:-1, None]
        return masks

    @cached_property
    def taken(self) -> NDArray[np.bool_]:
        """The active rows where a gate takes every lane: operands of sums, functions, maxima, products, trees."""
        asked = [of_lane("path asked", lane) for lane in range(self.lanes)]
        rows = np.any([self.fixed.column(mark) != 0 for mark in (*GATES, *asked)], axis=0)
        return np.pad(rows, (0, self.active_rows - self.layout.rows))

    def wrong_verdicts(self) -> list[tuple[Unit, int, int]]:
        """The cells of every element and copy that are misjudged, by one: (where, part, step)."""
        every = ((at, part, step) for at in self.units[0] for part in range(self.parts) for step in (1, -1))
        return [change for change in every if self.misjudged(*change)]

    def misjudged(self, at: Unit, part: int, step: int) -> bool:
        """Whether a cell may be changed by this though it is not free, or may not though it is.

        For linear gadgets: free is c where there is no sum; a true statement may pass.
        """
        witness = self.changed(at, *(step if i == part else 0 for i in range(self.parts)))
        stays = 0 <= self.honest_cells(at)[part] + step < self.size
        free = part == 2 and stays and not self.summed[at.row, at.lane]
        passes = self.failures(witness) == []
        return passes != free and not (passes and self.is_true(witness))

    # Witnesses -------------------------------------------------------------------------------------------------------

    def cells(self, witness: Witness) -> Integers:
        """The cells [active rows, lanes, parts] of a witness, in the order of `letters`.

        Of signed cells a and b are those that other circuits had: a forger changes v by either.
        """
        columns = [self._column(witness, name) for name in self.names]
        full = [np.pad(column, (0, self.active_rows))[: self.active_rows] for column in columns]
        return np.stack(full, axis=1).reshape(self.active_rows, self.lanes, self.parts).copy()

    def _column(self, witness: Witness, name: str) -> Integers:
        if not self.signed or name[0] not in "ab":
            return witness.advice[name]
        return np.maximum(witness.advice[f"a{name[1:]}"] * (1 if name[0] == "a" else -1), 0)

    @property
    def names(self) -> list[str]:
        """The columns of the cells, lane by lane."""
        return [f"{part}{lane}" for lane in range(self.lanes) for part in self.letters]

    @property
    def counts(self) -> list[str]:
        """The columns of multiplicities."""
        return [name for name in self.honest.advice if name not in self.names]

    def witness(self, cells: Integers, public_values: bytes | None = None, later: Later | None = None) -> Witness:
        """A witness of these cells, with the multiplicities that fit those of them that are in a table."""
        flat = np.ascontiguousarray(cells.reshape(self.active_rows, -1).T)
        own = dict(zip(self.names, flat, strict=True))
        if self.signed:
            for lane in range(self.lanes):
                own[f"a{lane}"] = own[f"a{lane}"] - own.pop(f"b{lane}")
        advice = {**self.honest.advice, **own}
        rest = [cells[:, :, part].reshape(-1) for part in (2, *range(4, self.parts))]
        a, b = (cells[:, :, part].reshape(-1) for part in (0, 1))
        tables = [(np.arange(self.size), rest if self.signed else [a + b, *rest])]
        tables += [(np.arange(1 - self.size, self.size), [a - b])] * self.signed
        counted = [
            multiplicities(table, [x[(x >= table[0]) & (x <= table[-1])] for x in ranged], len(table))
            for table, ranged in tables
        ]
        counts = unit.count_parts(np.concatenate(counted), self.active_rows)
        advice |= {column_name(unit.range_name(self.size), part): column for part, column in enumerate(counts)}
        applied = np.flatnonzero(self.fixed.column("applied"))
        if len(applied):
            parts = enumerate(self._applications(cells[applied], self.fixed.column("tag")[applied]))
            advice |= {column_name(function.TABLE, part): column for part, column in parts}
        public = self.honest.public_values if public_values is None else public_values
        return Witness(advice, public, later=self.honest.later if later is None else later)

    def _applications(self, cells: Integers, tags: Integers) -> list[Integers]:
        functions = self.builder.functions
        low, high = (np.array(ends)[tags] for ends in zip(*((f.low, f.high) for f in functions), strict=True))
        taken, numbers = [], []
        for lane in range(self.lanes):
            q = cells[:, lane, 0] - cells[:, lane, 1] + cells[:, lane, 3]
            inside = (low <= q) & (q <= high)
            taken.append(q[inside])
            numbers.append(tags[inside])
        return function.count(functions, taken, numbers, self.active_rows)

    def changed(self, at: Unit, *change: int) -> Witness:
        """The honest witness with these differences in one unit's cells."""
        cells = self.cells(self.honest)
        cells[at.row, at.lane, : len(change)] += change
        return self.witness(cells)

    def honest_cells(self, at: Unit) -> tuple[int, ...]:
        """a, b, c, and e and d where there are such."""
        return tuple(self.cells(self.honest)[at.row, at.lane].tolist())

    def bordered(self, row: int, lane: int, difference: int, of: Witness | None = None) -> Witness:
        """The honest witness (or another) with another border term."""
        before = self.honest if of is None else of
        at = border.name(lane)

        def later(phase: int, scalars: Mapping[str, int]) -> Mapping[str, _native.Vec]:
            columns = dict(before.later(phase, scalars))
            if at in columns:
                step = _native.Vec.zeros(len(columns[at]))
                step.write_(row, _native.Vec.from_scalars([difference % MODULUS]))
                columns[at].add_scaled_(1, step)
            return columns

        return replace(before, later=later)

    def place(self, name: str) -> Placed:
        """The place of a tensor or of a copy."""
        (found,) = (place for place in self.layout.places if place.name == name)
        return found

    # Forgeries that are consistent but for one block -----------------------------------------------------------------

    def forged(self, name: str, inputs: Mapping[str, Integers] | None = None, **changes: Any) -> Witness:
        """All cells as an honest prover fills them, of a model that has another block of this name.

        `change`: from the exact sums [1, count] to others; else fields of the block. Border terms and public values
        fit.
        """
        other = Builder(self.builder.table_bits, self.builder.hidden, self.builder.weight_bits, self.builder.bias_bits)
        other.outputs = self.builder.outputs
        other.blocks = [_tampered(b, **changes) if b.name == name else b for b in self.builder.blocks]
        return self.stating(other.run(self.case.model.inputs | dict(inputs or {})))

    def with_other_sums(self, name: str, count: int) -> Iterator[tuple[tuple[tuple[int, int], ...], Witness]]:
        """Forged with other exact sums of a block: each of its elements by one and by T; pairs that compensate."""
        tried: list[tuple[tuple[int, int], ...]] = [((e, by),) for e in range(count) for by in (1, -1, 256)]
        tried += [((e, 1), (o, -1)) for e in range(count) for o in range(e)]
        for changes in tried:

            def raised(sums: Integers, changes: tuple[tuple[int, int], ...] = changes) -> Integers:
                for element, by in changes:
                    sums[:, element] += by
                return sums

            yield changes, self.forged(name, change=raised)

    def stating(self, done: Execution) -> Witness:
        """The witness of an execution, with the public values that it gives."""
        stated = {f"input {b.name}": done.values[:, b.units].reshape(1, *b.shape) for b in self.builder.inputs}
        stated |= {f"output {o.name}": self.builder.read(done, o.cells) for o in self.builder.outputs}
        later = partial(self.filler.later, done)
        return Witness(self.filler.advice(done), pack(self.layout.tensors, stated), later=later)

    def public(self, **outputs: Integers) -> bytes:
        """The honest public values with other values for these outputs."""
        stated = {f"{t.role} {t.name}": unpack(t, self.honest.public_values) for t in self.layout.tensors}
        stated |= {f"output {name}": values for name, values in outputs.items()}
        return pack(self.layout.tensors, stated)

    def is_true(self, witness: Witness) -> bool:
        """Whether the public values are what the model gives for the inputs that the cells hold."""
        cells = self.cells(witness)
        rows, lanes = self.layout.unit_cells
        values = cells[rows, lanes, 0] - cells[rows, lanes, 1]
        inputs = {b.name: values[b.units].reshape(1, *b.shape) for b in self.builder.inputs}
        try:
            outputs = self.builder.evaluate(inputs)
        except ValueError:  # such inputs have no execution at all
            return False
        stated = {f"input {name}": array for name, array in inputs.items()}
        stated |= {f"output {name}": array for name, array in outputs.items()}
        return pack(self.layout.tensors, stated) == witness.public_values


def _tampered(block: Gadget, change: Callable[[Integers], Integers] | None = None, **other: Any) -> Gadget:
    """The block with other fields, or with other exact sums."""
    kept = {field.name: getattr(block, field.name) for field in fields(block)} | other
    if change is None:
        return type(block)(**kept)

    changed = change

    class Tampered(type(block)):
        def sums(self, values: Integers) -> Integers:
            return changed(super().sums(values))

    return Tampered(**kept)


def off_by_one(proof: Proof, tensors: Iterable[PublicTensor]) -> Iterable[tuple[str, Proof]]:
    """The proof with one public integer raised by one, for every public integer."""
    for tensor in tensors:
        values = unpack(tensor, proof.public_values)
        for index in np.ndindex(values.shape):
            raised = values.copy()
            raised[index] += 1
            name = f"{tensor.role} {tensor.name}"
            packed = pack([tensor], {name: raised})
            at = tensor.offset
            public = proof.public_values[:at] + packed + proof.public_values[at + len(packed) :]
            yield f"{name}{list(index)}", replace(proof, public_values=public)
