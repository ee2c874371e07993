"""Sums of two products, and means of two tensors by a share: a gadget (gadgets/product_sum.py).

    Add(Mul(f, c), Mul(i, g))           four units an element, instead of seven
    Add(a, Mul(z, Sub(b, a)))           three instead of eight, for a share z that is known to be from 0 to 1

These are the states of an LSTM and of a GRU. What the first product comes to is rounded at its own scale, and at one at
which it fits: the finer one comes first. Where a circuit has such sums, its products are chains, too (a gate less).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, find, marks

_SAVED = 3
"""Units that a sum of two products takes less, or more."""
_SHARE = 16
"""One part in so many of all that is computed must be saved: each lane shows three cells more in a proof."""
_MOST_DOUBLINGS = 20
"""By which a chain multiplies: beyond that, operands are too far apart for one equation."""
_ARGUMENTS = 257
"""At which it is seen whether a function's values are from 0 to 1."""


_Link = tuple[str, int, int, int | None]
"""An operand, the sign of its product with the one before, and powers of two: of that, and of what is carried over T.

None carries nothing."""


class Taken(NamedTuple):
    """An operand below the one before, with the factors of gadgets/product_sum.py."""

    name: str
    factor: int
    carried: int


@dataclass(frozen=True)
class SumOfProducts:
    """The nodes that are made with the sum, and its chain of operands."""

    inner: tuple[Node, ...]
    inputs: tuple[str, ...]
    first: str
    links: tuple[Taken, ...]


def sums_of_products(graph: Graph, fixed: Collection[str], table_bits: int) -> dict[str, SumOfProducts]:
    """By the output of an Add or a Sub, where they save enough. fixed: the outputs of nodes that are made otherwise."""
    search = _Search(graph, fixed, table_bits)
    found = {}
    for node in graph.nodes:
        if node.op in ("Add", "Sub") and not node.domain and node.outputs[0] not in fixed:
            chain = search.two_products(node) or search.mean(node)
            if chain is not None:
                found[node.outputs[0]] = chain
    made = sum(graph.tensors[node.outputs[0]].size for node in graph.nodes if not marks(node) & Mark.COPIES)
    saved = _SAVED * sum(graph.tensors[name].size for name in found)
    return found if _SHARE * saved >= made else {}


class _Search:
    def __init__(self, graph: Graph, fixed: Collection[str], table_bits: int) -> None:
        self.graph, self.fixed, self.bits = graph, fixed, table_bits
        self.makers: Mapping[str, Node] = {node.outputs[0]: node for node in graph.nodes}
        self.uses = graph.uses()
        self.shown = {source for _, source in graph.outputs}

    def two_products(self, node: Node) -> SumOfProducts | None:
        """x y + z w, or x y - z w."""
        products = [self._inner(name, "Mul", self.graph.tensors[node.outputs[0]].shape) for name in node.inputs]
        signs = [1, -1 if node.op == "Sub" else 1]
        signed = [(self._natural(*made.inputs), made, sign) for made, sign in zip(products, signs, strict=True) if made]
        if len(signed) < 2 or signed[0][1] is signed[1][1]:
            return None
        (natural, one, sign), (other, two, opposite) = sorted(signed, key=lambda held: -held[0])
        between = max(self._scale(one.outputs[0]), natural)
        out = self._scale(node.outputs[0])
        links: tuple[_Link, ...] = (
            (one.inputs[1], sign, between - natural, None),
            (two.inputs[0], 0, 0, 0),
            (two.inputs[1], opposite, out - other, out - between),
        )
        return self._chain((one, two), one.inputs[0], links, (*one.inputs, *two.inputs))

    def mean(self, node: Node) -> SumOfProducts | None:
        """a + z (b - a): a, then a - a z, then that and z b."""
        shape = self.graph.tensors[node.outputs[0]].shape
        for a, name in (node.inputs, node.inputs[::-1]) if node.op == "Add" else ():
            product = self._inner(name, "Mul", shape)
            for z, left in (product.inputs, product.inputs[::-1]) if product else ():
                difference = self._inner(left, "Sub", shape)
                if product is None or difference is None or difference.inputs[1] != a or not self._is_share(z):
                    continue
                b, scale, out = difference.inputs[0], self._scale(a), self._scale(node.outputs[0])
                links = (z, -1, self.bits - self._scale(z), 0), (b, 1, out - self._natural(z, b), out - scale)
                return self._chain((difference, product), a, links, (a, z, *difference.inputs))
        return None

    def _chain(
        self, inner: tuple[Node, ...], first: str, links: tuple[_Link, ...], inputs: tuple[str, ...]
    ) -> SumOfProducts | None:
        """None where an operand is too coarse or too fine for it."""
        taken = list[Taken]()
        for name, sign, doublings, finer in links:
            held = 0 if finer is None else self.bits + finer
            if not 0 <= doublings <= _MOST_DOUBLINGS or not 0 <= held <= self.bits + _MOST_DOUBLINGS:
                return None
            taken.append(Taken(name, sign * (1 << doublings), 0 if finer is None else 1 << held))
        return SumOfProducts(inner, inputs, first, tuple(taken))

    def _inner(self, name: str, op: str, shape: tuple[int, ...]) -> Node | None:
        """The node that makes a tensor for one reader, of two different computed tensors of reals of its shape."""
        node = self.makers.get(name)
        if node is None or node.op != op or node.domain or self.uses[name] != 1 or name in {*self.shown, *self.fixed}:
            return None
        plain = len(set(node.inputs)) == 2 and all(self._is_plain(each, shape) for each in (name, *node.inputs))
        return node if plain else None

    def _is_plain(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a tensor is computed, of reals, of this shape, and has one unit and one scale."""
        x = self.graph.tensors[name]
        one = x.value is None and x.scale is not None and not x.wide and x.shift is None
        return one and x.shape == shape and x.dtype.kind == "f"

    def _is_share(self, name: str) -> bool:
        """Whether a tensor is a function's, or a part of one, whose values are from 0 to 1."""
        node = self.makers.get(name)
        while node is not None and marks(node) & Mark.COPIES and self.graph.tensors[node.inputs[0]].value is None:
            node = self.makers.get(node.inputs[0])
        operator = None if node is None else find(node)
        if node is None or operator is None or operator.real is None or not operator.curved or len(node.inputs) > 1:
            return False
        x = self.graph.tensors[node.inputs[0]]
        if x.interval is None or x.scale is None:
            return False
        with np.errstate(all="ignore"):
            values = operator.real(node.attributes, np.ldexp(np.linspace(*x.interval, _ARGUMENTS), -x.scale))
        return bool(np.all((values >= 0.0) & (values <= 1.0)))

    def _scale(self, name: str) -> int:
        scale = self.graph.tensors[name].scale
        assert scale is not None, "lowering comes after quantization"
        return scale

    def _natural(self, x: str, y: str) -> int:
        """The scale of a product over T."""
        return self._scale(x) + self._scale(y) - self.bits
