"""The graph is written anew, node by node, each by the rule of its operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from plonnx.compiler.calibration import Calibration
from plonnx.compiler.channels import DEEPEST, exponents_along
from plonnx.compiler.equalise.carried import Carried
from plonnx.compiler.equalise.choices import REINDEXES, Freedom
from plonnx.compiler.equalise.elementwise import Elementwise
from plonnx.compiler.equalise.layers import Layers
from plonnx.compiler.graph import Graph, Node
from plonnx.compiler.ops import Mark, marks
from plonnx.compiler.ops.ml_forest import is_forest


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
    outputs = sweep.run()
    if not sweep.changed:
        return graph, calibration
    made = replace(graph, nodes=tuple(sweep.nodes), tensors=sweep.scene.tensors, outputs=tuple(outputs))
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


class _Sweep(Carried, Elementwise, Layers):
    """Goes through the nodes once, in order, and writes those of the new graph."""

    def _rule(self, node: Node) -> Callable[[Node], bool] | None:
        """What carries exponents past a node."""
        if node.domain:
            return self._decided if is_forest(node) else None
        for mark, rule in (
            (REINDEXES, self._reindexed),
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

    def run(self) -> list[tuple[str, str]]:
        """Every input, node and output; the new graph's outputs."""
        outputs = list[tuple[str, str]]()
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
                outputs.append((name, source))
            else:
                shown = self.scene.computed(source, self.scene.shape(source))
                self.limits[shown] = self.limits[source]
                self.nodes.append(self.scene.node("Mul", (held[0], self._powers(source, held[1])), shown, source))
                outputs.append((name, shown))
        return outputs
