"""Long formulas of each entry alone become one table a column: transformers of features, as exporters write them.

    x -> +1 -> Pow, Log -> Imputer -> ..  \\
                                            Add      becomes, for each column c,      Tabulated_c(x[:, c])
    x -> 1- -> Pow, Log -> Imputer -> ..  /

Of such a formula every element depends on one element of x, at its own place, by constants that differ from column to
column. It is tabulated where it goes through what no circuit holds, such as a NaN that an Imputer takes out again, or
searches constants step by step, as a QuantileTransformer does; others cost less as they are. Not of a private model,
whose constants would stand in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from plonnx.compiler.expansion import Steps
from plonnx.compiler.float_model import FORMULA, FloatModel, Unevaluable, node_proto
from plonnx.compiler.graph import Array, Graph, Node, type_interval
from plonnx.compiler.ops import Mark, find, marks
from plonnx.compiler.ops.ml_features import imputing
from plonnx.compiler.ops.registry import ML, OWN
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.rewrite import Scene

_SEARCHES = 2
"""Places that a formula looks up one after another, from which on it is tabulated."""
_MOST = 256
"""Columns of different constants."""
_PROBES = (-1e9, -1.0, 0.0, 1.0, 1e9)
"""Arguments where a formula must have a value, or say that it has none."""


@dataclass(frozen=True, eq=False)
class Formula:
    """Nodes that compute, element by element, the tensor `result` of the tensor `source`, of a type."""

    source: str
    result: str
    dtype: np.dtype[Any]
    made: np.dtype[Any]
    steps: Sequence[onnx.NodeProto]
    opsets: Mapping[str, int]

    def nodes(self, x: str, y: str) -> list[onnx.NodeProto]:
        """The nodes that make y of x, in an ONNX model where y names nothing else."""
        names = {self.source: x, self.result: y}
        made = [onnx.NodeProto.FromString(step.SerializeToString()) for step in self.steps]
        for step in made:
            for held in (step.input, step.output):
                held[:] = [names.get(name, f"{y}/{name}") for name in held]
        return made

    @cached_property
    def _model(self) -> FloatModel:
        kinds = (("x", self.dtype), ("y", self.made))
        x, y = (helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(kind), ["n"]) for n, kind in kinds)
        imports = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        body = helper.make_graph(self.nodes("x", "y"), "formula", [x], [y])
        return FloatModel(helper.make_model(body, opset_imports=imports, ir_version=9))

    def __call__(self, x: Array) -> Array:
        """The values of arguments [n]."""
        return self._model.evaluate({"x": x.astype(self.dtype)})["y"].astype(np.float64)

    @property
    def everywhere(self) -> bool:
        """Whether it has a value for whatever a table may ask: no place that is looked up is x itself, or follows x."""
        try:
            self(np.clip(_PROBES, *type_interval(self.dtype)))
        except Unevaluable:
            return False
        return True


def with_tabulated_columns(graph: Graph, hidden: bool = False) -> Graph:
    """The graph with such formulas in tables."""
    if hidden:
        return graph
    makers = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs}
    found = sources(graph)
    kept = read_outside(graph, found)
    ends = {}
    for place, node in enumerate(graph.nodes):
        end = node.outputs[0]
        if end in kept and found[end] != end:
            places = before(graph, makers, end, found[end])
            if _tabulates(graph, places, found[end]):
                ends[place] = places
    if not ends:
        return graph
    scene = Scene(graph)
    nodes: list[Node] = []
    for place, node in enumerate(graph.nodes):
        made = _columns(scene, ends[place], found[node.outputs[0]]) if place in ends else None
        nodes += [node] if made is None else made
    return dead_code(graph.with_nodes(nodes, scene.tensors))


def read_outside(graph: Graph, found: Mapping[str, str]) -> set[str]:
    """What the graph gives, and what a node reads whose source (`sources`) is another: where formulas may end."""
    read = {name for _, name in graph.outputs}
    for node in graph.nodes:
        read.update(name for name in node.inputs if name and found.get(node.outputs[0]) != found[name])
    return read


def sources(graph: Graph) -> dict[str, str]:
    """The tensor whose elements alone make each computed tensor's, place by place; itself where there is none."""
    found = {name: name for name in graph.tensors}
    for node in graph.nodes:
        computed = [name for name in node.inputs if name and graph.value(name) is None]
        over = {found[name] for name in computed}
        if len(over) == 1 and _joins(graph, node, computed):
            found[node.outputs[0]] = over.pop()
    return found


def _joins(graph: Graph, node: Node, computed: Sequence[str]) -> bool:
    operator = find(node)
    if operator is None or len(node.outputs) > 1:
        return False
    size = graph.tensors[node.outputs[0]].size
    if any(graph.tensors[name].size != size for name in computed):
        return False
    if _looks_up(graph, node):
        return True
    if "axis" in node.attributes and not operator.marks & Mark.RESHAPES:
        return False
    return operator.real is not None or bool(operator.marks & (Mark.RESHAPES | Mark.READS_NAN | Mark.ALONE))


