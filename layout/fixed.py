"""The fixed columns of a layout, as integers on rows; layout/arithmetize.py gives them to the gadgets.

powers.py has those of P, readings.py and weight_columns.py those of the two factors that the linear check sums up; here
are its equations, the gadgets' own columns and the public words. The heads of gadgets/ say what each column is for.
Imports no sympy: the cost model counts these columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plonnx.gadgets.function import Function
from plonnx.gadgets.lanes import of_lane
from plonnx.gadgets.linear import biases
from plonnx.layout.place import Placed, first_present
from plonnx.layout.powers import Integers, Lanes, Marks, Spaced, by_lane, by_spacing
from plonnx.layout.readings import Readings
from plonnx.layout.weight_columns import WeightColumns
from plonnx.plonk.keys import Monomial, Run
from plonnx.plonk.program import PSI


@dataclass(frozen=True, eq=False)
class Words:
    """Public words of one kind (across lanes of one width and length): the runs, and for each lane the power of 256.

    That is one more than the power, on each row: 0 where there is none.
    """

    runs: tuple[Run, ...]
    places: list[Integers]
    positive: bool
    across: bool


class Fixed(Readings, WeightColumns):
    """All columns; an empty array or list stands for a column that the circuit does not need.

    counted: for a dry run, which asks of weight columns only how many there are: they are zeros that take no memory.
    """

    @cached_property
    def gathered(self) -> Spaced[Lanes]:
        """For each lane, the equations that are summed up run by run: all but those of `final`."""
        return self._equations([place for place in self.layout.places if place.equations and self._sums_up(place)])

    @cached_property
    def final(self) -> Spaced[Lanes]:
        """For each lane, the equations that are stated row by row."""
        return self._equations([place for place in self.layout.places if place.equations and not self._sums_up(place)])

    def _sums_up(self, place: Placed) -> bool:
        """Whether a place's equations are summed up: run by run, or row by row where sums start anew on each.

        None are in a circuit that has neither runs of several rows nor borders: it needs no such sums.
        """
        return self.summed_up and (place.gathered or place.height == 1)

    @cached_property
    def summed_up(self) -> bool:
        """Whether equations are summed up at all."""
        return any(p.has_terms or (p.equations and (p.gathered or p.turned or p.turn)) for p in self.layout.places)

    def _equations(self, places: Sequence[Placed]) -> Spaced[Lanes]:
        found = {}
        for spacing, held in by_spacing(places, stated=True):
            marks = np.zeros((self.rows, self.lanes), bool)
            for place in held:
                marks[place.value_rows] = place.units >= 0
            found[spacing] = by_lane(marks)
        return found

    @cached_property
    def totals(self) -> dict[Monomial, Marks]:
        """1 where the equations of a run that is summed up, or a border, are complete; by what P lacks of their power.

        That is something where runs of several places take turns alone (stacked.py).
        """
        marked: dict[Monomial, list[Integers]] = {}
        for place in self.layout.places:
            if not (place.has_terms or (place.equations and self._sums_up(place))):
                continue
            turn, last = place.turn, place.last_rows
            for group in range(1 if turn is None else turn.groups):
                powers = () if turn is None else (("chi", turn.chi[0] + group * turn.chi[1]), (PSI, turn.psi))
                rows = last if turn is None else last[group :: turn.groups]
                marked.setdefault(tuple((name, power) for name, power in powers if power), []).append(rows)
        return {monomial: self._rows(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def borders(self) -> Spaced[Marks]:
        """1 where a border term stands: never on the first and the last row of a border."""
        return {
            spacing: self._rows(*(place.term_rows for place in held))
            for spacing, held in by_spacing(place for place in self.layout.places if place.has_terms)
        }

    @cached_property
    def secret_bias(self) -> Marks:
        """1 where a bias or constant is a secret of a hidden model."""
        rows = [p.rows_at(at)[first_present(p.units) >= 0] for p, at in self._biased if _hides(p)]
        return self._rows(*rows)

    @property
    def known_bias(self) -> Integers:
        """The constants that are no secret of a hidden model, 0 in the place of the others."""
        return self.column("bias") * (1 - self.secret_bias)

    @cached_property
    def repeated_bias(self) -> Marks:
        """1 where the next row states the same channel's bias again."""
        return self._rows(*(p.rows_at(at)[:, :-1] for p, at in self._biased if p.gathered))

    @cached_property
    def _biased(self) -> list[tuple[Placed, int]]:
        """The places with biases or constants, and the row of the stride where these stand."""
        marks = [
            (p, p.block.marks(lambda function: 0).get("bias", {})) for p in self.layout.places if p.block is not None
        ]
        return [(place, at) for place, mark in marks for at in mark]

    # The gadgets' own columns ----------------------------------------------------------------------------------------

    def column(self, name: str) -> Integers:
        """A fixed column that gadgets mark by name; zero where none does."""
        return self._columns.get(name, np.zeros(self.rows, np.int64))

    @cached_property
    def _columns(self) -> dict[str, Integers]:
        columns: dict[str, Integers] = {}
        numbers = {id(function): i for i, function in enumerate(self.layout.builder.functions)}

        def number(function: Function) -> int:
            return numbers[id(function)]

        for place in self.layout.places:
            if place.block is None:
                continue
            first = None
            for name, marks in place.block.marks(number).items():
                if (place.turned or place.turn) and name == "bias":
                    self._put_in_lanes(columns, place, biases.BIASES, marks)
                    continue
                column = columns.setdefault(name, np.zeros(self.rows, np.int64))
                for at, value in marks.items():
                    if isinstance(value, int):
                        column[place.rows_at(at)] = value
                        continue
                    first = first_present(place.units) if first is None else first
                    held = value[np.maximum(first - place.block.first, 0)]
                    column[place.rows_at(at)] = np.where(first >= 0, held, 0)
            for name, each in place.block.lane_marks().items():
                where = biases.name(place.gathered, place.equation_spacing) if name == biases.OWN else name
                self._put_in_lanes(columns, place, where, each)
        looked_up = [(reader.contribution, place.last_rows) for place, reader in self.looked_up]
        for one, last in (*looked_up, *((one, rows[:, -1]) for one, rows in self.layout.loose)):
            for name, values in one.marks.items():
                columns.setdefault(name, np.zeros(self.rows, np.int64))[last] = values
        for place, asked in self.asked:
            for name, values in asked.marks.items():
                columns.setdefault(name, np.zeros(self.rows, np.int64))[place.last_rows] = values
        return columns

    def _put_in_lanes(
        self, columns: dict[str, Integers], place: Placed, name: str, marks: Mapping[int, int | Integers]
    ) -> None:
        """Numbers of a place's units, by row of the stride, each in the column of its own lane."""
        assert place.block is not None, "copies have no marks"
        for lane in range(self.lanes):
            column = columns.setdefault(of_lane(name, lane), np.zeros(self.rows, np.int64))
            units = place.units[:, :, lane]
            for at, values in marks.items():
                held = np.broadcast_to(values, (place.block.count,))[np.maximum(units - place.block.first, 0)]
                column[place.rows_at(at)] = np.where(units >= 0, held, 0)

    # Public values ---------------------------------------------------------------------------------------------------

    @cached_property
    def words(self) -> list[Words]:
        """The public words of each kind that there is."""
        found = []
        kinds = {(run.width, run.per_word) for _, run, _, way in self.layout.runs if way}
        for positive in (False, True):
            for across in (None, *sorted(kinds)):
                chosen = [
                    (place, run)
                    for place, run, view, way in self.layout.runs
                    if (view, (run.width, run.per_word) if way else None) == (positive, across)
                ]
                if not chosen:
                    continue
                widths = {place: run.width for place, run in chosen}
                columns = np.zeros((self.lanes, self.rows), np.int64)
                for place, width in widths.items():
                    rows = place.value_rows.reshape(-1)
                    present = (place.units >= 0).reshape(-1, self.lanes)
                    shift = np.zeros(len(rows), np.int64)
                    if across is None:
                        shift = width * (place.per_word - 1 - np.arange(len(rows)) % place.per_word)
                    for lane in range(self.lanes):
                        columns[lane][rows] = np.where(present[:, lane], 1 + shift, 0)
                runs = tuple(run for _, run in chosen)
                found.append(Words(runs, list(columns), positive, across is not None))
        return found


def _hides(place: Placed) -> bool:
    return place.block is not None and place.block.hides_constants
