"""Operators that ONNX itself defines by others: the nodes of that definition stand for them.

    y, s = CausalConvWithState(x, w, b, p)      becomes      c = Concat(p, x); y = Conv(c, w, b); s = Slice(c, ..)

So what the registry (ops/registry.py) has no handler for is understood all the same where the standard says what it
is: LinearAttention as a Scan over its tokens, FlexAttention with the graphs that change its scores and its shares. A
handler is for operators that are cheaper by other nodes than those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx import AttributeProto, defs, helper

from plonnx.compiler.graph import Node, Tensor
from plonnx.compiler.normal_form import graphs, tidy


def definition(
    proto: onnx.NodeProto, node: Node, opsets: Mapping[str, int], operands: Sequence[Tensor | None]
) -> onnx.GraphProto | None:
    """A graph with the node's operands as inputs and its results as outputs; None where ONNX defines it by nothing."""
    if not defs.has(node.op, node.since, node.domain):
        return None
    schema = defs.get_schema(node.op, node.since, node.domain)
    function = _body(schema, proto, opsets.get("", 1), operands)
    if function is None:
        return None
    given = {attribute.name: attribute for attribute in (*_defaults(schema), *proto.attribute)}
    nodes = [onnx.NodeProto.FromString(inner.SerializeToString()) for inner in function.node]
    inputs = [helper.make_empty_tensor_value_info(name) for name in function.input]
    outputs = [helper.make_empty_tensor_value_info(name) for name in function.output]
    made = helper.make_graph(nodes, node.op, inputs, outputs)
    for graph in graphs(made):
        for inner in graph.node:
            inner.name = inner.name or node.name  # messages name the node
            _resolve(inner, given)
        tidy(graph.node)
    return made


def _body(
    schema: Any, proto: onnx.NodeProto, opset: int, operands: Sequence[Tensor | None]
) -> onnx.FunctionProto | None:
    """The newest definition that the model's opset has. (onnx's types leave out these methods of its OpSchema.)"""
    versions = schema.context_dependent_function_opset_versions
    if versions:
        kinds = [b"" if tensor is None else _kind(tensor) for tensor in operands]
        version = max((v for v in versions if v <= opset), default=min(versions))
        body = schema.get_context_dependent_function_with_opset_version(version, proto.SerializeToString(), kinds)
        return _read(body)
    versions = schema.function_opset_versions
    if not versions:
        return None
    version = max((v for v in versions if v <= opset), default=min(versions))
    return _read(schema.get_function_with_opset_version(version))


def _read(body: bytes) -> onnx.FunctionProto:
    function: onnx.FunctionProto = onnx.FunctionProto.FromString(body)
    return function


def _kind(tensor: Tensor) -> bytes:
    kind = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape)
    return bytes(kind.SerializeToString())


def _defaults(schema: defs.OpSchema) -> Iterator[AttributeProto]:
    for attribute in schema.attributes.values():
        if attribute.default_value.type != AttributeProto.UNDEFINED:
            yield attribute.default_value


def _resolve(node: onnx.NodeProto, given: Mapping[str, AttributeProto]) -> None:
    """The attributes that a definition takes from the node get its values; those that it has not are left out."""
    kept = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            kept.append(attribute)
        elif attribute.ref_attr_name in given:
            value = AttributeProto.FromString(given[attribute.ref_attr_name].SerializeToString())
            value.name = attribute.name
            kept.append(value)
    copies = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
    del node.attribute[:]
    node.attribute.extend(copies)
