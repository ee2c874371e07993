"""What the linear check reads of the places: where, times which monomial, and how runs are summed up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from plonnx.gadgets.linear.contribution import Accumulator, Magnitudes, Reading, Squared, Squares, Weights
from plonnx.layout.place import Placed, Reader
from plonnx.layout.powers import Integers, Lanes, Marks, Powers, Spaced, by_lane, by_spacing
from plonnx.plonk.keys import Monomial
from plonnx.plonk.program import PSI

FEWER_READINGS = 8
"""From so many on it pays that the check has one degree more where P is a factor."""


class Readings(Powers):
    """The first factors of products: cells of units and of copies."""

    @cached_property
    def carries(self) -> dict[Monomial, Marks]:
        """By monomial: the rows on which what is read is multiplied by it; elsewhere sums start anew."""
        return self._carries(stated=False)

    @cached_property
    def stated_carries(self) -> dict[Monomial, Marks]:
        """The same of equations."""
        apart = any(place.lower and place.height > 1 for place in self.layout.places)
        return self._carries(stated=True) if apart else self.carries

    def _carries(self, stated: bool) -> dict[Monomial, Marks]:
        marked: dict[Monomial, list[Integers]] = {}
        for place in self.layout.places:
            if place.has_terms:
                powers = np.diff(self.layout.border_linear(place))
                rows = place.row + 2 + np.arange(len(powers))[None]
            else:
                powers, rows = self.layout.positions.run_steps(place), place.carried
            challenge = "chi" if place.turned or place.upper or (stated and place.lower) else PSI
            for power in set(powers.tolist()):
                monomial = ((challenge, power),) if power else ()
                marked.setdefault(monomial, []).append(rows[:, powers == power])
        return {monomial: self._rows(*rows) for monomial, rows in sorted(marked.items())}

    @cached_property
    def reads(self) -> Spaced[tuple[Lanes, Lanes]]:
        """For each lane, where a is read and where b is (with a minus): masks of the input sums."""
        found = {}
        read = [place for place, _ in self.readers]
        for spacing, held in by_spacing([*read, *(place for place, _ in self.asked if place.reader is None)]):
            a, b = np.zeros((2, self.rows, self.lanes), bool)
            for place in held:
                rows, reader = place.value_rows, place.reader
                a[rows], b[rows] = (place.units >= 0,) * 2 if reader is None else (reader.present, reader.signed)
            found[spacing] = by_lane(a), by_lane(b)
        return found

    @cached_property
    def accumulated(self) -> bool:
        """Whether a run that is read has its values on several rows, or not on its last."""
        return bool(self.asked) or any(place.carried.size > 0 for place, _ in self.readers)

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

    def _between_groups(self, place: Placed, reader: Reader) -> tuple[int, int]:
        """The powers of chi and psi from one group's equations to the next one's, and less of what P has by then."""
        one, output = reader.contribution, self.layout.places[reader.output]
        psi = output.positions if output.turned > 1 else 0
        chi = 0 if psi else len(one.x) // place.turned if place.turned else one.factor.outputs
        chi = chi if output.turn is None else output.turn.chi[1]
        return chi, psi - (place.positions if place.turned else 0)

    def _reading(self, place: Placed, reader: Reader) -> Iterator[Reading]:
        """What a reader does with the runs of a place: group by group, or tap by tap of one that takes multiples."""
        one = reader.contribution
        groups = place.turned or (1 if reader.channelwise else one.factor.groups)
        exponent, psi = self._landing(place, reader)
        rows = place.read_rows
        if place.turned:
            exponent, psi = exponent - place.exponent, psi - self.layout.psi_power(place)
        elif place.paired:
            exponent -= place.power_ahead
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
        every = np.arange(place.runs)
        for group, runs in enumerate(every.reshape(-1, groups).T if place.turn else every.reshape(groups, -1)):
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
            rows, magnitudes = place.value_rows.reshape(-1), isinstance(factor, Magnitudes)
            found.append(Squared(rows, monomial, factor.multiplier, magnitudes, cells))
        return found
