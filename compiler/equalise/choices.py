"""Which tensors get exponents, and which: by what calibration measured and by who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.calibration import Calibration
from plonnx.compiler.channels import DEEPEST, DEEPEST_OUTPUT, Exponents, exponents_along
from plonnx.compiler.equalise.held import Held
from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.ml_forest import is_forest

_STEP = 4
"""How far exponents of what functions read lie apart where they are free."""
REINDEXES = Mark.COPIES | Mark.FILLS
_CARRIES = REINDEXES | Mark.HOMOGENEOUS | Mark.SPATIAL | Mark.REDUCES | Mark.SUMS | Mark.PRODUCT | Mark.JOINS
_ABSORBS = Mark.LAYER | Mark.COMPARES


@dataclass(frozen=True)
class Freedom:
    """Which tensors may get exponents: the graph's inputs, those that only layers read; outputs always may."""

    inputs: bool
    inner: bool


FREEDOMS = (Freedom(False, False), Freedom(True, False), Freedom(True, True))
"""What the search tries in turn, where one scale a tensor is not enough."""


class Choices(Held):
    """By name of an old tensor: whether it may have exponents, and which it gets."""

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
        self.to_outputs = self._reaching({source for _, source in graph.outputs}, lambda node: False)
        self.to_layers = self._reaching(set(), lambda node: bool(marks(node) & _ABSORBS) or is_forest(node))
        self.to_functions = self._reaching(set(), lambda node: not marks(node) & _CARRIES and self._is_function(node))
        self.to_squares = {node.inputs[0] for node in graph.nodes if self._is_square(node)}
        self.readers = graph.readers()
        self.streams: dict[str, Exponents] = {}
        """By the output of a sum: the exponents that a layer has chosen for it."""

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

    def _channels(self, name: str, axis: int) -> Exponents | None:
        """A tensor's exponents along an axis, where they differ along no other."""
        if name not in self.held:
            return np.zeros(self.scene.shape(name)[axis], np.int64)
        exponents = self._exponents(name)
        moved = np.moveaxis(exponents, axis, -1).reshape(-1, exponents.shape[axis])
        return moved[0] if np.all(moved == moved[0]) else None
