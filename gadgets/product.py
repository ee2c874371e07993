"""A product of two values: two rows of a lane (gadgets/unit.py for a, b, c, e, q).

    row 0       q = x (a copy), a - b the result     multiplier q e' - product (T (a - b) + c - T/2) = 0
    row 1       q = y (a copy)                       second (a + b) = 0

On row 1, a and b are at least 0, so a + b = 0 makes both zero and e = q = y. On row 0, v = a - b is multiplier x y / T,
half up: c in [0, T) leaves one v, as in a linear block. multiplier is a fixed column, zero where there is no product;
product and second are 0/1.

Cost: two units a result; no lookup of its own. e is queried on the next row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from plonnx.gadgets.unit import UnitColumns
    from plonnx.plonk.circuit import Circuit

Integers = NDArray[np.int64]


def add(
    circuit: Circuit,
    units: Sequence[UnitColumns],
    table_size: int,
    multiplier: Integers,
    product: Integers,
    second: Integers,
) -> None:
    """Add the gates of every lane."""
    factor, products, seconds = (
        circuit.fixed(name, rows)()
        for name, rows in (("multiplier", multiplier), ("product", product), ("second factor", second))
    )
    for lane, unit in enumerate(units):
        assert unit.e is not None
        rescaled = table_size * unit.value + unit.c() - table_size // 2
        circuit.gate(f"lane {lane}: the product", factor * unit.taken * unit.e(1) - products * rescaled)
        circuit.gate(f"lane {lane}: the second factor's unit is empty", seconds * (unit.a() + unit.b()))
