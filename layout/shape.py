"""The free choices of a layout, and how many rows its circuit has."""

from __future__ import annotations

from dataclasses import asdict, dataclass

BLINDING_ROWS = 5  # what keygen asks of a layout's columns: two opened points, one kept row, one of slack


class LayoutError(ValueError):
    """A shape that a model cannot be laid out in."""


@dataclass(frozen=True)
class Shape:
    """The free choices of a layout.

    n = 2^k rows, lanes, weight columns, lookup terms per helper column, columns per commitment. copying: in how many
    lanes those gadgets stand that free e on rows into which they copy (layout/parts.py), 0 for all. apart: 1 where
    values do not stand above scores (layout/stacked.py).
    """

    k: int
    lanes: int
    weight_columns: int
    group: int
    packing: int = 1
    copying: int = 0
    apart: int = 0

    def record(self) -> dict[str, int]:
        """What files hold of it."""
        return asdict(self)

    @property
    def active_rows(self) -> int:
        """u."""
        return active_rows(self.k)


def active_rows(k: int) -> int:
    """u of 2^k rows."""
    return (1 << k) - BLINDING_ROWS


def smallest_k(rows: int) -> int:
    """The least k whose active rows hold `rows`."""
    return max(4, (rows + BLINDING_ROWS - 1).bit_length())
