"""Second factors of products of matrices that stand where the product wants them: each right above its first.

A product's second factor is copied above each run of the first (gadgets/linear/matmul.py). Where both are channels of
one dense layer, as keys and queries are, that layer's runs may stand in any order: those of the second factor take
turns with those of the first, and K sums up what stands there. Its sum falls by powers of chi from the first position
on, so the product's channels are those positions in reverse (`matmul` says so), and what the last row lacks of lanes
is a power of chi more. Not of a private model, whose weights' places are its own. Nor of one position, where
many groups of one output take P as a factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.contribution import Accumulator, Contribution, Weights
from plonnx.layout import stacked
from plonnx.layout.positions import Positions
from plonnx.layout.stacked import Values

Integers = NDArray[np.int64]


class Pair(NamedTuple):
    """What reads both factors, how many runs these are together, and the layer's channels in the order of its runs.

    values: what stands above the scores that the reader makes (stacked.py): the last of these channels.
    """

    reader: Contribution
    runs: int
    order: Integers
    values: Values | None


def choose(
    builder: Builder, positions: Positions, turned: Sequence[int], lanes: int, apart: bool = False
) -> dict[int, Pair]:
    """By the first unit of a layer. turned: those of the gadgets that stand turned. apart: without what stands above
    scores.

    The product's equations come after the layer's, so that P has the power of chi that the last row's idle lanes ask.
    """
    found: dict[int, Pair] = {}
    for one in positions.contributions if not builder.hidden else ():
        if type(one.factor) is not Accumulator or one.factor.outputs == 1 or one.marks or np.any(one.x < 0):
            continue
        block = builder.maker(int(one.x.min()) >> 1)
        if block is None or block.first in (*found, *turned) or not _dense(block):
            continue
        if positions.made[block.first] != positions.spacings[one]:  # behind a stride: it is read at other positions
            continue
        starts = [_channels(block, refs) for refs in (one.factor.refs[:, ::-1], one.x)]
        idle = -one.x.shape[1] % lanes
        if min(starts) < 0 or abs(starts[1] - starts[0]) < len(one.x) or idle > 2 * len(one.x):
            continue
        pairs = np.stack([start + np.arange(len(one.x)) for start in starts], axis=1).reshape(-1)
        rest = np.setdiff1d(np.arange(block.count // one.x.shape[1]), pairs)
        if not positions.others_read(block, rest, (one,)):
            values = None if apart else stacked.choose(builder, positions, block, one, pairs)
            if values is not None:
                pairs, last = pairs.reshape(-1, 2)[:, ::-1].reshape(-1), values.channels.reshape(-1)
                rest = np.r_[np.setdiff1d(rest, last), last]
            found[block.first] = Pair(one, len(pairs), np.r_[pairs, rest], values)
    return found


def _dense(block: Gadget) -> bool:
    """Whether its channels are those of one layer alone, made position by position along one axis.

    Rows of a matrix (standing_rows.py) state no equations: they stand turned.
    """
    if not block.equations or block.channels is None or len(block.channels) != 2:
        return False
    if block.stride != 1 or len(block.contributions) != 1:
        return False
    (one,) = block.contributions
    return block.steps is None and isinstance(one.factor, Weights) and one.factor.groups == 1 and one.elementwise


def _channels(block: Gadget, refs: Integers) -> int:
    """The first of the block's channels that these refs [channels, positions] are, as they stand; -1 for others."""
    start, ahead = divmod(int(refs[0, 0] >> 1) - block.first, refs.shape[1])
    same = block.channels is not None and block.channels[1] == refs.shape[1] and not ahead and start >= 0
    cells = 2 * block.units.reshape(block.channels or (1, -1))[max(start, 0) : max(start, 0) + len(refs)]
    return start if same and np.array_equal(cells, refs) else -1
