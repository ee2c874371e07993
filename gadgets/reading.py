"""A reading: where a group of a convolution takes its input sums (gadgets/linear_check.py). Imports no sympy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.keys import Monomial


@dataclass(frozen=True, eq=False)
class Reading:
    """The rows, the monomial in chi and psi that is their factor, and which of them show positive parts.

    channelwise: P, the row's power of chi, is a factor too. direct: the row's own values are read, no accumulated sum;
    in a circuit with accumulators that is the first lane's value.
    """

    rows: NDArray[np.int64]
    monomial: Monomial
    channelwise: bool
    direct: bool
    positive: NDArray[np.bool_]
