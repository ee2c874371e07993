"""A product of two values: two rows of a lane (gadgets/unit.py for a, b, c, e, q).

    row 0       q = x (a copy), a - b the result     multiplier q e' - product (T (a - b) + c - T/2) = 0
    row 1       q = y (a copy)                       second (a + b) = 0

On row 1, a and b: a b = 0 and a + b = 0 make both zero, and e = q = y. On row 0, v = a - b is multiplier x y / T,
half up: c in [0, T) leaves one v, as in a linear block. multiplier is a fixed column, zero where there is no product;
product and second are 0/1.

Cost: two units a result; no lookup of its own. e is queried on the next row. Rows times a number each may cost one
(linear/row_product.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from plonnx.gadgets.gadget import Cellwise, Gadget, Given, Held, Integers, Marks, Outcome, Rule, Take
from plonnx.gadgets.second import Second
from plonnx.kzg.record import require

if TYPE_CHECKING:
    from plonnx.gadgets.builder import Builder
    from plonnx.gadgets.cells import Cells
    from plonnx.gadgets.function import Function
    from plonnx.gadgets.lanes import Lanes


@dataclass(frozen=True, eq=False)
class Product(Gadget, Rule):
    """v = floor((multiplier x y + T/2) / T), elementwise; refs [2, N]."""

    kind: ClassVar[str] = "product"
    reads_parts: ClassVar[bool] = False

    factors: Integers
    multiplier: int

    @property
    def stride(self) -> int:
        """A row for each factor."""
        return 2

    @property
    def value_row(self) -> int:
        """The result stands where the first factor is taken."""
        return 0

    @property
    def takes(self) -> Sequence[Take]:
        """Both factors."""
        return [Take(refs, row) for row, refs in enumerate(self.factors)]

    @property
    def rules(self) -> Sequence[type[Rule]]:
        """Its own, and the second factor's."""
        return [Product, Second]

    @property
    def gives(self) -> Literal["taken", "value"]:
        """The result; the factor goes in."""
        return "value"

    def marks(self, number: Callable[[Function], int]) -> Marks:
        """The multiplier, the row of the result, and the one below."""
        return {"multiplier": {0: self.multiplier}, "product": {0: 1}, **Second.MARKS}

    def again(self, builder: Builder, cells: Cellwise) -> Cells:
        """Of the same factors."""
        x, y = self.factors
        return multiply(builder, cells(x), cells(y), self.multiplier, self.name)

    def validate(self, where: str) -> int:
        """As many as each factor."""
        require(self.factors.ndim == 2 and len(self.factors) == 2, f"{where} has not two factors")
        return int(self.factors.shape[1])

    def run(self, operands: Integers, size: int) -> Outcome:
        """The exact products, rescaled half up."""
        x, y = operands.reshape(len(operands), 2, -1).transpose(1, 0, 2)
        sums = self.multiplier * x * y
        return Outcome((sums + (size >> 1)) // size, sums)

    def fill(self, given: Given) -> Sequence[Held]:
        """The result with what rounding leaves; below it an empty unit."""
        x, y = given.operands
        rest = given.sums + (given.size >> 1) - given.values * given.size
        return [Held(x, given.values, rest), Held(y, np.zeros_like(y))]

    @classmethod
    def constrain(cls, lanes: Lanes) -> None:
        """A gate a lane."""
        multiplier, product = lanes.mark("multiplier"), lanes.mark("product")
        for lane, unit in enumerate(lanes.units):
            rescaled = lanes.size * unit.value + unit.c() - lanes.size // 2
            product_of_both = multiplier * unit.taken * unit.extra(1)
            lanes.circuit.gate(f"lane {lane}: the product", product_of_both - product * rescaled)


def multiply(builder: Builder, x: Cells, y: Cells, multiplier: int, name: str) -> Cells:
    """multiplier * x * y / T, half up, elementwise over one shape. Raises Overflow as `Builder.convolution`."""
    x, y = builder.present(x), builder.present(y)
    builder.bounded(name, float(abs(multiplier)) * x.reach * y.reach)
    refs = np.stack([x.refs.reshape(-1), y.refs.reshape(-1)])
    products = [float(multiplier) * one * other for one in (x.low, x.high) for other in (y.low, y.high)]
    interval = builder.rescaled((min(products), max(products)))
    return builder.add(Product, name, x.shape, interval, refs, multiplier)
