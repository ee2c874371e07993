"""com.microsoft: quantized operators as onnxruntime writes them, each standing for Quantize(f(Dequantize(..))).

QLinear.., QGemm and products of integers, as quantized.py has those of ONNX; images whose channels stand last, which
its optimizer writes, get them behind the batch. And FusedConv, whose activation is inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import defs

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import CompileError, Node, Shape, Tensor
from plonnx.compiler.ops.microsoft import product_shape
from plonnx.compiler.ops.quantized import (
    FLOAT,
    Quantizer,
    Scale,
    dequantize_linear,
    kind_of,
    operands_of,
    quantize_linear,
    through_bytes,
)
from plonnx.compiler.ops.registry import MICROSOFT, Makes, expands, find
from plonnx.compiler.ops.windows import convolved

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

_ALONG_ONE_AXIS = 13
"""The version of Softmax from which on it takes one axis."""


def _shape(operands: Sequence[Tensor | None], place: int) -> Shape:
    tensor = operands[place]
    if tensor is None:
        raise CompileError("an operand that must be there is absent")
    return tensor.shape


def _like(place: int, kind: int | np.dtype[Any] | None = None) -> Makes:
    """The shape of an operand; the type of an operand, or a given one."""

    def made(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        source = operands[place if kind is None else kind] if isinstance(kind, int | None) else None
        return [(_shape(operands, place), kind if isinstance(kind, np.dtype) else _type(source))]

    return made


def _type(tensor: Tensor | None, default: Any = np.uint8) -> np.dtype[Any]:
    return np.dtype(default) if tensor is None else tensor.dtype


def _as_quantized(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(_shape(operands, 0), _type(operands[2] if len(operands) > 2 else None))]


expands("QuantizeLinear", 1, MICROSOFT, _as_quantized)(quantize_linear)
expands("DequantizeLinear", 1, MICROSOFT, _like(0, 1))(dequantize_linear)


def _binary(op: str) -> None:
    def makes(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        return [(np.broadcast_shapes(_shape(operands, 0), _shape(operands, 3)), _type(operands[0]))]

    @expands(f"QLinear{op}", 1, MICROSOFT, makes)
    def rule(scene: Scene, node: Node) -> list[Node]:
        way, (a, sa, za, b, sb, zb, sy, zy) = Quantizer(scene, node), operands_of(node, 8)
        kind = scene.tensors[node.outputs[0]].dtype
        kept = _leveled_sum(way, (a, Scale(sa, za)), (b, Scale(sb, zb)), Scale(sy, zy), kind) if op == "Add" else None
        if kept is not None:
            return way.steps.finish(kept)
        made = way.steps.apply(op, way.real(a, Scale(sa, za)), way.real(b, Scale(sb, zb)))
        return way.steps.finish(way.integer(made, Scale(sy, zy), kind))


def _leveled_sum(
    way: Quantizer, a: tuple[str, Scale], b: tuple[str, Scale], to: Scale, kind: np.dtype[Any]
) -> str | None:
    """A sum of two quantized tensors of one shape as a layer of their integers, exact to its levels.

    None where a scale is computed, or one of a vector. A hidden model's weights are too coarse to gain by it.
    """
    scene, steps, shape = way.scene, way.steps, way.scene.shape(a[0])
    scales = [scene.value(given.scale) for given in (a[1], b[1], to)]
    if scene.hidden or scene.shape(b[0]) != shape or scene.value(a[0]) is not None or scene.value(b[0]) is not None:
        return None
    if any(value is None or value.size != 1 for value in scales):
        return None
    one, other, step = (float(value.reshape(-1)[0]) for value in scales if value is not None)
    rows = [steps.reshape(way.moved(*operand), (1, 1, -1)) for operand in (a, b)]
    count = scene.shape(rows[0])[-1]
    pair = steps.apply("Concat", *rows, shape=(1, 2, count), axis=1)
    weights = scene.constant(steps.constant(0.0), np.array([[[one / step], [other / step]]]))
    made = steps.apply("Conv", pair, weights, shape=(1, 1, count))
    return steps.reshape(way.placed(made, to, kind), shape)


def _second(shape: Shape) -> Shape:
    """The shape of images whose channels stand last, with them behind the batch."""
    return shape[0], shape[-1], *shape[1:-1]


def _last(shape: Shape) -> Shape:
    """The other way round."""
    return shape[0], *shape[2:], shape[1]


def _either(makes: Makes, always: bool = False) -> Makes:
    """As `makes` says of images whose channels stand second; they stand last where the node says so, or always."""

    def made(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        first = operands[0]
        if first is None or not (always or node.attributes.get("channels_last", 0)):
            return list(makes(node, operands))
        turned = replace(first, shape=_second(first.shape), value=None)
        return [(_last(shape), kind) for shape, kind in makes(node, [turned, *operands[1:]])]

    return made


def _channels_first(scene: Scene, node: Node, inner: Node) -> list[Node]:
    """`inner`, an operator on images whose channels stand second, for a node whose channels stand last."""
    steps, (x, y) = Steps(scene, node), (node.inputs[0], node.outputs[0])
    axes = tuple(range(len(scene.shape(x))))
    images = steps.apply("Transpose", x, shape=_second(scene.shape(x)), perm=_second(axes))
    made = scene.computed(y, _second(scene.shape(y)))
    kept = {key: value for key, value in node.attributes.items() if key != "channels_last"}
    steps.nodes.append(replace(inner, inputs=(images, *node.inputs[1:]), outputs=(made,), attributes=kept))
    return steps.finish(steps.apply("Transpose", made, shape=scene.shape(y), perm=_last(axes)))


def _unary(op: str, name: str, makes: Makes) -> None:
    """Of one quantized tensor: x, its scale and zero point, those of the result."""

    @expands(f"QLinear{name}", 1, MICROSOFT, _either(makes))
    def rule(scene: Scene, node: Node) -> list[Node]:
        way, (x, sx, zx, sy, zy) = Quantizer(scene, node), operands_of(node, 5)
        if node.attributes.get("channels_last", 0):
            return _channels_first(scene, node, node)
        given = {key: value for key, value in node.attributes.items() if key != "channels_last"}
        made = way.steps.apply(op, way.real(x, Scale(sx, zx)), shape=scene.shape(node.outputs[0]), **given)
        return way.steps.finish(way.integer(made, Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _as(op: str) -> Makes:
    """The shape that a standard operator gives."""

    def makes(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
        standard = find(replace(node, op=op, domain="", since=defs.onnx_opset_version()))
        shape = None if standard is None or standard.shape is None else standard.shape(node, operands)
        return [(_shape(operands, 0) if shape is None else shape, _type(operands[0]))]

    return makes


def _of_channels(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    shape = _shape(operands, 0)
    return [((*shape[:2], *(1,) * (len(shape) - 2)), _type(operands[0]))]


for _name in ("Add", "Mul"):
    _binary(_name)
for _op, _name, _makes in (
    ("Sigmoid", "Sigmoid", _like(0)),
    ("LeakyRelu", "LeakyRelu", _like(0)),
    ("GlobalAveragePool", "GlobalAveragePool", _of_channels),
    ("AveragePool", "AveragePool", _as("AveragePool")),
):
    _unary(_op, _name, _makes)


def _convolved(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(convolved(node, [operands[0], operands[3]]), _type(operands[7]))]


@expands("QLinearConv", 1, MICROSOFT, _either(_convolved))
def images_of_either_order(scene: Scene, node: Node) -> list[Node]:
    """That of ONNX; the channels may stand last, as onnxruntime's optimizer has them."""
    inner = scene.node("QLinearConv", node.inputs, node.outputs[0], node.name)
    if node.attributes.get("channels_last", 0):
        return _channels_first(scene, node, inner)
    return [replace(inner, attributes={key: value for key, value in node.attributes.items() if key != "channels_last"})]


