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
    channels, taps, outputs = weights.values.shape
    # Columns of their own: numpy's guards compare every view of an array with all others.
    columns = [np.ascontiguousarray(column) for column in weights.values.reshape(-1, outputs).T]
    groups = np.arange(channels) // (channels // weights.groups)
    combined = _native.combine_ints(columns, [pow(chi, j, MODULUS) for j in range(outputs)]).to_bytes()
    factors = [int.from_bytes(combined[i : i + 32], "big") for i in range(0, len(combined), 32)]
    if weights.groups > 1:
        powers = [pow(chi, int(group) * outputs, MODULUS) for group in groups]
        factors = [factor * powers[i // taps] % MODULUS for i, factor in enumerate(factors)]
    padded = np.concatenate([x.reshape(channels, -1), np.zeros((channels, 1), np.int64)], axis=1)
    index = gather_index(positions, weights.offsets, contribution.x.shape[1:])
    return _native.combine_ints([row.copy() for row in padded[:, index].reshape(channels * taps, -1)], factors)
