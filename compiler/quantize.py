"""Quantization: the one place that chooses every tensor's power-of-two scale and integer interval.

With a table of T = 2**t entries a tensor holds integers |v| < T. A tensor that must hold magnitudes up to `limit`
gets the largest scale s with limit * 2**s <= T - 1; s may be negative. Operators that only re-index or see
through their operand keep its scale (the scale rule beside each handler in compiler/ops says which).

A product with powers of two that stands behind an input or before an output is no product: its factors are a scale for
each channel of that input or output (equalise/ puts it there).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import index_counts
from plonnx.compiler.graph import Graph, Node, Tensor, scale_of
from plonnx.compiler.integers import check_held, exact, kept_by_steps
from plonnx.compiler.narrow import scaled_bits
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.registry import aligned
from plonnx.compiler.ops.wide import keeps_parts
from plonnx.compiler.room import with_room
from plonnx.compiler.whole_numbers import whole_numbers

Exponents = NDArray[np.int64]


def quantize(
    graph: Graph,
    limits: Mapping[str, float],
    table_bits: int,
    hidden: bool = False,
    measured: Mapping[str, tuple[float, float]] | None = None,
    public: frozenset[str] = frozenset(),
    pairs: bool = False,
    coarse: bool = False,
) -> Graph:
    """The graph with a scale and an interval on every computed tensor; `limits` is name -> real magnitude > 0.

    hidden: the scale rules see the values of public constants alone. `measured` is name -> range over calibration;
    `public` are inputs that are stated in bytes. pairs: integers that must be exact may take two units (ops/wide.py).
    coarse: large public inputs of reals take a byte less (narrow.py).
    """
    limits = with_room(graph, limits, hidden, table_bits)
    whole = frozenset(index_counts(graph))
    plain = frozenset[str]() if hidden else whole_numbers(graph)  # of a hidden model, whose weights have few bits
    quantizer = Quantizer(graph.tensors, limits, table_bits, hidden, measured, whole, public, plain)
    quantizer.exact, quantizer.pairs, quantizer.coarse = exact(graph), pairs and not hidden, coarse
    if quantizer.pairs:  # sums of two units read what has no scale; of factors it says how large they are
        at_scale = Mark.PRODUCT | Mark.HALVES
        others = (node for node in graph.nodes if not marks(node) & Mark.WIDE or marks(node) & at_scale)
        scaled = {name for node in others for name in node.inputs}
        quantizer.plain |= quantizer.exact - scaled - {source for _, source in graph.outputs}
    sources = {source for _, source in graph.outputs}
    readers = graph.readers()
    for name in graph.inputs:
        only = readers[name][0] if len(readers[name]) == 1 and name not in sources else None
        moved = None if only is None else quantizer.moves(only, name)
        if only is None or moved is None:
            quantizer.input(name)
        else:
            quantizer.port(name, only.outputs[0], moved)
    inner = {name for node in graph.nodes for name in node.inputs}
    shown = sources - inner
    for node in graph.nodes:
        ends = node.outputs[0] in shown and quantizer.tensors[node.inputs[0]].shift is None
        moved = quantizer.moves(node, node.inputs[0]) if ends else None
        if moved is None:
            quantizer.node(node)
        else:
            quantizer.shown(node, moved)
    tensors = {name: replace(tensor, value=graph.tensors[name].value) for name, tensor in quantizer.tensors.items()}
    return replace(graph, tensors=tensors, outputs=tuple(_shown(graph, tensors, table_bits)))


class Quantizer:
    """Gives one tensor after the other its scale and interval, in the order of the nodes."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        limits: Mapping[str, float],
        table_bits: int,
        hidden: bool = False,
        measured: Mapping[str, tuple[float, float]] | None = None,
        whole: frozenset[str] = frozenset(),
        public: frozenset[str] = frozenset(),
        plain: frozenset[str] = frozenset(),
    ) -> None:
        """`whole`: inputs that stand for themselves, as indices do; `public`: those that are stated in bytes.

        `plain`: tensors of whole numbers that need no scale (whole_numbers.py).
        """
        self.plain = plain
        self.exact: frozenset[str] = frozenset()  # integers that may not be coarser
        self.pairs = False  # whether these take two units where one does not hold them
        self.coarse = False  # whether large public inputs take a byte less
        self.limits, self.table_bits, self.hidden, self.whole, self.public = limits, table_bits, hidden, whole, public
        self.measured = measured or {}
        self.tensors: dict[str, Tensor] = {}
        for tensor in tensors.values():
            self.add(tensor)

    def add(self, tensor: Tensor) -> None:
        """A tensor that has no scale yet."""
        secret = self.hidden and not tensor.public
        self.tensors[tensor.name] = replace(tensor, value=None) if secret else tensor

    def input(self, name: str) -> None:
        """An input with one scale. Inexact where it stands for itself, and the table does not hold it."""
        whole = self.tensors[name].dtype.kind == "b" or name in self.whole
        if whole:
            check_held(self.tensors[name], self.limits[name] - 1.0, self.table_bits)
        scale = scale_of(self.limits[name], self._bits(name))
        if not whole and self._takes_two(name, self.limits[name] > self._most):
            return
        scale = min(scale, 0) if name in self.plain else scale
        whole = whole or not kept_by_steps(self.tensors[name], scale, self.table_bits)
        self._assign(name, 0 if whole else scale)

    @property
    def _most(self) -> int:
        """What a unit holds."""
        return (1 << self.table_bits) - 1

    def _joins_large(self, node: Node) -> bool:
        """Whether constants that become part of a result are beyond a unit."""
        parts = node.inputs[:1] if marks(node) & Mark.COPIES else node.inputs
        values = (self.tensors[name].value for name in parts if name and self.tensors[name].dtype.kind in "iu")
        return any(value is not None and np.any(np.abs(value.astype(np.float64)) > self._most) for value in values)

    def _takes_two(self, name: str, wanted: bool) -> bool:
        """Gives an integer two units, where that is wanted, and they hold it."""
        most = (1 << 2 * self.table_bits) - 1
        if not (wanted and self.pairs and name in self.exact and self.limits[name] <= most):
            return False
        bound, seen = min(int(np.floor(self.limits[name] + 0.5)), most), self.measured.get(name)
        self.tensors[name] = replace(
            self.tensors[name], scale=0, interval=(-bound, bound), measured=seen, wide=self.table_bits
        )
        return True

    def port(self, name: str, moved: str, exponents: Exponents) -> None:
        """An input whose cells are those of `moved`, which is the input times 2**exponents."""
        bound = self._assign(moved, scale_of(self.limits[moved], self._bits(name)))
        scale = self.tensors[moved].scale
        interval, seen = (-bound, bound), self.measured.get(name)
        self.tensors[name] = replace(self.tensors[name], scale=scale, shift=exponents, interval=interval, measured=seen)

    def node(self, node: Node) -> None:
        """What a node makes."""
        operator = find(node)
        assert operator is not None, "the importer refuses unsupported operators"
        port = self.tensors[node.inputs[0]] if node.inputs and node.inputs[0] else None
        if port is not None and port.shift is not None:
            return  # done with the port
        for name in filter(None, node.outputs):
            places = tuple(other if other == name else "" for other in node.outputs)
            wanted = scale_of(self.limits[name], self.table_bits)
            if name in self.plain and not marks(node) & Mark.SPATIAL:  # a pool looks at what the table holds
                wanted = min(wanted, 0)
            scale = operator.scale(replace(node, outputs=places), self.tensors, wanted)
            if self.tensors[name].dtype.kind == "b":
                scale = 0  # whoever reads it takes it for 0 or 1: one that a Where chooses, too
            if name in self.exact:
                read = any(self.tensors[x].wide for x in node.inputs if x)
                beyond = self._joins_large(node) if keeps_parts(node) else self.limits[name] > self._most
                if self._takes_two(name, beyond or (read and keeps_parts(node))):
                    continue
                if beyond and scale >= 0:
                    check_held(self.tensors[name], self.limits[name], self.table_bits)
                scale = min(scale, 0) if read else scale
            self._assign(name, scale, not _keeps_positive(node, self.tensors, scale, operator.scale is aligned))

    def shown(self, node: Node, exponents: Exponents) -> None:
        """An output whose cells are those of the node's operand, of which it is 2**exponents times as large."""
        source, name = self.tensors[node.inputs[0]], node.outputs[0]
        self.tensors[name] = replace(
            self.tensors[name],
            scale=source.scale,
            shift=-exponents,
            interval=source.interval,
            measured=self.measured.get(name),
        )

    def moves(self, node: Node, x: str) -> Exponents | None:
        """log2 of the factors of x, where the node is a product of x with public powers of two that differ."""
        if node.op != "Mul" or node.domain or node.inputs[0] != x or self.tensors[x].dtype.kind != "f":
            return None
        value = self.tensors[node.inputs[1]].value
        if value is None or self.tensors[x].value is not None or value.size < 2:
            return None
        if self.tensors[x].shape != self.tensors[node.outputs[0]].shape:
            return None
        mantissas, exponents = np.frexp(value.astype(np.float64))
        if np.any(mantissas != 0.5) or np.all(exponents == exponents.flat[0]):
            return None
        return exponents.astype(np.int64) - 1

    def _bits(self, name: str) -> int:
        if name not in self.public:
            return self.table_bits
        return scaled_bits(self.tensors[name], self.table_bits, self.coarse)

    def _assign(self, name: str, scale: int, signed: bool = True) -> int:
        bound = min(int(np.floor(np.ldexp(self.limits[name], scale) + 0.5)), (1 << self.table_bits) - 1)
        if self.tensors[name].dtype.kind == "b":
            bound, signed = 1, False
        interval, seen = (-bound * signed, bound), self.measured.get(name)
        self.tensors[name] = replace(self.tensors[name], scale=scale, interval=interval, measured=seen)
        return bound


