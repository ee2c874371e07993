"""The gadgets of a builder recorded once more, by a Builder that derives every interval itself.

It refuses what it would refuse of an operator: so files from strangers are seen (layout/validate.py, recorded.py), and
what a compiler would put in another gadget's place (compiler/polynomial.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plonnx.gadgets.builder import Builder
from plonnx.gadgets.cells import Cells
from plonnx.gadgets.gadget import ABSENT, Gadget, Integers
from plonnx.kzg.record import require


def again(builder: Builder, blocks: Sequence[Gadget]) -> Builder:
    """The builder that records these gadgets with the same outputs, whose intervals are the derived ones.

    Its intervals are at most those that a compiler had, unit by unit: what that accepted is accepted. ValueError for
    what no compiler would have recorded, and for gadgets that are run in steps.
    """
    require(not builder.parts, "gadgets that are run in steps are not recorded again")
    made = Builder(builder.table_bits, builder.hidden, builder.weight_bits, builder.bias_bits)
    bounds = np.zeros((2, blocks[-1].first + blocks[-1].count), np.int64)

    def cells(refs: Integers) -> Cells:
        """Cells with the tightest interval that holds them all."""
        low, high = bounds[:, np.maximum(refs, 0) >> 1]
        positive, absent = refs & 1 == 1, refs == ABSENT
        low, high = (np.where(absent, 0, np.where(positive, np.maximum(end, 0), end)) for end in (low, high))
        return Cells(refs, int(low.min()), int(high.max()))

    for number, block in enumerate(blocks):
        one = block.again(made, cells)
        require(len(made.blocks) == number + 1, f"block {number} is not one block")
        bounds[:, block.units] = [[one.low], [one.high]]
    for output in builder.outputs:
        made.output(output.name, cells(output.cells.refs), output.public)
    return made


def check_outputs(builder: Builder, recorded: Builder) -> None:
    """Malformed where an output declares another range than it has in the builder that recorded it again."""
    for output, derived in zip(builder.outputs, recorded.outputs, strict=True):
        within = output.cells.low <= derived.cells.low <= derived.cells.high <= output.cells.high
        require(within, f"the output {output.name} declares another range than it has")
