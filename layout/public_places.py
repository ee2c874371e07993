"""Where public tensors are stated: places whose rows hold exactly their values, in order; copy places otherwise."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx.layout.place import Place
from plonnx.plonk.keys import PublicTensor, Run
from plonnx.plonk.public_values import values_per_word, width_of

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.layout.draft import Draft

Integers = NDArray[np.int64]
Stated = tuple[int, Run, bool, bool]
"""The number of a place, a run of words, whether of positive parts, whether across lanes."""


def place(draft: Draft) -> None:
    """Give the draft its public tensors, and the runs of their words. The powers of the runs come with the rows.

    Until then a run's `exponent` is its first value row and its `power` its lane.
    """
    builder = draft.builder
    widths = _widths(builder)
    offset = 0
    wanted = [("input", b.name, 2 * b.units.reshape(b.shape), b.public) for b in builder.inputs]
    wanted += [("output", o.name, o.cells.refs, o.public) for o in builder.outputs]
    intervals = {("input", b.name): b.interval(builder.table_size) for b in builder.inputs}
    intervals |= {("output", o.name): (o.cells.low, o.cells.high) for o in builder.outputs}
    for role, name, refs, public in wanted:
        if not public:
            continue
        width = int(widths[refs.reshape(-1) >> 1].max())
        low, high = np.clip(intervals[role, name], -(1 << 8 * width - 1), (1 << 8 * width - 1) - 1).tolist()
        draft.tensors.append(PublicTensor(name, role, refs.shape, 0, offset, width, low, high))
        for number, positive, across in _places(draft, refs.reshape(-1), name, width):
            found = draft.places[number]
            per_word = found.grid_lanes if across else 1 if found.equations else values_per_word(width)
            for lane, row, count in _words(found, per_word, across):
                run = Run(offset, count, width, per_word, row, lane)
                draft.stated.append((number, run, positive, across))
                offset += count * width


def input_words(builder: Builder) -> dict[int, int]:
    """Of every public input, by its first unit: how many of its values a word takes."""
    widths = _widths(builder)
    return {b.first: values_per_word(int(widths[b.units].max())) for b in builder.inputs if b.public and b.count}


def _widths(builder: Builder) -> Integers:
    """The bytes that hold whatever the constraints let each unit be, in two's complement: of most |v| < T."""
    widths = np.full(builder.unit_count, width_of(builder.table_size - 1))
    for block in builder.inputs:
        widths[block.units] = width_of(block.interval(builder.table_size)[1])
    return widths


def _places(draft: Draft, refs: Integers, name: str, width: int) -> list[tuple[int, bool, bool]]:
    """The places of a tensor, part by part of one view."""
    views = refs & 1
    starts = np.flatnonzero(np.r_[True, np.diff(views) != 0]).tolist()
    parts = [refs[start:stop] for start, stop in pairwise([*starts, len(refs)])]
    return [_part(draft, part >> 1, bool(part[0] & 1), name, width) for part in parts]


def _part(draft: Draft, units: Integers, positive: bool, name: str, width: int) -> tuple[int, bool, bool]:
    """The place of one part, claimed for it: a place states its values once, or two words would add up to them."""
    lanes = draft.lanes
    for number, place in draft.candidates(units):
        claims = draft.claims.setdefault(number, set())
        flexible = place.free_power and not any(reader.channelwise for reader in draft.readers_of(number))
        direct = place.equations and not place.gathered
        if place.border is not None or place.turned or not (flexible or direct):
            continue
        if any(view == positive or bytes_ != width for view, _, bytes_ in claims):
            continue
        fits = place.grid_lanes <= values_per_word(width)
        ways = {across for _, across, _ in claims}  # the other view has set the powers of the words
        for across in sorted(ways or ({False, True} if fits and flexible else {False})):
            flat = place.units.reshape(-1) if across else place.units.transpose(2, 0, 1).reshape(-1)
            if np.array_equal(flat[flat >= 0], units) and _unbroken(place, across):
                claims.add((positive, across, width))
                return number, positive, across
    grid = _downwards(units, lanes)
    made = draft.copy(f"public {name}", grid, (grid.shape[1] * lanes,), "its values do not stand in order")
    draft.claims[made] = {(positive, False, width)}
    return made, positive, False


def _words(place: Place, per_word: int, across: bool) -> list[tuple[int, int, int]]:
    """(lane, first value row, values) of the runs of public words: across rows, or down each lane."""
    present = (place.units >= 0).reshape(-1, place.units.shape[2])
    if not across:
        counts = present.sum(axis=0)
        return [(lane, 0, int(count)) for lane, count in enumerate(counts) if count]
    counts = present.sum(axis=1)
    stops = np.flatnonzero(np.r_[counts[:-1] < per_word, True]) + 1  # a short word ends its run
    starts = np.r_[0, stops[:-1]]
    return [(0, int(a), int(counts[a:b].sum())) for a, b in zip(starts, stops, strict=True)]


def _unbroken(place: Place, across: bool) -> bool:
    """Whether words find no gap: units are the first of every row (across), or of every lane."""
    present = (place.units >= 0).reshape(-1, place.units.shape[2])
    if across:
        return bool(present[:, 0].all() and (present[:, 1:] <= present[:, :-1]).all())
    return bool((present[1:] <= present[:-1]).all())


def _downwards(units: Integers, lanes: int) -> Integers:
    """A flat tensor over `lanes` lanes, lane by lane, the last ones short: [1, height, lanes]."""
    height = -(-len(units) // lanes)
    grid = np.full(height * lanes, -1, np.int64)
    grid[: len(units)] = units
    return grid.reshape(lanes, height).T[None].copy()