def _shown(graph: Graph, tensors: dict[str, Tensor], table_bits: int) -> Iterator[tuple[str, str]]:
    """The graph's outputs; a constant one is a tensor of its own, whose scale nobody else sees."""
    for name, source in graph.outputs:
        value = graph.value(source)
        if value is None:
            yield name, source
            continue
        own = f"{name}~shown"
        limit = float(np.max(np.abs(value.astype(np.float64)))) or 1.0
        constant, scale, wide = Tensor.constant(own, value), scale_of(limit, table_bits), 0
        if scale < 0 and value.dtype.kind in "iu" and np.any(value.astype(np.int64) % (1 << -scale)):  # two units
            check_held(replace(constant, name=name), limit, 2 * table_bits)
            scale, wide = 0, table_bits
        bound = int(np.floor(np.ldexp(limit, scale) + 0.5))
        tensors[own] = replace(constant, scale=scale, interval=(-bound, bound), wide=wide)
        yield name, own


def _keeps_positive(node: Node, tensors: Mapping[str, Tensor], scale: int, is_aligned: bool) -> bool:
    """Marked so, or cells taken as they are (operands at the result's scale) from tensors that are not negative."""
    if marks(node) & Mark.POSITIVE:
        return True
    read = [tensors[name] for name in node.inputs if name and tensors[name].dtype.kind == "f"]
    takes = (is_aligned or marks(node) & Mark.BETWEEN) and not (
        node.op == "Pad" and node.attributes.get("value", 0.0) < 0
    )
    return bool(takes and read) and all(_is_positive(tensor, scale) for tensor in read)


def _is_positive(tensor: Tensor, scale: int) -> bool:
    if tensor.interval is not None:
        return tensor.interval[0] >= 0 and tensor.scale == scale
    return tensor.value is not None and bool(np.all(tensor.value >= 0))
