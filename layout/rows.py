"""The rows of a draft: its places one below the other, and the powers of chi and psi that P holds on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.linear.contribution import Contribution
from plonnx.layout.draft import Draft
from plonnx.layout.place import Place, Placed, Reader
from plonnx.layout.shape import active_rows, smallest_k

Integers = NDArray[np.int64]
Loose = tuple[Contribution, Integers]
"""What reads no cell, and the rows [channels, rows] on which its weights stand."""
_OF_A_PLACE = [field.name for field in fields(Place)]


class _Run(NamedTuple):
    """What a run of a place takes: rows, of which the last `weights` hold weights; its readers.

    tail: the rows below its values.
    """

    rows: int
    weights: int = 0
    tail: int = 0
    readers: tuple[Reader, ...] = ()  # each as the first does
    sharing: tuple[Reader, ...] = ()
    above: Integers | None = None
    beside: bool = False

    @property
    def free(self) -> NDArray[np.bool_]:
        """The rows on which no second factor stands."""
        return np.arange(self.rows) < (self.rows - self.weights if self.above is None else 0)


class Rows(NamedTuple):
    """Places with their rows, what is loose, and how many rows there are."""

    places: list[Placed]
    loose: list[Loose]
    rows: int


def assign(draft: Draft, weight_columns: int) -> Rows:
    """Every place of a draft with its rows, for so many weight columns."""
    places = list(draft.places)
    runs = [_run(draft, number, weight_columns) for number in range(len(places))]
    if any(place.has_terms for place in places):
        _, count = _among(draft, places, runs, weight_columns)
        for number, place in draft.bridged(active_rows(smallest_k(count)) - count).items():
            places[number], runs[number] = place, _Run(place.height)
    return Rows(_stacked(draft, places, runs), *_among(draft, places, runs, weight_columns))


def _run(draft: Draft, number: int, weight_columns: int) -> _Run:
    place, readers = draft.places[number], tuple(draft.readers_of(number))
    tail = 0 if place.asks is None else place.asks.rows(weight_columns)
    needed, above = place.height * place.stride + tail, None
    if place.turn is not None:
        needed += place.turn.other
        if place.upper:
            return _Run(0)
        assert place.turn.second is not None and place.turn.copies is not None, "somebody reads it"
        return _Run(needed, needed, 0, readers, (), np.where(place.turn.copies, place.turn.second, -1))
    if not readers:
        return _Run(needed, tail, tail)
    sharing = tuple(draft.sharing.get(number, ()))
    if place.paired:
        return _Run(needed, needed, 0, readers)
    above = readers[0].contribution.factor.above(draft.lanes)
    beside = above is not None and above.shape[1] == 1 and place.lends_a_lane
    needed += 0 if above is None or beside else above.shape[1]
    weighed = [draft.parts.factor(each.contribution) for each in (readers[0], *sharing) if not each.alone]
    weights = tail + sum(factor.rows(weight_columns) for factor in weighed)
    return _Run(max(needed, weights), weights, tail, readers, sharing, above, beside)


def _stacked(draft: Draft, places: Sequence[Place], runs: Sequence[_Run]) -> list[Placed]:
    """The places one below the other."""
    row = exponent = window = turns = 0
    per_word = {number: run.per_word for number, run, _, _ in draft.stated}
    placed: list[Placed] = []
    for number, (place, run) in enumerate(zip(places, runs, strict=True)):
        reader = run.readers[0] if run.readers else None
        by_group = reader is not None and reader.channelwise and place.free_power
        bordered = number > 0 and places[number - 1].border is not None
        window += (place.border is not None) + bordered
        placed.append(
            Placed(
                **{name: getattr(place, name) for name in _OF_A_PLACE},
                reader=reader,
                sharing=run.sharing,
                others=run.readers[1:],
                squared=tuple(draft.squared.get(number, ())),
                above=run.above,
                beside=run.beside,
                groups=place.runs // reader.contribution.factor.groups if reader is not None and by_group else 1,
                claims=frozenset(draft.claims.get(number, ())),
                per_word=per_word.get(number, 1),
                row=row,
                run_rows=place.height + place.turn.other if place.turn else run.rows,
                tail=run.tail,
                exponent=exponent,
                window=window,
                turns=turns,
            )
        )
        row += place.runs * run.rows
        exponent += placed[-1].chi_count
        window += bordered or (place.turned > 0 and place.equations) or place.lower
        turns += place.runs - 1 if place.turned else place.positions - 1 if place.lower else 0
    return placed


def _among(draft: Draft, places: Sequence[Place], runs: Sequence[_Run], weight_columns: int) -> tuple[list[Loose], int]:
    """Rows of what reads no cell, where others have no second factor, and how many rows there are then.

    What finds no such rows stands below the places.
    """
    found: list[Loose] = []
    if not draft.loose:
        return found, sum(place.runs * run.rows for place, run in zip(places, runs, strict=True))
    free = np.concatenate([np.tile(run.free, place.runs) for place, run in zip(places, runs, strict=True)])
    for one in draft.loose:
        needed = one.factor.rows(weight_columns)
        ends = np.flatnonzero(np.diff(np.r_[False, free, False].astype(np.int8)))
        starts, lengths = ends[::2], ends[1::2] - ends[::2]
        fitting = lengths // needed
        within = np.arange(fitting.sum()) - np.repeat(np.cumsum(fitting) - fitting, fitting)
        taken = (np.repeat(starts, fitting) + needed * within)[: len(one.x)]
        beyond = len(free) + needed * np.arange(len(one.x) - len(taken))
        at = np.r_[taken, beyond][:, None] + np.arange(needed)
        free = np.r_[free, np.zeros(needed * len(beyond), bool)]
        free[at] = False
        found.append((one, at))
    return found, len(free)
