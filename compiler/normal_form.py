"""What exporters write in several ways, brought to one before the model is checked; the model stays the same function.

    domain ai.onnx           the default domain
    nodes in any order       sorted, so that each reads what stands before it
    graphs without a name    named
    sparse constants         dense
    bfloat16                 float32; a cast to it keeps its rounding of constants: Cast(bfloat16), Cast(float32)
    layout = 1 of RNN, ..    Transpose, RNN, Transpose: onnxruntime knows the other layout alone
    IR version 3             4, whose weights need not be inputs: onnxruntime asks that of none
    outputs that are lists   their tensors, by their own names: SequenceConstruct, as scikit-learn's multi-output models
    Solve(A, b)              MatMul(A^-1, b), for a constant A (scikit-learn's Gaussian process classifiers)

Everything but the last three applies to subgraphs and local functions, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from plonnx.compiler.graph import Array, CompileError, of_size

Nodes = Sequence[onnx.NodeProto]
_INITIALIZERS_NEED_NOT_BE_INPUTS = 4


def normalize(proto: onnx.ModelProto, name: str) -> None:
    """Bring a model to the one form, in place; `name` is the graph's where it has none."""
    proto.ir_version = max(proto.ir_version, _INITIALIZERS_NEED_NOT_BE_INPUTS)
    for imports in (proto.opset_import, *(function.opset_import for function in proto.functions)):
        versions = {_domain(entry.domain): entry.version for entry in imports}
        del imports[:]
        imports.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
    for graph in graphs(proto.graph):
        graph.name = graph.name or name
        _make_dense(graph)
        _widen_graph(graph)
        tidy(graph.node)
    _list_outputs(proto.graph)
    _invert(proto.graph)
    for function in proto.functions:
        function.domain = _domain(function.domain)
        for node in function.node:
            for subgraph in _subgraphs(node):
                for graph in graphs(subgraph):
                    _make_dense(graph)
                    _widen_graph(graph)
                    tidy(graph.node)
        tidy(function.node)


def _list_outputs(graph: onnx.GraphProto) -> None:
    """Outputs that SequenceConstruct makes are its tensors."""
    lists = {node.output[0]: node.input for node in graph.node if node.op_type == "SequenceConstruct"}
    shown = [output for output in graph.output if output.name in lists]
    if not shown:
        return
    names = [name for output in graph.output for name in lists.get(output.name, [output.name])]
    kinds = {output.name: onnx.ValueInfoProto.FromString(output.SerializeToString()) for output in graph.output}
    del graph.output[:]
    graph.output.extend(kinds.get(name, onnx.ValueInfoProto(name=name)) for name in dict.fromkeys(names))


def _invert(graph: onnx.GraphProto) -> None:
    """Solve, which skl2onnx writes and no runtime has, of a constant matrix."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if (node.op_type, node.domain) != ("Solve", "com.microsoft") or node.input[0] not in constants:
            continue
        if any(helper.get_attribute_value(attribute) for attribute in node.attribute):
            continue  # of a triangle, or transposed
        matrix = values_of(constants[node.input[0]])
        try:
            inverse = np.linalg.inv(matrix.astype(np.float64)).astype(matrix.dtype)
        except np.linalg.LinAlgError as error:
            raise CompileError(f"node {node.name or node.output[0]!r} (Solve): its matrix has no inverse") from error
        name = f"{node.output[0]}~inverse"
        graph.initializer.append(numpy_helper.from_array(inverse, name))
        node.CopyFrom(helper.make_node("MatMul", [name, node.input[1]], node.output, name=node.name))


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all its subgraphs."""
    yield graph
    for node in graph.node:
        for subgraph in _subgraphs(node):
            yield from graphs(subgraph)


