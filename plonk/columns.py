"""The columns of one proof: filled phase by phase, then polynomials for as long as the quotient's gates read them.

Integers stay integers: programs read them as they are, and what a proof says of their polynomials follows from them by
linear sums, so that nothing of a column of 32 bytes a row is held but while it is transformed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.kzg import container
from plonnx.kzg.srs import Rows
from plonnx.plonk import domain, runs
from plonnx.plonk.filling import fill
from plonnx.plonk.keys import Opened
from plonnx.plonk.program import MODULUS, Kind, Narrow, Slot, monomial
from plonnx.plonk.quotient import FEW_SHIFT, Name, at_few

if TYPE_CHECKING:
    from plonnx.plonk.prover import Prover, Rng

Vec = _native.Vec
Which = TypeVar("Which")  # says which column
Member = Name | Vec  # what is opened: a column, or a polynomial that is none
OF_THE_KEY: tuple[Kind, ...] = ("fixed", "selector")  # columns that are the same in every proof
AT_ONCE_BYTES = 1 << 26  # of columns that are transformed in one call: small ones share the cores


@dataclass(frozen=True)
class Witness:
    """The phase 0 advice columns as integers on rows 0.. (zero beyond), by name, and the public values.

    blinding: the random rows of columns that are committed already (64 bytes a row), by name.
    later: the values on rows 0.. of a later phase's free columns, by name, from the challenges drawn before.
    """

    advice: Mapping[str, NDArray[np.int64]]
    public_values: bytes
    blinding: Mapping[str, bytes] = field(default_factory=dict)
    later: Callable[[int, Mapping[str, int]], Mapping[str, Vec]] = field(default=lambda phase, scalars: {})


def at_once(names: Sequence[Which], column_bytes: int) -> Iterator[Sequence[Which]]:
    """The columns in groups that are worth one call, and take little memory beside what is there already."""
    size = max(1, AT_ONCE_BYTES // column_bytes)
    yield from (names[start : start + size] for start in range(0, len(names), size))


def whole(values: NDArray[np.signedinteger[Any]], n: int) -> Narrow:
    """A column's integers on n rows, at their width; zero beyond those that are given."""
    if len(values) > n:
        raise ValueError(f"a column of {len(values)} rows, where there are {n}")
    narrow = container.narrow(values)
    column = np.zeros(n, narrow.dtype)
    column[: len(narrow)] = narrow
    return column


