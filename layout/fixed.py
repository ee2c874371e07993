"""The fixed columns of a layout, as integers on rows; layout/arithmetize.py gives them to the gadgets.

The heads of gadgets/ say what each column is for. Imports no sympy: the cost model counts these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.function import Function
from plonnx.gadgets.lanes import of_lane
from plonnx.gadgets.linear.check import BIASES
from plonnx.gadgets.linear.contribution import Accumulator, Lines, Reading, Squared, Squares, Weights
from plonnx.layout.place import Placed, Reader, first_present
from plonnx.layout.planner import Layout
from plonnx.plonk.keys import Monomial, Run
from plonnx.plonk.program import INVERSE_PSI, PSI

Integers = NDArray[np.int64]
T = TypeVar("T")
Marks = NDArray[np.int8]  # 0 and 1
Lanes = list[Marks]  # a column for each lane; lanes of equal content share one
Spaced = dict[int, T]  # by how far apart the positions of a row's lanes are
FEWER_READINGS = 8
"""From so many on it pays that the check has one degree more where P is a factor."""


class Weighted(NamedTuple):
    """The weights of a reader: where its equations are, the taps' linear positions, the rows [channels, rows], and
    whose weights stand below, where several share a place.
    """

    landing: tuple[int, int]
    weights: Weights
    taps: Integers
    rows: Integers
    below: Weighted | None


def between(upper: tuple[int, int], lower: tuple[int, int], holds: Sequence[Monomial]) -> Monomial:
    """What takes the weights' sum of one reader to those of another below it.

    The powers of chi and psi that bring both to their equations are known, and what the rows below multiply by.
    """
    powers = {"chi": upper[0] - lower[0], PSI: upper[1] - lower[1], INVERSE_PSI: 0}
    for monomial in holds:
        for name, exponent in monomial:
            powers[name] -= exponent
    psi = powers[PSI] - powers[INVERSE_PSI]
    assert powers["chi"] >= 0, "who shares a place states its equations later"
    made = ("chi", powers["chi"]), (PSI, max(psi, 0)), (INVERSE_PSI, max(-psi, 0))
    return tuple((name, exponent) for name, exponent in made if exponent)


@dataclass(frozen=True, eq=False)
class Words:
    """Public words of one kind (across lanes of one width and length): the runs, and for each lane the power of 256.

    That is one more than the power, on each row: 0 where there is none.
    """

    runs: tuple[Run, ...]
    places: list[Integers]
    positive: bool
    across: bool


class Fixed:
    """All columns; an empty array or list stands for a column that the circuit does not need.

    counted: for a dry run, which asks of weight columns only how many there are: they are zeros that take no memory.
    """

    def __init__(self, layout: Layout, counted: bool = False) -> None:
        self.layout, self.rows, self.lanes, self.counted = layout, layout.rows, layout.shape.lanes, counted
        held = [(place, place.reader) for place in layout.places if place.reader is not None]
        self.looked_up = [(place, reader) for place, reader in held if reader.contribution.marks]
        self.readers = [(place, reader) for place, reader in held if not reader.contribution.marks]

    def _rows(self, *rows: Integers) -> Marks:
        marks = np.zeros(self.rows, np.int8)
        for chosen in rows:
            marks[chosen.reshape(-1)] = 1
        return marks

    # Powers ----------------------------------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> Marks:
        """1 on the rows after which P takes the next power of chi."""
        return self._rows(*(place.chi_steps for place in self.layout.places))

    @cached_property
    def turns(self) -> Marks:
        """1 on the rows after which P is multiplied by psi: between the runs of places that stand turned."""
        return self._rows(*(place.last_rows[:-1] for place in self.layout.places if place.turned))

    @cached_property
    def windows(self) -> Marks:
        """1 on the rows after which P is multiplied by psi^Omega: around each border, and after its convolution.

        Also after equations that stand turned, whose powers of chi the next ones use again.
        """
        rows = []
        for before, place in zip([None, *self.layout.places], self.layout.places, strict=False):
            if place.border is not None:
                rows += [place.row, place.row + place.rows - 1]
            if (before is not None and before.border is not None) or (place.turned and place.equations):
                rows.append(place.row + place.rows - 1)
        return self._rows(np.array(rows, np.int64))

    @cached_property
    def power(self) -> tuple[Integers, Integers, Integers]:
        """The exponents of chi, of psi^Omega and of psi in P on every row: all of psi may take more than 64 bits."""
        chi, windows, turns = (np.r_[0, np.cumsum(column)[:-1]] for column in (self.steps, self.windows, self.turns))
        return chi, windows, turns

    # The linear check ------------------------------------------------------------------------------------------------

    @cached_property
    def carries(self) -> dict[Monomial, Marks]:
        """By monomial: the rows on which what is summed up is multiplied by it; elsewhere sums start anew."""
        marked: dict[Monomial, list[Integers]] = {}
        for place in self.layout.places:
            if place.has_terms:
                powers = np.diff(self.layout.border_linear(place))
                rows = place.row + 2 + np.arange(len(powers))[None]
            else:
                powers, rows = self.layout.positions.run_steps(place), place.carried
            challenge = "chi" if place.turned else PSI
            for power in set(powers.tolist()):
                monomial = ((challenge, power),) if power else ()
                marked.setdefault(monomial, []).append(rows[:, powers == power])
        return {monomial: self._rows(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def reads(self) -> Spaced[tuple[Lanes, Lanes]]:
        """For each lane, where a is read and where b is (with a minus): masks of the input sums."""
        found = {}
        for spacing, held in _by_spacing(place for place, _ in self.readers):
            a, b = np.zeros((2, self.rows, self.lanes), bool)
            for place in held:
                rows, reader = place.value_rows, place.reader
                assert reader is not None, "it is read"
                a[rows], b[rows] = reader.present, reader.signed
            found[spacing] = _by_lane(a), _by_lane(b)
        return found

    @cached_property
    def accumulated(self) -> bool:
        """Whether a run that is read has its values on several rows, or not on its last."""
        return any(place.carried.size > 0 for place, _ in self.readers)

    @cached_property
    def readings(self) -> list[Reading]:
        """Every place that is read, group by group; a few groups have a monomial each, many take P.

        Runs that hold no value are left out.
        """
        found = [
            reading
            for place, reader in self.readers
            for by in (reader, *place.others)
            for reading in self._reading(place, by)
        ]
        return self._joined(found)

    def _joined(self, readings: list[Reading]) -> list[Reading]:
        """Readings that are alike once P is a factor of theirs are one, if that leaves so many fewer: each is a column.

        As in a forest, whose layers read what was copied right above their equations.
        """
        alike: dict[tuple[Monomial, int, int, bool], list[int]] = {}
        for number, one in enumerate(readings):
            if not one.by_power and (apart := self._after_power(one)) is not None:
                alike.setdefault((apart, one.spacing, one.multiplier, one.alone), []).append(number)
        if sum(len(numbers) - 1 for numbers in alike.values()) < FEWER_READINGS:
            return readings
        made: dict[int, Reading | None] = {}
        for (monomial, *_), (first, *others) in alike.items():
            if others:
                chosen = [readings[number] for number in (first, *others)]
                rows = np.concatenate([one.rows for one in chosen])
                a, b = (np.concatenate([one.last[part] for one in chosen]) for part in (0, 1))
                made |= dict.fromkeys(others)
                made[first] = replace(readings[first], rows=rows, monomial=monomial, by_power=True, last=(a, b))
        every = (made.get(number, one) for number, one in enumerate(readings))
        return [one for one in every if one is not None]

    def _after_power(self, reading: Reading) -> Monomial | None:
        """What is left of a reading's monomial once P is a factor, where P is one on all of its rows and divides it."""
        chi, window, turned = (exponents[reading.rows] for exponents in self.power)
        if any(np.any(exponents != exponents[0]) for exponents in (chi, window, turned)):
            return None
        powers = dict(reading.monomial)
        left = (
            ("chi", powers.get("chi", 0) - int(chi[0])),
            (PSI, powers.get(PSI, 0) - int(window[0]) * self.layout.omega - int(turned[0])),
        )
        return tuple((name, e) for name, e in left if e) if min(e for _, e in left) >= 0 else None

    def _landing(self, place: Placed, reader: Reader) -> tuple[int, int]:
        """The powers of chi and psi that bring what a reader reads to the first of its equations."""
        output = self.layout.places[reader.output]
        psi = self.layout.psi_power(output) + self.layout.positions.shift(place, reader.contribution, output)
        return output.exponent, psi

    def _between_groups(self, place: Placed, reader: Reader) -> tuple[int, int]:
        """The powers of chi and psi from one group's equations to the next one's, and less of what P has by then."""
        one, output = reader.contribution, self.layout.places[reader.output]
        psi = output.positions if output.turned > 1 else 0
        chi = 0 if psi else len(one.x) // place.turned if place.turned else one.factor.outputs
        return chi, psi - (place.positions if place.turned else 0)

    def _reading(self, place: Placed, reader: Reader) -> Iterator[Reading]:
        """What a reader does with the runs of a place: group by group, or tap by tap of one that takes multiples."""
        one = reader.contribution
        groups = place.turned or (1 if reader.channelwise else one.factor.groups)
        exponent, psi = self._landing(place, reader)
        rows = place.last_rows
        if place.turned:
            exponent, psi = exponent - place.exponent, psi - self.layout.psi_power(place)
        elif reader.channelwise:
            chi_at, window_at, turned_at = self.power
            wanted = exponent + np.arange(place.runs) // (place.runs // one.factor.groups)
            apart = wanted - chi_at[rows]
            psi -= self.layout.psi_power(place)
            exponent = int(apart[0])
            alike = np.all(window_at[rows] == place.window) and np.all(turned_at[rows] == place.turns)
            assert np.all(apart == exponent) and alike
        by_chi, by_psi = self._between_groups(place, reader)
        assert exponent >= 0 and psi + min(0, by_psi * (groups - 1)) >= 0
        parts = [(1, 0)]  # multipliers, and powers of psi
        if isinstance(one.factor, Accumulator):
            parts = [(one.factor.multiplier, 0)]
        elif reader.alone:
            assert isinstance(one.factor, Weights) and one.factor.multiples is not None, "alone: it takes multiples"
            at = self.layout.positions.taps(one)
            parts = list(zip(one.factor.multiples, (at - at.min()).tolist(), strict=True))
        ends = place.value_row == place.stride - 1  # else the run's last row holds no value
        for group, runs in enumerate(np.arange(place.runs).reshape(groups, -1)):
            part = runs[reader.held[runs]]
            if not len(part):
                continue
            last, signed = (cells[part, -1] & ends for cells in (reader.present, reader.signed))
            for multiplier, ahead in parts:
                powers = (("chi", exponent + group * by_chi), ("psi", psi + group * by_psi + ahead))
                monomial = tuple((name, e) for name, e in powers if e)
                spacing = place.lane_spacing
                yield Reading(
                    rows[part], monomial, reader.channelwise, spacing, reader.alone, multiplier, (last, signed)
                )

    @cached_property
    def squares(self) -> list[Squared]:
        """Every place of which squares are taken: P has the power of a run's position on all of its rows."""
        found = []
        for place, reader in ((p, reader) for p in self.layout.places for reader in p.squared):
            factor = reader.contribution.factor
            assert isinstance(factor, Squares), "who takes squares has such a factor"
            exponent, psi = self._landing(place, reader)
            powers = ("chi", exponent - place.exponent), ("psi", psi - self.layout.psi_power(place))
            assert min(e for _, e in powers) >= 0
            monomial, lanes = tuple((name, e) for name, e in powers if e), self.lanes
            cells = reader.signed.reshape(-1, lanes), reader.positive.reshape(-1, lanes)
            found.append(Squared(place.value_rows.reshape(-1), monomial, factor.multiplier, cells))
        return found

    @cached_property
    def weights(self) -> Integers:
        """[columns, rows]: the last rows of a run hold its channel's weights, ordered by descending power."""
        return self._in_weight_columns(lambda weights: weights.values)

    @cached_property
    def secret_weights(self) -> Integers:
        """[columns, rows]: 1 where a weight is a secret of a hidden model."""
        return self._in_weight_columns(lambda weights: weights.secret, np.int8)

    @cached_property
    def known_weights(self) -> Integers:
        """[columns, rows]: the weights that are no secret of a hidden model, 0 in the place of the others."""
        return self._in_weight_columns(lambda weights: weights.known)

    def _in_weight_columns(
        self, values: Callable[[Weights], Integers | None], dtype: type[np.integer[Any]] = np.int64
    ) -> Integers:
        """Values of the weights' shape, where the weights stand; None for zeros."""
        columns = self.layout.shape.weight_columns
        shape = columns if self.weighted else 0, self.rows
        if self.counted:
            return np.broadcast_to(np.int64(0), shape)
        held = [(weighted, values(weighted.weights)) for weighted in self.weighted]
        kinds = [given.dtype for _, given in held if given is not None]
        made = np.zeros(shape, np.result_type(*kinds) if kinds and dtype is np.int64 else dtype)
        for (_, weights, taps, rows, _), given in held:
            if given is not None:
                made[:, rows.reshape(-1)] = weights.grid(columns, taps, given).reshape(-1, columns).T
        return made

    @cached_property
    def beside(self) -> dict[int, Integers]:
        """By power of psi: a row's further taps, where they stand line by line."""
        found: dict[int, Integers] = {}
        for _, weights, at, rows, _ in self.weighted:
            if isinstance(weights, Lines):
                for power, taps in weights.beside(at).items():
                    if self.counted:
                        found[power] = np.broadcast_to(np.int64(0), (self.rows,))
                        continue
                    values = np.where(taps < 0, 0, weights.values[:, np.maximum(taps, 0), 0])
                    found.setdefault(power, np.zeros(self.rows, np.int64))[rows] = values
        return dict(sorted(found.items()))

    @cached_property
    def weighted(self) -> list[Weighted]:
        """The weights of all readers; of those that share a place the first's stand last, the next one's above them."""
        found, columns = list[Weighted](), self.layout.shape.weight_columns
        for place, first in (*self.readers, *self.looked_up):
            end, below = place.last_rows, None
            for reader in (first, *place.sharing):
                weights = self.layout.parts.factor(reader.contribution)
                if isinstance(weights, Weights) and not reader.alone:
                    rows = end[:, None] + 1 + np.arange(-weights.rows(columns), 0)
                    taps = self.layout.positions.taps(reader.contribution)
                    below = Weighted(self._landing(place, reader), weights, taps, rows, below)
                    end = rows[:, 0] - 1
                    found.append(below)
        for one, rows in self.layout.loose:
            assert isinstance(one.factor, Weights), "nothing computed is loose"
            found.append(Weighted((0, 0), one.factor, self.layout.positions.taps(one), rows, None))
        return found

    @cached_property
    def holds(self) -> dict[Monomial, Marks]:
        """By monomial: the rows after which the second factor's sum is multiplied by it; elsewhere it starts anew."""
        marked: dict[Monomial, list[Integers]] = {}
        columns = self.layout.shape.weight_columns
        for landing, weights, taps, rows, below in self.weighted:
            for number, monomial in enumerate(weights.holds(columns, taps)):
                marked.setdefault(monomial, []).append(rows[:, number])
            if below is not None:
                step = between(landing, below.landing, below.weights.holds(columns, below.taps))
                marked.setdefault(step, []).append(rows[:, -1])
        for place, _ in (*self.readers, *self.looked_up):
            if place.above is not None:
                rows = place.above_rows
                if rows.shape[1] > 1:
                    marked.setdefault((("chi", self.lanes),), []).append(rows[:, :-1])
                kept = rows[:, -1:] + np.arange(int(place.last_rows[0] - rows[0, -1]))
                marked.setdefault((), []).append(kept)
        return {monomial: self._rows(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def seconds(self) -> tuple[Lanes, Lanes]:
        """For each lane, where a and where b of a second factor's copies are summed up."""
        a, b = np.zeros((2, self.rows, self.lanes), bool)
        for place, _ in (*self.readers, *self.looked_up):
            if place.above is not None:
                rows, present = place.above_rows, place.above >= 0
                a[rows], b[rows] = present, present & (place.above & 1 == 0)
        return _by_lane(a), _by_lane(b)

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
        return any(p.has_terms or (p.equations and (p.gathered or p.turned)) for p in self.layout.places)

    def _equations(self, places: Sequence[Placed]) -> Spaced[Lanes]:
        found = {}
        for spacing, held in _by_spacing(places):
            marks = np.zeros((self.rows, self.lanes), bool)
            for place in held:
                marks[place.value_rows] = place.units >= 0
            found[spacing] = _by_lane(marks)
        return found

    @cached_property
    def totals(self) -> Marks:
        """1 where the equations of a run that is summed up, or a border, are complete."""
        rows = [p.last_rows for p in self.layout.places if p.has_terms or (p.equations and self._sums_up(p))]
        return self._rows(*rows) if rows else np.zeros(0, np.int8)

    @cached_property
    def borders(self) -> Spaced[Marks]:
        """1 where a border term stands: never on the first and the last row of a border."""
        return {
            spacing: self._rows(*(place.term_rows for place in held))
            for spacing, held in _by_spacing(place for place in self.layout.places if place.has_terms)
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
                if place.turned and name == "bias":
                    self._put_in_lanes(columns, place, BIASES, marks)
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
                self._put_in_lanes(columns, place, name, each)
        looked_up = [(reader.contribution, place.last_rows) for place, reader in self.looked_up]
        for one, last in (*looked_up, *((one, rows[:, -1]) for one, rows in self.layout.loose)):
            for name, values in one.marks.items():
                columns.setdefault(name, np.zeros(self.rows, np.int64))[last] = values
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


def _by_lane(marks: NDArray[np.bool_]) -> Lanes:
    """Marks [rows, lanes] as a column of 0 and 1 for each lane."""
    return list(np.ascontiguousarray(marks.T, np.int8))


def _hides(place: Placed) -> bool:
    return place.block is not None and place.block.hides_constants


def _by_spacing(places: Iterable[Placed]) -> list[tuple[int, list[Placed]]]:
    """Places, those of each spacing of lanes together."""
    found: dict[int, list[Placed]] = {}
    for place in places:
        found.setdefault(place.lane_spacing, []).append(place)
    return sorted(found.items())
