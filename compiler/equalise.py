"""Channels of very different ranges: t becomes t' 2^e, where t' has channels of like ranges, with an exponent for each.

    Gemm(x, W)           becomes   Mul(Gemm(Mul(x, 2^-e), 2^e W 2^-f), 2^f)

A tensor has one scale, so a feature of 1e-3 beside one of 1e6 would be nothing. The powers of two go into what is
there: weights, biases, factors and thresholds, at no cost. Operators that only re-index, and those with
f(2^e x) = 2^e f(x), carry exponents along; a sum brings its operands to one exponent; a function is a table for each
exponent, where these are few; before any other operator the product with 2^e is made, element by element. Behind an
input and before an output that product is free: it gives the input or output a scale for each channel (quantize.py).
So are products with one power of two, by which the parts of a Concat get equal scales without losing a bit.

The graph computes the same function. Exponents follow from ranges that calibration measured, from no constant of the
model, so that they tell of a hidden model what scales do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import Calibration, up
from plonnx.compiler.channels import APART, DEEPEST, DEEPEST_OUTPUT, Exponents, exponents_along
from plonnx.compiler.expansion import reduced_axes
from plonnx.compiler.float_model import evaluate_node
from plonnx.compiler.graph import Array, Graph, Node, Shape
from plonnx.compiler.held import Held
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.ml_forest import is_forest, moved_thresholds
from plonnx.compiler.passes.fold_into_convolution import along_channels
from plonnx.compiler.passes.fold_into_gemm import gemm_parts

_GROUPS, _STEP = 6, 4
"""Exponents at which a function gets a table each, at most; and how far these lie apart where they are free."""
_ALIKE = 2
"""Exponents of a sum that stay what they are where others would differ by at most so much."""
_REINDEXES = Mark.COPIES | Mark.FILLS
_CARRIES = _REINDEXES | Mark.HOMOGENEOUS | Mark.SPATIAL | Mark.REDUCES | Mark.SUMS | Mark.PRODUCT | Mark.JOINS
_ABSORBS = Mark.LAYER | Mark.COMPARES


@dataclass(frozen=True)
class Freedom:
    """Which tensors may get exponents: the graph's inputs, those that only layers read; outputs always may."""

    inputs: bool
    inner: bool


FREEDOMS = (Freedom(False, False), Freedom(True, False), Freedom(True, True))
"""What the search tries in turn, where one scale a tensor is not enough."""


def equalised(
    graph: Graph,
    calibration: Calibration,
    table_bits: int,
    freedom: Freedom,
    inputs: Mapping[str, int],
    hidden: bool = False,
    public: frozenset[str] = frozenset(),
) -> tuple[Graph, Calibration]:
    """The graph with exponents taken out of its tensors, and what calibration would measure of it.

    `inputs` is what `wide_inputs` gives, `public` are those that are stated in bytes. Both are returned as they are
    where no channel needs it.
    """
    sweep = _Sweep(graph, calibration, table_bits, freedom, inputs, hidden, public)
    sweep.run()
    if not sweep.changed:
        return graph, calibration
    made = replace(graph, nodes=tuple(sweep.nodes), tensors=sweep.scene.tensors, outputs=tuple(sweep.outputs))
    return _alive(made), replace(calibration, limits=sweep.limits)


