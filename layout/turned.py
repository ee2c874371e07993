"""Which gadgets with equations stand turned: a run for each position, whose rows hold channels (layout/geometry.py).

Where somebody reads one so (gadgets/linear/row_product.py, square_sum.py), and all others who read cells of it where
they stand take multiples. Of a public model: biases stand in columns that everybody sees.
"""

from __future__ import annotations

import numpy as np

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.gadget import Gadget
from plonnx.gadgets.linear.biases import OWN
from plonnx.gadgets.linear.contribution import Contribution, Weights
from plonnx.layout.positions import Positions


def choose(builder: Builder, positions: Positions, lanes: int) -> dict[int, int]:
    """By the first unit of a gadget: of how many groups of channels it stands turned."""
    wanted: dict[int, set[int]] = {}
    for one in (one for one in positions.contributions if one.turned and not builder.hidden):
        present = one.x[one.x >= 0] >> 1
        block = builder.maker(int(present.min())) if present.size else None
        if block is not None and _may(block, one.factor.groups, positions, lanes):
            wanted.setdefault(block.first, set()).add(one.factor.groups)
    if wanted:
        blocks = [block for block in builder.blocks if block.first in wanted]
        for block in blocks:
            if any(_reads(one, block) for one in positions.readers(block.first, block.count)):
                wanted.pop(block.first)
    return {first: next(iter(groups)) for first, groups in wanted.items() if len(groups) == 1}


def takes_multiples(one: Contribution) -> bool:
    """Whether a contribution takes a multiple of each channel, or a few at taps: it needs no weights."""
    return isinstance(one.factor, Weights) and one.factor.multiples is not None


def _reads(one: Contribution, block: Gadget) -> bool:
    """Whether a contribution reads a cell of a block where it stands, and takes no multiples."""
    if one.marks or one.turned or (takes_multiples(one) and one.elementwise):
        return False
    return bool(np.any(block.holds(one.x)))


def _may(block: Gadget, groups: int, positions: Positions, lanes: int) -> bool:
    """Whether a gadget's equations may stand turned: of channels along one axis, made position by position."""
    channels = block.channels
    if channels is None or len(channels) != 2 or channels[0] % groups or block.steps is not None:
        return False
    plain = (
        positions.made.get(block.first, (1,)) == (1,)
        and block.varied <= {"bias"}
        and block.lane_marks().keys() <= {OWN}
    )
    by_group = (groups == 1 or (one.factor.groups == groups < channels[0]) for one in block.contributions)
    fits = all(by_group) and all(one.elementwise for one in block.contributions)
    turned, copied = groups * channels[1], groups * channels[1] * -(-channels[0] // groups // lanes)
    return plain and fits and turned <= channels[0] * -(-channels[1] // lanes) + copied
