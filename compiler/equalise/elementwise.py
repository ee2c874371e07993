"""Products, powers and roots, which add exponents up; functions, which get a table for each of few exponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.calibration import up
from plonnx.compiler.equalise.choices import Choices
from plonnx.compiler.graph import Node, Shape

_GROUPS = 6
"""Exponents at which a function gets a table each, at most."""


class Elementwise(Choices):
    """A rule for each: whether the node was written, with its exponents moved."""

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
