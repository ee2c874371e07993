"""The weight columns: the second factors of products, constants or sums of what is computed, above their readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from plonnx.gadgets.linear.contribution import Lines, Weights
from plonnx.layout.powers import Integers, Lanes, Marks, Powers, by_lane
from plonnx.plonk.keys import Monomial
from plonnx.plonk.program import INVERSE_PSI, PSI


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


class WeightColumns(Powers):
    """Weights on rows, and what their sums are multiplied by from row to row."""

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
        for place, asked in self.asked:
            if asked.weights is not None:
                rows = place.last_rows[:, None] + 1 + np.arange(-place.tail, 0)
                found.append(Weighted((0, 0), asked.weights, np.zeros(1, np.int64), rows, None))
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
            seconds = place.second_rows
            if seconds is not None:
                if seconds.shape[1] > 1:
                    marked.setdefault((("chi", self.lanes),), []).append(seconds[:, :-1])
                kept = seconds[:, -1:] + np.arange(int(place.read_rows[int(place.paired)] - seconds[0, -1]))
                marked.setdefault((), []).append(kept)
        return {monomial: self._rows(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def seconds(self) -> tuple[Lanes, Lanes]:
        """For each lane, where a and where b of a second factor are summed up."""
        a, b = np.zeros((2, self.rows, self.lanes), bool)
        for place, _ in (*self.readers, *self.looked_up):
            rows = place.second_rows
            if rows is not None:
                present = place.second_refs >= 0
                a[rows], b[rows] = present, present & (place.second_refs & 1 == 0)
        return by_lane(a), by_lane(b)