def inside(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of all their subgraphs."""
    for node in nodes:
        yield node
        for graph in _subgraphs(node):
            yield from inside(graph.node)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads of the graph around it: its operands, and what its subgraphs take from outside."""
    yield from filter(None, node.input)
    for graph in _subgraphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own.update(tensor.values.name for tensor in graph.sparse_initializer)
        own.update(output for inner in graph.node for output in inner.output)
        yield from (name for inner in graph.node for name in reads(inner) if name not in own)
        yield from (output.name for output in graph.output if output.name not in own)


def live(nodes: Nodes, wanted: Iterable[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that the wanted tensors need, in order, and all names that are read or wanted."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(reads(node))
    return kept[::-1], needed


def tidy(nodes: Any) -> None:
    """The nodes of one graph or function (a repeated field), in place."""
    made: list[onnx.NodeProto] = []
    for node in nodes:
        node.domain = _domain(node.domain)
        for one in _widen_node(node):
            made.extend(_time_first(one))
    order = _sorted(made)
    if len(made) != len(nodes) or order != list(range(len(made))):
        kept = [onnx.NodeProto.FromString(made[place].SerializeToString()) for place in order]
        del nodes[:]
        nodes.extend(kept)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _sorted(nodes: Nodes) -> list[int]:
    """Places of the nodes so that each comes after those that it reads; as they are where that is so."""
    makers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    before = [{makers[name] for name in reads(node) if name in makers} for node in nodes]
    after: list[list[int]] = [[] for _ in nodes]
    for place, needed in enumerate(before):
        for maker in needed:
            after[maker].append(place)
    waits = [len(needed) for needed in before]
    ready = [place for place, count in enumerate(waits) if not count]
    heapify(ready)
    order = []
    while ready:
        place = heappop(ready)
        order.append(place)
        for reader in after[place]:
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = nodes[next(place for place, count in enumerate(waits) if count)]
        raise CompileError(
            f"node {stuck.name or stuck.output[0]!r} ({stuck.op_type}) reads what is made from its result"
        )
    return order


def _make_dense(graph: onnx.GraphProto) -> None:
    graph.initializer.extend(_dense(tensor, tensor.values.name) for tensor in graph.sparse_initializer)
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.SPARSE_TENSOR:
                dense = _dense(attribute.sparse_tensor, attribute.sparse_tensor.values.name)
                attribute.CopyFrom(helper.make_attribute("value", dense))


def values_of(tensor: TensorProto) -> Array:
    """What a constant holds; CompileError where that is not what its shape and type say."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise CompileError(f"tensor {tensor.name!r} does not hold as many values as its shape says") from error


def _dense(sparse: onnx.SparseTensorProto, name: str) -> TensorProto:
    shape = of_size(tuple(sparse.dims), f"sparse tensor {name!r}")
    values, indices = values_of(sparse.values), values_of(sparse.indices)
    dense = np.zeros(prod(shape), values.dtype)
    try:
        dense[indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)] = values
    except (ValueError, IndexError) as error:
        raise CompileError(f"sparse tensor {name!r}: its indices do not fit its shape {list(shape)}") from error
    return numpy_helper.from_array(dense.reshape(shape), name)


def _widen_graph(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _widen_tensor(attribute.t)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.BFLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(values_of(tensor).astype(np.float32), tensor.name))


def _widen_node(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The node, or the pair of casts that stands for a cast to bfloat16."""
    targets = [a for a in node.attribute if a.name in ("to", "dtype") and a.i == TensorProto.BFLOAT16]
    if not targets:
        return [node]
    if node.op_type != "Cast":
        targets[0].i = TensorProto.FLOAT
        return [node]
    rounded = f"{node.output[0]}~bfloat16"
    first = helper.make_node("Cast", node.input, [rounded], name=node.name, to=TensorProto.BFLOAT16)
    return [first, helper.make_node("Cast", [rounded], node.output, to=TensorProto.FLOAT)]


_OPERANDS, _SWAPPED = (0, 5, 6), (1, 0, 2)
"""The places of x, initial_h and initial_c, and their axes: batch first to time or direction first."""
_STATES = ((2, 0, 1, 3), (1, 0, 2), (1, 0, 2))
"""Those of Y, Y_h and Y_c, the other way."""


def _time_first(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The node; where it is a recurrent one that has the batch first, with the time first between transpositions."""
    layouts = [a for a in node.attribute if a.name == "layout" and a.i == 1]
    if node.op_type not in ("RNN", "GRU", "LSTM") or node.domain or not layouts:
        return [node]
    node.attribute.remove(layouts[0])
    before, after = [], []
    base = next(filter(None, node.output))
    for place, name in enumerate(node.input):
        if name and place in _OPERANDS:
            node.input[place] = f"{base}~operand {place}"
            before.append(helper.make_node("Transpose", [name], [node.input[place]], perm=_SWAPPED))
    for place, name in enumerate(node.output):
        if name:
            node.output[place] = f"{name}~time first"
            after.append(helper.make_node("Transpose", [node.output[place]], [name], perm=_STATES[place]))
    return [*before, node, *after]