class Columns:
    """The columns of one proof: values on H while phases are filled, coefficients while they are read."""

    def __init__(self, prover: Prover, witness: Witness, rng: Rng) -> None:
        self.prover, self.vk, self.rng = prover, prover.vk, rng
        self.witness, self.chosen = witness, prover.pk.chosen
        self._free = self.vk.phases[0].stop  # the number of the next free column among the chosen ones
        self.scalars: dict[str, int] = {}
        self._integers: dict[int, Narrow] = {}  # of phase 0's columns, without their random rows
        self._random: dict[int, Vec] = {}  # these rows
        self._values: dict[Name, Vec] = {}  # of other columns on H
        self._coefficients: dict[Name, Vec] = {}
        self._at_few: dict[Slot, Vec] = {}
        self._fractions: dict[int, _native.Fractions] = {}  # of the phase's columns that are sums of some
        self._kept = {i: 1 in o.rotations for o in self.vk.opened if o.kind == "advice" for i in o.members}
        self.masks: dict[int, Vec] = {}
        self.pieces: list[Vec] = []

    def fill(self, phase: int) -> None:
        """Compute the values of the phase's columns, with their random rows."""
        if phase == 0:
            wanted = self.chosen[: self.vk.phases[0].stop]
            _same_names("phase 0", wanted, self.witness.advice)
            for index, name in enumerate(wanted):
                start = self.random_start(index)
                self._random[index] = self._random_rows(index, name)
                integers = whole(self.witness.advice[name], self.vk.n)
                integers[start:] = 0
                self._integers[index] = integers
            return
        active = self.vk.last_row
        levels, columns = self.prover.pk.levels[phase - 1], self.vk.phases[phase]
        chosen = self.witness.later(phase, self.scalars)
        defined = {index for level in levels for index, _, _ in level.columns}
        free = [index for index in range(columns.first, columns.stop) if index not in defined]
        names = self.chosen[self._free : self._free + len(free)]
        self._free += len(free)
        _same_names(f"phase {phase}", names, chosen)
        for index, name in zip(free, names, strict=True):
            values = chosen[name]
            self._store(index, name, values.slice(0, min(len(values), active)).padded(self.vk.n))
        for level in levels:
            outputs = level.program.run_rows(self.read, self.scalars)
            for index, values, fractions in fill(level.columns, outputs, active):
                self._store(index, "", values.padded(self.vk.n))
                if fractions is not None:
                    self._fractions[index] = fractions

    def filled(self) -> None:
        """All columns are filled: values on H that gates do not read there are dropped."""
        self.prover.filled()
        self._values = {name: held for name, held in self._values.items() if name[0] not in OF_THE_KEY}

    def _store(self, index: int, name: str, values: Vec) -> None:
        values.write_(self.random_start(index), self._random_rows(index, name))
        self._values["advice", index] = values

    def _random_rows(self, index: int, name: str) -> Vec:
        needed = 64 * (self.vk.n - self.random_start(index))
        known = self.witness.blinding.get(name)
        if known is not None and len(known) != needed:
            raise ValueError(f"column {name} has {needed // 64} random rows, its blinding {len(known) // 64}")
        return _native.Vec.from_wide_bytes(self.rng(needed) if known is None else known)

    def random_start(self, index: int) -> int:
        """The first random row of an advice column: u + 1 where row u is queried, else u."""
        return self.vk.last_row + (1 if self._kept[index] else 0)

    def rows(self, opened: Opened) -> list[Rows]:
        """The parts of an advice polynomial: integers and random rows apart, so that integers keep their width.

        For its commitment: what only that reads is dropped.
        """
        parts = []
        for place, index in enumerate(opened.members):
            start = self.random_start(index)
            if index in self._integers:
                parts.append(Rows(self._integers[index][:start], 0, opened.packing, place))
                parts.append(Rows(self._random[index], start, opened.packing, place))
            else:
                values, fractions = self._values["advice", index], self._fractions.pop(index, None)
                parts.append(Rows(values, 0, opened.packing, place, fractions))
        return parts

    def draw_masks(self) -> None:
        """A random r(X) of two coefficients for every masked combination, which is opened at one point."""
        for index in self.vk.masked:
            self.masks[index] = _native.Vec.from_wide_bytes(self.rng(128))

    def masked(self, index: int, vanishing: int) -> Vec:
        """The polynomial w + vanishing * r of a masked combination, equal to w + Z_H r where Z_H is `vanishing`."""
        polynomial = self.coefficients("combination", index).copy()
        polynomial.add_scaled_(vanishing % MODULUS, self.masks[index])
        return polynomial

    def integers(self, kind: Kind, index: int) -> Narrow | None:
        """A column that is one of integers, but for random rows, which count as zero here."""
        if kind == "advice":
            return self._integers.get(index)
        return self.prover.integers(index) if kind == "fixed" else None

    def read(self, kind: Kind, index: int) -> Vec | Narrow:
        """A column's values on H, as programs that fill others read them: no active row asks for a random one."""
        integers = self.integers(kind, index)
        return self.values(kind, index) if integers is None else integers

    def values(self, kind: Kind, index: int) -> Vec:
        """A column's values on H."""
        if (integers := self.integers(kind, index)) is not None:
            values = _native.Vec.from_ints(integers)
            if kind == "advice":
                values.write_(self.random_start(index), self._random[index])
            return values
        if kind == "fixed":
            return self.prover.fixed(index)
        if (kind, index) not in self._values:
            made = domain.selector(self.vk, index) if kind == "selector" else self._combined_values(index)
            self._values[kind, index] = made
        return self._values[kind, index]

    def _combined_values(self, index: int) -> Vec:
        fixed = self.prover.pk.fixed
        terms = [(column, monomial(m, self.scalars)) for column, m in self.vk.combinations[index].terms]
        narrow = [(fixed[column].runs, factor) for column, factor in terms if fixed[column].is_integer]
        combined = runs.combine([column for column, _ in narrow], [factor for _, factor in narrow], self.vk.n)
        hidden = [(_native.Vec.from_wide_bytes(fixed[c].blinding), factor) for c, factor in terms if fixed[c].blinding]
        if hidden:
            rows = _native.linear_combination([rows for rows, _ in hidden], [factor for _, factor in hidden])
            combined.write_(self.vk.n - len(rows), rows)
        for column, factor in terms:
            if not fixed[column].is_integer:
                combined.add_scaled_(factor, self.prover.fixed(column))
        return combined

    def on_coset(self, kind: Kind, index: int, vanishing: int) -> Vec:
        """The polynomial of a program's column on points where Z_H is `vanishing`."""
        if kind == "combination" and index in self.masks:
            return self.masked(index, vanishing)
        return self.coefficients(kind, index)

    def coefficients(self, kind: Kind, index: int) -> Vec:
        """A column's polynomial."""
        if kind in OF_THE_KEY:
            return self.prover.polynomial((kind, index))
        if (kind, index) not in self._coefficients:
            self.interpolate([(kind, index)])
        return self._coefficients[kind, index]

    def interpolate(self, columns: Sequence[Name]) -> None:
        """Make the polynomials of columns, and what is read of them at the FEW points; values on H are dropped."""
        self.prover.interpolate([name for name in columns if name[0] in OF_THE_KEY])
        missing = [name for name in columns if name[0] not in OF_THE_KEY and name not in self._coefficients]
        made = _native.intt_many([self.values(*name) for name in missing])
        self._coefficients.update(zip(missing, made, strict=True))
        for name in missing:
            self._values.pop(name, None)
        vanishing = pow(FEW_SHIFT, self.vk.n, MODULUS) - 1
        slots = [slot for name in missing for slot in self.prover.few.get(name, ()) if slot not in self._at_few]
        self._at_few |= at_few(slots, lambda kind, index: self.on_coset(kind, index, vanishing), self.vk.k)

    def release(self, columns: Sequence[Name], cosets: int) -> None:
        """So many cosets are done: polynomials that no further one reads are dropped, where integers replace them."""
        self.prover.release([name for name in columns if name[0] in OF_THE_KEY], cosets)
        for name in columns:
            if name[0] == "advice" and name[1] in self._integers and cosets >= self.prover.cosets[name]:
                self._coefficients.pop(name, None)

    def at_few(self) -> dict[Slot, Vec]:
        """What gates with coefficients beyond their cosets read at the FEW points."""
        values = self.prover.at_few() | self._at_few
        missing = {name: None for name, slots in self.prover.few.items() if not values.keys() >= set(slots)}
        for some in at_once(list(missing), self.prover.column_bytes):  # of gates that no coset reads
            self.interpolate(some)
            self.release(some, len(self.prover.shifts))
        return self.prover.at_few() | self._at_few

    def at(self, members: Sequence[Member], x: int) -> list[int]:
        """The polynomials at x: those of integers from their values."""
        found: dict[int, int] = {}
        narrow = {j: held for j, member in enumerate(members) if (held := self._narrow(member)) is not None}
        if narrow:
            weights = domain.lagrange_at(self.vk.k, x)
            found.update(zip(narrow, _native.weighted_sums([*narrow.values()], weights), strict=True))
            for j in narrow:
                for start, rows in self._random_part(members[j]):
                    products = rows.mul(weights.slice(start, self.vk.n))
                    found[j] += sum(products[i] for i in range(len(products)))
        others = [j for j in range(len(members)) if j not in narrow]
        found.update(zip(others, _native.evaluate_many([self._polynomial(members[j]) for j in others], x), strict=True))
        return [found[j] % MODULUS for j in range(len(members))]

    def combined(self, terms: Sequence[tuple[Member, int]]) -> Vec:
        """The coefficients of sum factor * polynomial: integers are summed up as values, which are transformed once."""
        read = [(member, self._narrow(member), factor) for member, factor in terms]
        narrow = [(member, held, factor) for member, held, factor in read if held is not None]
        polynomials = [(self._polynomial(member), factor) for member, held, factor in read if held is None]
        if narrow:
            n = self.vk.n
            values = _native.combine_runs([_one_run(held) for _, held, _ in narrow], [f for _, _, f in narrow], n)
            for member, _, factor in narrow:
                for start, rows in self._random_part(member):
                    values.write_(start, values.slice(start, n).add(rows.scale(factor)))
            polynomials.append((_native.intt(values), 1))
        return _native.linear_combination([held for held, _ in polynomials], [factor for _, factor in polynomials])

    def _narrow(self, member: Member) -> Narrow | None:
        return None if isinstance(member, Vec) else self.integers(*member)

    def _random_part(self, member: Member) -> list[tuple[int, Vec]]:
        """The random rows of a column of integers, from where they start."""
        if isinstance(member, Vec) or member[0] != "advice":
            return []
        return [(self.random_start(member[1]), self._random[member[1]])]

    def _polynomial(self, member: Member) -> Vec:
        return member if isinstance(member, Vec) else self.coefficients(*member)


def _one_run(column: Narrow) -> tuple[_native.Rows, _native.Rows, Narrow]:
    return np.zeros(1, np.int32), np.array([len(column)], np.int32), column


def _same_names(where: str, wanted: Sequence[str], given: Mapping[str, object]) -> None:
    if set(wanted) != given.keys():
        missing, surplus = sorted(set(wanted) - given.keys()), sorted(given.keys() - set(wanted))
        raise ValueError(f"the witness of {where} lacks the columns {missing} and has others: {surplus}")
