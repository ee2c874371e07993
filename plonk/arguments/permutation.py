"""Copy constraints by the permutation argument (PLONK, GWC19 section 5.1).

What is copied is a *view*: an expression f_i over a row's advice of phase 0, often a column itself. Cell (view i,
row j) has the label id = delta^i omega^j; sigma maps every cell to the next one of its class. With

    z_0 = 1,   z' = z * prod_i (f_i + beta id_i + gamma) / (f_i + beta sigma_i + gamma),   z_u = 1

on the active rows, the cells of every class are equal, up to probability (cells)/r in beta and gamma, which are drawn
after all cells. Row u and those beyond are not copied.

The views fall into parts of at most `group`: behind each part but the last the product has a column of its own on the
same row, so that no gate has more than a part's factors (Circuit.product). Ratios of a part each, which are multiplied
up afterwards, would be more columns: each takes a factor's place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.expression import Expression, slots
from plonnx.plonk.program import DELTA, MODULUS

Factor = tuple[Expression, Expression]
"""A numerator and its denominator."""


def add_columns(circuit: Circuit) -> None:
    """The sigma columns and z, with its parts."""
    if not circuit.copies:
        return
    views = list(dict.fromkeys(view for a, _, b, _ in circuit.copies for view in (a, b)))
    views.sort(key=lambda view: [(s.index, str(view)) for s in slots([view])])
    for view in views:
        for slot in slots([view]):
            if slot.kind != "advice" or circuit.advice_phases[slot.index] != 0 or slot.rotation:
                raise CircuitError(f"copy of {view}: only advice of phase 0 on its own row can be copied")
    sigma = circuit.permutation(views)
    beta, gamma = (circuit.challenge(name, circuit.free_phase) for name in ("beta", "gamma"))
    phase = circuit.last_phase
    factors: list[Factor] = []
    for i, view in enumerate(views):
        image = circuit.fixed(f"sigma of {view}", sigma[i], labels=len(views), view=i)
        own = pow(DELTA, i, MODULUS) * circuit.x
        factors.append((view + beta * own + gamma, view + beta * image() + gamma))
    count = -(-len(factors) // max(2, circuit.group))
    ends = [len(factors) * part // count for part in range(count + 1)]
    parts = [_product(factors[start:end]) for start, end in pairwise(ends)]
    circuit.product("permutation product", phase, *parts)


def _product(factors: Sequence[Factor]) -> Factor:
    return prod(numerator for numerator, _ in factors), prod(denominator for _, denominator in factors)


def cycles(sources: NDArray[np.int64], targets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The permutation of 0..size-1 whose cycles are the classes of the relation sources[i] ~ targets[i]."""
    label = np.arange(size)
    while True:  # min-label propagation with pointer jumping: O(log) rounds
        low = np.minimum(label[sources], label[targets])
        before = label.copy()
        for ends in (sources, targets):
            np.minimum.at(label, before[ends], low)
            np.minimum.at(label, ends, low)
        label = label[label]
        if np.array_equal(label, before):
            break
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(label[order]) != 0])
    following = np.roll(order, -1)
    ends = np.r_[starts[1:], size] - 1
    following[ends] = order[starts]
    sigma = np.empty(size, np.int64)
    sigma[order] = following
    return sigma
