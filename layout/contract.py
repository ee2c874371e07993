"""What a circuit's own verifier contract takes: bytes, whether it is split into code and key, the gas of a call.

What is fitted is fitted to the twenty models of bench/; the words of solidity/ are known only from a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from plonnx.kzg.prices import CODE_LIMIT, CREATION_LIMIT
from plonnx.layout.planner import Layout
from plonnx.plonk.keys import G1_BYTES

if TYPE_CHECKING:
    from plonnx.layout.cost import Cost

# Bytes of code: the frame (fitted to two circuits since contexts and batches are in it), an evaluation, a commitment, a
# public tensor's run of values. A fixed commitment takes the same in the code and in a data contract.
_FRAME, _EVALUATION, _COMMITMENT, _RUN, _FIXED = 6_824, 48, 33, 260, 114
# Bytes of a key beside its fixed commitments, and of those for an evaluation: an upper bound of ten keys.
_KEY, _KEY_EVALUATION = 1_600, 45
# Gas of code that runs a key as data, beyond that of code written out for the key: for an evaluation, a point of the
# MSM, a word of public values, and of every call.
_SPLIT_EVALUATION, _SPLIT_POINT, _SPLIT_WORD, _SPLIT = 817, 312, 41, -9_400


class Contract(NamedTuple):
    """About how many bytes code and fixed commitments take in a verifier that is written out, and a key as data."""

    code: int
    fixed: int
    key: int

    @property
    def split(self) -> bool:
        """Whether it is too long to be written out."""
        return self.code > CODE_LIMIT or self.code + self.fixed > CREATION_LIMIT


def contract(layout: Layout, predicted: Cost) -> Contract:
    """The contract of a layout of a predicted cost."""
    evaluations, fixed = predicted.evaluations, predicted.fixed_commitments
    code = _FRAME + _EVALUATION * evaluations + _COMMITMENT * predicted.commitments + _RUN * len(layout.runs)
    return Contract(code, _FIXED * fixed, _KEY + _KEY_EVALUATION * evaluations + G1_BYTES * fixed)


def gas(layout: Layout, predicted: Cost) -> int:
    """What a call costs: the cost model's, which knows no split contracts, and what the loops of these take."""
    if not contract(layout, predicted).split:
        return predicted.gas
    words = sum(-(-run.count // run.per_word) for _, run, _, _ in layout.runs)
    points = predicted.commitments + predicted.fixed_commitments + 2
    split = _SPLIT_EVALUATION * predicted.evaluations + _SPLIT_POINT * points + _SPLIT_WORD * words + _SPLIT
    return predicted.gas + max(0, split)