def _alive(graph: Graph) -> Graph:
    """Without nodes that nobody reads."""
    read = {source for _, source in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(name in read for name in node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return graph.with_nodes(reversed(kept))


class _Sweep(Held):
    """Goes through the nodes once, in order, and writes those of the new graph."""

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        table_bits: int,
        freedom: Freedom,
        inputs: Mapping[str, int],
        hidden: bool,
        public: frozenset[str],
    ) -> None:
        super().__init__(graph, calibration, table_bits, hidden, public)
        self.freedom, self.hidden = freedom, hidden
        self.inputs = inputs if freedom.inputs else {}
        self.outputs: list[tuple[str, str]] = []
        self.to_outputs = self._reaching({source for _, source in graph.outputs}, lambda node: False)
        self.to_layers = self._reaching(set(), lambda node: bool(marks(node) & _ABSORBS) or is_forest(node))
        self.to_functions = self._reaching(set(), lambda node: not marks(node) & _CARRIES and self._is_function(node))
        self.to_squares = {node.inputs[0] for node in graph.nodes if self._is_square(node)}
        self.readers = graph.readers()
        self.streams: dict[str, Exponents] = {}
        """By the output of a sum: the exponents that a layer has chosen for it."""

    def _rule(self, node: Node) -> Callable[[Node], bool] | None:
        """What carries exponents past a node."""
        if node.domain:
            return self._decided if is_forest(node) else None
        for mark, rule in (
            (_REINDEXES, self._reindexed),
            (Mark.HOMOGENEOUS, self._homogeneous),
            (Mark.SPATIAL, self._over_space),
            (Mark.REDUCES, self._reduced),
            (Mark.SUMS, self._summed),
            (Mark.COMPARES, self._compared),
            (Mark.JOINS, self._selected if node.op == "Where" else self._joined),
            (Mark.PRODUCT, self._product),
            (Mark.LAYER, self._linear),
        ):
            if marks(node) & mark:
                return rule
        return self._grouped

    def run(self) -> None:
        """Every input, node and output."""
        for name in self.graph.inputs:
            axis = self.inputs.get(name)
            exponents = None if axis is None else exponents_along(self.reach[name], axis, DEEPEST)
            if exponents is None:
                self.quantizer.input(name)
            else:
                moved = self._hold(name, exponents)
                self.quantizer.port(name, moved, -exponents)
                self.nodes.append(self.scene.node("Mul", (name, self._powers(name, -exponents)), moved, name))
        for node in self.graph.nodes:
            rule = self._rule(node)
            if rule is None or not self._is_real(node) or not rule(node):
                self._emit(replace(node, inputs=tuple(self._plain(name) for name in node.inputs)))
            if self.freedom.inner and node.outputs[0] in self.to_squares and node.outputs[0] not in self.held:
                self._spread(node.outputs[0])
        for name, source in self.graph.outputs:
            held = self.held.get(source)
            if held is None:
                self.outputs.append((name, source))
            else:
                shown = self.scene.computed(source, self.scene.shape(source))
                self.limits[shown] = self.limits[source]
                self.nodes.append(self.scene.node("Mul", (held[0], self._powers(source, held[1])), shown, source))
                self.outputs.append((name, shown))

    def _reaching(self, names: set[str], reads: Callable[[Node], bool]) -> set[str]:
        """Tensors that get, through operators that carry exponents, to one of these tensors or to such a node."""
        for node in reversed(self.graph.nodes):
            carries = marks(node) & _CARRIES and any(name in names for name in node.outputs)
            if reads(node) or (carries and not node.domain):
                names.update(filter(None, node.inputs))
        return names

    def _is_function(self, node: Node) -> bool:
        """A table of one tensor."""
        operator, constants = find(node), [self.scene.value(name) for name in node.inputs[1:] if name]
        real = operator is not None and operator.real is not None and operator.curved
        uniform = all(value is not None and value.size == 1 for value in constants)
        return real and uniform and self._is_real(node) and self.scene.value(node.inputs[0]) is None

    def _is_square(self, node: Node) -> bool:
        """A square, whose channels are twice as far apart as those of what is squared."""
        if node.domain or node.op not in ("Mul", "Pow") or self.scene.value(node.inputs[0]) is not None:
            return False
        power = self.scene.value(node.inputs[1]) if node.op == "Pow" else None
        return node.inputs[0] == node.inputs[1] or (
            power is not None and power.size == 1 and float(power.flat[0]) == 2.0
        )

    def _is_real(self, node: Node) -> bool:
        """It gives real numbers, or compares some."""
        return self.graph.tensors[node.outputs[0]].dtype.kind == "f" or bool(marks(node) & Mark.COMPARES)

    def _choice(self, name: str, axis: int) -> Exponents:
        """The exponents of a tensor that may have any along an axis."""
        zeros = np.zeros(self.scene.shape(name), np.int64)
        if name in self.to_outputs:
            deepest = DEEPEST_OUTPUT
        elif self.freedom.inner and (name in self.to_layers or name in self.to_functions):
            deepest = DEEPEST
        else:
            return zeros
        chosen = exponents_along(self.reach[name], axis, deepest)
        if chosen is not None and name in self.to_functions:
            chosen = -(-chosen // _STEP * _STEP)
        return zeros if chosen is None else chosen

    # Operators that carry exponents ----------------------------------------------------------------------------------

    def _embedded(self, node: Node) -> bool:
        """Rows of a constant at computed places: the constant takes exponents along its last axis."""
        table, out = self.scene.value(node.inputs[0]), node.outputs[0]
        rank = len(self.scene.shape(out))
        if table is None or table.ndim != 2 or int(node.attributes.get("axis", 0)) != 0 or out not in self.to_layers:
            return False
        after = self._choice(out, rank - 1)
        if not after.any():
            return False
        rows = after.reshape(-1, after.shape[-1])[:1]
        inputs = (self._scaled(node.inputs[0], -rows, out), self._plain(node.inputs[1]))
        return self._emit(replace(node, inputs=inputs, outputs=(self._hold(out, after),)))

    def _reindexed(self, node: Node) -> bool:
        x = node.inputs[0]
        if node.op == "Gather" and self.scene.value(x) is not None:
            return self._embedded(node)
        if x not in self.held or (node.op == "Pad" and not self._pads_zeros(node)):
            return False
        constants = {name: self.scene.value(name) for name in node.inputs[1:] if name}
        known = {name: value for name, value in constants.items() if value is not None}
        if len(known) < len(constants):
            return False
        exponents = self._exponents(x)
        made = evaluate_node(node, self.graph.opsets, {x: exponents.astype(np.float32), **known})
        outputs = tuple(name and self._hold(name, np.asarray(made[name]).astype(np.int64)) for name in node.outputs)
        return self._emit(replace(node, inputs=(self._name(x), *node.inputs[1:]), outputs=outputs))

    def _pads_zeros(self, node: Node) -> bool:
        fill = self.scene.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        return not node.attributes.get("value", 0.0) and (fill is None or not np.any(fill))

    def _homogeneous(self, node: Node) -> bool:
        x, real = node.inputs[0], self.graph.tensors[node.inputs[0]].dtype.kind == "f"
        if x not in self.held or len(node.outputs) > 1 or not real:
            return False
        if self.scene.shape(x) != self.scene.shape(node.outputs[0]):
            return False
        made = self._hold(node.outputs[0], self._exponents(x))
        return self._emit(replace(node, inputs=(self._name(x), *node.inputs[1:]), outputs=(made,)))

    def _over_space(self, node: Node) -> bool:
        return self._along(node, tuple(range(2, len(self.scene.shape(node.inputs[0])))))

    def _reduced(self, node: Node) -> bool:
        given = self.scene.value(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
        axes = reduced_axes(node, given, len(self.scene.shape(node.inputs[0])))
        return self._along(node, axes) or self._weighed(node, axes)

    def _weighed(self, node: Node, axes: tuple[int, ...]) -> bool:
        """A mean or a sum along the last axis, where exponents differ there alone: a layer of powers of two."""
        x, out = node.inputs[0], node.outputs[0]
        rank, keeps = len(self.scene.shape(x)), bool(node.attributes.get("keepdims", 1))
        if node.op not in ("ReduceMean", "ReduceSum") or axes != (rank - 1,) or rank < 2 or not keeps:
            return False
        powers = self._channels(x, -1) if x in self.held else None
        if powers is None:
            return False
        part = 1.0 if node.op == "ReduceSum" else 1.0 / len(powers)
        column = (part * np.ldexp(1.0, powers))[:, None].astype(self.scene.tensors[out].dtype)
        weights = self._constant(out, column, public=True)
        return self._emit(self.scene.node("MatMul", (self._name(x), weights), out, node.name))

    def _along(self, node: Node, axes: tuple[int, ...]) -> bool:
        """Operators that mix elements along axes, where these have the same exponents there."""
        x = node.inputs[0]
        if x not in self.held or len(node.outputs) > 1:
            return False
        exponents, shape = self._exponents(x), self.scene.shape(node.outputs[0])
        largest = exponents.max(axis=axes, keepdims=True)
        if np.any(largest != exponents):
            return False
        kept = largest if len(shape) == largest.ndim else largest.reshape(shape)
        made = self._hold(node.outputs[0], np.broadcast_to(kept, shape))
        return self._emit(replace(node, inputs=(self._name(x), *node.inputs[1:]), outputs=(made,)))

    def _summed(self, node: Node) -> bool:
        """Sums, and extremes, of operands at one exponent: the largest that one of them has."""
        return self._together(node, 0)

    def _selected(self, node: Node) -> bool:
        return self._together(node, 1)

    def _together(self, node: Node, first: int) -> bool:
        operands, out = node.inputs[first:], node.outputs[0]
        if not self._is_held(operands):
            return False
        shape = self.scene.shape(out)
        computed = [name for name in operands if self.scene.value(name) is None]
        exponents: Exponents = np.maximum.reduce([np.broadcast_to(self._exponents(name), shape) for name in computed])
        kept = self.streams.get(out)
        exponents = exponents if kept is None else kept
        if not exponents.any():
            return False
        moved = tuple(self._at(name, self._folded(exponents, self.scene.shape(name))) for name in operands)
        return self._emit(replace(node, inputs=(*node.inputs[:first], *moved), outputs=(self._hold(out, exponents),)))

    @staticmethod
    def _folded(exponents: Exponents, shape: Shape) -> Exponents:
        """Exponents as an operand of that shape needs them: along the axes that it broadcasts where they are one."""
        lead = exponents.ndim - len(shape)
        short = tuple(a for a in range(exponents.ndim) if a < lead or shape[a - lead] != exponents.shape[a])
        folded = exponents.max(axis=short, keepdims=True)
        if np.any(folded != exponents):
            return exponents
        return np.reshape(folded, shape)

    def _compared(self, node: Node) -> bool:
        """A comparison with a constant: the threshold moves."""
        x, y = node.inputs
        if not self._is_held(node.inputs) or (self.scene.value(x) is None) == (self.scene.value(y) is None):
            return False
        held = x if x in self.held else y
        exponents = self._exponents(held)
        moved = tuple(self._name(name) if name == held else self._scaled(name, -exponents) for name in node.inputs)
        return self._emit(replace(node, inputs=moved))

    def _decided(self, node: Node) -> bool:
        """Trees: the thresholds move, where all samples have the same exponents."""
        x = node.inputs[0]
        exponents = self._exponents(x)
        by_feature = exponents.reshape(-1, exponents.shape[-1])
        if x not in self.held or np.any(by_feature != by_feature[0]):
            return False
        return self._emit(replace(moved_thresholds(node, -by_feature[0]), inputs=(self._name(x), *node.inputs[1:])))

    def _joined(self, node: Node) -> bool:
        """Concat: each computed part gets the scale of the coarsest, by a power of two for all of it, which is free."""
        out, axis = node.outputs[0], int(node.attributes["axis"])
        computed = [name for name in node.inputs if self.scene.value(name) is None]
        scales = {name: self.quantizer.tensors[self._name(name)].scale or 0 for name in computed}
        wanted = out in self.to_outputs or out in self.to_layers
        moves = {name: min(scales.values()) - scales[name] if wanted else 0 for name in computed}
        if not self._is_held(computed) and min(moves.values(), default=0) > -APART:
            return False
        parts = [self._exponents(name) + moves.get(name, 0) for name in node.inputs]
        inputs = tuple(
            name if name not in moves else self._at(name, part) for name, part in zip(node.inputs, parts, strict=True)
        )
        return self._emit(replace(node, inputs=inputs, outputs=(self._hold(out, np.concatenate(parts, axis)),)))

    # Products --------------------------------------------------------------------------------------------------------

    def _product(self, node: Node) -> bool:
        rule = {"Mul": self._multiplied, "Pow": self._raised}.get(node.op, self._rooted)
        return rule(node)

    def _multiplied(self, node: Node) -> bool:
        a, b = node.inputs
        out = node.outputs[0]
        shape = self.scene.shape(out)
        if self.scene.value(a) is not None:
            a, b = b, a
        if self.scene.value(b) is None:
            if not self._is_held((a, b)):
                return False
            exponents = np.broadcast_to(self._exponents(a), shape) + np.broadcast_to(self._exponents(b), shape)
            names = self._name(a), self._name(b)
            return self._emit(replace(node, inputs=names, outputs=(self._hold(out, exponents),)))
        before = np.broadcast_to(self._exponents(a), shape)
        if self.scene.tensors[b].size == 1:
            if a not in self.held or self.scene.shape(a) != shape:
                return False
            return self._emit(replace(node, inputs=(self._name(a), b), outputs=(self._hold(out, before),)))
        after = self._choice(out, self._varying(b, shape))
        if not before.any() and not after.any():
            return False
        factors = self._scaled(b, before - after)
        return self._emit(replace(node, inputs=(self._name(a), factors), outputs=(self._hold(out, after),)))

    def _varying(self, name: str, shape: Shape) -> int:
        """The axis of the channels of a product: the last one along which the factor has several values."""
        own = self.scene.shape(name)
        return len(shape) - len(own) + max(axis for axis, extent in enumerate(own) if extent > 1)

    def _raised(self, node: Node) -> bool:
        """A whole power."""
        x, value = node.inputs[0], self.scene.value(node.inputs[1])
        if x not in self.held or value is None or value.size != 1 or self.hidden:
            return False
        power = float(value.reshape(-1)[0])
        if power not in (1.0, 2.0, 3.0, 4.0):
            return False
        made = self._hold(node.outputs[0], int(power) * self._exponents(x))
        return self._emit(replace(node, inputs=(self._name(x), node.inputs[1]), outputs=(made,)))

    def _rooted(self, node: Node) -> bool:
        """Square roots of even exponents, and reciprocals."""
        x = node.inputs[0]
        if x not in self.held:
            return False
        exponents = self._exponents(x)
        if node.op == "Sqrt" and np.any(exponents % 2):
            return self._grouped(node)
        after = exponents // 2 if node.op == "Sqrt" else -exponents
        return self._emit(replace(node, inputs=(self._name(x),), outputs=(self._hold(node.outputs[0], after),)))

    def _grouped(self, node: Node) -> bool:
        """A function of elements that have few exponents: one table for each of these."""
        x, out = node.inputs[0], node.outputs[0]
        if x not in self.held or not self._is_function(node):
            return False
        exponents = self._exponents(x).reshape(-1)
        values = np.unique(exponents)
        if not 1 < len(values) <= _GROUPS:
            return False
        held, limit = self._name(x), self.limits[x]
        flat = self._step("Reshape", (held, self._numbers(x, [-1])), x, (exponents.size,), self.limits[held])
        places = [np.flatnonzero(exponents == value) for value in values]
        parts = []
        for value, where in zip(values.tolist(), places, strict=True):
            largest = min(limit, up(float(self.reach[x].reshape(-1)[where].max())) or 1.0)
            own = (where.size,)
            part = self._step(
                "Gather", (flat, self._numbers(x, where)), x, own, float(np.ldexp(largest, -value)), axis=0
            )
            part = self._step("Mul", (part, self._powers(x, np.asarray(value))), x, own, largest)
            reached = min(self.limits[out], up(float(self.reach[out].reshape(-1)[where].max())) or 1.0)
            made = self.scene.computed(out, own)
            self.limits[made] = reached
            self._emit(replace(node, inputs=(part, *node.inputs[1:]), outputs=(made,)))
            parts.append(made)
        scales = [self.quantizer.tensors[part].scale or 0 for part in parts]
        moves = [min(scales) - scale for scale in scales]
        moved = [
            self._step(
                "Mul", (part, self._powers(out, np.asarray(-move))), out, where.shape, float(np.ldexp(limit, -move))
            )
            for part, move, where, limit in zip(parts, moves, places, [self.limits[p] for p in parts], strict=True)
        ]
        largest = max(self.limits[part] for part in moved)
        joined = self._step("Concat", tuple(moved), out, (exponents.size,), largest, axis=0)
        order = np.argsort(np.concatenate(places))
        taken = self._step("Gather", (joined, self._numbers(out, order)), out, (exponents.size,), largest, axis=0)
        after = np.repeat(moves, [where.size for where in places])[order].reshape(self.scene.shape(out))
        shape = self._numbers(out, self.scene.shape(out))
        return self._emit(self.scene.node("Reshape", (taken, shape), self._hold(out, after), node.name))

    def _step(
        self, op: str, inputs: tuple[str, ...], base: str, shape: Shape, limit: float, **attributes: object
    ) -> str:
        """A new tensor, named after `base`."""
        made = self.scene.computed(base, shape)
        self.limits[made] = limit
        self._emit(self.scene.node(op, inputs, made, base, **attributes))
        return made

    def _numbers(self, base: str, values: Sequence[int] | NDArray[np.int64]) -> str:
        return self._constant(base, np.asarray(values, np.int64), public=True)

    # Layers: their weights take the operand's exponents and give any along their outputs -----------------------------

    def _linear(self, node: Node) -> bool:
        rule = {"Gemm": self._gemm, "MatMul": self._matmul}.get(node.op, self._convolved)
        return rule(node)

    def _gemm(self, node: Node) -> bool:
        before = self._channels(node.inputs[0], -1)
        if before is None:
            return False
        out = node.outputs[0]
        after = self._of_stream(out)
        after = self._choice(out, 1) if after is None else after
        parts = gemm_parts(self.scene, node) if before.any() or after.any() else None
        if parts is None:
            return False
        weights, bias = parts
        columns = -after[0]
        constants = np.ldexp(weights, before[:, None] + columns), np.ldexp(bias, columns)
        return self._layer(node, constants, after)

    def _of_stream(self, out: str) -> Exponents | None:
        """The exponents of a layer that is added to something: those that the sum needs, if possible the other's.

        A layer takes any at no cost, where the other one would be rescaled, element by element.
        """
        name = out
        while len(self.readers.get(name, [])) == 1 and self.readers[name][0].op == "Reshape":
            name = self.readers[name][0].outputs[0]
        reader = self.readers[name][0] if len(self.readers.get(name, [])) == 1 else None
        if reader is None or reader.op != "Add" or not self.freedom.inner or reader.outputs[0] not in self.to_layers:
            return None
        total = reader.outputs[0]
        (other,) = (n for n in reader.inputs if n != name) if reader.inputs[0] != reader.inputs[1] else ("",)
        shape = self.scene.shape(total)
        if not other or self.scene.value(other) is not None or any(self.scene.shape(n) != shape for n in (name, other)):
            return None
        if self.scene.shape(out)[-1] != shape[-1]:
            return None
        needed, own = exponents_along(self.reach[total], len(shape) - 1, DEEPEST), self._exponents(other)
        wanted = np.zeros(shape, np.int64) if needed is None else needed
        if np.ptp(wanted - own) <= _ALIKE:
            wanted = own
        self.streams[total] = wanted
        return np.array(wanted.reshape(self.scene.shape(out)))

    def _matmul(self, node: Node) -> bool:
        a, b = node.inputs
        left, right = self.scene.value(a), self.scene.value(b)
        out = node.outputs[0]
        if left is None and right is not None:
            before = self._channels(a, -1)
            after = self._choice(out, len(self.scene.shape(out)) - 1) if right.ndim == 2 else None
            if before is None:
                return False
            after = np.zeros(self.scene.shape(out), np.int64) if after is None else after
            if not before.any() and not after.any():
                return False
            columns = -after.reshape(-1, after.shape[-1])[0] if right.ndim == 2 else np.zeros(1, np.int64)
            powers = before if right.ndim == 1 else before[:, None] + columns
            made = self._constant(b, np.ldexp(right.astype(np.float64), powers).astype(right.dtype))
            return self._emit(replace(node, inputs=(self._name(a), made), outputs=(self._hold(out, after),)))
        if left is not None and b in self.held:
            rows = self._channels(b, -2 if len(self.scene.shape(b)) > 1 else -1)
            if rows is None:
                return False
            made = self._constant(a, np.ldexp(left.astype(np.float64), rows).astype(left.dtype))
            return self._emit(replace(node, inputs=(made, self._name(b))))
        return False

    def _convolved(self, node: Node) -> bool:
        kernel = self.scene.value(node.inputs[1])
        bias = self.scene.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        before = self._channels(node.inputs[0], 1)
        given = len(node.inputs) > 2 and bool(node.inputs[2])
        if kernel is None or before is None or (given and bias is None):
            return False
        out = node.outputs[0]
        after = self._choice(out, 1)
        if not before.any() and not after.any():
            return False
        columns = -after.reshape(*after.shape[:2], -1)[0, :, 0]
        scaled = along_channels(node, kernel.astype(np.float64), np.ldexp(1.0, before), of_output=False)
        scaled = along_channels(node, scaled, np.ldexp(1.0, columns), of_output=True)
        constants = (scaled,) if bias is None else (scaled, np.ldexp(bias.astype(np.float64), columns))
        return self._layer(node, constants, after)

    def _channels(self, name: str, axis: int) -> Exponents | None:
        """A tensor's exponents along an axis, where they differ along no other."""
        if name not in self.held:
            return np.zeros(self.scene.shape(name)[axis], np.int64)
        exponents = self._exponents(name)
        moved = np.moveaxis(exponents, axis, -1).reshape(-1, exponents.shape[axis])
        return moved[0] if np.all(moved == moved[0]) else None

    def _layer(self, node: Node, constants: Sequence[Array], after: Exponents) -> bool:
        dtype = self.scene.tensors[node.outputs[0]].dtype
        names = tuple(self._constant(node.outputs[0], value.astype(dtype)) for value in constants)
        made = self._hold(node.outputs[0], after)
        return self._emit(replace(node, inputs=(self._name(node.inputs[0]), *names), outputs=(made,)))
