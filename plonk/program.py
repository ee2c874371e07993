"""Straight-line programs: what a set of gate expressions becomes for the prover, the verifier and the contract.

Plain data (no sympy), so that proving and verifying need not import it. `Program.run_rows` runs over whole columns in
Rust, `Program.run_point` over single field elements in Python; the Solidity generator prints the same ops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import curve
from plonnx.kzg.record import Value

MODULUS = curve.MODULUS
DELTA = pow(7, 1 << 32, MODULUS)  # of odd order: the cosets delta^i H are distinct
ADD, SUB, MUL = 0, 1, 2
PSI, INVERSE_PSI = "psi", "1/psi"  # a challenge, and the scalar that follows from it
MOST = 1 << 20  # columns, pieces: more are in no key
FEW = 8  # points beside the cosets that a quotient is computed on: they give as many coefficients

Kind = Literal["advice", "fixed", "combination", "selector"]
Narrow = NDArray[np.signedinteger[Any]]  # a column of integers, at their width


class Slot(NamedTuple):
    """What a program reads: column `index` of `kind` at `rotation`. Selectors: 0 X, 1 first, 2 last, 3 active."""

    kind: Kind
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    rotation: int


@dataclass(frozen=True)
class Program:
    """Values are numbered: slots, constants, scalars (challenges and instance sums, by name), then one value per op.

    ops: int32 (m, 3) rows (code, left, right); outputs: value numbers.
    """

    slots: tuple[Slot, ...]
    constants: tuple[int, ...]
    scalars: tuple[str, ...]
    ops: NDArray[np.int32]
    outputs: tuple[int, ...]

    def run_point(self, read: Callable[[Slot], int], scalars: Mapping[str, int]) -> list[int]:
        """The outputs at one point; `read` gives the value of a slot there."""
        values = [read(slot) for slot in self.slots]
        values += self.constants
        values += [scalars[name] for name in self.scalars]
        for code, left, right in self.ops.tolist():
            if code == MUL:
                values.append(values[left] * values[right] % MODULUS)
            elif code == ADD:
                values.append((values[left] + values[right]) % MODULUS)
            else:
                values.append((values[left] - values[right]) % MODULUS)
        return [values[number] for number in self.outputs]

    @cached_property
    def columns(self) -> list[tuple[Kind, int]]:
        """The columns that the slots read, in the order of the kernel."""
        return sorted({(slot.kind, slot.index) for slot in self.slots})

    @cached_property
    def _kernel(self) -> _native.Program:
        position = {column: i for i, column in enumerate(self.columns)}
        queries = [(position[slot.kind, slot.index], slot.rotation) for slot in self.slots]
        ops = [(code, left, right) for code, left, right in self.ops.tolist()]
        return _native.Program(queries, self.constants, len(self.scalars), ops, self._computed)

    @cached_property
    def _computed(self) -> list[int]:
        """The outputs that are more than a column, each once."""
        given = {number for number, slot in enumerate(self.slots) if not slot.rotation}
        return [number for number in dict.fromkeys(self.outputs) if number not in given]

    def run_rows(
        self, column: Callable[[Kind, int], _native.Vec | Narrow], scalars: Mapping[str, int]
    ) -> list[_native.Vec]:
        """The outputs on all rows; `column` gives a column's n values (natural order, on H or on a coset)."""
        return self.run_columns({key: column(*key) for key in self.columns}, scalars)

    def run_columns(
        self, columns: Mapping[tuple[Kind, int], _native.Vec | Narrow], scalars: Mapping[str, int]
    ) -> list[_native.Vec]:
        """The same from the values themselves."""
        values = [columns[key] for key in self.columns]
        made = self._kernel.run(values, [scalars[name] for name in self.scalars])
        return self._given(made, lambda slot: columns[slot[:2]])

    def run_slots(self, values: Mapping[Slot, _native.Vec], scalars: Mapping[str, int]) -> list[_native.Vec]:
        """The outputs at any points, from what each slot reads there."""
        read = [values[slot] for slot in self.slots]
        made = self._kernel.run_queried(read, [scalars[name] for name in self.scalars])
        return self._given(made, values.__getitem__)

    def _given(self, made: Sequence[_native.Vec], read: Callable[[Slot], _native.Vec | Narrow]) -> list[_native.Vec]:
        """The outputs, of those that were computed; what is copied shares its memory, until one is written to."""
        known = dict(zip(self._computed, made, strict=True))
        for output in self.outputs:
            if output not in known:
                column = read(self.slots[output])
                known[output] = column if isinstance(column, _native.Vec) else _native.Vec.from_ints(column)
        return [known[output].copy() for output in self.outputs]

    def to_data(self, arrays: dict[str, NDArray[Any]], name: str) -> dict[str, Any]:
        """JSON-able form; the ops go to `arrays[name]`."""
        arrays[name] = self.ops
        return {
            "slots": [list(slot) for slot in self.slots],
            "constants": [hex(value) for value in self.constants],
            "scalars": list(self.scalars),
            "outputs": list(self.outputs),
        }

    @classmethod
    def read(cls, data: Value, ops: NDArray[Any], columns: Callable[[Slot], bool], scalars: Collection[str]) -> Program:
        """The inverse of `to_data`; Malformed where it reads what is not there.

        `columns` says which slots there are, `scalars` are the names that it may use.
        """
        with data.fields() as fields:
            slots = tuple(_slot(*slot.parts(3)) for slot in fields["slots"].items())
            constants = tuple(value.scalar() for value in fields["constants"].items())
            names = tuple(name.word(*scalars) for name in fields["scalars"].items())
            first = len(slots) + len(constants) + len(names)
            outputs = fields["outputs"].integers(0, first + len(ops) - 1, least=1)
        missing = [slot for slot in slots if not columns(slot)]
        if missing:
            data.refuse(f"reads {missing[0].kind} {missing[0].index}[{missing[0].rotation}], which is not there")
        codes, operands = ops[:, 0], ops[:, 1:]
        known = first + np.arange(len(ops))[:, None]
        if not (np.all((codes >= ADD) & (codes <= MUL)) and np.all((operands >= 0) & (operands < known))):
            data.refuse("has an operation of an unknown kind, or on a value that comes after it")
        return cls(slots, constants, names, ops, outputs)


def _slot(kind: Value, index: Value, rotation: Value) -> Slot:
    return Slot(kind.word("advice", "fixed", "combination", "selector"), index.integer(0, MOST), rotation.integer(0, 1))


def monomial(exponents: Sequence[Sequence[Any]], scalars: Mapping[str, int]) -> int:
    """prod challenge^e over (challenge name, e) pairs, modulo r."""
    value = 1
    for name, exponent in exponents:
        value = value * pow(scalars[name], exponent, MODULUS) % MODULUS
    return value
