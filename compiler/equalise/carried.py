"""Operators that carry exponents along: re-indexing, sums, reductions, comparisons, trees, tensors side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plonnx.compiler.channels import APART, Exponents
from plonnx.compiler.equalise.choices import Choices
from plonnx.compiler.expansion import reduced_axes
from plonnx.compiler.float_model import evaluate_node
from plonnx.compiler.graph import Node, Shape
from plonnx.compiler.ops.ml_forest import moved_thresholds


class Carried(Choices):
    """A rule for each: whether the node was written, with its exponents moved."""

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
