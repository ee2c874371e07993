"""A model for onnxruntime, of types that it has kernels for: what a newer opset or a wider type says the same way.

hummingbird multiplies matrices of int8, and old exporters compare reals with Equal before opset 11. ONNX did not have
either, and onnxruntime refuses both; onnx's reference evaluator takes them, but is far slower.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper, shape_inference

_NARROW = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16)
_REALS = (TensorProto.FLOAT, TensorProto.DOUBLE)


def of_wider_types(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model with MatMul and Equal of types that onnxruntime computes; None where it has no other ones.

    MatMul and Equal of narrow integers become those of int32 between casts, which wrap as the narrow ones do; Equal of
    reals becomes neither less nor greater. NaN would be equal to all there: no tensor that is NaN is calibrated.
    """
    if not any(node.op_type in ("MatMul", "Equal") for node in model.graph.node):
        return None
    try:
        types = _types(shape_inference.infer_shapes(model).graph)
    except Exception:  # too large for it, or damaged: whoever runs the model says so
        return None
    nodes = [written for node in model.graph.node for written in _node(node, types)]
    if len(nodes) == len(model.graph.node):
        return None
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.value_info, *graph.input, *graph.output)
    return {
        **{value.name: value.type.tensor_type.elem_type for value in values},
        **{held.name: held.data_type for held in graph.initializer},
    }


def _node(node: onnx.NodeProto, types: dict[str, int]) -> Iterator[onnx.NodeProto]:
    """The node, or those that stand for it. An inner tensor's name holds its output's, so that it is the only one."""
    kinds = [types.get(name) for name in node.input]
    inner = [f"{node.output[0]}~{what}" for what in ("a", "b", "y")]
    if node.op_type in ("MatMul", "Equal") and kinds[0] in _NARROW:
        for name, wide in zip(node.input, inner, strict=False):
            yield helper.make_node("Cast", [name], [wide], to=TensorProto.INT32)
        if node.op_type == "Equal":
            yield helper.make_node("Equal", inner[:2], node.output)
            return
        yield helper.make_node("MatMul", inner[:2], inner[2:])
        yield helper.make_node("Cast", inner[2:], node.output, to=kinds[0])
    elif node.op_type == "Equal" and kinds[0] in _REALS:
        yield helper.make_node("Less", node.input, inner[:1])
        yield helper.make_node("Greater", node.input, inner[1:2])
        yield helper.make_node("Or", inner[:2], inner[2:])
        yield helper.make_node("Not", inner[2:], node.output)
    else:
        yield node
