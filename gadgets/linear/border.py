"""Border terms: what the full product of a convolution puts outside its output, over all outputs together.

b_p = sum_{c, t} (sum_o chi^o W[c, t, o]) x[c, p + d_t] at the positions p outside the output that the product reaches
(gadgets/linear/check.py). They stand in free columns: the prover commits them after chi, before psi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx.gadgets.linear.contribution import Contribution, Weights, gather_index
from plonnx.plonk.program import MODULUS

if TYPE_CHECKING:
    from plonnx.plonk.circuit import Circuit
    from plonnx.plonk.expression import Column

Integers = NDArray[np.int64]


def name(lane: int) -> str:
    """The name of a column of border terms."""
    return f"border terms {lane}"


def add_columns(circuit: Circuit, lanes: int) -> list[Column]:
    """The columns of border terms, which the prover chooses after chi; none for a circuit without borders."""
    circuit.challenge("chi")
    return [circuit.free(name(lane), 1) for lane in range(lanes)]


def terms(contribution: Contribution, positions: Integers, x: Integers, chi: int) -> _native.Vec:
    """b at `positions` [count, axes] outside the output, from the values x [channels, *grid], flat."""
    weights = contribution.factor
    assert isinstance(weights, Weights), "only kernels of several taps have borders"
    channels, _, outputs = weights.values.shape
    factors = _native.row_sums(np.ascontiguousarray(weights.values).reshape(-1), _native.Vec.powers(chi, outputs))
    if weights.groups > 1:
        powers = _native.Vec.powers(pow(chi, outputs, MODULUS), weights.groups)
        factors = factors.mul(powers.take(np.repeat(np.arange(weights.groups), len(factors) // weights.groups)))
    index = gather_index(positions, weights.offsets, contribution.x.shape[1:])
    return _native.gathered_sums(x, channels, factors, index.reshape(-1))
