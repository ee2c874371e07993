"""The fixed columns of a layout, as integers on rows; layout/arithmetize.py gives them to the gadgets.

The heads of gadgets/*.py say what each column is for. Imports no sympy: the cost model counts
these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.blocks import Convolution, Linear, Lookup, Maximum, Product, Sum
from plonnx.gadgets.reading import Reading
from plonnx.layout import geometry
from plonnx.layout.place import Place, first_present, weight_rows
from plonnx.layout.planner import Layout
from plonnx.plonk.keys import Monomial, Run

Integers = NDArray[np.int64]
Lanes = list[Integers]  # a column for each lane; lanes of equal content share one


@dataclass(frozen=True, eq=False)
class Words:
    """Public words of one kind: the runs, and for each lane the power of 256 on each row, plus one (0: none)."""

    runs: tuple[Run, ...]
    places: Lanes
    positive: bool
    across: bool


class Fixed:
    """All columns; an empty array or list stands for a column that the circuit does not need."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.rows, self.lanes = layout, layout.rows, layout.shape.lanes
        self.readers = [(place, place.reader) for place in layout.places if place.reader is not None]

    def _marks(self, *rows: Integers) -> Integers:
        marks = np.zeros(self.rows, np.int64)
        for chosen in rows:
            marks[chosen.reshape(-1)] = 1
        return marks

    # Powers ----------------------------------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> Integers:
        """1 on the rows after which P takes the next power of chi."""
        return self._marks(*(self.layout.chi_steps(place) for place in self.layout.places))

    @cached_property
    def windows(self) -> Integers:
        """1 on the rows after which P is multiplied by psi^Omega: around each border, and after its convolution."""
        rows = []
        for before, place in zip([None, *self.layout.places], self.layout.places, strict=False):
            if place.border is not None:
                rows += [place.row, place.row + place.rows - 1]
            if before is not None and before.border is not None:
                rows.append(place.row + place.rows - 1)
        return self._marks(np.array(rows, np.int64))

    @cached_property
    def power(self) -> tuple[Integers, Integers]:
        """The exponents of chi and of psi in P on every row."""
        chi, psi = (np.r_[0, np.cumsum(column)[:-1]] for column in (self.steps, self.windows))
        return chi, psi * self.layout.omega

    # The linear check ------------------------------------------------------------------------------------------------

    @cached_property
    def carries(self) -> dict[int, Integers]:
        """By power of psi: the rows after which the accumulators are multiplied by it; elsewhere they start anew."""
        marked: dict[int, list[Integers]] = {}

        def mark(rows: Integers, powers: Integers) -> None:
            for power in np.unique(powers).tolist():
                marked.setdefault(power, []).append(rows[powers == power])

        if not self.layout.horner:
            return {}
        for place in self.layout.places:
            if place.has_terms:
                at = self.layout.border_linear(place)
                mark(place.row + 1 + np.arange(len(at) - 1), np.diff(at))
            elif (place.reader is not None and not place.direct) or place.horner:
                run = np.zeros(place.run_rows, np.int64)
                bases = self.layout.bases(place)
                run[np.arange(1, place.height) * place.stride - 1] = np.diff(bases)
                rows = place.row + np.arange(place.rows).reshape(place.runs, -1)[:, :-1]
                mark(rows.reshape(-1), np.tile(run[:-1], place.runs))
        return {power: self._marks(*rows) for power, rows in sorted(marked.items())}

    @cached_property
    def reads(self) -> tuple[Lanes, Lanes]:
        """For each lane, where a is read and where b is (with a minus): masks of the accumulated input sums."""
        masks = np.zeros((2, self.lanes, self.rows), np.int64)
        for place, reader in self.readers:
            if place.direct and self.layout.horner:
                continue
            rows = place.value_rows
            present = place.units >= 0
            for lane in range(self.lanes):
                masks[0, lane][rows] = present[:, :, lane]
                masks[1, lane][rows] = present[:, :, lane] & ~reader.positive[:, :, lane]
        return list(masks[0]), list(masks[1])

    @cached_property
    def readings(self) -> list[Reading]:
        """Every place that is read, group by group; a few groups have a monomial each, many take P.

        A direct reading has no mask: it leaves out the runs that hold no value, or the prover would choose what is read
        there. In the others every lane that is read holds one.
        """
        found = []
        for place, reader in self.readers:
            block, output = reader.block, reader.output
            psi = output.window * self.layout.omega + self.layout.shift(place, block, output)
            groups = 1 if reader.channelwise else block.groups
            exponent = output.exponent
            rows = place.value_rows[:, 0] if place.direct else place.last_rows
            if reader.channelwise:
                chi_at, psi_at = self.power
                wanted = exponent + np.arange(place.runs) // (place.runs // block.groups)
                apart = wanted - chi_at[rows]
                psi -= int(psi_at[rows[0]])
                exponent = int(apart[0])
                assert np.all(apart == exponent) and np.all(psi_at[rows] == psi_at[rows[0]])
            assert exponent >= 0 and psi >= 0
            positive = reader.positive[:, 0, 0]
            held = np.any(place.units >= 0, axis=(1, 2)) | (not place.direct)
            for group, runs in enumerate(np.split(np.arange(place.runs), groups)):
                part = runs[held[runs]]
                powers = (("chi", exponent + group * block.weights.shape[2]), ("psi", psi))
                monomial = tuple((name, e) for name, e in powers if e)
                if len(part):
                    found.append(Reading(rows[part], monomial, reader.channelwise, place.direct, positive[part]))
        return found

    @cached_property
    def weights(self) -> Integers:
        """[columns, rows]: the last rows of a run hold its channel's weights, ordered by descending power."""
        return self._in_weight_columns(lambda block: block.weights)

    @cached_property
    def secret_weights(self) -> Integers:
        """[columns, rows]: 1 where a weight is a secret of a hidden model."""
        return self._in_weight_columns(lambda block: block.secret, np.int8)

    @cached_property
    def known_weights(self) -> Integers:
        """[columns, rows]: the weights that are no secret of a hidden model, 0 in the place of the others."""
        return self._in_weight_columns(lambda b: None if b.hides is None else np.where(b.secret, 0, b.weights))

    def _in_weight_columns(
        self, values: Callable[[Convolution], Integers | None], dtype: type[np.integer[Any]] = np.int64
    ) -> Integers:
        """Values of the weights' shape, where the weights stand; None for zeros."""
        columns = self.layout.shape.weight_columns
        weights = np.zeros((columns if self.readers else 0, self.rows), dtype)
        for place, reader in self.readers:
            block, given = reader.block, values(reader.block)
            if given is None:
                continue
            channels, _, outputs = block.weights.shape
            blocks = -(-outputs // columns)
            padded = np.zeros((channels, len(block.offsets), blocks * columns), dtype)
            padded[:, :, :outputs] = given
            order = self._tap_order(block)
            grid = padded[:, order].reshape(channels, len(order), blocks, columns)[:, :, ::-1].reshape(-1, columns)
            weights[:, self._weight_rows(place, block).reshape(-1)] = grid.T
        return weights

    def _weight_rows(self, place: Place, block: Convolution) -> Integers:
        """[channels, rows of a channel's weights]."""
        count = weight_rows(block, self.layout.shape.weight_columns)
        return place.last_rows[:, None] - count + 1 + np.arange(count)

    def _tap_order(self, block: Convolution) -> Integers:
        """Taps by descending linear position of their offset."""
        return np.argsort(-geometry.linear(block.offsets, self.layout.pitch), kind="stable")

    @cached_property
    def holds(self) -> dict[Monomial, Integers]:
        """By monomial: the rows after which the weights' sum is multiplied by it; elsewhere it starts anew."""
        marked: dict[Monomial, list[Integers]] = {}
        for place, reader in self.readers:
            block = reader.block
            rows = self._weight_rows(place, block)
            at = geometry.linear(block.offsets[self._tap_order(block)], self.layout.pitch)
            if len(at) > 1:
                powers = [(("psi", int(step)),) if step else () for step in (at[:-1] - at[1:]).tolist()]
            else:
                powers = [(("chi", self.layout.shape.weight_columns),)] * (rows.shape[1] - 1)
            for number, monomial in enumerate(powers):
                marked.setdefault(monomial, []).append(rows[:, number])
        return {monomial: self._marks(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def summed(self) -> Lanes:
        """For each lane, the equations that stand alone: sums, and outputs of one row a run."""
        return self._outputs(horner=False)

    @cached_property
    def gathered(self) -> Lanes:
        """For each lane, the equations that are gathered run by run."""
        return self._outputs(horner=True)

    def _outputs(self, horner: bool) -> Lanes:
        masks = np.zeros((self.lanes, self.rows), np.int64)
        for place in self.layout.places:
            if place.equations and place.horner == horner:
                for lane in range(self.lanes):
                    masks[lane][place.value_rows] = place.units[:, :, lane] >= 0
        return list(masks) if np.any(masks) else []

    @cached_property
    def totals(self) -> Integers:
        """1 where a gathered run, or a border, is complete."""
        rows = [p.last_rows for p in self.layout.places if p.horner or p.has_terms]
        return self._marks(*rows) if rows else np.zeros(0, np.int64)

    @cached_property
    def borders(self) -> Integers:
        """1 where a border term stands."""
        rows = [np.arange(p.row + 1, p.row + p.rows) for p in self.layout.places if p.has_terms]
        return self._marks(*rows) if rows else np.zeros(0, np.int64)

    @cached_property
    def bias(self) -> Integers:
        """The constant of each row's equations; empty where all are zero (of a hidden model: never)."""
        column = self._in_bias_column(lambda block, constants: constants)
        return column if np.any(column) or self.layout.builder.hidden else np.zeros(0, np.int64)

    @cached_property
    def secret_bias(self) -> Integers:
        """1 where a bias or constant is a secret of a hidden model."""
        return self._in_bias_column(lambda block, constants: np.full_like(constants, _hides_constants(block)))

    @cached_property
    def known_bias(self) -> Integers:
        """The constants that are no secret of a hidden model, 0 in the place of the others."""
        return self._in_bias_column(lambda block, constants: constants * (not _hides_constants(block)))

    def _in_bias_column(self, values: Callable[[Linear, Integers], Integers]) -> Integers:
        """Values for a block's biases or constants, where these stand."""
        column = np.zeros(self.rows, np.int64)
        for place in self.layout.places:
            block = place.block
            if isinstance(block, Convolution) and block.bias is not None:
                column[place.value_rows] = values(block, block.bias)[:, None]
            elif isinstance(block, Sum) and block.constant is not None:
                first, constants = first_present(place.units), values(block, block.constant)
                column[place.value_rows] = np.where(first >= 0, constants[np.maximum(first - block.first, 0)], 0)
        return column

    @cached_property
    def repeated_bias(self) -> Integers:
        """1 where the next row states the same channel's bias again."""
        biased = [p for p in self.layout.places if isinstance(p.block, Convolution) and p.block.bias is not None]
        return self._marks(*(place.value_rows[:, :-1] for place in biased))

    @cached_property
    def operands(self) -> tuple[Integers, Integers]:
        """The coefficients of sums' operands, for a and for b; empty without sums."""
        columns = np.zeros((2, self.rows), np.int64)
        for place in self.layout.places:
            if isinstance(place.block, Sum):
                for operand, coefficient in zip(place.operands, place.block.coefficients, strict=True):
                    rows = place.rows_at(operand.at)
                    first = first_present(operand.refs)
                    columns[0][rows] = np.where(first >= 0, coefficient, 0)
                    columns[1][rows] = np.where((first >= 0) & (first & 1 == 0), coefficient, 0)
        return (columns[0], columns[1]) if np.any(columns) else (columns[0][:0], columns[0][:0])

    # Public values ---------------------------------------------------------------------------------------------------

    @cached_property
    def words(self) -> list[Words]:
        """The public words of each kind that there is."""
        found = []
        for positive in (False, True):
            for across in (False, True):
                chosen = [(p, run) for p, run, view, way in self.layout.runs if (view, way) == (positive, across)]
                if not chosen:
                    continue
                width = chosen[0][1].width
                columns = np.zeros((self.lanes, self.rows), np.int64)
                for place in dict.fromkeys(place for place, _ in chosen):
                    rows = place.value_rows.reshape(-1)
                    present = (place.units >= 0).reshape(-1, self.lanes)
                    shift = np.zeros(len(rows), np.int64)
                    if not across:
                        shift = width * (place.per_word - 1 - np.arange(len(rows)) % place.per_word)
                    for lane in range(self.lanes):
                        columns[lane][rows] = np.where(present[:, lane], 1 + shift, 0)
                runs = tuple(run for _, run in chosen)
                found.append(Words(runs, list(columns), positive, across))
        return found

    # Gadgets on the row ----------------------------------------------------------------------------------------------

    def _places(self, kind: type) -> list[Place]:
        return [place for place in self.layout.places if isinstance(place.block, kind)]

    @cached_property
    def extended(self) -> Integers:
        """1 where e may differ from zero: functions, maxima, products."""
        rows = [place.rows_at(at) for place in self._places(Maximum) for at in range(1, place.stride)]
        rows += [place.rows_at(at) for place in self._places(Product) for at in range(2)]
        return self._marks(*rows) | self.applied

    @cached_property
    def applied(self) -> Integers:
        """1 where a function is applied."""
        rows = [p.value_rows for p in self._places(Linear) + self._places(Lookup) if _function(p) is not None]
        return self._marks(*rows)

    @cached_property
    def tags(self) -> Integers:
        """The number of the row's function."""
        column = np.zeros(self.rows, np.int64)
        numbers = {id(function): i for i, function in enumerate(self.layout.builder.functions)}
        for place in self._places(Linear) + self._places(Lookup):
            if _function(place) is not None:
                column[place.value_rows] = numbers[id(_function(place))]
        return column

    @cached_property
    def maxima(self) -> tuple[Integers, Integers, Integers]:
        """Where a maximum starts, takes another candidate, and is stated."""
        places = self._places(Maximum)
        start = [place.rows_at(0) for place in places]
        chain = [place.rows_at(at) for place in places for at in range(1, place.stride - 1)]
        return self._marks(*start), self._marks(*chain), self._marks(*(p.value_rows for p in places))

    @cached_property
    def products(self) -> tuple[Integers, Integers, Integers]:
        """The multiplier on rows of products, 1 on these, 1 on the rows below, which hold the second factor."""
        multiplier = np.zeros(self.rows, np.int64)
        places = self._places(Product)
        for place in places:
            assert isinstance(place.block, Product)
            multiplier[place.rows_at(0)] = place.block.multiplier
        return multiplier, self._marks(*(p.rows_at(0) for p in places)), self._marks(*(p.rows_at(1) for p in places))


def _hides_constants(block: Linear) -> bool:
    """Of a hidden model: whether the block's bias or constant is a secret."""
    return block.hides if isinstance(block, Sum) else True


def _function(place: Place) -> object:
    return getattr(place.block, "function", None)


def distinct(lanes: Sequence[Integers]) -> list[tuple[Integers, list[int]]]:
    """The different columns with the lanes that share them; all-zero ones are left out."""
    found: dict[bytes, tuple[Integers, list[int]]] = {}
    for lane, column in enumerate(lanes):
        if np.any(column):
            found.setdefault(column.tobytes(), (column, []))[1].append(lane)
    return list(found.values())
