"""com.microsoft: quantized layers of networks, as the layers that they were made of.

QAttention, QEmbedLayerNormalization     of dequantized operands
DynamicQuantizeLSTM                      of dequantized weights, before which states go through bytes
MatMulNBits, MatMulBnb4                  a product with weights of a few bits, several of them in a byte
GatherBlockQuantized                     rows of such a matrix
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node, Shape, Tensor
from plonnx.compiler.ops.microsoft import embed_layer_normalization, embedded
from plonnx.compiler.ops.microsoft_attention import attention, projecting
from plonnx.compiler.ops.quantized import FLOAT, Quantizer, Scale, of_blocks, operands_of, through_bytes
from plonnx.compiler.ops.recurrent import unrolled_lstm
from plonnx.compiler.ops.registry import MICROSOFT, expands, shape_of

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Operands = Sequence[Tensor | None]
Made = list[tuple[Shape, np.dtype[Any]]]
_BYTE = 8
_BLOCK = 128
_NF4: tuple[float, ...] = (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635)
_NF4 += (-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725)
_NF4 += (0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0)
_FP4 = (0.0, 0.00520833333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25)
_VALUES = np.array([[*_FP4, *(-value for value in _FP4)], _NF4])
"""What a number of four bits stands for, by the attribute quant_type."""


def _real(kinds: Made) -> Made:
    return [(shape, FLOAT if kind.kind in "iu" else kind) for shape, kind in kinds]


# Transformers ---------------------------------------------------------------------------------------------------------


def _attending(node: Node, operands: Operands) -> Made:
    past = operands[8] if len(operands) > 8 else None
    return _real(projecting(node, [*operands[:2], None, None, past]))


@expands("QAttention", 1, MICROSOFT, _attending)
def qattention(scene: Scene, node: Node) -> list[Node]:
    """Attention of a quantized operand, with quantized projections."""
    way, (x, w, bias, sx, sw, mask, zx, zw, past) = Quantizer(scene, node), operands_of(node, 9)
    real = way.real(x, Scale(sx, zx)), way.real(w, Scale(sw, zw, axis=-1))
    inner = replace(node, op="Attention", inputs=(*real, bias, mask, past))
    return [*way.steps.nodes, *(attention(scene, inner) or ())]


@expands("QEmbedLayerNormalization", 1, MICROSOFT, lambda node, operands: _real(embedded(node, operands)))
def qembed_layer_normalization(scene: Scene, node: Node) -> list[Node]:
    """EmbedLayerNormalization of quantized tables, scale and bias."""
    way, names = Quantizer(scene, node), operands_of(node, 18)
    held = zip(names[2:7], names[8:13], names[13:18], strict=True)
    real = [q and way.real(q, Scale(scale, zero)) for q, scale, zero in held]
    inner = replace(node, op="EmbedLayerNormalization", inputs=(*names[:2], *real, names[7]))
    return [*way.steps.nodes, *(embed_layer_normalization(scene, inner) or ())]


# LSTM -----------------------------------------------------------------------------------------------------------------


def _states(node: Node, operands: Operands) -> Made:
    (time, batch, _), recurrent = shape_of(operands, 0), shape_of(operands, 2)
    directions, hidden = recurrent[:2]
    last: Shape = (directions, batch, hidden)
    return [((time, *last), FLOAT), (last, FLOAT), (last, FLOAT)]


@expands("DynamicQuantizeLSTM", 1, MICROSOFT, _states)
def dynamic_quantize_lstm(scene: Scene, node: Node) -> list[Node]:
    """An LSTM of quantized weights; what they multiply goes through uint8 between its own least and largest value."""
    steps, names = Steps(scene, node), operands_of(node, 12)
    weights = [
        _transposed(steps, q, scale, zero) for q, scale, zero in ((names[1], *names[8:10]), (names[2], *names[10:12]))
    ]
    inner = replace(node, op="LSTM", inputs=(names[0], *weights, *names[3:8]))
    return unrolled_lstm(scene, inner, through_bytes)


def _transposed(steps: Steps, q: str, scale: str, zero: str) -> str:
    """Quantized weights [D, K, 4 H] as reals [D, 4 H, K]: a scale and a zero point for each direction or column."""
    whole, factor, moved = (_known(steps, name).astype(np.float64) for name in (q, scale, zero))
    rows = len(whole)
    return steps.constant(((whole - moved.reshape(rows, 1, -1)) * factor.reshape(rows, 1, -1)).transpose(0, 2, 1))


def _known(steps: Steps, name: str) -> Array:
    value = steps.scene.value(name)
    if value is None:
        raise steps.refuse("its weights, their scales and zero points must be constants of the model")
    return value


# A few bits -----------------------------------------------------------------------------------------------------------


def unpacked(packed: Array, bits: int, count: int) -> Array:
    """[.., bytes] to [.., count]: the numbers of `bits` bits that bytes hold, their low ones first."""
    parts = packed[..., None] >> np.arange(0, _BYTE, bits, dtype=np.uint8) & np.uint8((1 << bits) - 1)
    return parts.reshape(*packed.shape[:-1], -1)[..., :count].astype(np.float64)


def _bits(steps: Steps) -> int:
    bits = int(steps.node.attributes.get("bits", 4))
    if bits not in (2, 4, 8):
        raise steps.refuse(f"weights of {bits} bits are not supported (nor by onnxruntime); quantize to 2, 4 or 8")
    return bits


def _columns(node: Node, operands: Operands) -> Made:
    x = operands[0]
    assert x is not None, "the matrix on the left must be there"
    return [((*x.shape[:-1], int(node.attributes["N"])), x.dtype)]


def _multiplied(steps: Steps, weights: Array, bias: str = "") -> list[Node]:
    """The left matrix by weights [N, K], and a bias."""
    made = steps.apply(
        "MatMul", steps.node.inputs[0], steps.constant(weights.T), shape=steps.shape(steps.node.outputs[0])
    )
    return steps.finish(steps.apply("Add", made, bias) if bias else made)


@expands("MatMulNBits", 1, MICROSOFT, _columns)
def matmul_of_few_bits(scene: Scene, node: Node) -> list[Node]:
    """A product with weights of 2, 4 or 8 bits, which have a scale and a zero point for each block of a column."""
    steps, (_, q, scale, zero, groups, bias) = Steps(scene, node), operands_of(node, 6)
    if groups:
        raise steps.refuse("g_idx is not supported; quantize the model again without it")
    outputs, depth, block = (int(node.attributes[key]) for key in ("N", "K", "block_size"))
    bits, blocks = _bits(steps), -(-depth // block)
    moved: Array = np.full((), 1 << bits - 1)
    if zero:
        moved = _known(steps, zero).reshape(outputs, -1)
        moved = (unpacked(moved, bits, blocks) if moved.dtype == np.uint8 else moved)[..., None]
    whole = unpacked(_known(steps, q).reshape(outputs, blocks, -1), bits, block)
    weights = (whole - moved) * _known(steps, scale).reshape(outputs, blocks, 1)
    return _multiplied(steps, weights.reshape(outputs, -1)[:, :depth], bias)


@expands("MatMulBnb4", 1, MICROSOFT, _columns)
def matmul_of_values(scene: Scene, node: Node) -> list[Node]:
    """A product with weights that are 16 values, FP4 or NF4, times a scale for each block of them."""
    steps, given = Steps(scene, node), node.attributes
    outputs, depth, block = (int(given[key]) for key in ("N", "K", "block_size"))
    if not given.get("transB", 1):
        raise steps.refuse("transB = 0 is not supported; quantize the model with transposed weights")
    high_first = unpacked(_known(steps, node.inputs[1])[:, None], 4, 2)[:, ::-1].reshape(-1)[: outputs * depth]
    scales = of_blocks(_known(steps, node.inputs[2]).reshape(-1), block, high_first.size, 0)
    weights = _VALUES[int(given["quant_type"])][high_first.astype(np.int64)] * scales
    return _multiplied(steps, weights.reshape(outputs, depth))


def _gathered(node: Node, operands: Operands) -> Made:
    table, scale = operands[0], operands[2]
    assert table is not None and scale is not None, "the table and its scales must be there"
    shape, axis = [*table.shape], int(node.attributes.get("gather_axis", 0)) % len(table.shape)
    if table.dtype == np.uint8:
        shape[-1] *= _BYTE // int(node.attributes.get("bits", 4))
    return [((*shape[:axis], *shape_of(operands, 1), *shape[axis + 1 :]), scale.dtype)]


@expands("GatherBlockQuantized", 1, MICROSOFT, _gathered)
def gather_of_few_bits(scene: Scene, node: Node) -> list[Node]:
    """Rows of a matrix of 2, 4 or 8 bits, which has a scale and a zero point for each block along an axis."""
    steps, (q, indices, scale, zero) = Steps(scene, node), operands_of(node, 4)
    table, given, factor = _known(steps, q), node.attributes, _known(steps, scale)
    bits, in_bytes = _bits(steps), table.dtype == np.uint8
    whole = unpacked(table, bits, table.shape[-1] * _BYTE // bits) if in_bytes else table.astype(np.float64)
    moved = np.broadcast_to(1 << bits - 1 if in_bytes else 0, factor.shape)
    if zero:
        moved = _known(steps, zero)
        moved = unpacked(moved, bits, factor.shape[-1]) if in_bytes else moved.astype(np.float64)
    axis, block = int(given.get("quantize_axis", 1)) % whole.ndim, int(given.get("block_size", _BLOCK))
    start, step = (of_blocks(value, block, whole.shape[axis], axis) for value in (moved, factor))
    rows = steps.constant((whole - start) * step)
    axis = int(given.get("gather_axis", 0))
    return steps.finish(steps.apply("Gather", rows, indices, shape=scene.shape(node.outputs[0]), axis=axis))
