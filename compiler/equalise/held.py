"""Tensors that are held over powers of two while a graph is written anew: t = t' 2^e, of which only t' is there.

choices.py says of which tensors; the rules of the files beside it carry the exponents past an operator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plonnx.compiler.calibration import Calibration, index_counts, up
from plonnx.compiler.channels import DEEPEST, Exponents, exponents_along
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.rewrite import Scene
from plonnx.compiler.quantize import Quantizer


def compact(values: Array) -> Array:
    """The smallest array that broadcasts to this one."""
    for axis in range(values.ndim):
        if np.all(values == values.take([0], axis)):
            values = values.take([0], axis)
    while values.ndim and values.shape[0] == 1:
        values = values[0]
    return values


class Held:
    """The nodes and tensors of the new graph; by name of an old tensor, what is held of it and its exponents."""

    def __init__(
        self, graph: Graph, calibration: Calibration, table_bits: int, hidden: bool, public: frozenset[str]
    ) -> None:
        self.graph, self.scene = graph, Scene(graph)
        self.reach, self.limits = dict(calibration.reach), dict(calibration.limits)
        whole = frozenset(index_counts(graph))
        self.quantizer = Quantizer(graph.tensors, self.limits, table_bits, hidden, whole=whole, public=public)
        self.nodes: list[Node] = []
        self.held: dict[str, tuple[str, Exponents]] = {}
        self.restored: dict[str, str] = {}
        self.changed = False

    def _emit(self, node: Node) -> bool:
        """Write a node."""
        for name in filter(None, node.outputs):
            if name not in self.quantizer.tensors:
                self.quantizer.add(self.scene.tensors[name])
        for name in node.inputs:
            if name and name not in self.quantizer.tensors:
                self.quantizer.add(self.scene.tensors[name])
        self.quantizer.node(node)
        self.nodes.append(node)
        return True

    def _hold(self, name: str, exponents: Exponents) -> str:
        """The name of the tensor whose product with 2^exponents is `name`: itself where all are zero."""
        if not exponents.any():
            return name
        self.changed = True
        held = self.scene.computed(name, self.scene.shape(name))
        self.quantizer.add(self.scene.tensors[held])
        if np.all(exponents == exponents.flat[0]):
            self.limits[held] = float(np.ldexp(self.limits[name], -int(exponents.flat[0])))
        else:
            largest = float(np.max(np.ldexp(self.reach[name].astype(np.float64), -exponents)))
            self.limits[held] = up(largest) or 1.0
        self.held[name] = held, exponents
        return held

    def _powers(self, base: str, exponents: Exponents) -> str:
        """A constant of powers of two, which everybody knows."""
        dtype = self.scene.tensors[base].dtype
        name = self.scene.constant(base, np.ldexp(1.0, compact(exponents)).astype(dtype), public=True)
        self.quantizer.add(self.scene.tensors[name])
        return name

    def _plain(self, name: str) -> str:
        """The tensor as the model has it."""
        if name not in self.held or name in self.restored:
            return self.restored.get(name, name)
        held, exponents = self.held[name]
        own = name
        if name in self.graph.inputs:  # whose name stands for the input's cells
            own = self.scene.computed(name, self.scene.shape(name))
            self.limits[own], self.reach[own] = self.limits[name], self.reach[name]
        self.restored[name] = own
        self._emit(self.scene.node("Mul", (held, self._powers(name, exponents)), own, name))
        return own

    def _spread(self, name: str) -> None:
        """Take exponents out of a tensor that is there, element by element."""
        rank = len(self.scene.shape(name))
        choices = [exponents_along(self.reach[name], axis, DEEPEST) for axis in range(min(1, rank - 1), rank)]
        found = max((c for c in choices if c is not None), key=lambda c: int(np.ptp(c)), default=None)
        if found is not None:
            held = self._hold(name, found)
            self.restored[name] = name
            self._emit(self.scene.node("Mul", (name, self._powers(name, -found)), held, name))

    def _exponents(self, name: str) -> Exponents:
        """Of a tensor as it stands: zeros where it has none."""
        return self.held[name][1] if name in self.held else np.zeros(self.scene.shape(name), np.int64)

    def _name(self, name: str) -> str:
        return self.held[name][0] if name in self.held else name

    def _at(self, name: str, exponents: Exponents) -> str:
        """The tensor over 2^exponents, which broadcast with it."""
        value = self.scene.value(name)
        if value is not None:
            return self._scaled(name, -exponents)
        own = np.broadcast_to(self._exponents(name), exponents.shape)
        if np.array_equal(own, exponents):
            return self._name(name)
        if not exponents.any():
            return self._plain(name)
        moved = self.scene.computed(name, exponents.shape)
        reach = np.broadcast_to(self.reach[name], exponents.shape).astype(np.float64)
        self.limits[moved] = up(float(np.max(np.ldexp(reach, -exponents)))) or 1.0
        self._emit(self.scene.node("Mul", (self._name(name), self._powers(name, own - exponents)), moved, name))
        return moved

    def _scaled(self, name: str, exponents: Exponents, base: str | None = None) -> str:
        """A constant times 2^exponents, which broadcast with it."""
        tensor = self.scene.tensors[name]
        assert tensor.value is not None
        factors = np.ldexp(1.0, compact(exponents))
        value = (tensor.value.astype(np.float64) * factors).astype(tensor.dtype)
        return self._constant(base or name, value, tensor.public)

    def _constant(self, base: str, value: Array, public: bool = False) -> str:
        name = self.scene.constant(base, value, public=public)
        self.quantizer.add(self.scene.tensors[name])
        return name

    def _is_held(self, names: Sequence[str]) -> bool:
        return any(name in self.held for name in names)
