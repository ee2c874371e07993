"""The second product of attention without copies: values stand right above the scores that they are weighed by.

contexts[i, c] = sum_j p[i, j] v[j, c] reads a run of p for each key j, below all channels of v at position j. Both
stand so where keys stand below queries (pairs.py), and the values are channels of the same layer: runs take turns, for
each j from the last one on, and for each head its values and then its scores. P takes psi from position to position:
that is psi^-j of the values' equations, and of the scores', as X sums up the keys' positions and K the queries' (the
other way than in pairs alone). So lanes have powers of chi in both; heads, and scores from values, are told apart by
powers of chi of their own where a run's equations are stated (`total`). What reads the scores sums up their lanes by
psi, as ever. What no layer makes (the ones that sum up p) is copied beside the values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Accumulator, Contribution
from plonnx.layout.place import Place, Turn
from plonnx.layout.positions import Positions

Integers = NDArray[np.int64]


class Values(NamedTuple):
    """What stands above the scores of `scores`, by runs [positions * groups], for `reader`.

    channels: those of the layer, [groups, channels]. refs: [runs, all channels of the second factor]. crossed: what the
    scores read, keys in place and queries above. scored, read: the runs of scores and reader in the order of the turns.
    """

    scores: Gadget
    reader: Contribution
    crossed: Contribution
    groups: int
    channels: Integers
    refs: Integers
    scored: Integers
    read: Integers


def choose(builder: Builder, positions: Positions, block: Gadget, one: Contribution, paired: Integers) -> Values | None:
    """What may stand above the scores that `one` makes of some channels of a layer, `paired`."""
    scores = next(made for made in builder.blocks if one in made.contributions)
    assert isinstance(one.factor, Accumulator), "a product of pairs"
    groups, length = one.factor.groups, one.x.shape[1]
    reader = _reader(scores, positions, (groups, length))
    if positions.made[block.first] != (1,) or reader is None or not _plain(block):
        return None
    turns = np.arange(groups)[None] * length + np.arange(length)[:, None]
    scored = turns.reshape(-1)  # the channels of the product fall with the position (pairs.py)
    assert isinstance(reader.factor, Accumulator), "it weighs what is computed"
    for read in (scored, turns[::-1].reshape(-1)):
        refs = reader.factor.refs[read]
        found = _channels(block, refs.reshape(length, groups, -1)[::-1].transpose(1, 0, 2))
        if found is None or np.any(np.isin(found, paired)) or not _in_order(reader, scores, scored, read):
            continue
        rest = np.setdiff1d(np.arange(block.count // length), np.r_[paired, found.reshape(-1)])
        if positions.others_read(block, rest, (one, reader)):
            continue
        queries = Accumulator(one.x[:, ::-1], groups, one.factor.multiplier)
        crossed = Contribution(one.factor.refs[:, ::-1], queries, (length,))
        return Values(scores, reader, crossed, groups, found, refs, scored, read)
    return None


def places(block: Gadget, values: Values, scores: Place, psi: int) -> tuple[Place, Place]:
    """The places of values and of the scores below them. psi: what P lacks of the power of the layer's equations."""
    groups, (_, channels) = values.groups, values.channels.shape
    second = Accumulator(values.refs).above(scores.lanes)
    own = block.holds(second)
    upper = Turn(groups, scores.height, True, (0, channels), psi)
    wide = scores.height * scores.lanes
    lower = Turn(groups, second.shape[1], False, (groups * channels, wide), psi, second, (second >= 0) & ~own)
    above = Place(block.name, np.where(own, second >> 1, -1), values.refs.shape[1:], block, turn=upper)
    return above, replace(scores, units=scores.units[values.scored], turn=lower)


def _reader(scores: Gadget, positions: Positions, shape: tuple[int, int]) -> Contribution | None:
    """The one that reads scores of so many groups and positions, where it weighs something by them."""
    groups, length = shape
    if scores.channels != (groups * length, length) or scores.stride != 1 or len(scores.contributions) != 1:
        return None
    readers = [one for one in positions.readers(scores.first, scores.count) if np.any(scores.holds(one.x))]
    if len(readers) != 1 or type(readers[0].factor) is not Accumulator or readers[0].x.shape != scores.channels:
        return None
    many = readers[0].factor.outputs == 1  # such groups take P as a factor
    return None if many or readers[0].factor.groups != groups else readers[0]


def _plain(block: Gadget) -> bool:
    """Whether a row of its values may hold several channels, beside copies: e is zero, only biases differ."""
    return block.varied <= {"bias"} and not block.lane_marks() and not block.frees


def _channels(block: Gadget, refs: Integers) -> Integers | None:
    """The block's channels [groups, channels] that come first among refs [groups, positions, channels]; other cells
    behind them are none of the block's.
    """
    own, (groups, length, _) = block.holds(refs), refs.shape
    count = int(np.count_nonzero(own[0, 0]))
    if not count or not np.array_equal(own, np.broadcast_to(np.arange(refs.shape[2]) < count, refs.shape)):
        return None
    start = (int(refs[0, 0, 0] >> 1) - block.first) // length
    channels = start + np.arange(groups * count).reshape(groups, count)
    if start < 0 or channels[-1, -1] >= block.count // length:
        return None
    cells = 2 * block.units.reshape(-1, length)[channels]  # [groups, channels, positions]
    same = bool(np.array_equal(cells.transpose(0, 2, 1), refs[:, :, :count]))
    return channels if same else None


def _in_order(reader: Contribution, scores: Gadget, scored: Integers, read: Integers) -> bool:
    """Whether so ordered it reads the scores in the order of theirs, most of them."""
    x, cells = reader.x[read], scores.units.reshape(reader.x.shape)[scored]
    there = x >= 0
    return bool(4 * np.count_nonzero(there) >= there.size and np.array_equal(x[there] >> 1, cells[there]))
