"""Which powers of psi the check's accumulators go on by: few, for each is a fixed column, which a contract pays for.

From one row of a run to the next its positions say the power. A border's terms stand where the output is not, with
gaps of many widths between them; a gap is crossed by several rows without a term, in powers that there are anyway, as
long as that takes rows only that are there anyway, below 2^k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plonnx.layout.geometry import Border

Integers = NDArray[np.int64]
MOST_WIDTHS = 256
"""Of gaps that are looked through, which takes time with the third power."""


class Crossings:
    """The powers that rows go on by anyway, `kept`, and the gaps to be crossed: how often each width occurs.

    What was found for some free rows is kept for others: layouts of other weight columns differ in nothing else.
    """

    def __init__(self, kept: Iterable[int], gaps: Mapping[int, int]) -> None:
        self.kept = frozenset(kept)
        self._widths, self._counts = (np.array(list(part), np.int64) for part in (gaps.keys(), gaps.values()))
        self._rows: dict[frozenset[int], float] = {}

    def powers(self, free: int) -> Integers:
        """The powers by which all gaps can be crossed, descending: those that are kept, and what free rows allow.

        Powers that would take few rows are given up first. Of more widths than any model has all are kept: a stranger's
        kernel could make looking through them take hours.
        """
        chosen = self.kept.union(self._widths.tolist())
        for power in self._cheapest if len(self._widths) <= MOST_WIDTHS else ():
            if self._rows_of(chosen - {power}) <= free:
                chosen = chosen - {power}
        return _descending(chosen)

    @cached_property
    def _cheapest(self) -> list[int]:
        """The powers that may be given up, those first that take few rows where each is given up alone."""
        every = self.kept.union(self._widths.tolist())
        return sorted(every - self.kept, key=lambda one: (self._rows_of(every - {one}), one))

    def _rows_of(self, chosen: frozenset[int]) -> float:
        """The rows without a term that these powers take; infinite where they cross not every gap."""
        if chosen not in self._rows:
            crossed = steps(self._widths, _descending(chosen))
            rows = float("inf") if crossed is None else int(self._counts @ (crossed.sum(axis=1) - 1))
            self._rows[chosen] = rows
        return self._rows[chosen]


def steps(widths: Integers, powers: Integers) -> Integers | None:
    """How often each power, descending, is taken to cross each gap, [gaps, powers]; None where one can't be crossed."""
    taken, left = np.zeros((len(widths), len(powers)), np.int64), widths
    for at, power in enumerate(powers.tolist()):
        taken[:, at], left = np.divmod(left, power)
    return None if np.any(left) else taken


def bridged(border: Border, gaps: Integers, powers: Integers) -> Border:
    """A border with rows without a term in its gaps, those behind its rows: every step is one of the powers."""
    crossed = steps(gaps, powers)
    assert crossed is not None, "the powers were chosen so that they cross every gap"
    per_gap = crossed.sum(axis=1)
    made = np.repeat(np.tile(powers, len(gaps)), crossed.reshape(-1))
    starts = border.starts[0] + np.r_[0, np.cumsum(made)[:-1]]
    stands = np.r_[0, np.cumsum(per_gap)[:-1]]
    return replace(border, starts=starts, rows=stands[border.rows], stands=stands)


def _descending(powers: Iterable[int]) -> Integers:
    return np.array(sorted(powers, reverse=True), np.int64)
