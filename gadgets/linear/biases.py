"""Constants of equations that each lane has for itself: the names of their fixed columns, and how the check reads them.

A sum's constants, and a layer's biases of every position, are many numbers that differ from cell to cell of a row. The
check takes k = sum_l psi^(L-1-l) k_l, a combination of a column for each lane, from what the row's equations come to;
of a place that stands turned, with powers of chi, as its lanes have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from plonnx.gadgets.lanes import BY_CHI, Lanes, of_lane

if TYPE_CHECKING:
    from plonnx.plonk.expression import Column, Expression
    from plonnx.plonk.keys import Monomial

OWN = "biases"
"""What a layer marks that has a bias for each unit; where they are read depends on how it stands."""
CONSTANTS = "constants"
"""The columns of equations that are stated row by row."""
BIASES = "biases of a turned place"
"""Those of a layer that stands turned, whatever biases it has."""
_RUNS = "biases of runs"
"""Those of a layer whose equations are summed up run by run."""


def name(gathered: bool, spacing: int) -> str:
    """Where a layer's own biases stand: by how its equations are summed up, and how far apart its lanes are."""
    if spacing == BY_CHI:
        return BIASES
    kind = _RUNS if gathered else CONSTANTS
    return kind if spacing == 1 else f"{kind}, {spacing} apart"


def stated(lanes: Lanes, spacings: Iterable[int]) -> Expression:
    """k on rows of equations that stand alone; spacings: those of all equations."""
    return sum((_read(lanes, name(False, apart), apart) for apart in _apart(spacings)), start=0)


def summed_up(lanes: Lanes, spacings: Iterable[int]) -> Expression:
    """k on the rows of runs."""
    turned = _read(lanes, BIASES, BY_CHI)
    return turned + sum((_read(lanes, name(True, apart), apart) for apart in _apart(spacings)), start=0)


def _apart(spacings: Iterable[int]) -> list[int]:
    return sorted({1, *spacings} - {BY_CHI})


def _read(lanes: Lanes, kind: str, spacing: int) -> Expression:
    terms: list[tuple[Column, Monomial]] = []
    challenge, apart = ("chi", 1) if spacing == BY_CHI else ("psi", spacing)
    for lane in range(len(lanes.units)):
        column, power = of_lane(kind, lane), apart * (len(lanes.units) - 1 - lane)
        values = lanes.columns(column)
        if np.any(values):
            terms.append((lanes.circuit.shared_fixed(column, values), ((challenge, power),) if power else ()))
    return lanes.circuit.combination(kind, terms)() if terms else 0
