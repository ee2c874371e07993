"""A sum that nobody reads but to subtract its mean (the residual stream of a transformer) is kept without its mean.

    x = Add(x, Gemm(h, W, b));  d = Sub(x, ReduceMean(x))       becomes      x = Add(x, Gemm(h, W', b'));  d = x

with W' = W - mean over outputs, and so for biases, embeddings and other constants: whatever is added to the stream has
no mean along the last axis, so the stream has none. A normalization then takes no mean, no difference, and no copy of
the stream. What can't be freed of its mean at no cost is centred where it is added; streams that would need that as
often as they are read stay as they are.

What is added to a layer is freed by a layer of its own, which takes the mean away: both are one equation
(compiler/residuals.py). That serves blocks that are normalized after the sum:

    n = Norm(y);  x = Add(n, Gemm(h, W, b));  Norm(x)     becomes     x = Add(Gemm(n, I - 1/N), Gemm(h, W', b'))

whose gain and shift then go into that layer as into the others that read n. Not in a private model: it adds by copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from plonnx.compiler.expansion import Steps, reduced_axes
from plonnx.compiler.graph import Array, Graph, Node
from plonnx.compiler.passes.rewrite import Scene, rewrite


def centred_streams(graph: Graph, hidden: bool = False) -> Graph:
    """Free such sums of their means."""
    centres = _centres(graph)
    if not centres:
        return graph
    streams = _Streams(graph, centres, hidden)
    chosen = {name for group in streams.groups() if streams.pays(group) for name in group}
    if not chosen:
        return graph
    beside = {name for name in chosen if streams.beside_layer(name)}
    return rewrite(graph, lambda scene, node: _rule(scene, node, centres, chosen, beside))


def _centres(graph: Graph) -> dict[str, str]:
    """Sub(x, ReduceMean(x)) along the last axis -> x."""
    means = {node.outputs[0]: node.inputs[0] for node in graph.nodes if _is_mean(graph, node)}
    return {
        node.outputs[0]: node.inputs[0]
        for node in graph.nodes
        if node.op == "Sub" and not node.domain and means.get(node.inputs[1]) == node.inputs[0]
    }


def _is_mean(graph: Graph, node: Node) -> bool:
    """Along the last axis, which stays."""
    if node.op != "ReduceMean" or node.domain or not node.attributes.get("keepdims", 1):
        return False
    rank = len(graph.tensors[node.inputs[0]].shape)
    given = graph.value(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if given is None and len(node.inputs) > 1 and node.inputs[1]:
        return False
    return rank > 1 and reduced_axes(node, given, rank) == (rank - 1,)


@dataclass
class _Streams:
    graph: Graph
    centres: dict[str, str]
    hidden: bool

    def __post_init__(self) -> None:
        self.makers = {name: node for node in self.graph.nodes for name in node.outputs}
        self.readers = self.graph.readers()
        shown = {source for _, source in self.graph.outputs}
        self.centred = Counter(self.centres.values())
        self.members = {name for name in self.makers if name not in shown}
        open_ends = list(self.members)
        while open_ends:  # with one that is none, what it is made of may be none
            name = open_ends.pop()
            if name in self.members and not self._is_read_so(name):
                self.members.remove(name)
                open_ends += self.makers[name].inputs

    def _is_read_so(self, name: str) -> bool:
        """Whether all that reads a tensor subtracts its mean, or hands it on to such a tensor."""
        readers = self.readers.get(name, [])
        width = self.graph.tensors[name].shape[-1:]
        for node in readers:
            made = node.outputs[0]
            if self.centres.get(made) == name:
                continue
            if node.op == "ReduceMean" and all(
                self.centres.get(r.outputs[0]) == name for r in self.readers.get(made, [])
            ):
                continue
            same = made in self.members and self.graph.tensors[made].shape[-1:] == width
            if not (same and (node.op == "Add" or _hands_on(self.graph, node, name))):
                return False
        return bool(readers) and len(width) == 1 and width[0] > 1

    def groups(self) -> Iterator[set[str]]:
        """The members that are added to each other."""
        left = set(self.members)
        while left:
            group, front = set[str](), [left.pop()]
            while front:
                name = front.pop()
                group.add(name)
                beside = {n for r in self.readers.get(name, []) for n in r.outputs} | set(self.makers[name].inputs)
                near = beside & left
                left -= near
                front.extend(near)
            yield group

    def pays(self, group: set[str]) -> bool:
        """Whether the stream is centred more often than what is added to it would have to be."""
        read = sum(self.centred[name] for name in group)
        sources = [self.makers[name] for name in group]
        own = sum(
            not _frees(self.graph, node) and not self._from_members(node) and not self.beside_layer(node.outputs[0])
            for node in sources
        )
        return read > own

    def beside_layer(self, name: str) -> bool:
        """Whether a sum adds what a gain or a shift makes to a layer that nobody else reads: a layer takes its mean."""
        node = self.makers[name]
        if self.hidden or node.op != "Add" or node.domain:
            return False
        foreign = [operand for operand in node.inputs if operand not in self.members]
        if len(foreign) != 1 or self._constant_beside(foreign[0]) is None:
            return False
        (layer,) = (operand for operand in node.inputs if operand in self.members)
        alike = {self.graph.tensors[operand].shape for operand in (*node.inputs, name)}
        while len(self.readers[layer]) == 1:
            made, constant = self.makers[layer], self._constant_beside(layer)
            if made.op != "Reshape" and (made.op != "Add" or constant is None):
                break
            layer = next(operand for operand in made.inputs if operand != constant)
            if layer not in self.members:
                return False
        plain = self.makers[layer].op in ("Gemm", "MatMul") and _frees(self.graph, self.makers[layer])
        return len(alike) == 1 and plain and len(self.readers[layer]) == 1

    def _constant_beside(self, name: str) -> str | None:
        """The constant of more than one value, along the last axis, that a tensor is added to or multiplied by."""
        made = self.makers.get(name)
        if made is None or made.op not in ("Add", "Mul") or made.domain:
            return None
        for operand in made.inputs:
            value = self.graph.value(operand)
            if value is not None and value.ndim and value.size == value.shape[-1] > 1:
                return operand
        return None

    def _from_members(self, node: Node) -> bool:
        computed = [name for name in node.inputs if name and self.graph.value(name) is None]
        return (node.op == "Add" or any(_hands_on(self.graph, node, name) for name in computed)) and (
            set(computed) <= self.members
        )


def _hands_on(graph: Graph, node: Node, name: str) -> bool:
    """Whether a node re-indexes a tensor and keeps its last axis together."""
    shape, made = graph.tensors[name].shape, graph.tensors[node.outputs[0]].shape
    if node.domain or not made or not shape or made[-1] != shape[-1]:
        return False
    last = len(shape) - 1
    if node.op in ("Reshape", "Identity", "Squeeze", "Unsqueeze"):
        return name == node.inputs[0]
    if node.op == "Transpose":
        return bool(tuple(node.attributes.get("perm", range(last, -1, -1)))[-1] == last)
    if node.op == "Concat":
        return int(node.attributes["axis"]) % len(shape) != last
    if node.op == "Gather" and name == node.inputs[0]:
        return graph.value(node.inputs[1]) is not None and int(node.attributes.get("axis", 0)) % len(shape) != last
    return False


def _frees(graph: Graph, node: Node) -> bool:
    """Whether what a node makes can be freed of its mean by its constants."""
    if node.domain:
        return False
    if node.op == "Gather":
        table = graph.value(node.inputs[0])
        return table is not None and table.ndim == 2 and int(node.attributes.get("axis", 0)) == 0
    if node.op not in ("Gemm", "MatMul") or graph.value(node.inputs[0]) is not None:
        return False
    constants = [graph.value(name) for name in node.inputs[1:] if name]
    plain = node.op == "MatMul" or not any(node.attributes.get(key, value) != value for key, value in _PLAIN.items())
    matrix = constants[0] if constants else None
    return plain and matrix is not None and matrix.ndim == 2 and all(value is not None for value in constants)


_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def _without_mean(value: Array) -> Array:
    exact = value.astype(np.float64)
    return np.asarray(exact - exact.mean(axis=-1, keepdims=True), value.dtype)


def _rule(scene: Scene, node: Node, centres: dict[str, str], chosen: set[str], beside: set[str]) -> list[Node] | None:
    out = node.outputs[0]
    if centres.get(out) in chosen:
        return [scene.node("Identity", (centres[out],), out, node.name)]
    if out not in chosen:
        return None
    width = scene.shape(out)[-1]

    def centred(name: str) -> str:
        value = scene.value(name)
        assert value is not None
        whole = np.broadcast_to(value, (*value.shape[:-1], width)) if value.ndim else np.broadcast_to(value, (width,))
        return scene.constant(out, _without_mean(whole), name)

    if _frees(scene.graph, node):
        first = (centred(node.inputs[0]),) if node.op == "Gather" else node.inputs[:1]
        rest = node.inputs[1:] if node.op == "Gather" else tuple(centred(n) if n else n for n in node.inputs[1:])
        return [replace(node, inputs=(*first, *rest))]
    computed = [name for name in node.inputs if name and scene.value(name) is None]
    if node.op == "Add" or any(_hands_on(scene.graph, node, name) for name in computed):
        steps = Steps(scene, node)
        inputs = []
        for name in node.inputs:
            added = name
            if name and scene.value(name) is not None and scene.tensors[name].dtype.kind == "f":
                added = centred(name)
            elif name in computed and name not in chosen and out in beside:
                matrix = np.eye(width) - 1.0 / width
                added = steps.apply("MatMul", name, steps.constant(matrix, public=True), shape=scene.shape(name))
            elif name in computed and name not in chosen:
                added = steps.apply("Sub", name, steps.reduce("ReduceMean", name, [len(scene.shape(name)) - 1]))
            inputs.append(added)
        return [*steps.nodes, replace(node, inputs=tuple(inputs))]
    steps = Steps(scene, node)
    plain = scene.computed(out, scene.shape(out))
    steps.nodes.append(replace(node, outputs=(plain, *node.outputs[1:])))
    mean = steps.reduce("ReduceMean", plain, [len(scene.shape(out)) - 1])
    return [*steps.nodes, scene.node("Sub", (plain, mean), out, node.name)]