@expands("NhwcMaxPool", 1, MICROSOFT, _either(_as("MaxPool"), always=True))
def max_pool_of_channels_last(scene: Scene, node: Node) -> list[Node]:
    """MaxPool of images whose channels stand last."""
    return _channels_first(scene, node, scene.node("MaxPool", node.inputs, node.outputs[0], node.name))


def _chosen(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(np.broadcast_shapes(*(_shape(operands, place) for place in (0, 1, 4))), _type(operands[1]))]


@expands("QLinearWhere", 1, MICROSOFT, _chosen)
def qlinear_where(scene: Scene, node: Node) -> list[Node]:
    """The quantized x where the condition holds, y elsewhere."""
    way, (where, x, sx, zx, y, sy, zy, sz, zz) = Quantizer(scene, node), operands_of(node, 9)
    parts = way.real(x, Scale(sx, zx)), way.real(y, Scale(sy, zy))
    made = way.steps.apply("Where", where, *parts, shape=scene.shape(node.outputs[0]))
    return way.steps.finish(way.integer(made, Scale(sz, zz), scene.tensors[node.outputs[0]].dtype))


@expands("QLinearSoftmax", 1, MICROSOFT, _like(0))
def qlinear_softmax(scene: Scene, node: Node) -> list[Node]:
    """Softmax along `axis`, before version 13 along all axes from it on."""
    way, (x, sx, zx, sy, zy) = Quantizer(scene, node), operands_of(node, 5)
    steps, shape, real = way.steps, scene.shape(x), way.real(x, Scale(sx, zx))
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    if int(node.attributes["opset"]) < _ALONG_ONE_AXIS:
        rows = steps.reshape(real, (int(np.prod(shape[:axis], dtype=np.int64)), -1))
        made = steps.reshape(steps.apply("Softmax", rows, axis=1), shape)
    else:
        made = steps.apply("Softmax", real, axis=axis)
    return steps.finish(way.integer(made, Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _concatenated(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    shapes = [list(_shape(operands, place)) for place in range(2, len(operands), 3)]
    axis = int(node.attributes["axis"]) % len(shapes[0])
    whole = [*shapes[0]]
    whole[axis] = sum(shape[axis] for shape in shapes)
    return [(tuple(whole), _type(operands[2]))]


@expands("QLinearConcat", 1, MICROSOFT, _concatenated)
def qlinear_concat(scene: Scene, node: Node) -> list[Node]:
    """Quantized tensors of several scales along an axis."""
    way, (sy, zy, *rest) = Quantizer(scene, node), node.inputs
    parts = [way.real(q, Scale(s, z)) for q, s, z in zip(rest[::3], rest[1::3], rest[2::3], strict=True)]
    made = way.steps.apply("Concat", *parts, shape=scene.shape(node.outputs[0]), axis=node.attributes["axis"])
    return way.steps.finish(way.integer(made, Scale(sy, zy), scene.tensors[node.outputs[0]].dtype))


def _multiplied(node: Node, operands: Sequence[Tensor | None]) -> Shape:
    """The shape of a product of matrices, either of which may be transposed."""
    left, right = (list(_shape(operands, place)) for place in (0, 3 if node.op == "QGemm" else 1))
    for shape, key in ((left, "transA"), (right, "transB")):
        if node.attributes.get(key, 0) and len(shape) > 1:
            shape[-1], shape[-2] = shape[-2], shape[-1]
    return product_shape(tuple(left), tuple(right))


def _product(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    return [(_multiplied(node, operands), FLOAT)]


def _quantized_product(node: Node, operands: Sequence[Tensor | None]) -> list[tuple[Shape, np.dtype[Any]]]:
    quantizes = len(operands) > 8 and operands[7] is not None
    return [(_multiplied(node, operands), _type(operands[8]) if quantizes else FLOAT)]


def _turned(steps: Steps, x: str, key: str) -> str:
    """The matrix, transposed where the node says so."""
    shape, rank = steps.shape(x), len(steps.shape(x))
    if not steps.node.attributes.get(key, 0) or rank < 2:
        return x
    order = (*range(rank - 2), rank - 1, rank - 2)
    return steps.apply("Transpose", x, shape=tuple(shape[a] for a in order), perm=order)


def _scaled_product(steps: Steps, a: str, b: str) -> str:
    """alpha A B."""
    shape = steps.shape(steps.node.outputs[0])
    made = steps.apply("MatMul", _turned(steps, a, "transA"), _turned(steps, b, "transB"), shape=shape)
    alpha = float(steps.node.attributes.get("alpha", 1.0))
    return made if alpha == 1.0 else steps.apply("Mul", made, steps.constant(alpha, public=True))


@expands("QGemm", 1, MICROSOFT, _quantized_product)
def qgemm(scene: Scene, node: Node) -> list[Node]:
    """alpha A B + C of quantized tensors, as reals where no scale of the result is given."""
    way, (a, sa, za, b, sb, zb, c, sy, zy) = Quantizer(scene, node), operands_of(node, 9)
    axis = 0 if node.attributes.get("transB", 0) else -1
    step = way.step(sa, sb, sy, float(node.attributes.get("alpha", 1.0))) if sy else None
    if step is not None and not node.attributes.get("transA", 0):
        ends, turned = ((a, Scale(sa, za)), (b, Scale(sb, zb, axis))), bool(node.attributes.get("transB", 0))
        kept = way.leveled("MatMul", *ends, step, c, Scale(sy, zy), kind_of(scene, zy), {}, turned)
        if kept is not None:
            return way.steps.finish(kept)
    made = _scaled_product(way.steps, way.real(a, Scale(sa, za)), way.real(b, Scale(sb, zb, axis)))
    if c:
        known = [scene.value(name) for name in (c, sa, sb)]
        if any(value is None for value in known):
            raise way.steps.refuse("its bias and scales must be constants of the model")
        whole, one, other = (np.asarray(value, np.float64) for value in known)
        alpha = float(node.attributes.get("alpha", 1.0))
        made = way.steps.apply("Add", made, way.steps.constant(alpha * whole * one.reshape(-1) * other.reshape(-1)))
    return way.steps.finish(way.integer(made, Scale(sy, zy), kind_of(scene, zy)) if sy else made)


@expands("MatMulIntegerToFloat", 1, MICROSOFT, _product)
def matmul_integer_to_float(scene: Scene, node: Node) -> list[Node]:
    """A product of quantized matrices as reals, and a bias."""
    way, (a, b, sa, sb, za, zb, bias) = Quantizer(scene, node), operands_of(node, 7)
    left, right = way.real(a, Scale(sa, za)), way.real(b, Scale(sb, zb, axis=-1))
    made = way.steps.apply("MatMul", left, right, shape=scene.shape(node.outputs[0]))
    return way.steps.finish(way.steps.apply("Add", made, bias) if bias else made)


@expands("DynamicQuantizeMatMul", 1, MICROSOFT, _product)
def dynamic_quantize_matmul(scene: Scene, node: Node) -> list[Node]:
    """The left matrix goes through uint8 between its own least and largest value."""
    way, (a, b, sb, zb, bias) = Quantizer(scene, node), operands_of(node, 5)
    steps, shape = way.steps, scene.shape(node.outputs[0])
    made = steps.apply("MatMul", through_bytes(steps, a), way.real(b, Scale(sb, zb, axis=-1)), shape=shape)
    return steps.finish(steps.apply("Add", made, bias) if bias else made)


# A fused activation --------------------------------------------------------------------------------------------------

_ACTIVATIONS: Mapping[str, Sequence[str]] = {
    "Clip": ("min", "max"),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
}


def _activated(steps: Steps, x: str, name: str, values: Sequence[float]) -> str:
    if name not in _ACTIVATIONS:
        raise steps.refuse(f"its activation {name!r} is not supported")
    if name == "Clip":
        raised = steps.apply("Max", x, steps.constant(values[0], public=True))
        return steps.apply("Min", raised, steps.constant(values[1], public=True))
    given: dict[str, Any] = dict(zip(_ACTIVATIONS[name], map(float, values), strict=False))
    return steps.apply(name, x, **given)


@expands("FusedConv", 1, MICROSOFT, _as("Conv"))
def fused_conv(scene: Scene, node: Node) -> list[Node]:
    """activation(Conv(x, w, b) + z)."""
    steps, (x, w, bias, z) = Steps(scene, node), operands_of(node, 4)
    given = {key: value for key, value in node.attributes.items() if not key.startswith("activation")}
    operands = [x, w, *([bias] if bias else [])]
    made = steps.apply("Conv", *operands, shape=scene.shape(node.outputs[0]), **given)
    if z:
        made = steps.apply("Add", made, z)
    name = str(node.attributes.get("activation", ""))
    return steps.finish(_activated(steps, made, name, node.attributes.get("activation_params", ())) if name else made)