def _looks_up(graph: Graph, node: Node) -> bool:
    """Entries of a list of constants at computed places."""
    table = graph.value(node.inputs[0]) if node.op == "Gather" and not node.domain else None
    return table is not None and table.ndim == 1


def before(graph: Graph, makers: Mapping[str, int], end: str, source: str) -> list[int]:
    """The places of the nodes between a source and what is made of it, in order."""
    found, open_ends = set[int](), [end]
    while open_ends:
        name = open_ends.pop()
        if name != source and name in makers and makers[name] not in found:
            found.add(makers[name])
            open_ends += [n for n in graph.nodes[makers[name]].inputs if n and graph.value(n) is None]
    return sorted(found)


def _tabulates(graph: Graph, places: Sequence[int], source: str) -> bool:
    nodes = [graph.nodes[place] for place in places]
    imputes = any(node.op == "Imputer" and node.inputs[0] != source for node in nodes)
    return imputes or sum(_looks_up(graph, node) for node in nodes) >= _SEARCHES


def _columns(scene: Scene, places: Sequence[int], source: str) -> list[Node] | None:
    """A table for each set of elements with the same constants; None where these are too many, or it has holes."""
    graph = scene.graph
    nodes = [graph.nodes[place] for place in places]
    end = nodes[-1]
    constants = [spread(graph, node) for node in nodes]
    every = [values.reshape(-1) for held in constants for values in held.values()]
    size = graph.tensors[source].size
    columns = np.unique(np.stack(every), axis=1, return_inverse=True)[1].reshape(-1) if every else np.zeros(size, int)
    count = int(columns.max()) + 1
    if count > _MOST:
        return None
    steps, parts, order = Steps(scene, end), [], []
    dtype, made = (graph.tensors[name].dtype for name in (source, end.outputs[0]))
    for column in range(count):
        where = np.flatnonzero(columns == column)
        x = steps.gather([source], where)
        body = [step for n, held in zip(nodes, constants, strict=True) for step in of_one(graph, n, held, where[0])]
        formula = Formula(source, end.outputs[0], dtype, made, body, graph.opsets)
        if not formula.everywhere:
            return None
        y = scene.computed(end.outputs[0], (len(where),))
        steps.nodes.append(Node("Tabulated", (x,), (y,), {FORMULA: formula}, 1, end.name, OWN))
        parts.append(y)
        order.append(where)
    back = np.argsort(np.concatenate(order)).reshape(scene.shape(end.outputs[0]))
    return steps.finish(steps.gather(parts, back))


def spread(graph: Graph, node: Node) -> dict[int, Array]:
    """The constants of a node by operand, each element's own."""
    out = graph.tensors[node.outputs[0]]
    if marks(node) & Mark.RESHAPES:
        return {}
    if node.op == "Imputer":
        imputed = imputing(node, graph.tensors[node.inputs[0]].dtype)[1]
        return {1: np.broadcast_to(imputed.astype(np.float64), out.shape)}
    values = {place: graph.value(name) for place, name in enumerate(node.inputs) if name}
    first = 1 if _looks_up(graph, node) else 0  # the list itself is one for all
    return {
        place: np.broadcast_to(value, out.shape).astype(np.float64)
        for place, value in values.items()
        if value is not None and place >= first
    }


def of_one(graph: Graph, node: Node, constants: Mapping[int, Array], at: int) -> list[onnx.NodeProto]:
    """The node for the element `at`, its constants as scalars."""
    (out,) = node.outputs
    if marks(node) & Mark.RESHAPES:
        return [helper.make_node("Identity", [node.inputs[0]], [out])]
    made: list[onnx.NodeProto] = []

    def constant(place: int, value: Array) -> str:
        name = f"{out}#{place}"
        made.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name)))
        return name

    inputs = list(node.inputs)
    for place, values in constants.items():
        kind = graph.tensors[node.inputs[0 if node.op == "Imputer" else place]].dtype
        name = constant(place, np.asarray(values.reshape(-1)[at]).astype(kind))
        inputs[place:] = [name, *inputs[place + 1 :]]
    if _looks_up(graph, node):
        inputs[0] = constant(0, _held(graph, node.inputs[0]))
    if node.op != "Imputer" or node.domain != ML:
        return [*made, node_proto(replace(node, inputs=tuple(inputs)))]
    replaced = imputing(node, graph.tensors[node.inputs[0]].dtype)[0]
    test = helper.make_node("IsNaN", inputs[:1], [f"{out}#lost"])
    if not np.isnan(replaced):
        other = constant(2, np.asarray(replaced).astype(graph.tensors[node.inputs[0]].dtype))
        test = helper.make_node("Equal", [inputs[0], other], [f"{out}#lost"])
    return [*made, test, helper.make_node("Where", [f"{out}#lost", inputs[1], inputs[0]], [out])]


def _held(graph: Graph, name: str) -> Array:
    value = graph.value(name)
    assert value is not None, "a constant"
    return value
